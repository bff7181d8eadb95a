"""The measuring process: one session, run by run, with as little disturbance as can be."""

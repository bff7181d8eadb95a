"""The measuring process: one session, run by run, with as little disturbance as can be.

In comes a plan, out come a journal and raw samples; `session` is one measuring period and `run`
one run in it. The sampler reads memory, load, power and heat while the engine works; what follows
from its samples is worked out when the engine has ended, and nothing is averaged away.

>>> from edgemoe_appliance.measure.integration import trapezoid_weights
>>> [round(weight, 2) for weight in trapezoid_weights([-0.05, 0.05, 0.15, 0.25], 0.2)]
[0.01, 0.09, 0.09, 0.01]

This is what a small image carries: no pandas, numpy, jinja2 or docker is imported here, nor
anything that judges or reports.
"""

"""One bench on the host: a plan resolved, the measuring process launched and followed."""

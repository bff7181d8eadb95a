"""One bench on the host: a plan resolved, the measuring process launched and followed.

In come flags and configuration. `prepare` obtains engines and models and makes a plan in which no
name is left to look up; `session` writes it down or finds the session that it began; `launcher`
starts the measuring process, bare or in a container, and follows its journal to the end. Two
benches cannot work on one session, and a session is never continued with other settings.

>>> from edgemoe_appliance.bench.paths import default_folders
>>> default_folders().sessions.parts[-2:]
('data', 'raw')

Nothing here reads a figure out of a run: progress is read from the journal, as everywhere.
"""

"""What lies on disk, as types: configuration files, plans, records, journals, image locks.

Unknown keys are errors, in YAML with file, line and what is allowed there. Records are versioned:
one of an earlier version is lifted when it is read, one of a later version is said to be newer.

>>> from pathlib import Path
>>> from edgemoe_appliance.schema.yamlfile import parse_yaml
>>> parse_yaml("targets: {host: {threads: 2}}", Path("devices.yaml")).data
{'targets': {'host': {'threads': 2}}}

Touches no process, no container and no data frame.
"""

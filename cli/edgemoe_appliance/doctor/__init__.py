"""Checks of the host before it is measured on, each a finding: ok, warn, fail or unknown.

A finding says what was looked at, what was seen, and what to do about it. `bench` refuses to start
where one has failed, and every finding is kept with the session. Changes nothing on the host.

>>> from edgemoe_appliance.schema.findings import Finding, Level
>>> Finding(check="disk", level=Level.OK, seen="80 GB free").level.value
'ok'
"""

from edgemoe_appliance.doctor.checks import DockerCheck, check_target, why_not_target

__all__ = ["DockerCheck", "check_target", "why_not_target"]

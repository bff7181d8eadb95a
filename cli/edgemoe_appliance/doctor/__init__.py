"""Checks of the host before it is measured on, each a finding: ok, warn, fail or unknown."""

from edgemoe_appliance.doctor.checks import DockerCheck, check_target

__all__ = ["DockerCheck", "check_target"]

"""Checks of the host before it is measured on, each a finding: ok, warn, fail or unknown."""

from edgemoe_appliance.doctor.checks import check_target

__all__ = ["check_target"]

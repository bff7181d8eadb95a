"""Findings of the host checks: what was looked at, what was seen, what to do about it."""

from __future__ import annotations

from enum import Enum

from edgemoe_appliance.schema.base import Frozen


class Level(str, Enum):
    """How a finding bears on a measurement."""

    OK = "ok"
    WARN = "warn"  # figures may be disturbed or lack a part
    FAIL = "fail"  # measuring cannot work, or would not mean what it says
    UNKNOWN = "unknown"  # this host does not tell


class Finding(Frozen):
    """One finding; `hint` says what to do where something is to be done."""

    check: str
    level: Level
    seen: str
    hint: str = ""

"""Where the appliance's own files lie: in the checkout, or in the installed package."""

from __future__ import annotations

import os
from pathlib import Path

from edgemoe_appliance.errors import HostError

_PACKAGE = Path(__file__).resolve().parent.parent
_CHECKOUT = _PACKAGE.parent.parent
_WORK_VARIABLE = "EDGEMOE_WORK"


def checkout_root() -> Path | None:
    """Return the root of the checkout this code runs from, or None when installed."""
    marks = (_CHECKOUT / "pyproject.toml", _CHECKOUT / "configs" / "engines.yaml")
    return _CHECKOUT if all(mark.is_file() for mark in marks) else None


def resource_folder(name: str) -> Path:
    """Return the folder `configs`, `report_templates`, `images` or `docker`.

    A checkout's own comes first, so that an edit there takes effect; else the copy that the
    wheel carries. Raises HostError where neither is there.
    """
    root = checkout_root()
    for candidate in ([root / name] if root else []) + [_PACKAGE / "_resources" / name]:
        if candidate.is_dir():
            return candidate
    raise HostError(f"the folder {name} is missing from this installation", hint="reinstall it")


def work_root() -> Path:
    """Return the folder below which data/ and results/ are written.

    EDGEMOE_WORK names it; else it is the checkout, else the present folder.
    """
    named = os.environ.get(_WORK_VARIABLE)
    return Path(named) if named else checkout_root() or Path.cwd()

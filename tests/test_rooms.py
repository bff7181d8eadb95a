"""Every room says what comes in and what goes out, with an example that works."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import edgemoe_appliance

PACKAGE = Path(edgemoe_appliance.__file__).parent
ROOMS = sorted(
    path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name != "studies"
)


@pytest.mark.parametrize("room", ROOMS)
def test_the_example_of_a_room_works(room: str) -> None:
    module = importlib.import_module(f"edgemoe_appliance.{room}")
    assert module.__doc__ is not None
    assert 5 <= len(module.__doc__.splitlines()) <= 30
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0

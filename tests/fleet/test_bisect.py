"""Where a number moved, found by halving."""

from __future__ import annotations

import pytest

from edgemoe_appliance.analysis.claims.verdicts import Family
from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.fleet.bisect import Bisection, Move, PinReading, bisect, reading_of
from tests.ledger.entries import LIMITS, entry_claim, ledger_entry


def reading(pin: str, value: float, width: float = 0.001) -> PinReading:
    (part,) = entry_claim(value, width, Family.CONDITIONS, LIMITS).parts
    return PinReading(pin=pin, part=part)


def search(values: list[float], margin: float = 0.05, width: float = 0.001) -> Bisection:
    pins = [f"b{number}" for number in range(len(values))]
    read = {pin: reading(pin, value, width) for pin, value in zip(pins, values, strict=True)}
    return bisect(pins, read.__getitem__, margin, lambda *_: None)


@pytest.mark.parametrize("where", range(1, 16))
def test_the_place_is_found_wherever_it_is_in_few_steps(where: int) -> None:
    found = search([0.9] * where + [0.7] * (16 - where))
    assert (found.last_same, found.first_moved) == (f"b{where - 1}", f"b{where}")
    assert len(found.steps) <= 6


def test_without_a_move_two_readings_are_enough() -> None:
    found = search([0.90, 0.5, 0.91])
    assert (found.first_moved, len(found.steps)) == (None, 2)
    assert found.why == "no move beyond 5% between b0 and b2"


def test_a_rise_is_a_move_too() -> None:
    assert search([0.7, 0.7, 0.9]).first_moved == "b2"


@pytest.mark.parametrize(
    ("value", "width", "move"),
    [
        (0.70, 0.001, Move.SAME),
        (0.73, 0.001, Move.SAME),
        (0.73, 0.02, Move.OPEN),
        (0.60, 0.02, Move.MOVED),
        (0.67, 0.02, Move.OPEN),
    ],
)
def test_a_step_counts_only_with_its_whole_interval(value: float, width: float, move: Move) -> None:
    assert reading("b", value, width).move_from(reading("a", 0.70), 0.05) is move


def test_a_step_that_decides_nothing_ends_the_search() -> None:
    found = search([0.9, 0.9, 0.86, 0.7, 0.7], width=0.02)
    assert found.first_moved is None
    assert found.why == "b2 leaves it open: more runs or sessions would tell"


@pytest.mark.parametrize("pins", [[], ["a"], ["a", "a"], ["a", "b", "a"]])
def test_two_different_pins_are_needed(pins: list[str]) -> None:
    with pytest.raises(ConfigError, match="at least two pins"):
        bisect(pins, lambda pin: reading(pin, 1.0), 0.05, lambda *_: None)


def test_a_claim_that_is_not_there_or_was_not_tested_is_said() -> None:
    entry = ledger_entry("a", 0.69)
    assert reading_of(entry, "c1", "b1").value == 0.69
    with pytest.raises(ConfigError, match="one of: c1"):
        reading_of(entry, "c2", "b1")
    claim = entry.claims["c1"].model_copy(update={"parts": (), "brief": "no runs"})
    with pytest.raises(RecordError, match="not tested: no runs"):
        reading_of(entry.model_copy(update={"claims": {"c1": claim}}), "c1", "b1")

"""The engine build between two where a claim's number moved, by halving the pins between them.

It takes for granted that the number moved once. A step whose interval lies neither within the
margin nor beyond it decides nothing, and the search ends there and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.ledger.entries import EntryPart, LedgerEntry


class Move(str, Enum):
    """Whether a number moved beyond the margin, compared with the first pin's."""

    SAME = "same"
    MOVED = "moved"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class PinReading:
    """A claim's number with the engine of one pin, and what one session knows it within."""

    pin: str
    part: EntryPart

    @property
    def value(self) -> float:
        """Return the number; a reading has one."""
        if self.part.value is None:
            raise RecordError(f"pin {self.pin}: {self.part.label}")
        return self.part.value

    def move_from(self, first: PinReading, margin: float) -> Move:
        """Return whether it moved by more than a share of the first reading."""
        low = self.part.low if self.part.low is not None else self.value
        high = self.part.high if self.part.high is not None else self.value
        ends = sorted((low / first.value - 1, high / first.value - 1))
        if -margin <= ends[0] and ends[1] <= margin:
            return Move.SAME
        return Move.MOVED if ends[0] > margin or ends[1] < -margin else Move.OPEN


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """Where a number moved: between `last_same` and `first_moved`, None where it was not found."""

    steps: tuple[tuple[PinReading, Move], ...]
    last_same: str | None
    first_moved: str | None
    why: str


def bisect(
    pins: Sequence[str],
    read: Callable[[str], PinReading],
    margin: float,
    on_step: Callable[[PinReading, Move], None],
) -> Bisection:
    """Return between which of the pins, given from old to new, a number moved.

    Raises ConfigError for fewer than two pins, and what `read` raises.
    """
    if len(set(pins)) < max(2, len(pins)):
        raise ConfigError("at least two pins are needed, each once", hint="--pin OLD --pin NEW")
    steps: list[tuple[PinReading, Move]] = []

    def step(pin: str) -> Move:
        reading = read(pin)
        move = reading.move_from(steps[0][0], margin) if steps else Move.SAME
        steps.append((reading, move))
        on_step(reading, move)
        return move

    def ended(why: str, same: str | None = None, moved: str | None = None) -> Bisection:
        return Bisection(steps=tuple(steps), last_same=same, first_moved=moved, why=why)

    step(pins[0])
    if step(pins[-1]) is not Move.MOVED:
        return ended(f"no move beyond {margin:.0%} between {pins[0]} and {pins[-1]}")
    low, high = 0, len(pins) - 1
    while high - low > 1:
        middle = (low + high) // 2
        move = step(pins[middle])
        if move is Move.OPEN:
            return ended(f"{pins[middle]} leaves it open: more runs or sessions would tell")
        low, high = (low, middle) if move is Move.MOVED else (middle, high)
    return ended(f"moved between {pins[low]} and {pins[high]}", pins[low], pins[high])


def reading_of(entry: LedgerEntry, claim: str, pin: str) -> PinReading:
    """Return the first number of a claim in an entry.

    Raises ConfigError where the study has no such claim, RecordError where it was not tested.
    """
    found = entry.claims.get(claim)
    if found is None:
        known = ", ".join(entry.claims)
        raise ConfigError(f"claim {claim}: not in {entry.study.label}", hint=f"one of: {known}")
    part = next((part for part in found.parts if part.value is not None), None)
    if part is None:
        raise RecordError(f"claim {claim}: not tested: {found.brief}", where=entry.archive)
    return PinReading(pin=pin, part=part)

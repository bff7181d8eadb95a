"""The engine build between two where a claim's number moved, by halving the builds between them.

What is watched is the claim's first number that the runs give, as a ratio of rates or of memory,
and not its verdict: twins on one machine bear no verdict on the study, and yet show that an engine
became slower. A verdict stands beside each step where the runs bear one.

It takes for granted that the number moved once. A step whose interval lies neither within the
margin nor beyond it decides nothing, and the search ends there and says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import yaml

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.claims import (
    Number,
    SessionEvidence,
    Verdict,
    judge_claims,
    number_behind,
)
from edgemoe_appliance.analysis.claims.tests import questions
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.archive.verify import VerifiedSession, verified_archive
from edgemoe_appliance.engine.source import list_commits
from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.fleet.driver import Task, run_task
from edgemoe_appliance.fleet.hub import FleetJournal, OnBoardLine, is_archived
from edgemoe_appliance.schema.choices import unknown_name
from edgemoe_appliance.schema.configs import GitSource, OwnPins, Pin, SdistSource, pick
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.claims import Claim

USUAL_MARGIN: Final = 0.05
_REQUIREMENT: Final = re.compile(
    r"(?P<package>[a-z0-9][a-z0-9._-]*)==(?P<version>[a-z0-9][a-z0-9._-]*)"
    r"\s+--hash=sha256:(?P<sha256>[0-9a-f]{64})"
)
# Where the source distributions of llama-cpp-python carry llama.cpp.
_SUBDIRECTORY: Final = "vendor/llama.cpp"
_COMMIT_LETTERS: Final = 12
# On a logarithmic scale; what can be farther off is known within nothing.
_FARTHEST: Final = 100.0


class Move(str, Enum):
    """Whether a number moved beyond the margin, compared with the first pin's."""

    REFERENCE = "reference"
    SAME = "same"
    MOVED = "moved"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class PinReading:
    """A claim's number in one session with the engine of one pin, and the claim's verdict there."""

    pin: str
    number: Number
    verdict: Verdict

    def change_from(self, first: PinReading) -> tuple[float, float, float]:
        """Return the change as a share of the first reading, with its lower and upper end.

        Both intervals are in it: they are those of independent sessions, so that their halves on a
        logarithmic scale add as squares.
        """
        change = math.log(self.number.value / first.number.value)
        low = math.hypot(*(_reach(each.number, each.number.low) for each in (self, first)))
        high = math.hypot(*(_reach(each.number, each.number.high) for each in (self, first)))
        end = math.expm1(change + high) if high < _FARTHEST else math.inf
        return math.expm1(change), math.expm1(change - low), end

    def move_from(self, first: PinReading, margin: float) -> Move:
        """Return whether it moved by more than a share of the first reading."""
        _, low, high = self.change_from(first)
        if -margin <= low and high <= margin:
            return Move.SAME
        return Move.MOVED if low > margin or high < -margin else Move.OPEN


def _reach(number: Number, end: float | None) -> float:
    """Return how far an end is from the value, on a logarithmic scale.

    A number without an interval may be anything.
    """
    return abs(math.log(end / number.value)) if end is not None and end > 0 else math.inf


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
    on_step: Callable[[PinReading, PinReading, Move], None],
) -> Bisection:
    """Return between which of the pins, given from old to new, a number moved.

    `pins` are two at least. `on_step` is told each reading, the first one, and how they compare.
    Raises what `read` raises.
    """
    steps: list[tuple[PinReading, Move]] = []

    def step(pin: str) -> Move:
        reading = read(pin)
        first = steps[0][0] if steps else reading
        move = reading.move_from(first, margin) if steps else Move.REFERENCE
        steps.append((reading, move))
        on_step(reading, first, move)
        return move

    def ended(why: str, same: str | None = None, moved: str | None = None) -> Bisection:
        return Bisection(steps=tuple(steps), last_same=same, first_moved=moved, why=why)

    step(pins[0])
    if (move := step(pins[-1])) is Move.SAME:
        return ended(f"no move beyond {margin:.1%} between {pins[0]} and {pins[-1]}")
    if move is Move.OPEN:
        return ended(_left_open(pins[-1]))
    low, high = 0, len(pins) - 1
    while high - low > 1:
        middle = (low + high) // 2
        move = step(pins[middle])
        if move is Move.OPEN:
            return ended(_left_open(pins[middle]))
        low, high = (low, middle) if move is Move.MOVED else (middle, high)
    return ended(f"moved between {pins[low]} and {pins[high]}", pins[low], pins[high])


def _left_open(pin: str) -> str:
    return f"{pin} leaves it open: its interval lies across the margin, more runs would tell"


def check_pins(pins: Sequence[str], known: Collection[str]) -> None:
    """Raise ConfigError for fewer than two pins, one named twice, or one that nobody knows."""
    if len(set(pins)) < max(2, len(pins)):
        raise ConfigError("at least two pins are needed, each once", hint="--pin OLD --pin NEW")
    for pin in pins:
        if pin not in known:
            raise unknown_name("pin", pin, known, "engines.yaml")


def margin_of(study: Study, claim: str) -> float:
    """Return the tolerance of a claim's first number that has one, as a share of it; else 5 %.

    Raises ConfigError where the study has no such claim.
    """
    asked = (each.asked for each in questions(_claim(study, claim)))
    own = (abs(each.tolerance / each.about) for each in asked if each.about and each.tolerance)
    return next(own, USUAL_MARGIN)


def _claim(study: Study, claim: str) -> Claim:
    return pick(study.claims, claim, "claim", f"the study {study.identity.label}")


def read_pin(session: VerifiedSession, claim: str, pin: str) -> PinReading:
    """Return a claim's number in a session that verified.

    Raises ConfigError where its study has no such claim, RecordError where its runs give no number.
    """
    _claim(session.study, claim)
    evidence = SessionEvidence(load_sessions([session.folder]), session.study)
    found = number_behind(evidence, claim)
    if isinstance(found, Absent):
        raise RecordError(f"claim {claim}: its runs give no number: {found.reason}", where=pin)
    if found.value <= 0:
        raise RecordError(f"claim {claim}: {found.label} is {found.value:.4g}, no size", where=pin)
    verdict = next(each.verdict for each in judge_claims(evidence) if each.id == claim)
    return PinReading(pin=pin, number=found, verdict=verdict)


@dataclass(frozen=True, kw_only=True)
class PinMeasuring:
    """Measures a session for each pin on one board, or takes the archive of it that is there."""

    folder: Path
    claim: str
    build_task: Callable[[str], Task]
    on_line: OnBoardLine

    def read(self, pin: str) -> PinReading:
        """Return the claim's number with a pin; raises what measuring and verifying raise."""
        task = self.build_task(pin)
        journal = FleetJournal(self.folder)
        known = journal.results().get((task.board_name, task.session))
        readings: list[PinReading] = []

        def say(line: str) -> None:
            self.on_line(task.board_name, task.session, line)

        def take(session: VerifiedSession | None) -> None:
            if session is None:
                raise RecordError("its numbers cannot be checked by this version", where=task.key)
            readings.append(read_pin(session, self.claim, pin))

        if known is not None and is_archived(known) and known.arguments == task.arguments:
            say("measured before")
            with verified_archive(Path(str(known.archive)), task.maker) as (_, session):
                take(session)
        else:
            journal.add(run_task(task, say, take))
        return readings[0]


def own_pins(
    git: Path | None, old: str | None, new: str | None, sdists: Path | None, *, is_here: bool
) -> dict[str, Pin]:
    """Return the pins that `--git` with `--old` and `--new`, or `--sdists`, name; none without.

    Raises ConfigError, also where a board that is elsewhere would need a git of this machine.
    """
    if git is None:
        if old or new:
            raise ConfigError("--old and --new go with --git")
        return read_sdists(sdists) if sdists else {}
    if not old or not new:
        raise ConfigError("--git goes with --old and --new", hint="name two commits or tags")
    if not is_here:
        raise ConfigError(
            "--git: the board cannot reach a repository of this machine",
            hint="bisect on a board with transport local or docker, or by --sdists",
        )
    return pins_of_commits(git, old, new)


def pins_of_commits(repository: Path, old: str, new: str) -> dict[str, Pin]:
    """Return a pin for each commit of a local git from `old` to `new`, in this order.

    Raises ConfigError where one is not there, or the first is no ancestor of the second.
    """
    place = str(repository.resolve())
    return {
        f"commit-{commit[:_COMMIT_LETTERS]}": Pin(
            source=GitSource(kind="git", repository=place, commit=commit), note="bisected"
        )
        for commit in list_commits(repository, old, new)
    }


def read_sdists(path: Path) -> dict[str, Pin]:
    """Read source distributions of llama-cpp-python, one a line as pip's requirement files have it.

    `llama-cpp-python==0.3.6 --hash=sha256:...`, from old to new. Raises ConfigError.
    """
    pins: dict[str, Pin] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", where=str(path)) from error
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _REQUIREMENT.fullmatch(text)
        if found is None:
            raise ConfigError(
                "is no source distribution",
                where=f"{path}:{number}",
                hint="llama-cpp-python==VERSION --hash=sha256:DIGEST, as `pip hash` prints it",
            )
        source = SdistSource(kind="sdist", subdirectory=_SUBDIRECTORY, **found.groupdict())
        pins[f"{source.package}-{source.version}"] = Pin(source=source, note="bisected")
    return pins


def with_known_numbers(own: Mapping[str, Pin], known: Mapping[str, Pin]) -> dict[str, Pin]:
    """Return pins with the build number of a known one of the same source."""
    numbers = {pin.source: pin.number_of(name) for name, pin in known.items()}
    return {
        name: pin.model_copy(update={"build_number": pin.build_number or numbers.get(pin.source)})
        for name, pin in own.items()
    }


def pins_document(pins: dict[str, Pin]) -> bytes:
    """Return pins as a file that `evaluate --engines` takes."""
    document = OwnPins(pins=pins).model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(document, sort_keys=False).encode()

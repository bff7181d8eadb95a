"""What a person waits for: `python -m tests.bench.waiting [--rounds 9] [--slow]`.

Each command is run in turn with an empty Typer program of the same environment, round after round,
so that both meet the same machine; printed is how often the one's time fits into the other's, with
the interval of that ratio over rounds, beside the goal. A goal in seconds is that of a machine of
two cores on which the empty program takes 0.11 s, and is held to as a ratio everywhere.

`--slow` adds a fleet's report and the second `demo` of a clone. The sampler, the tests and the
fleet of a million have programs of their own, which are named below the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.analysis.journals import Synthetic, write_session
from tests.bench.fleets import write_fleet
from tests.bench.intervals import bootstrap_median

PROGRAM = (sys.executable, "-c", "from edgemoe_appliance.app import main; main()")
# As empty as a program can be that answers in the same form.
EMPTY = (
    sys.executable,
    "-c",
    "import typer\napp = typer.Typer(add_completion=False, pretty_exceptions_enable=False)\n"
    "@app.command()\ndef one() -> None:\n    'One.'\n"
    "@app.command()\ndef two() -> None:\n    'Two.'\napp()",
)
# Of the empty program, where the goals in seconds were set.
EMPTY_S = 0.11
FLEET_RUNS = 10_000
ELSEWHERE = (
    "sampler: python -m tests.bench.sampler_cost (goal 0.3 ms a sample, generation 0.995)",
    "tests: time make test (goal 5 min on two quiet cores)",
    "a million runs: python -m tests.bench.fleet 1000000 (goal 60 s, below 1 GB)",
)


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A command, what it is called, and how long it may take at most.

    `goal` is in times of `beside`, another program run in the same rounds; `is_fixed` says that
    the goal was set as such a ratio, else it was set in seconds.
    """

    title: str
    arguments: tuple[str, ...]
    goal: float
    beside: tuple[str, ...] = ("--help",)
    is_fixed: bool = False
    rounds: int | None = None
    exit_code: int = 0

    @property
    def asked(self) -> str:
        """Return the goal in words."""
        return f"{self.goal:.1f} x" if self.is_fixed else f"{self.goal * EMPTY_S:.1f} s"


@dataclass(frozen=True, kw_only=True)
class Waited:
    """Seconds of a command and of the empty program, round by round."""

    wait: Wait
    own_s: tuple[float, ...]
    empty_s: tuple[float, ...]

    @property
    def line(self) -> str:
        """Return the line of the table."""
        ratios = [own / empty for own, empty in zip(self.own_s, self.empty_s, strict=True)]
        middle = statistics.median(ratios)
        spread = ""
        if len(ratios) >= 6:
            found = bootstrap_median(ratios)
            spread = f"({found.low:.1f} to {found.high:.1f})"
        kept = "kept" if middle <= self.wait.goal else "missed"
        return (
            f"{self.wait.title:42s} {statistics.median(self.own_s):8.2f} s {middle:7.1f} x "
            f"{spread:18s} goal {self.wait.asked:>8s} = {self.wait.goal:6.1f} x  {kept}"
        )


def seconds(goal_s: float) -> float:
    """Return a goal in seconds as one in times of the empty program."""
    return goal_s / EMPTY_S


def waits(session: Path, archive: Path, fleet: Sequence[Path]) -> Iterator[Wait]:
    """Yield the lines of the table; what writes `archive` comes before what reads it."""
    usage = ("--unknown",)
    yield Wait(title="--help", arguments=("--help",), goal=1.5, is_fixed=True)
    yield Wait(
        title="bench with a wrong option",
        arguments=("bench", "--unknown"),
        goal=1.5,
        beside=usage,
        is_fixed=True,
        exit_code=2,
    )
    yield Wait(title="claims of the study", arguments=("claims",), goal=seconds(0.5))
    folder = str(session)
    report = ("report", folder, "--out", str(archive.parent / "report"))
    yield Wait(title="report of 180 runs", arguments=report, goal=seconds(1.5))
    written = ("archive", folder, "--out", str(archive))
    yield Wait(title="archive of 180 runs", arguments=written, goal=seconds(2))
    yield Wait(title="verify of 180 runs", arguments=("verify", str(archive)), goal=seconds(2))
    if fleet:
        names = tuple(map(str, fleet))
        out = str(archive.parent / "fleet")
        yield Wait(
            title=f"report of {FLEET_RUNS} runs",
            arguments=("report", *names, "--out", out),
            goal=seconds(5),
            rounds=3,
        )
        yield Wait(title="demo, again", arguments=("demo",), goal=seconds(40), rounds=1)


def run(command: Sequence[str], exit_code: int, environment: dict[str, str]) -> float:
    """Run a program and return its seconds; one that ends otherwise ends the benchmark."""
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != exit_code:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")
    return time.monotonic() - started


def measure(wait: Wait, rounds: int, take: Callable[[Sequence[str], int], float]) -> Waited:
    """Return what a command takes beside the empty program; the first round warms both."""
    own_s, empty_s = [], []
    for _ in range(1 + (wait.rounds or rounds)):
        empty_s.append(take((*EMPTY, *wait.beside), wait.exit_code and 2))
        own_s.append(take((*PROGRAM, *wait.arguments), wait.exit_code))
    return Waited(wait=wait, own_s=tuple(own_s[1:]), empty_s=tuple(empty_s[1:]))


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        environment = {**os.environ, "EDGEMOE_WORK": name, "COLUMNS": "80"}
        session = write_session(work, Synthetic())
        fleet = write_fleet(work / "fleet-raw", FLEET_RUNS) if options.slow else ()
        for wait in waits(session, work / "session.tar", fleet):
            waited = measure(wait, options.rounds, partial(run, environment=environment))
            print(waited.line, flush=True)
    for line in ELSEWHERE:
        print(f"not here: {line}")


if __name__ == "__main__":
    main()

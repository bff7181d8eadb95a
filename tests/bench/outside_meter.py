"""An outside meter from end to end, with a program that plays the meter and knows the truth.

`python -m tests.bench.outside_meter [FOLDER]` measures a small session of tiny twins whose energy
comes from tests/tools/pretended_meter.py, whose clock is a million seconds off and whose lines come
0.3 s late; then report, verdicts, archive and its verification. It prints the energy of every run
beside the truth, and where the session says that its meter is pretended. FOLDER keeps the session.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.records import EndRecord, PeriodRecord, Phase, Status, Window
from edgemoe_appliance.schema.units import NS_PER_S

PLAYER: Final = Path(__file__).parents[1] / "tools/pretended_meter.py"
PLAYER_OFF_S: Final = 1e6
SESSION: Final = "pretended-meter"
_ROOT: Final = Path(__file__).parents[2]
_COMMAND: Final = (sys.executable, "-c", "from edgemoe_appliance.app import main; main()")
_PHASES: Final = (Phase.LOAD, Phase.GENERATE, Phase.PROCESS)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the player drew: watts from each moment (s of the machine's clock) to the next."""

    times_s: tuple[float, ...]
    watts: tuple[float, ...]

    def energy_j(self, window: Window) -> float:
        """Return the exact energy of a window."""
        start_s, end_s = window.start_ns / NS_PER_S, window.end_ns / NS_PER_S
        first = max(0, bisect_right(self.times_s, start_s) - 1)
        inside = [t for t in self.times_s if start_s < t < end_s]
        cuts = (start_s, *inside, end_s)
        return sum((b - a) * self.watts[first + n] for n, (a, b) in enumerate(pairwise(cuts)))


def read_truth(path: Path) -> Truth:
    """Read what the player kept."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    return Truth(
        times_s=tuple(float(row[0]) for row in rows), watts=tuple(float(row[1]) for row in rows)
    )


def declared_meter(truth: Path, rank: str, covers: str) -> dict[str, object]:
    """Return the declaration of the player as a meter: it has no bounds, being exact."""
    return {
        "name": "a program that plays a meter",
        "pretended": True,
        "command": [sys.executable, str(PLAYER), str(truth)],
        "rank": rank,
        "covers": covers,
        "offset_bound_w": 0.0,
        "gain_bound": 0.0,
    }


def run_program(work: Path, *arguments: str) -> str:
    """Run the program as a user would and return what it printed. Raises RuntimeError."""
    environment = {"EDGEMOE_WORK": str(work), "EDGEMOE_CACHE": str(default_folders().cache)}
    done = subprocess.run(
        [*_COMMAND, *arguments],
        cwd=_ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def measure(work: Path) -> Path:
    """Measure the session and return its folder; `truth.csv` lies beside it."""
    devices = work / "devices.yaml"
    meter = declared_meter(work / "truth.csv", "primary", "device")
    devices.write_text(yaml.safe_dump({"meters": {"host": meter}}))
    run_program(
        work,
        *("bench", "--devices", str(devices), "--pin", "b4447", "--twins", "tiny"),
        *("--experiment", "demo_length", "--session", SESSION),
    )
    return work / "data/raw" / SESSION


def read_records(folder: Path) -> tuple[PeriodRecord, list[EndRecord]]:
    """Return the measuring period and the ends of a session."""
    lines = iterate_journal(folder / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    (period,) = (one for one in records if isinstance(one, PeriodRecord))
    return period, [one for one in records if isinstance(one, EndRecord)]


def energy_table(period: PeriodRecord, ends: Sequence[EndRecord], truth: Truth) -> Iterator[str]:
    """Yield how the energies of each phase compare with the truth."""
    assert period.power is not None
    (rail,) = period.power.rails
    yield f"{rail.sensor}: a reading each {1e3 * rail.refresh_s:.0f} ms"
    yield f"its clock, {PLAYER_OFF_S:g} s off, is known to +-{1e3 * (rail.late_s or 0):.0f} ms"
    yield f"{'phase':<10}{'runs':>6}{'with energy':>13}{'error %':>9}{'u95 %':>8}{'held %':>8}"
    for phase in _PHASES:
        errors, bounds = [], []
        for end in ends:
            energy_j = end.metrics.get(f"energy_{phase.value}_j")
            u95_j = end.metrics.get(f"energy_{phase.value}_u95_j")
            if energy_j is None or u95_j is None:
                continue
            window = next(window for window in end.windows if window.phase is phase)
            true_j = truth.energy_j(window)
            errors.append(100 * (energy_j / true_j - 1))
            bounds.append(100 * u95_j / true_j)
        if not errors:
            yield f"{phase.value:<10}{len(ends):>6}{0:>13}"
            continue
        held = sum(abs(e) <= b for e, b in zip(errors, bounds, strict=True))
        yield (
            f"{phase.value:<10}{len(ends):>6}{len(errors):>13}{sum(errors) / len(errors):>9.2f}"
            f"{sum(bounds) / len(bounds):>8.1f}{100 * held / len(errors):>8.0f}"
        )


def places_told(work: Path) -> Iterator[str]:
    """Yield where the session says that its meter is pretended, and what it says of energy."""
    run_program(work, "report", SESSION)
    claims = run_program(work, "claims", SESSION, "--json")
    results = work / "results" / SESSION
    for name in ("report.html", "HARDWARE.md"):
        count = (results / name).read_text().count("pretended")
        yield f"{name}: 'pretended' {count} times"
    document = json.loads(claims)
    judged = [claim for claim in document["claims"] if claim["verdict"] != "not_tested"]
    named = sum("pretended meter" in json.dumps(claim) for claim in document["claims"])
    yield f"claims: {len(judged)} with a verdict, {named} name the pretended meter"
    archive = work / "pretended.tar"
    run_program(work, "archive", SESSION, "--out", str(archive))
    run_program(work, "verify", str(archive))
    yield f"archive of {archive.stat().st_size / 1e6:.1f} MB verified"


def main(work: Path) -> int:
    """Measure, print, and return 0; 1 where a run did not end well."""
    folder = measure(work)
    period, ends = read_records(folder)
    for line in energy_table(period, ends, read_truth(work / "truth.csv")):
        print(line, flush=True)
    for line in places_told(work):
        print(line, flush=True)
    return 0 if all(end.status is Status.OK for end in ends) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        sys.exit(main(Path(sys.argv[1]).resolve()))
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(main(Path(scratch)))

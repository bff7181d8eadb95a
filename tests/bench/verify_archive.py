"""Archives a large session and verifies it: `python -m tests.bench.verify_archive`.

The session is synthetic; its raw files are padded with bytes that do not compress, to about
`--gigabytes`. Prints time and peak memory of `archive` and `verify`, each beside a plain sha256sum
of the same file in the same round, and the median of their ratio. Needs twice the size on disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemoe_appliance.schema.journal import SAMPLES_FOLDER
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import SampleFile
from edgemoe_appliance.schema.units import GB, MIB
from tests.analysis.journals import Synthetic, write_session

PROGRAM = [sys.executable, "-c", "from edgemoe_appliance.app import main; main()"]
SUM = [
    sys.executable,
    "-c",
    "import hashlib, sys\nwith open(sys.argv[1], 'rb') as f:\n"
    " d = hashlib.sha256()\n while b := f.read(1 << 20): d.update(b)",
]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one process took."""

    wall_s: float
    peak_bytes: int


def run(command: list[str], work: Path) -> Cost:
    """Run a process to its end and return what it took; one that fails ends the benchmark."""
    environment = os.environ | {"EDGEMOE_WORK": str(work)}
    with (work / "output.txt").open("wb") as output:
        actions = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1)]
        start = time.monotonic()
        child = os.posix_spawn(command[0], command, environment, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        wall_s = time.monotonic() - start
    if status:
        raise SystemExit(f"{command} failed: {(work / 'output.txt').read_text()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall_s=wall_s, peak_bytes=usage.ru_maxrss * unit)


def write_large_session(root: Path, total_bytes: int) -> str:
    """Write a session of 180 runs with raw files of a total size, and return its name."""
    synthetic = Synthetic(session="large")
    samples = root / synthetic.session / SAMPLES_FOLDER
    names: list[str] = []
    runs = len(synthetic.models) * synthetic.repetitions * 15
    source = random.Random(1)

    def with_raw(_: int, spec: RunSpec) -> Mapping[str, Any]:
        content = source.randbytes(total_bytes // runs)
        name = f"{spec.id}-1.json.gz"
        names.append(name)
        (root / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"samples": SampleFile(name=name, sha256=digest, bytes=len(content))}

    write_session(root, synthetic, with_raw)
    samples.mkdir()
    for name in names:
        (root / name).rename(samples / name)
    return synthetic.session


def compare(work: Path, total_bytes: int, rounds: int) -> None:
    """Archive and verify a session of a size, and print what it took."""
    raw = work / "data/raw"
    raw.mkdir(parents=True)
    session = write_large_session(raw, total_bytes)
    path = work / "results" / f"{session}.tar"
    commands = {
        "archive": [*PROGRAM, "archive", session],
        "verify": [*PROGRAM, "verify", str(path)],
    }
    costs: dict[str, list[Cost]] = {key: [] for key in commands}
    sums: dict[str, list[Cost]] = {key: [] for key in commands}
    for _ in range(rounds):
        for key, command in commands.items():
            costs[key].append(run(command, work))
            sums[key].append(run([*SUM, str(path)], work))
    print(f"{path.stat().st_size / GB:.2f} GB, {rounds} rounds, medians")
    for key, taken in costs.items():
        wall_s = statistics.median(cost.wall_s for cost in taken)
        pairs = zip(taken, sums[key], strict=True)
        ratio = statistics.median(cost.wall_s / plain.wall_s for cost, plain in pairs)
        peak = max(cost.peak_bytes for cost in taken) / MIB
        print(f"  {key:8s} {wall_s:6.1f} s  {ratio:6.1f} x sha256  peak {peak:5.0f} MiB")


def main() -> None:
    """Compare a small archive, where the report is nearly all of the work, with a large one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for gigabytes in (0.01, options.gigabytes):
        with tempfile.TemporaryDirectory() as name:
            compare(Path(name), int(gigabytes * GB), options.rounds)


if __name__ == "__main__":
    main()

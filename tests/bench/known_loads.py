"""Loads of known size, measured like a run: `python -m tests.bench.known_loads [--rounds 5]`.

A program that sleeps, computes, allocates or prints at a known pace stands in the engine's place;
the bench, the measuring process and its records are those of every session. Where starting the
program would add to a figure, that of the same program without a load is taken off. The figures
are medians over the rounds, the error is the largest of them. On a busy machine the wall time and
the share of a core are those of a program that had to wait; the other load is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.schema.journal import JOURNAL_NAME, read_progress
from edgemoe_appliance.schema.plan import Plan, PlannedPrompt, expand_runs, prompt_key
from edgemoe_appliance.schema.units import MIB
from tests.bench import fake_engine
from tests.schema.builders import a_model, a_plan, an_engine, an_experiment

_MEMORY_BYTES = 256 * MIB
_SLEEP_S = 2.0
_BUSY_S = 2.0
_GAP_S = 0.020
_LOADS: Mapping[str, str] = {
    "none": "none 0",
    "sleep": f"sleep {_SLEEP_S}",
    "busy": f"busy {_BUSY_S}",
    "anonymous": f"anonymous {_MEMORY_BYTES}",
    "file": f"file {_MEMORY_BYTES}",
    "shared": f"shared {_MEMORY_BYTES}",
    "tokens": f"tokens {_GAP_S}",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of a load: what it must be, and how far from it is within bounds.

    `above_none` where the figure of the program without a load is taken off first.
    """

    load: str
    metric: str
    expected: float
    bound: float
    unit: str
    scale: float = 1.0
    above_none: bool = True


_TABLE = (
    Row(load="sleep", metric="wall_s", expected=_SLEEP_S, bound=0.05, unit="s"),
    Row(load="sleep", metric="cpu_s", expected=0.0, bound=0.03, unit="s"),
    Row(load="busy", metric="cpu_s", expected=_BUSY_S, bound=0.03, unit="s"),
    # Only where the core is not needed by others.
    Row(load="busy", metric="cpu_mean_pct", expected=100, bound=5, unit="%", above_none=False),
    Row(
        load="anonymous",
        metric="peak_rss_anon_bytes",
        expected=256,
        bound=2,
        unit="MiB",
        scale=MIB,
    ),
    Row(load="anonymous", metric="peak_rss_bytes", expected=256, bound=2, unit="MiB", scale=MIB),
    Row(load="anonymous", metric="peak_rss_file_bytes", expected=0, bound=2, unit="MiB", scale=MIB),
    Row(load="file", metric="peak_rss_file_bytes", expected=256, bound=2, unit="MiB", scale=MIB),
    Row(load="file", metric="peak_rss_anon_bytes", expected=0, bound=2, unit="MiB", scale=MIB),
    Row(load="shared", metric="peak_rss_shmem_bytes", expected=256, bound=2, unit="MiB", scale=MIB),
    Row(
        load="tokens",
        metric="gap_median_ms",
        expected=1e3 * _GAP_S,
        bound=0.5,
        unit="ms",
        above_none=False,
    ),
    Row(load="tokens", metric="stream_s", expected=2.0, bound=0.02, unit="s", above_none=False),
)


def write_engine(folder: Path) -> Path:
    """Write the program with this Python in its first line."""
    program = folder / "llama-cli"
    # Isolated and without site: it starts fast and imports nothing of ours.
    program.write_text(f"#!{sys.executable} -IS\n{Path(fake_engine.__file__).read_text()}")
    program.chmod(0o755)
    return program


def build_plan(folder: Path, rounds: int) -> Plan:
    """Return a plan that makes every load, `rounds` times and by turns."""
    program, model = write_engine(folder), folder / "model.gguf"
    with model.open("wb") as file:
        for _ in range(_MEMORY_BYTES // MIB):
            file.write(b"\x01" * MIB)
    engine = an_engine().model_copy(
        update={"binary": str(program), "files_sha256": {"llama-cli": _sha256(program)}}
    )
    planned = a_model().model_copy(
        update={"path": str(model), "file_bytes": _MEMORY_BYTES, "sha256": _sha256(model)}
    )
    experiment = an_experiment(repetitions=rounds).model_copy(update={"prompts": tuple(_LOADS)})
    return a_plan().model_copy(
        update={
            "session": "loads",
            "engines": {engine.pin: engine},
            "models": {planned.id: planned},
            "prompts": {prompt_key("smoke", name): _prompt(name) for name in _LOADS},
            "experiments": {"smoke": experiment},
            "runs": expand_runs(
                {"smoke": experiment}, target="host", pin=engine.pin, threads=1, seed=1
            ),
        }
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def _prompt(name: str) -> PlannedPrompt:
    text = _LOADS[name]
    return PlannedPrompt(
        id=name,
        set="efficiency",
        category="load",
        words=len(text.split()),
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def measure(plan: Plan, folder: Path) -> list[dict[str, Mapping[str, float]]]:
    """Measure a plan and return for each round the metrics of every load."""
    run_bench(plan, folder, NativeLauncher(), lambda _progress: None)
    progress = read_progress(folder / JOURNAL_NAME)
    rounds: dict[int, dict[str, Mapping[str, float]]] = {}
    for run in plan.runs:
        rounds.setdefault(run.repetition, {})[run.prompt] = progress.ends[run.id].metrics
    return list(rounds.values())


def found(row: Row, rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[float]:
    """Return the figure of a row in each round that has it, in the row's unit."""
    figures: list[float] = []
    for loads in rounds:
        value, without = loads[row.load].get(row.metric), loads["none"].get(row.metric)
        if value is not None and (without is not None or not row.above_none):
            figures.append((value - (without or 0.0) * row.above_none) / row.scale)
    return figures


def describe(row: Row, figures: Sequence[float]) -> str:
    """Return the line of a row."""
    start = f"{row.load:10s} {row.metric:21s} {row.expected:8.2f}"
    if not figures:
        return f"{start}  not measured"
    error = max((figure - row.expected for figure in figures), key=abs)
    verdict = "within" if abs(error) <= row.bound else "BEYOND"
    return (
        f"{start} {statistics.median(figures):10.3f} {error:+9.3f} {row.bound:8.2f} {row.unit:4s} "
        f"{verdict}"
    )


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plan = build_plan(folder, options.rounds)
        rounds = measure(plan, folder / "session")
    others = [loads["busy"].get("other_cpu_pct", 0.0) for loads in rounds]
    print(f"{options.rounds} rounds; other load {statistics.median(others):.0f} % of a core")
    print("load       metric                expected   measured     error    bound unit")
    for row in _TABLE:
        print(describe(row, found(row, rounds)))


if __name__ == "__main__":
    main()

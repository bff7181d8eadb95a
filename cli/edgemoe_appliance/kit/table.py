"""What a visit prints at its end: one table of the models and a line for each comparison.

Medians of runs that ended well, from the journals alone. It judges nothing: verdicts are made at
home, where there are intervals.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import (
    BufferFacts,
    BufferKind,
    EndRecord,
    HeaderRecord,
    PeriodRecord,
    PowerFacts,
    Status,
)
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.schema.units import GB, MIB

WIDTH: Final = 80
_HEAD: Final = (
    *("model", "runs", "gen tok/s", "prompt tok/s", "J/token"),
    *("GB resident", "on device", "peak C"),
)
_WIDTHS: Final = (13, 5, 10, 13, 8, 12, 10, 7)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One final run, of whatever status."""

    spec: RunSpec
    is_ok: bool
    metrics: Mapping[str, float]
    buffers: tuple[BufferFacts, ...] = ()


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Return the final runs of sessions. Raises RecordError where a journal is damaged."""
    return [run for folder in folders for run in _read(folder / JOURNAL_NAME)]


def _read(journal: Path) -> Iterator[Run]:
    if not journal.exists():
        return
    specs: dict[str, RunSpec] = {}
    for line in iterate_journal(journal):
        record = line.record if isinstance(line, JournalLine) else None
        if isinstance(record, HeaderRecord):
            specs[record.run_id] = record.spec
        elif isinstance(record, EndRecord) and record.status.is_final:
            yield Run(
                spec=specs[record.run_id],
                is_ok=record.status is Status.OK,
                metrics=record.metrics,
                buffers=() if record.engine is None else record.engine.buffers,
            )


def read_sensors(folders: Iterable[Path]) -> list[str]:
    """Return what gave the energies of sessions, a line each, with the lag that was taken back.

    Raises RecordError where a journal is damaged.
    """
    journals = (folder / JOURNAL_NAME for folder in folders)
    records = (
        line.record
        for journal in journals
        if journal.exists()
        for line in iterate_journal(journal)
        if isinstance(line, JournalLine)
    )
    powers = [record.power for record in records if isinstance(record, PeriodRecord)]
    return list(
        dict.fromkeys(describe_sensor(power)[:WIDTH] for power in powers if power is not None)
    )


def describe_sensor(power: PowerFacts) -> str:
    """Return where energies come from, of what sensor, and its lag; or why there are none."""
    if power.primary is None:
        return f"no energy: {power.reason}"
    totals = [rail for rail in power.rails if rail.role == "total"]
    lag_s = max((rail.lag_s or 0.0 for rail in totals), default=0.0)
    bound_s = max((rail.lag_bound_s or 0.0 for rail in totals), default=0.0)
    lag = f", lag {lag_s:.2f} s (+-{bound_s:.2f}) taken back" if lag_s else ""
    check = f", checked by {power.cross_check.value}" if power.cross_check is not None else ""
    names = ", ".join(dict.fromkeys(rail.sensor for rail in totals))
    return f"energy: {power.primary.value} ({names}, {power.scope}){lag}{check}"


def render_table(runs: Sequence[Run], models: Sequence[str], pin: str) -> list[str]:
    """Return the table of the first pin's plain runs, and the comparisons, as lines."""
    if not runs:
        return ["no run was finished"]
    plain = [run for run in runs if run.spec.arm is Arm.PLAIN and run.spec.pin == pin]
    rows = [_row(model, [run for run in plain if run.spec.model == model]) for model in models]
    lines = [_line(_HEAD), *(_line(row) for row in rows)]
    lines += [*_buffer_lines(plain), *_arm_lines(runs, pin), *_pin_lines(runs, pin)]
    bad = sum(not run.is_ok for run in runs)
    ended = f", {bad} of them did not end well (recorded)" if bad else ""
    lines.append(f"{counted(len(runs), 'run')}{ended}")
    return [line[:WIDTH] for line in lines]


def _row(model: str, runs: Sequence[Run]) -> tuple[str, ...]:
    resident, on_device = (
        _median(runs, metric) for metric in ("peak_rss_bytes", "device_buffer_bytes")
    )
    return (
        model,
        str(sum(run.is_ok for run in runs)),
        _number(_median(runs, "gen_tok_s"), 1),
        _number(_median(runs, "prompt_tok_s"), 0),
        _number(_median(runs, "j_per_token_gross"), 3),
        _number(None if resident is None else resident / GB, 2),
        _number(None if on_device is None else on_device / GB, 2),
        _number(_median(runs, "temp_peak_c"), 0),
    )


_KINDS: Final = {
    BufferKind.MODEL: "weights",
    BufferKind.KV: "cache",
    BufferKind.COMPUTE: "compute",
    BufferKind.OUTPUT: "outputs",
}


def _buffer_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Yield what lies on the device by kind of buffer, for each model that has any there."""
    for model in dict.fromkeys(run.spec.model for run in runs):
        sizes: Counter[BufferKind] = Counter()
        first = next((run for run in runs if run.spec.model == model and run.is_ok), None)
        for buffer in first.buffers if first is not None else ():
            if not buffer.is_host:
                sizes[buffer.kind] += buffer.bytes
        if sizes:
            told = ", ".join(
                f"{_KINDS[kind]} {size / MIB:.0f}" for kind, size in sizes.items() if kind in _KINDS
            )
            yield f"on device, MiB: {model} {told}"


def _arm_lines(runs: Sequence[Run], pin: str) -> Iterator[str]:
    """Yield the rate of each other arm over that of plain runs of the same prompts."""
    for arm in Arm:
        pairs = _ratios(
            [run for run in runs if run.spec.arm is arm and run.spec.pin == pin],
            [run for run in runs if run.spec.arm is Arm.PLAIN and run.spec.pin == pin],
        )
        if arm is not Arm.PLAIN and pairs:
            yield f"{arm.value} over plain, generation: {_told(pairs)}"


def _pin_lines(runs: Sequence[Run], pin: str) -> Iterator[str]:
    first = [run for run in runs if run.spec.pin == pin and run.spec.arm is Arm.PLAIN]
    for other in dict.fromkeys(run.spec.pin for run in runs if run.spec.pin != pin):
        pairs = _ratios([run for run in runs if run.spec.pin == other], first)
        if pairs:
            yield f"{other} over {pin}, generation: {_told(pairs)}"


def _ratios(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, float]:
    """Return by model the ratio of generation rates in cells that both have."""
    found: dict[str, list[float]] = {}
    for (model, *cell), rate in _rates(runs).items():
        base = _rates(reference).get((model, *cell))
        if base:
            found.setdefault(model, []).append(rate / base)
    return {model: statistics.median(ratios) for model, ratios in found.items()}


def _rates(runs: Sequence[Run]) -> dict[tuple[str, ...], float]:
    cells: dict[tuple[str, ...], list[float]] = {}
    for run in runs:
        if run.is_ok and "gen_tok_s" in run.metrics:
            spec = run.spec
            cell = (spec.model, spec.experiment, spec.prompt, str(spec.threads))
            cells.setdefault(cell, []).append(run.metrics["gen_tok_s"])
    return {cell: statistics.median(rates) for cell, rates in cells.items()}


def _told(ratios: Mapping[str, float]) -> str:
    return ", ".join(f"{model.split('-')[0]} {ratio:.2f}" for model, ratio in ratios.items())


def _median(runs: Sequence[Run], metric: str) -> float | None:
    values = [run.metrics[metric] for run in runs if run.is_ok and metric in run.metrics]
    return statistics.median(values) if values else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    first, *rest = zip(cells, _WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in rest)

"""The runs one by one: those that are shown, those that did not end well, the caveats."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from edgemoe_appliance.analysis.row_limits import RowChoice, choose_runs, spread_out
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    count,
    text,
)
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.units import GIB

# Each caveat with the first run that has it as an example; a journal can hold any number of codes.
_CAVEATS_BY_CODE = """
    SELECT code, count(DISTINCT (session, run_id)) AS runs,
        string_agg(DISTINCT model, ', ' ORDER BY model) AS models,
        arg_min(run_id, rowid) AS run_id, arg_min(text, rowid) AS text,
        arg_min(numbers, rowid) AS numbers
    FROM caveats GROUP BY code ORDER BY runs DESC, code LIMIT 200
"""
# A page with more rows than this is slow to open; all runs are in the CSV.
MAX_ROWS = 500
_SPEC_COLUMNS = (
    Column(key="model", title="Model"),
    Column(key="experiment", title="Experiment"),
    Column(key="prompt", title="Prompt"),
    Column(key="repetition", title="Rep."),
    Column(key="threads", title="Threads"),
    Column(key="arm", title="Arm"),
    Column(key="setting", title="Setting"),
)
_METRIC_COLUMNS = {
    "gen_tok_s": Column(key="gen_tok_s", title="Generation", unit="tok/s", digits=1),
    "prompt_tok_s": Column(key="prompt_tok_s", title="Prompt", unit="tok/s", digits=0),
    "ttft_s": Column(key="ttft_s", title="First token", unit="s", digits=2),
    "peak_rss_bytes": Column(
        key="peak_rss_gib", metric="peak_rss_bytes", title="Peak RSS", unit="GiB", digits=2
    ),
    "wall_s": Column(key="wall_s", title="Wall", unit="s", digits=1),
    "cpu_mean_pct": Column(key="cpu_mean_pct", title="CPU", unit="%", digits=0),
    "other_cpu_pct": Column(key="other_cpu_pct", title="Other load", unit="%", digits=1),
}

# What the rows of a table are made from.
_RUN_READ = (
    *("session", "status", "caveats", "caveat_count", "model_name", "twin_scale"),
    *(column.key for column in _SPEC_COLUMNS),
    *_METRIC_COLUMNS,
)
_FAILURE_READ = ("session", "run_id", "attempt", "status", "detail", "exit_code", "signal", "model")


def runs_table(loaded: LoadedSessions | None, max_rows: int = MAX_ROWS) -> Table:
    """Return the runs, those with a failure or caveat first where not all are shown."""
    columns = (
        *_SPEC_COLUMNS,
        Column(key="status", title="Status"),
        *_METRIC_COLUMNS.values(),
        Column(key="caveats", title="Caveats"),
    )
    shown = choose_runs(loaded.runs, max_rows, _RUN_READ) if loaded else None
    groups = (
        tuple(
            RowGroup(
                label=str(session),
                source="reader",
                rows=tuple(_run_row(record) for record in group.to_dict("records")),
                sessions=(str(session),),
            )
            for session, group in shown.frame.groupby("session", sort=False)
        )
        if shown
        else ()
    )
    return Table(
        id="runs",
        title="All runs",
        columns=columns,
        groups=groups,
        notes=(shown.in_words,) if shown and shown.total > len(shown.frame) else (),
    )


def _run_row(record: dict[Any, Any]) -> Row:
    cells = {column.key: _given(record[column.key]) for column in _SPEC_COLUMNS}
    cells["model"] = text(str(record["model_name"]))
    cells["status"] = text(str(record["status"]))
    for metric, column in _METRIC_COLUMNS.items():
        scale = GIB if METRICS[metric].unit.value == "B" else 1
        value = float(record[metric])
        missing = "no reading" if record["status"] == "ok" else "the run did not end well"
        cells[column.key] = absent(missing) if pd.isna(value) else Cell(value=value / scale)
    cells["caveats"] = text(str(record["caveats"]) or "none")
    twin = record["twin_scale"]
    return Row(cells=cells, model=str(record["model"]), twin=None if pd.isna(twin) else str(twin))


def _given(value: str | int) -> Cell:
    return text(value) if isinstance(value, str) else count(int(value))


def failures_table(loaded: LoadedSessions | None, max_rows: int = MAX_ROWS) -> Table:
    """Return the runs that did not end well and the attempts that were cut off."""
    columns = (
        Column(key="run", title="Run"),
        Column(key="attempt", title="Attempt"),
        Column(key="status", title="Status"),
        Column(key="detail", title="What happened"),
        Column(key="exit_code", title="Exit code"),
        Column(key="signal", title="Signal"),
        Column(key="final", title="Final", meaning="a resumed session leaves it as it is"),
    )
    groups: list[RowGroup] = []
    notes: list[str] = []
    if loaded:
        final = spread_out(loaded.runs.where_not(status="ok"), max_rows, _FAILURE_READ)
        others = spread_out(loaded.unfinished, max_rows, _FAILURE_READ)
        every = pd.concat([final.frame.assign(final="yes"), others.frame.assign(final="no")])
        for session, group in every.groupby("session", sort=False):
            rows = tuple(_failure_row(record) for record in group.to_dict("records"))
            groups.append(
                RowGroup(label=str(session), source="reader", rows=rows, sessions=(str(session),))
            )
        notes += _left_out(final, "runs that did not end well", "runs.csv")
        notes += _left_out(others, "attempts that were cut off", "unfinished.csv")
    return Table(
        id="failures",
        title="Runs that did not end well",
        columns=columns,
        groups=tuple(groups),
        notes=tuple(notes),
    )


def _left_out(shown: RowChoice, what: str, file: str) -> list[str]:
    if shown.total == len(shown.frame):
        return []
    return [
        f"{len(shown.frame):,} of {shown.total:,} {what}, evenly spread over all. The rest is in "
        f"{file}."
    ]


def _failure_row(record: dict[Any, Any]) -> Row:
    detail = record["detail"]
    return Row(
        cells={
            "run": text(str(record["run_id"])),
            "attempt": count(int(record["attempt"])),
            "status": text(str(record["status"])),
            "detail": text(None if pd.isna(detail) else str(detail), "not recorded"),
            "exit_code": _whole(record["exit_code"], "no exit code"),
            "signal": _whole(record["signal"], "no signal"),
            "final": text(str(record["final"])),
        },
        model=str(record["model"]),
    )


def _whole(value: float, reason: str) -> Cell:
    return absent(reason) if pd.isna(value) else count(int(value))


def caveats_table(loaded: LoadedSessions | None) -> Table:
    """Return the caveats of the runs by code: how many runs, and one of them as an example."""
    columns = (
        Column(key="code", title="Caveat"),
        Column(key="runs", title="Runs"),
        Column(key="of", title="Of"),
        Column(key="models", title="Models"),
        Column(key="example", title="For example"),
    )
    rows: tuple[Row, ...] = ()
    codes = 0
    if loaded:
        total = len(loaded.runs) + len(loaded.unfinished)
        found = loaded.caveats.ask(_CAVEATS_BY_CODE).sort_values("code")
        codes = loaded.caveats.different("code")
        rows = tuple(_caveat_row(each, total) for each in found.to_dict("records"))
    return Table(
        id="caveats",
        title="Caveats about runs",
        columns=columns,
        groups=(RowGroup(label="", source="reader", rows=rows),) if rows else (),
        notes=(_some_of(len(rows), codes),) if len(rows) < codes else (),
    )


def _some_of(shown: int, codes: int) -> str:
    return f"{shown} of {codes} caveats: those of most runs. All are in run-caveats.csv."


def _in_words(numbers: str) -> str:
    """Return the numbers of a caveat, given as JSON, for a sentence's end."""
    parts = [f"{name} {value:.4g}" for name, value in json.loads(numbers).items()]
    return f" ({', '.join(parts)})" if parts else ""


def _caveat_row(caveat: dict[Any, Any], total: int) -> Row:
    example = f"{caveat['run_id']}: {caveat['text']}{_in_words(str(caveat['numbers']))}"
    return Row(
        cells={
            "code": text(str(caveat["code"])),
            "runs": count(int(caveat["runs"])),
            "of": count(total),
            "models": text(str(caveat["models"])),
            "example": text(example),
        }
    )

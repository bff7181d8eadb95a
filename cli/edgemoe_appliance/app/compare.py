"""`compare`: two sessions, or the archives of two, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import (
    print_json,
    say,
    show_table,
    show_text,
    terminal_width,
)
from edgemoe_appliance.app.judgement import wrapped
from edgemoe_appliance.app.names import known_sides, offered, sessions
from edgemoe_appliance.app.options import StudyOption
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import GIB

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from edgemoe_appliance.analysis.comparison import Comparison, Result, Side
    from edgemoe_appliance.schema.metrics import Unit

_STYLES = {
    "same": "green",
    "differs": "red",
    "sessions_differ": "yellow",
    "open": "yellow",
    "not_compared": "dim",
}
_MOST_CHARACTERS = 600
# Columns of figures with the characters that they take, and what is beside a result's name.
_FIGURES = {"A": 5, "B": 5, "B / A": 5, "interval": 14}
_FIGURES_WIDTH = sum(_FIGURES.values()) + len(_FIGURES) + 1 + len("sessions differ")


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="A session or archive, or several: night-1,night-2.",
            autocompletion=offered(sessions),
            callback=known_sides,
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            help="What to compare it with, in the same way.",
            autocompletion=offered(sessions),
            callback=known_sides,
        ),
    ],
    study: StudyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what differs between two sides, and whether their results do by more than a margin.

    A side of three or more sessions (names with commas between them) can say that results differ;
    single sessions can only say that these two do.
    """
    from edgemoe_appliance.analysis.comparison import (
        compare_sides,
        comparison_document,
    )
    from edgemoe_appliance.studies import read_planned_study

    sides = (_side(a), _side(b))
    loaded = (session for side in sides for session in side.loaded.sessions)
    planned = (each for session in loaded for each in session.studies)
    compared = compare_sides(*sides, read_planned_study(study, planned))
    if as_json:
        print_json(comparison_document(compared))
    else:
        _print(compared)


def _side(name: str) -> Side:
    from edgemoe_appliance.analysis.comparison import Side
    from edgemoe_appliance.notebook import load

    return Side(name=name, loaded=load(name.split(",")))


def _print(compared: Comparison) -> None:
    say(f"A: {compared.a}")
    say(f"B: {compared.b}")
    _print_differences(compared)
    _print_results(compared)
    _print_claims(compared)


def _print_differences(compared: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    from edgemoe_appliance.analysis.comparison import Area

    table = Table(box=None, pad_edge=False)
    for title in ("made with", "", "A", "B"):
        table.add_column(title, overflow="fold")
    for area in Area:
        found = compared.of(area)
        if not found:
            table.add_row(area.value, Text("the same", style="green"))
        for place, each in enumerate(found):
            name = area.value if place == 0 else ""
            table.add_row(name, *(Text(on_one_line(t)) for t in (each.fact, each.a, each.b)))
    show_table(table)


def _print_results(compared: Comparison) -> None:
    from edgemoe_appliance.analysis.comparison import ComparisonOutcome, rule_in_words

    results = compared.results
    by_metric: dict[str, list[Result]] = {}
    for row in results.rows:
        if row.outcome is not ComparisonOutcome.NOT_COMPARED:
            by_metric.setdefault(row.metric, []).append(row)
    labels = [len(_label(row)) for found in by_metric.values() for row in found]
    for found in by_metric.values():
        say("")
        show_table(_metric_table(found, min(max(labels), terminal_width() - _FIGURES_WIDTH)))
    say("")
    for line in _not_compared(results.rows):
        _say_wrapped(f"not compared: {on_one_line(line, _MOST_CHARACTERS)}")
    counts = (f"{results.count(each)} {_words(each.value)}" for each in ComparisonOutcome)
    _say_wrapped(f"results: {', '.join(counts)}")
    if by_metric:
        _say_wrapped(f"rule: {rule_in_words(results)}")


def _metric_table(rows: Sequence[Result], width: int) -> Table:
    """Return the results of one metric below its title, a line for each workload and model."""
    from rich.table import Table

    from edgemoe_appliance.schema.metrics import METRICS

    metric = METRICS[rows[0].metric]
    table = Table(
        title=f"{metric.title}, {_scale(metric.unit)[1]}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold", width=width)
    for name, least in _FIGURES.items():
        table.add_column(name, justify="right", min_width=least)
    table.add_column("")
    for row in rows:
        table.add_row(*_result_cells(row))
    return table


def _label(row: Result) -> str:
    return f"{row.workload.label}, {on_one_line(row.model)}"


def _scale(unit: Unit) -> tuple[float, str]:
    """Return what values of a unit are divided by, and the unit in which they are then."""
    return (GIB, "GiB") if unit.value == "B" else (1.0, unit.value)


def _not_compared(rows: tuple[Result, ...]) -> Iterator[str]:
    """Yield why results are not compared, each reason once with what it holds for."""
    from edgemoe_appliance.schema.metrics import METRICS

    titles: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.ratio is None:
            key = (row.workload.label, row.reason)
            titles.setdefault(key, {})[METRICS[row.metric].title] = None
    places: dict[tuple[str, str], list[str]] = {}
    for (workload, reason), found in titles.items():
        every = len(found) == len({row.metric for row in rows})
        places.setdefault(("" if every else ", ".join(found), reason), []).append(workload)
    for (named, reason), workloads in places.items():
        yield f"{named + ' of ' if named else ''}{'; '.join(workloads)}: {reason}"


def _result_cells(row: Result) -> list[str | Text]:
    from rich.text import Text

    from edgemoe_appliance.analysis.statistics import Interval
    from edgemoe_appliance.schema.metrics import METRICS

    scale, _ = _scale(METRICS[row.metric].unit)
    bounds = row.interval
    shown = f"{bounds.low:.3f} to {bounds.high:.3f}" if isinstance(bounds, Interval) else row.reason
    value = row.outcome.value
    return [
        Text(_label(row)),
        "" if row.a is None else f"{row.a / scale:.4g}",
        "" if row.b is None else f"{row.b / scale:.4g}",
        "" if row.ratio is None else f"{row.ratio:.3f}",
        shown,
        Text(_words(value), style=_STYLES[value]),
    ]


def _print_claims(compared: Comparison) -> None:
    say("")
    for change in compared.changes:
        before, after = _words(change.a.value), _words(change.b.value)
        text = f"{before} in A, {after} in B: {on_one_line(change.statement)}"
        for line in wrapped(text, terminal_width(), f"{change.id}: "):
            show_text(line)
    say(f"claims: {len(compared.changes)} of {compared.claims} come out otherwise")


def _say_wrapped(text: str) -> None:
    for line in wrapped(text, terminal_width()):
        show_text(line)


def _words(value: str) -> str:
    return value.replace("_", " ")

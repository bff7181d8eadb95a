"""Figures that the study prints: those that a column's `printed` names, and those of its text."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent, text
from edgemoe_appliance.analysis.tables.common import NOT_PRINTED
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.tables import STATED


@dataclass(frozen=True, kw_only=True)
class PrintedFigure:
    """A figure as printed: a value (`low` is `high`), or a range; an end that is None is open."""

    cell: Cell
    low: float | None = None
    high: float | None = None


def stated_figure(study: Study, name: str) -> PrintedFigure:
    """Return a figure of the text by its name, in the words that it is meant in."""
    figure = study.stated[name]
    low, high = (figure.low, figure.high) if figure.value is None else (figure.value,) * 2
    return PrintedFigure(cell=text(study.printed_text(f"stated/{name}")), low=low, high=high)


def printed_figure(
    study: Study, names: tuple[str, ...], table: str, device: str | None, model: str
) -> PrintedFigure:
    """Return a figure of a model on a device: the value, else the range given in its place."""
    if names and names[0].startswith(STATED):
        return stated_figure(study, names[0].removeprefix(STATED))
    value, low, high = [_cell_value(study, name, table, device, model) for name in names] + [
        None
    ] * (3 - len(names))
    if value is not None:
        return PrintedFigure(cell=Cell(value=value), low=value, high=value)
    if high is None:
        return PrintedFigure(cell=absent(NOT_PRINTED))
    words = f"at most {high:.1f}" if low is None else f"{low:.1f} to {high:.1f}"
    return PrintedFigure(cell=text(words), low=low, high=high)


def _cell_value(
    study: Study, name: str, table: str, device: str | None, model: str
) -> float | None:
    other, _, figure = name.rpartition("/")
    return study.printed_value(other or table, device, model, figure)


_STATED_COLUMNS = (
    Column(key="figure", title="Figure of"),
    Column(key="name", title="Key", meaning="ends in the unit"),
    Column(key="value", title="Printed"),
    Column(key="section", title="Section"),
)


def stated_table(study: Study) -> Table:
    """Return the figures that stand in the study's text only, as printed."""
    rows = tuple(
        Row(
            cells={
                "figure": text(figure.of),
                "name": text(name),
                "value": text(study.printed_text(f"stated/{name}")),
                "section": text(figure.section),
            }
        )
        for name, figure in study.stated.items()
    )
    return Table(
        id="stated",
        title="Figures in the study's text",
        columns=_STATED_COLUMNS,
        groups=(RowGroup(label="", source="study", rows=rows),),
    )

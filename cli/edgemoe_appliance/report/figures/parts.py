"""What the figures share: panels, marks from cells, the study's marks beside the reader's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Cell, Row, RowGroup, Table
from edgemoe_appliance.report.drawing import (
    Chart,
    FileKind,
    Mark,
    MarkShape,
    RoofChart,
    RowChart,
    draw,
)
from edgemoe_appliance.report.filters import printable
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study

SIGNS: dict[MarkShape, str] = {
    "circle": "",
    "triangle": "△ ",
    "square": "□ ",
    "diamond": "◇ ",
    "cross": "✕ ",
}
# Those of a study's devices, in their order; more devices share the last.
_STUDY_SHAPES: tuple[MarkShape, ...] = ("triangle", "square", "diamond", "cross")
# More conditions are not told apart at a glance; the tables have them all.
MOST_DRAWN = 6
# What fits into a panel's width beside the values.
TITLE_LETTERS = 50
_LABEL_LETTERS = 26


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: the stem of its file names, what it shows in words, its svg."""

    name: str
    description: str
    chart: Chart
    models: tuple[str, ...]
    svg: bytes

    def as_file(self, kind: FileKind) -> bytes:
        """Return the chart as a file of a kind."""
        return self.svg if kind == "svg" else draw(self.chart, self.models, self.name, kind)


@dataclass(frozen=True, kw_only=True)
class FigureSet:
    """The panels of one figure and the table that holds its data."""

    id: str
    title: str
    caption: str
    table: str
    panels: tuple[Panel, ...]


def own_groups(table: Table) -> list[RowGroup]:
    """Return the reader's conditions, as many as are drawn."""
    own = [group for group in table.groups if group.source == "reader"]
    return own[:MOST_DRAWN]


def drawn_note(table: Table) -> str:
    """Return how many conditions are drawn, where not all are."""
    own = sum(group.source == "reader" for group in table.groups)
    return f" {MOST_DRAWN} of {own} conditions are drawn." if own > MOST_DRAWN else ""


def with_value(group: RowGroup, key: str) -> list[Row]:
    """Return the rows that have a number in a column."""
    return [row for row in group.rows if row.cells[key].number is not None]


def label_of(row: Row) -> str:
    """Return a model's name without what all of them have in common."""
    return shortened(str(row.cells["model"].value).removesuffix("-Instruct"), _LABEL_LETTERS)


def shortened(given: str, letters: int) -> str:
    """Return a text that fits where so many letters do."""
    text = printable(given)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def warning_of(group: RowGroup) -> str:
    """Return what is to be said of twins in a group."""
    scales = sorted({row.twin for row in group.rows if row.twin})
    return f"Twins (scale {', '.join(scales)}), not the real models" if scales else ""


def shape_of(group: RowGroup, study: Study) -> MarkShape:
    """Return the shape of a group's marks."""
    return "circle" if group.source == "reader" else study_shape(group.device, study)


def study_shape(device: str | None, study: Study) -> MarkShape:
    """Return the shape of the study's marks of a device, that of its first beside no device."""
    places = {name: place for place, name in enumerate(study.devices)}
    return _STUDY_SHAPES[min(places.get(device or "", 0), len(_STUDY_SHAPES) - 1)]


def study_key(group: RowGroup, key: str, study: Study) -> str:
    """Return what the study's sign means, where a panel of the reader's has one."""
    shown = [group.device] if group.device in study.devices else list(study.devices)[:1]
    return key_of(study, *filter(None, shown)) if with_value(group, key) else ""


def key_of(study: Study, *devices: str) -> str:
    """Return what the shapes of the study's marks mean, of all its devices where none is named."""
    signs = (
        SIGNS[study_shape(device, study)] + study.devices[device].label
        for device in devices or study.devices
    )
    return f"study: {'   '.join(signs)}"


def mark_of(cell: Cell, shape: MarkShape) -> Mark:
    """Return the mark of a cell with a number."""
    low, high = interval_bounds(cell) or (None, None)
    return Mark(value=cell.number or 0.0, shape=shape, low=low, high=high)


def with_study(
    row: Row, group: RowGroup, study: Study, columns: tuple[str, str], digits: int
) -> tuple[list[Mark], str]:
    """Return the marks of a row and its values in words: the reader's, then the study's.

    `columns` are the reader's and the study's.
    """
    own, printed = columns
    marks = [mark_of(row.cells[own], shape_of(group, study))]
    words = [format_number(row.cells[own].number or 0.0, digits)]
    figure = row.cells[printed].number
    if figure is not None:
        shape = study_shape(group.device, study)
        marks.append(Mark(value=figure, shape=shape))
        words.append(SIGNS[shape] + format_number(figure, digits))
    return marks, "   ".join(words)


def interval_bounds(cell: Cell, scale: float = 1.0) -> tuple[float, float] | None:
    """Return the bounds of a cell's interval, None where it has none."""
    if not isinstance(cell.interval, Interval):
        return None
    return scale * cell.interval.low, scale * cell.interval.high


def draw_all(figure: str, charts: Sequence[Chart], study: Study) -> tuple[Panel, ...]:
    """Draw the charts of a figure, those without rows left out."""
    shown = [chart for chart in charts if not isinstance(chart, RowChart) or chart.rows]
    models = tuple(study.models)
    return tuple(
        Panel(
            name=f"{figure}-{place}",
            description=_description(chart),
            chart=chart,
            models=models,
            svg=draw(chart, models, f"{figure}-{place}", "svg"),
        )
        for place, chart in enumerate(shown, start=1)
    )


def _description(chart: Chart) -> str:
    """Return the panel in words, for who does not see it."""
    if isinstance(chart, RowChart):
        values = "; ".join(f"{row.label} {row.text}" for row in chart.rows)
        return f"{chart.title}, {chart.axis}. {values}. {chart.key}"
    if isinstance(chart, RoofChart):
        values = "; ".join(
            f"{point.label} {format_number(point.rate_tok_s, 1)} tok/s at "
            f"{format_number(point.active_gb, 2)} GB"
            for point in chart.points
        )
        return f"{chart.title}, {chart.subtitle}. {values}"
    values = "; ".join(
        line.label
        + " "
        + ", ".join("none" if v is None else format_number(v, 1) for v in line.values)
        for line in chart.lines
    )
    return f"{chart.title}. {chart.subtitle}, for {', '.join(chart.classes)} prompts. {values}"

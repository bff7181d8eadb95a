"""The figures of the report: which cells of which table become which marks.

A figure shows nothing that is not in its table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgemoe_appliance.analysis.cells import Cell, Row, RowGroup, Table
from edgemoe_appliance.analysis.conditions import BASELINE
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.tables import Tables
from edgemoe_appliance.report.drawing import (
    FileKind,
    Line,
    LineChart,
    Mark,
    MarkRow,
    RowChart,
    draw,
)
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.report.views import printable
from edgemoe_appliance.study.reference import Study
from edgemoe_appliance.study.units import GB, GIB

Shape = Literal["reader", "m2", "jetson"]
_LENGTHS = ("short", "medium", "long")
_SIGNS: dict[Shape, str] = {"reader": "", "m2": "△ ", "jetson": "□ "}
# What fits into a panel's width beside the values.
_TITLE_LETTERS = 50
_LABEL_LETTERS = 26


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: the stem of its file names, what it shows in words, its svg."""

    name: str
    description: str
    chart: RowChart | LineChart
    svg: bytes

    def as_file(self, kind: FileKind) -> bytes:
        """Return the chart as a file of a kind."""
        return self.svg if kind == "svg" else draw(self.chart, self.name, kind)


@dataclass(frozen=True, kw_only=True)
class FigureSet:
    """The panels of one figure and the table that holds its data."""

    id: str
    title: str
    caption: str
    table: str
    panels: tuple[Panel, ...]


def build_figures(tables: Tables, study: Study) -> tuple[FigureSet, ...]:
    """Draw all figures; one without data is left out."""
    figures = (
        _throughput(tables.throughput, study),
        _memory(tables.memory, study),
        _prompt_length(tables.prompt_length),
    )
    return tuple(figure for figure in figures if figure.panels)


def _throughput(table: Table, study: Study) -> FigureSet:
    charts: list[RowChart | LineChart] = []
    for group in _own_groups(table):
        charts.append(
            RowChart(
                title=_shortened(group.label, _TITLE_LETTERS),
                axis="generation rate, tok/s",
                rows=tuple(_rate_row(row, group) for row in _with_value(group, "mean_tok_s")),
                key=_study_key(group, "study_mean_tok_s", study),
                warning=_warning(group),
            )
        )
        charts.append(
            RowChart(
                title=_relative_title(group, "Rate relative to Llama-3.2-1B"),
                axis="ratio of generation rates",
                rows=_relative_rows(table, group, "to_baseline", 3),
                key=_key(study),
                warning=_warning(group),
                reference=1.0,
            )
        )
    return FigureSet(
        id="throughput",
        title="Generation rate",
        caption="Means over all runs of a condition; thick bars are 90 % intervals, where there "
        "are enough prompts for one. The study prints no intervals.",
        table=table.id,
        panels=_draw_all("throughput", charts or _study_rates(table, study)),
    )


def _study_rates(table: Table, study: Study) -> list[RowChart | LineChart]:
    """Return the panels of a report without sessions."""
    charts: list[RowChart | LineChart] = [
        RowChart(
            title=group.label,
            axis="generation rate, tok/s",
            rows=tuple(_rate_row(row, group) for row in group.rows),
        )
        for group in table.groups
    ]
    relative = RowChart(
        title="Rate relative to Llama-3.2-1B",
        axis="ratio of generation rates",
        rows=_relative_rows(table, None, "to_baseline", 3),
        key=_key(study),
        reference=1.0,
    )
    return [*charts, relative]


def _memory(table: Table, study: Study) -> FigureSet:
    charts: list[RowChart | LineChart] = []
    for group in _own_groups(table):
        charts.append(
            RowChart(
                title=_shortened(group.label, _TITLE_LETTERS),
                axis="peak resident memory, GiB",
                rows=tuple(_memory_row(row, group) for row in _with_value(group, "peak_rss_gib")),
                key=_study_key(group, "study_peak_rss_gib", study),
                warning=_warning(group),
            )
        )
        charts.append(
            RowChart(
                title=_relative_title(group, "Peak relative to the model file"),
                axis="bytes over bytes",
                rows=_relative_rows(table, group, "peak_over_file", 2),
                key=_key(study),
                warning=_warning(group),
                reference=1.0,
            )
        )
    return FigureSet(
        id="memory",
        title="Peak memory",
        caption="Bars are the peak of resident memory, mean over runs, with a thin line for the "
        "90 % interval; the dark part is anonymous memory, the upright line the size of the model "
        "file. Mapped model pages count as resident, though the kernel may drop them.",
        table=table.id,
        panels=_draw_all("memory", charts or _study_memory(table, study)),
    )


def _study_memory(table: Table, study: Study) -> list[RowChart | LineChart]:
    """Return the panels of a report without sessions."""
    charts: list[RowChart | LineChart] = [
        RowChart(
            title=group.label,
            axis="peak resident memory, GiB",
            rows=tuple(_memory_row(row, group) for row in group.rows),
        )
        for group in table.groups
    ]
    relative = RowChart(
        title="Peak relative to the model file",
        axis="bytes over bytes",
        rows=_relative_rows(table, None, "peak_over_file", 2),
        key=_key(study),
        reference=1.0,
    )
    return [*charts, relative]


def _prompt_length(table: Table) -> FigureSet:
    groups = [group for group in table.groups if _with_value(group, "fall_pct")]
    lines = [_relative_lines(group) for group in groups]
    values = [v for own in lines for line in own for v in line.values if v is not None]
    charts = [
        LineChart(
            title=_shortened(group.label, _TITLE_LETTERS),
            subtitle="Rate, % of that with a short prompt",
            axis="prompt length",
            classes=_LENGTHS,
            lines=own,
            low=min(values) - 2,
            high=max(values) + 2,
            warning=_warning(group),
        )
        for group, own in zip(groups, lines, strict=True)
    ]
    return FigureSet(
        id="prompt-length",
        title="Generation rate by prompt length",
        caption="Each model's mean rate with a short prompt is 100 %; thick bars are 90 % "
        "intervals of the rates, where there are enough repetitions for one. All panels have the "
        "same scale.",
        table=table.id,
        panels=_draw_all("prompt-length", charts),
    )


def _own_groups(table: Table) -> list[RowGroup]:
    return [group for group in table.groups if group.source == "reader"]


def _with_value(group: RowGroup, key: str) -> list[Row]:
    return [row for row in group.rows if row.cells[key].number is not None]


def _label(row: Row) -> str:
    """Return a model's name without what all of them have in common."""
    return _shortened(str(row.cells["model"].value).removesuffix("-Instruct"), _LABEL_LETTERS)


def _shortened(given: str, letters: int) -> str:
    text = printable(given)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _warning(group: RowGroup) -> str:
    scales = sorted({row.twin for row in group.rows if row.twin})
    return f"Twins (scale {', '.join(scales)}), not the real models" if scales else ""


def _shape(group: RowGroup) -> Shape:
    return "reader" if group.source == "reader" else _study_shape(group)


def _study_shape(group: RowGroup) -> Shape:
    return "jetson" if group.device == "jetson" else "m2"


def _relative_title(group: RowGroup, title: str) -> str:
    return f"{group.label.partition(':')[0]}: {title[0].lower()}{title[1:]}"


def _study_key(group: RowGroup, key: str, study: Study) -> str:
    """Return what the study's sign means, where a panel of the reader's has one."""
    return _key(study, _study_shape(group)) if _with_value(group, key) else ""


def _key(study: Study, *shapes: Shape) -> str:
    labels = {str(key): device.label for key, device in study.devices.items()}
    signs = "   ".join(_SIGNS[shape] + labels[shape] for shape in shapes or ("m2", "jetson"))
    return f"study: {signs}"


def _mark(cell: Cell, shape: Shape) -> Mark:
    low, high = _interval_bounds(cell) or (None, None)
    return Mark(value=cell.number or 0.0, shape=shape, low=low, high=high)


def _with_study(
    row: Row, group: RowGroup, own: str, printed: str, digits: int
) -> tuple[list[Mark], str]:
    """Return the marks of a row and its values in words: the reader's, then the study's."""
    marks = [_mark(row.cells[own], _shape(group))]
    words = [format_number(marks[0].value, digits)]
    figure = row.cells[printed].number
    if figure is not None:
        shape = _study_shape(group)
        marks.append(Mark(value=figure, shape=shape))
        words.append(_SIGNS[shape] + format_number(figure, digits))
    return marks, "   ".join(words)


def _rate_row(row: Row, group: RowGroup) -> MarkRow:
    marks, words = _with_study(row, group, "mean_tok_s", "study_mean_tok_s", 1)
    return MarkRow(label=_label(row), model=row.model, text=words, marks=tuple(marks))


def _memory_row(row: Row, group: RowGroup) -> MarkRow:
    marks, words = _with_study(row, group, "peak_rss_gib", "study_peak_rss_gib", 2)
    file_gb = row.cells["file_gb"].number
    return MarkRow(
        label=_label(row),
        model=row.model,
        text=words,
        marks=tuple(marks[1:]),
        bar=marks[0].value,
        bounds=_interval_bounds(row.cells["peak_rss_gib"]),
        inner_bar=row.cells["anon_gib"].number,
        tick=None if file_gb is None else file_gb * GB / GIB,
    )


def _relative_rows(
    table: Table, own: RowGroup | None, key: str, digits: int
) -> tuple[MarkRow, ...]:
    """Return one row per model: the mark of one condition, then those of the study's devices."""
    found: dict[str, list[tuple[Row, Mark]]] = {}
    for group in table.groups:
        if group is own or group.source == "study":
            for row in _with_value(group, key):
                if key != "to_baseline" or row.model != BASELINE:
                    mark = _mark(row.cells[key], _shape(group))
                    found.setdefault(str(row.model), []).append((row, mark))
    kept = {row.model for row in own.rows} if own else set(found)
    return tuple(
        MarkRow(
            label=_label(marks[0][0]),
            model=model,
            text="   ".join(
                _SIGNS[mark.shape] + format_number(mark.value, digits) for _, mark in marks
            ),
            marks=tuple(mark for _, mark in marks),
        )
        for model, marks in found.items()
        if model in kept
    )


def _relative_lines(group: RowGroup) -> tuple[Line, ...]:
    lines = []
    for row in _with_value(group, "short_tok_s"):
        base = row.cells["short_tok_s"].number or 1.0
        cells = [row.cells[f"{length}_tok_s"] for length in _LENGTHS]
        lines.append(
            Line(
                label=_shortened(_label(row), 17),
                model=row.model,
                values=tuple(None if c.number is None else 100 * c.number / base for c in cells),
                bounds=tuple(_interval_bounds(cell, 100 / base) for cell in cells),
            )
        )
    return tuple(lines)


def _interval_bounds(cell: Cell, scale: float = 1.0) -> tuple[float, float] | None:
    if not isinstance(cell.interval, Interval):
        return None
    return scale * cell.interval.low, scale * cell.interval.high


def _draw_all(figure: str, charts: Sequence[RowChart | LineChart]) -> tuple[Panel, ...]:
    """Draw the charts of a figure, those without rows left out."""
    shown = [chart for chart in charts if isinstance(chart, LineChart) or chart.rows]
    return tuple(
        Panel(
            name=f"{figure}-{place}",
            description=_description(chart),
            chart=chart,
            svg=draw(chart, f"{figure}-{place}", "svg"),
        )
        for place, chart in enumerate(shown, start=1)
    )


def _description(chart: RowChart | LineChart) -> str:
    """Return the panel in words, for who does not see it."""
    if isinstance(chart, RowChart):
        values = "; ".join(f"{row.label} {row.text}" for row in chart.rows)
        return f"{chart.title}, {chart.axis}. {values}. {chart.key}"
    values = "; ".join(
        line.label
        + " "
        + ", ".join("none" if v is None else format_number(v, 1) for v in line.values)
        for line in chart.lines
    )
    return f"{chart.title}. {chart.subtitle}, for {', '.join(chart.classes)} prompts. {values}"

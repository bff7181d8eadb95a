"""The figures of a page: which cells of which table become which marks, as report.yaml says.

A figure shows nothing that is not in its table or in an audit. Each of the reader's conditions has
a panel, with the study's devices beside it; all panels of a figure have one axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from edgemoe_appliance.analysis.audit import AuditFinding
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table
from edgemoe_appliance.analysis.tables import Tables
from edgemoe_appliance.analysis.tables.frontier import ON_FRONTIER
from edgemoe_appliance.report.drawing import (
    SIGNS,
    Chart,
    FileKind,
    FrontierChart,
    FrontierPoint,
    Line,
    LineChart,
    Mark,
    MarkRow,
    MarkShape,
    RoofChart,
    RoofPoint,
    RowChart,
    Sheet,
    draw,
    render_pdf,
    render_png,
    render_svg,
)
from edgemoe_appliance.report.filters import NO_VALUE, cell_text, printable
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.report import (
    FigureSpec,
    FrontierFigure,
    LineFigure,
    PartFigure,
    RooflineFigure,
    RowFigure,
)
from edgemoe_appliance.studies.tables import SIZES, frontier_key

# The figure of the first screen.
ANSWER = "answer"
# Those of a study's devices, in their order; more devices share the last.
_STUDY_SHAPES: tuple[MarkShape, ...] = ("triangle", "square", "diamond", "cross")
# More conditions are not told apart at a glance; the tables have them all.
_MOST_DRAWN = 6
_ACTIVE, _TOTAL = "roofline.active.", "roofline.total."
# The ends of an axis of shares of a rate lie so far beyond the lines.
_BEYOND_LINES = 2.0
# The scale of twins that are as large as their models.
WHOLE_TWINS = "full"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: the stem of its file names, what it shows in words, its svg."""

    name: str
    description: str
    sheet: Sheet
    svg: bytes

    def as_file(self, kind: FileKind) -> bytes:
        """Return the chart as a file of a kind."""
        if kind == "svg":
            return self.svg
        return self._pdf if kind == "pdf" else render_png(self._pdf)

    @cached_property
    def _pdf(self) -> bytes:
        return render_pdf(self.sheet)


@dataclass(frozen=True, kw_only=True)
class FigureSet:
    """The panels of one figure and the table that holds its data, nothing where audits do."""

    id: str
    title: str
    caption: str
    table: str
    panels: tuple[Panel, ...]


def build_figures(
    tables: Tables, study: Study, findings: Sequence[AuditFinding]
) -> tuple[FigureSet, ...]:
    """Draw the figures of a study's page, that of the first screen before all others.

    One without data is left out.
    """
    figures = [
        _figure(name, spec, _charts(spec, tables, study, findings), tables, study)
        for name, spec in study.report.figures.items()
    ]
    answer = study.report.answer
    if answer is not None:
        spec = study.report.figures[answer.figure]
        charts = _charts(spec, _without_reduced(tables, spec), study, findings)[:1]
        figures.insert(0, _figure(ANSWER, spec, charts, tables, study))
    return tuple(figure for figure in figures if figure.panels)


def _without_reduced(tables: Tables, spec: FigureSpec) -> Tables:
    """Return tables without what reduced twins gave to a figure, which answers nothing."""
    if isinstance(spec, RooflineFigure):
        return tables
    table = tables[spec.table]
    groups = tuple(g for g in table.groups if g.source == "study" or not is_reduced(g))
    return replace(tables, by_id={**tables.by_id, table.id: replace(table, groups=groups)})


def _charts(
    spec: FigureSpec, tables: Tables, study: Study, findings: Sequence[AuditFinding]
) -> list[Chart]:
    if isinstance(spec, RowFigure):
        return [*_RowPanels(table=tables[spec.table], spec=spec, study=study).charts()]
    if isinstance(spec, LineFigure):
        return [*_line_charts(tables[spec.table], spec, study)]
    if isinstance(spec, FrontierFigure):
        return [*_frontier_charts(tables[spec.table], spec)]
    if isinstance(spec, PartFigure):
        return [*_part_charts(tables[spec.table], spec, study)]
    return [*_roof_charts(findings, spec, _model_names(tables, study))]


def _figure(
    name: str, spec: FigureSpec, charts: Sequence[Chart], tables: Tables, study: Study
) -> FigureSet:
    """Draw the charts of a figure, as many as are drawn."""
    table = None if isinstance(spec, RooflineFigure) else tables[spec.table]
    models = tuple(study.models)
    return FigureSet(
        id=name,
        title=spec.title,
        caption=" ".join(filter(None, (spec.caption, _drawn_note(table) if table else ""))),
        table=table.id if table else "",
        panels=tuple(
            _panel(f"{name}-{place}", chart, models)
            for place, chart in enumerate(charts[:_MOST_DRAWN], start=1)
        ),
    )


def own_groups(table: Table) -> list[RowGroup]:
    """Return the reader's conditions, as many as are drawn."""
    return [group for group in table.groups if group.source == "reader"][:_MOST_DRAWN]


def _study_groups(table: Table) -> list[RowGroup]:
    return [group for group in table.groups if group.source == "study"]


def _drawn_note(table: Table) -> str:
    own = sum(group.source == "reader" for group in table.groups)
    return f"{_MOST_DRAWN} of {own} conditions are drawn." if own > _MOST_DRAWN else ""


@dataclass(frozen=True, kw_only=True)
class _RowPanels:
    """The panels of a figure of rows: one for each of the reader's conditions, else the study's."""

    table: Table
    spec: RowFigure
    study: Study

    def charts(self) -> Iterator[RowChart]:
        panels: list[RowGroup | None] = [*own_groups(self.table)] or [None]
        charts = [chart for group in panels if (chart := self._chart(group)).rows]
        reference = [] if self._reference is None else [self._reference]
        ends = [end for chart in charts for row in chart.rows for end in row.ends]
        low, high = min([0.0, *ends, *reference]), max([0.0, *ends, *reference])
        for chart in charts:
            yield replace(chart, low=low, high=high if high > low else low + 1.0)

    def _chart(self, own: RowGroup | None) -> RowChart:
        """Return one panel, its axis still without ends."""
        beside = [] if own is not None and is_reduced(own) else self._printed()
        rows = self._rows(own) if own else self._union(beside)
        drawn = tuple(self._row(row, own, beside) for row in rows)
        heads = [self._own_head(own)] if own else []
        heads += [self._column(key).title for key in self.spec.also] if own else []
        heads += [_study_head(group, self.study) for group in beside]
        return RowChart(
            title=self.spec.title,
            subtitle=printable(own.label) if own else "",
            legend=self.spec.legend if own else "",
            axis=self.spec.axis,
            heads=tuple(heads),
            rows=drawn,
            low=0.0,
            high=1.0,
            reference=self._reference,
        )

    @property
    def _reference(self) -> float | None:
        given = self.spec.reference
        return self.study.stated[given].value if isinstance(given, str) else given

    def _column(self, key: str) -> Column:
        return next(column for column in self.table.columns if column.key == key)

    def _own_head(self, group: RowGroup) -> str:
        scales = sorted({row.twin for row in group.rows if row.twin})
        twins = f", {'/'.join(scales)} twins" if scales else ""
        return f"{SIGNS['circle'] if self.spec.draw == 'dots' else ''}here{twins}"

    def _printed(self) -> list[RowGroup]:
        """Return the study's devices that have a value in the column."""
        return [group for group in _study_groups(self.table) if self._rows(group)]

    def _rows(self, group: RowGroup) -> list[Row]:
        """Return the rows of a group that the figure is of."""
        return [
            row
            for row in group.rows
            if row.cells[self.spec.column].value is not None
            and row.model not in self.spec.leave_out
            and all(row.cells[key].value == text for key, text in self.spec.where.items())
        ]

    def _union(self, groups: Sequence[RowGroup]) -> list[Row]:
        """Return one row for each name that any group has."""
        named = {self._key(row): row for group in reversed(groups) for row in self._rows(group)}
        order = dict.fromkeys(self._key(row) for group in groups for row in self._rows(group))
        return [named[key] for key in order]

    def _key(self, row: Row) -> tuple[str, ...]:
        texts = (row.cells[key].value for key in self.spec.match if key != "model")
        return tuple(map(str, (row.model, *texts)))

    def _row(self, row: Row, own: RowGroup | None, beside: Sequence[RowGroup]) -> MarkRow:
        digits = self._column(self.spec.column).digits
        values, marks = [], []
        if own is not None:
            values.append(cell_text(row.cells[self.spec.column], digits))
            marks += self._mark(row, "circle") if self.spec.draw == "dots" else []
            also = ((key, self._column(key).digits) for key in self.spec.also)
            values += [cell_text(row.cells[key], places) for key, places in also]
        for group in beside:
            found = next((r for r in self._rows(group) if self._key(r) == self._key(row)), None)
            values.append(cell_text(found.cells[self.spec.column], digits) if found else NO_VALUE)
            marks += self._mark(found, _shape(group, self.study)) if found else []
        bars = self._bars(row) if own is not None and self.spec.draw == "bars" else {}
        label = ", ".join(
            model_label(row, self.study) if key == "model" else str(row.cells[key].value)
            for key in self.spec.label
        )
        return replace(
            MarkRow(
                label=printable(label), model=row.model, values=tuple(values), marks=tuple(marks)
            ),
            **bars,
        )

    def _mark(self, row: Row, shape: MarkShape) -> list[Mark]:
        """Return the mark of a row; a text, such as a range, has none."""
        cell = row.cells[self.spec.column]
        if cell.number is None:
            return []
        low, high = _bounds(cell) or (None, None)
        return [Mark(value=cell.number, shape=shape, low=low, high=high)]

    def _bars(self, row: Row) -> dict[str, Any]:
        cell = row.cells[self.spec.column]
        return {
            "bar": cell.number,
            "bounds": _bounds(cell),
            "inner_bar": self._scaled(row, self.spec.inner),
            "tick": self._scaled(row, self.spec.tick),
        }

    def _scaled(self, row: Row, key: str) -> float | None:
        """Return a number of another column in the unit of the figure's."""
        if not key or (value := row.cells[key].number) is None:
            return None
        own, other = (
            SIZES.get(self._column(self.spec.column).unit),
            SIZES.get(self._column(key).unit),
        )
        return value * other / own if own and other else value


def is_reduced(group: RowGroup) -> bool:
    """Return whether any row is of a twin that is smaller than its model."""
    return any(row.twin not in (None, WHOLE_TWINS) for row in group.rows)


def model_label(row: Row, study: Study) -> str:
    """Return a model's name, short for those of the study."""
    if row.model in study.models:
        return study.model_name(row.model)
    return str(row.cells["model"].value).removesuffix("-Instruct")


def _shape(group: RowGroup, study: Study) -> MarkShape:
    places = {name: place for place, name in enumerate(study.devices)}
    return _STUDY_SHAPES[min(places.get(group.device or "", 0), len(_STUDY_SHAPES) - 1)]


def _study_head(group: RowGroup, study: Study) -> str:
    label = study.devices[group.device].label if group.device else "study"
    return SIGNS[_shape(group, study)] + label


def _bounds(cell: Cell, scale: float = 1.0) -> tuple[float, float] | None:
    """Return the bounds of a cell's interval, None where it has none."""
    if not isinstance(cell.interval, Interval):
        return None
    return scale * cell.interval.low, scale * cell.interval.high


def _line_charts(table: Table, spec: LineFigure, study: Study) -> Iterator[LineChart]:
    """Yield a panel for each condition and device whose rows begin with a value."""
    groups = [*own_groups(table), *_study_groups(table)]
    drawn = [(group, lines) for group in groups if (lines := _lines(group, spec, study))]
    values = [v for _, lines in drawn for line in lines for v in line.values if v is not None]
    for group, lines in drawn:
        yield LineChart(
            title=spec.title,
            subtitle=_labelled(group),
            legend=spec.legend,
            axis=spec.axis,
            classes=tuple(spec.points),
            lines=lines,
            low=min(values) - _BEYOND_LINES,
            high=max(values) + _BEYOND_LINES,
        )


def _lines(group: RowGroup, spec: LineFigure, study: Study) -> tuple[Line, ...]:
    lines = []
    for row in group.rows:
        cells = [row.cells[column] for column in spec.points.values()]
        base = cells[0].number
        if base:
            lines.append(
                Line(
                    label=printable(model_label(row, study)),
                    model=row.model,
                    values=tuple(
                        None if c.number is None else 100 * c.number / base for c in cells
                    ),
                    bounds=tuple(_bounds(cell, 100 / base) for cell in cells),
                )
            )
    return tuple(lines)


def _labelled(group: RowGroup) -> str:
    """Return the label of a group, with what is to be said of twins in it."""
    scales = sorted({row.twin for row in group.rows if row.twin})
    return printable(group.label) + (f" ({'/'.join(scales)} twins)" if scales else "")


def _part_charts(table: Table, spec: PartFigure, study: Study) -> Iterator[RowChart]:
    digits = next(column.digits for column in table.columns if column.key == spec.column)
    drawn = [
        (group, rows)
        for group in own_groups(table)
        if (rows := tuple(_part_rows(group, spec, study, digits)))
    ]
    high = max((end for _, rows in drawn for row in rows for end in row.ends), default=1.0)
    for group, rows in drawn:
        yield RowChart(
            title=spec.title,
            subtitle=_labelled(group),
            legend=spec.legend,
            axis=spec.axis,
            heads=spec.parts,
            rows=rows,
            low=0.0,
            high=high or 1.0,
        )


def _part_rows(group: RowGroup, spec: PartFigure, study: Study, digits: int) -> Iterator[MarkRow]:
    """Yield one row per model that has a value for any part."""
    by_model: dict[str, dict[str, Row]] = {}
    for row in group.rows:
        by_model.setdefault(str(row.cells["model"].value), {})[str(row.cells[spec.by].value)] = row
    for rows in by_model.values():
        cells = [rows[part].cells[spec.column] if part in rows else None for part in spec.parts]
        numbers = [cell.number if cell else None for cell in cells]
        if any(number is not None for number in numbers):
            first = next(iter(rows.values()))
            yield MarkRow(
                label=printable(model_label(first, study)),
                model=first.model,
                values=tuple(NO_VALUE if n is None else format_number(n, digits) for n in numbers),
                segments=tuple(number or 0.0 for number in numbers),
            )


def _model_names(tables: Tables, study: Study) -> Mapping[str, str]:
    """Return the names of models as figures show them, by id."""
    rows = (row for table in tables for row in table.rows() if row.model and "model" in row.cells)
    run = {str(row.model): model_label(row, study) for row in rows}
    return {**run, **{model: study.model_name(model) for model in study.models}}


def _frontier_charts(table: Table, spec: FrontierFigure) -> Iterator[FrontierChart]:
    """Yield one panel per condition with a model that has both a loss and the gain."""
    for group in own_groups(table):
        points = tuple(
            FrontierPoint(
                label=printable(str(row.cells["model"].value)),
                model=str(row.model),
                gain=_known_within(row.cells[spec.gain]),
                loss=_known_within(row.cells[spec.loss]),
                is_beaten=str(row.cells[frontier_key(spec.gain)].value) != ON_FRONTIER,
            )
            for row in group.rows
            if None not in (row.cells[spec.gain].number, row.cells[spec.loss].number)
        )
        if points:
            yield FrontierChart(
                title=spec.title,
                subtitle=printable(group.label),
                axis=spec.axis,
                points=points,
                legend=spec.legend,
            )


def _known_within(cell: Cell) -> tuple[float, float, float]:
    """Return a number with the ends of its interval, the number itself where it has none."""
    value = cell.number or 0.0
    if isinstance(cell.interval, Interval):
        return value, cell.interval.low, cell.interval.high
    return value, value, value


def _roof_charts(
    findings: Iterable[AuditFinding], spec: RooflineFigure, names: Mapping[str, str]
) -> Iterator[RoofChart]:
    """Yield one panel per condition with a known bandwidth; `names` are those of models by id."""
    findings = [finding for finding in findings if finding.numbers]
    total = {f.id.removeprefix(_TOTAL): f for f in findings if f.id.startswith(_TOTAL)}
    places: dict[tuple[str, str], list[AuditFinding]] = {}
    for finding in findings:
        if finding.id.startswith(_ACTIVE):
            places.setdefault((finding.source, finding.where), []).append(finding)
    for (source, where), found in places.items():
        bandwidth = _numbers(found[0])["bandwidth_gb_s"]
        yield RoofChart(
            title=spec.title,
            subtitle=printable(where if source == "reader" else f"Study: {where}"),
            legend=f"rate in tok/s; line: peak bandwidth, {format_number(bandwidth, 1)} GB/s",
            bandwidth_gb_s=bandwidth,
            points=tuple(_roof_point(finding, total, names) for finding in found),
        )


def _roof_point(
    finding: AuditFinding, total: Mapping[str, AuditFinding], names: Mapping[str, str]
) -> RoofPoint:
    name = finding.id.removeprefix(_ACTIVE)
    model = max((m for m in names if name.endswith(f".{m}")), key=len, default="")
    numbers, whole = _numbers(finding), total.get(name)
    return RoofPoint(
        label=printable(names.get(model, name)),
        model=model,
        rate_tok_s=numbers["rate_tok_s"],
        active_gb=numbers["bytes_per_token_gb"],
        total_gb=_numbers(whole)["bytes_per_token_gb"] if whole else None,
    )


def _numbers(finding: AuditFinding) -> dict[str, float]:
    return {number.key: number.value for number in finding.numbers}


def _panel(name: str, chart: Chart, models: Sequence[str]) -> Panel:
    sheet = draw(chart, models)
    svg = render_svg(sheet)
    return Panel(name=name, description=_description(chart), sheet=sheet, svg=svg)


def _description(chart: Chart) -> str:
    """Return the panel in words, for who does not see it."""
    if isinstance(chart, RowChart):
        heads = [head.lstrip("".join(SIGNS.values())) for head in chart.heads]
        told = (
            f"{row.label}: " + ", ".join(map(" ".join, zip(heads, row.values, strict=True)))
            for row in chart.rows
        )
        return f"{chart.title}, {chart.axis}. {chart.subtitle}. {'; '.join(told)}"
    if isinstance(chart, RoofChart):
        points = (
            f"{point.label} {format_number(point.rate_tok_s, 1)} tok/s at "
            f"{format_number(point.active_gb, 2)} GB"
            for point in chart.points
        )
        return f"{chart.title}. {chart.subtitle}; {chart.legend}. {'; '.join(points)}"
    if isinstance(chart, FrontierChart):
        told = (
            f"{point.label} {format_number(point.gain[0], 2)}, "
            f"loss {format_number(point.loss[0], 4)}{', beaten' if point.is_beaten else ''}"
            for point in chart.points
        )
        return f"{chart.title}, {chart.axis}. {chart.subtitle}. {'; '.join(told)}"
    lines = (
        f"{line.label} "
        + ", ".join("none" if v is None else format_number(v, 1) for v in line.values)
        for line in chart.lines
    )
    classes = ", ".join(chart.classes)
    return f"{chart.title}. {chart.subtitle}; {chart.legend}: {classes}. {'; '.join(lines)}"

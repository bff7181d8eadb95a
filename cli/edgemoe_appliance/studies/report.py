"""report.yaml: the page of a study as data: its first screen, sections, prose, figures.

Code knows how to draw a kind of figure and how to list claims; what is shown, in which order and
in which words is said here. Sentences name figures by placeholders.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier
from edgemoe_appliance.schema.yamlfile import KeyPath
from edgemoe_appliance.studies.tables import frontier_key

# What a sentence may name: the two models, the figure of these sessions, those of the study.
PLACEHOLDERS = ("subject", "baseline", "here", "study")
# Tables that code builds and a page may name, with the columns that figures may draw.
BUILT_TABLES: Mapping[str, tuple[str, ...]] = {
    "routing": (
        "model",
        "stratum",
        "part",
        "mode",
        "routing_ms",
        "projections_ms",
        "counted_moe_ms",
        "ffn_ms",
        "moe_ms",
        "counted_share_pct",
        "routing_share_pct",
        "high_share_pct",
        "unsynced_share_pct",
        "unsynced_every_share_pct",
        "median_share_pct",
        "turn_share_pct",
        "slowdown",
    )
}
# What a page shows beside results: `claims` is the overview of all, `appendix` what is long.
SectionKind = Literal["results", "claims", "trust", "method", "appendix"]


def _checked_sentence(text: str) -> str:
    for _, name, _, _ in string.Formatter().parse(text):
        if name is not None and name not in PLACEHOLDERS:
            raise ValueError(f"{{{name}}} is none of {', '.join(PLACEHOLDERS)}")
    return text


Sentence = Annotated[str, AfterValidator(_checked_sentence)]


class CellReading(Frozen):
    """One cell of each condition: a column in the row of a model, by default the subject's.

    `where` are texts that other cells of the row must have.
    """

    table: Identifier
    column: str
    model: Identifier | None = None
    where: dict[str, str] = Field(default_factory=dict)


class ReportFinding(Frozen):
    """A reading in words: `measured` of these sessions beside the study, `printed` without any."""

    read: CellReading
    measured: Sentence
    printed: Sentence


class _Figure(Frozen):
    title: str
    caption: str = ""


class RowFigure(_Figure):
    """A row for each model, values in columns headed by whose they are.

    `dots` are values on a common axis, `bars` stand on zero. `inner` is the column of the darker
    part of a bar, `tick` that of an upright line. `reference` is a line through all rows: a number,
    or a figure of the study's text. `leave_out` are models without a row, `label` the columns that
    name a row, `match` those by which the study's rows are found, `also` more columns of values.
    """

    draw: Literal["dots", "bars"]
    table: Identifier
    column: str
    axis: str
    legend: str = ""
    inner: str = ""
    tick: str = ""
    reference: float | str | None = None
    leave_out: tuple[Identifier, ...] = ()
    where: dict[str, str] = Field(default_factory=dict)
    label: tuple[str, ...] = ("model",)
    match: tuple[str, ...] = ("model",)
    also: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is drawn."""
        named = (self.column, self.inner, self.tick, *self.label, *self.match, *self.also)
        return tuple(name for name in (*named, *self.where) if name)


class LineFigure(_Figure):
    """A line for each model over columns of its row, in per cent of the first."""

    draw: Literal["lines"]
    table: Identifier
    points: dict[str, str] = Field(min_length=2)
    axis: str
    legend: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is drawn."""
        return tuple(self.points.values())


class PartFigure(_Figure):
    """Parts of a whole after one another: a row for each model, a part for each text of `by`."""

    draw: Literal["parts"]
    table: Identifier
    column: str
    by: str
    parts: tuple[str, ...] = Field(min_length=1)
    axis: str
    legend: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is drawn."""
        return (self.column, self.by)


class RooflineFigure(_Figure):
    """Rates under the ceiling of the memory bandwidth, from the audit of them."""

    draw: Literal["roofline"]


class FrontierFigure(_Figure):
    """Loss against one gain of a frontier's table; hollow marks are beaten by another model."""

    draw: Literal["frontier"]
    table: Identifier
    loss: str
    gain: str
    axis: str
    legend: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return every column that is drawn."""
        return (self.loss, self.gain, frontier_key(self.gain))


FigureSpec = Annotated[
    RowFigure | LineFigure | PartFigure | RooflineFigure | FrontierFigure,
    Field(discriminator="draw"),
]


class FirstScreenSpec(Frozen):
    """What the page answers first: a finding and its figure.

    `units` is what the interval of its figure is over, in the plural.
    """

    finding: ReportFinding
    figure: Identifier
    units: str = "prompts"


class SectionSpec(Frozen):
    """A section: what kind of thing it shows, its title and prose.

    One of results has a finding as its heading, one figure in sight and `more` folded away with
    its tables: those that name the section in tables.yaml, and `tables`. The `title` stands in the
    contents, and as heading where nothing is found.
    """

    title: str
    show: SectionKind = "results"
    text: str = ""
    finding: ReportFinding | None = None
    figure: Identifier | None = None
    more: tuple[Identifier, ...] = ()
    tables: tuple[Identifier, ...] = ()

    @model_validator(mode="after")
    def _results_alone(self) -> SectionSpec:
        if self.show != "results" and self.finding is not None:
            raise ValueError("only a section of results has a finding")
        return self


class ReportConfig(Frozen):
    """A page: heading, first screen, figures by id, sections in their order."""

    heading: str
    answer: FirstScreenSpec | None = None
    figures: dict[Identifier, FigureSpec] = Field(default_factory=dict)
    sections: dict[Identifier, SectionSpec] = Field(min_length=1)


class ReportName(NamedTuple):
    """A name in report.yaml that must be one of some others; `at` are the keys that lead to it."""

    at: KeyPath
    name: str
    kind: str


def names_in_report(report: ReportConfig) -> Iterator[ReportName]:
    """Yield every name in a page that must be that of a figure, a table or a model.

    A column is named as `table/column`.
    """
    if report.answer is not None:
        yield ReportName(("answer", "figure"), report.answer.figure, "figure")
        yield from _in_reading(("answer", "finding", "read"), report.answer.finding.read)
    for name, figure in report.figures.items():
        yield from _in_figure(("figures", name), figure)
    for name, section in report.sections.items():
        at: KeyPath = ("sections", name)
        if section.finding is not None:
            yield from _in_reading((*at, "finding", "read"), section.finding.read)
        if section.figure is not None:
            yield ReportName((*at, "figure"), section.figure, "figure")
        yield from _listed((*at, "more"), section.more, "figure")
        yield from _listed((*at, "tables"), section.tables, "table")


def _listed(at: KeyPath, names: Iterable[str], kind: str) -> Iterator[ReportName]:
    for place, name in enumerate(names):
        yield ReportName((*at, place), name, kind)


def _in_reading(at: KeyPath, reading: CellReading) -> Iterator[ReportName]:
    yield ReportName((*at, "table"), reading.table, "table")
    for column in (reading.column, *reading.where):
        yield ReportName((*at, "column"), f"{reading.table}/{column}", "column")
    if reading.model is not None:
        yield ReportName((*at, "model"), reading.model, "model")


def _in_figure(at: KeyPath, figure: FigureSpec) -> Iterator[ReportName]:
    if isinstance(figure, RooflineFigure):
        return
    yield ReportName((*at, "table"), figure.table, "table")
    for column in figure.columns:
        yield ReportName((*at, "draw"), f"{figure.table}/{column}", "column")
    if isinstance(figure, RowFigure):
        yield from _listed((*at, "leave_out"), figure.leave_out, "model")
        if isinstance(figure.reference, str):
            yield ReportName((*at, "reference"), figure.reference, "figure of the text")

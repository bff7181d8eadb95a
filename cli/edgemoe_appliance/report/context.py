"""The one object that the template is given: sections of plain blocks, all text ready to print.

Everything is text here; the template escapes it. Only the drawn figures and the style sheet are
markup, and both are made by this room alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from markupsafe import Markup

from edgemoe_appliance.report.judged_context import AnswerView, Audits, Claims

Tone = Literal["twin", "absent", "warn", "note"]


@dataclass(frozen=True, kw_only=True)
class CellView:
    """A cell: text, interval below it, mark of a footnote; `hint` is the full value."""

    text: str
    interval: str = ""
    mark: str = ""
    hint: str = ""
    is_absent: bool = False


@dataclass(frozen=True, kw_only=True)
class ColumnView:
    """A column's head; `meaning` says what the number is, `metric` names its entry in the registry.

    `key` is the column's name in the CSV.
    """

    key: str
    title: str
    unit: str
    meaning: str
    numeric: bool
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class RowView:
    """A row; `colour` is the role of its model's colour, `alert` tints a run that failed."""

    cells: tuple[CellView, ...]
    colour: str = ""
    twin: str = ""
    alert: bool = False


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """Rows under one heading; those of the study are set apart.

    `twin` is the scale where all rows are of twins of one scale; the rows then do not repeat it.
    `source` is where the rows come from, for a citation.
    """

    label: str
    is_study: bool
    twin: str
    rows: tuple[RowView, ...]
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Footnote:
    """A note under a table and the mark that refers to it."""

    mark: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table ready to print; `csv` holds its numbers in full, `latex` is it as printed.

    `is_long` gives it a box, `is_sortable` a filter and heads that sort. `statuses` are the values
    that its runs have.
    """

    id: str
    number: int
    title: str
    where: str
    columns: tuple[ColumnView, ...]
    groups: tuple[GroupView, ...]
    footnotes: tuple[Footnote, ...]
    notes: tuple[str, ...]
    csv: str
    latex: str
    is_long: bool
    is_sortable: bool = False
    statuses: tuple[str, ...] = ()
    kind: Literal["table"] = "table"


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """A file beside the page."""

    label: str
    path: str


@dataclass(frozen=True, kw_only=True)
class PanelView:
    """One chart: its svg, a description for who does not see it, its files."""

    id: str
    svg: Markup
    description: str
    files: tuple[FileLink, ...]


@dataclass(frozen=True, kw_only=True)
class FigureView:
    """A figure of one or more panels; `data` leads to the numbers in it."""

    id: str
    number: int
    title: str
    caption: str
    data: str
    panels: tuple[PanelView, ...]
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A box that is not to be overlooked."""

    tone: Tone
    title: str
    text: str
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Paragraphs."""

    paragraphs: tuple[str, ...]
    kind: Literal["prose"] = "prose"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A term and what is said of it; `aside` stands beside the term."""

    term: str
    text: str
    aside: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A list of terms."""

    facts: tuple[Fact, ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """A text as it was, folded away: a prompt, a command."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Verbatim texts behind one fold."""

    title: str
    texts: tuple[Verbatim, ...]
    kind: Literal["folded"] = "folded"


@dataclass(frozen=True, kw_only=True)
class MetricView:
    """A metric on the page that says what each one is."""

    key: str
    title: str
    unit: str
    source: str
    resolution: str
    blind_spot: str


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The registry of metrics."""

    metrics: tuple[MetricView, ...]
    kind: Literal["metrics"] = "metrics"


Block: TypeAlias = (
    TableView | FigureView | Notice | Prose | Facts | Folded | Metrics | Claims | Audits
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section; `is_twin` marks one with figures of twins."""

    id: str
    number: str
    title: str
    blocks: tuple[Block, ...]
    is_twin: bool = False


@dataclass(frozen=True, kw_only=True)
class KeyFigure:
    """A number at the head of the page, its interval and whose it is."""

    text: str
    interval: str
    label: str
    is_study: bool
    is_twin: bool


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """The whole page; `sections` are numbered as they stand.

    `script` is the whole script of the page and `script_digest` what its policy knows it by.
    `version` and `confidence_pct` go into citations.
    """

    title: str
    heading: str
    lead: tuple[str, ...]
    answer: AnswerView
    key_title: str
    key_figures: tuple[KeyFigure, ...]
    banner: Notice | None
    sections: tuple[Section, ...]
    sources: tuple[Fact, ...]
    version: str
    confidence_pct: int
    style: Markup = field(repr=False)
    script: Markup = field(repr=False)
    script_digest: str

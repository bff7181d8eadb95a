"""The one object that the template is given: sections of blocks, of text and of analysis values.

The template prints values by the filters of `filters`, makes all text printable and escapes it.
Only the drawn figures and the style sheet are markup, and both are made by this room alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from markupsafe import Markup

from edgemoe_appliance.analysis.table_model import Column, RowGroup
from edgemoe_appliance.report.audit_blocks import Audits
from edgemoe_appliance.report.claim_blocks import AnswerBlock, Claims

Tone = Literal["twin", "absent", "warn", "note"]
# A table with more rows scrolls.
_LONG_ROWS = 45


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table as it is printed: the columns that have a value, as many rows as a page holds.

    `numeric` are the keys of columns of numbers, `marks` the mark of each reason for an absence,
    `sources` where the rows of each group come from, for a citation, `statuses` the values that
    its runs have.
    """

    id: str
    number: int
    title: str
    where: str
    columns: tuple[Column, ...]
    numeric: frozenset[str]
    groups: tuple[RowGroup, ...]
    sources: tuple[str, ...]
    marks: Mapping[str, str]
    notes: tuple[str, ...]
    statuses: tuple[str, ...] = ()
    kind: Literal["table"] = "table"

    @property
    def csv(self) -> str:
        """Return the file with its numbers in full."""
        return f"tables/{self.id}.csv"

    @property
    def latex(self) -> str:
        """Return the file with it as printed."""
        return f"tables/{self.id}.tex"

    @property
    def is_long(self) -> bool:
        """Return whether it scrolls in a box of its own."""
        return sum(len(group.rows) for group in self.groups) > _LONG_ROWS


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
class Definition:
    """A term and what is said of it; `aside` stands beside the term."""

    term: str
    text: str
    aside: str = ""


@dataclass(frozen=True, kw_only=True)
class DefinitionList:
    """A list of terms."""

    facts: tuple[Definition, ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """A text as it was, folded away: a prompt, a command."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Fold:
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
    TableView | FigureView | Notice | Prose | DefinitionList | Fold | Metrics | Claims | Audits
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
    `version` and `confidence_pct` go into citations; `models` are those of the study.
    """

    title: str
    heading: str
    lead: tuple[str, ...]
    answer: AnswerBlock
    key_title: str
    key_figures: tuple[KeyFigure, ...]
    banner: Notice | None
    sections: tuple[Section, ...]
    sources: tuple[Definition, ...]
    models: tuple[str, ...]
    version: str
    confidence_pct: int
    style: Markup = field(repr=False)
    script: Markup = field(repr=False)
    script_digest: str

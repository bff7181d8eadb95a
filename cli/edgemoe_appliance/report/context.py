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
from edgemoe_appliance.report.audit_blocks import Audits, Causes
from edgemoe_appliance.report.claim_blocks import Claims, Overview, TallyLine
from edgemoe_appliance.schema.metrics import Metric

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
    def size(self) -> int:
        """Return how many rows it has."""
        return sum(len(group.rows) for group in self.groups)

    @property
    def is_long(self) -> bool:
        """Return whether it scrolls in a box of its own."""
        return self.size > _LONG_ROWS


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
    """A figure of one or more panels, the first in sight; `data` leads to the numbers in it."""

    id: str
    number: int
    title: str
    caption: str
    data: str
    panels: tuple[PanelView, ...]
    kind: Literal["figure"] = "figure"


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
class Verbatims:
    """Texts as they were, each with its title: prompts, commands."""

    texts: tuple[Definition, ...]
    kind: Literal["verbatims"] = "verbatims"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The registry of metrics."""

    metrics: tuple[Metric, ...]
    kind: Literal["metrics"] = "metrics"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Blocks behind one line that says what they are and how many of it there are."""

    title: str
    count: str
    blocks: tuple[Block, ...]
    kind: Literal["fold"] = "fold"


Block: TypeAlias = (
    TableView
    | FigureView
    | Prose
    | DefinitionList
    | Verbatims
    | Metrics
    | Overview
    | Claims
    | Causes
    | Audits
    | Fold
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: a figure beside its text, blocks below them, `folded` blocks a line each.

    `title` stands in the contents, `heading` over the section.
    """

    id: str
    title: str
    heading: str
    text: tuple[str, ...] = ()
    figure: FigureView | None = None
    blocks: tuple[Block, ...] = ()
    folded: tuple[Block, ...] = ()
    number: str = ""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What stood in for something real: models, a device, a meter; `title` is in sight always.

    `command` is what would show more, empty where nothing does.
    """

    title: str
    text: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class FirstScreen:
    """What is answered first.

    `sentence` is the answer, `covers` what its interval is about, `stand_ins` what was not real,
    `facts` what was run, on what, how often and when.
    """

    sentence: str
    covers: str
    stand_ins: tuple[StandIn, ...]
    figure: FigureView | None
    tallies: tuple[TallyLine, ...]
    facts: str


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """The whole page; `sections` are numbered as they stand.

    `script` is the whole script of the page and `script_digest` what its policy knows it by.
    `version` and `confidence_pct` go into citations; `models` are those of the study. `banner` is
    in sight all the time.
    """

    title: str
    heading: str
    paper: str
    first: FirstScreen
    banner: str
    sections: tuple[Section, ...]
    models: tuple[str, ...]
    version: str
    confidence_pct: int
    style: Markup = field(repr=False)
    script: Markup = field(repr=False)
    script_digest: str

"""What the template is given of verdicts and audits: plain values, all text ready to print.

The drawn ranges are the only markup, and this room makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

# A mark is told by its shape and its word; colour only repeats them.
Shape = Literal["holds", "fails", "open", "untested"]


@dataclass(frozen=True, kw_only=True)
class MarkView:
    """A verdict as it is shown: a shape and a word."""

    shape: Shape
    word: str


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many there are of a mark."""

    mark: MarkView
    count: int


@dataclass(frozen=True, kw_only=True)
class VerdictLine:
    """One claim or finding in the answer: where its detail stands, what it says, in one line.

    `own` is what the study's own figures make of a claim, None where these are judged.
    """

    id: str
    anchor: str
    title: str
    line: str
    mark: MarkView
    tag: str = ""
    own: MarkView | None = None


@dataclass(frozen=True, kw_only=True)
class VerdictBlock:
    """Claims that stand together; `reason` is what all of them lack, told once."""

    reason: str
    lines: tuple[VerdictLine, ...]


@dataclass(frozen=True, kw_only=True)
class VerdictGroup:
    """The claims with one verdict."""

    tally: Tally
    blocks: tuple[VerdictBlock, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerView:
    """The head of the page: counts, every claim in a line, the audits that matter most.

    `own` counts what the study's own figures make of the claims, where there are others.
    """

    title: str
    text: tuple[str, ...]
    tallies: tuple[Tally, ...]
    own: tuple[Tally, ...]
    groups: tuple[VerdictGroup, ...]
    audits_title: str
    audits: tuple[VerdictLine, ...]
    audits_text: str


@dataclass(frozen=True, kw_only=True)
class NumberView:
    """A number: what it is of, its value with unit, what it is known within."""

    label: str
    text: str
    bounds: str


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """A judged number and its plot; `where` is the condition, told where there are several."""

    mark: MarkView
    number: NumberView
    where: str
    plot: Markup | None
    settled_by: str


@dataclass(frozen=True, kw_only=True)
class PartRows:
    """The parts of a claim that were asked the same, with the names of the limits below them."""

    asked: str
    rows: tuple[PartRow, ...]
    names: Markup | None
    behind: tuple[NumberView, ...]


@dataclass(frozen=True, kw_only=True)
class MissingView:
    """Parts that were not tested for one reason."""

    parts: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class JudgedView:
    """One verdict on a claim, by the reader's numbers or by the study's own."""

    whose: str
    mark: MarkView
    tag: str
    parts: tuple[PartRows, ...]
    missing: tuple[MissingView, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimView:
    """A claim in detail: the verdicts on it, the one that the page is about first."""

    id: str
    anchor: str
    section: str
    statement: str
    tolerance: str
    judged: tuple[JudgedView, ...]


@dataclass(frozen=True, kw_only=True)
class Claims:
    """All claims; `notes` hold for every one that is marked with a direction only.

    `where` is the condition of all that was tested, where there is only one.
    """

    where: str
    notes: tuple[str, ...]
    claims: tuple[ClaimView, ...]
    kind: Literal["claims"] = "claims"


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """One figure, tested."""

    anchor: str
    mark: MarkView
    subject: str
    reading: str
    sure: str
    sure_why: str
    numbers: tuple[NumberView, ...]


@dataclass(frozen=True, kw_only=True)
class AuditGroup:
    """The findings of one test: those that ask for attention, the others folded away."""

    title: str
    tallies: tuple[Tally, ...]
    shown: tuple[FindingView, ...]
    folded: tuple[FindingView, ...]


@dataclass(frozen=True, kw_only=True)
class Audits:
    """All findings of one set of figures."""

    title: str
    groups: tuple[AuditGroup, ...]
    kind: Literal["audits"] = "audits"

"""How values of the analysis are printed: the filters of the page's templates, and of LaTeX.

The templates are given cells, numbers, verdicts and findings as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from edgemoe_appliance.analysis.audit import AuditFinding, AuditVerdict, Confidence
from edgemoe_appliance.analysis.claims import ClaimVerdict, Number, Verdict
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.formatting import bounds_in_words, capitalised, with_unit
from edgemoe_appliance.analysis.results import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column
from edgemoe_appliance.report.numbers import format_interval, format_number
from edgemoe_appliance.schema.metrics import METRICS

# A mark is told by its shape and its word; colour only repeats them.
VerdictShape = Literal["holds", "fails", "open", "untested", "same", "opposite", "unseen"]
NO_VALUE = "\N{EN DASH}"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST_LETTERS = 12
_SLUG_WORDS = 6
# Control characters are not valid in a page; the bidirectional ones could show a text as another.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What is no text of a page, else an option in it.
_OPTION = re.compile(
    r"(<(style|script|svg|pre|textarea|title)\b.*?</\2>|<[^>]*>)|(?<![\w-])(--[a-z][a-z0-9-]*)",
    re.DOTALL,
)
_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9.-]+")
_SHAPES: Mapping[Verdict | AuditVerdict, VerdictShape] = {
    Verdict.REPRODUCED: "holds",
    Verdict.NOT_REPRODUCED: "fails",
    Verdict.INCONCLUSIVE: "open",
    Verdict.SAME_DIRECTION: "same",
    Verdict.OPPOSITE_DIRECTION: "opposite",
    Verdict.NO_DIRECTION: "unseen",
    Verdict.CONSISTENT: "holds",
    Verdict.NOT_CONSISTENT: "fails",
    Verdict.OPEN_BY_DIGITS: "open",
    Verdict.NOT_TESTED: "untested",
    AuditVerdict.CONSISTENT: "holds",
    AuditVerdict.INCONSISTENT: "fails",
    AuditVerdict.UNDECIDED: "open",
    AuditVerdict.NOT_TESTED: "untested",
}


@dataclass(frozen=True, kw_only=True)
class VerdictMark:
    """A verdict as it is shown: a shape and a word."""

    shape: VerdictShape
    word: str


def printable(text: str) -> str:
    """Return text of others without characters that a page cannot or should not hold."""
    return _UNPRINTABLE.sub(_REPLACEMENT, text)


def with_whole_options(page: str) -> str:
    """Return a page whose lines do not break within an option of a command.

    Browsers break a line after any hyphen: what is read of `--twins` on two lines is no option.
    """
    return _OPTION.sub(lambda found: found[1] or f'<span class="option">{found[3]}</span>', page)


def finalise(value: object) -> object:
    """Return what a template prints: text made printable, markup of this room as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def metric_of(column: Column) -> str:
    """Return the metric that a column is made of, nothing where it is made of none or several."""
    return column.metric or (column.key if column.key in METRICS else "")


def cell_text(cell: Cell, digits: int) -> str:
    """Return the value of a cell: a number with its digits, a text, the start of a digest."""
    if cell.value is None:
        return NO_VALUE
    if isinstance(cell.value, str):
        return cell.value[:_DIGEST_LETTERS] if digest_of(cell) else cell.value
    return format_number(cell.value, digits)


def digest_of(cell: Cell) -> str:
    """Return the whole digest where a cell holds one."""
    text = cell.value if isinstance(cell.value, str) else ""
    return text if _SHA256.fullmatch(text) else ""


def interval_text(cell: Cell, digits: int) -> str:
    """Return the interval of a cell, nothing where it has none."""
    return format_interval(cell.interval, digits) if isinstance(cell.interval, Interval) else ""


def reason_of(cell: Cell) -> str:
    """Return why a cell lacks its value or its interval, nothing where it has both."""
    if cell.absent or not isinstance(cell.interval, Absent):
        return cell.absent
    return f"no interval: {cell.interval.reason}"


def quantity_text(number: Number) -> str:
    """Return a number with its unit."""
    return with_unit(number.value, number.unit)


def bounds_text(number: Number) -> str:
    """Return what a number is known within, nothing for one without bounds of its own."""
    has_bounds = number.low is not None or bool(number.why_unbound)
    return bounds_in_words(number) if has_bounds else ""


def bounds_of(number: Number) -> tuple[float, float] | None:
    """Return what a number is known within; None for an exact one and for one without bounds."""
    if number.low is None or number.high is None or number.basis is Basis.EXACT:
        return None
    return number.low, number.high


def mark_of(verdict: Verdict | AuditVerdict) -> VerdictMark:
    """Return the mark of a verdict."""
    return VerdictMark(shape=_SHAPES[verdict], word=verdict.value.replace("_", " "))


def anchor_of(judged: ClaimVerdict | AuditFinding) -> str:
    """Return an anchor; ids of findings hold names of models that strangers may have chosen."""
    if isinstance(judged, ClaimVerdict):
        return f"claim-{judged.id}"
    name = _NOT_IN_ANCHORS.sub("-", judged.id)
    if name != judged.id:
        name = f"{name[:60]}-{hashlib.sha256(judged.id.encode()).hexdigest()[:8]}"
    return f"audit-{judged.source}-{name}"


def slug(title: str) -> str:
    """Return a title of this room's own as an id: its first words."""
    return _NOT_IN_ANCHORS.sub("-", " ".join(title.split()[:_SLUG_WORDS]).lower()).strip("-")


def confidence_text(finding: AuditFinding) -> str:
    """Return how sure a finding is, nothing where nothing was found."""
    confidence = finding.confidence
    return "" if confidence is Confidence.NONE else f"{confidence.value} confidence"


FILTERS: Mapping[str, Callable[..., object]] = {
    "metric": metric_of,
    "text": cell_text,
    "digest": digest_of,
    "interval": interval_text,
    "reason": reason_of,
    "quantity": quantity_text,
    "bounds": bounds_text,
    "mark": mark_of,
    "anchor": anchor_of,
    "confidence": confidence_text,
    "sentence": capitalised,
    "slug": slug,
}

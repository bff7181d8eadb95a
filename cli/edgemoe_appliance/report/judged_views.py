"""Verdicts on claims as views: marks, drawn parts, and the answer at the head of the page.

Verdicts are taken as they are; nothing is judged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from edgemoe_appliance.analysis.audit import Finding
from edgemoe_appliance.analysis.claims import ClaimVerdict, Part, Scope, Verdict
from edgemoe_appliance.analysis.claims.formatting import number_in_words
from edgemoe_appliance.report.audit_views import anchor_of, finding_mark, weightiest
from edgemoe_appliance.report.claim_parts import judged_numbers, part_rows
from edgemoe_appliance.report.judged_context import (
    AnswerView,
    Claims,
    ClaimView,
    JudgedView,
    MarkView,
    MissingView,
    Shape,
    Tally,
    VerdictBlock,
    VerdictGroup,
    VerdictLine,
)
from edgemoe_appliance.report.judgement import Judgement
from edgemoe_appliance.report.views import printable

_SHAPES: Mapping[Verdict, Shape] = {
    Verdict.REPRODUCED: "holds",
    Verdict.NOT_REPRODUCED: "fails",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NOT_TESTED: "untested",
}
_READER_WORDS = {verdict: verdict.value.replace("_", " ") for verdict in Verdict}
# Figures that are held against themselves reproduce nothing.
_OWN_WORDS = {
    Verdict.REPRODUCED: "holds",
    Verdict.NOT_REPRODUCED: "does not hold",
    Verdict.INCONCLUSIVE: "left open",
    Verdict.NOT_TESTED: "not tested",
}
_ORDER = (
    Verdict.NOT_REPRODUCED,
    Verdict.INCONCLUSIVE,
    Verdict.REPRODUCED,
    Verdict.NOT_TESTED,
)
_KEY_AUDITS = 6


def build_answer(judgement: Judgement) -> AnswerView:
    """Return the head of the page."""
    verdicts = judgement.verdicts
    own = {verdict.id: verdict for verdict in judgement.own_verdicts or ()}
    key, others = weightiest(judgement.all_findings, _KEY_AUDITS)
    return AnswerView(
        title="What holds" if own else "What the study's own figures bear out",
        text=tuple(_answer_text(judgement)),
        tallies=_tallies(verdicts),
        own=_tallies(judgement.own_verdicts or ()),
        groups=tuple(_groups(verdicts, own)),
        audits_title="What figures cannot mean",
        audits=tuple(map(_audit_line, key)),
        audits_text=_audits_text(others),
    )


def _answer_text(judgement: Judgement) -> Iterable[str]:
    verdicts = judgement.verdicts
    if judgement.own_verdicts is None:
        yield (
            f"{len(verdicts)} claims of the study, each tested on the figures that the study "
            "prints. A claim that its own tables do not bear out is shown as such."
        )
        return
    yield (
        f"{len(verdicts)} claims of the study, each tested on these sessions. Beside each stands "
        "what the same test makes of the study's own printed figures."
    )
    directions = sum(verdict.scope is Scope.DIRECTION for verdict in verdicts)
    if directions:
        yield (
            f"{directions} of these verdicts are on the direction only: other hardware, other "
            "models or another procedure cannot confirm a size."
        )


def _audits_text(others: int) -> str:
    return f"{others} more figures do not fit or are open: see the audit." if others else ""


def _groups(
    verdicts: Sequence[ClaimVerdict], own: Mapping[str, ClaimVerdict]
) -> Iterable[VerdictGroup]:
    """Yield the claims by verdict, what failed first."""
    for verdict in _ORDER:
        found = [each for each in verdicts if each.verdict is verdict]
        if found:
            tally = Tally(mark=verdict_mark(found[0]), count=len(found))
            lines = tuple(_claim_line(each, own.get(each.id)) for each in found)
            yield VerdictGroup(tally=tally, blocks=_blocks(verdict, lines))


def _blocks(verdict: Verdict, lines: tuple[VerdictLine, ...]) -> tuple[VerdictBlock, ...]:
    """Return claims that were not tested by what they lack, others as they come."""
    if verdict is not Verdict.NOT_TESTED:
        return (VerdictBlock(reason="", lines=lines),)
    by_reason: dict[str, list[VerdictLine]] = {}
    for line in lines:
        by_reason.setdefault(line.line, []).append(replace(line, line=""))
    return tuple(
        VerdictBlock(reason=reason, lines=tuple(found)) for reason, found in by_reason.items()
    )


def _claim_line(verdict: ClaimVerdict, own: ClaimVerdict | None) -> VerdictLine:
    return VerdictLine(
        id=verdict.id,
        anchor=_anchor(verdict),
        title=printable(verdict.statement),
        line=printable(_in_a_line(verdict)),
        mark=verdict_mark(verdict),
        tag=_tag(verdict),
        own=verdict_mark(own) if own else None,
    )


def _in_a_line(verdict: ClaimVerdict) -> str:
    """Return the first number that decides a claim, or what is missing."""
    deciding = [part for part in verdict.parts if part.verdict is verdict.verdict]
    if verdict.verdict is Verdict.NOT_TESTED or not deciding:
        return "; ".join(verdict.missing[:2]) or verdict.reading
    first, counted = deciding[0], ""
    if len(verdict.parts) > 1:
        counted = f" ({len(deciding)} of {len(verdict.parts)} parts)"
    told = ", ".join(f"{n.label} {number_in_words(n)}" for n in judged_numbers(first))
    return f"{told}; asked {first.asked}{counted}"


def _audit_line(finding: Finding) -> VerdictLine:
    return VerdictLine(
        id=finding.id,
        anchor=anchor_of(finding),
        title=printable(finding.subject),
        line=printable(finding.reading),
        mark=finding_mark(finding),
        tag="" if finding.source == "reader" else "study",
    )


def _tallies(verdicts: Sequence[ClaimVerdict]) -> tuple[Tally, ...]:
    counts = Counter(verdict_mark(verdict) for verdict in verdicts)
    order = [_SHAPES[verdict] for verdict in _ORDER]
    marks = sorted(counts, key=lambda mark: order.index(mark.shape))
    return tuple(Tally(mark=mark, count=counts[mark]) for mark in marks)


def verdict_mark(verdict: ClaimVerdict) -> MarkView:
    """Return the mark of a claim."""
    return _mark(verdict.verdict, is_own=verdict.source == "study")


def _mark(verdict: Verdict, *, is_own: bool) -> MarkView:
    words = _OWN_WORDS if is_own else _READER_WORDS
    return MarkView(shape=_SHAPES[verdict], word=words[verdict])


def _tag(verdict: ClaimVerdict) -> str:
    return "direction only" if verdict.scope is Scope.DIRECTION else ""


def _anchor(verdict: ClaimVerdict) -> str:
    return f"claim-{verdict.id}"


def build_claims(judgement: Judgement) -> Claims:
    """Return every claim in detail."""
    own = {verdict.id: verdict for verdict in judgement.own_verdicts or ()}
    common = _common_notes(judgement.verdicts)
    places = {part.where for verdict in judgement.verdicts for part in _tested(verdict)}
    return Claims(
        where=printable(next(iter(places))) if len(places) == 1 else "",
        notes=tuple(map(printable, common)),
        claims=tuple(
            _claim(each, own.get(each.id), _judged_view(each, common, with_where=len(places) > 1))
            for each in judgement.verdicts
        ),
    )


def _tested(verdict: ClaimVerdict) -> tuple[Part, ...]:
    return tuple(part for part in verdict.parts if part.verdict is not Verdict.NOT_TESTED)


def _common_notes(verdicts: Sequence[ClaimVerdict]) -> tuple[str, ...]:
    """Return the reasons and cautions that all claims tested by direction share."""
    directions = [_notes(each) for each in verdicts if each.scope is Scope.DIRECTION]
    if len(directions) < 2:
        return ()
    return tuple(note for note in directions[0] if all(note in each for each in directions))


def _notes(verdict: ClaimVerdict) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*verdict.scope_reasons, *verdict.cautions)))


def _claim(verdict: ClaimVerdict, own: ClaimVerdict | None, judged: JudgedView) -> ClaimView:
    beside = () if own is None else (_judged_view(own, (), with_where=True),)
    return ClaimView(
        id=verdict.id,
        anchor=_anchor(verdict),
        section=verdict.section,
        statement=printable(verdict.statement),
        tolerance=printable(verdict.tolerance),
        judged=(judged, *beside),
    )


def _judged_view(verdict: ClaimVerdict, common: Sequence[str], *, with_where: bool) -> JudgedView:
    is_own = verdict.source == "study"
    return JudgedView(
        whose="The study's own figures" if is_own else "These sessions",
        mark=verdict_mark(verdict),
        tag=_tag(verdict),
        parts=tuple(
            part_rows(
                _tested(verdict),
                lambda each: _mark(each, is_own=is_own),
                with_where=with_where,
            )
        ),
        missing=tuple(_missing(verdict)),
        notes=tuple(printable(note) for note in _notes(verdict) if note not in common),
    )


def _missing(verdict: ClaimVerdict) -> Iterable[MissingView]:
    """Yield what was not there, with the parts that it kept from being tested."""
    counts = Counter(part.missing for part in verdict.parts if part.verdict is Verdict.NOT_TESTED)
    for reason in verdict.missing:
        yield MissingView(parts=counts[reason], reason=printable(reason))

"""Verdicts on claims as the page has them: the answer at its head, and each claim with its plots.

Verdicts are taken as they are; nothing is judged here. The drawn ranges are markup, and this room
makes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from markupsafe import Markup

from edgemoe_appliance.analysis.audit import AuditFinding
from edgemoe_appliance.analysis.claims import ClaimVerdict, Number, Part, Scope, Verdict
from edgemoe_appliance.analysis.claims.formatting import number_in_words, with_unit
from edgemoe_appliance.analysis.claims.verdicts import FAMILIES, TOLD_ORDER, Family
from edgemoe_appliance.report.audit_blocks import Tally, tallies_of, weightiest
from edgemoe_appliance.report.filters import bounds_of, mark_of
from edgemoe_appliance.report.judgement import Judgement
from edgemoe_appliance.report.range_plot import LimitBand, ValueAxis, draw_names, draw_row

_KEY_AUDITS = 6
# Two ratios that order the same models must lie on the same side of it.
_EQUAL = 1.0


@dataclass(frozen=True, kw_only=True)
class ClaimLine:
    """One claim in the answer: its verdict, in one line what decides it.

    `own` is what the study's own figures make of it, None where these are judged.
    """

    verdict: ClaimVerdict
    line: str
    own: ClaimVerdict | None


@dataclass(frozen=True, kw_only=True)
class ClaimGroup:
    """The claims with one verdict, by what all of them lack, nothing where they were tested."""

    tally: Tally
    by_reason: Mapping[str, tuple[ClaimLine, ...]]


@dataclass(frozen=True, kw_only=True)
class AnswerBlock:
    """The head of the page: counts, every claim in a line, the audits that matter most.

    `own` counts what the study's own figures make of the claims, where there are others.
    """

    title: str
    text: tuple[str, ...]
    tallies: tuple[Tally, ...]
    own: tuple[Tally, ...]
    groups: tuple[ClaimGroup, ...]
    audits: tuple[AuditFinding, ...]
    more_audits: int


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """A judged number of a part and its plot."""

    part: Part
    number: Number
    plot: Markup | None


@dataclass(frozen=True, kw_only=True)
class PartRows:
    """The parts of a claim that were asked the same, with the names of the limits below them."""

    asked: str
    rows: tuple[PartRow, ...]
    names: Markup | None
    behind: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimSide:
    """One verdict on a claim, by the reader's numbers or by the study's own.

    `missing` counts the parts that each reason kept from being tested, `with_where` says whether
    each number names its condition.
    """

    verdict: ClaimVerdict
    parts: tuple[PartRows, ...]
    missing: Mapping[str, int]
    notes: tuple[str, ...]
    with_where: bool


@dataclass(frozen=True, kw_only=True)
class Claims:
    """All claims, of each its verdicts, the one that the page is about first.

    `notes` hold for every one whose verdict is a direction; `where` is the condition of
    all that was tested, where there is only one.
    """

    where: str
    notes: tuple[str, ...]
    claims: tuple[tuple[ClaimSide, ...], ...]
    kind: Literal["claims"] = "claims"


def build_answer(judgement: Judgement) -> AnswerBlock:
    """Return the head of the page."""
    verdicts = judgement.verdicts
    own = {verdict.id: verdict for verdict in judgement.own_verdicts or ()}
    audits, more_audits = weightiest(judgement.all_findings, _KEY_AUDITS)
    return AnswerBlock(
        title="What holds" if own else "What the study's own figures bear out",
        text=tuple(_answer_text(judgement)),
        tallies=_tallies(verdicts),
        own=_tallies(judgement.own_verdicts or ()),
        groups=tuple(_groups(verdicts, own)),
        audits=audits,
        more_audits=more_audits,
    )


def _answer_text(judgement: Judgement) -> Iterable[str]:
    verdicts = judgement.verdicts
    if judgement.own_verdicts is None:
        yield (
            f"{len(verdicts)} claims of the study, each tested on the figures that the study "
            "prints. A claim that its own tables do not bear out is shown as such."
        )
        return
    tested = sum(verdict.verdict is not Verdict.NOT_TESTED for verdict in verdicts)
    yield (
        f"{tested or 'None'} of the study's {len(verdicts)} claims could be tested on these "
        "sessions. Beside each stands what the same test makes of the study's own printed figures."
    )
    if any(verdict.verdict in FAMILIES[Family.ELSEWHERE] for verdict in verdicts):
        yield (
            "Verdicts on a direction are of runs that were not made under the study's conditions: "
            "they reproduce nothing and refute nothing, and are counted apart."
        )


def _in_order(verdicts: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """Return verdicts, what failed first."""
    return sorted(verdicts, key=lambda each: TOLD_ORDER.index(each.verdict))


def _tallies(verdicts: Sequence[ClaimVerdict]) -> tuple[Tally, ...]:
    return tallies_of(mark_of(each.verdict) for each in _in_order(verdicts))


def _groups(
    verdicts: Sequence[ClaimVerdict], own: Mapping[str, ClaimVerdict]
) -> Iterable[ClaimGroup]:
    for tally in _tallies(verdicts):
        by_reason: dict[str, tuple[ClaimLine, ...]] = {}
        for each in verdicts:
            if mark_of(each.verdict) == tally.mark:
                line = _in_a_line(each)
                is_tested = each.verdict is not Verdict.NOT_TESTED
                reason, line = ("", line) if is_tested else (line, "")
                own_line = ClaimLine(verdict=each, line=line, own=own.get(each.id))
                by_reason[reason] = (*by_reason.get(reason, ()), own_line)
        yield ClaimGroup(tally=tally, by_reason=by_reason)


def _in_a_line(verdict: ClaimVerdict) -> str:
    """Return the first number that decides a claim, or what is missing."""
    deciding = [part for part in verdict.parts if part.verdict is verdict.verdict]
    if verdict.verdict is Verdict.NOT_TESTED or not deciding:
        return "; ".join(verdict.missing[:2]) or verdict.reading
    first, counted = deciding[0], ""
    if len(verdict.parts) > 1:
        counted = f" ({len(deciding)} of {len(verdict.parts)} parts)"
    told = ", ".join(f"{n.label} {number_in_words(n)}" for n in _judged_numbers(first))
    return f"{told}; asked {first.asked}{counted}"


def build_claims(judgement: Judgement) -> Claims:
    """Return every claim in detail."""
    own = {verdict.id: verdict for verdict in judgement.own_verdicts or ()}
    common = _common_notes(judgement.verdicts)
    places = {part.where for verdict in judgement.verdicts for part in _tested(verdict)}
    return Claims(
        where=next(iter(places)) if len(places) == 1 else "",
        notes=common,
        claims=tuple(
            (
                _side(each, common, with_where=len(places) > 1),
                *(_side(beside, (), with_where=True) for beside in (own.get(each.id),) if beside),
            )
            for each in judgement.verdicts
        ),
    )


def _side(verdict: ClaimVerdict, common: Sequence[str], *, with_where: bool) -> ClaimSide:
    untested = [part for part in verdict.parts if part.verdict is Verdict.NOT_TESTED]
    counts = Counter(part.missing for part in untested)
    return ClaimSide(
        verdict=verdict,
        parts=tuple(_part_rows(_tested(verdict))),
        missing={reason: counts[reason] for reason in verdict.missing},
        notes=tuple(note for note in _notes(verdict) if note not in common),
        with_where=with_where,
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
    audits = (f"audit {each.audit.value}: {each.says}" for each in verdict.undermined_by)
    return tuple(dict.fromkeys((*verdict.scope_reasons, *verdict.cautions, *audits)))


def _judged_numbers(part: Part) -> tuple[Number, ...]:
    """Return the judged number, or the two that had to be on one side of 1."""
    return part.numbers if part.limits is None else part.numbers[:1]


def _part_rows(parts: Sequence[Part]) -> Iterable[PartRows]:
    """Yield the tested parts by what they were asked, in their order."""
    alike: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        if part.numbers:
            alike.setdefault((part.asked, part.numbers[0].unit), []).append(part)
    for (asked, unit), group in alike.items():
        axis = _axis(group)
        behind = [n for part in group for n in part.numbers[len(_judged_numbers(part)) :]]
        yield PartRows(
            asked=asked,
            rows=tuple(
                PartRow(
                    part=part,
                    number=number,
                    plot=draw_row(axis, number.value, bounds_of(number)) if axis else None,
                )
                for part in group
                for number in _judged_numbers(part)
            ),
            names=draw_names(axis, partial(with_unit, unit=unit)) if axis else None,
            behind=tuple({number.key: number for number in behind}.values()),
        )


def _axis(parts: Sequence[Part]) -> ValueAxis | None:
    limits = parts[0].limits
    asked = LimitBand(low=limits.low, high=limits.high) if limits else LimitBand(line=_EQUAL)
    numbers = [number for part in parts for number in _judged_numbers(part)]
    ends = [end for number in numbers for end in bounds_of(number) or ()]
    return ValueAxis.around(asked, [*(number.value for number in numbers), *ends])

"""Verdicts on claims as the page has them: all in one plot, and each in full with its plots.

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

from edgemoe_appliance.analysis.claims import ClaimVerdict, Number, Part, Scope, Verdict
from edgemoe_appliance.analysis.claims.formatting import with_unit
from edgemoe_appliance.analysis.claims.judging import NEEDS_POWER
from edgemoe_appliance.analysis.claims.verdicts import FAMILIES, TOLD_ORDER, Family
from edgemoe_appliance.report.audit_blocks import Tally, tallies_of
from edgemoe_appliance.report.filters import bounds_of, mark_of
from edgemoe_appliance.report.material import Judgement
from edgemoe_appliance.report.range_plot import (
    LimitBand,
    PlotMark,
    ValueAxis,
    draw_names,
    draw_row,
    draw_scaled,
)

# Two ratios that order the same models must lie on the same side of it.
_EQUAL = 1.0
_FAMILY_TITLES: Mapping[Family, str] = {
    Family.CONDITIONS: "Under the study's conditions",
    Family.ELSEWHERE: "Under other conditions, in direction only",
    Family.PRINTED: "The study's figures against its own claims",
}


@dataclass(frozen=True, kw_only=True)
class TallyLine:
    """The counts of one family of verdicts; `href` is where they are told."""

    title: str
    href: str
    tallies: tuple[Tally, ...]


@dataclass(frozen=True, kw_only=True)
class OverviewRow:
    """A tested claim on the common band.

    `part` decides it, `number` is what was judged; `printed` are the study's own of the same kind.
    `own` is the verdict on these, None where they are what is judged.
    """

    verdict: ClaimVerdict
    part: Part
    number: Number
    printed: tuple[Number, ...]
    plot: Markup | None
    own: ClaimVerdict | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All claims: the tested ones in one plot, the others by what they lack.

    `is_study` says whether the study's own figures are what was judged; then those that are
    consistent are `folded`.
    """

    rows: tuple[OverviewRow, ...]
    folded: tuple[OverviewRow, ...]
    untested: Mapping[str, tuple[ClaimVerdict, ...]]
    is_study: bool
    kind: Literal["overview"] = "overview"


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


def build_tallies(judgement: Judgement) -> tuple[TallyLine, ...]:
    """Return the counts of the reader's verdicts by family, then those of the study's own.

    What was not tested has no family, and stands with the last of the reader's. A study that prints
    no figure of its claims has none to hold against them.
    """
    lines = []
    own = judgement.own_verdicts
    if own is not None:
        verdicts = judgement.verdicts
        told = [
            (_FAMILY_TITLES[family], [v for v in verdicts if v.verdict in FAMILIES[family]])
            for family in (Family.CONDITIONS, Family.ELSEWHERE)
        ]
        told = [each for each in told if each[1]] or [("Claims tested here", [])]
        told[-1][1].extend(v for v in verdicts if v.verdict is Verdict.NOT_TESTED)
        lines = [TallyLine(title=t, href="#holds", tallies=_tallies(found)) for t, found in told]
        if all(each.verdict is Verdict.NOT_TESTED for each in own):
            return tuple(lines)
    printed = TallyLine(
        title=_FAMILY_TITLES[Family.PRINTED],
        href="#holds" if own is None else "#claims-in-full",
        tallies=_tallies(judgement.verdicts if own is None else own),
    )
    return (*lines, printed)


def _tallies(verdicts: Sequence[ClaimVerdict]) -> tuple[Tally, ...]:
    return tallies_of(mark_of(each.verdict) for each in _in_order(verdicts))


def _in_order(verdicts: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """Return verdicts, what failed first."""
    return sorted(verdicts, key=lambda each: TOLD_ORDER.index(each.verdict))


def build_overview(judgement: Judgement) -> Overview:
    """Return all claims at a glance."""
    own = {verdict.id: verdict for verdict in judgement.own_verdicts or ()}
    untested: dict[str, tuple[ClaimVerdict, ...]] = {}
    rows = []
    for verdict in _in_order(judgement.verdicts):
        part = _deciding(verdict)
        if part is not None:
            rows.append(_overview_row(verdict, part, own.get(verdict.id)))
        else:
            need = _need(verdict)
            untested[need] = (*untested.get(need, ()), verdict)
    by_size = sorted(untested.items(), key=lambda each: -len(each[1]))
    is_study = judgement.own_verdicts is None
    folded = [row for row in rows if is_study and row.verdict.verdict is Verdict.CONSISTENT]
    return Overview(
        rows=tuple(row for row in rows if row not in folded),
        folded=tuple(folded),
        untested=dict(by_size),
        is_study=is_study,
    )


def _need(verdict: ClaimVerdict) -> str:
    """Return in a few words what kept a claim from being tested, alike where it is the same."""
    if any(need.startswith(NEEDS_POWER) for need in verdict.needs):
        return NEEDS_POWER
    return "; ".join(sorted(verdict.needs)) or verdict.reading


def _deciding(verdict: ClaimVerdict) -> Part | None:
    """Return the first part that has the verdict of the claim, None where none was tested."""
    tested = _tested(verdict)
    return next((part for part in tested if part.verdict is verdict.verdict and part.numbers), None)


def _overview_row(verdict: ClaimVerdict, part: Part, own: ClaimVerdict | None) -> OverviewRow:
    """Return a claim with the study's figures of the kind that was judged."""
    number = part.numbers[0]
    printed = tuple(
        each.numbers[0]
        for each in (_tested(own) if own else ())
        if each.numbers and each.numbers[0].label == number.label
    )
    shown = [(each, True) for each in printed] + [(number, verdict.source == "study")]
    marks = [
        PlotMark(value=each.value, bounds=bounds_of(each), is_hollow=is_hollow)
        for each, is_hollow in shown
    ]
    return OverviewRow(
        verdict=verdict,
        part=part,
        number=number,
        printed=printed,
        plot=draw_scaled(_asked(part), marks),
        own=own,
    )


def _asked(part: Part) -> LimitBand:
    limits = part.limits
    return LimitBand(low=limits.low, high=limits.high) if limits else LimitBand(line=_EQUAL)


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
    asked = _asked(parts[0])
    numbers = [number for part in parts for number in _judged_numbers(part)]
    ends = [end for number in numbers for end in bounds_of(number) or ()]
    return ValueAxis.around(asked, [*(number.value for number in numbers), *ends])

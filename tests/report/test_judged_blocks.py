"""Verdicts and findings as views: all are there, what failed comes first, words match shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgemoe_appliance.analysis.audit import (
    AuditFinding,
    AuditVerdict,
    by_cause,
    count_causes,
)
from edgemoe_appliance.analysis.claims import Scope, Verdict
from edgemoe_appliance.report.audit_blocks import build_audits, build_causes
from edgemoe_appliance.report.claim_blocks import (
    Overview,
    build_claims,
    build_overview,
    build_tallies,
)
from edgemoe_appliance.report.filters import anchor_of, mark_of
from edgemoe_appliance.report.material import Judgement, judge
from edgemoe_appliance.studies import read_study


@pytest.fixture(scope="module")
def own() -> Judgement:
    """Return what the study's own figures come to."""
    return judge(None, read_study())


def as_reader(own: Judgement) -> Judgement:
    """Return the same verdicts as if a reader had measured them, beside the study's."""
    verdicts = tuple(
        replace(each, source="reader", scope=Scope.DIRECTION, cautions=("a twin", each.id))
        for each in own.verdicts
    )
    return Judgement(
        verdicts=verdicts,
        findings=(),
        own_verdicts=own.verdicts,
        own_findings=own.findings,
    )


def ids_of(overview: Overview) -> list[str]:
    tested = [row.verdict.id for row in (*overview.rows, *overview.folded)]
    return sorted(tested + [v.id for group in overview.untested.values() for v in group])


def test_every_claim_is_in_the_overview_once_what_failed_first(own: Judgement) -> None:
    for judgement in (own, as_reader(own)):
        overview = build_overview(judgement)
        assert ids_of(overview) == sorted(each.id for each in own.verdicts)
        assert mark_of(overview.rows[0].verdict.verdict).shape == "fails"
        assert all(row.plot is not None for row in (*overview.rows, *overview.folded))


def test_what_is_consistent_is_folded_in_the_study_s_own_overview_alone(own: Judgement) -> None:
    folded = build_overview(own).folded
    assert {row.verdict.verdict for row in folded} == {Verdict.CONSISTENT}
    assert not build_overview(as_reader(own)).folded


def test_the_study_s_figures_of_the_same_kind_are_the_hollow_marks(own: Judgement) -> None:
    for row in build_overview(as_reader(own)).rows:
        assert row.number in row.printed, row.verdict.id
        assert str(row.plot).count('r-dot study"') == len(row.printed)
        assert str(row.plot).count('r-dot own"') == 1
    for row in build_overview(own).rows:
        assert 'r-dot own"' not in str(row.plot)


def test_families_are_counted_apart_and_all_are_counted(own: Judgement) -> None:
    words = {tally.mark.word for tally in build_tallies(own)[0].tallies}
    assert words <= {"consistent", "not consistent", "left open by the digits", "not tested"}
    elsewhere = tuple(
        replace(each, verdict=Verdict.SAME_DIRECTION)
        for each in own.verdicts
        if each.verdict is not Verdict.NOT_TESTED
    )
    mixed = (replace(elsewhere[0], verdict=Verdict.REPRODUCED), *elsewhere[1:])
    lines = build_tallies(replace(as_reader(own), verdicts=mixed))
    assert len({line.title for line in lines}) == len(lines) == 3
    assert [sum(tally.count for tally in line.tallies) for line in lines] == [
        1,
        len(mixed) - 1,
        len(own.verdicts),
    ]


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (("a Jetson",), "a Jetson"),
        (("b", "a"), "a; b"),
        (("no swap; no parts", "no swap"), "no parts; no swap"),
        (("needs readings of power: rapl: no zone",), "needs readings of power"),
        (("no run of A Q4_K", "no run of A Q4_K_M"), "no run of A Q4_K; no run of A Q4_K_M"),
        (("no run of A", "no run of A on B"), "no run of A on B"),
    ],
)
def test_what_many_claims_lack_is_told_once(
    own: Judgement, needs: tuple[str, ...], told: str
) -> None:
    part = replace(own.verdicts[0].parts[0], verdict=Verdict.NOT_TESTED, missing="at length")
    untested = tuple(
        replace(
            each,
            verdict=Verdict.NOT_TESTED,
            parts=tuple(replace(part, need=need) for need in needs),
        )
        for each in own.verdicts
    )
    overview = build_overview(Judgement(verdicts=untested, findings=()))
    assert list(overview.untested) == [told]
    assert not overview.rows


def test_every_tested_part_is_drawn(own: Judgement) -> None:
    sides = {side.verdict.id: side for (side,) in build_claims(own).claims}
    for verdict in own.verdicts:
        side = sides[verdict.id]
        tested = [part for part in verdict.parts if part.verdict is not Verdict.NOT_TESTED]
        rows = [row for rows in side.parts for row in rows.rows]
        judged = sum(len(part.numbers) if part.limits is None else 1 for part in tested)
        assert len(rows) == judged, verdict.id
        assert all(row.plot is not None and "r-dot" in row.plot for row in rows), verdict.id
        assert sum(side.missing.values()) == len(verdict.parts) - len(tested)


def test_notes_of_all_directions_stand_once(own: Judgement) -> None:
    claims = build_claims(as_reader(own))
    assert "a twin" in claims.notes
    for first, beside in claims.claims:
        assert (first.verdict.source, beside.verdict.source) == ("reader", "study")
        assert "a twin" not in first.notes
        assert first.verdict.id in first.notes


def test_every_finding_is_shown_and_has_an_anchor_of_its_own(own: Judgement) -> None:
    groups = build_audits(own.findings).groups
    views = [view for group in groups for view in group.findings]
    assert len(views) == len(own.findings)
    assert len({anchor_of(view) for view in views}) == len(views)
    for group in groups:
        asks = [mark_of(view.verdict).shape in ("fails", "open") for view in group.findings]
        assert asks == sorted(asks, reverse=True)


def test_causes_are_a_line_each_what_fails_first_and_all_are_counted(own: Judgement) -> None:
    causes = build_causes(own.findings)
    assert 0 < len(causes.lines) <= 5
    assert len({(line.title, line.source) for line in causes.lines}) == len(causes.lines)
    assert causes.lines[0].findings[0].verdict is AuditVerdict.INCONSISTENT
    told = [f for f in own.findings if not f.cause.is_hypothesis]
    groups = by_cause(told)
    assert len(causes.lines) + causes.more + causes.fitting + causes.untested == len(groups)
    assert not any("hypothesis" in line.title for line in causes.lines)


def test_the_page_groups_what_the_terminal_counts(own: Judgement) -> None:
    groups = build_audits(own.findings).groups
    counted = count_causes(own.findings)
    assert len(groups) == sum(each.causes for each in counted)
    asking = [each for each in counted if each.verdict is AuditVerdict.INCONSISTENT]
    first = [group.tallies[0] for group in groups]
    assert sum(tally.mark.shape == "fails" for tally in first) == sum(e.causes for e in asking)
    shown = sum(tally.count for tally in first if tally.mark.shape == "fails")
    assert shown == sum(each.figures for each in asking)


def test_anchors_of_strange_names_are_plain_and_differ(own: Judgement) -> None:
    def named(name: str) -> AuditFinding:
        return replace(own.findings[0], id=name)

    anchors = [anchor_of(named(name)) for name in ('a"><b', "a'><b", "a b", "x" * 900 + "!")]
    assert len(set(anchors)) == len(anchors)
    assert all(anchor.replace("-", "").replace(".", "").isalnum() for anchor in anchors)
    assert max(map(len, anchors)) < 100

"""Verdicts and findings as views: all are there, what failed comes first, words match shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgemoe_appliance.report.judgement import Judgement, judge

from edgemoe_appliance.analysis.audit import AuditFinding, AuditVerdict, count_causes
from edgemoe_appliance.analysis.claims import Scope, Verdict
from edgemoe_appliance.report.audit_blocks import build_audits, weightiest
from edgemoe_appliance.report.claim_blocks import build_answer, build_claims
from edgemoe_appliance.report.filters import anchor_of, mark_of
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


def test_every_claim_is_in_the_answer_once_and_counted(own: Judgement) -> None:
    answer = build_answer(own)
    lines = [line for group in answer.groups for each in group.by_reason.values() for line in each]
    assert sorted(line.verdict.id for line in lines) == sorted(each.id for each in own.verdicts)
    assert sum(tally.count for tally in answer.tallies) == len(own.verdicts)
    assert [group.tally for group in answer.groups] == list(answer.tallies)
    assert answer.tallies[0].mark.shape == "fails"


def test_the_study_alone_reproduces_nothing(own: Judgement) -> None:
    words = {tally.mark.word for tally in build_answer(own).tallies}
    assert words <= {"consistent", "not consistent", "left open by the digits", "not tested"}
    assert build_answer(as_reader(own)).own == build_answer(own).tallies


def test_what_many_claims_lack_is_told_once(own: Judgement) -> None:
    untested = tuple(
        replace(each, verdict=Verdict.NOT_TESTED, missing=("a Jetson",)) for each in own.verdicts
    )
    (group,) = build_answer(Judgement(verdicts=untested, findings=())).groups
    assert list(group.by_reason) == ["a Jetson"]
    assert not any(line.line for lines in group.by_reason.values() for line in lines)


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
    audits = build_audits("all", own.findings)
    views = [view for group in audits.groups for view in (*group.shown, *group.folded)]
    assert len(views) == len(own.findings)
    assert len({anchor_of(view) for view in views}) == len(views)
    marks = [mark_of(view.verdict) for group in audits.groups for view in group.shown]
    assert all(mark.shape in ("fails", "open") for mark in marks)


def test_key_audits_are_those_that_do_not_fit_one_of_a_cause(own: Judgement) -> None:
    key, others = weightiest(own.findings, 6)
    assert 0 < len(key) <= 6
    assert len({finding.cause for finding in key}) == len(key)
    assert all(finding.verdict is AuditVerdict.INCONSISTENT for finding in key)
    asks = (AuditVerdict.INCONSISTENT, AuditVerdict.UNDECIDED)
    figures = [finding for finding in own.findings if not finding.cause.is_hypothesis]
    assert others == sum(finding.verdict in asks for finding in figures) - len(key)


def test_the_page_groups_what_the_terminal_counts(own: Judgement) -> None:
    groups = build_audits("all", own.findings).groups
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

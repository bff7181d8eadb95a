"""What `claims` prints: the study against itself as kept here, at any width, from any names."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.audit import AuditFinding, audit
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    Scope,
    StudyEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.analysis.claims.verdicts import count_verdicts
from edgemoe_appliance.app.judgement import (
    claim_in_full,
    family_lines,
    finding_in_full,
    matching,
    overview,
)
from edgemoe_appliance.studies import read_study

GOLDEN = Path(__file__).parent / "golden"
CLAIMS = "claims-study.txt"
Judged = tuple[tuple[ClaimVerdict, ...], tuple[AuditFinding, ...]]


@pytest.fixture(scope="module")
def judged() -> Judged:
    """Return the study against itself; of its claims those that are kept, unless all are taken."""
    evidence = StudyEvidence(read_study())
    known = re.findall(r"\bc\d+[a-z]?\b", (GOLDEN / CLAIMS).read_text(encoding="utf-8"))
    verdicts = judge_claims(evidence)
    if not os.environ.get("ACCEPT_GOLDEN"):
        verdicts = tuple(verdict for verdict in verdicts if verdict.id in known)
    return verdicts, audit(evidence)


def kept(name: str, lines: list[str]) -> None:
    """Set ACCEPT_GOLDEN=1 to take the present output as right, then read the difference."""
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    if os.environ.get("ACCEPT_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_study_against_itself_is_told_as_kept_here(judged: Judged) -> None:
    kept(CLAIMS, [line.plain for line in overview(*judged, 80)])


def test_a_claim_and_an_audit_in_full_are_told_as_kept_here(judged: Judged) -> None:
    verdicts, findings = judged
    told = [line for v in verdicts if v.id in ("c4", "c24", "c41") for line in claim_in_full(v, 80)]
    told += [
        line
        for finding in findings
        if finding.id == "energy-window.jetson.olmoe-1b-7b"
        for line in finding_in_full(finding, 80)
    ]
    kept("claims-in-full.txt", [line.plain for line in told])


@pytest.mark.parametrize("width", [50, 80, 120])
def test_no_line_is_wider_than_asked(judged: Judged, width: int) -> None:
    assert max(line.cell_len for line in overview(*judged, width)) <= width


def test_every_claim_stands_in_the_overview_once(judged: Judged) -> None:
    verdicts, findings = judged
    lines = [line.plain for line in overview(verdicts, findings, 200)]
    told = [
        name
        for line in lines
        for words in line.partition(":")[0].strip(" -~").split(", ")
        for name in words.split()[:1]
    ]
    for verdict in verdicts:
        assert told.count(verdict.id) == 1, verdict.id


def test_claims_that_wait_for_the_same_stand_together(judged: Judged) -> None:
    lines = [line.plain for line in overview(*judged, 200)]
    wanted = "the study prints no rate by number of threads"
    assert any(line.startswith(f"  - c22, c31: {wanted}") for line in lines)


def test_directions_are_counted_apart(judged: Judged) -> None:
    verdicts, findings = judged
    one = replace(
        verdicts[0], verdict=Verdict.SAME_DIRECTION, scope=Scope.DIRECTION, source="reader"
    )
    lines = [line.plain for line in overview((one, *verdicts[1:]), findings, 100)]
    assert "elsewhere: 1 same direction" in lines
    assert "SAME DIRECTION (1)" in lines


def test_notes_come_after_the_verdicts_each_once(judged: Judged) -> None:
    verdicts, findings = judged
    noted = [replace(verdict, cautions=("mind the heat",)) for verdict in verdicts[:2]]
    lines = [line.plain for line in overview(noted, findings, 100)]
    places = [place for place, line in enumerate(lines) if line == "note: mind the heat"]
    assert len(places) == 1
    assert places[0] > max(lines.index(line) for line in lines if line.startswith("  c"))


def test_a_hostile_name_stays_on_its_line_and_has_no_markup(judged: Judged) -> None:
    verdicts, findings = judged
    hostile = "\x1b[31m[red]" + "\n" * 3 + "\u202e" + "x" * 5000
    one = replace(verdicts[0], statement=hostile, brief=hostile, cautions=(hostile,))
    other = replace(findings[3], subject=hostile, brief=hostile, id=f"energy-window.{hostile}")
    lines = [
        *overview((one,), (other,), 80),
        *claim_in_full(one, 80),
        *finding_in_full(other, 80),
    ]
    assert all(line.plain.isprintable() for line in lines)
    assert any("[red]" in line.plain for line in lines)
    assert sum(len(line.plain) for line in lines) < 25_000


def test_ids_are_found_by_name_and_by_family() -> None:
    ids = ["c1", "c10", "roofline.total.m2", "roofline.active.m2"]
    assert matching(["c1"], ids) == (["c1"], [])
    assert matching(["roofline", "c10", "c10"], ids) == ([*ids[2:], "c10"], [])
    assert matching(["roof", "c2"], ids) == ([], ["roof", "c2"])


def test_the_terminal_counts_what_the_verdicts_count(judged: Judged) -> None:
    verdicts, _ = judged
    mixed = tuple(
        replace(each, verdict=verdict)
        for each, verdict in zip(
            verdicts, [*Verdict] * (1 + len(verdicts) // len(Verdict)), strict=False
        )
    )
    counted = count_verdicts(mixed)
    assert sum(n for counts in counted.values() for n in counts.values()) == len(mixed)
    told = list(family_lines(mixed))
    assert len(told) == len(counted)
    for line, counts in zip(told, counted.values(), strict=True):
        assert [int(word) for word in line.split() if word.isdigit()] == list(counts.values())

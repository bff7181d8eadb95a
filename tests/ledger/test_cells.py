"""Archives judged together."""

from __future__ import annotations

from statistics import stdev
from typing import Any

import pytest

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.analysis.claims.verdicts import Family
from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.ledger.cells import LedgerCell, build_cells, estimate_over
from edgemoe_appliance.ledger.entries import _declared, one_board_each
from edgemoe_appliance.studies import read_study
from tests.ledger.entries import digest, ledger_entry


def only(*entries: object) -> LedgerCell:
    (cell,) = build_cells(entries)  # type: ignore[arg-type]
    return cell


def test_one_session_keeps_its_verdict_and_its_own_interval() -> None:
    cell = only(ledger_entry("a", 0.69))
    assert (cell.verdict, cell.boards, cell.sessions) == (Verdict.REPRODUCED, 1, 1)
    number = cell.parts[0].number
    assert number is not None
    assert number.covers == "within one session only"
    assert isinstance(number.interval, Interval)
    assert number.interval.low == pytest.approx(0.68)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.69, 0.70), Verdict.REPRODUCED),  # both say so, without an interval over boards
        ((0.69, 0.60), Verdict.INCONCLUSIVE),  # one of each
        ((0.60, 0.59), Verdict.NOT_REPRODUCED),
    ],
)
def test_two_sessions_decide_only_where_they_agree(
    values: tuple[float, ...], verdict: Verdict
) -> None:
    cell = only(*(ledger_entry(f"b{n}", value) for n, value in enumerate(values)))
    assert cell.verdict is verdict
    assert cell.parts[0].number is not None
    assert isinstance(cell.parts[0].number.interval, Absent)


def test_boards_that_differ_more_than_their_own_intervals_leave_a_claim_open() -> None:
    """Each is reproduced for itself; over boards the mean is not known well enough."""
    boards = [ledger_entry(f"b{n}", value) for n, value in enumerate((0.655, 0.69, 0.728))]
    assert [only(each).verdict for each in boards] == [Verdict.REPRODUCED] * 3
    cell = only(*boards)
    assert cell.verdict is Verdict.INCONCLUSIVE
    number = cell.parts[0].number
    assert number is not None
    assert number.covers == "between 3 boards"
    # Student's t of two degrees of freedom, 90 %: 2.919986.
    half = 2.919986 * stdev((0.655, 0.69, 0.728)) / 3**0.5
    assert isinstance(number.interval, Interval)
    assert number.interval.half_width == pytest.approx(half, rel=1e-5)


def test_sessions_of_a_board_count_once_over_boards() -> None:
    """A board with many sessions must not outvote the others."""
    many = {f"a{n}": [0.70] for n in range(2)} | {"b": [0.60, 0.61, 0.59, 0.60, 0.60]}
    found = estimate_over(many)
    assert found.value == pytest.approx((0.70 + 0.70 + 0.60) / 3)
    assert found.sd_between_boards == pytest.approx(stdev((0.70, 0.70, 0.60)))
    assert found.sd_between_sessions == pytest.approx(stdev((0.60, 0.61, 0.59, 0.60, 0.60)))
    assert isinstance(found.interval, Interval)
    assert found.interval.sessions == 3


def test_three_sessions_of_one_board_say_nothing_of_other_boards() -> None:
    found = estimate_over({"a": [0.69, 0.70, 0.71]})
    assert found.covers == "between 3 sessions of one board only"
    assert found.sd_between_boards is None


def test_families_engines_and_studies_share_no_cell() -> None:
    entries = [
        ledger_entry("a", 0.69),
        ledger_entry("b", 0.69, family=Family.ELSEWHERE),
        ledger_entry("c", 0.69, engine="b2 (111111111)"),
        ledger_entry("d", 0.69, quantization="Q8_0"),
        ledger_entry("e", 0.69, study={"id": "study", "sha256": "f" * 64}),
    ]
    assert len(build_cells(entries)) == len(entries)


def test_what_no_archive_tested_has_no_cell() -> None:
    entry = ledger_entry("a", 0.69)
    claim = entry.claims["c1"].model_copy(update={"verdict": Verdict.NOT_TESTED})
    assert build_cells([entry.model_copy(update={"claims": {"c1": claim}})]) == ()


def test_twins_and_models_share_no_cell() -> None:
    entries = [ledger_entry("a", 0.69), ledger_entry("b", 0.69, session="2", twins="full")]
    cells = build_cells(entries)
    assert [cell.key.models for cell in cells] == ["Q4_K_M", "Q4_K_M, full twins"]


def test_engines_come_from_old_to_new() -> None:
    """By build number, else after the one declared before; the unknown last."""
    told: list[dict[str, Any]] = [
        {"engine": "b4447 (a)"},
        {"engine": "b5763 (b)"},
        {"engine": "aug2025 (c)", "declared_after": 5763, "declared_place": 3},
        {"engine": "a later one (d)", "declared_after": 5763, "declared_place": 4},
        {"engine": "mine (build 6000, commit e)", "build_number": 6000, "declared_place": 9},
        {"engine": "b11312 (f)"},
        {"engine": "a folder (g)"},
    ]
    cells = build_cells(ledger_entry("a", 0.69, **each) for each in reversed(told))
    assert [cell.key.engine for cell in cells] == [f"{each['engine']}, cpu" for each in told]


def test_a_pin_without_a_number_is_placed_by_the_one_declared_before_it() -> None:
    engines = read_study("moe-edge").configs.engines
    assert _declared("aug2025", engines) == (5763, 3)
    assert _declared("b4404", engines) == (None, 0)
    assert _declared("of another catalogue", engines) == (11312, len(engines.pins))


def test_a_container_adds_no_board_to_the_machine_it_ran_on() -> None:
    kind = digest("a kind of board")
    native = ledger_entry("a", 0.69)
    boxed = ledger_entry("b", 0.69, session="2").model_copy(update={"board": kind})
    assert {entry.board for entry in one_board_each([native, boxed])} == {native.board}
    alone = one_board_each([boxed])
    assert [entry.board for entry in alone] == [kind]

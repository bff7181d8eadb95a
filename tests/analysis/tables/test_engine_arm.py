"""Table of the engine arm: ratios by pin on one machine, same files, same prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import DENSE, ENGINE, MOE, NEW, OLD, PIN_FACTOR, outcome, session
from tests.analysis.journals import Synthetic, failed, write_session

BOTH = session(experiments={"engine": ENGINE})


def table_of(root: Path, *synthetics: Synthetic) -> Table:
    folders = [write_session(root, synthetic, outcome) for synthetic in synthetics]
    return build_tables(load_sessions(folders), read_study())["engine-arm"]


def row_of(table: Table, model: str, pin: str) -> Row:
    (found,) = [
        row
        for row in table.rows()
        if row.model == model and str(row.cells["pin"].value).endswith(pin)
    ]
    return found


def test_the_ratio_of_the_pins_by_hand(tmp_path: Path) -> None:
    table = table_of(tmp_path, BOTH)
    assert len(table.groups) == 1
    old, new = (row_of(table, MOE, pin).cells for pin in (OLD, NEW))
    assert (old["n"].value, new["n"].value) == (9, 9)
    assert new["gen_tok_s"].number == pytest.approx(PIN_FACTOR * (old["gen_tok_s"].number or 0))
    for key in ("gen_tok_s_ratio", "prompt_tok_s_ratio"):
        ratio = new[key]
        assert ratio.number == pytest.approx(PIN_FACTOR)
        # Prompts differ, but by the same factor with either pin.
        assert isinstance(ratio.interval, Interval)
        assert ratio.interval.low == pytest.approx(PIN_FACTOR)
    assert new["peak_rss_gib_ratio"].number == pytest.approx(1)
    assert new["gross_j_per_tok_ratio"].number == pytest.approx(1 / PIN_FACTOR, rel=1e-3)
    assert old["gen_tok_s_ratio"].absent == "the others are compared with this pin"


def test_a_reading_that_no_pin_has_says_why_in_every_row(tmp_path: Path) -> None:
    def unmetered(index: int, spec: RunSpec) -> Mapping[str, Any]:
        ended = outcome(index, spec)
        kept = {key: v for key, v in ended["metrics"].items() if not key.startswith("j_per_")}
        return {**ended, "metrics": kept, "absent": {"j_per_token_gross": "no power source"}}

    folder = write_session(tmp_path, BOTH, unmetered)
    table = build_tables(load_sessions([folder]), read_study())["engine-arm"]
    for row in table.rows():
        for key in ("gross_j_per_tok", "gross_j_per_tok_ratio"):
            assert row.cells[key].absent == "no power source"


def test_texts_are_compared_by_prompt(tmp_path: Path) -> None:
    table = table_of(tmp_path, BOTH)
    assert row_of(table, MOE, NEW).cells["same_text"].value == "2 of 3"
    assert row_of(table, DENSE, NEW).cells["same_text"].value == "3 of 3"


def test_only_prompts_that_both_ran_are_compared(tmp_path: Path) -> None:
    def without_one(index: int, spec: RunSpec) -> Mapping[str, Any]:
        lost = spec.pin == NEW and spec.prompt == "prompt-03"
        return failed(Status.TIMEOUT, "slow") if lost else outcome(index, spec)

    folder = write_session(tmp_path, BOTH, without_one)
    cells = row_of(
        build_tables(load_sessions([folder]), read_study())["engine-arm"], MOE, NEW
    ).cells
    assert (cells["n"].value, cells["not_ok"].value) == (6, 3)
    assert cells["gen_tok_s_ratio"].number == pytest.approx(PIN_FACTOR)
    assert cells["same_text"].value == "1 of 2"


def test_another_machine_or_another_file_is_not_compared(tmp_path: Path) -> None:
    one = ENGINE.model_copy(update={"pins": (OLD,)})
    other = ENGINE.model_copy(update={"pins": (NEW,)})
    first = session(experiments={"engine": one})
    second = session(session="second", host_name="host-b", experiments={"engine": other})
    table = table_of(tmp_path / "hosts", first, second)
    assert len(table.groups) == 2
    assert all(row.cells["gen_tok_s_ratio"].value is None for row in table.rows())
    assert "one pin only: nothing to compare with" in table.groups[0].notes
    moved = replace(second, host_name="host-a", model_sha256={MOE: "e" * 64})
    table = table_of(tmp_path / "files", first, moved)
    assert len(table.groups) == 1
    assert "no run of this file" in row_of(table, MOE, NEW).cells["gen_tok_s_ratio"].absent
    assert row_of(table, DENSE, NEW).cells["gen_tok_s_ratio"].number == pytest.approx(PIN_FACTOR)


def test_builds_that_differ_in_more_than_the_pin_say_so(tmp_path: Path) -> None:
    table = table_of(tmp_path, replace(BOTH, compilers={NEW: "another 2.0"}))
    assert any("differ in their compiler too" in note for note in table.groups[0].notes)
    assert not any("cmake" in note for note in table.groups[0].notes)


def test_without_sessions_there_is_nothing() -> None:
    assert build_tables(None, read_study())["engine-arm"].groups == ()

"""Table of heat: temperatures, throttling, pauses, and the runs that heat added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import record_line
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import HEADLINE, MOE, outcome, session
from tests.analysis.journals import (
    build_end,
    build_header,
    build_plan,
    journal_lines,
    write_lines,
    write_session,
)

CHOSEN = session(experiments={"headline": HEADLINE})


def table_of(*folders: Path) -> Table:
    return build_tables(load_sessions(folders), read_study())["heat"]


def cells_of(table: Table, model: str = MOE) -> Mapping[str, Any]:
    return next(row for row in table.rows("reader") if row.model == model).cells


def test_temperatures_and_pauses_by_hand(tmp_path: Path) -> None:
    cells = cells_of(table_of(write_session(tmp_path, CHOSEN, outcome)))
    assert cells["start_c"].number == pytest.approx(40)
    assert cells["peak_c"].number == pytest.approx(58)  # 54, 58 and 62 in three repetitions
    assert cells["highest_c"].number == pytest.approx(62)
    assert cells["end_c"].number == pytest.approx(45)
    assert cells["above_threshold"].value == 3  # the third of each of three prompts
    assert cells["throttle_events"].number == pytest.approx(3)
    assert cells["pause_s"].number == pytest.approx(30)
    assert cells["paused_s"].number == pytest.approx(270)
    assert cells["added"].value == 0


def test_runs_that_heat_added_are_counted_by_model(tmp_path: Path) -> None:
    plan = build_plan(CHOSEN)
    lines = journal_lines(plan, CHOSEN, changes=outcome)
    last = next(run for run in reversed(plan.runs) if run.model == MOE)
    for repetition in (4, 5):
        added = last.model_copy(update={"repetition": repetition})
        header = build_header(plan, added)
        lines += [record_line(header), record_line(build_end(header, **outcome(0, added)))]
    table = table_of(write_lines(tmp_path / "hot", plan, lines))
    assert cells_of(table)["added"].value == 2
    assert cells_of(table)["n"].value == 11
    assert cells_of(table, "llama-3.2-1b")["added"].value == 0


def test_the_study_s_peak_stands_beside_the_highest_reading(tmp_path: Path) -> None:
    like = replace(CHOSEN, study_device="jetson", twin_scale=None, memory_bytes=8 * 10**9)
    cells = cells_of(table_of(write_session(tmp_path / "like", like, outcome)))
    assert cells["study_highest_c"].value == 55.1
    assert cells["less_study_k"].number == pytest.approx(62 - 55.1)
    cells = cells_of(table_of(write_session(tmp_path / "twin", CHOSEN, outcome)))
    assert "reduced twins" in cells["less_study_k"].absent


def test_the_rules_of_both_are_told(tmp_path: Path) -> None:
    notes = table_of(write_session(tmp_path, CHOSEN, outcome)).notes
    assert "above 60 °C a model is repeated 5 times; pause between runs: none" in notes[0]
    assert "above 60 °C 5 instead of 3 repetitions; pause between runs: 30 s" in notes[1]


def test_a_machine_without_sensors_has_the_study_s_rows_alone(tmp_path: Path) -> None:
    def cold(index: int, spec: RunSpec) -> Mapping[str, Any]:
        return {"absent": {"temp_peak_c": "this machine shows no temperature of its die"}}

    table = table_of(write_session(tmp_path, CHOSEN, cold))
    assert [group.source for group in table.groups] == ["study"]


def test_one_missing_sensor_keeps_the_rest(tmp_path: Path) -> None:
    def paused_only(index: int, spec: RunSpec) -> Mapping[str, Any]:
        ended = outcome(index, spec)
        kept = {key: v for key, v in ended["metrics"].items() if not key.startswith("temp_")}
        absent = {"temp_peak_c": "this machine shows no temperature of its die"}
        return {**ended, "metrics": kept, "absent": absent}

    cells = cells_of(table_of(write_session(tmp_path, CHOSEN, paused_only)))
    assert cells["highest_c"].absent == "this machine shows no temperature of its die"
    assert cells["above_threshold"].absent == cells["highest_c"].absent
    assert cells["pause_s"].number == pytest.approx(30)

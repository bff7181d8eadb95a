"""The differences to the study's figures in the tables that mirror its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.analysis.tables.common import outside
from edgemoe_appliance.studies import read_study
from tests.analysis.journals import Synthetic, write_session


def row_of(table: Table, model: str) -> Row:
    return next(row for row in table.rows("reader") if row.model == model)


def test_the_variation_is_set_against_a_value_or_against_bounds(tmp_path: Path) -> None:
    folder = write_session(tmp_path, Synthetic(study_device="m2", twin_scale=None))
    table = build_tables(load_sessions([folder]), read_study())["stability"]
    value, bounds = (row_of(table, model).cells for model in ("llama-3.2-1b", "olmoe-1b-7b"))
    assert value["study_cv_pct"].value == 8.1
    cv = value["cv_pct"]
    assert value["beyond_study_pp"].number == pytest.approx((cv.number or 0) - 8.1)
    assert isinstance(cv.interval, Interval)
    assert isinstance(value["beyond_study_pp"].interval, Interval)
    assert bounds["study_cv_pct"].value == "at most 5.2"
    over = max((bounds["cv_pct"].number or 0) - 5.2, 0)
    assert bounds["beyond_study_pp"].number == pytest.approx(over)


def test_each_length_and_the_fall_are_set_against_the_study_s(tmp_path: Path) -> None:
    folder = write_session(tmp_path, Synthetic(study_device="m2", twin_scale=None))
    table = build_tables(load_sessions([folder]), read_study())["prompt-length"]
    cells = row_of(table, "gemma-2-2b").cells
    assert cells["short_to_study"].number == pytest.approx(10.04 / 60.7)
    assert cells["medium_to_study"].number == pytest.approx(9.54 / 60.3)
    assert cells["long_to_study"].number == pytest.approx(8.04 / 57.4)
    assert cells["fall_less_study_pp"].number == pytest.approx(100 * (1 - 8.04 / 10.04) - 5.4)
    assert isinstance(cells["fall_less_study_pp"].interval, Interval)


def test_elsewhere_the_reason_stands_in_their_place(tmp_path: Path) -> None:
    tables = build_tables(load_sessions([write_session(tmp_path, Synthetic())]), read_study())
    for table, key in (
        (tables["stability"], "beyond_study_pp"),
        (tables["prompt-length"], "fall_less_study_pp"),
        (tables["throughput"], "to_study"),
        (tables["memory"], "to_study"),
    ):
        reason = row_of(table, "gemma-2-2b").cells[key].absent
        assert "neither of the study's devices" in reason
        assert "reduced twins" in reason


def test_outside_of_a_range() -> None:
    assert [outside(value, 2.0, 3.0) for value in (1.5, 2.5, 4.0)] == [-0.5, 0.0, 1.0]
    assert outside(1.0, None, 5.0) == 0

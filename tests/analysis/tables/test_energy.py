"""Tables of energy: per token by the appliance's and the study's way, and by window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables import Tables, build_tables
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import HEADLINE, MEMORY, MOE, outcome, rate, session
from tests.analysis.journals import Synthetic, build_plan, write_session

CHOSEN = session(experiments={"headline": HEADLINE})


def tables_of(root: Path, synthetic: Synthetic = CHOSEN) -> Tables:
    return build_tables(load_sessions([write_session(root, synthetic, outcome)]), read_study())


def row_of(table: Table, model: str = MOE) -> Row:
    return next(row for row in table.rows("reader") if row.model == model)


def per_token(energy: float) -> float:
    rates = [rate(run) for run in build_plan(CHOSEN).runs if run.model == MOE]
    return sum(energy / each for each in rates) / len(rates)


def test_both_ways_of_counting_stand_side_by_side(tmp_path: Path) -> None:
    cells = row_of(tables_of(tmp_path)["energy"]).cells
    assert cells["mean_j_per_tok"].number == pytest.approx(per_token(6))
    assert cells["gross_j_per_tok"].number == pytest.approx(per_token(5))
    assert cells["gross_u95_j_per_tok"].number == pytest.approx(0.001)
    assert cells["net_j_per_tok"].number == pytest.approx(per_token(3))
    assert cells["net_u95_j_per_tok"].number == pytest.approx(0.002)
    assert cells["avg_power_w"].number == pytest.approx(4.7)
    assert cells["generate_power_w"].number == pytest.approx(5)
    assert cells["peak_power_w"].number == pytest.approx(11)


def test_the_study_s_energy_and_power_are_compared_on_its_device(tmp_path: Path) -> None:
    like = replace(CHOSEN, study_device="jetson", twin_scale=None, memory_bytes=8 * 10**9)
    cells = row_of(tables_of(tmp_path / "like", like)["energy"]).cells
    assert cells["study_mean_j_per_tok"].value == 0.96
    assert cells["to_study"].number == pytest.approx(per_token(6) / 0.96)
    assert cells["power_to_study"].number == pytest.approx(4.7 / 8.49)
    cells = row_of(tables_of(tmp_path / "twin")["energy"]).cells
    assert "reduced twins" in cells["to_study"].absent
    assert "reduced twins" in cells["study_avg_power_w"].absent


def test_windows_by_hand(tmp_path: Path) -> None:
    table = tables_of(tmp_path)["energy-windows"]
    rows = [row.cells for row in table.rows() if row.model == MOE]
    windows = {str(cells["window"].value): cells for cells in rows}
    assert windows["load"]["energy_j"].number == pytest.approx(8)
    assert windows["prompt"]["power_w"].number == pytest.approx(6)
    assert windows["unload"]["energy_j"].number == pytest.approx(0.5)
    assert windows["generation"]["energy_u95_j"].number == pytest.approx(0.2)
    assert windows["generation"]["peak_power_w"].number == pytest.approx(9)
    assert windows["whole process"]["cross_diff_pct"].number == pytest.approx(-1.5)
    assert windows["idle, just before"]["power_w"].number == pytest.approx(2)
    assert [cells["n"].value for cells in rows] == [9] * 6
    for name, key in (("idle, just before", "energy_j"), ("load", "cross_diff_pct")):
        assert windows[name][key].absent == "not recorded for this window"


def test_without_readings_there_are_no_windows(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, session(experiments={"memory": MEMORY}))
    assert tables["energy-windows"].groups == ()

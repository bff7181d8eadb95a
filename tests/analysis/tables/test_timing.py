"""Table of times: the parts of a run and how often its two clocks disagree."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import DENSE, HEADLINE, MOE, failing, outcome, rate, session
from tests.analysis.journals import Changes, build_plan, write_session

CHOSEN = session(experiments={"headline": HEADLINE})


def table_of(root: Path, changes: Changes = outcome) -> Table:
    folder = write_session(root, CHOSEN, changes)
    return build_tables(load_sessions([folder]), read_study())["time"]


def test_means_by_hand(tmp_path: Path) -> None:
    cells = next(row for row in table_of(tmp_path).rows() if row.model == MOE).cells
    rates = [rate(run) for run in build_plan(CHOSEN).runs if run.model == MOE]
    assert cells["wall_s"].number == pytest.approx(12)
    assert cells["load_s"].number == pytest.approx(2)
    assert cells["ttft_s"].number == pytest.approx(2.5)
    assert cells["gen_tok_s"].number == pytest.approx(sum(rates) / len(rates))
    assert cells["gap_p99_ms"].number == pytest.approx(32)
    assert cells["n"].value == 9


def test_runs_whose_clocks_disagree_are_counted(tmp_path: Path) -> None:
    counts = {row.model: row.cells["disagree"].value for row in table_of(tmp_path).rows()}
    assert counts == {MOE: 0, DENSE: 3}


def test_a_model_without_good_runs_has_reasons(tmp_path: Path) -> None:
    table = table_of(tmp_path, failing(MOE))
    cells = next(row for row in table.rows() if row.model == MOE).cells
    assert cells["wall_s"].absent == "no run with this reading"
    assert (cells["n"].value, cells["not_ok"].value) == (0, 9)

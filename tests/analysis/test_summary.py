"""The summary for a terminal: one row per model and condition, the tables' own figures."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.summary import summary_rows
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.studies import read_study
from tests.analysis.journals import Synthetic, write_session


def test_rows_hold_the_cells_of_the_tables(tmp_path: Path) -> None:
    study = read_study()
    loaded = load_sessions([write_session(tmp_path, Synthetic())])
    rows = summary_rows(loaded, study)
    tables = build_tables(loaded, study)
    assert len(rows) == 4
    for row, rate, peak in zip(
        rows, tables["throughput"].groups[0].rows, tables["memory"].groups[0].rows, strict=True
    ):
        assert row.model == rate.cells["model"].value
        assert row.gen_tok_s == rate.cells["mean_tok_s"]
        assert row.prompt_tok_s == rate.cells["prompt_tok_s"]
        assert row.to_baseline == rate.cells["to_baseline"]
        assert row.peak_rss_gib == peak.cells["peak_rss_gib"]
        assert (row.runs_ok, row.runs_not_ok, row.twin) == (45, 0, "thin")


def test_without_headline_runs_there_are_no_rows(tmp_path: Path) -> None:
    loaded = load_sessions([write_session(tmp_path, Synthetic(), runs=0)])
    assert summary_rows(loaded, read_study()) == ()

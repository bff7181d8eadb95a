"""Table of routing: strata, parts, modes, and the slowdown beside every share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables.routing import routing_table
from edgemoe_appliance.schema.configs import Arm, Experiment
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.arms import ROUTING, outcome, session
from tests.analysis.journals import Synthetic, write_session

SHORT, BETWEEN, LONG = "at most 200 tokens", "other or unknown lengths", "at least 500 tokens"


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def load(root: Path, synthetic: Synthetic) -> LoadedSessions:
    return load_sessions([write_session(root, synthetic, outcome)])


def routed(experiment: Experiment = ROUTING, **changes: object) -> Synthetic:
    return replace(session(experiments={"routing": experiment}), **changes)  # type: ignore[arg-type]


def row_of(table: Table, stratum: str, part: str, mode: str) -> Row:
    (found,) = [
        row
        for row in table.rows("reader")
        if tuple(row.cells[key].value for key in ("stratum", "part", "mode"))
        == (stratum, part, mode)
    ]
    return found


def test_times_and_shares_by_hand(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    decode = row_of(table, SHORT, "generation", "every node").cells
    assert decode["routing_ms"].number == pytest.approx(600)
    assert decode["ffn_ms"].number == pytest.approx(2400)
    assert decode["moe_ms"].number == pytest.approx(3000)
    assert decode["routing_share_pct"].number == pytest.approx(20)
    assert decode["projections_ms"].number == pytest.approx(2000)
    assert decode["counted_moe_ms"].number == pytest.approx(2600)
    assert decode["counted_share_pct"].number == pytest.approx(100 * 600 / 2600)
    assert decode["median_share_pct"].number == pytest.approx(20)
    assert decode["n"].value == 6  # two short prompts, three repetitions
    prompt = row_of(table, SHORT, "prompt", "every node").cells
    assert prompt["routing_ms"].number == pytest.approx(30)
    assert prompt["ffn_ms"].number == pytest.approx(240)
    whole = row_of(table, LONG, "whole run", "every node").cells
    assert whole["routing_ms"].number == pytest.approx(600 + 180)
    assert whole["ffn_ms"].number == pytest.approx(2400 + 1440)
    assert whole["routing_share_pct"].number == pytest.approx(100 * 780 / (780 + 3840))
    assert whole["median_share_pct"].absent.startswith("of generation only")


def test_prompts_of_neither_class_are_a_row_of_their_own(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    assert row_of(table, BETWEEN, "generation", "edges of groups").cells["n"].value == 3
    counts = [
        row_of(table, each, "prompt", "every node").cells["n"].value
        for each in (SHORT, BETWEEN, LONG)
    ]
    assert counts == [6, 3, 6]


def test_modes_in_turn_tell_the_slowdown_of_generation(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    for mode, expected in (("every node", 1.52), ("edges of groups", 1.12)):
        cells = row_of(table, SHORT, "generation", mode).cells
        assert cells["slowdown"].number == pytest.approx(expected)
        assert cells["slowdown_from"].value == "modes in turn"
        share = 18 if mode == "every node" else 16
        assert cells["turn_share_pct"].number == pytest.approx(share)


def test_plain_runs_tell_it_of_the_other_parts(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    for part in ("whole run", "prompt"):
        for mode, expected in (("every node", 1.5), ("edges of groups", 1.1)):
            cells = row_of(table, LONG, part, mode).cells
            assert cells["slowdown"].number == pytest.approx(expected)
            assert cells["slowdown_from"].value == "plain runs"


def test_plain_runs_stand_in_where_no_run_took_turns(tmp_path: Path, study: Study) -> None:
    arms = (Arm.PLAIN, Arm.PROBE_PER_NODE)
    table = routing_table(load(tmp_path, routed(ROUTING.model_copy(update={"arms": arms}))), study)
    cells = row_of(table, SHORT, "generation", "every node").cells
    assert cells["slowdown"].number == pytest.approx(1.5)
    assert cells["slowdown_from"].value == "plain runs"
    assert cells["turn_share_pct"].absent.startswith("no run with the modes in turn")


def test_without_either_there_is_no_slowdown(tmp_path: Path, study: Study) -> None:
    lone = ROUTING.model_copy(update={"arms": (Arm.PROBE_BOUNDARY,)})
    table = routing_table(load(tmp_path, routed(lone)), study)
    for row in table.rows("reader"):
        assert "neither a run with the modes in turn" in row.cells["slowdown"].absent
        assert row.cells["slowdown_from"].absent


def test_names_that_the_probe_does_not_know_are_counted_and_listed(
    tmp_path: Path, study: Study
) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    assert row_of(table, SHORT, "prompt", "every node").cells["unknown_nodes"].value == 2
    assert table.notes[0] == (
        "30 probed runs: nodes that the probe does not know count as other: extra-0, extra-1."
    )


def test_on_the_study_s_device_the_share_stands_beside_the_study_s(
    tmp_path: Path, study: Study
) -> None:
    like = routed(study_device="jetson", twin_scale=None, memory_bytes=8 * 10**9)
    table = routing_table(load(tmp_path, like), study)
    cells = row_of(table, SHORT, "whole run", "every node").cells
    assert cells["study_share_pct"].value == 8.9
    own = cells["counted_share_pct"]
    assert cells["less_study_pp"].number == pytest.approx((own.number or 0) - 8.9)
    part = row_of(table, SHORT, "generation", "every node").cells
    assert "of whole runs" in part["less_study_pp"].absent
    elsewhere = routing_table(load(tmp_path / "twins", routed()), study)
    cells = row_of(elsewhere, SHORT, "whole run", "every node").cells
    assert "neither of the study's devices" in cells["less_study_pp"].absent


def test_a_session_of_an_earlier_version_has_no_share_as_the_study_counted(
    tmp_path: Path, study: Study
) -> None:
    def earlier(index: int, spec: RunSpec) -> Mapping[str, Any]:
        ended = outcome(index, spec)
        new = ("expert_projections_", "probe_projection_")
        kept = {k: v for k, v in ended["metrics"].items() if not k.startswith(new)}
        return {**ended, "metrics": kept}

    like = routed(study_device="jetson", twin_scale=None, memory_bytes=8 * 10**9)
    loaded = load_sessions([write_session(tmp_path, like, earlier)])
    cells = row_of(routing_table(loaded, study), SHORT, "whole run", "every node").cells
    assert cells["routing_share_pct"].number is not None
    told = "recorded by a version whose probe did not tell the study's nodes from every node"
    for key in ("counted_share_pct", "less_study_pp"):
        assert cells[key].absent == told


def test_edges_of_groups_leave_a_bracket(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    edges = row_of(table, SHORT, "generation", "edges of groups").cells
    assert edges["routing_share_pct"].number == pytest.approx(100 * 0.5 / 3.0)
    assert edges["high_share_pct"].number == pytest.approx(100 * (0.5 + 0.09) / 3.0)
    assert edges["counted_share_pct"].absent.startswith("only timing every node tells")
    every = row_of(table, SHORT, "generation", "every node").cells
    assert every["high_share_pct"].absent.startswith("every node is timed by itself")


def test_modes_in_turn_tell_the_share_without_synchronising(tmp_path: Path, study: Study) -> None:
    table = routing_table(load(tmp_path, routed()), study)
    cells = row_of(table, SHORT, "generation", "every node").cells
    assert cells["sync_us"].number == pytest.approx(2.02)
    assert cells["unsynced_share_pct"].number == pytest.approx(15)
    assert cells["unsynced_every_share_pct"].number == pytest.approx(12)
    whole = row_of(table, SHORT, "whole run", "every node").cells
    assert whole["unsynced_share_pct"].absent.startswith("of generation only")


def test_slowdowns_pair_the_prompts_of_both_sides(tmp_path: Path, study: Study) -> None:
    short = ("prompt-01", "prompt-02")
    many = ROUTING.model_copy(
        update={"prompts": (*short, *(f"prompt-{n:02d}" for n in range(4, 12)))}
    )
    table = routing_table(load(tmp_path, routed(many)), study)
    cell = row_of(table, LONG, "whole run", "every node").cells["slowdown"]
    assert isinstance(cell.interval, Interval)
    assert cell.interval.low == pytest.approx(1.5)


def test_the_study_s_rows_are_as_printed(study: Study) -> None:
    table = routing_table(None, study)
    rows = list(table.rows())
    assert [row.cells["n"].value for row in rows] == [30, 6, 30, 6]
    assert [row.cells["counted_share_pct"].value for row in rows] == [33.5, 10.2, 8.9, 7.3]
    assert all(row.cells["routing_share_pct"].absent for row in rows)
    assert [row.cells["slowdown"].value for row in rows] == [14.9, 14.9, 1.26, 1.26]
    assert len(table.notes) == 2

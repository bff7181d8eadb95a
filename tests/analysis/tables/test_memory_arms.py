"""Table of memory arms: parts, the reclaimable share, and the difference of the arms."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.units import GIB
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import (
    ANONYMOUS_BYTES,
    DENSE,
    HEADLINE,
    MEMORY,
    MOE,
    failing,
    outcome,
    session,
)
from tests.analysis.journals import FILE_BYTES, Changes, write_session

PLAIN, READ_IN, LESS = "mapped", "read in", "difference"


def table_of(root: Path, changes: Changes = outcome, arms: tuple[Arm, ...] = MEMORY.arms) -> Table:
    chosen = session(experiments={"memory": MEMORY.model_copy(update={"arms": arms})})
    return build_tables(load_sessions([write_session(root, chosen, changes)]), read_study())[
        "memory-arms"
    ]


def row_of(table: Table, model: str, arm: str) -> Row:
    (found,) = [r for r in table.rows() if (r.model, r.cells["arm"].value) == (model, arm)]
    return found


def test_parts_by_hand(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    size, peak = FILE_BYTES[MOE], FILE_BYTES[MOE] + ANONYMOUS_BYTES
    plain, read_in = (row_of(table, MOE, arm).cells for arm in (PLAIN, READ_IN))
    assert plain["peak_rss_gib"].number == pytest.approx(peak / GIB)
    assert plain["file_part_gib"].number == pytest.approx(size / GIB)
    assert plain["reclaimable_pct"].number == pytest.approx(100 * size / peak)
    assert plain["anon_gib"].number == pytest.approx(ANONYMOUS_BYTES / GIB)
    assert plain["peak_at_s"].number == pytest.approx(3)
    assert read_in["anon_gib"].number == pytest.approx(peak / GIB)
    assert read_in["reclaimable_pct"].number == 0
    assert [cells["n"].value for cells in (plain, read_in)] == [3, 3]


def test_the_difference_of_the_arms_has_an_interval(tmp_path: Path) -> None:
    cells = row_of(table_of(tmp_path), DENSE, LESS).cells
    assert cells["file_part_gib"].number == pytest.approx(-FILE_BYTES[DENSE] / GIB)
    assert cells["anon_gib"].number == pytest.approx(FILE_BYTES[DENSE] / GIB)
    assert cells["peak_rss_gib"].number == pytest.approx(0)
    assert isinstance(cells["anon_gib"].interval, Interval)
    assert cells["n"].absent == "the difference is of both rows above"


def test_a_part_that_no_kernel_showed_is_absent_with_its_reason(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    for arm in (PLAIN, READ_IN, LESS):
        reason = row_of(table, MOE, arm).cells["device_gib"].absent
        assert reason == "this kernel has no NvMapMemUsed"


def test_arms_are_not_pooled_and_one_alone_has_no_difference(tmp_path: Path) -> None:
    table = table_of(tmp_path, arms=(Arm.NO_MMAP,))
    assert [row.cells["arm"].value for row in table.rows()] == [READ_IN, LESS] * 2
    assert "one of the two arms only" in row_of(table, MOE, LESS).cells["anon_gib"].absent


def test_a_model_that_ran_out_of_memory_is_shown(tmp_path: Path) -> None:
    cells = row_of(table_of(tmp_path, failing(MOE)), MOE, PLAIN).cells
    assert (cells["n"].value, cells["not_ok"].value) == (0, 3)
    assert cells["peak_rss_gib"].absent


def test_the_main_table_says_what_is_reclaimable(tmp_path: Path) -> None:
    folder = write_session(tmp_path, session(experiments={"headline": HEADLINE}), outcome)
    table = build_tables(load_sessions([folder]), read_study())["memory"]
    cells = next(row for row in table.rows("reader") if row.model == MOE).cells
    size = FILE_BYTES[MOE]
    assert cells["reclaimable_pct"].number == pytest.approx(100 * size / (size + ANONYMOUS_BYTES))
    assert cells["file_part_gib"].number == pytest.approx(size / GIB)

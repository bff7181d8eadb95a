"""No page tables are walked while a run is sampled: smaps and its kind are never opened."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemoe_appliance.measure.instruments import open_instruments
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.measure.tree import open_tree
from edgemoe_appliance.schema.configs import PowerSource
from tests.measure.board_for_tests import write_board
from tests.measure.opened_for_tests import held_paths, opened_paths, page_table_walks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_the_sampler_opens_no_file_that_walks_page_tables(tmp_path: Path) -> None:
    write_board(tmp_path)
    order = (PowerSource.INA3221, PowerSource.TEGRASTATS)
    with (
        opened_paths() as opened,
        subprocess.Popen(["sleep", "30"]) as engine,
        open_instruments(order, SystemRoots(root=tmp_path)) as instruments,
    ):
        sampler = Sampler(instruments, period_s=0.02)
        sampler.start()
        sampler.attach(open_tree(engine.pid))
        while all(sample.late_ns is None for sample in sampler.report().samples):
            time.sleep(0.01)  # power is read in step only
        paths = opened | held_paths()
        engine.kill()
        sampler.close()
    report = sampler.report()
    assert report.failure is None
    assert f"/proc/{engine.pid}/status" in paths
    assert page_table_walks(paths) == set()
    assert any(sample.tree is not None for sample in report.samples)


def test_a_walk_would_be_seen() -> None:
    with opened_paths() as opened:
        Path("/proc/self/smaps_rollup").read_bytes()
    assert page_table_walks(opened) == {"/proc/self/smaps_rollup"}
    with Path("/proc/self/pagemap").open("rb"):
        walks = page_table_walks(held_paths())
    assert [path.rpartition("/")[2] for path in walks] == ["pagemap"]

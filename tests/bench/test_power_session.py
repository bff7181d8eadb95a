"""Sessions on a replayed board: two power sources, one of which dies in the middle of a run."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.measure.session import measure_session
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import Configs, OutsideMeter, PowerSource
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import Plan, PlannedModel
from edgemoe_appliance.schema.records import EndRecord, PeriodRecord, Phase, Status
from tests.bench.outside_meter import declared_meter, read_truth
from tests.bench.plans import small_plan
from tests.conftest import RealEngine
from tests.measure.board_for_tests import write_board
from tests.measure.power.test_ina3221 import CHIP

SOURCES = (PowerSource.INA3221, PowerSource.TEGRASTATS)


@pytest.fixture
def plan(configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel]) -> Plan:
    models = {"llama-3.2-1b": tiny_models["llama-3.2-1b"]}
    held: dict[str, object] = {"n_predict": 900, "ignore_eos": True, "context": 1024}
    plain = small_plan(configs, engine.build, models, session="power", repetitions=2, **held)
    target = plain.target.model_copy(update={"power_sources": SOURCES})
    return plain.model_copy(update={"target": target})


def measured(plan: Plan, folder: Path, board: Path) -> tuple[PeriodRecord, list[EndRecord]]:
    folder.mkdir()
    measure_session(plan, folder, {}, Interruption(), SystemRoots(root=board))
    records = [
        line.record
        for line in iterate_journal(folder / JOURNAL_NAME)
        if isinstance(line, JournalLine)
    ]
    period = records[0]
    assert isinstance(period, PeriodRecord)
    return period, [record for record in records if isinstance(record, EndRecord)]


def break_in_the_first_run(board: Path, journal: Path) -> threading.Thread:
    """Make the sensor unreadable as soon as a run has begun, until its end is written."""
    current = board / CHIP / "curr1_input"

    def wait_for(kind: bytes) -> None:
        while not journal.exists() or b'"kind":"%b"' % kind not in journal.read_bytes():
            time.sleep(0.01)

    def act() -> None:
        good = current.read_text()
        wait_for(b"header")
        current.write_text("")
        wait_for(b"end")
        current.write_text(good)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_two_sources_are_told_and_compared(plan: Plan, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    write_board(board)
    period, ends = measured(plan, tmp_path / "session", board)
    assert period.power is not None
    assert (period.power.primary, period.power.cross_check) == SOURCES
    for end in ends:
        metrics = end.metrics
        # The sensor shows 6.400 W without end, the line of tegrastats 6.426 W.
        assert metrics["power_process_w"] == pytest.approx(6.4)
        assert metrics["energy_process_j"] == pytest.approx(6.4 * metrics["wall_s"], rel=1e-6)
        assert metrics["power_idle_w"] == pytest.approx(6.4)
        assert metrics["energy_cross_diff_pct"] == pytest.approx(100 * 26 / 6400, rel=0.01)
        assert metrics["j_per_token_gross"] > 0


def test_an_outside_meter_is_the_second_opinion_of_a_sensor(plan: Plan, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    write_board(board)
    declared = declared_meter(tmp_path / "truth.csv", "cross-check", "module")
    target = plan.target.with_meter(OutsideMeter.model_validate(declared))
    sources = (PowerSource.INA3221, PowerSource.METER)
    plan = plan.model_copy(update={"target": target.model_copy(update={"power_sources": sources})})
    period, ends = measured(plan, tmp_path / "session", board)
    assert period.power is not None
    assert (period.power.primary, period.power.cross_check) == sources
    truth = read_truth(tmp_path / "truth.csv")
    for end in ends:
        metrics = end.metrics
        assert metrics["power_process_w"] == pytest.approx(6.4)
        (whole,) = (window for window in end.windows if window.phase is Phase.PROCESS)
        true_j, sensor_j = truth.energy_j(whole), metrics["energy_process_j"]
        # A clock a million seconds off and lines that come late may leave 0.15 s, at 6 W more.
        expected_pct = 100 * (true_j / sensor_j - 1)
        within_pct = 100 * 0.15 * 6 / sensor_j
        assert metrics["energy_cross_diff_pct"] == pytest.approx(expected_pct, abs=within_pct)
        assert expected_pct > 2 * within_pct


def test_a_source_that_dies_takes_the_energy_of_its_run_and_nothing_else(
    plan: Plan, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    board.mkdir()
    write_board(board)
    breaking = break_in_the_first_run(board, tmp_path / "session" / JOURNAL_NAME)
    _, (first, second) = measured(plan, tmp_path / "session", board)
    breaking.join(10)
    assert first.status is Status.OK
    assert first.metrics["gen_tok_s"] > 0
    assert "energy_process_j" not in first.metrics
    assert "the source failed during the window" in first.absent["energy_process_j"]
    assert "power-source-failed" in {caveat.code for caveat in first.caveats}
    assert second.status is Status.OK
    assert second.metrics["power_process_w"] == pytest.approx(6.4)
    assert "power-source-failed" not in {caveat.code for caveat in second.caveats}

"""Boards behind a real ssh, each with its own address, keys, host name and process numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.fleet.driver import Task, TaskResult
from edgemoe_appliance.fleet.hub import FleetJournal, is_archived
from tests.conftest import RealEngine
from tests.fleet.netns import LACKING, SshBoard, has_boards, ssh_boards
from tests.fleet.shelves import Shelf, make_shelf, overlaps, prepare_archives
from tests.fleet.test_fleet import driven, environment, run_fleet, task_of

pytestmark = pytest.mark.skipif(not has_boards(), reason=LACKING)
BOARDS = ("middle", "right")
_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 200)
        yield prepare_archives(tmp_path_factory.mktemp("prepared"), ["left-1", "middle-1"])


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SshBoard]]:
    root = tmp_path_factory.mktemp("ssh")
    with ssh_boards(root, BOARDS) as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        yield found


@pytest.fixture
def shelf(tmp_path: Path, prepared: Path, boards: dict[str, SshBoard]) -> Shelf:
    hosts = {name: board.name for name, board in boards.items()}
    return make_shelf(tmp_path / "shelf", prepared, ("left", *BOARDS), hosts)


_DRIVER = """
import sys
from edgemoe_appliance.fleet import driver
driver._WAIT_S = 0.2
print(driver.drive(sys.stdin.read(), lambda line: print(line, file=sys.stderr, flush=True)))
"""


class Driver:
    """A driver in a process of its own, as a hub has."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._said = folder / f"said-{time.monotonic_ns()}"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _DRIVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(task.model_dump_json().encode())
        self._process.stdin.close()
        self._process.stdin = None

    @property
    def lines(self) -> list[str]:
        return self._said.read_text().splitlines()

    def wait_for(self, line: str) -> None:
        while line not in self.lines:
            assert self._process.poll() is None, self.lines
            time.sleep(0.05)

    def result(self) -> TaskResult:
        out, _ = self._process.communicate()
        assert self._process.returncode == 0, self.lines
        return TaskResult.model_validate_json(out)


def check_made_once(shelf: Shelf, runs: int) -> None:
    made = (shelf.folder("middle") / "middle-1.runs").read_text().splitlines()
    assert made == [f"run {number}" for number in range(1, runs + 1)]
    assert not overlaps(shelf.events("middle"))


def test_a_session_is_made_on_the_board_and_its_archive_comes_back(
    shelf: Shelf, tmp_path: Path
) -> None:
    result, lines = driven(task_of(shelf, "middle", tmp_path))
    assert is_archived(result), result.why
    assert "1 of 1 runs" in lines
    assert [what for what, _, _ in shelf.events("middle")] == ["begin", "end"]


@pytest.mark.parametrize("how", ["connections", "power"])
def test_a_board_that_vanishes_and_returns_goes_on_and_makes_no_run_twice(
    shelf: Shelf, boards: dict[str, SshBoard], tmp_path: Path, how: str
) -> None:
    shelf.set("middle", "runs", 6)
    task = task_of(shelf, "middle", tmp_path, patience_s=120)
    driver = Driver(task, tmp_path)
    driver.wait_for("2 of 6 runs")
    if how == "connections":
        assert boards["middle"].end_connections()
    else:
        boards["middle"].cut_power()
        driver.wait_for("waiting: the board cannot be reached")
        boards["middle"].start()
    result = driver.result()
    assert is_archived(result), result.why
    check_made_once(shelf, 6)


def test_a_second_hub_waits_for_the_board(
    shelf: Shelf, boards: dict[str, SshBoard], tmp_path: Path
) -> None:
    shelf.set("middle", "runs", 2)
    shelf.set("middle", "hold", "")
    first = Driver(task_of(shelf, "middle", tmp_path / "one"), tmp_path)
    first.wait_for("measuring middle-1")
    second = Driver(task_of(shelf, "middle", tmp_path / "two"), tmp_path)
    second.wait_for("waiting: the board is in use")
    (shelf.folder("middle") / "hold").unlink()
    assert all(map(is_archived, (first.result(), second.result())))
    check_made_once(shelf, 2)


def test_a_board_with_another_key_is_not_spoken_to(
    shelf: Shelf, boards: dict[str, SshBoard], tmp_path: Path
) -> None:
    """Whoever answers in a board's place does not get its sessions."""
    config = boards["middle"].folder.parent / "ssh_config"
    known = boards["middle"].folder.parent / "known_hosts"
    kept = known.read_text()
    other = (boards["right"].folder / "host_key.pub").read_text()
    known.write_text(f"{boards['middle'].address} {other}")
    try:
        result, _ = driven(task_of(shelf, "middle", tmp_path))
    finally:
        known.write_text(kept)
    assert result.status == "failed"
    assert "Host key verification failed" in (result.why or "")
    assert not shelf.events("middle"), config.read_text()


@pytest.mark.slow
def test_one_fleet_measures_here_and_behind_ssh(
    prepared: Path, boards: dict[str, SshBoard], tmp_path: Path, engine: RealEngine
) -> None:
    """Plan, build, runs, archive on two boards with the real engine; verified and judged here."""
    names = ("left", "middle")
    shelf = make_shelf(tmp_path / "shelf", prepared, names, {"middle": boards["middle"].name})
    program = tmp_path / "edgemoe-appliance"
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={_REPOSITORY}/cli EDGEMOE_CACHE={engine_cache(engine)}\n"
        f'exec {sys.executable} -c "from edgemoe_appliance.app.main import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    text = shelf.file.read_text().replace(str(shelf.root / "appliance.sh"), str(program))
    shelf.file.write_text(text)
    words = ["--argument=--twins=tiny", "--argument=--experiment=smoke", "--argument=--force"]
    words += [f"--argument=--pin={engine.build.pin}"]
    command = run_fleet(shelf, *words)
    ended = subprocess.run(
        command, check=False, env=environment(tmp_path), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = FleetJournal(tmp_path / "data" / "fleets" / "fleet").results()
    assert sorted(board for board, _ in results) == list(names)
    assert all(map(is_archived, results.values()))
    told = subprocess.run(
        [*command[:3], "fleet", "report"],
        check=False,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    folder = tmp_path / "data" / "fleets" / "fleet" / "ledger"
    assert len(json.loads((folder / "ledger.json").read_text())["archives"]) == 2
    hosts = {host_of(shelf, board) for board in names}
    assert len(hosts) == 2, "each board has its own host name"


def engine_cache(engine: RealEngine) -> Path:
    return Path(engine.build.binary).parents[3]


def host_of(shelf: Shelf, board: str) -> str:
    (journal,) = (shelf.folder(board) / "data").rglob("runs.jsonl")
    period = json.loads(journal.read_text().splitlines()[0])
    return str(period["host"]["hostname_sha256"])


def test_ssh_is_the_real_one(boards: dict[str, SshBoard]) -> None:
    told = subprocess.run(
        [str(shutil.which("ssh")), boards["right"].name, "hostname"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == boards["right"].name

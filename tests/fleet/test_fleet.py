"""A fleet of pretended boards, with real processes, locks, scheduler and verification."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.fleet.boards import (
    THIS_MACHINE,
    Board,
    BoardsConfig,
    Transport,
    choose_boards,
    read_boards,
)
from edgemoe_appliance.fleet.driver import Task, TaskResult, _Talk, archive_path, drive
from edgemoe_appliance.fleet.hub import (
    FleetJournal,
    Hub,
    answer_of,
    fleet_folder,
    is_archived,
    require_safe,
)
from edgemoe_appliance.fleet.transport import (
    LOCK_NAME,
    evaluation,
    fetched_archive,
    follow,
    locked,
    wrapped,
)
from tests.app.programme import run
from tests.archive.sessions import maker
from tests.fleet.shelves import Shelf, make_shelf, overlaps, prepare_archives

BOARDS = ("left", "right")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 200)
        sessions = [f"{board}-1" for board in BOARDS]
        yield prepare_archives(tmp_path_factory.mktemp("prepared"), sessions)


@pytest.fixture
def shelf(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = make_shelf(tmp_path / "shelf", prepared, BOARDS)
    monkeypatch.setenv("PATH", shelf.path)
    return shelf


def run_fleet(shelf: Shelf, *more: str) -> list[str]:
    code = "from edgemoe_appliance.app.main import main; main()"
    return [sys.executable, "-c", code, "fleet", "run", "--boards", str(shelf.file), *more]


def environment(work: Path) -> dict[str, str]:
    return os.environ | {"EDGEMOE_WORK": str(work)}


def test_every_board_makes_its_own_sessions_and_none_twice(shelf: Shelf, tmp_path: Path) -> None:
    """One whole fleet: run, run again, status, report."""
    command = run_fleet(shelf)
    first = subprocess.run(
        command, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert first.returncode == 0, first.stderr
    results = FleetJournal(tmp_path / "data" / "fleets" / "fleet").results()
    assert set(results) == {("left", "left-1"), ("right", "right-1")}
    assert all(map(is_archived, results.values()))
    for board in BOARDS:
        assert [(what, session) for what, session, _ in shelf.events(board)] == [
            ("begin", f"{board}-1"),
            ("end", f"{board}-1"),
        ]
    again = run(*command[command.index("fleet") :], EDGEMOE_WORK=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert len(shelf.events("left")) == 2


def test_a_hub_that_is_killed_leaves_a_board_measuring_and_the_next_one_waits(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.set("left", "duration", 4)
    command = run_fleet(shelf, "--where", "shelf=a")
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as hub:
        while not shelf.events("left"):
            assert hub.poll() is None
            time.sleep(0.05)
        hub.send_signal(signal.SIGKILL)
    ended = subprocess.run(command, check=False, env=environment(tmp_path), capture_output=True)
    assert ended.returncode == 0, ended.stderr
    for board in BOARDS:
        assert not overlaps(shelf.events(board))
    results = FleetJournal(tmp_path / "data" / "fleets" / "fleet").results()
    assert all(map(is_archived, results.values()))
    assert len(results) == 2


def task_of(shelf: Shelf, board: str, archives: Path, **changed: object) -> Task:
    values: dict[str, object] = {
        "board_name": board,
        "board": read_boards(shelf.file).boards[board],
        "session": f"{board}-1",
        "archives": str(archives),
        "maker": maker(),
        "patience_s": 0,
    }
    return Task.model_validate(values | changed)


def driven(task: Task) -> tuple[TaskResult, list[str]]:
    lines: list[str] = []
    return TaskResult.model_validate_json(drive(task.model_dump_json(), lines.append)), lines


@pytest.mark.parametrize("code", [0, 5])
def test_runs_that_ended_badly_are_a_result(shelf: Shelf, tmp_path: Path, code: int) -> None:
    shelf.set("left", "code", code)
    result, lines = driven(task_of(shelf, "left", tmp_path))
    assert (result.status, is_archived(result)) == ("archived", True), result.why
    assert "measuring left-1" in lines


def test_what_a_board_says_is_told_when_it_fails(shelf: Shelf, tmp_path: Path) -> None:
    shelf.set("left", "code", 3)
    result, _ = driven(task_of(shelf, "left", tmp_path))
    assert result.status == "failed"
    assert result.why == (
        "left/left-1: the board ended with code 3: measuring left-1 / 1 of 1 runs"
    )


def test_an_archive_of_another_session_is_refused(
    shelf: Shelf, prepared: Path, tmp_path: Path
) -> None:
    (shelf.root / "prepared").unlink()
    (shelf.root / "prepared").mkdir()
    (shelf.root / "prepared" / "left-1.tar").symlink_to(prepared / "right-1.tar")
    result, _ = driven(task_of(shelf, "left", tmp_path))
    assert result.status == "failed"
    assert "is session right-1" in (result.why or "")
    assert not list(tmp_path.glob("left/*.tar"))


def test_an_archive_that_does_not_verify_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.root / "prepared").unlink()
    (shelf.root / "prepared").mkdir()
    (shelf.root / "prepared" / "left-1.tar").write_bytes(b"\x00" * 10240)
    result, _ = driven(task_of(shelf, "left", tmp_path))
    assert (result.status, "is refused" in (result.why or "")) == ("failed", True)


def test_a_board_in_use_is_waited_for(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    with (shelf.folder("left") / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waited: list[float] = []

        def give_back(seconds: float) -> None:
            waited.append(seconds)
            fcntl.flock(lock, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", give_back)
        text = task_of(shelf, "left", tmp_path).model_dump_json()
        result = TaskResult.model_validate_json(drive(text, lines.append))
    assert result.status == "archived", result.why
    assert len(waited) == 1
    assert "waiting: the board is in use" in lines


def test_a_board_that_is_gone_is_given_up_after_the_patience_and_no_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board's `ssh` ends as ssh does where no connection can be made."""
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'ssh: connect to host orin-1: no route to host'\nexit 255\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    board = Board(transport=Transport.SSH, host="jetson@orin-1", work="moe", target="jetson")
    task = Task(
        board_name="orin-1",
        board=board,
        session="orin-1-1",
        archives=str(tmp_path),
        maker=maker(),
        patience_s=0.05,
    )
    result, lines = driven(task)
    assert result.why is not None
    assert result.why.endswith("ssh: connect to host orin-1: no route to host")
    assert "waiting: the board cannot be reached" in lines


class TestHostileBoards:
    """What a board, or a worker of a cluster, sends is believed no more than any stranger."""

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"board_name": "right"}, "answered for right/left-1"),
            ({"session": "left-2"}, "answered for left/left-2"),
            ({"archive": "/etc/passwd"}, "an archive that is not there"),
            ({"sha256": "0" * 64}, "an archive that is not there"),
            ({"board_name": "\x1b[2J"}, "an answer that is none"),
        ],
    )
    def test_a_driver_answers_for_its_own_task_alone(
        self, shelf: Shelf, tmp_path: Path, changed: dict[str, str], why: str
    ) -> None:
        task = task_of(shelf, "left", tmp_path)
        path = archive_path(task)
        path.parent.mkdir()
        path.write_bytes(b"an archive")
        honest = {
            "board_name": "left",
            "session": "left-1",
            "status": "archived",
            "archive": str(path),
            "sha256": hashlib.sha256(b"an archive").hexdigest(),
        }
        assert answer_of(task, json.dumps(honest)).status == "archived"
        found = answer_of(task, json.dumps(honest | changed))
        assert (found.board_name, found.session, found.status) == ("left", "left-1", "failed")
        assert why in (found.why or "")

    def test_a_line_without_end_comes_in_pieces_and_escapes_are_shown(self) -> None:
        script = "head -c 3000000 /dev/zero | tr '\\0' x; printf '\\n\\033[2Jowned\\n'"
        lines: list[str] = []
        ended = follow(["sh", "-c", script], lines.append)
        assert ended.code == 0
        assert max(map(len, lines)) < 200
        assert lines[-1] == "\\x1b[2Jowned"

    def test_output_without_end_is_ended(self) -> None:
        lines: list[str] = []
        follow(["yes"], lines.append, most_lines=50)
        assert len(lines) == 50
        assert follow(["sleep", "600"], lines.append, timeout_s=0.2).code != 0

    def test_a_flood_is_passed_on_so_many_lines_a_second(self) -> None:
        said: list[str] = []
        talk = _Talk(said.append, iter([0.0] * 1000 + [1.0]).__next__)
        for number in range(1001):
            talk(str(number))
        assert said == [*map(str, range(100)), "1000"]

    def test_an_archive_too_large_is_cut_off_and_complaints_do_not_block(
        self, tmp_path: Path
    ) -> None:
        board = Board(work=str(tmp_path))
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "s.tar").symlink_to("/dev/zero")
        with pytest.raises(HostError, match="larger than"):
            fetched_archive(board, "s", tmp_path / "out", 5_000_000)
        assert (tmp_path / "out").stat().st_size < 10_000_000

    def test_a_board_that_only_complains_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tool = tmp_path / "ssh"
        tool.write_text("#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' 'y' >&2\nexit 1\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        board = Board(transport=Transport.SSH, host="h", work="w")
        ended = fetched_archive(board, "s", tmp_path / "out", 100)
        assert ended.code == 1
        assert max(map(len, ended.lines)) < 200


def test_a_fleet_begun_with_other_arguments_is_not_mixed_up(shelf: Shelf, tmp_path: Path) -> None:
    first, _ = driven(task_of(shelf, "left", tmp_path / "archives"))
    FleetJournal(tmp_path).add(first)
    hub = Hub(folder=tmp_path, on_line=lambda *_: None)
    assert hub.run([task_of(shelf, "left", tmp_path / "archives")]) == [first]
    with pytest.raises(ConfigError, match="measured with other arguments"):
        hub.run([task_of(shelf, "left", tmp_path / "archives", arguments=("--pin", "b1"))])


class TestBoards:
    """The file of boards and the commands that follow from it."""

    def test_without_a_file_the_fleet_is_this_machine(self) -> None:
        assert read_boards(None) == THIS_MACHINE

    @pytest.mark.parametrize(
        ("entry", "wrong"),
        [
            ("{transport: ssh, target: jetson, work: w}", "takes a host"),
            ("{transport: local, host: a}", "takes no host"),
            ("{transport: ssh, host: a}", "takes work"),
            ("{transport: ssh, host: -oProxyCommand=x, work: w}", "host"),
            ("{transport: ssh, host: 'a b', work: w}", "host"),
            ("{transport: ssh, host: ssh://a, work: w}", "goes with transport docker"),
            ("{transport: docker, host: a}", "goes with transport docker"),
            ("{work: ~/x}", "work"),
            ("{work: $(id)}", "work"),
            ("{transprt: ssh}", "transprt"),
        ],
    )
    def test_a_wrong_board_is_named_with_its_line(
        self, tmp_path: Path, entry: str, wrong: str
    ) -> None:
        file = tmp_path / "boards.yaml"
        file.write_text(f"boards:\n  one: {entry}\n")
        with pytest.raises(ConfigError, match=wrong) as caught:
            read_boards(file)
        assert f"{file}:2" in str(caught.value)

    @pytest.mark.parametrize(
        ("one", "two", "wrong"),
        [
            ("work: a", "work: b", "both this machine: give them one `transport`"),
            ("work: a", "work: a", "both this machine with target host: one board, named twice"),
            ("work: a", "{work: a, target: cuda}", None),
            ("{transport: ssh, host: h, work: a}", "work: a", None),
            (
                "{transport: ssh, host: j@Orin-1, work: a}",
                "{transport: ssh, host: k@orin-1, work: b}",
                "both orin-1: give them one `transport`",
            ),
            (
                "{transport: ssh, host: j@orin-1, work: a}",
                "{transport: docker, host: ssh://j@orin-1, target: jetson}",
                "both orin-1: give them one `transport`",
            ),
            (
                "{transport: srun, host: n1, work: a}",
                "{transport: srun, host: n2, work: a}",
                None,
            ),
        ],
    )
    def test_a_machine_is_one_board_for_each_target_and_they_take_turns(
        self, tmp_path: Path, one: str, two: str, wrong: str | None
    ) -> None:
        file = tmp_path / "boards.yaml"
        one, two = (text if text.startswith("{") else f"{{{text}}}" for text in (one, two))
        file.write_text(f"boards:\n  one: {one}\n  two: {two}\n")
        if wrong is None:
            assert list(read_boards(file).boards) == ["one", "two"]
        else:
            with pytest.raises(ConfigError, match=wrong):
                read_boards(file)

    def test_boards_are_chosen_by_label_target_and_transport(self) -> None:
        config = BoardsConfig(
            boards={
                "a": Board(labels={"room": "b12"}),
                "b": Board(target="jetson", transport=Transport.SSH, host="h", work="w"),
            }
        )
        assert list(choose_boards(config, [])) == ["a", "b"]
        assert list(choose_boards(config, ["room=b12"])) == ["a"]
        assert list(choose_boards(config, ["target=jetson", "transport=ssh"])) == ["b"]
        with pytest.raises(ConfigError, match="boards: a, b"):
            choose_boards(config, ["room=b13"])
        with pytest.raises(ConfigError, match="is no label"):
            choose_boards(config, ["room"])

    def test_what_is_sent_to_a_shell_is_quoted(self) -> None:
        board = Board(transport=Transport.SSH, host="h", work="with space", command="a b/appliance")
        command = locked(board, evaluation(board, "s-1", ["--pin", "b1; rm -rf /"]))
        assert command[:3] == ["ssh", "-o", "BatchMode=yes"]
        *_, end, host, words = command
        assert (end, host) == ("--", "h")
        told = subprocess.run(
            ["sh", "-c", f"set -- {words}; printf '%s\\n' \"$@\""],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert told[-2:] == ["--pin", "b1; rm -rf /"]
        assert "with space/.edgemoe-board.lock" in told

    def test_each_transport_has_its_words(self) -> None:
        docker = Board(transport=Transport.DOCKER, host="ssh://j@h", target="jetson", work="/w")
        assert evaluation(docker, "s", [])[-4:] == [
            *("--runtime", "container", "--docker-host", "ssh://j@h"),
        ]
        assert wrapped(docker, ["true"]) == ["env", "EDGEMOE_WORK=/w", "true"]
        node = Board(transport=Transport.SRUN, host="node7", work="/home/w")
        assert wrapped(node, ["true"])[:4] == ["srun", "--exclusive", "--nodelist=node7", "--"]


@pytest.mark.parametrize(
    ("address", "is_safe"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://localhost:1", True),
        ("tls://lab.example:8786", True),
        ("tcp://lab.example:8786", False),
        ("tcp://10.0.0.1:8786", False),
        ("ws://127.0.0.1:1", False),
        ("lab", False),
    ],
)
def test_a_scheduler_elsewhere_is_spoken_to_by_tls_alone(address: str, is_safe: bool) -> None:
    if is_safe:
        require_safe(address)
    else:
        with pytest.raises(ConfigError):
            require_safe(address)


def test_a_torn_last_line_is_no_result_and_is_ended_by_the_next(tmp_path: Path) -> None:
    journal = FleetJournal(tmp_path)
    first = TaskResult(board_name="a", session="a-1", status="failed", why="gone")
    journal.add(first)
    with journal.path.open("ab") as file:
        file.write(b'{"board_name": "a", "sess')
    assert journal.results() == {("a", "a-1"): first}
    second = first.model_copy(update={"session": "a-2"})
    journal.add(second)
    assert journal.results() == {("a", "a-1"): first, ("a", "a-2"): second}


def test_a_line_that_was_cut_in_the_middle_is_named_and_what_to_do(tmp_path: Path) -> None:
    journal = FleetJournal(tmp_path)
    journal.path.write_text('{"board_name": "a", "sess\n')
    with pytest.raises(RecordError, match=r"fleet\.jsonl:1: is no line .* measures nothing twice"):
        journal.results()


def test_an_archive_that_has_gone_is_not_told_as_there(tmp_path: Path) -> None:
    archive = tmp_path / "a-1.tar"
    archive.write_bytes(b"an archive")
    journal = FleetJournal(tmp_path)
    sha256 = hashlib.sha256(b"an archive").hexdigest()
    there = TaskResult(
        board_name="a", session="a-1", status="archived", archive=str(archive), sha256=sha256
    )
    journal.add(there)
    assert journal.seen() == [there]
    for spoil in (lambda: archive.write_bytes(b"another"), archive.unlink):
        spoil()
        (seen,) = journal.seen()
        assert (seen.status, seen.why) == ("failed", "its archive is no longer as it was verified")


def test_two_hubs_on_one_fleet_are_refused(tmp_path: Path) -> None:
    with (
        fleet_folder(tmp_path),
        pytest.raises(HostError, match="another hub"),
        fleet_folder(tmp_path),
    ):
        pass

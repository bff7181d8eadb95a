from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema import sessionfolder
from edgemoe_appliance.schema.sessionfolder import SessionFolder, holds, host_folder

Do = Callable[[SessionFolder], object]


def test_what_is_written_is_read_and_nothing_else_stays(tmp_path: Path) -> None:
    with SessionFolder(tmp_path / "a" / "b", is_made=True) as folder:
        folder.write("runs.jsonl", b"one")
        folder.write("samples/x.gz", b"two")
        folder.write("runs.jsonl", b"three")
        assert folder.read_bytes("runs.jsonl") == b"three"
        assert folder.read_bytes("samples/x.gz") == b"two"
        assert folder.read_from("runs.jsonl", 2, 100) == b"ree"
        assert folder.read_end("runs.jsonl", 2) == b"ee"
        assert [entry.name for entry in folder.walk(("samples",))] == [
            "runs.jsonl",
            "samples",
            "samples/x.gz",
        ]
        folder.remove("runs.jsonl")
        folder.remove("runs.jsonl")
        assert folder.find("runs.jsonl") is None
        with pytest.raises(FileNotFoundError):
            folder.read_bytes("runs.jsonl")
        with pytest.raises(FileNotFoundError):
            folder.read_bytes("missing/x")
    with pytest.raises(FileNotFoundError), SessionFolder(tmp_path / "missing"):
        pass
    assert not holds(tmp_path / "missing", "x")
    assert not holds(tmp_path / "a" / "b", "x")
    assert holds(tmp_path / "a" / "b", "samples")


READING: dict[str, Do] = {
    "read_bytes": lambda folder: folder.read_bytes("name"),
    "open_file": lambda folder: folder.open_file("name", 10),
    "read_from": lambda folder: folder.read_from("name", 0, 10),
    "read_end": lambda folder: folder.read_end("name", 10),
    "append": lambda folder: folder.append("name", b"x"),
    "lend": lambda folder: folder.lend(os.geteuid(), os.getegid(), ("name",)),
}


@pytest.mark.parametrize("do", READING.values(), ids=READING)
@pytest.mark.parametrize(
    ("kind", "says"),
    [("link", "a symbolic link"), ("pipe", "a named pipe"), ("folder", "a folder")],
)
def test_only_plain_files_are_opened_and_at_once(
    tmp_path: Path, do: Do, kind: str, says: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    path = tmp_path / "session" / "name"
    path.parent.mkdir()
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with SessionFolder(path.parent) as folder:
        if (do, kind) == (READING["lend"], "folder"):
            do(folder)
            return
        with pytest.raises(RecordError, match=says) as refused:
            do(folder)
    assert str(path) in str(refused.value)
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../x", "/etc/passwd", "a//b", "a\0b"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    with SessionFolder(tmp_path) as folder:
        for do in (
            lambda: folder.read_bytes(name),
            lambda: folder.write(name, b"x"),
            lambda: folder.remove(name),
            lambda: folder.find(name),
        ):
            with pytest.raises(RecordError, match="is not the name"):
                do()
    assert not any(tmp_path.iterdir())


def test_no_link_is_followed_on_the_way(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x").write_bytes(b"mine")
    session = tmp_path / "session"
    session.mkdir()
    (session / "samples").symlink_to(elsewhere)
    with SessionFolder(session) as folder:
        for do in (
            lambda: folder.read_bytes("samples/x"),
            lambda: folder.write("samples/y", b"x"),
            lambda: folder.entries("samples"),
            lambda: folder.remove("samples/x"),
            lambda: folder.find("samples/x"),
        ):
            with pytest.raises(RecordError, match="samples"):
                do()
        assert [entry.name for entry in folder.walk(("samples",))] == ["samples"]
        assert "samples: is a symbolic link" in str(folder.find_foreign(("samples",)))
    assert [path.name for path in elsewhere.iterdir()] == ["x"]


def test_a_link_in_the_place_of_a_new_file_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    session = tmp_path / "session"
    session.mkdir()
    (session / "name").symlink_to(victim)
    with SessionFolder(session) as folder:
        folder.write("name", b"new")
        assert folder.read_bytes("name") == b"new"
        (session / "dir").mkdir()
        with pytest.raises(RecordError, match="is a folder"):
            folder.write("dir", b"new")
    assert victim.read_bytes() == b"mine"
    assert sorted(path.name for path in session.iterdir()) == ["dir", "name"]


def test_the_folder_stays_the_same_one_whatever_its_path_becomes(tmp_path: Path) -> None:
    session, other = tmp_path / "session", tmp_path / "other"
    session.mkdir()
    other.mkdir()
    with SessionFolder(session) as folder:
        session.rename(tmp_path / "moved")
        session.symlink_to(other)
        folder.write("samples/x", b"here")
    assert (tmp_path / "moved" / "samples" / "x").read_bytes() == b"here"
    assert not any(other.iterdir())


def test_a_file_is_read_as_long_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"12345\n67890")
    with SessionFolder(tmp_path) as folder:
        with folder.open_file("name", 100) as file:
            with (tmp_path / "name").open("ab") as more:
                more.write(b"later")
            assert file.size_bytes == 11
            assert file.readline() == b"12345\n"
            assert file.read() == b"67890"
        with pytest.raises(RecordError, match="has 16 bytes, at most 15 are read"):
            folder.open_file("name", 15)


def test_a_file_of_several_names_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "backup").write_bytes(b"kept")
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "runs.jsonl").hardlink_to(tmp_path / "backup")
    with SessionFolder(tmp_path / "session") as folder:
        assert folder.read_bytes("runs.jsonl") == b"kept"
        with pytest.raises(RecordError, match="2 names"):
            folder.append("runs.jsonl", b"more")
        with pytest.raises(RecordError, match="2 names"):
            folder.lend(os.geteuid(), os.getegid(), ("runs.jsonl",))
        folder.write("runs.jsonl", b"new")
    assert (tmp_path / "backup").read_bytes() == b"kept"


def test_listing_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessionfolder, "MAX_ENTRIES", 3)
    for name in "abcd":
        (tmp_path / name).touch()
    with SessionFolder(tmp_path) as folder, pytest.raises(RecordError, match="more than 3"):
        folder.entries()


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in (".a.1.partial", "samples/.b.2.partial", "kept", "samples/kept"):
        (tmp_path / name).touch()
    (tmp_path / "link.partial").symlink_to(tmp_path / "kept")
    with SessionFolder(tmp_path) as folder:
        folder.remove_partials(("samples",))
        names = [entry.name for entry in folder.walk(("samples",))]
    assert names == ["kept", "link.partial", "samples", "samples/kept"]


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    with SessionFolder(tmp_path) as folder:
        folder.write("name", b"old")
        with pytest.raises(ZeroDivisionError), folder.open_new("name") as file:
            file.write(b"half")
            raise ZeroDivisionError
        assert folder.read_bytes("name") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["name"]


def test_marks_of_other_users_rights_are_taken_off(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch()
    program.chmod(0o6755)
    with SessionFolder(tmp_path) as folder:
        folder.take_back(os.geteuid(), os.getegid(), (), writer=os.geteuid())
    assert stat.S_IMODE(program.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_somebody_else_may_have_is_not_given_away(tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    for name, owner in (("theirs", 12345), ("ours", 10001)):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, owner, owner)
        (session / name).hardlink_to(tmp_path / name)
    with SessionFolder(session) as folder:
        folder.take_back(7, 7, (), writer=10001)
    assert [(tmp_path / name).stat().st_uid for name in ("theirs", "ours")] == [12345, 7]


def test_the_hosts_own_side_lies_beside_the_folder() -> None:
    assert host_folder(Path("/data/raw/s")) == Path("/data/raw/.bench/s")
    assert host_folder(Path("s")).is_absolute()

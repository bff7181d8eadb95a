"""Scratch folders: private, gone afterwards, and cleared after a process that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemoe_appliance.schema.files import is_file, is_folder, scratch_folder

PREFIX = "edgemoe-test-"
HOLDER = f"""
import pathlib, sys, time
from edgemoe_appliance.schema.files import scratch_folder
with scratch_folder({PREFIX!r}, pathlib.Path(sys.argv[1])) as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def started(place: Path) -> "tuple[subprocess.Popen[str], Path]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_scratch_folder_goes_with_its_context(tmp_path: Path) -> None:
    with scratch_folder(PREFIX, tmp_path) as folder:
        assert folder.is_dir() and folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_cleared_by_the_next(tmp_path: Path) -> None:
    process, left = started(tmp_path)
    with scratch_folder(PREFIX, tmp_path):
        assert left.is_dir(), "one that is in use stays"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.is_dir()
    with scratch_folder(PREFIX, tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Folders of another prefix, of another user, files and links."""
    (tmp_path / "else").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "else")
    others = {"else", f"{PREFIX}file", f"{PREFIX}link"}
    if os.geteuid() == 0:
        (tmp_path / f"{PREFIX}other").mkdir()
        os.chown(tmp_path / f"{PREFIX}other", 12345, 12345)
        others |= {f"{PREFIX}other"}
    with scratch_folder(PREFIX, tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == others


def test_many_at_once_do_not_remove_each_other(tmp_path: Path) -> None:
    holders = [started(tmp_path) for _ in range(4)]
    deadline_s = time.monotonic() + 0.2
    while time.monotonic() < deadline_s:
        with scratch_folder(PREFIX, tmp_path) as folder:
            assert folder.is_dir()
    assert all(path.is_dir() for _, path in holders)
    for process, _ in holders:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["missing", "x" * 300, "file/below", "ring"])
def test_what_is_not_there_is_neither_file_nor_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    assert (is_file(tmp_path / name), is_folder(tmp_path / name)) == (False, False)


def test_a_folder_of_the_user_s_that_begins_alike_is_left_alone(tmp_path: Path) -> None:
    mine = [tmp_path / f"{PREFIX}{name}" for name in ("", "mine", "check-Ab12Cd", "x.scratch")]
    for folder in mine:
        folder.mkdir()
        (folder / "work").write_text("kept")
    with scratch_folder(PREFIX, tmp_path):
        assert all((folder / "work").exists() for folder in mine)

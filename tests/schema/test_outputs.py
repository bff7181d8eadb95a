"""Places that a user names to write to: what is refused, what needs --force, what is harmless."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.outputs import check_output_file, check_output_folder

FOREIGN, OURS = b"a diary", b"ours: "
LONG = "x" * 300


def is_ours(path: Path) -> bool:
    file = path / "page" if path.is_dir() else path
    return file.exists() and file.read_bytes().startswith(OURS)


def session(at: Path) -> Path:
    (at / "samples").mkdir(parents=True)
    (at / PLAN_NAME).write_bytes(b"{}")
    return at


def journal_alone(at: Path) -> Path:
    at.mkdir(parents=True)
    (at / JOURNAL_NAME).write_bytes(b"")
    return at


def linked_session(at: Path) -> Path:
    return link_to(session(at / "s"), at / "link")


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link_to(target: Path, path: Path) -> Path:
    path.symlink_to(target)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def file(path: Path, content: bytes = FOREIGN) -> Path:
    path.write_bytes(content)
    return path


REFUSED_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "plan": (lambda at: session(at / "s") / PLAN_NAME, "lies in the session folder"),
    "new in session": (lambda at: session(at / "s") / "x.tar", "lies in the session folder"),
    "samples": (lambda at: session(at / "s") / "samples" / "x", "lies in the session folder"),
    "beside the plan of a bench": (
        lambda at: session(at / ".bench" / "s") / "x",
        "lies in the session folder",
    ),
    "a journal alone": (lambda at: journal_alone(at / "j") / "x", "lies in the session folder"),
    "by a link": (lambda at: linked_session(at) / "x.tar", "lies in the session folder"),
    "by dots": (lambda at: session(at / "s") / "samples" / ".." / "x", "session folder"),
    "device": (lambda _: Path("/dev/null"), "is a character device, not a file"),
    "pipe": (lambda at: fifo(at / "p"), "is a named pipe"),
    "folder": (lambda at: folder(at / "d"), "is a folder"),
    "link": (lambda at: link_to(file(at / "f"), at / "l"), "is a symbolic link"),
    "dangling link": (lambda at: link_to(at / "no", at / "l"), "is a symbolic link"),
    "ring": (lambda at: link_to(at / "l", at / "l") / "x", "l/x"),
    "below a file": (lambda at: file(at / "f") / "x", "Not a directory"),
    "long": (lambda at: at / LONG, "name too long"),
    "root": (lambda _: Path("/"), "is not a file name"),
    "up": (lambda at: at / "..", "is not a file name"),
}


@pytest.mark.parametrize("is_forced", [False, True], ids=["", "forced"])
@pytest.mark.parametrize(("made", "words"), REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_what_is_never_written_over(
    tmp_path: Path, made: Callable[[Path], Path], words: str, *, is_forced: bool
) -> None:
    path = made(tmp_path)
    with pytest.raises(ConfigError, match=words) as caught:
        check_output_file(path, is_ours, is_forced=is_forced)
    assert "--out" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "needs_force"),
    [(None, False), (b"", False), (OURS, False), (FOREIGN, True)],
    ids=["new", "empty", "ours", "foreign"],
)
def test_another_file_needs_force(
    tmp_path: Path, content: bytes | None, *, needs_force: bool
) -> None:
    path = tmp_path / "f"
    if content is not None:
        path.write_bytes(content)
    check_output_file(path, is_ours, is_forced=True)
    if needs_force:
        with pytest.raises(ConfigError, match=r"was not made by this command.*--force"):
            check_output_file(path, is_ours, is_forced=False)
    else:
        check_output_file(path, is_ours, is_forced=False)


def check_folder(path: Path, *, is_forced: bool) -> None:
    check_output_folder(path, ["inner"], ["page", "inner/a"], is_ours, is_forced=is_forced)


def with_entry(name: str, make: Callable[[Path], object]) -> Callable[[Path], Path]:
    def made(at: Path) -> Path:
        (at / "out").mkdir()
        (at / "out" / name).parent.mkdir(exist_ok=True)
        make(at / "out" / name)
        return at / "out"

    return made


REFUSED_FOLDERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "session": (lambda at: session(at / "s"), "lies in the session folder"),
    "in a session": (lambda at: session(at / "s") / "report", "lies in the session folder"),
    "file": (lambda at: file(at / "f"), "is a file, not a folder"),
    "device": (lambda _: Path("/dev/null"), "is a character device"),
    "link": (lambda at: link_to(folder(at / "d"), at / "l"), "is a symbolic link"),
    "inner link": (with_entry("inner", lambda p: link_to(p.parent, p)), "is a symbolic link"),
    "inner file": (with_entry("inner", file), "is a file, not a folder"),
    "page link": (with_entry("page", lambda p: link_to(Path("/x"), p)), "is a symbolic link"),
    "table link": (with_entry("inner/a", lambda p: link_to(Path("/x"), p)), "is a symbolic link"),
    "page pipe": (with_entry("page", fifo), "is a named pipe"),
}


@pytest.mark.parametrize("is_forced", [False, True], ids=["", "forced"])
@pytest.mark.parametrize(("made", "words"), REFUSED_FOLDERS.values(), ids=REFUSED_FOLDERS)
def test_folders_that_are_never_written_into(
    tmp_path: Path, made: Callable[[Path], Path], words: str, *, is_forced: bool
) -> None:
    path = made(tmp_path)
    with pytest.raises(ConfigError, match=words):
        check_folder(path, is_forced=is_forced)


@pytest.mark.parametrize(
    ("made", "needs_force"),
    [
        (lambda at: at / "new", False),
        (lambda at: folder(at / "empty"), False),
        (with_entry("other", file), False),
        (with_entry("page", lambda p: file(p, OURS)), False),
        (with_entry("page", file), True),
        (with_entry("inner/a", file), True),
    ],
    ids=["new", "empty", "other files", "ours", "foreign page", "foreign table"],
)
def test_a_folder_with_files_of_others_needs_force(
    tmp_path: Path, made: Callable[[Path], Path], *, needs_force: bool
) -> None:
    path = made(tmp_path)
    check_folder(path, is_forced=True)
    if needs_force:
        with pytest.raises(ConfigError, match="--force"):
            check_folder(path, is_forced=False)
    else:
        check_folder(path, is_forced=False)

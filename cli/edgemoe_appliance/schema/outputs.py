"""Outputs: a place that a user named to write to, checked before any work is done for it.

Whatever the flags say, nothing but plain files and folders is written over, and nothing inside a
session folder: its plan and journal are evidence. What lies there already and was not made by the
command needs `is_forced`, the flag --force.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.sessionfolder import kind_in_words
from edgemoe_appliance.schema.text import on_one_line

_ELSEWHERE: Final = "name another place with --out"


def check_output_file(path: Path, is_ours: Callable[[Path], bool], *, is_forced: bool) -> None:
    """Check that a file may be written.

    `is_ours` looks at a plain file that is there already, and says whether the same command made
    it; an empty one is nobody's. Raises ConfigError.
    """
    _check_place(path)
    found = _facts(path)
    if found is None:
        return
    _check_kind(path, found, stat.S_IFREG)
    if found.st_size and not is_forced and not is_ours(path):
        raise _foreign(path)


def check_output_folder(
    path: Path,
    folders: Iterable[str],
    files: Iterable[str],
    is_ours: Callable[[Path], bool],
    *,
    is_forced: bool,
) -> None:
    """Check that files may be written into a folder, and into some folders in it.

    `files` are those that would be written over; `is_ours` looks at the folder where one of them
    is there already. Raises ConfigError.
    """
    _check_place(path / "file")
    found = _facts(path)
    if found is None:
        return
    _check_kind(path, found, stat.S_IFDIR)
    for name in folders:
        inner = _facts(path / name)
        if inner is not None:
            _check_kind(path / name, inner, stat.S_IFDIR)
    there = [(path / name, facts) for name in files if (facts := _facts(path / name)) is not None]
    for file, facts in there:
        _check_kind(file, facts, stat.S_IFREG)
    if there and not is_forced and not is_ours(path):
        raise _foreign(path)


def _check_place(path: Path) -> None:
    """Refuse what lies in a session folder, whichever way the path leads there."""
    if not path.name or path.name == "..":
        raise ConfigError("is not a file name", where=str(path), hint=_ELSEWHERE)
    try:
        folders = (folder := path.parent.resolve(), *folder.parents)
    except (OSError, RuntimeError) as error:  # a ring of links
        raise ConfigError(
            f"leads nowhere ({error})", where=on_one_line(path, 300), hint=_ELSEWHERE
        ) from error
    for folder in folders:
        for name in (PLAN_NAME, JOURNAL_NAME):
            if os.path.lexists(folder / name):
                raise ConfigError(
                    f"lies in the session folder {folder}, whose files are evidence",
                    where=on_one_line(path, 300),
                    hint=_ELSEWHERE,
                )


def _facts(path: Path) -> os.stat_result | None:
    """Return what a name stands for itself, None where it is not there."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"cannot be written ({error.strerror})", where=on_one_line(path, 300), hint=_ELSEWHERE
        ) from error


def _check_kind(path: Path, facts: os.stat_result, wanted: int) -> None:
    if stat.S_IFMT(facts.st_mode) != wanted:
        raise ConfigError(
            f"is {kind_in_words(facts.st_mode)}, not {kind_in_words(wanted)}",
            where=on_one_line(path, 300),
            hint=_ELSEWHERE,
        )


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        "is there already, and was not made by this command",
        where=on_one_line(path, 300),
        hint=f"{_ELSEWHERE}, or write over it with --force",
    )

"""A shelf of boards on this machine: folders of their own, and an appliance that only pretends.

Nothing is measured; the archives are prepared, and real enough to be verified.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import yaml

from tests.archive.sessions import SMALL, archive, write_small_session

_SSH_TO_HERE = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec sh -c "$*"
"""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """The boards' folders by name below `root`, and the file that names them."""

    root: Path
    boards: tuple[str, ...]

    @property
    def file(self) -> Path:
        return self.root / "boards.yaml"

    @property
    def path(self) -> str:
        """Return a PATH with the shelf's own `ssh`, where it has one."""
        return f"{self.root / 'bin'}:{os.environ['PATH']}"

    def folder(self, board: str) -> Path:
        return self.root / board

    def set(self, board: str, name: str, value: object) -> None:
        """Say how the appliance of a board behaves: see appliance.sh."""
        (self.folder(board) / name).write_text(str(value))

    def events(self, board: str) -> list[tuple[str, str, str]]:
        path = self.folder(board) / "events"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [(what, session, pid) for what, session, pid in map(str.split, lines)]


def prepare_archives(root: Path, sessions: list[str]) -> Path:
    """Write one archive for each session below `root`/prepared."""
    prepared = root / "prepared"
    prepared.mkdir(parents=True)
    for session in sessions:
        folder = write_small_session(root / "sessions", replace(SMALL, session=session))
        archive(folder, prepared / f"{session}.tar")
    return prepared


def make_shelf(
    root: Path,
    prepared: Path,
    boards: tuple[str, ...],
    ssh_hosts: Mapping[str, str] = MappingProxyType({}),
) -> Shelf:
    """Make a folder for each board; those in `ssh_hosts` are reached by ssh, by that name.

    The first is this machine. The others are too, where they have no host: by an `ssh` in
    `shelf.path` that runs here what it is given.
    """
    root.mkdir(parents=True, exist_ok=True)
    if not ssh_hosts:
        ssh_hosts = {board: board for board in boards[1:]}
        tool = root / "bin" / "ssh"
        tool.parent.mkdir()
        tool.write_text(_SSH_TO_HERE)
        tool.chmod(0o755)
    program = shutil.copy(Path(__file__).parent / "appliance.sh", root / "appliance.sh")
    (root / "prepared").symlink_to(prepared)
    entries: dict[str, dict[str, object]] = {
        board: {"work": str(root / board), "command": str(program), "labels": {"shelf": "a"}}
        for board in boards
    }
    for board, host in ssh_hosts.items():
        entries[board] |= {"transport": "ssh", "host": host}
    for board in boards:
        (root / board).mkdir()
    shelf = Shelf(root=root, boards=boards)
    shelf.file.write_text(yaml.safe_dump({"boards": entries}))
    return shelf


def overlaps(events: list[tuple[str, str, str]]) -> bool:
    """Return whether a session began while another was alive on the same board."""
    return any(what == "overlap" for what, _, _ in events)

"""The driver of a board, on the hub: one session there from its start to a verified archive here.

It is called by a scheduler with texts and gives a text back, so that nothing but texts crosses
between processes. Killed and called again it goes on: the board's own lock says whether the session
of before still runs, and a session that is there is resumed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.errors import ApplianceError, RunFailedError, VerificationError
from edgemoe_appliance.fleet.boards import Board
from edgemoe_appliance.fleet.transport import (
    IN_USE,
    UNREACHABLE,
    evaluation,
    fetch_archive,
    locked,
)
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier, Sha256
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import GIB

# Runs that ended badly are a result, and their session has its archive.
_WITH_ARCHIVE: Final = (0, RunFailedError.exit_code)
_WAIT_S: Final = 5.0
# A session with its image is a few GB; a board that never stops sending must not fill the disk.
_MOST_ARCHIVE_BYTES: Final = 32 * GIB
_LAST_LINES: Final = 3


class Task(Frozen):
    """One session of one board. `archives` is the folder on the hub for what comes back.

    A board that cannot be reached is tried again for `patience_s`.
    """

    board_name: Identifier
    board: Board
    session: Identifier
    arguments: tuple[str, ...] = ()
    archives: str
    maker: Maker
    patience_s: float

    @property
    def key(self) -> str:
        """Return its name among all tasks."""
        return f"{self.board_name}/{self.session}"


class TaskResult(Frozen):
    """How a task ended: an archive that verified, or the reason why there is none."""

    board_name: Identifier
    session: Identifier
    status: Literal["archived", "failed"]
    archive: str | None = None
    sha256: Sha256 | None = None
    why: str | None = None


def drive(text: str, say: Say) -> str:
    """Make a task, given and returned as JSON; `say` takes a line of progress."""
    task = Task.model_validate_json(text)
    try:
        result = _Driver(task, say).run()
    except ApplianceError as error:
        result = TaskResult(
            board_name=task.board_name, session=task.session, status="failed", why=str(error)
        )
    return result.model_dump_json()


@dataclass(kw_only=True)
class _Ended:
    """How a command on a board ended, and its last lines."""

    code: int
    lines: list[str]


class _Driver:
    def __init__(self, task: Task, say: Say, now: Callable[[], float] = time.monotonic) -> None:
        self._task = task
        self._say = say
        self._now = now

    def run(self) -> TaskResult:
        task = self._task
        ended = self._measured()
        if ended.code not in _WITH_ARCHIVE:
            last = " / ".join(ended.lines) or "it said nothing"
            raise RunFailedError(f"the board ended with code {ended.code}: {last}", where=task.key)
        self._say("copying the archive")
        path = Path(task.archives) / task.board_name / f"{task.session}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder("edgemoe-fleet-", path.parent) as folder:
            arrived = folder / path.name
            fetch_archive(task.board, task.session, arrived, _MOST_ARCHIVE_BYTES)
            sha256 = self._verified(arrived)
            arrived.rename(path)
        self._say("archived")
        return TaskResult(
            board_name=task.board_name,
            session=task.session,
            status="archived",
            archive=str(path),
            sha256=sha256,
        )

    def _verified(self, path: Path) -> str:
        self._say("verifying the archive")
        found = verify_archive(path, self._task.maker)
        if not found.is_good or found.session != self._task.session:
            wrong = found.mismatches[0] if found.mismatches else f"is session {found.session}"
            raise VerificationError(f"the archive is refused: {wrong}", where=self._task.key)
        return found.sha256

    def _measured(self) -> _Ended:
        """Run the session, waiting for a board that is in use or cannot be reached."""
        lost_since: float | None = None
        while True:
            ended = self._attempt()
            if ended.code == IN_USE:
                lost_since = None
                self._say("waiting: the board is in use")
            elif ended.code == UNREACHABLE:
                lost_since = self._now() if lost_since is None else lost_since
                if self._now() - lost_since >= self._task.patience_s:
                    return ended
                self._say("waiting: the board cannot be reached")
            else:
                return ended
            time.sleep(_WAIT_S)

    def _attempt(self) -> _Ended:
        task = self._task
        inside = evaluation(task.board, task.session, task.arguments)
        lines: list[str] = []
        with _started(locked(task.board, inside)) as process:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            for raw in process.stdout:
                line = on_one_line(raw.decode(errors="replace").strip())
                if line:
                    lines = [*lines, line][-_LAST_LINES:]
                    self._say(line)
        return _Ended(code=process.returncode, lines=lines)


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a group of its own: what ends the driver does not end a session."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        yield process

"""The driver of a board, on the hub: one session there from its start to a verified archive here.

It is called by a scheduler with texts and gives a text back, so that nothing but texts crosses
between processes. Killed and called again it goes on: the board's own lock says whether the session
of before still runs, and a session that is there is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.layout import DEFAULT_LIMITS
from edgemoe_appliance.archive.results import Verification
from edgemoe_appliance.archive.verify import VerifiedSession, verified_archive
from edgemoe_appliance.errors import ApplianceError, HostError, RunFailedError, VerificationError
from edgemoe_appliance.fleet.boards import Board
from edgemoe_appliance.fleet.transport import (
    IN_USE,
    UNREACHABLE,
    Ended,
    evaluation,
    fetched_archive,
    follow,
    locked,
)
from edgemoe_appliance.ledger.entries import LedgerEntry, judge_entry, write_entry
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier, Sha256
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.streams import Say

# Runs that ended badly are a result, and their session has its archive.
_WITH_ARCHIVE: Final = (0, RunFailedError.exit_code)
_WAIT_S: Final = 5.0
_MOST_LINES_A_SECOND: Final = 100


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
    """How a task ended: an archive that verified, or the reason why there is none.

    `arguments` are what it was evaluated with, None in journals of before they were kept.
    """

    board_name: Identifier
    session: Identifier
    arguments: tuple[str, ...] | None = None
    status: Literal["archived", "failed"]
    archive: str | None = None
    sha256: Sha256 | None = None
    why: str | None = None


def entries_folder(archives: Path) -> Path:
    """Return where what each archive contributes to the fleet's ledger is kept."""
    return archives.parent / "entries"


def archive_path(task: Task) -> Path:
    """Return where the archive of a task lies on the hub."""
    return Path(task.archives) / task.board_name / f"{task.session}.tar"


def drive(text: str, say: Say) -> str:
    """Make a task, given and returned as JSON; `say` takes a line of progress."""
    task = Task.model_validate_json(text)
    try:
        result = run_task(task, say)
    except ApplianceError as error:
        result = TaskResult(
            board_name=task.board_name, session=task.session, status="failed", why=str(error)
        )
    return result.model_dump_json()


def run_task(
    task: Task, say: Say, take: Callable[[VerifiedSession | None], None] = lambda _: None
) -> TaskResult:
    """Make a task. `take` is given what `verified_archive` gives, while it is open.

    Raises what went wrong, as an ApplianceError.
    """
    return _Driver(task, say, take).run()


class _Driver:
    def __init__(
        self,
        task: Task,
        say: Say,
        take: Callable[[VerifiedSession | None], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task = task
        self._say = say
        self._take = take
        self._now = now

    def run(self) -> TaskResult:
        task = self._task
        ended = self._patiently(self._session)
        if ended.code not in _WITH_ARCHIVE:
            raise RunFailedError(f"the board ended with {ended}", where=task.key)
        self._say("copying the archive")
        path = archive_path(task)
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder("edgemoe-fleet-", path.parent) as folder:
            arrived = folder / path.name
            most_bytes = DEFAULT_LIMITS.archive_bytes
            ended = self._patiently(
                lambda: fetched_archive(task.board, task.session, arrived, most_bytes)
            )
            if ended.code != 0:
                raise HostError(f"the archive cannot be copied, {ended}", where=task.key)
            sha256 = self._verified(arrived)
            arrived.rename(path)
        self._say("archived")
        return TaskResult(
            board_name=task.board_name,
            session=task.session,
            arguments=task.arguments,
            status="archived",
            archive=str(path),
            sha256=sha256,
        )

    def _verified(self, path: Path) -> str:
        self._say("verifying the archive")
        with verified_archive(path, self._task.maker) as (found, session):
            self._check(found)
            self._take(session)
            # Judged now, while it is open: a report over boards need not verify it again.
            entry = judge_entry(found, session, self._task.maker)
            if isinstance(entry, LedgerEntry):
                write_entry(entries_folder(Path(self._task.archives)), entry)
            return found.sha256

    def _check(self, found: Verification) -> None:
        if not found.is_good or found.session != self._task.session:
            wrong = found.mismatches[0] if found.mismatches else f"is session {found.session}"
            raise VerificationError(f"the archive is refused: {wrong}", where=self._task.key)

    def _patiently(self, attempt: Callable[[], Ended]) -> Ended:
        """Repeat an attempt while the board is in use or, for the task's patience, out of reach."""
        lost_since: float | None = None
        while True:
            ended = attempt()
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

    def _session(self) -> Ended:
        task = self._task
        inside = evaluation(task.board, task.session, task.arguments)
        return follow(locked(task.board, inside), _Talk(self._say, self._now))


class _Talk:
    """Passes on what a board says, so many lines a second at most: a flood would drown the hub."""

    def __init__(self, say: Say, now: Callable[[], float]) -> None:
        self._say = say
        self._now = now
        self._second = 0
        self._said = 0

    def __call__(self, line: str) -> None:
        second = int(self._now())
        if second != self._second:
            self._second, self._said = second, 0
        self._said += 1
        if self._said <= _MOST_LINES_A_SECOND:
            self._say(line)

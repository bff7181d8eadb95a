"""The hub: every session on every board, once, whatever is killed meanwhile.

A scheduler (Dask `distributed`) keeps one driver process for each board and gives it the sessions
of that board alone: each worker has a resource named after its board, so that no session can go to
another, and a driver that was killed is started again and goes on. What the scheduler knows is lost
with it; what counts is the hub's own journal, which is synced line by line.

A scheduler's messages are pickles, and who can send one can run code. So the hub's own listens on
this machine alone, and another is spoken to on this machine or by TLS.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.fleet.driver import Task, TaskResult, archive_path, drive
from edgemoe_appliance.schema.files import file_sha256, try_lock
from edgemoe_appliance.schema.text import on_one_line

FLEET_JOURNAL: Final = "fleet.jsonl"
ARCHIVES_FOLDER: Final = "archives"
_LOCK_NAME: Final = ".lock"
_TOPIC: Final = "edgemoe-fleet"
# A driver that is killed is started again; so often that it is never given up for that.
_ALLOWED_DEATHS: Final = 1000
_LOOPBACK: Final = "127.0.0.1"
_CONNECT_S: Final = 20
_SILENT: Final = 50  # CRITICAL of the standard library's levels
OnBoardLine = Callable[[str, str, str], None]  # board, session, line


class FleetJournal:
    """What became of the sessions of a fleet: one line of JSON each, the last one counts."""

    def __init__(self, folder: Path) -> None:
        """Name the fleet's folder."""
        self.path = folder / FLEET_JOURNAL

    def results(self) -> dict[tuple[str, str], TaskResult]:
        """Return the last result of each session, by board and session.

        A last line that was cut off by a crash is no result. Raises RecordError.
        """
        found: dict[tuple[str, str], TaskResult] = {}
        for number, line in enumerate(self._lines(), 1):
            try:
                result = TaskResult.model_validate_json(line)
            except ValidationError as error:
                raise RecordError(
                    "is no line of a fleet's journal",
                    where=f"{self.path}:{number}",
                    hint="remove it: the board is asked for that session again, and measures "
                    "nothing twice",
                ) from error
            found[result.board_name, result.session] = result
        return found

    def seen(self) -> list[TaskResult]:
        """Return the last result of each session as it stands now, where an archive has gone."""
        return [
            _failed(result, "its archive is no longer as it was verified")
            if result.status == "archived" and not is_archived(result)
            else result
            for result in self.results().values()
        ]

    def add(self, result: TaskResult) -> None:
        """Append one result, synced before this returns; a torn last line is ended first."""
        with self.path.open("ab") as file:
            if self._is_torn():
                os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)
            file.write(result.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _is_torn(self) -> bool:
        content = self.path.read_bytes() if self.path.is_file() else b""
        return bool(content) and not content.endswith(b"\n")

    def _lines(self) -> list[bytes]:
        content = self.path.read_bytes() if self.path.is_file() else b""
        whole, _, _ = content.rpartition(b"\n")
        return whole.split(b"\n") if whole else []


def is_archived(result: TaskResult | None) -> bool:
    """Return whether a session's archive is there as it was verified."""
    if result is None or result.archive is None or result.sha256 is None:
        return False
    path = Path(result.archive)
    return path.is_file() and file_sha256(path) == result.sha256


@contextmanager
def fleet_folder(folder: Path) -> Iterator[Path]:
    """Make a fleet's folder and hold its lock. Raises HostError where another hub works on it."""
    (folder / ARCHIVES_FOLDER).mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_NAME).open("ab") as lock:
        if not try_lock(lock.fileno()):
            raise HostError(
                "another hub works on this fleet", where=str(folder), hint="wait, or name another"
            )
        yield folder


@dataclass(kw_only=True)
class Hub:
    """All tasks of a fleet under way."""

    folder: Path
    on_line: OnBoardLine
    on_archived: Callable[[str], None] = field(default=lambda _: None)
    scheduler: str | None = None
    on_ready: Callable[[str], None] = field(default=lambda _: None)

    def run(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """Make the tasks that have no verified archive yet; return the results of all.

        Raises HostError where there is no scheduler to be had.
        """
        journal = FleetJournal(self.folder)
        results = dict(_archived_before(tasks, journal))
        for result in results.values():
            self.on_archived(result.board_name)
        left = [task for task in tasks if task.key not in results]
        if left:
            boards = dict.fromkeys(task.board_name for task in left)
            with _opened_client(boards, self.scheduler) as client:
                self.on_ready(client.dashboard_link or "")
                client.subscribe_topic(_TOPIC, self._on_event)
                for result in _results(client, left):
                    journal.add(result)
                    if result.status == "archived":
                        self.on_archived(result.board_name)
                    results[f"{result.board_name}/{result.session}"] = result
        return [results[task.key] for task in tasks]

    def _on_event(self, event: tuple[float, Mapping[str, str]]) -> None:
        """Show a line of a driver; a worker of a cluster may send anything."""
        _, message = event
        with contextlib.suppress(KeyError, TypeError):
            self.on_line(*(str(message[key]) for key in ("board", "session", "line")))


def _archived_before(
    tasks: Iterable[Task], journal: FleetJournal
) -> Iterator[tuple[str, TaskResult]]:
    """Yield the tasks with a verified archive; raises ConfigError where it answers another task."""
    known = journal.results()
    for task in tasks:
        result = known.get((task.board_name, task.session))
        if result is None or not is_archived(result):
            continue
        if result.arguments not in (None, task.arguments):
            raise ConfigError(
                f"{task.key} was measured with other arguments "
                f"({on_one_line(' '.join(result.arguments) or 'none')})",
                where=str(journal.path),
                hint="name another fleet with --name",
            )
        yield task.key, result


def _results(client: Any, tasks: Iterable[Task]) -> Iterator[TaskResult]:
    """Yield results as they come; tasks of one board are made one after another."""
    futures = {
        client.submit(
            _drive_on_worker,
            task.model_dump_json(),
            key=task.key,
            pure=False,
            resources={_resource(task.board_name): 1},
            allow_other_workers=False,
        ): task
        for task in tasks
    }
    for future in _distributed().as_completed(list(futures)):
        task = futures[future]
        if future.status == "finished":
            yield answer_of(task, future.result())
        elif future.status == "error":
            yield _failed(task, f"its driver ended: {future.exception()}")
        else:
            raise HostError("the scheduler is gone", hint="the same command goes on")


def answer_of(task: Task, text: str) -> TaskResult:
    """Return what a driver says of its task; one that answers for anything else is not believed."""
    try:
        result = TaskResult.model_validate_json(text)
    except ValidationError:
        return _failed(task, "its driver gave an answer that is none")
    if (result.board_name, result.session) != (task.board_name, task.session):
        told = on_one_line(f"{result.board_name}/{result.session}")
        return _failed(task, f"its driver answered for {told}")
    if result.status == "failed":
        return result.model_copy(update={"archive": None, "sha256": None})
    if result.archive != str(archive_path(task)) or not is_archived(result):
        return _failed(task, "its driver told of an archive that is not there")
    return result


def _failed(task: Task | TaskResult, why: str) -> TaskResult:
    return TaskResult(
        board_name=task.board_name, session=task.session, status="failed", why=on_one_line(why, 300)
    )


def _drive_on_worker(text: str) -> str:
    """Make a task inside a worker; its lines go to whoever subscribed to the topic."""
    worker = _distributed().get_worker()
    task = Task.model_validate_json(text)
    about = {"board": task.board_name, "session": task.session}
    return drive(text, lambda line: worker.log_event(_TOPIC, {**about, "line": line}))


def _resource(board: str) -> str:
    """Return the resource that the worker of a board has, and no other."""
    return f"board-{board}"


def _distributed() -> Any:
    """Return Dask's scheduler, which has no types. Raises HostError where it is not installed."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise HostError(
            "a fleet needs the package distributed", hint="pip install edgemoe-appliance[fleet]"
        ) from error


@contextmanager
def _opened_client(boards: Iterable[str], scheduler: str | None) -> Iterator[Any]:
    """Give a client of the scheduler that was named, or of one made here for these boards."""
    package = _distributed()
    settings: dict[str, Any] = {"distributed.scheduler.allowed-failures": _ALLOWED_DEATHS}
    settings["distributed.scheduler.work-stealing"] = False
    with importlib.import_module("dask").config.set(settings), contextlib.ExitStack() as opened:
        if scheduler is None:
            place = opened.enter_context(_drivers(package, boards))
        else:
            require_safe(scheduler)
            place = scheduler
        try:
            client = opened.enter_context(package.Client(place, timeout=_CONNECT_S))
        except OSError as error:
            raise HostError(
                "no scheduler answers", where=scheduler, hint="start it, or leave out --scheduler"
            ) from error
        yield client


def _drivers(package: Any, boards: Iterable[str]) -> Any:
    """Return a scheduler on this machine's own address and one worker process for each board."""
    own = {"host": _LOOPBACK, "dashboard_address": f"{_LOOPBACK}:0"}
    common = {"nthreads": 1, "host": _LOOPBACK, "memory_limit": 0, "dashboard_address": None}
    common["silence_logs"] = _SILENT  # else workers write over the screen
    return package.SpecCluster(
        scheduler={"cls": package.Scheduler, "options": own},
        workers={
            name: {
                "cls": package.Nanny,
                "options": {**common, "name": name, "resources": {_resource(name): 1}},
            }
            for name in boards
        },
        silence_logs=_SILENT,
    )


def require_safe(address: str) -> None:
    """Raise ConfigError for a scheduler on another machine that is not spoken to by TLS."""
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise ConfigError(
            f"--scheduler {address}: is no address", hint="give one as tcp://127.0.0.1:8786"
        )
    if parts.scheme == "tcp" and not _is_loopback(parts.hostname):
        raise ConfigError(
            f"--scheduler {address}: a scheduler runs code of whoever can reach it",
            hint="use tls:// with certificates in Dask's configuration, or a tunnel to 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""What the host does with a session folder, each time in a child that may hang or be killed.

`python -m tests.hostile.box` reads one request a line and answers each on a line. It has loaded
and read everything beforehand and starts no thread, so that a fork costs milliseconds and is safe.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from edgemoe_appliance.analysis import load_sessions, sessions
from edgemoe_appliance.analysis.store import Store, TableShape
from edgemoe_appliance.archive import bundle
from edgemoe_appliance.bench.session import run_bench, unfinished_session
from edgemoe_appliance.container.file_transfer import BindExchange
from edgemoe_appliance.container.launch import IMAGE_USER, User
from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.measure.journal import Journal
from edgemoe_appliance.measure.live import LiveFile
from edgemoe_appliance.measure.samples import write_raw
from edgemoe_appliance.schema.journal import PLAN_NAME, read_progress
from edgemoe_appliance.schema.plan import Plan
from tests.archive.sessions import request, write_small_session

# What one look at a folder may take; a hundred times what it takes on a quiet machine.
BOUND_S = 10.0
MEMORY_BYTES = 768 * 2**20
_MADE: dict[str, object] = {
    "derive_files": {},
    "build_sbom": b"{}\n",
    "read_environment": None,
    "read_code": {},
    "build_wheel": b"",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an action ended: `done`, `refused` in one line, `hung`, or `crashed` with a traceback."""

    kind: str
    text: str = ""
    exit_code: int = 0
    wall_s: float = 0.0


class Idle:
    """A launcher whose measuring process ends at once, without a word."""

    def launch(self, *_: object) -> Idle:
        return self

    def poll(self) -> int:
        return 0

    def stop(self) -> int:
        return 0

    def finish(self) -> None:
        """Nothing is under way."""


def plan_of(folder: Path) -> Plan:
    """Return the plan as the bench has it in memory: kept where no attack reaches."""
    return Plan.model_validate_json((folder.parent / "plan-in-memory.json").read_bytes())


class NoStore(Store):
    """Takes what was read and keeps nothing: its engine reads no folder, and takes longest."""

    def __init__(self, shapes: Sequence[TableShape]) -> None:
        """Open no engine."""

    def add(self, shape: TableShape, columns: object) -> None:
        """Keep nothing."""

    def execute(self, sql: str, values: Sequence[object] = ()) -> mock.Mock:
        """Answer nothing."""
        return mock.MagicMock()

    def close_loading(self) -> None:
        """There is nothing to close."""


def report(folder: Path) -> None:
    with mock.patch.object(sessions, "Store", NoStore):
        load_sessions([folder])


def archive(folder: Path) -> None:
    # What follows from the records is made of what `report` reads, and what is of the appliance
    # reads nothing of the folder; both take long.
    for name, made in _MADE.items():
        setattr(bundle, name, lambda *_, made=made: made)
    bundle.write_archive(request(folder, folder.parent / "out" / "a.tar"))


def bench(folder: Path) -> None:
    run_bench(plan_of(folder), folder, Idle(), lambda _: None)


def resume(folder: Path) -> None:
    unfinished_session(plan_of(folder), folder.parent, folder.name)
    read_progress(folder / "runs.jsonl")


def measure(folder: Path) -> None:
    with Journal(folder), contextlib.closing(LiveFile(folder)) as live:
        live.begin("run", "cool-down")
        write_raw(folder, "new.json", b"{}")


def lend(folder: Path) -> None:
    plan = plan_of(folder).model_copy(update={"models": {}})
    exchange = BindExchange(plan, folder, User(uid=IMAGE_USER, gid=IMAGE_USER))
    exchange.prepare()
    refused = exchange.collect("unused")
    if refused is not None:
        raise refused


ACTIONS: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (report, archive, bench, resume, measure, lend)
}


def act(name: str, folder: Path, uid: int) -> Outcome:
    """Do something in this process, as a user, and say how it ended."""
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + MEMORY_BYTES, resource.RLIM_INFINITY))
    try:
        ACTIONS[name](folder)
    except ApplianceError as error:
        kind = "crashed" if "\n" in str(error) else "refused"
        return Outcome(kind=kind, text=str(error), exit_code=error.exit_code)
    except BaseException:  # noqa: BLE001  whatever it is, it is the finding
        return Outcome(kind="crashed", text=traceback.format_exc()[-2000:])
    return Outcome(kind="done")


def boxed(name: str, folder: Path, uid: int) -> Outcome:
    """Do something in a child, and end it where it takes longer than the bound."""
    reading, writing = os.pipe()
    start_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.write(writing, json.dumps(dataclasses.asdict(act(name, folder, uid))).encode())
        os._exit(0)
    os.close(writing)
    ended = select.select([reading], [], [], BOUND_S)[0]
    if not ended:
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    wall_s = time.monotonic() - start_s
    if not ended:
        return Outcome(kind="hung", wall_s=wall_s)
    if not said:
        return Outcome(kind="crashed", text="killed", wall_s=wall_s)
    return dataclasses.replace(Outcome(**json.loads(said)), wall_s=wall_s)


def prepare() -> None:
    """Do everything once with a good folder: what is loaded and read then, no child repeats."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "raw"
        root.mkdir()
        folder = write_small_session(root)
        shutil.copy(folder / PLAN_NAME, root / "plan-in-memory.json")
        for action in ACTIONS.values():
            action(folder)
    # Collecting would touch, and so copy, all that a child shares with this process.
    gc.collect()
    gc.freeze()


def serve() -> None:
    prepare()
    for line in sys.stdin:
        name, folder, uid = json.loads(line)
        print(json.dumps(dataclasses.asdict(boxed(name, Path(folder), uid))), flush=True)


class Box:
    """The other end of a box."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def try_out(self, action: str, folder: Path, uid: int | None = None) -> Outcome:
        """Do something to a folder, as a user (this one), and return how it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        user = os.geteuid() if uid is None else uid
        self._process.stdin.write(json.dumps([action, str(folder), user]) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def open_box() -> Iterator[Box]:
    command = [sys.executable, "-m", "tests.hostile.box"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Box(process)
        assert process.stdin is not None
        process.stdin.close()


if __name__ == "__main__":
    serve()

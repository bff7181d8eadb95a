"""Starting the measuring process: one interface, natively here, in a container elsewhere."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol, cast

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import LOG_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder

# Two signals can need to reach the engine one after the other before the journal is closed.
_STOP_GRACE_S = 30.0
_TAIL_BYTES = 64 * 1024


class Measuring(Protocol):
    """A measuring process that has been started."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it measures."""

    def stop(self) -> int:
        """Ask it to close its journal, wait, and return its exit code."""


class Launcher(Protocol):
    """A way to start `measure` with a plan on a session folder.

    The bench keeps the plan in `host_folder`; what lies in the session folder decides nothing.
    """

    def launch(self, plan: Plan, folder: Path) -> Measuring:
        """Start measuring."""


class NativeLauncher:
    """Starts `measure` as a child process of this one."""

    def launch(self, plan: Plan, folder: Path) -> NativeMeasuring:
        """Start measuring; its own output goes to a log file beside the plan."""
        command = [
            sys.executable,
            "-m",
            "edgemoe_appliance.measure",
            "--plan",
            str(host_folder(folder) / PLAN_NAME),
            "--out",
            str(folder),
            "--stop-with-parent",
        ]
        with SessionFolder(host_folder(folder)) as own:
            log = own.open_for_append(LOG_NAME)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        finally:
            os.close(log)
        keep_awake(process.pid)
        return NativeMeasuring(process)


def keep_awake(pid: int, system: str | None = None) -> subprocess.Popen[bytes] | None:
    """Keep a Mac awake until a process ends: time asleep would count as time of a run.

    Source: caffeinate(8). -i no idle sleep, -m no sleep of disks, -s none on mains power.
    """
    if (system or platform.system()) != "Darwin":
        return None
    try:
        return subprocess.Popen(
            ["/usr/bin/caffeinate", "-ims", "-w", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:  # a Mac without it is told by nothing worse than a run that took too long
        return None


class NativeMeasuring:
    """A measuring child process. Its standard input ends with this process, and so does it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take over the process, which reads a pipe of this one."""
        self._process = process
        self._stdin = cast("IO[bytes]", process.stdin)

    def poll(self) -> int | None:
        """Return the exit code, or None while it measures."""
        return self._process.poll()

    def finish(self) -> None:
        """Ask it to finish the present run and to begin no other; `poll` tells when it has."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._stdin.fileno(), b"\n")

    def stop(self) -> int:
        """Ask it to close its journal; end it by force where it does not."""
        self._stdin.close()
        try:
            return self._process.wait(_STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def log_tail(folder: Path) -> str:
    """Return the last line of the measuring process's log that says something."""
    try:
        with SessionFolder(host_folder(folder)) as own:
            lines = own.read_end(LOG_NAME, _TAIL_BYTES).decode(errors="replace").splitlines()
    except (FileNotFoundError, RecordError):
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")

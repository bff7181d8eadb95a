"""Looking at processes and ending measuring ones, for the tests of this room."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil


def is_running(pid: int) -> bool:
    """Return whether a process is there and not dead; somebody else's zombie is dead."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Wait for a condition, as long as a machine may need that has much else to do."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def start_python(script: str, arguments: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """Start a Python that imports what this one does."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )


def survives_its_parent(script: str, arguments: Sequence[str | Path], pid_file: Path) -> bool:
    """Start a Python whose child writes its pid to a file, kill it, and look for the child."""
    with start_python(script, arguments) as parent:
        wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
        child = int(pid_file.read_text())
        assert is_running(child)
        parent.kill()
    # It dies at once; seconds pass on a busy machine until it is looked at again.
    return not wait_until(lambda: not is_running(child), 60)

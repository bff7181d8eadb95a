"""Running the tools that prepare an engine: git, pip, cmake, compilers. Never the engine itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.engine.guard import GroupGuard
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.text import on_one_line


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """How a tool ended; `lines` are its stdout and stderr as they came."""

    exit_code: int
    timed_out: bool
    lines: tuple[str, ...]

    @property
    def last_error(self) -> str:
        """Return the last line that speaks of an error, else the last line, on one line."""
        told = [line for line in self.lines if line.strip()]
        errors = [line for line in told if _is_error(line)]
        return on_one_line((errors or told or ["it printed nothing"])[-1].strip(), 240)


def _is_error(line: str) -> bool:
    lowered = line.lower()
    return any(word in lowered for word in ("error", "fatal", "not found", "cannot "))


def find_tool(name: str) -> Path | None:
    """Return a program beside the Python interpreter or on PATH.

    Wheels such as cmake put their programs beside the interpreter, whose folder is on PATH only
    in an activated environment.
    """
    scripts = sysconfig.get_path("scripts")
    beside = shutil.which(name, path=os.pathsep.join((scripts, str(Path(sys.executable).parent))))
    found = shutil.which(name) or beside
    return Path(found) if found else None


def require_tool(name: str, package: str) -> Path:
    """Return a program; `package` is what Debian and Ubuntu call what brings it.

    Raises HostError with the command that installs it.
    """
    path = find_tool(name)
    if path is None:
        raise HostError(f"{name} is not installed", hint=install_hint(package))
    return path


def install_hint(package: str) -> str:
    """Return what to type to install a package."""
    if sys.platform == "darwin":
        command = "pip install cmake" if package == "cmake" else "xcode-select --install"
    else:
        command = f"sudo apt-get install {package}"
    return f"install it with: {command}"


def run_tool(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float,
    on_line: Callable[[str], None] = lambda _line: None,
) -> ToolResult:
    """Run a tool to its end; past `timeout_s`, or when we die, its whole group is killed.

    Raises HostError where it cannot be started.
    """
    lines: list[str] = []
    expired = threading.Event()
    with GroupGuard() as guard, _started(argv, env, cwd) as process:
        guard.protect(process.pid)
        timer = threading.Timer(timeout_s, _expire, (process, expired))
        timer.daemon = True  # hours must not keep a program that has ended
        timer.start()
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip("\n"))
                on_line(lines[-1])
            exit_code = process.wait()
        finally:
            timer.cancel()
        if not expired.is_set():
            guard.release()
    return ToolResult(exit_code=exit_code, timed_out=expired.is_set(), lines=tuple(lines))


@contextmanager
def _started(
    argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None
) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(
            [str(part) for part in argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"cannot be started ({error.strerror})", where=str(argv[0])) from error
    with process:  # closes the pipe and waits
        try:
            yield process
        finally:
            _kill_group(process)


def _expire(process: subprocess.Popen[str], expired: threading.Event) -> None:
    expired.set()
    _kill_group(process)


def _kill_group(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:  # reaped: its number may be somebody else's by now
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

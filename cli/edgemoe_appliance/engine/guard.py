"""A guard that kills a process group when the process that started it dies, even by SIGKILL.

Where /proc tells sessions, what has left the group for one of its own is killed too: ninja gives
each compiler one, and a compiler that lives on writes into what a continued build writes.

An engine that outlives its measuring process would run beside the resumed one and spoil its
figures. The guard is a shell that waits on a pipe whose other end only we hold. It was chosen
over PR_SET_PDEATHSIG because that needs Python code between fork and exec (unsafe beside the
sampler's thread), fires when the starting thread ends rather than the process, and is Linux only.
"""

from __future__ import annotations

import contextlib
import subprocess
from types import TracebackType
from typing import Final

from edgemoe_appliance.errors import HostError

# Kills nothing until it has been told a group; ends by our death (end of file on its input).
# After the last parenthesis of /proc/PID/stat stand state, parent, group and session; the leader of
# the group leads the session. Twice, as a compiler may just have been starting another program.
_SCRIPT: Final = """
read -r group || exit 0
read -r _
kill -s KILL -- "-$group"
for round in first second; do
  for file in /proc/[0-9]*/stat; do
    read -r line <"$file" || continue
    set -- ${line##*) }
    [ "$4" = "$group" ] && kill -s KILL "${line%% *}"
  done
done
"""
_SHELL: Final = "/bin/sh"


class GroupGuard:
    """Holds a guard process; leaving the context without `release` kills the group."""

    def __enter__(self) -> GroupGuard:
        """Start the guard, outside our own session so that no terminal signal reaches it."""
        try:
            self._shell = subprocess.Popen(
                [_SHELL, "-c", _SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(f"{_SHELL} cannot be started ({error.strerror})") from error
        return self

    def protect(self, group: int) -> None:
        """Tell the guard which process group it kills."""
        self._write(f"{group}\n".encode())

    def release(self) -> None:
        """End the guard; from here on the group lives or has been ended by its owner."""
        self._shell.kill()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the pipe and wait for the guard."""
        if self._shell.stdin:
            with contextlib.suppress(OSError):
                self._shell.stdin.close()
        self._shell.wait()

    def _write(self, data: bytes) -> None:
        if not self._shell.stdin:
            return
        try:
            self._shell.stdin.write(data)
            self._shell.stdin.flush()
        except OSError as error:
            raise HostError(f"the guard process is gone ({error.strerror})") from error

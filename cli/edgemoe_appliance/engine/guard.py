"""A guard that kills a process group when the process that started it dies, even by SIGKILL.

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
_SCRIPT: Final = 'read -r group || exit 0; read -r _; kill -s KILL -- "-$group"'
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

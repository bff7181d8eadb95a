"""A program that prints readings, as a child process whose lines are stamped as they come.

The lines are parsed by whoever asks for them, so that their cost is the caller's and is counted.
A child that ends on its own leaves word of it, with what it said last.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_QUOTE: Final = 120
_STOP_S: Final = 2.0
_MAX_LINE_BYTES: Final = 16 * 1024
# The board's own tegrastats is shown to a container whose image brings an older C library.
_NEWER_LIBRARY: Final = (
    " (the host's tegrastats needs a newer C library than the image has; the INA3221 is read "
    "without it)"
)


@dataclass(frozen=True, kw_only=True)
class ChildLine:
    """A line and the moment at which it arrived."""

    t_mono_ns: int
    content: bytes

    @property
    def text(self) -> str:
        """Return it as text, without the space around it."""
        return self.content.decode(errors="replace").strip()


@dataclass(frozen=True, kw_only=True)
class ChildEnd:
    """The end of the output that nobody asked for."""

    t_mono_ns: int
    reason: str


class LineChild:
    """One process of a meter and the thread that stamps its lines; messages call it `name`."""

    def __init__(self, command: Sequence[str], name: str) -> None:
        """Start both. Raises OSError where the program cannot be started."""
        self.arrived: queue.SimpleQueue[ChildLine | ChildEnd] = queue.SimpleQueue()
        self._name = name
        self._stopping = threading.Event()
        # A session of its own: Ctrl-C is for the bench, which stops its children in order.
        self._process = subprocess.Popen(
            [*command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process, by force if it does not listen, and the thread."""
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_STOP_S)
        if self._process.stdout is not None and not self._thread.is_alive():
            self._process.stdout.close()

    def _follow(self) -> None:
        stdout = self._process.stdout
        last = b""
        while stdout is not None and (content := stdout.readline(_MAX_LINE_BYTES)):
            last = content
            self.arrived.put(ChildLine(t_mono_ns=time.monotonic_ns(), content=last))
        if not self._stopping.is_set():
            said = last.decode(errors="replace").strip()
            self.arrived.put(ChildEnd(t_mono_ns=time.monotonic_ns(), reason=self._obituary(said)))

    def _obituary(self, last: str) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        code = self._process.poll()
        how = "closed its output" if code is None else f"ended with exit code {code}"
        why = _NEWER_LIBRARY if "GLIBC_" in last else ""
        return f"{self._name} {how}; its last line: {last[:MAX_QUOTE] or 'none'}{why}"

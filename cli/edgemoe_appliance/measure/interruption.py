"""Stopping on SIGINT, SIGTERM, or when the process that started this one has gone.

A byte on standard input asks for less: the present run is finished, and no other is begun. A pipe
keeps it until this process reads, where a signal that comes before its handler would end it.

A signal only sets a mark; the work asks for it where stopping is safe, so that no record is
ever cut in two by a signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType

from edgemoe_appliance.errors import InterruptedByUserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Catches the signals while its context is open; `requested` says whether to stop."""

    def __init__(self) -> None:
        """Prepare without installing anything."""
        self._requested = threading.Event()
        self._is_last = threading.Event()
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        """Install the handlers (main thread only)."""
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def requested(self) -> bool:
        """Return whether stopping has been asked for."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask for stopping from inside the process."""
        self._requested.set()

    def sleep(self, duration_s: float) -> None:
        """Sleep, in slices short enough to stop soon.

        Raises InterruptedByUserError as soon as stopping is asked for.
        """
        end = time.monotonic() + duration_s
        while True:
            self.check()
            remaining = end - time.monotonic()
            if remaining <= 0:
                return
            time.sleep(min(remaining, 0.2))

    def check(self) -> None:
        """Raise InterruptedByUserError where stopping, or beginning no other run, was asked for."""
        if self.requested() or self._is_last.is_set():
            raise InterruptedByUserError(
                "stopped; what was measured is kept", hint="the same command resumes"
            )

    def follow_parent(self) -> None:
        """Heed standard input: a byte asks for no other run, its end for stopping at once.

        The parent holds the other end open, so that it ends with the parent, however that ends.
        """
        threading.Thread(target=self._watch_stdin, name="parent-watch", daemon=True).start()

    def _watch_stdin(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            self._is_last.set()
        self.request()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._requested.set()

"""What is running right now, for whoever watches: a small file, rewritten a few times a second.

It is a courtesy, never a record: it is not synced and nothing is computed from it.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import LIVE_NAME
from edgemoe_appliance.schema.sessionfolder import SessionFolder

_PERIOD_NS = 250_000_000


class LiveFile:
    """The live file of one session folder."""

    def __init__(self, folder: Path) -> None:
        """Name the file; nothing is written yet."""
        self._folder = folder
        self._due_ns = 0
        self._reads = 0
        self._run_id = ""

    def begin(self, run_id: str, state: str) -> None:
        """Say that a run is in a state (`cool-down`, `load`, ...)."""
        self._run_id = run_id
        self._reads = 0
        self._write(state)

    def text(self) -> None:
        """Count one read of text and, when it is time, say so."""
        self._reads += 1
        if time.monotonic_ns() >= self._due_ns:
            self._write("generate")

    def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError, RecordError), SessionFolder(self._folder) as session:
            session.remove(LIVE_NAME)

    def _write(self, state: str) -> None:
        self._due_ns = time.monotonic_ns() + _PERIOD_NS
        content = {"run_id": self._run_id, "state": state, "reads": self._reads}
        # A courtesy must not end a run.
        with contextlib.suppress(OSError, RecordError), SessionFolder(self._folder) as session:
            session.write(LIVE_NAME, json.dumps(content).encode(), is_synced=False)

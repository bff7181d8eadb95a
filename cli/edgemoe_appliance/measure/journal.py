"""Writing the journal: one writer at a time, every record synced before work goes on.

Opening a journal mends what a killed writer left: a torn last line is set aside in a file of
its own, never deleted.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType

from edgemoe_appliance.errors import HostError, MeasureError
from edgemoe_appliance.schema.files import sync, try_lock
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    SAMPLES_FOLDER,
    AnyRecord,
    JournalProgress,
    TornTail,
    iterate_journal,
)
from edgemoe_appliance.schema.records import EndRecord, record_line
from edgemoe_appliance.schema.roots import Roots
from edgemoe_appliance.schema.sessionfolder import SessionFolder

# Room for the end of the run in progress: freed when the disk is full, so that the run that met the
# full disk can still be closed. Nothing else may use it up.
_RESERVE_NAME = ".reserve"
_RESERVE_BYTES = 256 * 1024
# A writer whose bench was killed needs a moment to end its engine and close the journal.
_LOCK_WAIT_S = 20.0


class Journal:
    """The journal of one session, locked for this process while it is open."""

    def __init__(self, folder: Path, roots: Roots | None = None) -> None:
        """Name the journal; nothing is touched until the context is entered.

        `roots` are the folders that no record tells.
        """
        self.folder = folder
        self.roots = roots or Roots()
        self._path = folder / JOURNAL_NAME
        self._folder = SessionFolder(folder)
        self._opened = contextlib.ExitStack()
        self._descriptor = -1
        self._full_because: OSError | None = None
        self.progress = JournalProgress()

    def __enter__(self) -> Journal:
        """Lock and mend the journal and read what has been done.

        Raises HostError where another process writes it, RecordError where it is damaged.
        """
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._folder)
            descriptor = self._folder.open_for_append(JOURNAL_NAME)
            opened.callback(os.close, descriptor)
            self._lock(descriptor)
            self._folder.remove_partials((SAMPLES_FOLDER,))
            self._read_and_mend(descriptor)
            # Syncs the folder too, and with it the name of a new journal.
            self._reserve_space()
            self._opened = opened.pop_all()
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the lock."""
        self._folder.remove(_RESERVE_NAME)
        self._opened.close()
        self._descriptor = -1

    def append(self, record: AnyRecord) -> None:
        """Append a record; when this returns it is on the disk.

        Raises MeasureError where the disk does not take it; nothing written before is lost. The
        end of a run may use what was reserved for it; `require_room` then tells.
        """
        line = record_line(record, self.roots.hide)
        try:
            self._write(line)
        except OSError as error:
            if not isinstance(record, EndRecord):
                raise self._full(error) from error
            self._full_because = error
            self._folder.remove(_RESERVE_NAME)
            try:
                self._write(line)
            except OSError as second:
                raise self._full(second) from second
        self.progress.add(record)

    def require_room(self) -> None:
        """Raise MeasureError where the last end needed the reserve: another run has none."""
        if self._full_because is not None:
            raise self._full(self._full_because)

    def _full(self, error: OSError) -> MeasureError:
        return MeasureError(
            f"the journal cannot be written ({error.strerror})",
            where=str(self._path),
            hint="free disk space",
        )

    def _write(self, line: bytes) -> None:
        """Write a line and sync it, or leave the journal as it was."""
        end, written = os.fstat(self._descriptor).st_size, 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            sync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise

    def _lock(self, descriptor: int) -> None:
        end = time.monotonic() + _LOCK_WAIT_S
        while not try_lock(descriptor):
            if time.monotonic() > end:
                raise HostError(
                    "another process is measuring this session",
                    where=str(self._path.parent),
                    hint="wait for it, or give this one another --session name",
                )
            time.sleep(0.1)

    def _read_and_mend(self, descriptor: int) -> None:
        for line in iterate_journal(self._path):
            if isinstance(line, TornTail):
                self._folder.write(f"{JOURNAL_NAME}.torn-{line.offset}", line.content)
                os.ftruncate(descriptor, line.offset)
            else:
                self.progress.add(line.record)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
        sync(descriptor)

    def _reserve_space(self) -> None:
        try:
            # Zeros would take no room where the file system compresses.
            self._folder.write(_RESERVE_NAME, os.urandom(_RESERVE_BYTES))
        except OSError as error:
            raise HostError(
                f"no room for a session ({error.strerror})",
                where=str(self._path.parent),
                hint="free disk space",
            ) from error

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from edgemoe_appliance.errors import HostError, MeasureError, RecordError
from edgemoe_appliance.measure import journal as journal_module
from edgemoe_appliance.measure.journal import Journal
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, TornTail, iterate_journal
from edgemoe_appliance.schema.records import Status
from tests.measure.records_for_tests import end, header, spec


def written(folder: Path, runs: int = 2) -> bytes:
    with Journal(folder) as journal:
        for repetition in range(1, runs + 1):
            run = spec(repetition)
            journal.append(header(run))
            journal.append(end(run))
    return (folder / JOURNAL_NAME).read_bytes()


def test_a_journal_cut_at_any_byte_is_mended_and_loses_at_most_the_last_record(
    tmp_path: Path,
) -> None:
    folder_of_whole = tmp_path / "whole"
    folder_of_whole.mkdir()
    whole = written(folder_of_whole, runs=1)
    lines = whole.splitlines(keepends=True)
    starts = [sum(map(len, lines[:index])) for index in range(len(lines))]
    for length in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        for leftover in folder.iterdir():
            leftover.unlink()
        (folder / JOURNAL_NAME).write_bytes(whole[:length])
        # A line that lacks only its newline is whole.
        complete = sum(
            start + len(line) - 1 <= length for start, line in zip(starts, lines, strict=True)
        )
        with Journal(folder) as journal:
            kept = (folder / JOURNAL_NAME).read_bytes()
            assert kept == b"".join(lines[:complete])
            assert len(journal.progress.ends) == complete // 2
        torn = whole[len(kept) : length]
        aside = folder / f"{JOURNAL_NAME}.torn-{len(kept)}"
        assert (aside.read_bytes() if torn else b"") == torn


def test_work_goes_on_after_a_mended_journal(tmp_path: Path) -> None:
    whole = written(tmp_path)
    (tmp_path / JOURNAL_NAME).write_bytes(whole[:-20])
    with Journal(tmp_path) as journal:
        run = spec(2)
        assert not journal.progress.is_done(run.id)
        assert journal.progress.next_attempt(run.id) == 2
        journal.append(header(run, attempt=2))
        journal.append(end(run, attempt=2))
        assert journal.progress.is_done(run.id)
    read = list(iterate_journal(tmp_path / JOURNAL_NAME))
    assert all(isinstance(line, JournalLine) for line in read)
    assert [line.number for line in read] == [1, 2, 3, 4, 5]


def test_an_interrupted_run_is_not_done(tmp_path: Path) -> None:
    run = spec()
    with Journal(tmp_path) as journal:
        journal.append(header(run))
        journal.append(end(run, status=Status.INTERRUPTED))
        assert not journal.progress.is_done(run.id)


def test_damage_in_the_middle_is_an_error_with_its_line(tmp_path: Path) -> None:
    lines = written(tmp_path).splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"ok"', b'"fine"')
    (tmp_path / JOURNAL_NAME).write_bytes(b"".join(lines))
    with pytest.raises(RecordError, match=rf"{JOURNAL_NAME}:2: .*status"), Journal(tmp_path):
        pass


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    lines = written(tmp_path).splitlines(keepends=True)
    newer = lines[0].replace(b'"schema_version":2', b'"schema_version":3')
    (tmp_path / JOURNAL_NAME).write_bytes(newer)
    with pytest.raises(RecordError, match=r"schema 3.*newer edgemoe-appliance"), Journal(tmp_path):
        pass


@pytest.mark.parametrize(
    ("size_bytes", "what"), [(10**8, "line longer than"), (10**10, "at most 268435456 are read")]
)
def test_an_endless_line_is_refused_without_being_read(
    tmp_path: Path, size_bytes: int, what: str
) -> None:
    with (tmp_path / JOURNAL_NAME).open("wb") as file:
        file.truncate(size_bytes)
    with pytest.raises(RecordError, match=what):
        list(iterate_journal(tmp_path / JOURNAL_NAME))


def test_a_torn_tail_is_told_apart_by_readers(tmp_path: Path) -> None:
    whole = written(tmp_path)
    (tmp_path / JOURNAL_NAME).write_bytes(whole[:-5])
    *_, last = iterate_journal(tmp_path / JOURNAL_NAME)
    assert isinstance(last, TornTail)
    assert whole.startswith(last.content, last.offset)


def _hold(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with Journal(folder):
        ready.set()
        multiprocessing.Event().wait(30)


def test_a_second_writer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_LOCK_WAIT_S", 0.1)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    try:
        assert ready.wait(10)
        with pytest.raises(HostError, match="another process is measuring"), Journal(tmp_path):
            pass
    finally:
        holder.kill()
        holder.join()
    with Journal(tmp_path):
        pass


def test_a_full_disk_leaves_a_readable_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = spec()
    real_write = os.write
    with Journal(tmp_path) as journal:
        journal.append(header(run))

        def half_then_full(descriptor: int, data: bytes) -> int:
            if len(data) > 100:
                return real_write(descriptor, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", half_then_full)
        with pytest.raises(MeasureError, match=r"No space left.*free disk space"):
            journal.append(end(run))
        monkeypatch.setattr(os, "write", real_write)
    (line,) = iterate_journal(tmp_path / JOURNAL_NAME)
    assert isinstance(line, JournalLine)


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on a disk that is full until the reserve is given up."""
    real_write = os.write

    def full_while_reserved(descriptor: int, data: bytes) -> int:
        if (tmp_path / ".reserve").exists() and len(data) < 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", full_while_reserved)
    return tmp_path


def test_the_reserve_closes_the_run_that_met_the_full_disk_and_no_other_begins(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = spec()
    with Journal(tmp_path) as journal:
        journal.append(header(run))
        journal.require_room()
        request.getfixturevalue("full_disk")
        journal.append(end(run))
        with pytest.raises(MeasureError, match="No space left"):
            journal.require_room()
    assert len(list(iterate_journal(tmp_path / JOURNAL_NAME))) == 2


def test_the_beginning_of_a_run_does_not_use_up_the_reserve(full_disk: Path) -> None:
    with Journal(full_disk) as journal:
        with pytest.raises(MeasureError, match="No space left"):
            journal.append(header(spec()))
        assert (full_disk / ".reserve").exists()
    assert list(iterate_journal(full_disk / JOURNAL_NAME)) == []

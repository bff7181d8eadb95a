"""Writing archives: what is in one, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import errno
import gzip
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.archive import bundle, layout
from edgemoe_appliance.archive.bundle import write_archive
from edgemoe_appliance.archive.derived import DerivedInputs
from edgemoe_appliance.archive.layout import ArchiveLimits
from edgemoe_appliance.archive.tarball import TarWriter
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, SAMPLES_FOLDER
from tests.archive.conftest import Derive
from tests.archive.sessions import archive, contents, maker, request


@pytest.fixture
def session(small_session: Path, tmp_path: Path) -> Path:
    """Return a copy of the small session that a test may change."""
    folder = tmp_path / "raw/small"
    shutil.copytree(small_session, folder)
    return folder


def test_what_is_in_an_archive(small_files: dict[str, bytes], small_session: Path) -> None:
    for name in (*layout.GIVEN, layout.PLAN, layout.JOURNAL, layout.CLAIMS, layout.CRATE):
        assert name in small_files
    raw = {name for name in small_files if name.startswith(layout.SAMPLES)}
    assert len(raw) == len(list((small_session / SAMPLES_FOLDER).iterdir())) == 12
    assert small_files[layout.JOURNAL] == (small_session / JOURNAL_NAME).read_bytes()
    assert "report/report.html" in small_files
    assert "as-run/prompts/efficiency/prompt-01.txt" in small_files
    models = json.loads(small_files["as-run/models.json"])
    assert models["olmoe-1b-7b"]["source"]["kind"] == "twin"
    assert "path" not in models["olmoe-1b-7b"]
    assert not [name for name in small_files if name.endswith(".gguf")]


def test_common_tools_read_it_and_check_its_digests(small_archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", str(small_archive)], cwd=tmp_path, check=True)
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", layout.MANIFEST],
        cwd=tmp_path / "small",
        check=True,
    )


def test_it_tells_its_own_digest(session: Path, tmp_path: Path) -> None:
    written = archive(session, tmp_path / "a.tar")
    found = verify_archive(written.path, maker())
    assert (written.sha256, written.archive_bytes) == (found.sha256, found.archive_bytes)
    assert written.archive_bytes == written.path.stat().st_size
    assert written.files == found.files


def test_a_raw_file_that_is_missing_or_another_is_refused(session: Path, tmp_path: Path) -> None:
    raw = next((session / SAMPLES_FOLDER).iterdir())
    content = raw.read_bytes()
    raw.unlink()
    with pytest.raises(RecordError, match="is missing"):
        archive(session, tmp_path / "a.tar")
    raw.write_bytes(gzip.compress(b"other", mtime=0))
    with pytest.raises(RecordError, match="the journal says"):
        archive(session, tmp_path / "a.tar")
    raw.write_bytes(content)
    assert archive(session, tmp_path / "a.tar").files > 0
    assert {entry.name for entry in tmp_path.iterdir()} == {"raw", "a.tar"}


def test_raw_files_that_no_record_names_are_left_out_and_told(
    session: Path, tmp_path: Path
) -> None:
    (session / SAMPLES_FOLDER / "unfinished.json.gz").write_bytes(b"x")
    written = archive(session, tmp_path / "a.tar")
    assert written.about.left_out == ("unfinished.json.gz",)
    found = verify_archive(written.path, maker())
    assert found.is_good
    assert any("unfinished" in note.file for note in found.notes)


def test_runs_that_were_planned_for_another_study_are_told(session: Path, tmp_path: Path) -> None:
    journal = session / JOURNAL_NAME
    first, *others = journal.read_text().splitlines(keepends=True)
    other = {"id": "other", "sha256": "1" * 64}
    journal.write_text(json.dumps({**json.loads(first), "study": other}) + "\n" + "".join(others))
    written = archive(session, tmp_path / "a.tar")
    told = written.about.cautions[layout.STUDIES]
    assert told == "the runs were planned for another: other 111111111111"
    found = verify_archive(written.path, maker())
    assert not found.mismatches
    assert told in {note.what for note in found.notes}


def test_a_session_that_measured_nothing_is_refused(session: Path, tmp_path: Path) -> None:
    (session / JOURNAL_NAME).write_bytes(b"")
    with pytest.raises(RecordError, match="nothing was measured"):
        archive(session, tmp_path / "a.tar")
    with pytest.raises(RecordError, match="no such session"):
        archive(tmp_path / "missing", tmp_path / "a.tar")


def test_a_journal_that_grows_meanwhile_is_refused(
    session: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    derive_once: Derive,
) -> None:
    def derive_late(basis: DerivedInputs) -> dict[str, bytes]:
        files = derive_once(basis)
        with (session / JOURNAL_NAME).open("ab") as file:
            file.write(b"{")
        return files

    monkeypatch.setattr(bundle, "derive_files", derive_late)
    with pytest.raises(RecordError, match="changed while it was archived"):
        archive(session, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()


def test_a_full_disk_leaves_the_earlier_archive_as_it_was(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(session, tmp_path / "a.tar").path
    before = path.read_bytes()

    def fail(self: TarWriter) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TarWriter, "finish", fail)
    with pytest.raises(HostError, match="No space left"):
        archive(session, path)
    assert path.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"raw", "a.tar"}


@pytest.mark.parametrize(
    "limits",
    [
        ArchiveLimits(entries=20),
        ArchiveLimits(journal_bytes=100),
        ArchiveLimits(document_bytes=100),
    ],
)
def test_what_could_not_be_verified_is_not_archived(
    limits: ArchiveLimits, session: Path, tmp_path: Path
) -> None:
    with pytest.raises(HostError, match="at most"):
        write_archive(request(session, tmp_path / "a.tar"), limits)


def test_an_installation_tells_what_it_does_not_carry(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "checkout_root", lambda: None)
    written = archive(session, tmp_path / "a.tar")
    assert set(written.about.absent) == set(layout.CHECKOUT_NAMES)
    found = verify_archive(written.path, maker())
    assert found.is_good
    assert set(layout.CHECKOUT_NAMES) == {note.file for note in found.notes}
    assert not set(layout.CHECKOUT_NAMES) & set(contents(written.path))


def test_an_archive_may_be_made_anew_over_an_older_one_alone(
    small_archive: Path, session: Path, tmp_path: Path
) -> None:
    older = shutil.copy(small_archive, tmp_path / "older.tar")
    bundle.check_archive_place(Path(older), is_forced=False)
    backup = tmp_path / "backup.tar"
    with tarfile.open(backup, "w") as file:
        file.add(__file__, "home/diary.txt")
    for path in (backup, Path(shutil.copy(__file__, tmp_path / "notes.tar"))):
        before = path.read_bytes()
        with pytest.raises(ConfigError, match="was not made by this command"):
            archive(session, path)
        assert path.read_bytes() == before
    with pytest.raises(ConfigError, match="lies in the session folder"):
        archive(session, session / PLAN_NAME)

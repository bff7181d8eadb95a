"""Archives that somebody made to do harm: refused in one clear line, with nothing left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.layout import ArchiveLimits
from edgemoe_appliance.archive.reading import opened_session
from edgemoe_appliance.archive.results import MismatchKind, Verification
from edgemoe_appliance.archive.tarball import END, Member, TarWriter, header_of, is_safe_name
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.errors import HostError, VerificationError
from tests.archive.sessions import maker, pack

Files = dict[str, bytes]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder for temporary files; it must be empty afterwards."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def refused(scratch: Path, tmp_path: Path) -> Callable[[bytes], str]:
    """Return a function that verifies bytes, and gives the one line that they are refused with."""

    def refuse(data: bytes, limits: ArchiveLimits | None = None) -> str:
        path = tmp_path / "hostile.tar"
        path.write_bytes(data)
        found = verify_archive(path, maker(), limits or ArchiveLimits())
        (mismatch,) = found.mismatches
        assert mismatch.kind is MismatchKind.FORM
        assert found.sha256 == hashlib.sha256(data).hexdigest()
        assert str(mismatch).isprintable()
        with (
            pytest.raises(VerificationError) as unopened,
            opened_session(path, limits or ArchiveLimits()),
        ):
            raise AssertionError("a hostile archive was opened to be compared")
        assert str(unopened.value).isprintable()
        assert not list(scratch.iterdir())
        assert {entry.name for entry in tmp_path.iterdir()} <= {"hostile.tar", "scratch"}
        return str(mismatch)

    return refuse


Refused = Callable[..., str]


def file_entry(name: str, content: bytes = b"x") -> bytes:
    return header_of(name, len(content)) + content + bytes(-len(content) % 512)


def special(kind: bytes, name: str = "small/thing", link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info.tobuf(tarfile.GNU_FORMAT) + END


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "named pipe"),
        (tarfile.DIRTYPE, "folder"),
        (tarfile.GNUTYPE_SPARSE, "sparse file"),
    ],
)
def test_what_is_no_ordinary_file(kind: bytes, told: str, refused: Refused) -> None:
    text = refused(special(kind, link="/etc/passwd"))
    assert told in text
    assert text.startswith("small/thing")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../small/x",
        "small/../../x",
        "small/./x",
        "small//x",
        "small/.hidden",
        "small/back\\slash",
        "small/new\nline",
        "small/\x1b[31mred",
        "small/\u202egnp.exe",
        "small/C:x",
        "small/" + "/".join(["d"] * 40) + "/x",
        "small/" + "n" * 300,
        "small",
    ],
)
def test_a_name_that_is_a_trick(name: str, refused: Refused) -> None:
    assert not is_safe_name(name) or "/" not in name
    refused(file_entry(name) + END)


def test_an_absolute_name_stays_where_it_is_and_nothing_is_written(
    refused: Refused, tmp_path: Path
) -> None:
    target = tmp_path.parent / "outside.txt"
    refused(file_entry(str(target)) + END)
    assert not target.exists()


def test_a_second_top_folder(refused: Refused) -> None:
    assert "outside the folder small" in refused(
        file_entry("small/a") + file_entry("other/b") + END
    )


@pytest.mark.parametrize("again", ["small/about.json", "small/About.json", "small/ABOUT.JSON"])
def test_a_name_twice_or_in_other_case(again: str, refused: Refused) -> None:
    text = refused(file_entry("small/about.json", b"{}") + file_entry(again, b"[]") + END)
    assert text.startswith(again.removeprefix("small/"))
    assert "twice" in text


def test_a_header_in_another_form(refused: Refused) -> None:
    for change in ("mode", "uid", "mtime", "uname"):
        info = tarfile.TarInfo("small/a")
        setattr(info, change, "root" if change == "uname" else 7)
        assert "another form" in refused(info.tobuf(tarfile.PAX_FORMAT) + END)


def test_a_damaged_header(refused: Refused) -> None:
    data = bytearray(file_entry("small/a") + END)
    data[3] ^= 1
    assert "damaged header" in refused(bytes(data))


def test_a_size_that_is_negative_or_beyond_the_file(refused: Refused) -> None:
    info = tarfile.TarInfo("small/a")
    info.size = 10**15
    refused(info.tobuf(tarfile.GNU_FORMAT) + END)
    info.size = -512
    refused(info.tobuf(tarfile.GNU_FORMAT) + END)
    assert "cut off" in refused(header_of("small/a", 8**11 - 1) + b"x")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_extended_header_is_not_read(kind: bytes, refused: Refused) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 8**11 - 1
    tracemalloc.start()
    refused(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 4096)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_extended_headers_that_say_something_else(refused: Refused) -> None:
    info = tarfile.TarInfo("small/a")
    info.pax_headers = {"path": "small/b", "linkpath": "/etc/passwd"}
    refused(info.tobuf(tarfile.PAX_FORMAT) + END)
    info.pax_headers = {"size": "99999999"}
    refused(info.tobuf(tarfile.PAX_FORMAT) + END)


def test_long_names_of_our_own_are_read(tmp_path: Path) -> None:
    name = "small/session/samples/" + "r" * 200 + ".json.gz"
    out = io.BytesIO()
    writer = TarWriter(out)
    writer.add(Member(name=name, size=1), [b"x"])
    writer.finish()
    path = tmp_path / "long.tar"
    path.write_bytes(out.getvalue())
    found = verify_archive(path, maker())
    assert not [m for m in found.mismatches if m.kind is MismatchKind.FORM]
    assert found.files == 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_an_archive_that_is_cut_off(share: float, small_archive: Path, refused: Refused) -> None:
    data = small_archive.read_bytes()
    text = refused(data[: int(len(data) * share)])
    assert "cut off" in text


def test_what_lies_behind_the_end(small_archive: Path, refused: Refused) -> None:
    data = small_archive.read_bytes()
    assert "after the end" in refused(data + b"more")
    assert "after the end" in refused(data + file_entry("small/zzz") + END)
    assert "after the end" in refused(data[:-512] + file_entry("small/zzz") + END)


def test_bytes_between_files(refused: Refused) -> None:
    data = header_of("small/a", 1) + b"x" + b"hidden" + bytes(505) + END
    assert "belong to no file" in refused(data)


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 511, b"x" * 512, b"x" * 100_000])
def test_what_is_no_tar(data: bytes, refused: Refused) -> None:
    refused(data)


def test_an_archive_without_files(scratch: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.tar"
    path.write_bytes(END)
    found = verify_archive(path, maker())
    assert {layout.PLAN, layout.JOURNAL, layout.MANIFEST} <= {m.file for m in found.mismatches}


def test_a_compressed_archive_says_so(small_archive: Path, refused: Refused) -> None:
    assert "compressed (gzip)" in refused(gzip.compress(small_archive.read_bytes()))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as out:
        out.writestr("a", b"x" * 600)
    assert "compressed (zip)" in refused(zipped.getvalue())


def test_a_bomb_inside_is_not_opened(small_files: Files, scratch: Path, tmp_path: Path) -> None:
    name = next(name for name in small_files if name.startswith(layout.SAMPLES))
    bomb = gzip.compress(bytes(64 * 2**20))
    path = pack({**small_files, name: bomb}, tmp_path / "bomb.tar")
    tracemalloc.start()
    found = verify_archive(path, maker())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert name in {m.file for m in found.mismatches}
    assert peak < 48 * 2**20
    assert not list(scratch.iterdir())


def test_more_files_than_are_read(refused: Refused) -> None:
    data = b"".join(file_entry(f"small/f{number:03d}") for number in range(30)) + END
    assert "at most 10 are read" in refused(data, ArchiveLimits(entries=10))


@pytest.mark.parametrize("name", [layout.PLAN, layout.JOURNAL, layout.CRATE, layout.MANIFEST])
def test_a_document_that_is_too_large_is_not_copied(name: str, refused: Refused) -> None:
    data = file_entry(f"small/{name}", b"x" * 5000) + END
    assert "at most 4096 are read" in refused(
        data, ArchiveLimits(document_bytes=4096, journal_bytes=4096)
    )


def test_files_in_another_order(small_files: Files, tmp_path: Path) -> None:
    out = io.BytesIO()
    writer = TarWriter(out)
    for name in sorted(small_files, reverse=True):
        writer.add(Member(name=f"small/{name}", size=len(small_files[name])), [small_files[name]])
    writer.finish()
    path = tmp_path / "order.tar"
    path.write_bytes(out.getvalue())
    found = verify_archive(path, maker())
    assert [m.kind for m in found.mismatches] == [MismatchKind.FORM]
    assert "must lie" in found.mismatches[0].what


def test_what_is_no_file(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(HostError):
            verify_archive(path, maker())
    with pytest.raises(HostError, match="no ordinary file"):
        verify_archive(fifo, maker())


def journal_with(small_files: Files, line: bytes) -> Files:
    return {**small_files, layout.JOURNAL: small_files[layout.JOURNAL] + line}


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000 + b"\n",
        b'{"kind": "end", "metrics": {"gen_tok_s": 1e999}}\n',
        b'{"kind": "' + b"x" * 5_000_000 + b'"}\n',
        b"\xff\xfe\n",
        b"9" * 10_000 + b"\n",
    ],
    ids=["nested", "infinite", "long", "bytes", "number"],
)
def test_hostile_lines_of_a_journal(line: bytes, small_files: Files, tmp_path: Path) -> None:
    path = pack(journal_with(small_files, line), tmp_path / "journal.tar")
    found: Verification = verify_archive(path, maker())
    told = [m for m in found.mismatches if m.kind is MismatchKind.SCHEMA]
    assert [m.file for m in told] == [layout.JOURNAL]
    assert len(str(told[0])) < 1000

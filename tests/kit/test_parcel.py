"""Parcels: what a visit left, packed and taken; and what a stranger could send instead."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.archive.tarball import END, Member, TarReader, TarWriter, header_of
from edgemoe_appliance.errors import ConfigError, HostError, RecordError, VerificationError
from edgemoe_appliance.kit import parcel as parcel_module
from edgemoe_appliance.kit.parcel import (
    LOGS,
    PARCEL_NAME,
    SESSIONS,
    VISIT,
    VisitFacts,
    cut_log,
    is_parcel_name,
    measured_bytes,
    take_parcel,
    write_parcel,
)
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from tests.archive.sessions import SMALL, write_small_session
from tests.bench.plans import IDENTITY

NAME = "kit-host-20261128-101500"
FACTS = VisitFacts(name=NAME, target="host", appliance=IDENTITY, started_utc="2026-11-28T10:15:00Z")
SESSION = SMALL.session


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder as a visit leaves it."""
    folder = tmp_path / "out"
    (folder / SESSIONS).mkdir(parents=True)
    write_small_session(folder / SESSIONS)
    (folder / LOGS).mkdir()
    (folder / LOGS / "build-b4447.log").write_text("$ cmake\n")
    (folder / "timeline.jsonl").write_text('{"at_s": 0.1, "text": "machine"}\n')
    (folder / "visit.json").write_text("{}")  # stands in the parcel's first file already
    (folder / "models.gguf").write_text("never packed")
    return folder


@pytest.fixture
def packed(out: Path, tmp_path: Path) -> Path:
    return write_parcel(FACTS, out, tmp_path / "parcel.tar").path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


def contents(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        reader = TarReader(file, path.stat().st_size)
        return {member.name: b"".join(reader.chunks()) for member in reader.members()}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with path.open("wb") as file:
        tar = TarWriter(file)
        for name, content in files.items():
            tar.add(Member(name=name, size=len(content)), [content])
        tar.finish()
    return path


def test_what_was_measured_is_taken_whole(packed: Path, out: Path, home: Path) -> None:
    taken = take_parcel(packed, home)
    (folder,) = taken.sessions
    assert folder == home / SESSION
    for path in (out / SESSIONS / SESSION).rglob("*"):
        if path.is_file():
            name = path.relative_to(out / SESSIONS / SESSION)
            assert (folder / name).read_bytes() == path.read_bytes()
    assert {path.name for path in (folder / VISIT).iterdir()} == {
        "build-b4447.log",
        "timeline.jsonl",
        "visit.json",
    }
    assert [path.name for path in home.iterdir()] == [SESSION]
    loaded = load_sessions([folder])
    assert loaded.sessions[0].plan_matches


def test_equal_visits_give_equal_bytes(out: Path, packed: Path, tmp_path: Path) -> None:
    again = write_parcel(FACTS, out, tmp_path / "again.tar")
    assert again.path.read_bytes() == packed.read_bytes()
    assert again.parcel_bytes == packed.stat().st_size
    assert again.sessions == (SESSION,)
    assert 0 < measured_bytes(out) < again.parcel_bytes


def test_taking_twice_changes_nothing(packed: Path, home: Path) -> None:
    take_parcel(packed, home)
    assert take_parcel(packed, home).known == (SESSION,)


def test_a_visit_that_went_on_replaces_what_was_taken_before(
    out: Path, packed: Path, home: Path, tmp_path: Path
) -> None:
    journal = out / SESSIONS / SESSION / JOURNAL_NAME
    whole = journal.read_bytes()
    journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    early = write_parcel(FACTS, out, tmp_path / "early.tar").path
    take_parcel(early, home)
    assert take_parcel(packed, home).known == ()
    assert (home / SESSION / JOURNAL_NAME).read_bytes() == whole
    assert [path.name for path in home.iterdir()] == [SESSION]
    with pytest.raises(ConfigError, match="another session small is there"):
        take_parcel(early, home)
    assert (home / SESSION / JOURNAL_NAME).read_bytes() == whole


def test_a_session_of_that_name_that_is_another_stays(packed: Path, home: Path) -> None:
    (home / SESSION).mkdir(parents=True)
    (home / SESSION / JOURNAL_NAME).write_text("{}\n")
    with pytest.raises(ConfigError, match="another session small is there"):
        take_parcel(packed, home)
    assert (home / SESSION / JOURNAL_NAME).read_text() == "{}\n"


def test_a_session_without_a_record_is_not_packed(out: Path, tmp_path: Path) -> None:
    journal = out / SESSIONS / SESSION / JOURNAL_NAME
    journal.write_bytes(b"")
    written = write_parcel(FACTS, out, tmp_path / "parcel.tar")
    assert written.sessions == ()
    assert take_parcel(written.path, tmp_path / "raw").sessions == ()


def test_links_in_a_visit_are_not_followed(out: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a key")
    (out / LOGS / "link.log").symlink_to(secret)
    written = write_parcel(FACTS, out, tmp_path / "parcel.tar")
    assert f"{NAME}/{LOGS}/link.log" not in contents(written.path)


def change(
    packed: Path, tmp_path: Path, edit: Callable[[dict[str, bytes]], None], *, announce: bool
) -> Path:
    """Write a parcel with other files; `announce` puts them into its first file."""
    files = contents(packed)
    first = f"{NAME}/{PARCEL_NAME}"
    edit(files)
    if announce:
        document = json.loads(files[first])
        document["files"] = {
            name.removeprefix(f"{NAME}/"): {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for name, content in files.items()
            if name != first
        }
        files[first] = json.dumps(document).encode()
    return write_tar(tmp_path / "changed.tar", files)


PLAN = f"{NAME}/{SESSIONS}/{SESSION}/{PLAN_NAME}"
JOURNAL = f"{NAME}/{SESSIONS}/{SESSION}/{JOURNAL_NAME}"
FIRST = f"{NAME}/{PARCEL_NAME}"


def edit_json(name: str, key: str, value: object) -> Callable[[dict[str, bytes]], None]:
    def edit(files: dict[str, bytes]) -> None:
        document = json.loads(files[name])
        document[key] = value
        files[name] = json.dumps(document).encode()

    return edit


def edit_visit_name(files: dict[str, bytes]) -> None:
    document = json.loads(files[FIRST])
    document["visit"]["name"] = "another"
    files[FIRST] = json.dumps(document).encode()


@pytest.mark.parametrize(
    ("edit", "announce", "error", "told"),
    [
        (lambda f: f.update({f"{NAME}/more.txt": b""}), False, VerificationError, "not announced"),
        (lambda f: f.update({f"{NAME}/more.txt": b""}), True, VerificationError, "not announced"),
        (
            lambda f: f.update({f"{NAME}/{SESSIONS}/{SESSION}/evil.py": b""}),
            True,
            VerificationError,
            "not announced",
        ),
        (lambda f: f.update({"other/timeline.jsonl": b""}), True, VerificationError, "announced"),
        (lambda f: f.pop(PLAN), False, VerificationError, "announced and missing"),
        (lambda f: f.pop(PLAN), True, RecordError, "no such session"),
        (lambda f: f.pop(JOURNAL), True, RecordError, "has no journal"),
        (lambda f: f.update({PLAN: f[PLAN] + b" "}), False, VerificationError, "another digest"),
        (lambda f: f.update({JOURNAL: b'{"kind": "x"}\n'}), True, RecordError, r"runs\.jsonl:1"),
        (edit_json(PLAN, "session", "other"), True, RecordError, "plan of session other"),
        (edit_json(PLAN, "order_seed", 7), True, RecordError, "do not belong together"),
        (edit_json(PLAN, "schema_version", 99), True, RecordError, "^sessions/small/.*schema 99"),
        (edit_json(FIRST, "schema_version", 99), False, RecordError, "schema_version"),
        (edit_json(FIRST, "more", 1), False, RecordError, "more"),
        (edit_visit_name, False, VerificationError, "not in another"),
        (lambda f: f.pop(FIRST), False, VerificationError, "does not begin with parcel.json"),
    ],
)
def test_what_is_not_as_announced_is_refused_and_leaves_nothing(
    edit: Callable[[dict[str, bytes]], None],
    announce: bool,
    error: type[Exception],
    told: str,
    *,
    packed: Path,
    home: Path,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=told):
        take_parcel(change(packed, tmp_path, edit, announce=announce), home)
    assert list(home.iterdir()) == []


def special(kind: bytes, name: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (special(tarfile.SYMTYPE, f"{NAME}/timeline.jsonl"), "is a symbolic link"),
        (special(tarfile.LNKTYPE, f"{NAME}/timeline.jsonl"), "is a hard link"),
        (special(tarfile.FIFOTYPE, f"{NAME}/timeline.jsonl"), "is a named pipe"),
        (special(tarfile.CHRTYPE, f"{NAME}/timeline.jsonl"), "is a character device"),
        (header_of("/etc/cron.d/x", 0), "not a name that an archive may hold"),
        (header_of(f"{NAME}/../../x", 0), "not a name that an archive may hold"),
        (header_of(f"{NAME}/timeline.jsonl", 10**9), "is cut off"),
        (header_of(FIRST, 0), "is not announced, or there twice"),
    ],
)
def test_hostile_members(
    block: bytes, told: str, *, packed: Path, home: Path, tmp_path: Path
) -> None:
    first = contents(packed)[FIRST]
    head = io.BytesIO()
    TarWriter(head).add(Member(name=FIRST, size=len(first)), [first])
    hostile = tmp_path / "hostile.tar"
    hostile.write_bytes(head.getvalue() + block + END)
    with pytest.raises(VerificationError, match=told):
        take_parcel(hostile, home)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_parcel_that_was_cut_is_refused(
    share: float, packed: Path, home: Path, tmp_path: Path
) -> None:
    content = packed.read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(VerificationError):
        take_parcel(cut, home)
    assert list(home.iterdir()) == []


def test_a_parcel_larger_than_any_visit_is_not_read(
    packed: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel_module, "_MOST_READ_BYTES", 1000)
    with pytest.raises(VerificationError, match=r"at most 1\.0 kB are read"):
        take_parcel(packed, home)


def test_a_pipe_keeps_nobody_waiting(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HostError, match="no ordinary file"):
        take_parcel(tmp_path / "pipe", home)


def test_there_is_no_such_file(home: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        take_parcel(tmp_path / "nothing.tar", home)


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        ("timeline.jsonl", True),
        ("logs/build-b4447.log", True),
        (f"sessions/a/{JOURNAL_NAME}", True),
        (f"sessions/a/{JOURNAL_NAME}.torn-12", True),
        ("sessions/a/samples/x.a1.json.gz", True),
        (f"sessions/.bench/a/{PLAN_NAME}", False),  # names the folders of the machine
        ("sessions/a/live.json", False),
        ("sessions/a/samples/x.sh", False),
        ("sessions/a/visit/x.log", False),
        ("visit.json", False),
        ("logs/.hidden", False),
        ("models/twin-full-olmoe-1b-7b.gguf", False),
    ],
)
def test_names_in_a_parcel(name: str, is_allowed: bool) -> None:
    assert is_parcel_name(name) is is_allowed


def test_long_logs_keep_their_beginning_and_their_end() -> None:
    assert cut_log("short\n") == b"short\n"
    cut = cut_log("begin\n" + "x" * 3_000_000 + "\nend")
    assert cut.startswith(b"begin\n") and cut.endswith(b"\nend") and len(cut) < 1_100_000


def test_the_disk_is_full(packed: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgemoe_appliance.kit.parcel.os.fsync", full)
    with pytest.raises(HostError, match="No space left"):
        take_parcel(packed, home)
    assert list(home.iterdir()) == []
    shutil.rmtree(home)

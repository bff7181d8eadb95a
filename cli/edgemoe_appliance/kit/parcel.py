"""What comes back from a borrowed machine: one plain tar, and how it becomes sessions at home.

A parcel may come from anybody. It is read as a stream, only in the form that archives have (no
links, no paths that leave it), with bounded sizes; every file has to be announced with its digest
in the first one, and a session is only taken when its plan and journal can be read and belong
together. Nothing appears among the sessions before all of that is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from pydantic import Field, ValidationError

from edgemoe_appliance.archive.tarball import CHUNK_BYTES, Member, TarReader, TarWriter
from edgemoe_appliance.errors import ConfigError, HostError, RecordError, VerificationError
from edgemoe_appliance.schema.base import Count, Frozen
from edgemoe_appliance.schema.configs import Identifier, Sha256
from edgemoe_appliance.schema.files import (
    file_sha256,
    open_atomically,
    ordinary_file,
    scratch_folder,
    sync,
    sync_folder,
)
from edgemoe_appliance.schema.findings import Finding
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    MAX_JOURNAL_BYTES,
    PLAN_NAME,
    SAMPLES_FOLDER,
    JournalLine,
    iterate_journal,
)
from edgemoe_appliance.schema.plan import ApplianceIdentity, read_plan
from edgemoe_appliance.schema.records import PeriodRecord
from edgemoe_appliance.schema.sessionfolder import SessionFolder, holds
from edgemoe_appliance.schema.units import MB, MIB, human_bytes

PARCEL_NAME: Final = "parcel.json"
SESSIONS: Final = "sessions"
LOGS: Final = "logs"
# Where the logs and facts of a visit lie inside the first session that was taken from it.
VISIT: Final = "visit"
MOST_PARCEL_BYTES: Final = 15 * MB
# For reading: what no visit comes near, and what fits any disk.
_MOST_READ_BYTES: Final = 64 * MIB
_MOST_FILES: Final = 20_000
_MOST_CONTENTS_BYTES: Final = 8 * MIB
_MOST_LOG_BYTES: Final = 1 * MIB
_SAMPLE: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.gz"
_IN_SESSION: Final = re.compile(
    rf"{re.escape(PLAN_NAME)}|{re.escape(JOURNAL_NAME)}(\.torn-\d+)?|measure\.log"
    rf"|{SAMPLES_FOLDER}/{_SAMPLE}"
)
_OF_VISIT: Final = re.compile(rf"(timeline\.jsonl|{LOGS}/[a-z0-9][a-z0-9._-]{{0,100}})")


class ParcelFile(Frozen):
    """A file of a parcel, announced."""

    bytes: Count
    sha256: Sha256


class VisitFacts(Frozen):
    """What was visited, with what, and what the checks of the machine found."""

    name: Identifier
    target: Identifier
    appliance: ApplianceIdentity
    started_utc: str
    twin_scale: Literal["tiny", "thin", "full"] | None = None
    findings: tuple[Finding, ...] = ()
    told: Mapping[str, str] = {}


class Parcel(Frozen):
    """parcel.json, the first file: the visit, and every other file with its digest."""

    schema_version: Literal[1] = 1
    visit: VisitFacts
    files: dict[str, ParcelFile] = Field(max_length=_MOST_FILES)


@dataclass(frozen=True, kw_only=True)
class WrittenParcel:
    """A parcel on disk."""

    path: Path
    parcel_bytes: int
    sessions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TakenParcel:
    """What a parcel became: session folders, and the names of those that were there already."""

    visit: VisitFacts
    sessions: tuple[Path, ...]
    known: tuple[str, ...]


def write_parcel(visit: VisitFacts, folder: Path, out: Path) -> WrittenParcel:
    """Pack sessions and logs that lie below a folder of a visit; nobody may be writing there."""
    files = dict(_visit_files(folder))
    announced = {
        name: ParcelFile(bytes=path.stat().st_size, sha256=file_sha256(path))
        for name, path in files.items()
    }
    contents = Parcel(visit=visit, files=announced).model_dump_json(indent=1).encode() + b"\n"
    with open_atomically(out) as file:
        tar = TarWriter(file)
        tar.add(Member(name=f"{visit.name}/{PARCEL_NAME}", size=len(contents)), [contents])
        for name, path in files.items():
            member = Member(name=f"{visit.name}/{name}", size=announced[name].bytes)
            tar.add(member, _read_chunks(path))
        tar.finish()
    return WrittenParcel(
        path=out,
        parcel_bytes=tar.written_bytes,
        sessions=tuple(sorted({_session_of(name) for name in files} - {""})),
    )


def measured_bytes(folder: Path) -> int:
    """Return how large the sessions of a visit are by now."""
    paths = (folder / SESSIONS).rglob("*")
    return sum(path.stat().st_size for path in paths if path.is_file())


def _visit_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and is_parcel_name(name):
            session = _session_of(name)
            # One that was cut before its first record says nothing.
            if not session or _journal_bytes(folder / SESSIONS / session):
                yield name, path


def is_parcel_name(name: str) -> bool:
    """Return whether a parcel may hold a file of that name."""
    if _OF_VISIT.fullmatch(name):
        return True
    start, _, rest = name.partition("/")
    session, _, inside = rest.partition("/")
    return start == SESSIONS and bool(session) and _IN_SESSION.fullmatch(inside) is not None


def _session_of(name: str) -> str:
    parts = name.split("/")
    return parts[1] if parts[0] == SESSIONS else ""


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            yield data


def take_parcel(path: Path, sessions: Path) -> TakenParcel:
    """Make sessions of a parcel, below the folder of sessions; all of them or none.

    Raises VerificationError for a parcel that is damaged or hostile, RecordError for a session that
    is not one of ours, ConfigError where another session of that name is there, HostError where
    something cannot be read or written.
    """
    sessions.mkdir(parents=True, exist_ok=True)
    with scratch_folder(".taking-", sessions) as name:
        folder = Path(name)
        try:
            with _opened(path) as (file, size):
                parcel = _unpack(TarReader(file, size), folder)
        except VerificationError as error:
            raise VerificationError(error.what, where=error.where or str(path)) from error
        except OSError as error:
            where = str(error.filename or path)
            raise HostError(f"cannot be read or written ({error.strerror})", where=where) from error
        try:
            return _settle(parcel, folder, sessions)
        except RecordError as error:
            inside = (error.where or "").replace(f"{folder}/", "")
            raise RecordError(error.what, where=inside or None, hint=error.hint) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open an ordinary file of a bounded size; a pipe must not keep anybody waiting."""
    with ordinary_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MOST_READ_BYTES:
            raise VerificationError(
                f"has {human_bytes(size)}; at most {human_bytes(_MOST_READ_BYTES)} are read",
                where=str(path),
            )
        yield file, size


def _unpack(reader: TarReader, folder: Path) -> Parcel:
    """Copy announced files below a folder. Raises VerificationError for anything else."""
    members = reader.members()
    try:
        first = next(members, None)
    except VerificationError as error:
        raise VerificationError(f"is no parcel of a visit: it {error.what}") from error
    root, _, name = ("" if first is None else first.name).partition("/")
    if first is None or name != PARCEL_NAME or first.size > _MOST_CONTENTS_BYTES:
        raise VerificationError(f"is no parcel of a visit: it does not begin with {PARCEL_NAME}")
    parcel = _parse(b"".join(reader.chunks()))
    if root != parcel.visit.name:
        raise VerificationError(f"lies in {root}, not in {parcel.visit.name}", where=PARCEL_NAME)
    left = dict(parcel.files)
    for member in members:
        top, _, name = member.name.partition("/")
        announced = left.pop(name, None)
        if top != root or announced is None or not is_parcel_name(name):
            raise VerificationError("is not announced, or there twice", where=member.name)
        _copy(reader, name, announced, folder / name)
    if left:
        raise VerificationError("is announced and missing", where=min(left))
    return parcel


def _parse(content: bytes) -> Parcel:
    try:
        return Parcel.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "parcel"
        raise RecordError(f"{key}: {first['msg']}", where=PARCEL_NAME) from error


def _copy(reader: TarReader, name: str, announced: ParcelFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        for data in reader.chunks():
            digest.update(data)
            file.write(data)
        file.flush()
        sync(file.fileno())
    if digest.hexdigest() != announced.sha256:
        raise VerificationError("has another digest than is announced", where=name)


def _settle(parcel: Parcel, folder: Path, sessions: Path) -> TakenParcel:
    """Check every session and give it its place."""
    found = sorted((folder / SESSIONS).iterdir()) if (folder / SESSIONS).is_dir() else []
    for session in found:
        _check_session(session)
    known = [session for session in found if _is_known(session, sessions / session.name)]
    _keep_visit(parcel, folder, found)
    for session in found:
        if session in known:
            continue
        target = sessions / session.name
        if target.exists():  # an earlier parcel of the same visit, which went on
            target.rename(folder / f"{session.name}.before")
        session.rename(target)
    sync_folder(sessions)
    return TakenParcel(
        visit=parcel.visit,
        sessions=tuple(sessions / session.name for session in found),
        known=tuple(session.name for session in known),
    )


def _check_session(folder: Path) -> None:
    """Raise RecordError where a folder is not a session whose plan and journal belong together."""
    plan = read_plan(folder / PLAN_NAME)
    if plan.session != folder.name:
        raise RecordError(f"is the plan of session {plan.session}", where=f"{folder.name}")
    digest = plan.digest
    if not holds(folder, JOURNAL_NAME):
        raise RecordError("has no journal", where=folder.name)
    for line in iterate_journal(folder / JOURNAL_NAME):
        record = line.record if isinstance(line, JournalLine) else None
        if isinstance(record, PeriodRecord) and record.plan_digest != digest:
            raise RecordError("plan and journal do not belong together", where=folder.name)


def _is_known(found: Path, there: Path) -> bool:
    """Return whether a session is there already, whole.

    Raises ConfigError where the one that is there is not an earlier state of this one.
    """
    if not there.exists():
        return False
    ours, theirs = (_journal_bytes(folder) for folder in (there, found))
    if ours == theirs:
        return True
    if theirs.startswith(ours):
        return False
    raise ConfigError(
        f"another session {found.name} is there",
        where=str(there),
        hint="move it away, then take the file again",
    )


def _journal_bytes(folder: Path) -> bytes:
    try:
        with SessionFolder(folder) as session:
            return session.read_bytes(JOURNAL_NAME, MAX_JOURNAL_BYTES)
    except FileNotFoundError:
        return b""


def _keep_visit(parcel: Parcel, folder: Path, found: list[Path]) -> None:
    """Put logs and facts of a visit into its first session."""
    if not found:
        return
    target = found[0] / VISIT
    target.mkdir()
    facts = json.dumps(parcel.visit.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (target / "visit.json").write_text(facts + "\n", encoding="utf-8")
    for name in parcel.files:
        if _OF_VISIT.fullmatch(name):
            shutil.move(folder / name, target / Path(name).name)


def cut_log(text: str) -> bytes:
    """Return a log no longer than a parcel carries: its beginning and its end."""
    content = text.encode(errors="replace")
    if len(content) <= _MOST_LOG_BYTES:
        return content
    half = _MOST_LOG_BYTES // 2
    return content[:half] + b"\n[... cut ...]\n" + content[-half:]

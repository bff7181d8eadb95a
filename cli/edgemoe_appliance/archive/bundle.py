"""Writing an archive: everything of one session into one file, whole or not at all.

What would not verify is not archived: raw files are compared with the journal on the way.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from edgemoe_appliance.analysis.semantics import SEMANTICS
from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.about import About, Maker
from edgemoe_appliance.archive.crate import CrateContent, build_crate
from edgemoe_appliance.archive.derived import DerivedInputs, derive_files
from edgemoe_appliance.archive.environment import build_sbom, read_environment
from edgemoe_appliance.archive.facts import JournalFacts, read_journal_facts
from edgemoe_appliance.archive.image import belongs_to
from edgemoe_appliance.archive.imagefile import check_image_file
from edgemoe_appliance.archive.layout import (
    DEFAULT_LIMITS,
    ArchiveLimits,
    FileEntry,
    build_manifest,
    json_bytes,
    parse_moment,
)
from edgemoe_appliance.archive.tarball import CHUNK_BYTES, Member, TarWriter
from edgemoe_appliance.archive.wheel import build_wheel, read_code, wheel_name
from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.schema.configs import ModelsConfig
from edgemoe_appliance.schema.files import file_sha256, open_atomically
from edgemoe_appliance.schema.imagelock import ImageLock, lock_path, read_lock
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    MAX_JOURNAL_BYTES,
    PLAN_NAME,
    SAMPLES_FOLDER,
)
from edgemoe_appliance.schema.outputs import check_output_file
from edgemoe_appliance.schema.plan import Plan, parse_plan
from edgemoe_appliance.schema.resources import checkout_root
from edgemoe_appliance.schema.roots import paths_of, tells_folders
from edgemoe_appliance.schema.sessionfolder import SessionFile, SessionFolder, holds
from edgemoe_appliance.schema.units import MIB
from edgemoe_appliance.studies import Study

# A raw file that is longer than its record says is read so far, so that the digest tells.
_LEAST_RAW_BYTES: Final = 64 * MIB
_EXPORT_HINT: Final = "give a file that docker save wrote of this image"
_NO_CHECKOUT: Final = "an installation does not carry it; a checkout does"
# Before the note on the archive come its README and what it takes from the checkout.
_FIRST_NAMES: Final = len(layout.CHECKOUT_NAMES) + 2


@dataclass(frozen=True, kw_only=True)
class SessionContent:
    """A file of the session: opened through its folder whenever it is read."""

    folder: Path
    name: str
    most_bytes: int

    @contextmanager
    def open(self) -> Iterator[SessionFile]:
        """Give the file. Raises RecordError where it is not there, or no file of a session."""
        try:
            with (
                SessionFolder(self.folder) as session,
                session.open_file(self.name, self.most_bytes) as file,
            ):
                yield file
        except FileNotFoundError as error:
            raise RecordError("is missing", where=str(self.folder / self.name)) from error


Content = bytes | Path | SessionContent


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """What is to be archived: a session folder, the folder of image locks, an image as a file.

    `study` is what the session is judged by, and goes into the archive as it was read.
    """

    folder: Path
    study: Study
    images: Path
    out: Path
    maker: Maker
    image_file: Path | None = None
    is_forced: bool = False


@dataclass(frozen=True, kw_only=True)
class ArchiveReceipt:
    """An archive that was written; `about` says what it lacks."""

    path: Path
    sha256: str
    archive_bytes: int
    files: int
    about: About


def write_archive(
    request: ArchiveRequest, limits: ArchiveLimits = DEFAULT_LIMITS
) -> ArchiveReceipt:
    """Write the archive of a session.

    Raises RecordError where the session is damaged or lacks a raw file that its journal names,
    ConfigError for an image of a session that ran without one, HostError where the file cannot be
    written or would be too large to be verified.
    """
    check_archive_place(request.out, is_forced=request.is_forced)
    collected = _Collector(request).collect()
    _check_limits(collected, limits)
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(request.out) as file:
            writer = TarWriter(file)
            entries = _write_files(writer, collected)
    except OSError as error:
        raise HostError(
            f"the archive cannot be written ({error.strerror})",
            where=str(error.filename or request.out),
            hint="free disk space, or name another file with --out",
        ) from error
    return ArchiveReceipt(
        path=request.out,
        sha256=writer.sha256,
        archive_bytes=writer.written_bytes,
        files=len(entries),
        about=collected.about,
    )


def check_archive_place(out: Path, *, is_forced: bool) -> None:
    """Raise ConfigError where an archive may not be written, before the work for it is done."""
    check_output_file(out, _is_archive, is_forced=is_forced)


def _is_archive(path: Path) -> bool:
    """Return whether a file begins as archives do: names are in order, so the note comes early."""
    try:
        with tarfile.open(path, mode="r:") as file:
            names = [member.name for member in itertools.islice(file, _FIRST_NAMES)]
    except (OSError, tarfile.TarError, ValueError):
        return False
    return any(name.partition("/")[2] == layout.ABOUT for name in names)


@dataclass(frozen=True, kw_only=True)
class _Collected:
    """The files of an archive before it is written, and what describes them.

    `digests` are those that records give for some of the files.
    """

    plan: Plan
    facts: JournalFacts
    models: ModelsConfig
    about: About
    files: dict[str, Content]
    digests: dict[str, str]


class _Collector:
    """Gathers the files of one session; nothing large is read into memory."""

    def __init__(self, request: ArchiveRequest) -> None:
        self._request = request
        self._files: dict[str, Content] = {}
        self._digests: dict[str, str] = {}
        self._absent: dict[str, str] = {}

    def collect(self) -> _Collected:
        """Return everything."""
        folder = self._request.folder
        plan = self._add_plan(folder)
        journal = SessionContent(folder=folder, name=JOURNAL_NAME, most_bytes=MAX_JOURNAL_BYTES)
        self._files[layout.JOURNAL] = journal
        self._digests[layout.JOURNAL] = _sha256_of_session(journal)
        facts = read_journal_facts(folder / JOURNAL_NAME)
        models = self._request.study.configs.models
        self._add_raw(folder, facts)
        self._add_appliance()
        lock, image_sha256 = self._add_lock(plan), self._add_image(plan)
        ended = parse_moment(facts.ended_utc, JOURNAL_NAME)
        self._files[layout.SBOM] = build_sbom(read_environment(), ended)
        self._files |= derive_files(
            DerivedInputs(
                folder=folder,
                plan=plan,
                facts=facts,
                study=self._request.study,
                lock=lock,
                image_sha256=image_sha256,
            )
        )
        about = self._about(plan, facts)
        self._files[layout.ABOUT] = json_bytes(about.model_dump(mode="json"))
        return _Collected(
            plan=plan,
            facts=facts,
            models=models,
            about=about,
            files=self._files,
            digests=self._digests,
        )

    def _about(self, plan: Plan, facts: JournalFacts) -> About:
        there: set[str] = set()
        with contextlib.suppress(FileNotFoundError), SessionFolder(self._request.folder) as session:
            there = {PurePosixPath(e.name).name for e in session.entries(SAMPLES_FOLDER)}
        return About(
            session=plan.session,
            maker=self._request.maker,
            semantics=SEMANTICS,
            study=self._request.study.identity,
            absent=self._absent,
            cautions=dict(self._cautions(plan, facts)),
            left_out=tuple(sorted(there - set(facts.raw))),
        )

    def _cautions(self, plan: Plan, facts: JournalFacts) -> Iterator[tuple[str, str]]:
        """Yield what a reader should know of a file, by its name."""
        what = "recorded before paths were left out: it names folders, and with them users"
        if facts.tells_folders:
            yield layout.JOURNAL, what
        if any(map(tells_folders, paths_of(plan))):
            yield layout.PLAN, what
        own = self._request.study.identity
        others = dict.fromkeys(
            each for each in (plan.study, *facts.studies) if each not in (None, own)
        )
        if others:
            names = ", ".join(each.label for each in others if each)
            yield layout.STUDIES, f"the runs were planned for another: {names}"

    def _add_plan(self, folder: Path) -> Plan:
        """Add the plan as it was read: whoever writes the folder may exchange it later."""
        try:
            with SessionFolder(folder) as session:
                content = session.read_bytes(PLAN_NAME)
        except FileNotFoundError as error:
            told = f"no such session: no {PLAN_NAME} is there"
            raise RecordError(told, where=str(folder)) from error
        self._files[layout.PLAN] = content
        return parse_plan(content, str(folder / PLAN_NAME))

    def _add_raw(self, folder: Path, facts: JournalFacts) -> None:
        for name, file in facts.raw.items():
            inside = f"{SAMPLES_FOLDER}/{name}"
            if not holds(folder, inside):
                raise RecordError(
                    "the journal names this raw file, and it is missing",
                    where=str(folder / inside),
                    hint="bring it back",
                )
            self._files[layout.SAMPLES + name] = SessionContent(
                folder=folder, name=inside, most_bytes=max(file.bytes, _LEAST_RAW_BYTES)
            )
            self._digests[layout.SAMPLES + name] = file.sha256

    def _add_appliance(self) -> None:
        study = self._request.study
        self._files |= {layout.CONFIGS + name: data for name, data in study.common_files.items()}
        self._files |= layout.study_files(study)
        version = self._request.maker.appliance.version
        wheel = build_wheel(read_code(), version)
        self._files[layout.APPLIANCE + wheel_name(version)] = wheel
        root = checkout_root()
        for name in layout.CHECKOUT_NAMES:
            if root is not None and (root / name).is_file():
                self._files[name] = root / name
            else:
                self._absent[name] = _NO_CHECKOUT

    def _add_image(self, plan: Plan) -> str | None:
        """Add the image file, where there is one, and return its digest (hex)."""
        path = self._request.image_file
        if path is None:
            return None
        if plan.image is None:
            raise ConfigError(
                f"session {plan.session} ran without a container: no image belongs to it",
                where=str(path),
                hint="leave out --image-archive",
            )
        digest = sha256_of(path)
        try:
            check_image_file(_chunks(path), plan.image)
        except RecordError as error:
            raise ConfigError(error.what, where=str(path), hint=_EXPORT_HINT) from error
        self._files[layout.IMAGE] = path
        self._digests[layout.IMAGE] = digest
        return digest

    def _add_lock(self, plan: Plan) -> ImageLock | None:
        """Add the lock of the image that the plan was run in; what is locked now may differ."""
        if plan.image is None:
            return None
        path = lock_path(self._request.images, plan.target_id)
        lock = read_lock(self._request.images, plan.target_id)
        if lock is None:
            self._absent[layout.LOCK] = "no image is locked here"
            return None
        if not belongs_to(lock, plan):
            other = lock.image.config_sha256
            self._absent[layout.LOCK] = f"what is locked now is another image, {other}"
            return None
        self._files[layout.LOCK] = path
        return lock


def _sha256_of_session(content: SessionContent) -> str:
    digest = hashlib.sha256()
    for data in _chunks(content):
        digest.update(data)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the digest (hex) of a file. Raises RecordError where it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path)) from error


def _check_limits(collected: _Collected, limits: ArchiveLimits) -> None:
    """Refuse what a verification would refuse."""
    files = collected.files
    journal = _size(files[layout.JOURNAL])
    for what, value, most in (
        ("files", len(files), limits.entries),
        ("bytes of journal", journal, limits.journal_bytes),
        ("bytes of plan", _size(files[layout.PLAN]), limits.document_bytes),
    ):
        if value > most:
            raise HostError(
                f"{value} {what}: an archive holds at most {most}",
                where=collected.plan.session,
                hint="split the experiments over several sessions",
            )


def _write_files(writer: TarWriter, collected: _Collected) -> list[FileEntry]:
    """Write all files, the description and the manifest last, and return the entries."""
    root = collected.plan.session
    entries = []
    for name in sorted(collected.files):
        entry = _write(writer, root, name, collected.files[name])
        _check_digest(entry, collected.digests.get(name))
        entries.append(entry)
    crate = build_crate(
        CrateContent(
            files=entries,
            about=collected.about,
            plan=collected.plan,
            facts=collected.facts,
            models=collected.models,
        )
    )
    entries.append(_write(writer, root, layout.CRATE, crate))
    entries.append(_write(writer, root, layout.MANIFEST, build_manifest(entries)))
    writer.finish()
    return entries


def _write(writer: TarWriter, root: str, name: str, content: Content) -> FileEntry:
    member = Member(name=f"{root}/{name}", size=_size(content))
    chunks = [content] if isinstance(content, bytes) else _chunks(content)
    return FileEntry(name=name, size=member.size, sha256=writer.add(member, chunks))


def _check_digest(entry: FileEntry, wanted: str | None) -> None:
    if wanted is None or wanted == entry.sha256:
        return
    if entry.name == layout.JOURNAL:
        raise RecordError(
            "changed while it was archived", where=entry.name, hint="wait until the bench has ended"
        )
    raise RecordError(
        f"sha256 is {entry.sha256}, the journal says {wanted}",
        where=entry.name,
        hint="bring back the file that was recorded",
    )


def _size(content: Content) -> int:
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, SessionContent):
        with content.open() as opened:
            return opened.size_bytes
    facts = content.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise RecordError("is no ordinary file", where=str(content))
    return facts.st_size


def _chunks(content: Path | SessionContent) -> Iterator[bytes]:
    with content.open() if isinstance(content, SessionContent) else content.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            yield data

"""Reading an archive that a stranger may have made: every digest, and the documents to check.

Streams from beginning to end. Samples, pictures and images are only hashed; what is parsed later
is copied below a folder of the caller's, under names of ours alone. A verification says everything
that is wrong; `opened_session` is for looking at the session of an archive beside others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.checks import Stated, check_digests, check_listed
from edgemoe_appliance.archive.layout import (
    DEFAULT_LIMITS,
    ArchiveLimits,
    FileEntry,
    parse_manifest,
)
from edgemoe_appliance.archive.results import Mismatch, MismatchKind
from edgemoe_appliance.archive.tarball import Member, TarReader
from edgemoe_appliance.archive.values import has_values
from edgemoe_appliance.errors import HostError, RecordError, VerificationError
from edgemoe_appliance.schema.files import ordinary_file, scratch_folder
from edgemoe_appliance.schema.text import on_one_line

_MOST_CHARACTERS: Final = 300
# What is looked into; everything else is compared by its digest.
_COPIED: Final = frozenset(
    {
        layout.ABOUT,
        layout.PLAN,
        layout.JOURNAL,
        layout.LOCK,
        layout.SBOM,
        layout.CRATE,
        layout.MANIFEST,
        *(layout.CONFIGS + name for name in layout.CONFIG_NAMES),
    }
)


@dataclass(kw_only=True)
class ReadArchive:
    """What reading has shown. `is_whole` is False where it had to stop before the end."""

    folder: Path
    sha256: str = ""
    archive_bytes: int = 0
    root: str | None = None
    entries: dict[str, FileEntry] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)
    is_whole: bool = True

    def content(self, name: str) -> bytes:
        """Return a copied document. Raises RecordError where the archive has none of that name."""
        if name not in self.entries:
            raise RecordError("is missing", where=name)
        return (self.folder / name).read_bytes()

    def has_copy(self, name: str) -> bool:
        """Return whether a file was copied, and can be looked into."""
        return name in self.entries and (self.folder / name).is_file()


def read_archive(path: Path, folder: Path, limits: ArchiveLimits) -> ReadArchive:
    """Read an archive; `folder` is empty and gets the documents.

    What is wrong with the archive stands in the result. Raises HostError where the file cannot be
    read, or the documents cannot be written.
    """
    try:
        with ordinary_file(path) as file:
            reading = _Reading(file, os.fstat(file.fileno()).st_size, folder, limits)
            return reading.run(path.name)
    except OSError as error:
        raise HostError(
            f"cannot be read ({error.strerror})", where=str(error.filename or path)
        ) from error


def read_file(path: Path, name: str) -> Iterator[bytes]:
    """Yield the content of one file of an archive that was read whole before."""
    with ordinary_file(path) as file:
        reader = TarReader(file, os.fstat(file.fileno()).st_size)
        for member in reader.members():
            if member.name.partition("/")[2] == name:
                yield from reader.chunks()
                return


def find_wheel(path: Path) -> str | None:
    """Return the name of the wheel in an archive that was read whole before, None without one."""
    with ordinary_file(path) as file:
        reader = TarReader(file, os.fstat(file.fileno()).st_size)
        names = (member.name.partition("/")[2] for member in reader.members())
        return next(filter(layout.is_wheel, names), None)


class _Reading:
    """One pass over an archive."""

    def __init__(
        self, file: BinaryIO, file_bytes: int, folder: Path, limits: ArchiveLimits
    ) -> None:
        self._reader = TarReader(file, file_bytes)
        self._limits = limits
        self._found = ReadArchive(folder=folder, archive_bytes=file_bytes)
        self._folded: set[str] = set()
        self._tables_bytes = 0

    def run(self, archive_name: str) -> ReadArchive:
        """Read everything that can be read."""
        found = self._found
        try:
            for member in self._reader.members():
                self._take(member)
            self._check_order()
        except VerificationError as error:
            name = error.where or archive_name
            found.mismatches.append(Mismatch(file=name, kind=MismatchKind.FORM, what=error.what))
            found.is_whole = False
            self._reader.drain()
        found.sha256 = self._reader.sha256
        return found

    def _take(self, member: Member) -> None:
        name = self._name_inside(member.name)
        if len(self._found.entries) >= self._limits.entries:
            raise _stop(name, f"is one file too many: at most {self._limits.entries} are read")
        if name.casefold() in self._folded:
            raise _stop(
                name, "is there twice, or differs from another in upper and lower case alone"
            )
        self._folded.add(name.casefold())
        digest = hashlib.sha256()
        if name in _COPIED or layout.is_of_study(name) or layout.is_wheel(name):
            self._copy(name, member, digest)
        elif has_values(name) and self._has_room_for(member):
            self._copy(name, member, digest)
        else:
            for data in self._reader.chunks():
                digest.update(data)
        self._found.entries[name] = FileEntry(
            name=name, size=member.size, sha256=digest.hexdigest()
        )

    def _has_room_for(self, member: Member) -> bool:
        """Return whether a table may be copied: one that is too large is only hashed."""
        self._tables_bytes += member.size
        return (
            member.size <= self._limits.document_bytes
            and self._tables_bytes <= self._limits.tables_bytes
        )

    def _name_inside(self, whole: str) -> str:
        root, _, name = whole.partition("/")
        if not name:
            raise _stop(whole, "lies outside the one folder of an archive")
        if self._found.root is None:
            self._found.root = root
        elif root != self._found.root:
            raise _stop(whole, f"lies outside the folder {self._found.root}")
        return name

    def _copy(self, name: str, member: Member, digest: hashlib._Hash) -> None:
        is_journal = name == layout.JOURNAL
        most = self._limits.journal_bytes if is_journal else self._limits.document_bytes
        if member.size > most:
            raise _stop(name, f"has {member.size} bytes; at most {most} are read")
        target = self._found.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for data in self._reader.chunks():
                digest.update(data)
                file.write(data)

    def _check_order(self) -> None:
        """Check that files lie in the one order that equal contents have."""
        names = list(self._found.entries)
        last = [name for name in (layout.CRATE, layout.MANIFEST) if name in self._found.entries]
        wanted = [*sorted(set(names) - set(last)), *last]
        for name, right in zip(names, wanted, strict=True):
            if name != right:
                self._found.mismatches.append(
                    Mismatch(file=name, kind=MismatchKind.FORM, what=f"lies where {right} must lie")
                )
                return


def _stop(name: str, what: str) -> VerificationError:
    return VerificationError(what, where=name)


def no_archive(path: Path, mismatches: Sequence[Mismatch]) -> VerificationError:
    """Return what is said of a file that holds no file of an archive."""
    found = on_one_line(mismatches[0].what, _MOST_CHARACTERS) if mismatches else "holds no file"
    return VerificationError(f"is no archive: it {found}", where=str(path))


@contextmanager
def opened_session(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Iterator[Path]:
    """Give the session folder of an archive, without samples, for as long as the context is open.

    Raises VerificationError where the archive is not whole or a file has another digest than its
    manifest says, HostError where it cannot be read, RecordError where it has no manifest.
    """
    with scratch_folder("edgemoe-archive-") as folder:
        read = read_archive(path, folder.resolve(), limits)
        _require_digests(read, path)
        yield (read.folder / layout.PLAN).parent


def _require_digests(read: ReadArchive, path: Path) -> None:
    if not read.entries:
        raise no_archive(path, read.mismatches)
    wrong = read.mismatches or list(_wrong_digests(read))
    if wrong:
        raise VerificationError(
            f"not what it says: {wrong[0]}",
            where=str(path),
            hint=f"edgemoe-appliance verify {path} lists everything",
        )


def _wrong_digests(read: ReadArchive) -> Iterator[Mismatch]:
    digests = parse_manifest(read.content(layout.MANIFEST))
    stated: Stated = {name: (digest, None) for name, digest in digests.items()}
    yield from check_digests(read.entries, {layout.MANIFEST: stated})
    yield from check_listed(read.entries, layout.MANIFEST, stated, (layout.MANIFEST,))

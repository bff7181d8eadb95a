"""The one door to session folders: what others may have written is opened here and nowhere else.

A session folder is written by a measuring container, comes out of an archive, or lies on the disk
of somebody who sent it. Whoever can write into it can lay links, pipes and endless files there,
and exchange them at any moment. So a folder is opened once, as a descriptor, and every name in it
is taken one step at a time from that descriptor, never as a path that is looked up again.

Why so: container runtimes first joined paths and then used them, and a link that came in between
was followed on the host (CVE-2018-15664 in `docker cp`, CVE-2021-30465 and CVE-2024-45310 in
runc). They now hold descriptors: openat2 with RESOLVE_IN_ROOT or RESOLVE_BENEATH where the kernel
has it, else openat with O_NOFOLLOW for each part. openat2 is there to follow links that stay
inside. A session has none, so the walk by parts refuses exactly what must be refused, on every
kernel, in Python 3.10 and on macOS.

A hard link cannot lead out of a mount (link(2): EXDEV), so a container has no file of the host to
link to; and nothing of a folder is written in place but the journal, whose links are counted.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.files import PARTIAL_SUFFIX, open_atomically_in
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import MIB

# Far above any session (a run of the study has two raw files), far below what would take minutes.
MAX_ENTRIES: Final = 100_000
# A plan of the whole study is below 1 MiB.
MAX_DOCUMENT_BYTES: Final = 64 * MIB
_HOST_FOLDERS: Final = ".bench"
_BUFFER_BYTES: Final = 1 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe without a writer, or a lease that somebody holds, must not keep anybody waiting.
_STEP: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_KINDS: Final = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_HINT: Final = "a session holds plain files alone: remove it, the rest is kept"


def host_folder(session: Path) -> Path:
    """Return where a bench keeps what it decides about a session: plan, log, lock.

    It lies beside the session folder, because that one is a container's while it measures.
    """
    absolute = session.absolute()
    return absolute.parent / _HOST_FOLDERS / absolute.name


def holds(session: Path, name: str) -> bool:
    """Return whether a session folder is there and has a name, whatever that stands for."""
    try:
        with SessionFolder(session) as opened:
            return opened.find(name) is not None
    except FileNotFoundError:
        return False


@dataclass(frozen=True, kw_only=True)
class FolderEntry:
    """One name in a folder: its path from the folder's top, its mode as `stat` has it, its size."""

    name: str
    mode: int
    size_bytes: int

    @property
    def is_file(self) -> bool:
        """Return whether it is a plain file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def what(self) -> str:
        """Return what it is, in words."""
        return kind_in_words(self.mode)


class SessionFolder:
    """A folder that is held open; names are `file` or `folder/file`, in it and nowhere else.

    A FileNotFoundError says that a name is not there. Whatever else keeps a name from being read
    is a RecordError of one line. Writing raises OSError where the disk does not take it.
    """

    def __init__(self, path: Path, *, is_made: bool = False) -> None:
        """Name a folder; `is_made` makes it where it is missing. The context opens it.

        The path itself is the user's own, and links on the way to the folder are followed.
        """
        self.path = path
        self._is_made = is_made
        self._descriptor = -1

    def __enter__(self) -> SessionFolder:
        """Open the folder. Raises FileNotFoundError or RecordError where there is none."""
        if self._is_made:
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._descriptor = os.open(self.path, _FOLDER)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable("", error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the folder."""
        os.close(self._descriptor)
        self._descriptor = -1

    # -- reading

    def find(self, name: str) -> FolderEntry | None:
        """Return what a name stands for, or None where it is not there."""
        try:
            with self._parent(name) as (parent, leaf):
                return _entry(name, self._look(parent, leaf, name))
        except FileNotFoundError:
            return None

    def open_file(self, name: str, most_bytes: int) -> SessionFile:
        """Open a plain file to be read as it is now; what is appended later is not given.

        Raises FileNotFoundError, or RecordError for anything but a plain file of at most
        `most_bytes`.
        """
        descriptor = self._open_descriptor(name, os.O_RDONLY)
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > most_bytes:
            os.close(descriptor)
            what = f"has {size_bytes} bytes, at most {most_bytes} are read"
            raise RecordError(what, where=self._where(name), hint="no session of ours has as many")
        return SessionFile(descriptor, size_bytes)

    def read_bytes(self, name: str, most_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Return the content of a plain file. Raises as `open_file` does."""
        with self.open_file(name, most_bytes) as file:
            return self._read(file, name)

    def read_from(self, name: str, offset: int, most_bytes: int) -> bytes:
        """Return at most `most_bytes` of a plain file from a place on; nothing beyond its end."""
        descriptor = self._open_descriptor(name, os.O_RDONLY)
        try:
            return os.pread(descriptor, most_bytes, offset)
        except OSError as error:
            raise self._unreadable(name, error) from error
        finally:
            os.close(descriptor)

    def read_end(self, name: str, most_bytes: int) -> bytes:
        """Return the last `most_bytes` of a plain file."""
        found = self.find(name)
        size_bytes = found.size_bytes if found else 0
        return self.read_from(name, max(0, size_bytes - most_bytes), most_bytes)

    def entries(self, folder: str = "") -> list[FolderEntry]:
        """Return what lies in the folder, or in one inside it, in the order of names.

        Raises FileNotFoundError where that one is missing, RecordError for more than MAX_ENTRIES.
        """
        with self._inside(folder) as descriptor:
            found: list[FolderEntry] = []
            try:
                with os.scandir(descriptor) as listed:
                    for each in listed:
                        if len(found) >= MAX_ENTRIES:
                            raise self._refusal(folder, f"holds more than {MAX_ENTRIES} files")
                        name = f"{folder}/{each.name}" if folder else each.name
                        # Gone between the two calls: somebody is still writing here.
                        with contextlib.suppress(FileNotFoundError):
                            found.append(_entry(name, each.stat(follow_symlinks=False)))
            except OSError as error:
                raise self._unreadable(folder, error) from error
        return sorted(found, key=lambda entry: entry.name)

    def walk(self, folders: tuple[str, ...] = ()) -> Iterator[FolderEntry]:
        """Yield what lies in the folder and in the named ones inside it; no other is entered."""
        for entry in self.entries():
            yield entry
            if entry.is_folder and entry.name in folders:
                yield from self.entries(entry.name)

    # -- writing

    @contextmanager
    def open_new(self, name: str, *, is_synced: bool = True) -> Iterator[BinaryIO]:
        """Give a file to write; it takes its name, whatever had it, when the context ends well.

        Raises RecordError where a folder has the name, or a link stands where a folder should.
        """
        with self._parent(name, is_made=True) as (parent, leaf):
            try:
                with open_atomically_in(parent, leaf, is_synced=is_synced) as file:
                    yield file
            except IsADirectoryError as error:
                raise self._refusal(name, "is a folder") from error
            except FileNotFoundError as error:
                raise self._unreadable(name, error) from error
            except OSError as error:
                error.filename = self._where(name)  # not the name it has meanwhile
                raise

    def write(self, name: str, content: bytes, *, is_synced: bool = True) -> None:
        """Write a file, whole or not at all. Raises as `open_new` does."""
        with self.open_new(name, is_synced=is_synced) as file:
            file.write(content)

    def append(self, name: str, content: bytes) -> None:
        """Append to a file. Raises as `open_for_append` does."""
        with os.fdopen(self.open_for_append(name), "ab") as file:
            file.write(content)

    def open_for_append(self, name: str) -> int:
        """Return a descriptor to read a file and to append to it; it is made where it is missing.

        Raises RecordError for anything but a plain file with this one name: a second name may
        belong to a backup, or to somebody else.
        """
        descriptor = self._open_descriptor(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        links = os.fstat(descriptor).st_nlink
        if links > 1:
            os.close(descriptor)
            raise RecordError(
                f"has {links} names (hard links), and would change under all of them",
                where=self._where(name),
                hint="put a copy in its place",
            )
        return descriptor

    def remove(self, name: str) -> None:
        """Remove a name that is there; what a link leads to stays."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (parent, leaf):
            try:
                os.unlink(leaf, dir_fd=parent)
            except (IsADirectoryError, PermissionError) as error:
                raise self._refusal(name, "cannot be removed") from error

    def remove_partials(self, folders: tuple[str, ...] = ()) -> None:
        """Remove what writers that were killed have left half written."""
        for entry in self.walk(folders):
            if entry.is_file and entry.name.endswith(PARTIAL_SUFFIX):
                self.remove(entry.name)

    # -- owners

    @property
    def owner(self) -> tuple[int, int]:
        """Return user and group of the folder, as numbers."""
        facts = os.fstat(self._descriptor)
        return facts.st_uid, facts.st_gid

    def find_foreign(self, folders: tuple[str, ...]) -> RecordError | None:
        """Return the refusal of the first name that is neither a plain file nor a named folder."""
        for entry in self.walk(folders):
            if not entry.is_file and not (entry.is_folder and entry.name in folders):
                return self._refusal(entry.name, f"is {entry.what}")
        return None

    def lend(self, uid: int, gid: int, names: tuple[str, ...]) -> None:
        """Give the folder and some names in it to a user; names that are missing are no error.

        Raises RecordError for anything but folders and plain files that have one name.
        """
        os.fchown(self._descriptor, uid, gid)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                descriptor = self._open_any(name)
                try:
                    facts = os.fstat(descriptor)
                    if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1:
                        raise self._refusal(name, f"has {facts.st_nlink} names (hard links)")
                    os.fchown(descriptor, uid, gid)
                finally:
                    os.close(descriptor)

    def take_back(self, uid: int, gid: int, folders: tuple[str, ...], *, writer: int) -> None:
        """Give everything back after the user `writer` has ended; no link is followed.

        Marks that let others act as the owner are taken off. A file of several names is left
        alone unless it is the writer's: it may be somebody else's. So is what lies in folders that
        are not named.
        """
        for entry in self.walk(folders):
            if not entry.is_file and not entry.is_folder:
                continue
            with contextlib.suppress(FileNotFoundError):
                descriptor = self._open_any(entry.name)
                try:
                    _take(descriptor, uid, gid, writer)
                finally:
                    os.close(descriptor)
        _take(self._descriptor, uid, gid, writer)

    # -- one step at a time

    def _open_any(self, name: str) -> int:
        """Return a descriptor of a plain file or a folder."""
        found = self.find(name)
        if found is not None and found.is_folder:
            with self._parent(name) as (parent, leaf):
                return self._step_into(parent, leaf, name)
        return self._open_descriptor(name, os.O_RDONLY)

    def _open_descriptor(self, name: str, flags: int) -> int:
        """Return a descriptor of a plain file. Raises FileNotFoundError or RecordError."""
        with self._parent(name) as (parent, leaf):
            # Asked first, as opening a device may do something; decided afterwards, by descriptor.
            with contextlib.suppress(FileNotFoundError):
                self._require_file(name, self._look(parent, leaf, name))
            try:
                descriptor = os.open(leaf, flags | _STEP, 0o666, dir_fd=parent)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise self._unreadable(name, error) from error
        try:
            self._require_file(name, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @contextmanager
    def _parent(self, name: str, *, is_made: bool = False) -> Iterator[tuple[int, str]]:
        """Give a descriptor of the folder that a name lies in, and the last part of the name."""
        folder, _, leaf = name.rpartition("/")
        self._require_name(name)
        with self._inside(folder, is_made=is_made) as descriptor:
            yield descriptor, leaf

    @contextmanager
    def _inside(self, folder: str, *, is_made: bool = False) -> Iterator[int]:
        """Give a descriptor of a folder inside this one; `""` is this one."""
        if folder:
            self._require_name(folder)
        descriptor = os.dup(self._descriptor)
        try:
            for part in folder.split("/") if folder else ():
                if is_made:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=descriptor)
                try:
                    inner = self._step_into(descriptor, part, folder)
                except FileNotFoundError as error:
                    if not is_made:
                        raise
                    # It was there a moment ago: somebody takes folders away while we write.
                    raise self._unreadable(folder, error) from error
                outer, descriptor = descriptor, inner
                os.close(outer)
            yield descriptor
        finally:
            os.close(descriptor)

    def _look(self, parent: int, leaf: str, name: str) -> os.stat_result:
        try:
            return os.stat(leaf, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _step_into(self, parent: int, part: str, name: str) -> int:
        try:
            return os.open(part, _FOLDER | _STEP, dir_fd=parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(name, error) from error

    # -- what goes wrong

    def _read(self, file: SessionFile, name: str) -> bytes:
        try:
            return file.read()
        except OSError as error:
            raise self._unreadable(name, error) from error

    def _require_name(self, name: str) -> None:
        if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise self._refusal(name, "is not the name of a file in a session")

    def _require_file(self, name: str, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise self._refusal(name, f"is {kind_in_words(facts.st_mode)}")

    def _unreadable(self, name: str, error: OSError) -> RecordError:
        """Return the refusal for what the system says; a link has no name of its own there."""
        if error.errno in (errno.ELOOP, errno.EMLINK):
            return self._refusal(name, "is a symbolic link")
        if error.errno == errno.ENOTDIR:
            return self._refusal(name, "is no folder, or a link to one" if name else "is no folder")
        hint = "chmod -R u+rwX it" if error.errno == errno.EACCES else ""
        what = f"cannot be opened ({error.strerror})"
        return RecordError(what, where=self._where(name), hint=hint)

    def _refusal(self, name: str, what: str) -> RecordError:
        return RecordError(what, where=self._where(name), hint=_HINT)

    def _where(self, name: str) -> str:
        return str(self.path / on_one_line(name, 300)) if name else str(self.path)


class SessionFile(io.BufferedReader):
    """A plain file that was opened to be read; `size_bytes` is what it had then."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        """Take over a descriptor."""
        super().__init__(_Bounded(descriptor, size_bytes), _BUFFER_BYTES)
        self.size_bytes = size_bytes


class _Bounded(io.RawIOBase):
    """The first bytes of an open file, as many as it had when it was opened."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._left = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = os.read(self._descriptor, min(len(buffer), self._left))
        buffer[: len(block)] = block
        self._left -= len(block)
        return len(block)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _entry(name: str, facts: os.stat_result) -> FolderEntry:
    return FolderEntry(name=name, mode=facts.st_mode, size_bytes=facts.st_size)


def kind_in_words(mode: int) -> str:
    """Return what kind of file a mode stands for, as `a named pipe`."""
    return _KINDS.get(stat.S_IFMT(mode), "nothing that can be read")


def _take(descriptor: int, uid: int, gid: int, writer: int) -> None:
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1 and facts.st_uid != writer:
        return
    mode = stat.S_IMODE(facts.st_mode)
    if mode & _SET_ID:
        os.fchmod(descriptor, mode & ~_SET_ID)
    if os.geteuid() == 0:
        os.fchown(descriptor, uid, gid)

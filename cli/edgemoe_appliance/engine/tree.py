"""Source trees: their digest, and how one is taken out of a tar archive without trusting it."""

from __future__ import annotations

import copy
import fnmatch
import gzip
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.schema.files import file_sha256
from edgemoe_appliance.schema.units import GIB

# llama.cpp's tree is about 85 MB in 1,600 files, the whole source distribution twice that.
MAX_TOTAL_BYTES: Final = 2 * GIB
MAX_MEMBERS: Final = 50_000
# Repository data, not source: present in a clone, absent or another in an archive.
_LEFT_OUT: Final = frozenset({".git"})
# What somebody who works in a checkout leaves there, and no build reads: folders of builds and
# tools at its top, weights and caches anywhere.
_WORK_FOLDERS: Final = ("build", "build-*", "build_*", ".cache", ".venv", ".vscode", ".idea")
_WORK_NAMES: Final = ("__pycache__", "*.gguf", "*.safetensors", "*.pyc", ".DS_Store")

IsLeftOut = Callable[[Path], bool]


def is_work(folder: Path) -> IsLeftOut:
    """Return what tells, of a path in a local checkout, whether it is work and not source.

    Sockets, pipes and devices are: a debugger or an editor may leave them.
    """

    def tells(path: Path) -> bool:
        mode = path.lstat().st_mode
        is_folder = stat.S_ISDIR(mode)
        if not (is_folder or stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            return True
        names = (*_WORK_NAMES, *(_WORK_FOLDERS if is_folder and path.parent == folder else ()))
        return any(fnmatch.fnmatchcase(path.name, name) for name in names)

    return tells


def _nothing(_: Path) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class TreeEntry:
    """One file or link of a tree: its path below it, its kind as git writes it, its content."""

    name: str
    kind: str
    sha256: str


def tree_entries(folder: Path, is_left_out: IsLeftOut = _nothing) -> tuple[TreeEntry, ...]:
    """Return the files and links of a tree in the order of their paths.

    Of the modes only "executable" counts, as in git, so that the umask does not.
    """
    found = _walk(folder, is_left_out)
    paths = sorted(found, key=lambda path: path.relative_to(folder).as_posix())
    return tuple(_entry(path, path.relative_to(folder).as_posix()) for path in paths)


def digest_entries(entries: Iterable[TreeEntry]) -> str:
    """Return the sha256 of a tree by its entries; two trees of the same files have the same."""
    digest = hashlib.sha256()
    for entry in entries:
        line = f"{entry.kind} {entry.sha256} {entry.name}\0"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def tree_digest(folder: Path, is_left_out: IsLeftOut = _nothing) -> str:
    """Return the sha256 of a tree: relative paths in order, kinds and contents."""
    return digest_entries(tree_entries(folder, is_left_out))


def _walk(folder: Path, is_left_out: IsLeftOut) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.name in _LEFT_OUT or is_left_out(Path(entry.path)):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), is_left_out)
        else:
            yield Path(entry.path)


def _entry(path: Path, name: str) -> TreeEntry:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = os.fsencode(path.readlink())
        return TreeEntry(name=name, kind="120000", sha256=hashlib.sha256(target).hexdigest())
    if not stat.S_ISREG(mode):
        raise HostError("neither file, folder nor link", where=str(path), hint="remove it")
    kind = "100755" if mode & stat.S_IXUSR else "100644"
    return TreeEntry(name=name, kind=kind, sha256=file_sha256(path))


def unpack_subdirectory(archive: Path, subdirectory: str, target: Path) -> None:
    """Unpack one folder of a tar archive's single top folder into `target`, which must not exist.

    Raises DigestError for a member that would leave the folder, is a device or a hard link, or
    for more members or bytes than a source tree has: no honest archive of a pin holds such.
    """
    target.mkdir()
    try:
        with tarfile.open(archive, "r:*") as tar:
            _unpack(tar, PurePosixPath(subdirectory), target, archive)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DigestError(f"not a readable archive ({error})", where=str(archive)) from error
    if not any(target.iterdir()):
        raise DigestError(f"holds no {subdirectory}", where=str(archive))


def _unpack(tar: tarfile.TarFile, wanted: PurePosixPath, target: Path, archive: Path) -> None:
    for member in _bounded(tar, archive):
        relative = _relative_name(member, wanted, archive)
        if relative is None or relative == PurePosixPath():
            continue
        _check_member(member, relative, archive)
        if any((target / parent).is_symlink() for parent in relative.parents):
            raise DigestError(f"member {member.name!r} lies behind a link", where=str(archive))
        _extract(tar, member, relative, target)


def _bounded(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    total_bytes = 0
    for count, member in enumerate(tar, start=1):
        total_bytes += member.size
        if count > MAX_MEMBERS or total_bytes > MAX_TOTAL_BYTES:
            raise DigestError("larger than any source tree", where=str(archive))
        yield member


def _relative_name(
    member: tarfile.TarInfo, wanted: PurePosixPath, archive: Path
) -> PurePosixPath | None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise DigestError(f"member {member.name!r} leaves the archive", where=str(archive))
    inside = PurePosixPath(*path.parts[1:])
    try:
        return inside.relative_to(wanted)
    except ValueError:
        return None


def _check_member(member: tarfile.TarInfo, relative: PurePosixPath, archive: Path) -> None:
    if not (member.isreg() or member.isdir() or member.issym()):
        raise DigestError(
            f"member {member.name!r} is neither file, folder nor link", where=str(archive)
        )
    if member.issym() and not _stays_inside(relative.parent, member.linkname):
        raise DigestError(
            f"link {member.name!r} leads out, to {member.linkname!r}", where=str(archive)
        )


def _stays_inside(folder: PurePosixPath, link: str) -> bool:
    if PurePosixPath(link).is_absolute():
        return False
    resolved = os.path.normpath(folder / link)
    return resolved != ".." and not resolved.startswith("../")


def _extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, relative: PurePosixPath, target: Path
) -> None:
    renamed = copy.copy(member)
    renamed.name = str(relative)
    # The filter came to 3.10 and 3.11 with security releases; our own checks do not lean on it.
    if hasattr(tarfile, "data_filter"):
        tar.extract(renamed, target, filter="data")
    else:
        tar.extract(renamed, target, set_attrs=False)
        if member.isreg():
            (target / relative).chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)

"""llama.cpp's source as it travels: the part of a verified tree that a build reads.

The digests of the whole tree travel with it. So what arrives is known, file by file, to be of the
tree whose digest the pin's record names, though pictures, vocabularies and the server stay at home.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tree import (
    TreeEntry,
    digest_entries,
    is_work,
    tree_entries,
    unpack_subdirectory,
)
from edgemoe_appliance.errors import DigestError
from edgemoe_appliance.kit.contents import CarriedPin
from edgemoe_appliance.schema.configs import DirectorySource

_TREE: Final = "tree"
# What cmake reads with tests and server off; configuring fails where any of it is missing.
_READ: Final = (
    *("CMakeLists.txt", "LICENSE", "AUTHORS", "cmake/", "common/", "examples/", "ggml/"),
    *("include/", "licenses/", "pocs/", "scripts/", "src/", "tools/", "vendor/"),
)
_UNREAD: Final = (
    *("examples/llama.android/", "examples/server/", "tools/server/", "vendor/miniaudio/"),
    # Backends of no target that a kit serves.
    *(f"ggml/src/ggml-{name}/" for name in ("cann", "kompute", "metal", "opencl", "sycl")),
)
_UNREAD_KINDS: Final = (
    *(".gguf", ".gif", ".gz", ".ipynb", ".jpeg", ".jpg", ".key", ".mp3"),
    *(".pdf", ".png", ".svg", ".wav", ".webp"),
)
_ENTRIES: Final = TypeAdapter(list[tuple[str, str, str]])


def archive_name(pin: str) -> str:
    """Return the name of the archive with the files of a pin."""
    return f"{pin}.tar.gz"


def listing_name(pin: str) -> str:
    """Return the name of the list with every file of the whole tree of a pin."""
    return f"{pin}.json"


def is_read_by_builds(name: str) -> bool:
    """Return whether a build needs a file of the tree."""
    return (
        name.startswith(_READ)
        and not name.startswith(_UNREAD)
        and not name.lower().endswith(_UNREAD_KINDS)
    )


def pack_source(source: PreparedSource, folder: Path) -> CarriedPin:
    """Write archive and list of a verified source; equal sources give equal bytes.

    Raises DigestError where the tree is not the one that was verified.
    """
    folder_of_user = isinstance(source.source, DirectorySource)
    left_out = (is_work(source.folder),) if folder_of_user else ()
    entries = tree_entries(source.folder, *left_out)
    if digest_entries(entries) != source.sha256:
        raise DigestError("the tree has changed since it was verified", where=str(source.folder))
    listed = [(entry.kind, entry.sha256, entry.name) for entry in entries]
    (folder / listing_name(source.pin)).write_text(json.dumps(listed, separators=(",", ":")))
    packed = gzip.compress(_tar(source, entries), mtime=0)
    (folder / archive_name(source.pin)).write_bytes(packed)
    return CarriedPin(
        pin=source.pin,
        source=source.source,
        tree_sha256=source.sha256,
        build_number=source.build_number,
    )


def _tar(source: PreparedSource, entries: Sequence[TreeEntry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            if not is_read_by_builds(entry.name):
                continue
            path = source.folder / entry.name
            info = tarfile.TarInfo(f"{source.pin}/{_TREE}/{entry.name}")
            info.mode = 0o755 if entry.kind == "100755" else 0o644
            if path.is_symlink():
                info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(info)
                continue
            content = path.read_bytes()
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpack_source(pin: CarriedPin, sources: Path, folder: Path) -> PreparedSource:
    """Return the source of a pin, unpacked below `folder` unless it is there already.

    Raises DigestError where a file is not of the tree that the pin names.
    """
    target = folder / pin.pin
    if not target.exists():
        partial = folder / f".{pin.pin}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        unpack_subdirectory(sources / archive_name(pin.pin), _TREE, partial)
        partial.rename(target)
    _check_entries(pin, sources / listing_name(pin.pin), tree_entries(target))
    return PreparedSource(
        pin=pin.pin,
        source=pin.source,
        folder=target,
        sha256=pin.tree_sha256,
        build_number=pin.build_number,
        why=f"{pin.pin} came with the kit",
    )


def _check_entries(pin: CarriedPin, listing: Path, found: Sequence[TreeEntry]) -> None:
    try:
        listed = _ENTRIES.validate_json(listing.read_bytes())
    except (OSError, ValidationError) as error:
        raise DigestError("no list of the files of a tree", where=str(listing)) from error
    whole = [TreeEntry(kind=kind, sha256=sha256, name=name) for kind, sha256, name in listed]
    if digest_entries(whole) != pin.tree_sha256:
        raise DigestError(f"is not the list of the tree of {pin.pin}", where=str(listing))
    foreign = set(found) - set(whole)
    missing = {entry for entry in whole if is_read_by_builds(entry.name)} - set(found)
    for entry, what in ((foreign, "is not of the tree"), (missing, "is missing")):
        if entry:
            raise DigestError(f"{what} of {pin.pin}", where=min(one.name for one in entry))

"""The session inside an archive, opened for reading: its plan and its journal, by their digests.

A verification says more; this is for looking at an archive beside others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.checks import Stated, check_digests, check_listed
from edgemoe_appliance.archive.limits import DEFAULT_LIMITS, ArchiveLimits
from edgemoe_appliance.archive.manifest import parse_manifest
from edgemoe_appliance.archive.reading import ReadArchive, read_archive
from edgemoe_appliance.archive.results import Mismatch
from edgemoe_appliance.errors import VerificationError
from edgemoe_appliance.schema.files import scratch_folder


@contextmanager
def opened_session(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Iterator[Path]:
    """Give the session folder of an archive, without samples, for as long as the context is open.

    Raises VerificationError where the archive is not whole or a file has another digest than its
    manifest says, HostError where it cannot be read, RecordError where it has no manifest.
    """
    with scratch_folder("edgemoe-archive-") as folder:
        read = read_archive(path, folder.resolve(), limits)
        _check(read, path)
        yield (read.folder / layout.PLAN).parent


def _check(read: ReadArchive, path: Path) -> None:
    wrong = read.mismatches or list(_differences(read))
    if wrong:
        raise VerificationError(
            f"not what it says: {wrong[0]}",
            where=str(path),
            hint=f"edgemoe-appliance verify {path} lists everything",
        )


def _differences(read: ReadArchive) -> Iterator[Mismatch]:
    digests = parse_manifest(read.content(layout.MANIFEST))
    stated: Stated = {name: (digest, None) for name, digest in digests.items()}
    yield from check_digests(read.entries, {layout.MANIFEST: stated})
    yield from check_listed(read.entries, layout.MANIFEST, stated, (layout.MANIFEST,))

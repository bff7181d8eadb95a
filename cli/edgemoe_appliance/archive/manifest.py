"""manifest-sha256.txt: the digest of every other file, in the form that sha256sum reads. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from edgemoe_appliance.archive.layout import FileEntry
from edgemoe_appliance.errors import RecordError

_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def build_manifest(entries: Sequence[FileEntry]) -> bytes:
    """Return the manifest of files, in the order of their names."""
    lines = [f"{entry.sha256}  {entry.name}\n" for entry in entries]
    return "".join(sorted(lines, key=lambda line: line[66:])).encode()


def parse_manifest(content: bytes) -> dict[str, str]:
    """Return digests by name.

    Raises RecordError with the line that is none, or that names a file again or out of order.
    """
    digests: dict[str, str] = {}
    lines = content.decode(errors="replace").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise RecordError(f"line {number} is not a digest and a name")
        if found.group(2) in digests:
            raise RecordError(f"line {number} names {found.group(2)} again")
        digests[found.group(2)] = found.group(1)
    if lines[-1]:
        raise RecordError(f"line {len(lines)} is cut off")
    if list(digests) != sorted(digests):
        raise RecordError("its lines are not in the order of names")
    return digests

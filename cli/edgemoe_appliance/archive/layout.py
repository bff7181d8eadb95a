"""The form of an archive. Pure.

Which file lies where and what it is, how large it may be, and how its manifest and its JSON
documents are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, SAMPLES_FOLDER
from edgemoe_appliance.schema.units import GIB, MIB
from edgemoe_appliance.studies import Study

ABOUT: Final = "about.json"
README: Final = "README.md"
PLAN: Final = f"session/{PLAN_NAME}"
JOURNAL: Final = f"session/{JOURNAL_NAME}"
SAMPLES: Final = f"session/{SAMPLES_FOLDER}/"
AS_RUN: Final = "as-run/"
CONFIGS: Final = "configs/"
CONFIG_NAMES: Final = (
    "devices.yaml",
    "engines.yaml",
    "models.yaml",
)
# The study's folder as it was used: STUDIES/ID/FILE.
STUDIES: Final = f"{CONFIGS}studies/"
SCHEMA: Final = "data/schema/records.v2.json"
LOCK: Final = "images/lock.json"
IMAGE: Final = "images/image.tar"
STATEMENT: Final = "images/image.intoto.json"
IMAGE_SBOM: Final = "images/sbom.cdx.json"
SBOM: Final = "sbom.cdx.json"
REPORT: Final = "report/"
CLAIMS: Final = f"{REPORT}claims.json"
# Of the checkout that the archive was made in.
CHECKOUT_NAMES: Final = ("CITATION.cff", "LICENSE", "requirements.lock")
CRATE: Final = "ro-crate-metadata.json"
MANIFEST: Final = "manifest-sha256.txt"
# The appliance itself: APPLIANCE/NAME.whl.
APPLIANCE: Final = "appliance/"
_WHEEL_NAME: Final = re.compile(rf"{APPLIANCE}[A-Za-z0-9._-]+\.whl")

# Files that an archive must have, or name in `about.json` with the reason why it has not.
GIVEN: Final = (
    *CHECKOUT_NAMES,
    *(CONFIGS + name for name in CONFIG_NAMES),
    SBOM,
)
_TYPES: Final = {
    ".cff": "text/yaml",
    ".css": "text/css",
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".lock": "text/plain",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tex": "application/x-tex",
    ".txt": "text/plain",
    ".whl": "application/zip",
    ".yaml": "text/yaml",
}
_WHAT: Final = {
    ABOUT: "Which appliance made this archive, and what it could not include",
    README: "How to read and check this archive",
    PLAN: "The plan: everything that was to be run, resolved",
    JOURNAL: "The journal: every run as it was recorded, one JSON record a line",
    SCHEMA: "The JSON Schema of a line of the journal",
    LOCK: "The lock of the container image that the runs were made in",
    IMAGE: "The container image that the runs were made in",
    STATEMENT: "in-toto statement: what the container image was made from",
    IMAGE_SBOM: "CycloneDX: Python and system packages of the container image",
    SBOM: "CycloneDX: Python and system packages of the environment that made this archive",
    CLAIMS: "Verdicts on the study's claims and audits of figures",
    f"{REPORT}report.html": "The report: the paper's tables with these runs beside them",
    "CITATION.cff": "How to cite the appliance",
    "LICENSE": "The licence of the appliance",
    "requirements.lock": "The Python packages of the appliance, by digest",
    MANIFEST: "sha256 of every other file, as sha256sum --check reads it",
}
_BELOW: Final = {
    SAMPLES: "Raw readings of one run",
    STUDIES: "The study: figures, claims, experiments and prompts, as they were used",
    CONFIGS: "Configuration of the appliance",
    APPLIANCE: "The appliance that made this archive, as a Python wheel",
    AS_RUN: "What was run, as the plan and the journal have it",
    f"{REPORT}tables/": "A table of the report",
    f"{REPORT}figures/": "A figure of the report",
}


_STUDY_FILE: Final = re.compile(re.escape(STUDIES) + r"[a-z0-9][a-z0-9._-]{0,63}/[a-z]{1,32}\.yaml")
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def is_of_study(name: str) -> bool:
    """Return whether a name is that of a file of a study's folder."""
    return _STUDY_FILE.fullmatch(name) is not None


def study_files(study: Study) -> dict[str, bytes]:
    """Return the folder of a study as it was read, by name in an archive."""
    return {f"{STUDIES}{study.id}/{name}": data for name, data in study.files.items()}


def is_wheel(name: str) -> bool:
    """Return whether a file is the wheel of an appliance."""
    return _WHEEL_NAME.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of an archive with its size and digest."""

    name: str
    size: int
    sha256: str


def media_type(name: str) -> str:
    """Return the media type of a file by the end of its name."""
    end = name[name.rfind(".") :] if "." in name else ""
    return "text/plain" if name == "LICENSE" else _TYPES.get(end, "application/octet-stream")


def description(name: str) -> str:
    """Return what a file is, in one line."""
    folder = next((text for start, text in _BELOW.items() if name.startswith(start)), "")
    return _WHAT.get(name) or folder or "A file of the report"


def build_manifest(entries: Sequence[FileEntry]) -> bytes:
    """Return the manifest of files by name, in the form that sha256sum reads."""
    lines = [f"{entry.sha256}  {entry.name}\n" for entry in entries]
    return "".join(sorted(lines, key=lambda line: line[66:])).encode()


def parse_manifest(content: bytes) -> dict[str, str]:
    """Return the digests of a manifest by name.

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


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """Bounds for archives written and read: they bound the memory and disk of a verification.

    `document_bytes` is for each file that is parsed as a whole; the journal is read line by line.
    Both are copied to disk, and tables as long as all of them have no more than `tables_bytes`.
    Samples, pictures and images are only streamed and have no bound of their own. `archive_bytes`
    is for a whole archive that nobody chose by hand, as a board's or one in a ledger's folder; a
    session with its image is a few GB.
    """

    entries: int = 100_000
    journal_bytes: int = 256 * MIB
    document_bytes: int = 64 * MIB
    tables_bytes: int = 512 * MIB
    archive_bytes: int = 32 * GIB


DEFAULT_LIMITS = ArchiveLimits()


def json_bytes(value: object) -> bytes:
    """Return a document as indented JSON with sorted keys: equal bytes for equal values."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="replace")


def parse_moment(utc: str, where: str) -> datetime:
    """Return a moment that a record tells. Raises RecordError where it is none."""
    try:
        return datetime.fromisoformat(utc.replace("Z", "+00:00"))
    except ValueError as error:
        raise RecordError(f"{utc!r} is not a date and time", where=where) from error

"""Which file of an archive lies where, and what every file of it is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, SAMPLES_FOLDER
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

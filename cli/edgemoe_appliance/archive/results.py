"""What a verification found: every mismatch by file, not a yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.schema.text import on_one_line

_MOST_CHARACTERS = 400


class MismatchKind(str, Enum):
    """What a mismatch is about."""

    FORM = "form"  # the archive itself is damaged, or of a form that is refused
    DIGEST = "digest"  # a size or sha256 is not the one that is written down
    FILES = "files"  # a file is missing, or is one too many
    SCHEMA = "schema"  # a document is not of its schema, or records do not belong together
    CONTENT = "content"  # two documents of the archive say different things
    VALUE = "value"  # a value of a table or document is not what the raw runs give
    RECOMPUTED = "recomputed"  # a file is not, byte for byte, what the raw runs give
    IMAGE = "image"  # the image, its lock and its statement do not belong together

    @property
    def level(self) -> VerificationLevel:
        """Return the level of verification that such a mismatch fails."""
        return {
            MismatchKind.VALUE: VerificationLevel.NUMBERS,
            MismatchKind.RECOMPUTED: VerificationLevel.BYTES,
        }.get(self, VerificationLevel.INTEGRITY)


class VerificationLevel(str, Enum):
    """What a verification asks, from what holds for ever to what holds for one version."""

    INTEGRITY = "integrity"  # the archive is what was written: digests, sizes, schemas
    NUMBERS = "numbers"  # tables and verdicts have the values that the raw runs give
    BYTES = "bytes"  # every file that follows from the raw runs has the bytes that they give


class LevelOutcome(str, Enum):
    """How a level came out."""

    PASSED = "passed"
    FAILED = "failed"
    REDEFINED = "redefined"  # values differ, as a newer definition gives others
    UNCHECKED = "not checked"


@dataclass(frozen=True, kw_only=True)
class LevelResult:
    """The outcome of one level, and what it rests on or why there is none."""

    level: VerificationLevel
    outcome: LevelOutcome
    why: str

    @property
    def has_failed(self) -> bool:
        """Return whether the archive is not what it says."""
        return self.outcome is LevelOutcome.FAILED

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.level.value}: {self.outcome.value} ({self.why})"


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One thing that is not as it must be, and the file of the archive that it is about."""

    file: str
    kind: MismatchKind
    what: str

    def __str__(self) -> str:
        """Return it on one line, harmless to print."""
        return f"{on_one_line(self.file, 300)}: {on_one_line(self.what, _MOST_CHARACTERS)}"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that could not be checked, or that a reader should know; no mismatch."""

    file: str
    what: str

    def __str__(self) -> str:
        """Return it on one line, harmless to print."""
        return f"{on_one_line(self.file, 300)}: {on_one_line(self.what, _MOST_CHARACTERS)}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The outcome of a verification. `made_by` is None where the archive does not tell.

    `recomputed` counts the files that were made again from the raw runs and compared, `differences`
    are values that a newer definition gives otherwise: no mismatches.
    """

    archive: str
    sha256: str
    archive_bytes: int
    session: str | None
    files: int
    recomputed: int
    made_by: Maker | None
    verified_by: Maker
    levels: tuple[LevelResult, ...]
    mismatches: tuple[Mismatch, ...]
    differences: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def is_good(self) -> bool:
        """Return whether no level that could be checked has failed."""
        return not any(each.has_failed for each in self.levels)

    def outcome_of(self, level: VerificationLevel) -> LevelOutcome:
        """Return how one level came out."""
        return next(each.outcome for each in self.levels if each.level is level)

    def document(self) -> dict[str, Any]:
        """Return it as one plain document, for programs that read it."""
        return {
            "archive": self.archive,
            "sha256": self.sha256,
            "bytes": self.archive_bytes,
            "session": self.session,
            "files": self.files,
            "recomputed": self.recomputed,
            "made_by": self.made_by.model_dump(mode="json") if self.made_by else None,
            "verified_by": self.verified_by.model_dump(mode="json"),
            "good": self.is_good,
            "levels": {
                each.level.value: {"outcome": each.outcome.value, "why": each.why}
                for each in self.levels
            },
            "differences": [{"file": note.file, "what": note.what} for note in self.differences],
            "mismatches": [
                {"file": m.file, "kind": m.kind.value, "what": m.what} for m in self.mismatches
            ],
            "notes": [{"file": note.file, "what": note.what} for note in self.notes],
        }

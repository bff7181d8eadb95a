"""How large an archive and its parts may be: what bounds the memory and disk of a verification."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.schema.units import MIB


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """Bounds for archives that are written and for those that are read.

    `document_bytes` is for each file that is parsed as a whole; the journal is read line by line.
    Both are copied to disk, and tables as long as all of them have no more than `tables_bytes`.
    Samples, pictures and images are only streamed and have no bound.
    """

    entries: int = 100_000
    journal_bytes: int = 256 * MIB
    document_bytes: int = 64 * MIB
    tables_bytes: int = 512 * MIB


DEFAULT_LIMITS = ArchiveLimits()

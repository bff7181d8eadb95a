"""Releases of Jetson Linux (L4T) and the JetPack that each belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Version = tuple[int, ...]
# The first Jetson Linux of each JetPack; updates in between belong to the one before. Source:
# NVIDIA's JetPack archive (developer.nvidia.com/embedded/jetpack-archive), as of November 2026.
_JETPACKS: Final[tuple[tuple[Version, str], ...]] = (
    ((32, 4, 2), "4.4 DP"),
    ((32, 4, 3), "4.4"),
    ((32, 4, 4), "4.4.1"),
    ((32, 5), "4.5"),
    ((32, 5, 1), "4.5.1"),
    ((32, 6, 1), "4.6"),
    ((32, 7, 1), "4.6.1"),
    ((32, 7, 2), "4.6.2"),
    ((32, 7, 3), "4.6.3"),
    ((32, 7, 4), "4.6.4"),
    ((32, 7, 5), "4.6.5"),
    ((32, 7, 6), "4.6.6"),
    ((34, 1), "5.0 DP"),
    ((34, 1, 1), "5.0.1 DP"),
    ((35, 1), "5.0.2"),
    ((35, 2, 1), "5.1"),
    ((35, 3, 1), "5.1.1"),
    ((35, 4, 1), "5.1.2"),
    ((35, 5), "5.1.3"),
    ((35, 6), "5.1.4"),
    ((35, 6, 1), "5.1.5"),
    ((36, 2), "6.0 DP"),
    ((36, 3), "6.0"),
    ((36, 4), "6.1"),
    ((36, 4, 3), "6.2"),
    ((36, 4, 4), "6.2.1"),
    ((36, 5), "6.2.2"),
    ((38, 2), "7.0"),
    ((38, 4), "7.1"),
    ((39, 2), "7.2"),
    ((39, 2, 1), "7.2.1"),
)
# The branches of Jetson Linux that the table covers, up to which release. A later update of a
# branch is told as newer than the table, and no JetPack is made up for it.
_NEWEST: Final[Mapping[int, Version]] = {
    32: (32, 7, 6),
    34: (34, 1, 1),
    35: (35, 6, 99),
    36: (36, 5, 99),
    38: (38, 4, 99),
    39: (39, 2, 99),
}


@dataclass(frozen=True, kw_only=True)
class ReleaseFact:
    """Something that holds from one release of Jetson Linux up to, not including, another.

    `until` is None where nothing newer is known to end it.
    """

    since: Version
    until: Version | None
    text: str
    hint: str
    source: str

    def holds_for(self, version: Version) -> bool:
        """Return whether it holds for a release."""
        return self.since <= version and (self.until is None or version < self.until)


FRAGMENTS_MEMORY: Final = ReleaseFact(
    since=(36, 4, 7),
    until=(36, 5),
    text="this release fragments device memory until the next boot",
    hint="mended in R36.5 (JetPack 6.2.2): upgrade, or reboot before a session",
    source="release notes of Jetson Linux 36.5; NVIDIA's forum on failing NvMap allocations",
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Jetson Linux release: R36 revision 4.3 is (36, 4, 3)."""

    version: tuple[int, ...]
    text: str

    @property
    def jetpack(self) -> str | None:
        """Return the JetPack it came with, or None for one that is not known here."""
        newest = _NEWEST.get(self.version[0])
        if newest is None or self.version > newest:
            return None
        known = [name for first, name in _JETPACKS if self._is_of(first)]
        return known[-1] if known else None

    def _is_of(self, first: Version) -> bool:
        return first[0] == self.version[0] and first <= self.version

    @property
    def why_no_jetpack(self) -> str | None:
        """Return why no JetPack is known for it; None where one is."""
        if self.jetpack is not None:
            return None
        if self.version > max(_NEWEST.values()):
            return f"R{self.text} is newer than the releases known here (up to R39.2)"
        newest = _NEWEST.get(self.version[0])
        if newest is not None and self.version > newest:
            return f"R{self.text} is newer than the R{self.version[0]} releases known here"
        return f"R{self.text} is no release of NVIDIA's JetPack archive"


def parse_release(text: str) -> Release | None:
    """Parse /etc/nv_tegra_release, or return None where it is not one."""
    match = re.search(r"# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    if not match:
        return None
    numbers = (match[1], *match[2].split("."))
    return Release(version=tuple(map(int, numbers)), text=".".join(numbers))

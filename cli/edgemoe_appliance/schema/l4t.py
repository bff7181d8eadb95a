"""Releases of Jetson Linux (L4T) and the JetPack that each belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Source: NVIDIA's JetPack archive, which names the Jetson Linux of each JetPack.
_JETPACKS: Final = {
    (35, 3, 1): "5.1.1",
    (35, 4, 1): "5.1.2",
    (35, 5, 0): "5.1.3",
    (35, 6, 0): "5.1.4",
    (36, 2): "6.0 DP",
    (36, 3): "6.0",
    (36, 4): "6.1",
    (36, 4, 3): "6.2",
    (36, 4, 4): "6.2.1",
}


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Jetson Linux release: R36 revision 4.3 is (36, 4, 3)."""

    version: tuple[int, ...]
    text: str

    @property
    def jetpack(self) -> str | None:
        """Return the JetPack it came with, or None for one that is not known here."""
        version = self.version
        while len(version) > 2 and version[-1] == 0 and version not in _JETPACKS:
            version = version[:-1]
        return _JETPACKS.get(version)


def parse_release(text: str) -> Release | None:
    """Parse /etc/nv_tegra_release, or return None where it is not one."""
    match = re.search(r"# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    if not match:
        return None
    numbers = (match[1], *match[2].split("."))
    return Release(version=tuple(map(int, numbers)), text=".".join(numbers))

"""Text read from files that may not be there, with the reason kept where one is not."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.measure.sysfs import SystemRoots, read_number

# More than any line that the kernel or a board's configuration shows.
_MAX_CHARACTERS = 300


class Absences:
    """Reads facts below a root and gathers why some could not be read, by fact."""

    def __init__(self, roots: SystemRoots) -> None:
        """Begin with nothing absent."""
        self.roots = roots
        self.reasons: dict[str, str] = {}

    def text(self, fact: str, *paths: str) -> str | None:
        """Return the text of the first file that has any; else the fact is absent."""
        tried: list[str] = []
        for path in paths:
            try:
                content = self.roots.below(path).read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                tried.append(f"/{path}: {error.strerror}")
                continue
            text = content.replace("\0", " ").strip()
            if text:
                return text
            tried.append(f"/{path} is empty")
        self.missing(fact, "; ".join(tried))
        return None

    def missing(self, fact: str, reason: str) -> None:
        """Say why a fact is absent."""
        self.reasons[fact] = reason


def line(text: str | None) -> str | None:
    """Return the first line of a text, cut to what a record can use."""
    return text.splitlines()[0].strip()[:_MAX_CHARACTERS] if text else None


def number(path: Path, scale: int = 1) -> int | None:
    """Return the number in a file times `scale`, or None where it has none or one below 0."""
    try:
        value = read_number(path)
    except (OSError, ValueError):
        return None
    return value * scale if value >= 0 else None

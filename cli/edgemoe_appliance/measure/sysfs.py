"""Where the kernel shows its sensors, and how one of its numbers is read again and again.

What lies below the root is read as it is, and nothing here chooses another root. `Absences` keeps
the reason where a file is not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.measure.procfs import ProcFile

# Longer than any number the kernel prints; int() refuses thousands of digits on its own terms.
_MAX_DIGITS = 20
# More than any line that the kernel or a board's configuration shows.
_MAX_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class SystemRoots:
    """The path that stands for `/`: where /sys and /usr are looked up. Nothing but a prefix."""

    root: Path = Path("/")

    def below(self, path: str) -> Path:
        """Return a path given without its leading slash (`sys/class/thermal`) below the root."""
        return self.root / path

    def found(self, pattern: str) -> tuple[Path, ...]:
        """Return the paths that match a pattern below the root, numbers in natural order."""
        return tuple(sorted(self.root.glob(pattern), key=_natural))


class NumberFile:
    """A file that holds one integer, kept open; `read` gives its present value."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError where it is not there or may not be read."""
        self.path = path
        self._file = ProcFile(path)

    def content(self) -> bytes:
        """Return the present content, to be parsed later. Raises OSError where the sensor fails."""
        return self._file.read()

    def read(self) -> int:
        """Return the number. Raises OSError where the sensor fails, ValueError for other text."""
        return parse_number(self.content())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_number(content: bytes) -> int:
    """Parse one integer. Raises ValueError for anything else."""
    text = content.strip()
    if not text.removeprefix(b"-").isdigit() or len(text) > _MAX_DIGITS:
        raise ValueError(f"not a number: {text[:40]!r}")
    return int(text)


def read_number(path: Path) -> int:
    """Return the number in a file. Raises OSError or ValueError."""
    return parse_number(path.read_bytes())


def read_text(path: Path) -> str | None:
    """Return the text of a file without surrounding space, or None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def open_all(paths: Iterable[Path]) -> tuple[NumberFile, ...]:
    """Open several files, all or none. Raises OSError."""
    files: list[NumberFile] = []
    try:
        for path in paths:
            files.append(NumberFile(path))
    except OSError:
        close_all(files)
        raise
    return tuple(files)


def close_all(files: Iterable[NumberFile]) -> None:
    """Close several files."""
    for file in files:
        file.close()


def _natural(path: Path) -> list[tuple[str, int]]:
    """Return a key that puts thermal_zone10 after thermal_zone9."""
    heads = [(part, part.rstrip("0123456789")) for part in path.parts]
    return [(head, int(part[len(head) :] or 0)) for part, head in heads]


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


def first_line(text: str | None) -> str | None:
    """Return the first line of a text, cut to what a record can use."""
    return text.splitlines()[0].strip()[:_MAX_CHARACTERS] if text else None


def read_amount(path: Path, scale: int = 1) -> int | None:
    """Return the number in a file times `scale`, or None where it has none or one below 0."""
    try:
        value = read_number(path)
    except (OSError, ValueError):
        return None
    return value * scale if value >= 0 else None

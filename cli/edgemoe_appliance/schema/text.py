"""Text of others as it may be shown, escaped where it is not printable; and values as text."""

from __future__ import annotations

import hashlib
import json


def printable(text: str, kept: str = "") -> str:
    """Return text of others as a terminal may be given it: what is not printable, escaped.

    That is whatever moves the cursor, changes colours, titles or the clipboard (C0, C1, ANSI and
    OSC sequences), or turns the order of what is read (bidirectional controls). `kept` are
    characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def on_one_line(text: object, limit: int = 120) -> str:
    """Return text of others as it may stand in a message: printable, one line, cut to `limit`."""
    given = str(text)
    shown = printable(given[:limit])
    return f"{shown}..." if len(given) > limit else shown


def first_line(said: object, limit: int = 200) -> str:
    """Return the first line of what another program says, printable and cut to `limit`.

    Further lines are advice on how to use that program.
    """
    lines = str(said).strip().splitlines()
    return on_one_line(lines[0].strip(), limit) if lines else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: 1 file, 2 mismatches."""
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{ending}"


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no spaces, equal for equal values."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_of(value: object) -> str:
    """Return the sha256 (hex) of the canonical JSON of a JSON-like value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()

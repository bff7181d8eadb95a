"""Reads what real engines printed; captured/README.md has the commands."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "captured"


def captured(name: str) -> str:
    return (_FOLDER / f"{name}.txt").read_text(encoding="utf-8", errors="replace")

"""How preparation tells a person what it is doing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Steps(Protocol):
    """Shows what is being prepared; a step gives a function that takes its share done (0-1)."""

    def step(self, title: str) -> AbstractContextManager[Callable[[float], None]]:
        """Begin a step."""

    def note(self, text: str) -> None:
        """Say something that the user should know."""

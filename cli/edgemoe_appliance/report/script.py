"""The page's script and the digest that its policy admits it by. The page works without it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

_NAME = "report.js"


@dataclass(frozen=True, kw_only=True)
class PageScript:
    """A script as it stands between its tags, and its source expression without quotes."""

    text: Markup
    digest: str


def read_script(folder: Path) -> PageScript:
    """Read the script; it is this room's own and holds nothing of a journal."""
    text = (folder / _NAME).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return PageScript(text=Markup(text), digest=f"sha256-{digest}")  # noqa: S704

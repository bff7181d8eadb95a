"""Where a bench keeps what it makes, below one root: the checkout, or the present folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.schema.choices import (
    IDENTIFIER_PATTERN,
    RuntimeKind,
    TwinRouting,
    TwinScale,
)
from edgemoe_appliance.schema.files import is_file, is_folder
from edgemoe_appliance.schema.resources import (
    CACHE,
    MODELS,
    WORK,
    resource_folder,
    session_names,
    sessions_folder,
    work_root,
)
from edgemoe_appliance.schema.text import digest_of, on_one_line

_CACHE_VARIABLE = "EDGEMOE_CACHE"
_SESSION_NAME: Final = re.compile(IDENTIFIER_PATTERN)
# Of a name that would be too long, as much is kept as leaves room for a digest of the whole.
_LONGEST, _KEPT = 64, 55
# Sessions that are told where one is not there.
_MOST_TOLD = 8


@dataclass(frozen=True, kw_only=True)
class Folders:
    """`cache` holds sources and builds and may be removed at any time."""

    cache: Path
    models: Path
    sessions: Path
    results: Path
    images: Path

    @property
    def roots(self) -> dict[str, Path]:
        """Return the folders that records name in place of paths."""
        return {CACHE: self.cache, MODELS: self.models, WORK: work_root()}

    def archive_of(self, session: str) -> Path:
        """Return where the archive of a session lies unless another name is given."""
        return self.results / f"{session}.tar"


def _images(root: Path) -> Path:
    """Return the folder of base images and locks; an installation begins with the shipped one."""
    own = root / "images"
    return own if (own / "bases.yaml").exists() else resource_folder("images")


def default_folders() -> Folders:
    """Return the folders; EDGEMOE_CACHE moves the cache, so that checkouts can share one."""
    root = work_root()
    return Folders(
        cache=Path(os.environ.get(_CACHE_VARIABLE) or root / ".cache"),
        models=root / "data" / "models",
        sessions=sessions_folder(),
        results=root / "results",
        images=_images(root),
    )


def require_session_name(name: str, what: str = "session") -> None:
    """Raise ConfigError where a name cannot be that of a session: it names a folder and files."""
    if not _SESSION_NAME.fullmatch(name):
        raise ConfigError(
            f"{on_one_line(repr(name), 80)} is not a {what} name",
            hint=f"use at most {_LONGEST} lower-case letters, digits, `.`, `_` and `-`, and begin "
            "with a letter or a digit",
        )


def find_session(name: str, folders: Folders) -> Path:
    """Return the folder of a session, named by folder or by name below data/raw.

    Raises ConfigError for what cannot be a name, RecordError where there is no such session.
    """
    for folder in (Path(name), folders.sessions / name):
        if name and is_folder(folder):
            return folder
    if name and is_file(Path(name)):
        raise ConfigError(
            "is a file, not a session",
            where=on_one_line(name),
            hint="name a session or its folder; verify and compare take archives",
        )
    require_session_name(name)
    raise RecordError(
        f"no such session: {name}", where=str(folders.sessions), hint=_known_sessions(folders)
    )


def _known_sessions(folders: Folders) -> str:
    """Return which sessions there are, the latest first."""
    names = session_names(folders.sessions)
    if not names:
        return "there is none yet: edgemoe-appliance demo measures one"
    more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
    return f"there are {', '.join(names[:_MOST_TOLD])}{more}"


def default_session(
    parts: Sequence[str],
    *,
    twins: TwinScale | None,
    runtime: RuntimeKind,
    pin: str | None = None,
    portable: bool = False,
    by_need: bool = False,
    routing: TwinRouting = TwinRouting.UNIFORM,
) -> str:
    """Return the name under which the same command finds its session again.

    Whatever makes another plan makes another name; `parts` say what is measured and where.
    """
    return session_name(
        (
            *parts,
            *([pin] if pin else []),
            *([f"{twins.value}-twins"] if twins else []),
            *([routing.value] if twins and routing is not TwinRouting.UNIFORM else []),
            *([runtime.value] if runtime is RuntimeKind.CONTAINER else []),
            *(["portable"] if portable else []),
            *(["by-need"] if by_need else []),
        )
    )


def session_name(parts: Sequence[str]) -> str:
    """Return a name for what has these parts; equal parts have equal names."""
    name = "-".join(parts)
    return name if len(name) <= _LONGEST else f"{name[:_KEPT]}-{digest_of(name)[:8]}"


def several_sessions(session: str, number: int) -> tuple[str, ...]:
    """Return the names of `number` sessions of one kind: the name itself where it is one."""
    return (session,) if number == 1 else tuple(f"{session}-{n}" for n in range(1, number + 1))

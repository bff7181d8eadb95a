"""Where the appliance's own files lie: in the checkout, or in the installed package."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.choices import IDENTIFIER_PATTERN, guessed_name

_PACKAGE = Path(__file__).resolve().parent.parent
_CHECKOUT = _PACKAGE.parent.parent
_WORK_VARIABLE = "EDGEMOE_WORK"
_CATALOGUE_VARIABLE = "EDGEMOE_CATALOGUE"
# What stands for a folder of this machine in records.
CACHE: Final = "CACHE"
MODELS: Final = "MODELS"
WORK: Final = "WORK"
# Below a configs folder: the studies, and which of them is meant where none is named.
STUDIES_FOLDER: Final = "studies"
DEFAULT_STUDY_FILE: Final = "studies.yaml"
# The one file that makes a folder a study.
PAPER_FILE: Final = "study.yaml"


def checkout_root() -> Path | None:
    """Return the root of the checkout this code runs from, or None when installed."""
    marks = (_CHECKOUT / "pyproject.toml", _CHECKOUT / "configs" / "engines.yaml")
    return _CHECKOUT if all(mark.is_file() for mark in marks) else None


def resource_folder(name: str) -> Path:
    """Return the folder `configs`, `report_templates`, `images` or `docker`.

    A checkout's own comes first, so that an edit there takes effect; else the copy that the
    wheel carries. Raises HostError where neither is there.
    """
    root = checkout_root()
    for candidate in ([root / name] if root else []) + [_PACKAGE / "_resources" / name]:
        if candidate.is_dir():
            return candidate
    raise HostError(f"the folder {name} is missing from this installation", hint="reinstall it")


def work_root() -> Path:
    """Return the folder below which data/ and results/ are written.

    EDGEMOE_WORK names it; else it is the checkout, else the present folder.
    """
    named = os.environ.get(_WORK_VARIABLE)
    return Path(named) if named else checkout_root() or Path.cwd()


def sessions_folder() -> Path:
    """Return the folder with a folder for each session."""
    return work_root() / "data" / "raw"


def fleets_folder() -> Path:
    """Return the folder with a folder for each fleet."""
    return work_root() / "data" / "fleets"


def catalogue_file(kind: str) -> Path:
    """Return where the user's own `models` or `devices` are kept, if anywhere."""
    folder = os.environ.get(_CATALOGUE_VARIABLE) or work_root() / "catalogue"
    return Path(folder) / f"{kind}.yaml"


def session_names(folder: Path) -> list[str]:
    """Return the names of the sessions below a folder, the latest first.

    A folder whose name no session can have is none: what measures in a container may make some.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [
            (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
            for entry in entries
            if re.fullmatch(IDENTIFIER_PATTERN, entry.name) and entry.is_dir(follow_symlinks=False)
        ]
        return [name for _, name in sorted(found, reverse=True)]
    return []


def study_names(configs: Path) -> list[str]:
    """Return the names of the studies of a configs folder."""
    folders = configs / STUDIES_FOLDER
    return sorted(path.name for path in folders.glob("*/") if (path / PAPER_FILE).is_file())


def named_study(name: str, configs: Path) -> Path:
    """Return the folder of a study, by name or path. Raises ConfigError where there is none."""
    known = study_names(configs)
    if name in known:
        return configs / STUDIES_FOLDER / name
    if name and Path(name).is_dir():
        if not any(Path(name).glob("*.yaml")):
            raise ConfigError(
                f"is no folder of a study: it holds no {PAPER_FILE}",
                where=name,
                hint=f"known by name: {', '.join(known) or 'none'}",
            )
        return Path(name)
    there_are = f"there are: {', '.join(known) or 'none'}; a folder is named by its path"
    raise ConfigError(
        f"unknown study {name!r}",
        where=str(configs / STUDIES_FOLDER),
        hint=f"{guessed_name(name, known)}{there_are}",
    )

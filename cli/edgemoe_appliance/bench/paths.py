"""Where a bench keeps what it makes, below one root: the checkout, or the present folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.schema.resources import resource_folder, work_root
from edgemoe_appliance.schema.roots import CACHE, MODELS, WORK

_CACHE_VARIABLE = "EDGEMOE_CACHE"


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
        sessions=root / "data" / "raw",
        results=root / "results",
        images=_images(root),
    )

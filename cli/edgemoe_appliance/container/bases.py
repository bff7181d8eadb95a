"""Base images and the lock: which image a build starts from, and what it made.

Decides from bases.yaml, the lock and the flags alone; pulling is done elsewhere. Never makes up a
digest: one that is not known is None until a pull has shown it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edgemoe_appliance.errors import ConfigError, DigestError, RecordError
from edgemoe_appliance.study.base import Frozen
from edgemoe_appliance.study.configs import Identifier
from edgemoe_appliance.study.files import write_atomically
from edgemoe_appliance.study.yamlfile import read_yaml, validate

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class BaseImage(Frozen):
    """One base image: a dated tag and, where somebody has looked it up, its digest."""

    tag: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9._/:-]*:[A-Za-z0-9._-]+$")
    digest: Digest | None


class StageBases(Frozen):
    """The base images of the two stages of one target."""

    build: BaseImage
    run: BaseImage


class BasesConfig(Frozen):
    """bases.yaml: the base images by target."""

    bases: dict[Identifier, StageBases]


class PinnedBy(str, Enum):
    """Who says that a base image is the right one."""

    BASES_FILE = "bases-file"
    FIRST_PULL = "first-pull"
    OVERRIDE = "override"  # the user, by a flag


class LockedBase(Frozen):
    """A base image as it was used.

    `digest` is the registry's; an override that never saw a registry has none, but like every
    base that was on the engine when it was used it has the digest of its config.
    """

    tag: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9._/:-]*$")
    digest: Digest | None
    pinned_by: PinnedBy
    config_sha256: Digest | None = None

    @property
    def reference(self) -> str:
        """Return what stands after FROM."""
        return f"{self.tag}@{self.digest}" if self.digest else self.tag


class LockedBases(Frozen):
    """The base images of both stages as they were used."""

    build: LockedBase
    run: LockedBase


class LockedImage(Frozen):
    """A built image: the digest of its config, its layers, and of the recipe it was made from."""

    config_sha256: Digest
    diff_ids: tuple[Digest, ...]
    recipe_sha256: str


class ImageLock(Frozen):
    """images/lock/TARGET.json: the pins of a target."""

    schema_version: Literal[1] = 1
    target: Identifier
    bases: LockedBases
    image: LockedImage | None


def read_bases(folder: Path) -> BasesConfig:
    """Read bases.yaml of an images folder. Raises ConfigError with file, line and key."""
    return validate(read_yaml(folder / "bases.yaml"), BasesConfig)


def lock_path(folder: Path, target_id: str) -> Path:
    """Return where the lock of a target lies in an images folder."""
    return folder / "lock" / f"{target_id}.json"


def read_lock(folder: Path, target_id: str) -> ImageLock | None:
    """Read the lock of a target, or return None where there is none yet.

    Raises RecordError where the file is damaged or foreign.
    """
    path = lock_path(folder, target_id)
    try:
        return ImageLock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RecordError(
            "not a lock of ours", where=str(path), hint="remove it and build again"
        ) from error


def write_lock(folder: Path, lock: ImageLock) -> Path:
    """Persist a lock and return its path."""
    path = lock_path(folder, lock.target)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(lock.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(path, content.encode())
    return path


def choose_base(
    wanted: BaseImage,
    *,
    known: LockedBase | None,
    override: str | None,
    locked: bool,
) -> LockedBase:
    """Return the base image to use; its digest is None where a pull has to show it first.

    `known` is what the lock says. Raises DigestError under `locked` where nothing pins it.
    """
    if override is not None:
        chosen = parse_override(override)
    elif wanted.digest is not None:
        chosen = LockedBase(tag=wanted.tag, digest=wanted.digest, pinned_by=PinnedBy.BASES_FILE)
    elif known is not None and known.tag == wanted.tag and known.digest is not None:
        chosen = known
    else:
        chosen = LockedBase(tag=wanted.tag, digest=None, pinned_by=PinnedBy.FIRST_PULL)
    if locked and chosen.digest is None:
        raise DigestError(
            f"the base image {chosen.tag} is not pinned to a digest",
            hint="build once without --locked to pin it on its first pull, or name it by digest",
        )
    return chosen


def parse_override(reference: str) -> LockedBase:
    """Return a base image that the user names, with its digest where the name holds one.

    Raises ConfigError where it cannot be the name of an image.
    """
    tag, _, digest = reference.partition("@")
    try:
        return LockedBase(tag=tag, digest=digest or None, pinned_by=PinnedBy.OVERRIDE)
    except ValidationError as error:
        raise ConfigError(
            f"{reference!r} is not the name of an image", hint="NAME:TAG or NAME:TAG@sha256:..."
        ) from error


def pin_bases(
    bases: LockedBases, pull: Callable[[str], str], say: Callable[[str], None]
) -> LockedBases:
    """Return the bases with digests: those without one are pulled and believed, and that is said.

    `pull` takes a tag and returns the digest that the registry gave. An override that the user
    named without a digest stays as it is: it may be an image that is on this machine only.
    """
    pulled: dict[str, LockedBase] = {}

    def pin(base: LockedBase) -> LockedBase:
        if base.digest is not None or base.pinned_by is PinnedBy.OVERRIDE:
            return base
        if base.tag not in pulled:
            digest = pull(base.tag)
            say(f"{base.tag} pinned to {digest} on first use: nobody else has vouched for it")
            pulled[base.tag] = base.model_copy(update={"digest": digest})
        return pulled[base.tag]

    return LockedBases(build=pin(bases.build), run=pin(bases.run))

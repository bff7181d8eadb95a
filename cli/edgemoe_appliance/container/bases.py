"""Base images and the lock: which image a build starts from, and what it made.

Decides from bases.yaml, the lock and the flags alone; pulling is done elsewhere. Never makes up a
digest: one that is not known is None until a pull has shown it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import Field, ValidationError

from edgemoe_appliance.errors import ConfigError, DigestError
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier
from edgemoe_appliance.schema.files import write_atomically
from edgemoe_appliance.schema.imagelock import (
    Digest,
    ImageLock,
    LockedBase,
    LockedBases,
    PinnedBy,
    lock_path,
)
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.yamlfile import read_yaml, validate


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


def read_bases(folder: Path) -> BasesConfig:
    """Read bases.yaml of an images folder. Raises ConfigError with file, line and key."""
    return validate(read_yaml(folder / "bases.yaml"), BasesConfig)


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

    `known` is what the lock says. Raises DigestError under `locked` where nothing pins it; an
    override that never saw a registry is pinned by the digest of its config in the lock.
    """
    if override is not None:
        chosen = parse_override(override)
    elif wanted.digest is not None:
        chosen = LockedBase(tag=wanted.tag, digest=wanted.digest, pinned_by=PinnedBy.BASES_FILE)
    elif known is not None and known.tag == wanted.tag and known.digest is not None:
        chosen = known
    else:
        chosen = LockedBase(tag=wanted.tag, digest=None, pinned_by=PinnedBy.FIRST_PULL)
    pinned_by_content = known is not None and known.tag == chosen.tag and known.config_sha256
    if locked and chosen.digest is None and not (override and pinned_by_content):
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


def pin_bases(bases: LockedBases, pull: Callable[[str], str], say: Say) -> LockedBases:
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

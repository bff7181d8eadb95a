"""The base images of a build on an engine: chosen, pinned, and pulled where they are not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.container.bases import choose_base, pin_bases, read_bases
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.registry import pull_image, split_tag
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.imagelock import ImageLock, LockedBase, LockedBases
from edgemoe_appliance.schema.streams import Say


@dataclass(frozen=True, kw_only=True)
class BaseChoice:
    """What a user says of base images: others in the place of the pinned ones, or locked ones."""

    build: str | None = None
    run: str | None = None
    locked: bool = False


def resolve_bases(
    engine: DockerEngine,
    target: str,
    choice: BaseChoice,
    lock: ImageLock | None,
    images: Path,
    *,
    say: Say,
) -> LockedBases:
    """Return the base images of a target with the digests of what they hold.

    One that is pinned to the digest in the lock need not be here for that: it holds the same.
    Raises ConfigError for a target without bases, DigestError for an unpinned one under `locked`.
    """
    config = read_bases(images).bases
    if target not in config:
        raise ConfigError(f"no base image for {target}", where=str(images / "bases.yaml"))
    wanted, known = config[target], lock.inputs.bases if lock else None
    chosen = LockedBases(
        build=choose_base(
            wanted.build,
            known=known.build if known else None,
            override=choice.build,
            locked=choice.locked,
        ),
        run=choose_base(
            wanted.run,
            known=known.run if known else None,
            override=choice.run,
            locked=choice.locked,
        ),
    )
    pinned = pin_bases(chosen, lambda tag: pull_base(engine, tag, say), say)
    return LockedBases(
        build=_with_content(engine, pinned.build, known.build if known else None, say),
        run=_with_content(engine, pinned.run, known.run if known else None, say),
    )


def _with_content(
    engine: DockerEngine, base: LockedBase, known: LockedBase | None, say: Say
) -> LockedBase:
    if known is not None and base.digest is not None and base.digest == known.digest:
        content = known.config_sha256
    else:
        content = require_base(engine, base, say)
    return base.model_copy(update={"config_sha256": content})


def require_base(engine: DockerEngine, base: LockedBase, say: Say) -> str:
    """Return the digest of a base's config, after pulling it where it is not there."""
    if read_identity(engine, base.reference) is None:
        pull_image(engine, base.reference, say)
    identity = read_identity(engine, base.reference)
    if identity is None:
        raise HostError(f"{base.reference} is not there after its pull", where=engine.host)
    return identity.config_sha256


def pull_base(engine: DockerEngine, tag: str, say: Say) -> str:
    """Pull an image by its tag and return the digest that the registry gave it."""
    pull_image(engine, tag, say)
    identity = read_identity(engine, tag)
    repository, _ = split_tag(tag)
    for known in identity.repo_digests if identity else ():
        name, _, digest = known.partition("@")
        if name == repository:
            return digest
    raise HostError(f"the registry gave no digest for {tag}", where=engine.host)

"""The base images of a build on an engine: chosen, pinned, and pulled where they are not there.

Those for another processor than the engine's machine has are run by an emulator while building.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.bases import choose_base, pin_bases, read_bases
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.registry import pull_image, split_tag
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.imagelock import ImageLock, LockedBase, LockedBases, PinnedBy
from edgemoe_appliance.schema.streams import Say

_NO_WORK: Final = "/bin/true"


@dataclass(frozen=True, kw_only=True)
class BaseChoice:
    """What a user says of base images: others in the place of the pinned ones, or locked ones.

    `architecture` is that of the image where it was asked for, as GOARCH.
    """

    build: str | None = None
    run: str | None = None
    locked: bool = False
    architecture: str | None = None


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
    architecture = choice.architecture
    pinned = pin_bases(chosen, lambda tag: pull_base(engine, tag, say, architecture), say)
    if lock is not None and lock.image.architecture != (architecture or lock.image.architecture):
        known = None  # one digest names images for several processors, whose contents differ

    def with_content(base: LockedBase, before: LockedBase | None) -> LockedBase:
        if before is not None and base.digest is not None and base.digest == before.digest:
            content = before.config_sha256
        else:
            content = require_base(engine, base, say, architecture).config_sha256
        return base.model_copy(update={"config_sha256": content})

    return LockedBases(
        build=with_content(pinned.build, known.build if known else None),
        run=with_content(pinned.run, known.run if known else None),
    )


def require_base(
    engine: DockerEngine, base: LockedBase, say: Say, architecture: str | None = None
) -> ImageIdentity:
    """Return a base as the engine has it, after pulling it where it is not there.

    One that the user names is taken as it is; any other is of the `architecture` that is asked for.
    Raises HostError where no registry gives it.
    """
    found = read_identity(engine, base.reference)
    if found is None or not _suits(found, base, architecture):
        pull_image(engine, base.reference, say, architecture)
        found = read_identity(engine, base.reference)
    if found is None:
        raise HostError(f"{base.reference} is not there after its pull", where=engine.host)
    if not _suits(found, base, architecture):
        raise HostError(
            f"{base.reference} is for {found.architecture}, not for {architecture}",
            where=engine.host,
            hint="name others with --base-image and --runtime-image",
        )
    return found


def _suits(found: ImageIdentity, base: LockedBase, architecture: str | None) -> bool:
    is_given = base.pinned_by is PinnedBy.OVERRIDE
    return is_given or architecture is None or found.architecture == architecture


def check_architectures(wanted: str | None, *, build: ImageIdentity, run: ImageIdentity) -> None:
    """Raise ConfigError where the bases are not both for the processor that the image is for.

    What the build stage installs for Python, and compiles, is for the processor of its base. It is
    that of the runtime's base where none is `wanted`.
    """
    wanted = wanted or run.architecture
    for base in (run, build):
        if base.architecture != wanted:
            raise ConfigError(
                f"{base.reference} is for {base.architecture}, the image is to be for {wanted}",
                hint="--base-image and --runtime-image are to be for the processor of --arch",
            )


def pull_base(engine: DockerEngine, tag: str, say: Say, architecture: str | None = None) -> str:
    """Pull an image by its tag and return the digest that the registry gave it."""
    pull_image(engine, tag, say, architecture)
    identity = read_identity(engine, tag)
    repository, _ = split_tag(tag)
    for known in identity.repo_digests if identity else ():
        name, _, digest = known.partition("@")
        if name == repository:
            return digest
    raise HostError(f"the registry gave no digest for {tag}", where=engine.host)


def require_emulation(engine: DockerEngine, base: ImageIdentity) -> None:
    """Raise HostError where the engine's machine cannot run the programs of a base image.

    Tried, not asked: only the kernel of the engine's machine knows which emulators it has.
    """
    import docker.errors  # noqa: PLC0415

    if base.architecture == engine.facts.image_architecture:
        return
    try:
        with engine.errors(f"run a program of {base.reference}"):
            engine.client.containers.run(
                base.image_id, entrypoint=[_NO_WORK], network_disabled=True, remove=True
            )
            return
    except HostError as error:
        if not isinstance(error.__cause__, (docker.errors.ContainerError, docker.errors.APIError)):
            raise
        raise HostError(
            f"{base.reference} is for {base.architecture}, and programs for it do not run on this "
            f"{engine.facts.architecture} machine",
            where=engine.host,
            hint="register an emulator with the kernel (Debian, Ubuntu: apt-get install "
            "qemu-user-static binfmt-support), or build on the board",
        ) from error

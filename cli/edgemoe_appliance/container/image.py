"""Building a measurement image: bases pinned, context sent, progress passed on, result locked.

An image whose recipe (files and arguments) is on the engine already is not built again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.bases import (
    ImageLock,
    LockedBase,
    LockedBases,
    choose_base,
    lock_path,
    pin_bases,
    read_bases,
    read_lock,
    write_lock,
)
from edgemoe_appliance.container.builders import Builder, BuildJob, Say, run_builder
from edgemoe_appliance.container.client import Engine
from edgemoe_appliance.container.context import BuildInputs, list_entries, recipe_digest
from edgemoe_appliance.container.identity import RECIPE_LABEL, ImageIdentity, read_identity
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.study.units import GIB

# A CMake flag that the build stage's shell can split at spaces without surprise.
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.,+=:/@%;-]*")
# nvcc and the larger C++ files of llama.cpp take up to this much each.
_COMPILER_BYTES: Final = 2 * GIB


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """What is to be built: the files, the flags for cmake, the labels and how it may be made.

    `base` and `runtime` stand in for the base images of bases.yaml where they are given.
    """

    target_id: str
    inputs: BuildInputs
    cmake: Mapping[str, str]
    labels: Mapping[str, str]
    base: str | None = None
    runtime: str | None = None
    locked: bool = False
    builder: Builder = Builder.AUTO


def image_tag(target_id: str) -> str:
    """Return the tag of a target's measurement image."""
    return f"edgemoe-appliance/{target_id}:built"


def build_image(
    engine: Engine,
    order: BuildOrder,
    images: Path,
    say: Say,
    on_output: Say = lambda _line: None,
) -> ImageIdentity:
    """Build the image of a target, or find it built, and lock it.

    `images` is the folder of bases.yaml and the locks; `say` gets what a person should know,
    `on_output` every line of the builder. Raises DigestError for an unpinned base
    under `locked`, HostError where the engine cannot build it, ConfigError for an odd flag.
    """
    bases = resolve_bases(engine, order, images, say)
    entries = list_entries(order.inputs)
    arguments = build_arguments(order, bases)
    recipe = recipe_digest(entries, {**arguments, **_contents(bases)})
    tag = image_tag(order.target_id)
    identity = read_identity(engine, tag)
    if identity is not None and identity.labels.get(RECIPE_LABEL) == recipe:
        say(f"{tag} is built from this recipe already")
    else:
        labels = {**order.labels, RECIPE_LABEL: recipe}
        arguments["BUILD_JOBS"] = str(_jobs(engine))
        job = BuildJob(entries=entries, tag=tag, arguments=arguments, labels=labels)
        run_builder(engine, order.builder, job, say, on_output)
        identity = read_identity(engine, tag)
    if identity is None:
        raise HostError(f"the builder ended without making {tag}", where=engine.host)
    _lock(images, ImageLock(target=order.target_id, bases=bases, image=identity.as_locked()), say)
    return identity


def _lock(images: Path, lock: ImageLock, say: Say) -> None:
    if read_lock(images, lock.target) != lock:
        write_lock(images, lock)
        say(f"locked in {lock_path(images, lock.target)}")


def _jobs(engine: Engine) -> int:
    """Return how many compilers the engine's machine has cores and memory for."""
    return max(1, min(engine.facts.cores, engine.facts.memory_bytes // _COMPILER_BYTES))


def build_arguments(order: BuildOrder, bases: LockedBases) -> dict[str, str]:
    """Return the build arguments that decide what the image holds.

    Raises ConfigError for a flag that a shell would not pass on as it is.
    """
    for name, value in order.cmake.items():
        if not _PLAIN_VALUE.fullmatch(value):
            raise ConfigError(
                f"{name}: {value!r} cannot be passed to the image build",
                hint="no spaces, quotes or shell signs",
            )
    return {
        "BASE_IMAGE": bases.build.reference,
        "RUNTIME_IMAGE": bases.run.reference,
        "CMAKE_FLAGS": " ".join(f"-D{name}={value}" for name, value in order.cmake.items()),
    }


def resolve_bases(engine: Engine, order: BuildOrder, images: Path, say: Say) -> LockedBases:
    """Return the base images with their digests, all of them present on the engine."""
    config = read_bases(images).bases
    if order.target_id not in config:
        raise ConfigError(f"no base image for {order.target_id}", where=str(images / "bases.yaml"))
    wanted, lock = config[order.target_id], read_lock(images, order.target_id)
    chosen = LockedBases(
        build=choose_base(
            wanted.build,
            known=lock.bases.build if lock else None,
            override=order.base,
            locked=order.locked,
        ),
        run=choose_base(
            wanted.run,
            known=lock.bases.run if lock else None,
            override=order.runtime or order.base,
            locked=order.locked,
        ),
    )
    pinned = pin_bases(chosen, lambda tag: pull_base(engine, tag, say), say)
    return LockedBases(
        build=_present_base(engine, pinned.build, say), run=_present_base(engine, pinned.run, say)
    )


def _present_base(engine: Engine, base: LockedBase, say: Say) -> LockedBase:
    """Return a base with the digest of its config, after pulling it where it is not there."""
    if read_identity(engine, base.reference) is None:
        _pull(engine, base.reference, say)
    identity = read_identity(engine, base.reference)
    if identity is None:
        raise HostError(f"{base.reference} is not there after its pull", where=engine.host)
    return base.model_copy(update={"config_sha256": identity.config_sha256})


def _contents(bases: LockedBases) -> dict[str, str]:
    """Return what the bases hold: a tag of this machine may have been moved to another image."""
    return {
        "base": bases.build.config_sha256 or "",
        "runtime": bases.run.config_sha256 or "",
    }


def pull_base(engine: Engine, tag: str, say: Say) -> str:
    """Pull an image by its tag and return the digest that the registry gave it."""
    _pull(engine, tag, say)
    identity = read_identity(engine, tag)
    repository = tag.rpartition(":")[0]
    for known in identity.repo_digests if identity else ():
        name, _, digest = known.partition("@")
        if name == repository:
            return digest
    raise HostError(f"the registry gave no digest for {tag}", where=engine.host)


def _pull(engine: Engine, reference: str, say: Say) -> None:
    name, _, digest = reference.partition("@")
    repository, _, tag = name.rpartition(":")
    say(f"pulling {reference}")
    with engine.errors(f"pull {reference}"):
        stream = engine.api.pull(repository, tag=digest or tag, stream=True, decode=True)
        for entry in stream:
            if "error" in entry:
                raise HostError(
                    f"cannot pull {reference}: {entry['error']}",
                    where=engine.host,
                    hint="name an image that is there with --base-image",
                )

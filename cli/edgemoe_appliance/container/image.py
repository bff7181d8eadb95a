"""Building a measurement image: bases pinned, context sent, progress passed on, result locked.

An image whose recipe (files and arguments) is on the engine already is not built again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.basepull import (
    BaseChoice,
    check_architectures,
    require_base,
    require_emulation,
    resolve_bases,
)
from edgemoe_appliance.container.bases import write_lock
from edgemoe_appliance.container.builders import Builder, BuildJob, run_builder
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import (
    BuildInputs,
    ContextEntry,
    list_entries,
    part_digests,
    recipe_digest,
)
from edgemoe_appliance.container.identity import RECIPE_LABEL, ImageIdentity, read_identity
from edgemoe_appliance.container.image_files import read_engines
from edgemoe_appliance.container.locking import (
    describe_image,
    refuse_differences,
    renew_lock,
    require_lock,
)
from edgemoe_appliance.container.normalised_config import SOURCE_DATE_EPOCH, settle_image
from edgemoe_appliance.container.registry import pull_locked, push_image
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.imagelock import (
    BASE_ARGUMENTS,
    ImageInputs,
    ImageLock,
    LockedBases,
    compare_inputs,
    compare_results,
    lock_path,
    read_lock,
)
from edgemoe_appliance.schema.plan import EngineBuild
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.units import GIB

# A CMake flag that the build stage's shell can split at spaces without surprise.
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.,+=:/@%;-]*")
# nvcc and the larger C++ files of llama.cpp take up to this much each.
_COMPILER_BYTES: Final = 2 * GIB


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """What is to be built: the files, the flags for cmake, the labels and how it may be made.

    `base` and `runtime` stand in for the base images of bases.yaml where they are given;
    `architecture` is that of the image, as GOARCH, where bases or engine do not decide it.
    """

    target_id: str
    inputs: BuildInputs
    cmake: Mapping[str, str]
    labels: Mapping[str, str]
    base: str | None = None
    runtime: str | None = None
    architecture: str | None = None
    locked: bool = False
    pull: bool = False  # the locked image, from where it was published
    anew: bool = False  # though it is built already, and without the builder's cache
    network: str | None = None  # of the build's steps, where the engine's bridge does not work
    builder: Builder = Builder.AUTO


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that is on the engine, the engines in it by pin, and its lock."""

    identity: ImageIdentity
    engines: Mapping[str, EngineBuild]
    lock: ImageLock


def image_tag(target_id: str) -> str:
    """Return the tag of a target's measurement image."""
    return f"edgemoe-appliance/{target_id}:built"


def build_image(
    engine: DockerEngine,
    order: BuildOrder,
    images: Path,
    say: Say,
    on_output: Say = lambda _line: None,
) -> BuiltImage:
    """Build the image of a target, or find it built, and lock it or compare it with its lock.

    `images` is the folder of bases.yaml and the locks; `say` gets what a person should know, each
    difference under `locked` among it, `on_output` every line of the builder. Raises DigestError
    under `locked` for an unpinned base or where anything differs, HostError where the engine
    cannot build it, ConfigError for an odd flag.
    """
    target, path = order.target_id, lock_path(images, order.target_id)
    known = read_lock(images, target)
    is_held = order.locked or order.pull
    choice = BaseChoice(
        build=order.base, run=order.runtime, locked=is_held, architecture=order.architecture
    )
    bases = resolve_bases(engine, target, choice, known, images, say=say)
    entries = list_entries(order.inputs)
    inputs = collect_inputs(order, bases, entries)
    if is_held:
        locked = require_lock(known, images, target)
        refuse_differences(compare_inputs(locked.inputs, inputs), path, say)
    if order.pull:
        builder = None
        pull_locked(engine, locked, image_tag(target), say)
    else:
        builder = _make(engine, order, entries, inputs, say=say, on_output=on_output)
    identity = _require_image(engine, image_tag(target))
    engines = read_engines(engine, identity)
    found = describe_image(
        engine, identity, engines, inputs, target=target, known=known, builder=builder
    )
    if is_held:
        refuse_differences(compare_results(locked, found), path, say)
    else:
        locked = renew_lock(images, known, found, say)
    return BuiltImage(identity=identity, engines=engines, lock=locked)


def publish_image(
    engine: DockerEngine, built: BuiltImage, repository: str, images: Path, say: Say
) -> ImageLock:
    """Push an image and return its lock, in which it now stands where to pull it from."""
    published = push_image(engine, built.identity, repository, say)
    others = tuple(known for known in built.lock.published if known.repository != repository)
    lock = built.lock.model_copy(update={"published": (*others, published)})
    if lock != built.lock:
        write_lock(images, lock)
    say(f"{published.reference} stands in {lock_path(images, lock.target)}")
    return lock


def collect_inputs(
    order: BuildOrder, bases: LockedBases, entries: list[ContextEntry]
) -> ImageInputs:
    """Return what the image of an order is made from. Raises ConfigError for an odd flag."""
    arguments = build_arguments(order, bases)
    context = part_digests(entries)
    # A tag of this machine may have been moved to another image: what bases hold counts.
    contents = {"base": bases.build.content, "runtime": bases.run.content}
    given = {name: arguments[name] for name in arguments if name not in BASE_ARGUMENTS}
    return ImageInputs(
        bases=bases,
        arguments=arguments,
        context=context,
        recipe_sha256=recipe_digest(context, {**given, **contents}),
    )


def _make(
    engine: DockerEngine,
    order: BuildOrder,
    entries: list[ContextEntry],
    inputs: ImageInputs,
    *,
    say: Say,
    on_output: Say,
) -> str | None:
    """Build an image and return who built it, or None where it is there already."""
    tag = image_tag(order.target_id)
    present = read_identity(engine, tag)
    if (
        present is not None
        and present.labels.get(RECIPE_LABEL) == inputs.recipe_sha256
        and not order.anew
    ):
        say(f"{tag} is built from this recipe already")
        return None
    given = (inputs.bases.build, inputs.bases.run)
    bases = [require_base(engine, base, say, order.architecture) for base in given]
    check_architectures(order.architecture, build=bases[0], run=bases[1])
    require_emulation(engine, bases[1])
    job = BuildJob(
        entries=entries,
        tag=tag,
        arguments={**inputs.arguments, "BUILD_JOBS": str(_jobs(engine))},
        labels={**order.labels, RECIPE_LABEL: inputs.recipe_sha256},
        anew=order.anew,
        network=order.network,
        architecture=_foreign(engine, bases[1]),
    )
    builder = run_builder(engine, order.builder, job, say, on_output)
    settle_image(engine, tag)
    return builder


def _foreign(engine: DockerEngine, base: ImageIdentity) -> str | None:
    """Return the architecture of a base where the engine's machine has another."""
    own = engine.facts.image_architecture
    return base.architecture if base.architecture != own else None


def _require_image(engine: DockerEngine, tag: str) -> ImageIdentity:
    identity = read_identity(engine, tag)
    if identity is None:
        raise HostError(f"the builder ended without making {tag}", where=engine.host)
    return identity


def _jobs(engine: DockerEngine) -> int:
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
        "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH),
    }

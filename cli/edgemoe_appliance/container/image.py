"""Building a measurement image: bases pinned, context sent, progress passed on, result locked.

An image whose recipe (files and arguments) is on the engine already is not built again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

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
from edgemoe_appliance.container.client import Engine
from edgemoe_appliance.container.context import (
    BuildInputs,
    list_entries,
    recipe_digest,
    write_context,
)
from edgemoe_appliance.container.identity import RECIPE_LABEL, ImageIdentity, read_identity
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.study.units import GIB

Say = Callable[[str], None]
# A CMake flag that the build stage's shell can split at spaces without surprise.
_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_.,+=:/@%;-]*")
# nvcc and the larger C++ files of llama.cpp take up to this much each.
_COMPILER_BYTES: Final = 2 * GIB


class Builder(str, Enum):
    """Which of the engine's builders makes the image."""

    AUTO = "auto"  # BuildKit where a client offers it, else the classic one
    BUILDKIT = "buildkit"
    CLASSIC = "classic"


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
        with tempfile.TemporaryFile() as context:
            write_context(entries, context)
            context.seek(0)
            _build(engine, order.builder, say, on_output)(context, tag, arguments, labels)
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


_Build = Callable[[Any, str, Mapping[str, str], Mapping[str, str]], None]


def _build(engine: Engine, builder: Builder, say: Say, on_output: Say) -> _Build:
    cli = None if builder is Builder.CLASSIC else find_buildkit_client()
    if builder is Builder.BUILDKIT and cli is None:
        raise HostError(
            "no docker client with BuildKit on PATH",
            hint="install docker-buildx, or build with the classic builder",
        )
    if cli is not None:
        say(f"building with BuildKit through {cli}")
        return lambda *given: _build_with_buildkit(engine, cli, on_output, *given)
    say("building with the engine's classic builder")
    return lambda *given: _build_classic(engine, on_output, *given)


def _build_classic(
    engine: Engine,
    on_output: Say,
    context: Any,
    tag: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
) -> None:
    with engine.errors(f"build {tag}"):
        stream = engine.api.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            buildargs=dict(arguments),
            labels=dict(labels),
            rm=True,
            forcerm=True,
            decode=True,
        )
        for entry in stream:
            for line in str(entry.get("stream", "")).splitlines():
                on_output(line)
            if "error" in entry:
                raise HostError(f"cannot build {tag}: {entry['error']}", where=engine.host)


def _build_with_buildkit(
    engine: Engine,
    cli: str,
    on_output: Say,
    context: Any,
    tag: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
) -> None:
    command = [cli, "build", "--progress=plain", "--tag", tag]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in labels.items():
        command += ["--label", f"{name}={value}"]
    last = ""
    with subprocess.Popen(
        [*command, "-"],
        stdin=context,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **_BUILDKIT_ENVIRONMENT, "DOCKER_HOST": engine.host},
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            on_output(line.rstrip("\n"))
    if process.returncode != 0:
        raise HostError(f"cannot build {tag}: {last}", where=engine.host)


# The engine's own builder, not one in a container of its own, which would not see local images;
# and no attestations, which would give every build another digest.
_BUILDKIT_ENVIRONMENT: Final = {
    "DOCKER_BUILDKIT": "1",
    "BUILDX_BUILDER": "default",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}


def find_buildkit_client(path: str | None = None) -> str | None:
    """Return a docker client on PATH that can use BuildKit, or None.

    Before 23.0 it is built in; since then the client needs its buildx plugin.
    """
    for folder in (path or os.environ.get("PATH", "")).split(os.pathsep):
        client = shutil.which("docker", path=folder)
        if client is not None and _has_buildkit(client):
            return client
    return None


def _has_buildkit(client: str) -> bool:
    version = _output([client, "--version"])
    major = re.search(r"version (\d+)\.", version)
    if major is not None and int(major[1]) < 23:
        return True
    return bool(_output([client, "buildx", "version"]))


def _output(command: list[str]) -> str:
    """Return what a short command prints, or nothing where it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""

"""Where measuring takes place: natively on this machine, or in a container of an engine.

Each gives the engines that it can run, and a launcher for a plan that uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from edgemoe_appliance import __version__
from edgemoe_appliance.bench.launcher import Launcher, NativeLauncher
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.progress import Steps
from edgemoe_appliance.bench.quantising import Workshop
from edgemoe_appliance.bench.trial import require_run
from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.context import usual_inputs
from edgemoe_appliance.container.image import (
    BuildOrder,
    BuiltImage,
    build_image,
    publish_image,
)
from edgemoe_appliance.container.launch import RENDER_NODES, BoardFiles, RenderNode
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.engine.build import BuildProgress, build_engine
from edgemoe_appliance.engine.probe_build import build_probe
from edgemoe_appliance.engine.source import PreparedSource, choose_pin, read_architectures
from edgemoe_appliance.engine.toolchain import portable_flags
from edgemoe_appliance.engine.tools import require_tool
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.models.ggml_types import GgmlType, read_type_table
from edgemoe_appliance.schema.choices import ImageArchitecture, RuntimeKind
from edgemoe_appliance.schema.configs import (
    Backend,
    Configs,
    ContainerProfile,
    Target,
    require_container,
)
from edgemoe_appliance.schema.hardware import POWER_MODE_FILE, POWER_MODES_FILE
from edgemoe_appliance.schema.plan import EngineBuild, ProbeFacts

_COMPILER = "c++"
# What makes files runs on this machine alone; with the flags of a native engine it is that build.
_OF_THIS_PROCESSOR = {"GGML_NATIVE": "ON"}


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How an image may be had: on other bases, only as locked, built anew, or pulled.

    It is pulled from where its lock says that it was published; `push` is where to publish it,
    `network` what the steps of a build use in place of the engine's bridge, `architecture` that of
    the machine it is for.
    """

    base: str | None = None
    runtime: str | None = None
    locked: bool = False
    anew: bool = False
    pull: bool = False
    push: str | None = None
    network: str | None = None
    architecture: ImageArchitecture | None = None

    def architecture_for(self, profile: ContainerProfile) -> str | None:
        """Return the architecture of an image: as asked for, as its base has it, or the target's.

        None leaves it to the base that the user names, or to the engine.
        """
        if self.architecture is None and self.runtime is not None:
            return None
        chosen = self.architecture or profile.architecture
        return chosen.value if chosen else None


@dataclass(frozen=True, kw_only=True)
class Supply:
    """What a runtime gives to a plan; the engine of the session's own pin comes first.

    `tensor_types` are those that the source of each pin knows, by number, `architectures` the names
    of those of models, empty where it does not tell; `workshop` makes files
    of fewer bits with the session's own pin, on this host, wherever measuring takes place.
    """

    kind: Literal["native", "container"]
    engines: dict[str, EngineBuild]
    image: str | None
    launcher: Launcher
    tensor_types: Mapping[str, Mapping[int, GgmlType]] = field(default_factory=dict)
    architectures: Mapping[str, frozenset[str]] = field(default_factory=dict)
    workshop: Workshop | None = None


@dataclass(frozen=True, kw_only=True)
class EngineRequest:
    """The engines that a plan needs; a pin that is None is the default one with its fallback.

    `has_tools` asks for the engine's tools that quantise models and judge their answers.
    """

    target_id: str
    pins: Sequence[str | None]
    is_probed: bool = False
    has_tools: bool = False


class Runtime(Protocol):
    """A way of measuring that has been chosen."""

    def supply(self, configs: Configs, wanted: EngineRequest, steps: Steps) -> Supply:
        """Build or find the engines."""


class NativeRuntime:
    """Engines built on this machine and run as its processes."""

    def __init__(self, folders: Folders, *, portable: bool = False) -> None:
        """Keep the folders; `portable` engines need nothing that only some processors have."""
        self._folders = folders
        self._portable = portable

    def supply(self, configs: Configs, wanted: EngineRequest, steps: Steps) -> Supply:
        """Build what is not built yet, the routing probe only where it is wanted.

        Raises HostError where an engine was built and does not run.
        """
        target = configs.target(wanted.target_id)
        sources = obtain_sources(configs, wanted.pins, self._folders, steps)
        builds = [
            self._build(source, target, steps, has_tools=wanted.has_tools) for source in sources
        ]
        for build in builds:
            with steps.step(f"llama.cpp {build.pin}: first run"):
                note = require_run(build, configs, target, self._folders)
            if note:
                steps.note(f"llama.cpp {build.pin}: {note}")
        if wanted.is_probed:
            builds = [
                self._probed(build, source, steps)
                for build, source in zip(builds, sources, strict=True)
            ]
        return Supply(
            kind="native",
            engines={build.pin: build for build in builds},
            tensor_types={source.pin: read_type_table(source.folder) for source in sources},
            architectures={source.pin: read_architectures(source.folder) for source in sources},
            image=None,
            launcher=NativeLauncher(),
            workshop=open_workshop(sources[0], self._folders, steps, lambda: builds[0])
            if wanted.has_tools
            else None,
        )

    def _build(
        self, source: PreparedSource, target: Target, steps: Steps, *, has_tools: bool
    ) -> EngineBuild:
        with steps.step(f"llama.cpp {source.pin}: build") as on_share:

            def on_progress(progress: BuildProgress) -> None:
                if progress.percent is not None:
                    on_share(progress.percent / 100)

            cmake = portable_flags(target.cmake) if self._portable else target.cmake
            return build_engine(
                source,
                self._folders.cache,
                cmake=cmake,
                with_tools=has_tools,
                on_progress=on_progress,
            )

    def _probed(self, build: EngineBuild, source: PreparedSource, steps: Steps) -> EngineBuild:
        with steps.step(f"llama.cpp {build.pin}: routing probe"):
            return with_probe(build, source, self._folders.cache)


def open_workshop(
    source: PreparedSource,
    folders: Folders,
    steps: Steps,
    build: Callable[[], EngineBuild] | None = None,
) -> Workshop:
    """Return what makes files of fewer bits with a pin; by default it is built for this processor.

    Nothing is built before a file has to be made.
    """

    def built() -> EngineBuild:
        with steps.step(f"llama.cpp {source.pin}: build of its tools on this host"):
            return build_engine(source, folders.cache, cmake=_OF_THIS_PROCESSOR, with_tools=True)

    return Workshop(
        pin=source.pin,
        pin_sha256=source.sha256,
        build=build or built,
        folders=folders,
        steps=steps,
    )


def with_probe(build: EngineBuild, source: PreparedSource, cache: Path) -> EngineBuild:
    """Return a native build with its routing probe, compiled now or found in the cache.

    Raises HostError where there is no compiler, or this engine cannot be probed.
    """
    compiler = str(require_tool(_COMPILER, "g++"))
    probe = build_probe(source.folder, Path(build.binary).parent, cache / "probes", compiler)
    facts = ProbeFacts(
        path=str(probe.library.resolve()), sha256=probe.sha256, build_key=probe.description.key
    )
    return build.model_copy(update={"probe": facts})


class ContainerRuntime:
    """Engines inside an image, run in a container of least privilege."""

    def __init__(self, engine: DockerEngine, folders: Folders, options: ImageOptions) -> None:
        """Keep an open connection to a Docker engine."""
        self._engine = engine
        self._folders = folders
        self._options = options

    def supply(self, configs: Configs, wanted: EngineRequest, steps: Steps) -> Supply:
        """Build the image where it is not there, and compare it with its lock.

        An image always holds the routing probe and the tools of each of its engines.
        """
        target_id = wanted.target_id
        target = configs.target(target_id)
        profile = require_container(target_id, target)
        render_nodes = find_render_nodes(self._engine, target)
        sources = obtain_sources(configs, wanted.pins, self._folders, steps)
        built = self._image(target_id, target, profile, sources, steps)
        board = find_board_files(self._engine) if target.is_jetson else None
        return Supply(
            kind="container",
            engines={
                source.pin: _as_wanted(built.engines[source.pin], wanted) for source in sources
            },
            tensor_types={source.pin: read_type_table(source.folder) for source in sources},
            architectures={source.pin: read_architectures(source.folder) for source in sources},
            image=built.identity.config_sha256,
            launcher=ContainerLauncher(
                engine=self._engine,
                image=built.identity,
                say=steps.note,
                board=board,
                render_nodes=render_nodes,
            ),
            workshop=open_workshop(sources[0], self._folders, steps) if wanted.has_tools else None,
        )

    def _image(
        self,
        target_id: str,
        target: Target,
        profile: ContainerProfile,
        sources: Sequence[PreparedSource],
        steps: Steps,
    ) -> BuiltImage:
        order = BuildOrder(
            target_id=target_id,
            inputs=usual_inputs(profile, sources, os.environ),
            cmake={**target.cmake, **profile.cmake},
            labels={"org.opencontainers.image.version": __version__},
            base=self._options.base,
            runtime=self._options.runtime,
            locked=self._options.locked,
            anew=self._options.anew,
            pull=self._options.pull,
            network=self._options.network,
            architecture=self._options.architecture_for(profile),
        )
        images = self._folders.images
        log = self._folders.cache / "images" / f"{target_id}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        steps.note(f"image for {target_id}: the builder's output goes to {log}")
        with steps.step(f"image for {target_id}"), log.open("w") as output:

            def on_output(line: str) -> None:
                output.write(line + "\n")

            built = build_image(self._engine, order, images, steps.note, on_output)
        if self._options.push is not None:
            publish_image(self._engine, built, self._options.push, images, steps.note)
        return built


def _as_wanted(build: EngineBuild, wanted: EngineRequest) -> EngineBuild:
    """Return a build without the tools that a plan does not use: they are no part of it."""
    return build if wanted.has_tools else build.model_copy(update={"tools_sha256": {}})


@contextmanager
def open_runtime(
    kind: RuntimeKind,
    folders: Folders,
    options: ImageOptions,
    docker_host: str | None,
    *,
    portable: bool = False,
) -> Iterator[Runtime]:
    """Give a runtime for as long as the context is open.

    Raises HostError where no Docker engine answers, ConfigError for a container of a `portable`
    engine: all of theirs are, and for another architecture without a container.
    """
    if kind is RuntimeKind.NATIVE and options.architecture is not None:
        raise ConfigError(
            "--arch is of an image: bare engines are built on the machine that runs them",
            hint="add --runtime container",
        )
    if kind is RuntimeKind.NATIVE:
        yield NativeRuntime(folders, portable=portable)
        return
    if portable:
        raise ConfigError(
            "engines in images are portable already", hint="leave out --portable or --runtime"
        )
    with open_engine(docker_host) as engine:
        yield ContainerRuntime(engine, folders, options)


def find_board_files(engine: DockerEngine) -> BoardFiles:
    """Return the files of a board; those of its power mode where they are seen to be there."""

    def present(path: str) -> str | None:
        return path if engine.shares_files and Path(path).is_file() else None

    return BoardFiles(power_mode=present(POWER_MODE_FILE), power_modes=present(POWER_MODES_FILE))


def find_render_nodes(
    engine: DockerEngine, target: Target, root: Path = Path("/")
) -> tuple[RenderNode, ...]:
    """Return the GPU's device nodes that a Vulkan target needs; none for other targets.

    Raises HostError where the machine has none, and for an engine elsewhere: which nodes and groups
    it has cannot be seen.
    """
    if target.backend is not Backend.VULKAN:
        return ()
    if not engine.shares_files:
        raise HostError(
            "the GPU's device nodes of another machine cannot be seen from here",
            where=engine.host,
            hint="run the bench on that machine",
        )
    nodes = sorted(root.glob(RENDER_NODES))
    if not nodes:
        raise HostError(
            f"this machine has no GPU to let into a container: no /{RENDER_NODES}",
            hint="doctor --target vulkan tells what it has; a driver that computes on the "
            "processor works with --runtime native alone",
        )
    return tuple(
        RenderNode(path=f"/{node.relative_to(root)}", gid=node.stat().st_gid) for node in nodes
    )


def obtain_sources(
    configs: Configs, pins: Sequence[str | None], folders: Folders, steps: Steps
) -> list[PreparedSource]:
    """Return the verified sources of pins, each once, in order."""
    sources: dict[str, PreparedSource] = {}
    for pin in pins:
        with steps.step(f"llama.cpp {pin or 'by default'}: source"):
            source = choose_pin(configs.engines, folders.cache, pin)
        if source.pin not in sources:
            steps.note(f"llama.cpp: {source.why}")
        sources.setdefault(source.pin, source)
    return list(sources.values())

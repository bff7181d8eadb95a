"""`build`: llama.cpp for a target, bare or in an image."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import TerminalSteps, say
from edgemoe_appliance.app.options import (
    BaseOption,
    BuildNetworkOption,
    DevicesOption,
    DockerHostOption,
    LockedOption,
    PinOption,
    PortableOption,
    RuntimeImageOption,
    RuntimeOption,
    TargetOption,
)
from edgemoe_appliance.schema.choices import ImageArchitecture, RuntimeKind


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(build)


def build(
    target: TargetOption = "host",
    pin: PinOption = None,
    portable: PortableOption = False,
    devices: DevicesOption = None,
    runtime: RuntimeOption = RuntimeKind.NATIVE,
    docker_host: DockerHostOption = None,
    base_image: BaseOption = None,
    runtime_image: RuntimeImageOption = None,
    build_network: BuildNetworkOption = None,
    arch: Annotated[
        ImageArchitecture | None,
        typer.Option(
            help="Processor that the image is for; another one's is emulated while building.  "
            "(default: the target's, else the engine's)"
        ),
    ] = None,
    locked: LockedOption = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Build the image again, without the builder's cache.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Pull the locked image from where it was published.")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(help="Push the image to HOST:PORT/NAME and lock its digest there."),
    ] = None,
) -> None:
    """Build llama.cpp by pin with a target's flags; with --runtime container, the image too."""
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.bench.runtime import EngineRequest, ImageOptions, open_runtime
    from edgemoe_appliance.schema.configs import find_catalogue, read_configs
    from edgemoe_appliance.schema.resources import resource_folder

    configs = read_configs(resource_folder("configs"), find_catalogue(devices=devices))
    options = ImageOptions(
        base=base_image,
        runtime=runtime_image,
        locked=locked,
        anew=anew,
        pull=pull,
        push=push,
        network=build_network,
        architecture=arch,
    )
    with open_runtime(
        runtime, default_folders(), options, docker_host, portable=portable
    ) as opened:
        supply = opened.supply(
            configs, EngineRequest(target_id=target, pins=[pin]), TerminalSteps()
        )
    if supply.image is not None:
        say(f"image {supply.image}")
    for engine in supply.engines.values():
        say(f"{engine.pin}: {engine.binary}  sha256 {engine.binary_sha256}")

"""`build`: llama.cpp for a target."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemoe_appliance.app.console import TerminalSteps, say
from edgemoe_appliance.bench.folders import default_folders
from edgemoe_appliance.bench.prepare import obtain_engine
from edgemoe_appliance.study.configs import read_configs
from edgemoe_appliance.study.resources import resource_folder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(build)


def build(
    target: Annotated[str, typer.Option(help="A target of devices.yaml.")] = "host",
    pin: Annotated[str | None, typer.Option(help="A pin of engines.yaml.")] = None,
) -> None:
    """Build llama.cpp by pin with a target's flags; a build that is there is checked and kept."""
    configs = read_configs(resource_folder("configs"))
    profile = configs.target(target)
    engine = obtain_engine(configs, profile, pin, default_folders(), TerminalSteps())
    say(f"{engine.binary}  sha256 {engine.binary_sha256}")

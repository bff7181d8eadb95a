"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from edgemoe_appliance.bench.runtime import RuntimeKind

RuntimeOption = Annotated[
    RuntimeKind, typer.Option(help="Measure bare on this machine, or in a container.")
]
DockerHostOption = Annotated[
    str | None,
    typer.Option(help="Address of the Docker engine, as ssh://user@board (default: DOCKER_HOST)."),
]
BaseOption = Annotated[
    str | None, typer.Option(help="Base image of the build stage, in place of the pinned one.")
]
RuntimeImageOption = Annotated[
    str | None, typer.Option(help="Base image of the runtime stage, in place of the pinned one.")
]
LockedOption = Annotated[
    bool, typer.Option("--locked", help="Refuse base images whose digest is not pinned.")
]

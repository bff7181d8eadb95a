"""`measure`: the inner program, here as a command of the outer one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgemoe_appliance.app.commands import Commands


def register(app: Commands) -> None:
    """Add the command."""
    app.command(hidden=True)(measure)


def measure(
    plan: Annotated[Path, typer.Option(help="The plan: a session.json.")],
    out: Annotated[Path, typer.Option(help="The session folder.")],
) -> None:
    """Make the runs of a plan that are not done yet (what `bench` starts; rarely typed)."""
    from edgemoe_appliance.measure.__main__ import main as measure_main

    raise typer.Exit(measure_main(["--plan", str(plan), "--out", str(out)]))

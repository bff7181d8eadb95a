"""`report`: from journals to a page, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.console import say
from edgemoe_appliance.bench.folders import Folders, default_folders

if TYPE_CHECKING:
    from edgemoe_appliance.report import ReportPaths


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(help="Sessions by name or folder; none: the study's own figures."),
    ] = None,
) -> None:
    """Render a report: the paper's tables with your figures beside the study's."""
    say("todo")

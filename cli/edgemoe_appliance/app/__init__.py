"""The command line: parse flags, call one function, print, exit. Nothing is computed here.

Each module registers the commands of one room. What a command needs it imports when it runs, and
prints through `console`, the one place that writes to a terminal. Every error of ours becomes one
line on standard error and the exit code of its family (`errors`).

>>> from typer.testing import CliRunner
>>> from edgemoe_appliance.app.main import app
>>> result = CliRunner().invoke(app, ["--version"])
>>> result.exit_code, result.output.count(".")
(0, 2)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def main() -> None:
    """Run the command line and exit; an interrupt while it is being loaded has nothing to undo."""
    try:
        run = _completion if "_EDGEMOE_APPLIANCE_COMPLETE" in os.environ else _load_main()
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def _load_main() -> Callable[[], None]:
    from edgemoe_appliance.app.main import main as run

    return run


def _completion() -> None:
    from edgemoe_appliance.app.completion import answer

    answer(_load)


def _load() -> typer.Typer:
    from edgemoe_appliance.app.main import app

    return app


__all__ = ["main"]

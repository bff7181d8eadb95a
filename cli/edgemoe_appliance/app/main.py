"""The entry point: every error of ours is one line on stderr and its family's exit code."""

from __future__ import annotations

import sys

import typer

from edgemoe_appliance import __version__
from edgemoe_appliance.app import (
    archive,
    bench,
    claims,
    compare,
    doctor,
    engine,
    evaluate,
    measure,
    models,
    report,
)
from edgemoe_appliance.app.console import ERR, say
from edgemoe_appliance.errors import ApplianceError, InterruptedByUserError

app = typer.Typer(
    name="edgemoe-appliance",
    help="Rerun a study of Mixture-of-Experts inference on edge hardware, and judge its claims.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (doctor, models, engine, bench, report, claims, compare, archive, evaluate, measure):
    group.register(app)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        say(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except ApplianceError as error:
        ERR.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        ERR.print("stopped", markup=False)
        sys.exit(InterruptedByUserError.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)

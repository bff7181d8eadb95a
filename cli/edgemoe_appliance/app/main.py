"""The entry point: every error of ours is one line on stderr and its family's exit code.

What the system or a library raises is one line too; a traceback is left for bugs of ours alone.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

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
    fleet,
    kit,
    ledger,
    measure,
    models,
    report,
)
from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import open_streams, say, say_error
from edgemoe_appliance.app.faults import as_ours, usage_error
from edgemoe_appliance.errors import ApplianceError, InterruptedByUserError

# Modules, journals and tables are many objects that stay: looking through them all every 700 new
# ones takes a tenth of a report.
_COLLECTED_EVERY = 100_000
_STOPPED = "nothing that was measured is lost: repeat the command to go on"

app = Commands(
    name="edgemoe-appliance",
    help="Rerun a study of Mixture-of-Experts inference on edge hardware, and judge its claims.\n\n"
    "Begin with: edgemoe-appliance evaluate --kick-the-tires (minutes, on any machine).",
)
for group in (
    *(doctor, models, engine, bench, report, claims),
    *(compare, archive, evaluate, fleet, kit, ledger, measure),
):
    group.register(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version."),
    install_completion: bool = typer.Option(
        False, "--install-completion", help="Have this shell (bash, zsh, fish) complete names."
    ),
    show_completion: bool = typer.Option(
        False, "--show-completion", help="Print what would be installed for that."
    ),
) -> None:
    if version:
        say(__version__)
    elif install_completion or show_completion:
        _complete(is_shown=show_completion)
    else:
        return
    raise typer.Exit


def _complete(*, is_shown: bool) -> None:
    from edgemoe_appliance.app.completion import SHELLS, detect_shell, install

    shell = detect_shell()
    if is_shown:
        say(SHELLS[shell].script.rstrip())
        return
    for path in install(shell):
        say(f"written: {path}")
    say(f"{shell} completes commands, options and names in every window opened from now on")


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(_COLLECTED_EVERY)
    open_streams()
    Signals().install()
    try:
        code = _invoke(sys.argv[1:])
    except KeyboardInterrupt:
        code = _tell(InterruptedByUserError("stopped", hint=_STOPPED))
    except Exception as error:
        ours = usage_error(error) or as_ours(error)
        if ours is None:
            raise
        code = _tell(ours)
    sys.exit(code)


def _invoke(arguments: Sequence[str]) -> int:
    """Run a command; not through the framework's own `main`, which ends processes by itself."""
    command = typer.main.get_command(app)
    try:
        with command.make_context(app.info.name, list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _tell(error: ApplianceError) -> int:
    # What is left to do is to say so: another interrupt would only spoil that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say_error(f"error: {error}")
    return error.exit_code


class Signals:
    """Ends the work in good order on an interrupt, on termination, and when the terminal goes.

    All of them are a KeyboardInterrupt, so that what is open gets closed. More of them right after
    the first do not disturb that: whoever is impatient presses the keys three times.
    """

    _QUICKLY_S = 5.0

    def __init__(self) -> None:
        """Prepare without installing anything."""
        self._last_s = -self._QUICKLY_S

    def install(self) -> None:
        """Install the handlers; what is ignored already (nohup, a shell's `&`) stays so."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= self._QUICKLY_S:
            self._last_s = now_s
            raise KeyboardInterrupt

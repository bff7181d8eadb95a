"""The inner program: `python -m edgemoe_appliance.measure --plan FILE --out DIR`.

It needs only the light part of the package, so that it can run in a small container.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgemoe_appliance.errors import (
    ApplianceError,
    ConfigError,
    HostError,
    RunFailedError,
    host_error,
)
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.measure.session import measure_session
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.schema.roots import Roots, read_roots, resolved_plan
from edgemoe_appliance.schema.sessionfolder import SessionFolder
from edgemoe_appliance.schema.streams import print_error


def main(arguments: list[str] | None = None) -> int:
    """Measure a plan and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="edgemoe-appliance measure", description="Make the runs of a plan that are not done."
    )
    parser.add_argument("--plan", type=Path, required=True, help="the plan (session.json)")
    parser.add_argument("--out", type=Path, required=True, help="the session folder")
    parser.add_argument(
        "--bases",
        type=Path,
        help="where the probabilities of 16-bit models may lie meanwhile (default: in --out)",
    )
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="where a root that the plan names lies; repeatable (default: as the bench kept it)",
    )
    parser.add_argument(
        "--stop-with-parent",
        action="store_true",
        help="close the journal and end when standard input ends",
    )
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except ApplianceError as error:
        failure: ApplianceError = error
    except OSError as error:
        failure = host_error(error)
    except MemoryError:
        failure = HostError("not enough memory", hint="end other programs")
    return print_error(failure)


def _run(options: argparse.Namespace) -> int:
    roots = _read_roots(options.plan.parent, options.root)
    plan = resolved_plan(read_plan(options.plan), roots)
    folder: Path = options.out
    folders = roots.having(SESSION=folder.absolute())
    with SessionFolder(folder, is_made=True), Interruption() as interruption:
        if options.stop_with_parent:
            interruption.follow_parent()
        outcome = measure_session(
            plan, folder, os.environ, interruption, folders=folders, bases=options.bases
        )
    return RunFailedError.exit_code if outcome.not_ok else 0


def _read_roots(folder: Path, given: Sequence[str]) -> Roots:
    """Return the roots that were given, else those that lie beside the plan."""
    roots = read_roots(folder)
    pairs = [each.partition("=") for each in given]
    if not all(name and path for name, _, path in pairs):
        raise ConfigError(f"--root {' '.join(given)}", hint="give --root NAME=FOLDER")
    if given:
        roots = replace(roots, folders={})
    return roots.having(**{name: path for name, _, path in pairs})


if __name__ == "__main__":
    sys.exit(main())

"""The inner program: `python -m edgemoe_appliance.measure --plan FILE --out DIR`.

It needs only the light part of the package, so that it can run in a small container.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edgemoe_appliance.errors import ApplianceError, RunFailedError
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.measure.session import measure_session
from edgemoe_appliance.schema.plan import read_plan


def main(arguments: list[str] | None = None) -> int:
    """Measure a plan and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="edgemoe-appliance measure", description="Make the runs of a plan that are not done."
    )
    parser.add_argument("--plan", type=Path, required=True, help="the plan (session.json)")
    parser.add_argument("--out", type=Path, required=True, help="the session folder")
    parser.add_argument(
        "--stop-with-parent",
        action="store_true",
        help="close the journal and end when standard input ends",
    )
    options = parser.parse_args(arguments)
    try:
        return _measure(options.plan, options.out, stop_with_parent=options.stop_with_parent)
    except ApplianceError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (this is a command line)
        return error.exit_code


def _measure(plan_path: Path, folder: Path, *, stop_with_parent: bool) -> int:
    plan = read_plan(plan_path)
    folder.mkdir(parents=True, exist_ok=True)
    with Interruption() as interruption:
        if stop_with_parent:
            interruption.stop_when_parent_goes()
        outcome = measure_session(plan, folder, os.environ, interruption)
    return RunFailedError.exit_code if outcome.not_ok else 0


if __name__ == "__main__":
    sys.exit(main())

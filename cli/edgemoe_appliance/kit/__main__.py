"""The program on a borrowed machine: `python -m edgemoe_appliance.kit`, started by run.sh.

It needs only the light part of the package. At home, `edgemoe-appliance kit` makes and takes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edgemoe_appliance.errors import ApplianceError, RunFailedError
from edgemoe_appliance.kit.parcel import WrittenParcel
from edgemoe_appliance.kit.visit import VisitOutcome, make_visit
from edgemoe_appliance.kit.workplace import VisitRequest, pack_visit
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import read_configs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.streams import print_error, print_line
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.schema.units import human_bytes


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "twin":
            return _twin(options.model, options.scale, options.folder)
        if options.command == "pack":
            return _tell_kept(pack_visit(options.out))
        return _visit(options)
    except ApplianceError as error:
        return print_error(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.sh", description="A visit to a borrowed machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    visit = commands.add_parser("visit", help="measure, and pack")
    visit.add_argument("--kit", type=Path, required=True, help="the unpacked kit")
    visit.add_argument("--out", type=Path, required=True, help="where results go")
    visit.add_argument("--work", type=Path, required=True, help="where builds and twins go")
    visit.add_argument("--minutes", type=float, default=9.0, help="the time that there is")
    visit.add_argument("--environment", type=Path, help="where the large wheels are unpacked")
    visit.add_argument("--elapsed", type=float, default=0.0, help="seconds that have passed")
    visit.add_argument("--target", help="another target than the kit's")
    visit.add_argument("--twins", type=TwinScale, choices=TwinScale, help="another scale")
    visit.add_argument("--devices", type=Path, help="targets and outside meters of your own")
    pack = commands.add_parser("pack", help="pack what an earlier visit left")
    pack.add_argument("--out", type=Path, required=True)
    twin = commands.add_parser("twin", help="write one twin")
    twin.add_argument("model")
    twin.add_argument("--scale", type=TwinScale, required=True)
    twin.add_argument("--folder", type=Path, required=True)
    return parser


def _twin(model: str, scale: TwinScale, folder: Path) -> int:
    configs = read_configs(resource_folder("configs"))
    write_twin(configs.model(model), model, scale, folder)
    return 0


def _visit(options: argparse.Namespace) -> int:
    request = VisitRequest(
        kit=options.kit.resolve(),
        out=options.out.resolve(),
        work=options.work.resolve(),
        minutes=options.minutes,
        environment=options.environment,
        elapsed_s=options.elapsed,
        target=options.target,
        scale=options.twins,
        devices=options.devices,
    )
    with Interruption() as interruption:
        outcome = make_visit(request, print_line, interruption)
    return _tell_outcome(outcome)


def _tell_outcome(outcome: VisitOutcome) -> int:
    for line in outcome.table:
        print_line(line)
    _tell_kept(outcome.parcel)
    if outcome.error is None:
        return 0
    if not isinstance(outcome.error, RunFailedError):
        return print_error(outcome.error)
    return outcome.error.exit_code


def _tell_kept(parcel: WrittenParcel) -> int:
    sessions = counted(len(parcel.sessions), "session") if parcel.sessions else "no session"
    print_line(
        f"kept: {sessions}, logs and facts: {human_bytes(parcel.parcel_bytes)} in {parcel.path}"
    )
    print_line(f"at home: edgemoe-appliance kit take {parcel.path.name}")
    return 0


if __name__ == "__main__":
    # Background work (a compiler, a twin) must not keep the program: its guards end it with us.
    os._exit(main())

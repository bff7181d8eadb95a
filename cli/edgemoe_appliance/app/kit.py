"""`kit`: one file for a borrowed machine, and sessions from what comes back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import say
from edgemoe_appliance.app.names import known_file
from edgemoe_appliance.app.options import StudyOption, TargetOption
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import human_bytes

if TYPE_CHECKING:
    from edgemoe_appliance.kit.contents import Architecture

kit = Commands(
    help="Measure on a borrowed machine without network: make a kit, take what it brings back."
)
# Ubuntu 22.04, on which JetPack 6 rests.
_JETSON_PYTHON = "3.10"
_OLDEST_MINOR = 10


def register(app: Commands) -> None:
    """Add the commands."""
    app.add_typer(kit, name="kit")


@kit.command()
def make(
    target: TargetOption = "cuda",
    python: Annotated[
        str | None,
        typer.Option(help="The machine's Python, 3.10 say.  (default: this one's; jetson: 3.10)"),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(help="x86_64 or aarch64.  (default: this machine's; jetson: aarch64)"),
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(help="A pin whose source travels; repeatable once.  (default: b4447, b5763)"),
    ] = None,
    study: StudyOption = None,
    out: Annotated[Path | None, typer.Option(help="The file to write.  (default: in dist)")] = None,
) -> None:
    """Write one tar with all that building and measuring need on a machine without network."""
    import platform

    from edgemoe_appliance.bench.identity import read_identity
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.kit.bundle import KitRequest, write_kit
    from edgemoe_appliance.schema.resources import work_root
    from edgemoe_appliance.studies.study import read_study

    chosen = read_study(study)
    configs = chosen.configs
    on_jetson = configs.target(target).is_jetson
    architecture = _architecture(arch or ("aarch64" if on_jetson else platform.machine()))
    usual = _JETSON_PYTHON if on_jetson else f"3.{sys.version_info.minor}"
    version = _python(usual if python is None else python)
    name = f"edgemoe-kit-{target}-{architecture}-py{version.replace('.', '')}"
    written = write_kit(
        KitRequest(
            study=chosen,
            target=target,
            python=version,
            architecture=architecture,
            pins=tuple(pin or (configs.engines.fallback, "b5763")),
            appliance=read_identity(),
            cache=default_folders().cache,
            out=out or work_root() / "dist" / f"{name}.tar",
        )
    )
    for member in sorted(written.files, key=lambda member: -member.size):
        say(f"{human_bytes(member.size):>9}  {member.name}")
    say(f"{human_bytes(written.kit_bytes)}, sha256 {written.sha256}")
    say(f"kit: {written.path}")


def _python(version: str) -> str:
    found = re.fullmatch(r"3\.([0-9]{1,2})", version)
    if found is None or int(found[1]) < _OLDEST_MINOR:
        raise ConfigError(
            f"no kit for Python {on_one_line(repr(version))}", hint="name 3.10 or newer, as in 3.11"
        )
    return version


def _architecture(name: str) -> Architecture:
    from edgemoe_appliance.kit.contents import Architecture

    for known in get_args(Architecture):
        if name == known:
            return cast("Architecture", known)
    raise ConfigError(f"no kit for {name!r}", hint="name x86_64 or aarch64")


@kit.command()
def take(
    file: Annotated[
        Path,
        typer.Argument(help="The tar that came back, or the folder --out.", callback=known_file),
    ],
) -> None:
    """Make sessions of what came back from a visit; whatever is not as announced is refused."""
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.kit.parcel import take_parcel
    from edgemoe_appliance.kit.workplace import pack_visit

    parcel = pack_visit(file).path if file.is_dir() else file
    taken = take_parcel(parcel, default_folders().sessions)
    for finding in taken.visit.findings:
        if finding.level.value != "ok":
            say(f"{finding.level.value}: {finding.check}: {finding.seen}")
    for session in taken.sessions:
        known = " (was there)" if session.name in taken.known else ""
        say(f"session: {session}{known}")
    if not taken.sessions:
        say("no run was begun there; nothing to report")
        return
    names = [session.name for session in taken.sessions]
    say(f"next: edgemoe-appliance report {' '.join(names)}")
    say(f"      edgemoe-appliance archive {names[0]}")

"""`models`: what there is, fetched, checked, or written as twins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import TerminalSteps, print_json, say, show_table, terminal_width
from edgemoe_appliance.app.options import ModelNames, ModelsOption, PinOption, StudyOption
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.schema.units import human_bytes

if TYPE_CHECKING:
    from edgemoe_appliance.bench.paths import Folders
    from edgemoe_appliance.models.inventory import ModelFinding
    from edgemoe_appliance.schema.configs import Configs, ModelEntry

# On a narrower terminal the names of models are broken too.
_ROOMY = 60
commands = Commands(
    help="List, fetch and verify the models, or write twins that stand in for them."
)
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: Commands) -> None:
    """Add the commands."""
    app.add_typer(commands, name="models")


@commands.command("list")
def list_(models: ModelsOption = None, as_json: JsonFlag = False) -> None:
    """List the models of the study and what lies here of each."""
    from rich.table import Table

    from edgemoe_appliance.models.inventory import list_models

    configs, folder = _configs(models), _folders().models
    listings = list_models(configs.models, folder)
    if as_json:
        print_json(
            [
                {
                    "id": listing.model_id,
                    **listing.entry.model_dump(mode="json", exclude={"shape"}),
                    "file_bytes_here": listing.file_bytes,
                    "twin_bytes_here": {s.value: size for s, size in listing.twin_bytes.items()},
                }
                for listing in listings
            ]
        )
        return
    table = Table(box=None, pad_edge=False)
    for title in ("model", "size", "licence", "here", "twins here"):
        is_whole = title == "model" and terminal_width() >= _ROOMY
        table.add_column(title, overflow="fold", no_wrap=is_whole)
    for listing in listings:
        entry = listing.entry
        table.add_row(
            listing.model_id,
            _size(entry),
            entry.licence + (" (gated)" if entry.gated else ""),
            human_bytes(listing.file_bytes) if listing.file_bytes else "no",
            ", ".join(scale.value for scale in listing.twin_bytes) or "none",
        )
    show_table(table)
    say(f"folder: {folder}")


@commands.command()
def fetch(
    names: ModelNames = None,
    study: StudyOption = None,
    models: ModelsOption = None,
    pin: Annotated[
        bool, typer.Option("--pin", help="Believe and pin the digest of a file that nothing pins.")
    ] = False,
) -> None:
    """Fetch models; resumes, and checks size and sha256 before a file has its name."""
    from edgemoe_appliance.models.fetch import fetch_model

    configs, folder = _configs(models), _folders().models
    steps = TerminalSteps()
    for name in names or _fetched(study, models):
        with steps.step(f"model {name}") as on_share:
            fetched = fetch_model(
                configs.model(name), folder, on_progress=_by_share(on_share), pin=pin
            )
        say(f"{fetched.path}  sha256 {fetched.sha256}")


@commands.command()
def verify(
    study: StudyOption = None, models: ModelsOption = None, as_json: JsonFlag = False
) -> None:
    """Read every model file and twin here again and compare it with what it must be.

    A model that is not there is missing where the study's experiments need it.
    """
    from rich.table import Table

    from edgemoe_appliance.models.inventory import FileState, verify_models

    configs, folder = _configs(models), _folders().models
    needed = _fetched(study, models)
    findings = [
        finding
        for finding in verify_models(configs.models, folder)
        if finding.verdict is not FileState.MISSING or finding.model_id in needed
    ]
    if as_json:
        print_json([_as_data(finding) for finding in findings])
    else:
        table = Table("", "model", "kind", "found", "what to do", box=None)
        for finding in findings:
            kind = f"{finding.scale.value} twin" if finding.scale else "model"
            table.add_row(finding.verdict.value, finding.model_id, kind, finding.text, finding.hint)
        show_table(table)
    bad = [f for f in findings if f.verdict in (FileState.DIFFERENT, FileState.UNREADABLE)]
    if bad:
        wrong = "file is not what it" if len(bad) == 1 else "files are not what they"
        raise DigestError(f"{len(bad)} {wrong} must be", where=str(folder))
    missing = [f.model_id for f in findings if f.verdict is FileState.MISSING]
    if missing:
        raise HostError(
            f"{counted(len(missing), 'model')} missing: {', '.join(missing)}",
            where=str(folder),
            hint="edgemoe-appliance models fetch",
        )


@commands.command()
def twin(
    names: ModelNames = None,
    models: ModelsOption = None,
    scale: Annotated[TwinScale, typer.Option(help="tiny, thin or full size.")] = TwinScale.THIN,
    routing: Annotated[
        TwinRouting, typer.Option(help="How evenly routers spread tokens over experts.")
    ] = TwinRouting.UNIFORM,
) -> None:
    """Write twins: the exact tensors of a model with random weights, for speed and memory only."""
    from edgemoe_appliance.bench.prepare import obtain_model

    configs, folders = _configs(models), _folders()
    # Not of what others are made of, nor of those: a twin of 16 bits is as large as the disk.
    shaped = [
        name
        for name, entry in configs.models.models.items()
        if entry.shape and not entry.quantised and name not in configs.models.quantised
    ]
    for name in names or shaped:
        model = obtain_model(configs, name, scale, folders, TerminalSteps(), routing=routing)
        say(f"{model.path}  {human_bytes(model.file_bytes)}  sha256 {model.sha256}")


@commands.command()
def quantise(
    names: ModelNames = None,
    models: ModelsOption = None,
    pin: PinOption = None,
) -> None:
    """Make files of fewer bits, each with the llama-quantize of a pin; what lies here stays."""
    from edgemoe_appliance.bench.prepare import obtain_model
    from edgemoe_appliance.bench.runtime import obtain_sources, open_workshop

    configs, folders, steps = _configs(models), _folders(), TerminalSteps()
    made_here = [name for name, entry in configs.models.models.items() if entry.quantised]
    for name in names or ():
        if name not in made_here:
            raise ConfigError(
                f"{name} is no model that is made here", hint="see edgemoe-appliance models list"
            )
    (source,) = obtain_sources(configs, [pin], folders, steps)
    workshop = open_workshop(source, folders, steps)
    for name in names or made_here:
        model = obtain_model(configs, name, None, folders, steps, workshop=workshop)
        made = model.quantised
        if made is None:
            continue
        types = ", ".join(f"{count} {kind}" for kind, count in made.tensors.items())
        say(f"{model.path}  {human_bytes(model.file_bytes)}  sha256 {model.sha256}")
        say(f"  {made.bits_per_weight:.2f} bits a weight: {types}")
        if made.fallbacks:
            other = ", ".join(f"{count} {kind}" for kind, count in made.fallbacks.items())
            say(f"  rows that do not fit {made.type}: {other}")


def _fetched(study: str | None, models: Path | None) -> list[str]:
    """Return the models that a study's experiments need files of, or what these are made of."""
    from edgemoe_appliance.bench.prepare import used_models
    from edgemoe_appliance.schema.configs import find_catalogue
    from edgemoe_appliance.studies import read_study

    chosen = read_study(study, catalogue=find_catalogue(models))
    return list(dict.fromkeys(map(chosen.configs.models.fetched_for, used_models(chosen))))


def _configs(models: Path | None) -> Configs:
    from edgemoe_appliance.schema.configs import find_catalogue, read_configs
    from edgemoe_appliance.schema.resources import resource_folder

    return read_configs(resource_folder("configs"), find_catalogue(models))


def _folders() -> Folders:
    from edgemoe_appliance.bench.paths import default_folders

    return default_folders()


def _size(entry: ModelEntry) -> str:
    if entry.quantised is not None:
        return "made here"
    return human_bytes(entry.bytes) if entry.bytes else "not published"


def _by_share(on_share: Callable[[float], None]) -> Callable[[int, int], None]:
    return lambda done, total: on_share(done / max(1, total))


def _as_data(finding: ModelFinding) -> dict[str, str | None]:
    return {
        "id": finding.model_id,
        "scale": finding.scale.value if finding.scale else None,
        "path": str(finding.path),
        "verdict": finding.verdict.value,
        "text": finding.text,
        "hint": finding.hint,
    }

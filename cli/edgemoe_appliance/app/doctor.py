"""`doctor`: the checks of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import print_json, show_table
from edgemoe_appliance.app.options import (
    DevicesOption,
    DockerHostOption,
    ModelsOption,
    RuntimeOption,
    StudyOption,
    TargetOption,
)
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.choices import RuntimeKind

if TYPE_CHECKING:
    from rich.table import Table

    from edgemoe_appliance.schema.findings import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "dim"}


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    target: TargetOption = "host",
    runtime: RuntimeOption = RuntimeKind.NATIVE,
    docker_host: DockerHostOption = None,
    study: StudyOption = None,
    models: ModelsOption = None,
    devices: DevicesOption = None,
    images: Annotated[
        bool,
        typer.Option(
            "--images", help="Ask the registries for every base image instead; pulls nothing."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check this host for a target: what is fine, what disturbs figures, what is missing."""
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.bench.prepare import expected_model_bytes, used_models
    from edgemoe_appliance.bench.trial import check_engines
    from edgemoe_appliance.container.manifest_check import check_bases
    from edgemoe_appliance.doctor import DockerCheck, check_target
    from edgemoe_appliance.schema.configs import find_catalogue
    from edgemoe_appliance.schema.resources import work_root
    from edgemoe_appliance.studies import read_study

    if images:
        _show(list(check_bases(default_folders().images)), "the base images", as_json=as_json)
        return
    chosen = read_study(study, catalogue=find_catalogue(models, devices))
    profile = chosen.configs.target(target)
    folder = default_folders().models
    sizes = expected_model_bytes(chosen.configs, used_models(chosen), None, folder)
    docker = DockerCheck(host=docker_host) if runtime is RuntimeKind.CONTAINER else None
    checks = check_target(profile, folder=work_root(), model_bytes=sizes, docker=docker)
    findings = list(checks)
    if docker is None:
        findings += check_engines(chosen.configs, profile, default_folders())
    _show(findings, target, as_json=as_json)


def _show(findings: list[Finding], target: str, *, as_json: bool) -> None:
    """Show findings. Raises HostError where a check has failed."""
    from edgemoe_appliance.schema.findings import Level

    if as_json:
        document = {"target": target, "findings": [f.model_dump(mode="json") for f in findings]}
        print_json(document)
    else:
        show_table(findings_table(findings))
    failed = [finding.check for finding in findings if finding.level is Level.FAIL]
    if failed:
        raise HostError(
            f"this host fails for target {target}: {', '.join(failed)}", hint="see the hints above"
        )


def findings_table(findings: list[Finding]) -> Table:
    """Return findings as a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "check", "seen", "what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        level = Text(finding.level.value, style=_STYLES[finding.level.value])
        table.add_row(level, finding.check, finding.seen, finding.hint)
    return table

"""`evaluate`: everything in one command that can be stopped and repeated."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import (
    TerminalSteps,
    say,
    show_table,
    show_text,
    shown_measuring,
    terminal_width,
)
from edgemoe_appliance.app.options import (
    AnyTargetOption,
    BaseOption,
    DevicesOption,
    DockerHostOption,
    EnginesOption,
    ExperimentOption,
    LockedOption,
    ModelsOption,
    NewSessionOption,
    OrderOption,
    PinOption,
    PortableOption,
    RuntimeImageOption,
    RuntimeOption,
    SessionsOption,
    StudyOption,
)
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale

if TYPE_CHECKING:
    from edgemoe_appliance.bench.progress import BenchProgress
    from edgemoe_appliance.bench.runtime import ImageOptions
    from edgemoe_appliance.evaluation.config import StepId
    from edgemoe_appliance.evaluation.setup import Opening
    from edgemoe_appliance.schema.findings import Finding
    from edgemoe_appliance.schema.plan import Plan


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    target: AnyTargetOption = None,
    experiment: ExperimentOption = None,
    study: StudyOption = None,
    models: ModelsOption = None,
    devices: DevicesOption = None,
    engines: EnginesOption = None,
    pin: PinOption = None,
    portable: PortableOption = False,
    runtime: RuntimeOption = RuntimeKind.NATIVE,
    kick_the_tires: Annotated[
        bool,
        typer.Option(
            "--kick-the-tires", help="Minutes, on any machine: thin twins, miniature experiments."
        ),
    ] = False,
    twins: Annotated[
        TwinScale | None, typer.Option(help="Measure twins of this scale, not the real models.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="With --kick-the-tires: take full-size twins where they fit into so many minutes, "
            "and into disk and memory.",
        ),
    ] = None,
    sessions: SessionsOption = 1,
    order: OrderOption = None,
    session: NewSessionOption = None,
    docker_host: DockerHostOption = None,
    base_image: BaseOption = None,
    runtime_image: RuntimeImageOption = None,
    locked: LockedOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Measure even if the host fails a check.")
    ] = False,
) -> None:
    """Check, build, measure, report, judge and archive: an artifact evaluation in one command."""
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.bench.runtime import ImageOptions
    from edgemoe_appliance.evaluation.forecast import outline_lines
    from edgemoe_appliance.evaluation.request import EvaluationOptions
    from edgemoe_appliance.evaluation.setup import open_evaluation
    from edgemoe_appliance.schema.configs import find_catalogue
    from edgemoe_appliance.studies import read_study

    asked = EvaluationOptions(
        target=target,
        runtime=runtime,
        twins=twins,
        session=session,
        experiments=tuple(experiment or ()),
        pin=pin,
        portable=portable,
        kick_the_tires=kick_the_tires,
        sessions=sessions,
        order=order,
        minutes=minutes,
    )
    opening = open_evaluation(
        asked,
        read_study(study, catalogue=find_catalogue(models, devices, engines)),
        default_folders(),
    )
    for line in outline_lines(opening.outline):
        say(line)
    if not dry_run:
        options = ImageOptions(base=base_image, runtime=runtime_image, locked=locked)
        _perform(opening, options, docker_host, force=force)


def _perform(
    opening: Opening, options: ImageOptions, docker_host: str | None, *, force: bool
) -> None:
    from edgemoe_appliance.bench.runtime import open_runtime
    from edgemoe_appliance.doctor import DockerCheck
    from edgemoe_appliance.evaluation.pipeline import Performance
    from edgemoe_appliance.evaluation.summary import ending_lines

    kind = opening.evaluation.runtime
    performance = Performance(
        evaluation=opening.evaluation,
        study=opening.study,
        folders=opening.folders,
        audience=_TerminalAudience(),
    )
    docker = DockerCheck(host=docker_host) if kind is RuntimeKind.CONTAINER else None
    findings = performance.check(docker, force=force)
    portable = opening.evaluation.portable
    with open_runtime(kind, opening.folders, options, docker_host, portable=portable) as runtime:
        done = performance.run(runtime, findings)
    say("")
    for line in ending_lines(opening.evaluation, opening.outline, done, terminal_width()):
        say(line)
    if done.failure is not None:
        raise done.failure


class _TerminalAudience(TerminalSteps):
    """Shows an evaluation on the terminal; see `evaluation.performing.Audience`."""

    def begin(self, step: StepId) -> None:
        """Print the name of a step."""
        from rich.text import Text

        say("")
        show_text(Text(step.value, style="bold"))

    def findings(self, findings: tuple[Finding, ...]) -> None:
        """Print the findings of the host checks."""
        from edgemoe_appliance.app.doctor import findings_table

        show_table(findings_table(list(findings)))

    def measuring(self, plan: Plan) -> AbstractContextManager[Callable[[BenchProgress], None]]:
        """Show the runs as they end."""
        return shown_measuring(plan)

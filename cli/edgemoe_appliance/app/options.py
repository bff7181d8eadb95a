"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from edgemoe_appliance.app import names
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.choices import Order, RuntimeKind

if TYPE_CHECKING:
    from edgemoe_appliance.schema.plan import PrecisionRule

# With as many, an experiment of a single prompt has the ten samples that the rule asks for.
USUAL_MOST: Final = 10
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")

_known_target = names.known("target", names.targets, "devices.yaml")
TargetOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="{targets}.",
        autocompletion=names.offered(names.targets),
        callback=_known_target,
    ),
]
AnyTargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="{targets}.  (default: host)",
        autocompletion=names.offered(names.targets),
        callback=_known_target,
    ),
]
ExperimentOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="An experiment of the study's experiments.yaml; repeatable.  (default: those that "
        "its suites name for this command)",
        autocompletion=names.offered(names.experiments),
        callback=names.known("experiment", names.experiments, "experiments.yaml"),
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A model in place of the experiments' own; repeatable.",
        autocompletion=names.offered(names.models),
        callback=names.known("model", names.models, "models.yaml"),
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Models by id.  (default: all that this can be done with)",
        autocompletion=names.offered(names.models),
        callback=names.known("model", names.models, "models.yaml"),
    ),
]
SessionNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SESSION]...",
        help="Sessions by name or folder; none: the study's own figures.",
        autocompletion=names.offered(names.sessions),
        callback=names.known_sessions,
    ),
]
SessionName = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="A session by name or folder.",
        autocompletion=names.offered(names.sessions),
        callback=names.known_sessions,
    ),
]
NewSessionOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A name; the same name resumes.  (default: from the flags)",
        autocompletion=names.offered(names.sessions),
    ),
]
RuntimeOption = Annotated[
    RuntimeKind, typer.Option(help="Measure natively on this machine, or in a container.")
]
DockerHostOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address of the Docker engine, as ssh://user@board.  (default: DOCKER_HOST)",
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="Base image of the build stage, in place of the pinned."),
]
RuntimeImageOption = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="Base image of the runtime stage, in place of the pinned."),
]
BuildNetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="host|none|NAME",
        help="Network of an image build's steps: host on boards whose kernel cannot bridge "
        "(Docker 28 on JetPack 6).  (default: the engine's bridge)",
    ),
]
LockedOption = Annotated[
    bool, typer.Option("--locked", help="Refuse an image that differs from its lock in anything.")
]
PortableOption = Annotated[
    bool,
    typer.Option(
        "--portable",
        help="Build without what only some processors have: where a build for this one dies.",
    ),
]
PinOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which llama.cpp: {pins}.  (default: what engines.yaml says, or its fallback)",
        autocompletion=names.offered(names.pins),
        callback=names.known("pin", names.pins, "engines.yaml"),
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="{studies}, or the folder of one.  (default: that of configs/studies.yaml)",
        autocompletion=names.offered(names.studies),
        callback=names.known_study,
        is_eager=True,
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        metavar="FILE",
        help="Models of your own, a file like models.yaml.  (default: catalogue/models.yaml)",
        is_eager=True,
    ),
]
DevicesOption = Annotated[
    Path | None,
    typer.Option(
        "--devices",
        metavar="FILE",
        help="Targets of your own, a file like devices.yaml.  (default: catalogue/devices.yaml)",
        is_eager=True,
    ),
]
EnginesOption = Annotated[
    Path | None,
    typer.Option(
        "--engines",
        metavar="FILE",
        help="Pins of your own, a file like engines.yaml.  (default: catalogue/engines.yaml)",
        is_eager=True,
    ),
]
SessionsOption = Annotated[
    int,
    typer.Option(
        min=1, max=99, metavar="N", help="Measure so many sessions, as NAME-1, NAME-2, ..."
    ),
]
OrderOption = Annotated[
    Order | None,
    typer.Option(
        metavar="ORDER",
        help="How the runs of models follow one another: counterbalanced, interleaved, randomised "
        "or blocked.  (default: the experiment's own; on a device of the study, evaluate takes "
        "the study's)",
    ),
]
UntilPreciseOption = Annotated[
    str | None,
    typer.Option(
        metavar="PERCENT",
        help="Repeat by need: until the 90 % interval of each model's mean generation rate is "
        "within, say, 2%.  (default: the experiment's own repetitions)",
    ),
]
AtMostOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help=f"With --until-precise: repetitions of a prompt at most.  (default: {USUAL_MOST})",
    ),
]


def precision_rule(until_precise: str | None, at_most: int | None) -> PrecisionRule | None:
    """Return the rule that two options ask for; None without the first.

    Raises ConfigError where they do not make one.
    """
    if until_precise is None:
        if at_most is not None:
            raise ConfigError(
                "--at-most says nothing without --until-precise", hint="add --until-precise 2%"
            )
        return None
    percent = _PERCENT.fullmatch(until_precise.strip())
    if percent is None:
        raise ConfigError(
            f"--until-precise {until_precise!r} is no percentage", hint="write it as in 2%"
        )
    from pydantic import ValidationError

    from edgemoe_appliance.schema.plan import LEAST_REPETITIONS, PrecisionRule

    most = USUAL_MOST if at_most is None else at_most
    try:
        return PrecisionRule(within=float(percent[1]) / 100, at_most=most)
    except ValidationError as error:
        raise ConfigError(
            f"--until-precise {until_precise} with --at-most {most} is out of range",
            hint="take more than 0 % and at most 50 %, and "
            f"{LEAST_REPETITIONS} to 1000 repetitions",
        ) from error

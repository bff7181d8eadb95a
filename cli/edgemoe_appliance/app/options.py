"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.choices import Order, RuntimeKind

if TYPE_CHECKING:
    from edgemoe_appliance.schema.plan import PrecisionRule

# With as many, an experiment of a single prompt has the ten samples that the rule asks for.
USUAL_MOST: Final = 10
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")

RuntimeOption = Annotated[
    RuntimeKind, typer.Option(help="Measure natively on this machine, or in a container.")
]
DockerHostOption = Annotated[
    str | None,
    typer.Option(help="Address of the Docker engine, as ssh://user@board (default: DOCKER_HOST)."),
]
BaseOption = Annotated[
    str | None, typer.Option(help="Base image of the build stage, in place of the pinned one.")
]
RuntimeImageOption = Annotated[
    str | None, typer.Option(help="Base image of the runtime stage, in place of the pinned one.")
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
    typer.Option(help="A pin of engines.yaml.  (default: its default, else its fallback)"),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="A study of configs/studies/, or a folder of your own.  (default: the only one, "
        "else that of configs/studies.yaml)",
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        metavar="FILE",
        help="Models of your own, a file like models.yaml.  (default: catalogue/models.yaml)",
    ),
]
DevicesOption = Annotated[
    Path | None,
    typer.Option(
        "--devices",
        metavar="FILE",
        help="Targets of your own, a file like devices.yaml.  (default: catalogue/devices.yaml)",
    ),
]
SessionsOption = Annotated[
    int, typer.Option(min=1, max=99, help="Measure so many sessions, as NAME-1, NAME-2, ...")
]
OrderOption = Annotated[
    Order | None,
    typer.Option(
        help="How the runs of models follow one another.  (default: the experiment's own; on a "
        "device of the study, evaluate takes the study's)",
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
        raise ConfigError(f"--until-precise {until_precise!r} is no percentage", hint="as in 2%")
    from pydantic import ValidationError

    from edgemoe_appliance.schema.plan import LEAST_REPETITIONS, PrecisionRule

    most = USUAL_MOST if at_most is None else at_most
    try:
        return PrecisionRule(within=float(percent[1]) / 100, at_most=most)
    except ValidationError as error:
        raise ConfigError(
            f"--until-precise {until_precise} --at-most {most} cannot be kept",
            hint=f"above 0 and up to 50 %, {LEAST_REPETITIONS} to 1000 repetitions",
        ) from error

"""evaluation.yaml: what estimates rest on, whichever study is run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from edgemoe_appliance.schema.base import Frozen, NotNegative, Positive
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Backend, Identifier
from edgemoe_appliance.schema.yamlfile import read_yaml, validate

EVALUATION_FILE = "evaluation.yaml"


class StepId(str, Enum):
    """The steps of an evaluation, in order."""

    DOCTOR = "doctor"
    BUILD = "build"
    MODELS = "models"
    BENCH = "bench"
    REPORT = "report"
    CLAIMS = "claims"
    ARCHIVE = "archive"


class KickTheTires(Frozen):
    """The evaluation that takes minutes and needs nothing but a compiler."""

    target: Identifier
    twins: TwinScale


def _every_step(value: dict[StepId, float]) -> dict[StepId, float]:
    missing = [step.value for step in StepId if step not in value]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    return value


ByStep = Annotated[dict[StepId, NotNegative], AfterValidator(_every_step)]


class Paces(Frozen):
    """How fast work goes; units are in the names, MB and GB are decimal."""

    weights_gb_s: dict[Identifier, Positive]
    prompt_over_generation: dict[Identifier, Positive]
    tokens_per_word: Positive
    load_gb_s: Positive
    start_s: NotNegative
    build_core_s: dict[Backend, Positive]
    probe_core_s: Positive
    twin_mb_s: Positive
    network_mb_s: Positive
    source_mb: dict[Identifier, Positive]
    build_mb: Positive
    run_kb: Positive
    report_mb: Positive
    steps_s: dict[StepId, NotNegative]


class QuietPaces(Frozen):
    """What goes faster on a machine that does nothing else and keeps the models in memory."""

    weights_gb_s: dict[Identifier, Positive]
    load_gb_s: Positive
    start_s: NotNegative
    twin_mb_s: Positive
    steps_s: dict[StepId, NotNegative]


class EvaluationConfig(Frozen):
    """Everything that evaluation.yaml says."""

    kick_the_tires: KickTheTires
    human_min: ByStep
    human_min_per_experiment: NotNegative
    paces: Paces
    quiet: QuietPaces

    @property
    def quiet_paces(self) -> Paces:
        """Return the paces of a quiet machine: those that are named, else the usual."""
        weights_gb_s = {**self.paces.weights_gb_s, **self.quiet.weights_gb_s}
        faster = {name: getattr(self.quiet, name) for name in QuietPaces.model_fields}
        return self.paces.model_copy(update={**faster, "weights_gb_s": weights_gb_s})


def read_evaluation(folder: Path) -> EvaluationConfig:
    """Read evaluation.yaml of a configs folder.

    Raises ConfigError with file, line and key. A target or pin of the user's own need not be in it.
    """
    return validate(read_yaml(folder / EVALUATION_FILE), EvaluationConfig)

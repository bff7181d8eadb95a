"""Folders, configurations and states for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import EvaluationConfig, read_evaluation
from edgemoe_appliance.evaluation.forecast import Outline, build_outline
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import Study


def empty_folders(root: Path) -> Folders:
    return Folders(
        cache=root / "cache",
        models=root / "data" / "models",
        sessions=root / "data" / "raw",
        results=root / "results",
        images=resource_folder("images"),
    )


def read_config(study: Study) -> EvaluationConfig:
    return read_evaluation(resource_folder("configs"))


def outline_of(
    asked: EvaluationOptions,
    study: Study,
    folders: Folders,
    *,
    cores: int = 2,
    not_target: str | None = None,
) -> Outline:
    """Return the outline as the command makes it, with the cores of no particular machine."""
    config = read_config(study)
    evaluation = resolve(asked, study, config)
    present = read_present(evaluation, study, folders, cores=cores)
    return build_outline(evaluation, study, config, present, not_target=not_target)

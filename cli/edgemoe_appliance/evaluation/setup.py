"""An evaluation before it begins: what was asked, what there is, and the outline of the rest."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from edgemoe_appliance.archive.bundle import check_archive_place
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import read_evaluation
from edgemoe_appliance.evaluation.forecast import Outline, build_outline
from edgemoe_appliance.evaluation.request import Evaluation, EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.report import check_report_place
from edgemoe_appliance.schema.journal import find_kept_plan
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Everything that is known before the first step."""

    evaluation: Evaluation
    study: Study
    folders: Folders
    outline: Outline


def open_evaluation(asked: EvaluationOptions, study: Study, folders: Folders) -> Opening:
    """Read what an evaluation needs and how far it is.

    Raises ConfigError for what cannot be asked, RecordError where its session is damaged.
    """
    config = read_evaluation(resource_folder("configs"))
    evaluation = _with_pin_of_session(resolve(asked, study, config), folders)
    # What hours of measuring end in must have its place before they begin.
    check_report_place(folders.results / evaluation.bench.session, is_forced=False)
    check_archive_place(folders.archive_of(evaluation.bench.session), is_forced=False)
    present = read_present(evaluation, study, folders, cores=os.cpu_count() or 1)
    return Opening(
        evaluation=evaluation,
        study=study,
        folders=folders,
        outline=build_outline(evaluation, study, config, present),
    )


def _with_pin_of_session(evaluation: Evaluation, folders: Folders) -> Evaluation:
    """Return an evaluation that goes on with the engine that its session was begun with.

    Which of the default pin and its fallback can be had may change between two measuring periods.
    Where the user names another one, that is refused later, as any other difference is.
    """
    request = evaluation.bench
    if request.pin is not None:
        return evaluation
    path = find_kept_plan(folders.sessions / request.session)
    if path is None:
        return evaluation
    pin = next(iter(read_plan(path).engines))
    return replace(evaluation, bench=replace(request, pin=pin))

"""An evaluation before it begins: what was asked, what there is, and the outline of the rest."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from edgemoe_appliance.archive.bundle import check_archive_place
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.doctor import why_not_target
from edgemoe_appliance.evaluation.config import EvaluationConfig, read_evaluation
from edgemoe_appliance.evaluation.forecast import LargerTwins, Outline, build_outline
from edgemoe_appliance.evaluation.notices import place_note
from edgemoe_appliance.evaluation.request import Evaluation, EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.report import check_report_place
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.journal import find_kept_plan
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.units import GB, human_bytes
from edgemoe_appliance.studies import Study

# Memory that a run needs over the size of its model's file: the mapped file, the cache of keys and
# values at 4096 positions, and the buffers of a graph; full twins of the study took 1.13 to 1.3.
_MEMORY_OVER_FILE = 1.4
# Not to be filled to the last byte.
_DISK_LEFT = 1 * GB


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
    larger = _larger(asked, study, folders, config)
    if larger is not None and larger.is_taken:
        asked = replace(asked, twins=TwinScale.FULL)
    evaluation = _with_pin_of_session(resolve(asked, study, config), folders)
    # What hours of measuring end in must have its place before they begin.
    check_report_place(folders.results / evaluation.bench.session, is_forced=False)
    for name in evaluation.session_names:
        check_archive_place(folders.archive_of(name), is_forced=False)
    present = read_present(evaluation, study, folders, cores=os.cpu_count() or 1)
    return Opening(
        evaluation=evaluation,
        study=study,
        folders=folders,
        outline=build_outline(
            evaluation,
            study,
            config,
            present,
            larger=larger,
            not_target=why_not_target(study.configs.target(evaluation.bench.target)),
            place=place_note(folders),
        ),
    )


def _larger(
    asked: EvaluationOptions, study: Study, folders: Folders, config: EvaluationConfig
) -> LargerTwins | None:
    """Return what full-size twins would take here, None where no choice is left."""
    if not asked.kick_the_tires or asked.twins is not None or not study.suites.directions:
        return None
    evaluation = _with_pin_of_session(
        resolve(replace(asked, twins=TwinScale.FULL), study, config), folders
    )
    present = read_present(evaluation, study, folders, cores=os.cpu_count() or 1)
    outline = build_outline(evaluation, study, config, present)
    needed = LargerTwins(
        command=larger_command(asked),
        machine_s=outline.machine_s,
        quiet_s=outline.quiet_s,
        disk_bytes=outline.disk_bytes,
        memory_bytes=_MEMORY_OVER_FILE * max(model.file_bytes for model in present.models),
        reason="",
    )
    room = Room(
        disk_bytes=shutil.disk_usage(_existing(folders.models)).free,
        memory_bytes=psutil.virtual_memory().available,
    )
    return replace(needed, reason=why_not_larger(needed, room, asked.minutes))


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a machine has left."""

    disk_bytes: float
    memory_bytes: float


def why_not_larger(needed: LargerTwins, room: Room, minutes: float | None) -> str:
    """Return why full-size twins are not what is done, empty where they are."""
    if room.disk_bytes < needed.disk_bytes + _DISK_LEFT:
        return f"{human_bytes(room.disk_bytes)} of disk are free"
    if room.memory_bytes < needed.memory_bytes:
        return f"{human_bytes(room.memory_bytes)} of memory are free"
    if minutes is None:
        return "no time was allowed for it, see --minutes"
    if needed.machine_s is None:
        return "the time it takes is not known"
    if needed.machine_s > 60 * minutes:
        return f"{minutes:g} min were allowed"
    return ""


def larger_command(asked: EvaluationOptions) -> str:
    """Return the command that runs full-size twins, with what else was asked for."""
    words = ["edgemoe-appliance evaluate --kick-the-tires --twins full"]
    words += [f"--pin {asked.pin}"] if asked.pin else []
    words += ["--portable"] if asked.portable else []
    words += [f"--sessions {asked.sessions}"] if asked.sessions > 1 else []
    return " ".join(words)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


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

"""What an evaluation will do, step by step, with times, disk and downloads: told before it starts.

Pure: equal states give equal text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgemoe_appliance.evaluation.config import EvaluationConfig, StepId
from edgemoe_appliance.evaluation.estimates import Cost, Estimator
from edgemoe_appliance.evaluation.notices import models_note, pace_note, target_note
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.evaluation.state import Present
from edgemoe_appliance.schema.choices import RuntimeKind
from edgemoe_appliance.schema.units import human_bytes, human_duration
from edgemoe_appliance.studies import Study

_UNKNOWN = "not known"
# Of a terminal as it opens.
_WIDTH = 80
_COLUMNS = ("step", "machine", "person", "disk", "download", "what")


@dataclass(frozen=True, kw_only=True)
class EvaluationStep:
    """One step: what it does, what it takes, and the minutes of a person's attention."""

    id: StepId
    what: str
    cost: Cost
    quiet_s: float | None
    human_min: float


@dataclass(frozen=True, kw_only=True)
class LargerTwins:
    """What shows directions where kicking the tires does not: whole models with random weights.

    `machine_s` is what it takes at most, `quiet_s` what it takes where nothing else is at work.
    `command` is what makes it, `reason` why it is not what is done, empty where it is.
    """

    command: str
    machine_s: float | None
    quiet_s: float | None
    disk_bytes: float
    memory_bytes: float
    reason: str

    @property
    def is_taken(self) -> bool:
        """Return whether it is what is done."""
        return not self.reason

    @property
    def text(self) -> str:
        """Return in words what it takes, and the command or why there was no need to type it."""
        takes = (
            f"{_range(self.quiet_s, self.machine_s)}, {human_bytes(self.disk_bytes)} of disk and "
            f"{human_bytes(self.memory_bytes)} of memory"
        )
        if self.is_taken:
            return f"Full-size twins with few tokens show directions here; they take {takes}."
        return (
            f"What shows directions on this machine: {self.command}  It takes {takes}. Not done "
            f"here: {self.reason}."
        )


@dataclass(frozen=True, kw_only=True)
class Outline:
    """All steps of an evaluation, and what is to be known about it before it begins."""

    title: str
    steps: tuple[EvaluationStep, ...]
    notes: tuple[str, ...]
    larger: LargerTwins | None = None

    @property
    def machine_s(self) -> float | None:
        """Return the seconds that all steps take, None where one of them is not known."""
        return _sum(step.cost.machine_s for step in self.steps)

    @property
    def quiet_s(self) -> float | None:
        """Return the seconds that all steps take where nothing else is at work, if known."""
        return _sum(step.quiet_s for step in self.steps)

    @property
    def disk_bytes(self) -> float:
        """Return the bytes that all steps write."""
        return sum(step.cost.disk_bytes for step in self.steps)

    def cost_of(self, step: StepId) -> Cost:
        """Return what a step takes."""
        return next(each.cost for each in self.steps if each.id is step)


def build_outline(
    evaluation: Evaluation,
    study: Study,
    config: EvaluationConfig,
    present: Present,
    *,
    larger: LargerTwins | None = None,
    not_target: str | None = None,
    place: str | None = None,
) -> Outline:
    """Return the outline of an evaluation from where things stand.

    `larger` is told beside: what of this machine would show more; `not_target` says why this host
    is not the target, `place` where everything is written.
    """
    usual, quiet = (
        Estimator(evaluation=evaluation, study=study, paces=paces, present=present)
        for paces in (config.paces, config.quiet_paces)
    )
    return Outline(
        title=_title(evaluation, study),
        steps=tuple(
            EvaluationStep(
                id=step,
                what=_what(step, evaluation, present),
                cost=usual.cost(step),
                quiet_s=quiet.cost(step).machine_s,
                human_min=config.human_min[step],
            )
            for step in StepId
        ),
        notes=(
            *([target_note(evaluation, not_target)] if not_target is not None else []),
            models_note(evaluation, present),
            pace_note(evaluation, study, config.paces),
            *([place] if place is not None else []),
            "The network is used where the table has a download, and by nothing else.",
            "What is there already counts as nothing above. Stopped or killed, the same command "
            "goes on; once it has ended, it measures nothing again and makes report and archive "
            "anew. --session NAME begins another.",
            *([larger.text] if larger is not None else []),
        ),
        larger=larger,
    )


def outline_lines(outline: Outline) -> Iterator[str]:
    """Yield the outline as lines of text, the same at every width of a terminal."""
    yield from textwrap.wrap(outline.title, _WIDTH, break_on_hyphens=False)
    yield ""
    rows = [_COLUMNS, *(_cells(step) for step in outline.steps), _totals(outline)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS) - 1)]
    for row in rows:
        head = row[0].ljust(widths[0])
        middle = "  ".join(
            cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)
        )
        start = f"{head}  {middle}  "
        what = textwrap.wrap(row[-1], _WIDTH - len(start), break_on_hyphens=False) or [""]
        yield f"{start}{what[0]}".rstrip()
        yield from (" " * len(start) + rest for rest in what[1:])
    for note in outline.notes:
        yield ""
        yield from textwrap.wrap(note, _WIDTH, break_on_hyphens=False)


def _title(evaluation: Evaluation, study: Study) -> str:
    request = evaluation.bench
    target = study.configs.target(request.target)
    where = "in a container" if evaluation.runtime is RuntimeKind.CONTAINER else "native"
    return (
        f"evaluation on target {request.target} ({target.label}), {where}, {_sessions(evaluation)}"
    )


def _sessions(evaluation: Evaluation) -> str:
    first, *others = evaluation.session_names
    if not others:
        return f"session {first}"
    return f"{1 + len(others)} sessions, {first} to {others[-1]}"


def _what(step: StepId, evaluation: Evaluation, present: Present) -> str:
    left, done = len(present.runs_left), present.runs_done
    models = present.models
    there = sum(model.is_there for model in models)
    twins = evaluation.bench.twins
    is_made = any(model.is_made for model in models)
    kind = f"models fetched{' or made' if is_made else ''}"
    kind = kind if twins is None else f"{twins.value} twins written"
    image = " and image" if evaluation.runtime is RuntimeKind.CONTAINER else ""
    return {
        StepId.DOCTOR: "checks of this host",
        StepId.BUILD: f"llama.cpp{image}, by pin",
        StepId.MODELS: f"{len(models) - there} of {len(models)} {kind}, {there} there",
        StepId.BENCH: f"{left} of {left + done} runs of {', '.join(evaluation.bench.experiments)}",
        StepId.REPORT: "page, tables and figures",
        StepId.CLAIMS: "a verdict for each claim of the study",
        StepId.ARCHIVE: "one file with everything, to be verified by others",
    }[step]


def _cells(step: EvaluationStep) -> tuple[str, ...]:
    cost = step.cost
    return (
        step.id.value,
        _duration(cost.machine_s),
        f"{step.human_min:g} min",
        human_bytes(cost.disk_bytes),
        _UNKNOWN if cost.download_bytes is None else human_bytes(cost.download_bytes),
        step.what,
    )


def _totals(outline: Outline) -> tuple[str, ...]:
    """Return the last row; a sum with an unknown part is at least the rest."""
    costs = [step.cost for step in outline.steps]
    seconds = [cost.machine_s for cost in costs]
    downloads = [cost.download_bytes for cost in costs]
    known_s = sum(value for value in seconds if value is not None)
    known_bytes = sum(value for value in downloads if value is not None)
    return (
        "total",
        f"over {_duration(known_s)}"
        if None in seconds
        else _range(outline.quiet_s, outline.machine_s),
        f"{sum(step.human_min for step in outline.steps):g} min",
        human_bytes(sum(cost.disk_bytes for cost in costs)),
        f"{'over ' if None in downloads else ''}{human_bytes(known_bytes)}",
        "",
    )


def _sum(seconds: Iterable[float | None]) -> float | None:
    known = list(seconds)
    return None if None in known else sum(each for each in known if each is not None)


def _range(least_s: float | None, most_s: float | None) -> str:
    """Return what is expected in words: `3 to 10 min`, or one duration where the ends are near."""
    if least_s is None or most_s is None or most_s < max(120, 1.3 * least_s):
        return _duration(most_s)
    if most_s < 7200:
        return f"{max(1, round(least_s / 60))} to {round(most_s / 60)} min"
    return f"{least_s / 3600:.1f} to {most_s / 3600:.1f} h"


def _duration(duration_s: float | None) -> str:
    return _UNKNOWN if duration_s is None else human_duration(duration_s)

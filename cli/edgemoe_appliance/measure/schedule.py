"""Which runs are still to be made: the planned ones, and those that are added. Pure.

Heat adds repetitions, and so does a rule of precision. Everything follows from the plan and the
journal, so that a resumed session comes to the same runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgemoe_appliance.measure.cooldown import extra_repetitions
from edgemoe_appliance.measure.precision import Rates, settle
from edgemoe_appliance.schema.journal import JournalProgress
from edgemoe_appliance.schema.metrics import is_long_enough
from edgemoe_appliance.schema.plan import Plan, PrecisionRule, RunSpec
from edgemoe_appliance.schema.records import Status

_RATE = "gen_tok_s"


def all_runs(plan: Plan, progress: JournalProgress) -> Iterator[RunSpec]:
    """Yield the planned runs in order, after each experiment's last one those that are added.

    What is added is judged when the run before has been yielded: by then it should be done.
    """
    last = {run.experiment: run.id for run in plan.runs}
    for run in plan.runs:
        yield run
        if run.id == last[run.experiment]:
            if plan.precision is None:
                yield from added_runs(plan, run.experiment, progress)
            else:
                yield from runs_by_need(plan, plan.precision, run.experiment, progress)


def added_runs(plan: Plan, experiment: str, progress: JournalProgress) -> list[RunSpec]:
    """Return the further repetitions for the models that ran hot in an experiment.

    Only the planned runs are asked how hot they were, so that the answer does not change.
    """
    planned = _planned(plan, experiment)
    repetitions = max(run.repetition for run in planned)
    extra = _added_by_heat(plan, planned, progress)
    once = [run for run in planned if run.repetition == repetitions]
    return [
        run.model_copy(update={"repetition": repetitions + number})
        for number in range(1, max(extra.values()) + 1)
        for run in once
        if number <= extra[run.model]
    ]


def runs_by_need(
    plan: Plan, rule: PrecisionRule, experiment: str, progress: JournalProgress
) -> Iterator[RunSpec]:
    """Yield one repetition after another for the cells of an experiment that need it.

    A cell is judged once its repetition is done, by the runs up to then; once it needs no more,
    it gets no more. Models that ran hot get at least the repetitions of the thermal rule.
    """
    planned = _planned(plan, experiment)
    repetitions = max(run.repetition for run in planned)
    extra = _added_by_heat(plan, planned, progress)
    sure = {model: repetitions + number for model, number in extra.items()}
    once = [run for run in planned if run.repetition == repetitions]
    while True:
        cells: dict[tuple[str, ...], list[RunSpec]] = {}
        for run in once:
            cells.setdefault(run.cell, []).append(run)
        needy = {
            cell
            for cell, runs in cells.items()
            if repetitions < sure[runs[0].model]
            or settle(rule, _rates(runs, repetitions, progress), repetitions) is None
        }
        if not needy:
            return
        repetitions += 1
        once = [run for run in once if run.cell in needy]
        yield from (run.model_copy(update={"repetition": repetitions}) for run in once)


def _planned(plan: Plan, experiment: str) -> list[RunSpec]:
    return [run for run in plan.runs if run.experiment == experiment]


def _added_by_heat(
    plan: Plan, planned: Sequence[RunSpec], progress: JournalProgress
) -> dict[str, int]:
    """Return by how many repetitions each model is raised; from the planned runs alone."""
    repetitions = max(run.repetition for run in planned)
    extra: dict[str, int] = {}
    for model in dict.fromkeys(run.model for run in planned):
        peaks_c = (_peak_c(progress, run) for run in planned if run.model == model)
        extra[model] = extra_repetitions(plan.target.thermal, peaks_c, repetitions)
    return extra


def _rates(runs: Sequence[RunSpec], repetitions: int, progress: JournalProgress) -> Rates:
    """Return the generation rates of the runs that ended well and not too early, by prompt."""
    rates: dict[str, list[float]] = {}
    for run in runs:
        for number in range(1, repetitions + 1):
            end = progress.ends.get(run.model_copy(update={"repetition": number}).id)
            if end is None or end.status is not Status.OK or _RATE not in end.metrics:
                continue
            if is_long_enough(end.metrics.get("generated_tokens"), run.n_predict):
                rates.setdefault(run.prompt, []).append(end.metrics[_RATE])
    return rates


def _peak_c(progress: JournalProgress, run: RunSpec) -> float | None:
    end = progress.ends.get(run.id)
    return None if end is None else end.metrics.get("temp_peak_c")

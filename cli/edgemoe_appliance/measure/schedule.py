"""Which runs are still to be made: the planned ones, and those that heat adds. Pure.

Everything follows from the plan and the journal, so that a resumed session comes to the same runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.measure.cooldown import extra_repetitions
from edgemoe_appliance.study.journal import JournalProgress
from edgemoe_appliance.study.plan import Plan, RunSpec


def all_runs(plan: Plan, progress: JournalProgress) -> Iterator[RunSpec]:
    """Yield the planned runs in order, after each experiment's last one those that heat adds.

    What heat adds is judged when that last run has been yielded: by then it should be done.
    """
    last = {run.experiment: run.id for run in plan.runs}
    for run in plan.runs:
        yield run
        if run.id == last[run.experiment]:
            yield from added_runs(plan, run.experiment, progress)


def added_runs(plan: Plan, experiment: str, progress: JournalProgress) -> list[RunSpec]:
    """Return the further repetitions for the models that ran hot in an experiment.

    Only the planned runs are asked how hot they were, so that the answer does not change.
    """
    rule = plan.target.thermal
    planned = [run for run in plan.runs if run.experiment == experiment]
    repetitions = max(run.repetition for run in planned)
    extra: dict[str, int] = {}
    for model in dict.fromkeys(run.model for run in planned):
        peaks_c = (_peak_c(progress, run) for run in planned if run.model == model)
        extra[model] = extra_repetitions(rule, peaks_c, repetitions)
    once = [run for run in planned if run.repetition == repetitions]
    return [
        run.model_copy(update={"repetition": repetitions + number})
        for number in range(1, max(extra.values()) + 1)
        for run in once
        if number <= extra[run.model]
    ]


def _peak_c(progress: JournalProgress, run: RunSpec) -> float | None:
    end = progress.ends.get(run.id)
    return None if end is None else end.metrics.get("temp_peak_c")

"""Which runs are made: planned, added by heat, added by need; the same again after a stop."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from edgemoe_appliance.measure.schedule import all_runs
from edgemoe_appliance.schema.journal import JournalProgress
from edgemoe_appliance.schema.plan import Plan, PrecisionRule, RunSpec, prompt_key
from edgemoe_appliance.schema.records import EndRecord, Status
from tests.measure.records_for_tests import end
from tests.schema.builders import a_model, a_plan, a_prompt, a_spec, an_experiment

PROMPTS = tuple(f"prompt-{number:02d}" for number in range(12))
MODELS = ("olmoe-1b-7b", "llama-3.2-1b")
Outcome = Callable[[RunSpec], EndRecord]


def plan_of(precision: PrecisionRule | None, repetitions: int) -> Plan:
    runs = tuple(
        a_spec(repetition, model).model_copy(update={"prompt": prompt})
        for repetition in range(1, repetitions + 1)
        for prompt in PROMPTS
        for model in MODELS
    )
    prompts = {prompt_key("smoke", p): a_prompt().model_copy(update={"id": p}) for p in PROMPTS}
    return Plan.model_validate(
        a_plan().model_dump()
        | {
            "models": {m: a_model().model_copy(update={"id": m}) for m in MODELS},
            "prompts": prompts,
            "experiments": {
                "smoke": an_experiment(repetitions=3, models=MODELS).model_copy(
                    update={"prompts": PROMPTS}
                )
            },
            "runs": runs,
            "precision": precision,
        }
    )


def made(plan: Plan, outcome: Outcome, progress: JournalProgress | None = None) -> list[RunSpec]:
    """Make all runs that are left, as a measuring period does, and return them."""
    known, done = progress or JournalProgress(), []
    for run in all_runs(plan, known):
        if not known.is_done(run.id):
            known.add(outcome(run))
            done.append(run)
    return done


def with_metrics(run: RunSpec, **metrics: float) -> EndRecord:
    return end(run).model_copy(update={"metrics": metrics})


def quiet(run: RunSpec) -> EndRecord:
    chance = random.Random(run.id)
    return with_metrics(run, gen_tok_s=chance.gauss(30, 0.3))


def noisy(run: RunSpec) -> EndRecord:
    """Give one of the models a spread that only many repetitions can outweigh."""
    chance = random.Random(run.id)
    return with_metrics(run, gen_tok_s=chance.gauss(30, 3.0 if run.model == MODELS[0] else 0.3))


def repetitions_of(runs: list[RunSpec]) -> dict[str, int]:
    return {model: max(r.repetition for r in runs if r.model == model) for model in MODELS}


RULE = PrecisionRule(within=0.02, at_most=10)


def test_fixed_repetitions_are_those_of_the_plan() -> None:
    plan = plan_of(None, 3)
    assert made(plan, noisy) == list(plan.runs)


def test_heat_adds_repetitions_to_the_model_that_was_hot() -> None:
    plan = plan_of(None, 3)

    def hot(run: RunSpec) -> EndRecord:
        is_hot = run.model == MODELS[0] and run.prompt == PROMPTS[3] and run.repetition == 2
        return with_metrics(run, temp_peak_c=75.0 if is_hot else 40.0)

    assert repetitions_of(made(plan, hot)) == {MODELS[0]: 5, MODELS[1]: 3}


def test_a_quiet_cell_stops_after_the_repetitions_that_are_sure() -> None:
    plan = plan_of(RULE, 2)
    assert made(plan, quiet) == list(plan.runs)


def test_only_the_cell_that_needs_it_is_repeated() -> None:
    runs = made(plan_of(RULE, 2), noisy)
    counts = repetitions_of(runs)
    assert counts[MODELS[1]] == 2
    assert 2 < counts[MODELS[0]] <= 10
    assert set(Counter((r.model, r.prompt, r.repetition) for r in runs).values()) == {1}
    assert Counter(r.prompt for r in runs if r.model == MODELS[0]) == dict.fromkeys(
        PROMPTS, counts[MODELS[0]]
    )


def test_the_plan_has_room_for_all_that_are_added() -> None:
    plan = plan_of(RULE, 2)
    assert all(plan.has_room_for(run) for run in made(plan, noisy))


@pytest.mark.parametrize("stops_after", [0, 7, 24, 48, 49, 60, 71])
def test_a_session_that_is_resumed_comes_to_the_same_runs(stops_after: int) -> None:
    plan = plan_of(RULE, 2)
    whole = made(plan, noisy)
    progress = JournalProgress()
    for run in whole[:stops_after]:
        progress.add(noisy(run))
    assert made(plan, noisy, progress) == whole[stops_after:]
    assert list(all_runs(plan, progress)) == whole


def test_a_model_that_ran_hot_gets_the_repetitions_of_the_thermal_rule() -> None:
    def hot(run: RunSpec) -> EndRecord:
        record = quiet(run)
        temps = {"temp_peak_c": 75.0 if run.model == MODELS[1] else 40.0}
        return record.model_copy(update={"metrics": {**record.metrics, **temps}})

    assert repetitions_of(made(plan_of(RULE, 2), hot)) == {MODELS[0]: 2, MODELS[1]: 5}


def test_a_model_that_never_ends_well_is_not_repeated() -> None:
    def broken(run: RunSpec) -> EndRecord:
        return quiet(run) if run.model == MODELS[0] else end(run, status=Status.OOM)

    assert repetitions_of(made(plan_of(RULE, 2), broken)) == {MODELS[0]: 2, MODELS[1]: 2}


def test_rates_of_runs_that_ended_badly_do_not_count() -> None:
    def half(run: RunSpec) -> EndRecord:
        record = quiet(run)
        wild = {"status": Status.INVALID, "metrics": {"gen_tok_s": 500.0}}
        return record.model_copy(update=wild) if run.prompt == PROMPTS[0] else record

    assert repetitions_of(made(plan_of(RULE, 2), half)) == dict.fromkeys(MODELS, 2)

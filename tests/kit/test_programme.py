"""The order of runs, what is left of experiments, and how long things take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgemoe_appliance.evaluation.config import read_evaluation
from edgemoe_appliance.kit.programme import (
    Forecast,
    choose_programme,
    first_runs,
    fit_experiments,
    models_of,
    order_runs,
    twin_sizes,
)
from edgemoe_appliance.models.twin import build_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Programme, Rounds, VisitSuite
from edgemoe_appliance.schema.plan import RunSpec, expand_runs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies.study import Study, read_study


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.fixture(scope="module")
def suite(study: Study) -> VisitSuite:
    assert study.suites.visit is not None
    return study.suites.visit


def runs_of(study: Study, names: tuple[str, ...]) -> tuple[RunSpec, ...]:
    experiments = {name: study.experiment(name) for name in names}
    return expand_runs(experiments, target="host", pin="b4447", threads=2, seed=1)


def forecast(study: Study, target: str) -> Forecast:
    return Forecast(
        target_id=target,
        target=study.configs.target(target),
        paces=read_evaluation(resource_folder("configs")).paces,
        study=study,
    )


def test_runs_come_in_the_order_of_their_value_and_none_is_lost(study: Study) -> None:
    programme = Programme(
        order=(Rounds(experiment="efficiency", rounds=1), Rounds(experiment="smoke", rounds=1)),
        engines="engine_arm",
        rest=("efficiency", "memory_arms"),
    )
    runs = runs_of(study, programme.experiments)
    ordered = order_runs(runs, programme)
    assert sorted(run.id for run in ordered) == sorted(run.id for run in runs)
    places = [(run.experiment, run.prompt, run.repetition) for run in ordered]
    assert list(dict.fromkeys(places))[:6] == [
        ("efficiency", "qa-tides", 1),
        ("smoke", "qa-tides", 1),
        ("efficiency", "qa-bread", 1),
        ("memory_arms", "qa-tides", 1),
        ("efficiency", "reasoning-tanks", 1),
        ("memory_arms", "qa-tides", 2),
    ]
    assert first_runs(runs, programme) == 8


@pytest.mark.parametrize("kind", ["whole", "small"])
def test_the_shipped_programmes_bring_a_verdict_early(
    study: Study, suite: VisitSuite, kind: str
) -> None:
    programme: Programme = getattr(suite, kind)
    runs = runs_of(study, programme.experiments)
    first = order_runs(runs, programme)[: first_runs(runs, programme)]
    models = {run.model for run in runs}
    assert {run.model for run in first[: len(models)]} == models
    arms = {run.arm.value for run in first}
    assert arms == {"plain", "no-mmap", "probe-boundary", "probe-per-node", "probe-rotate"}
    assert len({run.prompt for run in first if run.experiment == programme.experiments[0]}) >= 3
    assert study.experiment(programme.engines).pins


@pytest.mark.parametrize("kind", ["whole", "small"])
def test_a_programme_has_the_models_that_it_measures_alone(
    study: Study, suite: VisitSuite, kind: str
) -> None:
    programme: Programme = getattr(suite, kind)
    assert set(models_of(study, programme)) == {
        run.model for run in runs_of(study, programme.experiments)
    }
    assert len(models_of(study, programme)) < len(study.configs.models.models)


def test_experiments_ask_for_what_there_is(study: Study) -> None:
    fitted = fit_experiments(
        study, ("efficiency", "router_overhead"), models=("llama-3.2-1b",), is_probed=False
    )
    assert list(fitted.experiments) == ["efficiency"]  # the other one has OLMoE alone
    assert fitted.experiment("efficiency").models == ("llama-3.2-1b",)
    fitted = fit_experiments(study, ("router_overhead",), models=("olmoe-1b-7b",), is_probed=False)
    assert [arm.value for arm in fitted.experiment("router_overhead").arms] == ["plain"]


def test_sizes_are_those_of_twins(study: Study) -> None:
    for name, size in twin_sizes(study, TwinScale.THIN).items():
        twin = build_twin(study.configs.model(name), name, TwinScale.THIN)
        assert size.bytes_per_token == twin.active_bytes_per_token
        assert size.file_bytes == pytest.approx(twin.file_bytes, rel=0.02)


@pytest.mark.parametrize(
    ("target", "scale", "kind"),
    [
        ("cuda", TwinScale.FULL, "whole"),
        ("jetson", TwinScale.FULL, "whole"),
        ("host", TwinScale.FULL, "small"),
        ("host", TwinScale.TINY, "whole"),
    ],
)
def test_slow_machines_get_the_small_programme(
    study: Study, suite: VisitSuite, target: str, scale: TwinScale, kind: str
) -> None:
    sizes = twin_sizes(study, scale)
    assert choose_programme(suite, forecast(study, target), sizes, 2) == getattr(suite, kind)


def test_a_forecast(study: Study) -> None:
    host = forecast(study, "host")
    assert host.build_s(2) == 70
    assert host.twins_s([1_800_000_000, 180_000_000], cores=16) == 10
    assert host.twins_s([1_800_000_000, 1_800_000_000], cores=1) == 20
    sizes = twin_sizes(study, TwinScale.FULL)
    (run, *_) = runs_of(study, ("smoke",))
    slow = replace(host, paces=host.paces.model_copy(update={"weights_gb_s": {"host": 0.9}}))
    size = sizes[run.model]
    assert slow.run_s(run, size) > host.run_s(run, size) > size.file_bytes / 1e9

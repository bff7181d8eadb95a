from dataclasses import replace

import pytest

from edgemoe_appliance.bench.prepare import chosen_experiments
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EvaluationConfig
from edgemoe_appliance.evaluation.forecast import LargerTwins
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.evaluation.setup import Room, larger_command, why_not_larger
from edgemoe_appliance.schema.choices import Order, RuntimeKind, TwinScale
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies import Study, read_study


@pytest.mark.parametrize(
    ("asked", "session"),
    [
        (EvaluationOptions(), "evaluate-host"),
        (
            EvaluationOptions(target="jetson", runtime=RuntimeKind.CONTAINER),
            "evaluate-jetson-container",
        ),
        (EvaluationOptions(twins=TwinScale.FULL), "evaluate-host-full-twins"),
        (EvaluationOptions(kick_the_tires=True), "kick-the-tires-thin-twins"),
        (EvaluationOptions(kick_the_tires=True, twins=TwinScale.TINY), "kick-the-tires-tiny-twins"),
        (EvaluationOptions(session="mine"), "mine"),
        (
            EvaluationOptions(kick_the_tires=True, twins=TwinScale.FULL),
            "kick-the-tires-full-twins",
        ),
        (EvaluationOptions(pin="b4447"), "evaluate-host-b4447"),
        (EvaluationOptions(kick_the_tires=True, pin="b11312"), "kick-the-tires-b11312-thin-twins"),
        (EvaluationOptions(experiments=("efficiency", "smoke")), "evaluate-host-efficiency-smoke"),
    ],
)
def test_equal_questions_get_equal_sessions(
    asked: EvaluationOptions, session: str, study: Study, config: EvaluationConfig
) -> None:
    evaluation = resolve(asked, study, config)
    assert evaluation.bench.session == session
    assert evaluation == resolve(asked, study, config)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (EvaluationOptions(target="toaster"), "unknown target 'toaster'"),
        (
            EvaluationOptions(target="m2", runtime=RuntimeKind.CONTAINER),
            "m2 cannot be measured in a container",
        ),
        (EvaluationOptions(kick_the_tires=True, target="jetson"), "on target host, native"),
        (
            EvaluationOptions(kick_the_tires=True, runtime=RuntimeKind.CONTAINER),
            "leave out --target",
        ),
        (EvaluationOptions(kick_the_tires=True, experiments=("smoke",)), "experiments of its own"),
        (EvaluationOptions(experiments=("nothing",)), "unknown experiment 'nothing'"),
        (EvaluationOptions(pin="b1"), "unknown pin 'b1'"),
        (EvaluationOptions(minutes=20), "--minutes says nothing without --kick-the-tires"),
    ],
)
def test_what_cannot_be_asked(
    asked: EvaluationOptions, words: str, study: Study, config: EvaluationConfig
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(asked, study, config)
    assert words in str(caught.value)


def test_a_target_without_experiments_is_told_what_to_do(
    study: Study, config: EvaluationConfig
) -> None:
    without = replace(study, suites=study.suites.model_copy(update={"evaluate": {}}))
    with pytest.raises(ConfigError) as caught:
        resolve(EvaluationOptions(), without, config)
    assert "has no experiments to evaluate on target host" in str(caught.value)


def test_a_session_of_many_experiments_still_has_a_name_of_its_own(
    study: Study, config: EvaluationConfig
) -> None:
    every = tuple(study.experiments)
    names = {
        resolve(EvaluationOptions(experiments=some), study, config).bench.session
        for some in (every, every[:-1], every[1:])
    }
    assert len(names) == 3
    assert max(map(len, names)) == 64


@pytest.mark.parametrize("pin", [None, "b4447"])
def test_the_pin_is_the_one_that_was_asked_for(
    pin: str | None, study: Study, config: EvaluationConfig
) -> None:
    assert resolve(EvaluationOptions(pin=pin), study, config).bench.pin == pin
    assert resolve(EvaluationOptions(kick_the_tires=True, pin=pin), study, config).bench.pin == pin


def test_several_sessions_are_numbered(study: Study, config: EvaluationConfig) -> None:
    three = resolve(EvaluationOptions(sessions=3, session="mine"), study, config)
    assert three.session_names == ("mine-1", "mine-2", "mine-3")
    assert resolve(EvaluationOptions(session="mine"), study, config).session_names == ("mine",)


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        (EvaluationOptions(), None),  # the experiments' own
        (EvaluationOptions(target="jetson"), Order.BLOCKED),  # the study's, on its device
        (EvaluationOptions(target="jetson", order=Order.RANDOMISED), Order.RANDOMISED),
        (EvaluationOptions(order=Order.BLOCKED), Order.BLOCKED),
    ],
)
def test_on_a_device_of_the_study_runs_follow_one_another_as_there(
    asked: EvaluationOptions, order: Order | None, study: Study, config: EvaluationConfig
) -> None:
    request = resolve(asked, study, config).bench
    assert request.order is order
    orders = {each.order for each in chosen_experiments(study, request).values()}
    assert orders == ({order} if order else {Order.COUNTERBALANCED})


def test_full_size_twins_run_what_shows_directions(study: Study, config: EvaluationConfig) -> None:
    full = resolve(EvaluationOptions(kick_the_tires=True, twins=TwinScale.FULL), study, config)
    assert full.bench.experiments == study.suites.directions
    none = replace(study, suites=study.suites.model_copy(update={"directions": ()}))
    full = resolve(EvaluationOptions(kick_the_tires=True, twins=TwinScale.FULL), none, config)
    assert full.bench.experiments == study.suites.kick_the_tires


NEEDED = LargerTwins(
    command="evaluate",
    machine_s=600,
    quiet_s=200,
    disk_bytes=8 * GB,
    memory_bytes=6 * GB,
    reason="",
)


@pytest.mark.parametrize(
    ("disk_gb", "memory_gb", "machine_s", "minutes", "reason"),
    [
        (20, 16, 600, 20, ""),
        (20, 16, 600, 10, ""),
        (20, 16, 601, 10, "10 min were allowed"),
        (20, 16, 600, None, "no time was allowed for it, see --minutes"),
        (20, 16, None, 20, "the time it takes is not known"),
        (8.5, 16, 600, 20, "8.50 GB of disk are free"),
        (20, 5.9, 600, 20, "5.90 GB of memory are free"),
    ],
)
def test_full_size_twins_are_taken_where_there_is_room_and_time(
    disk_gb: float,
    memory_gb: float,
    machine_s: float | None,
    minutes: float | None,
    reason: str,
) -> None:
    needed = replace(NEEDED, machine_s=machine_s)
    room = Room(disk_bytes=disk_gb * GB, memory_bytes=memory_gb * GB)
    found = replace(needed, reason=why_not_larger(needed, room, minutes))
    assert found.reason == reason
    assert found.is_taken is (reason == "")
    assert "8.00 GB of disk and 6.00 GB of memory" in found.text
    if reason:
        assert found.text.startswith("What shows directions on this machine: evaluate")
        assert f"Not done here: {reason}." in found.text


def test_the_command_for_directions_keeps_what_was_asked() -> None:
    asked = EvaluationOptions(kick_the_tires=True, pin="b4447", sessions=3, portable=True)
    assert larger_command(asked) == (
        "edgemoe-appliance evaluate --kick-the-tires --twins full --pin b4447 --portable "
        "--sessions 3"
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            EvaluationOptions(kick_the_tires=True, twins=TwinScale.TINY),
            "demo_divergence asks how good a model's answers are, and twins have none: their "
            "weights are random; measure the real models: edgemoe-appliance bench --study "
            "quantisation, without --twins",
        ),
        (EvaluationOptions(twins=TwinScale.THIN), "bits_divergence asks .* twins have none"),
    ],
)
def test_answers_are_judged_of_real_models(
    asked: EvaluationOptions, words: str, config: EvaluationConfig
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        resolve(asked, read_study("quantisation"), config)
    assert caught.value.exit_code == 2


def test_kick_the_tires_takes_real_models_where_answers_are_judged(
    config: EvaluationConfig,
) -> None:
    asked = EvaluationOptions(kick_the_tires=True)
    assert resolve(asked, read_study("quantisation"), config).bench.twins is None
    assert resolve(asked, read_study("moe-edge"), config).bench.twins is config.kick_the_tires.twins


def test_answers_may_be_judged_in_a_container(config: EvaluationConfig) -> None:
    asked = EvaluationOptions(runtime=RuntimeKind.CONTAINER)
    assert resolve(asked, read_study("quantisation"), config).runtime is RuntimeKind.CONTAINER

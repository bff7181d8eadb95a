from dataclasses import replace

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EvaluationConfig
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.studies import Study


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
        (EvaluationOptions(kick_the_tires=True, target="jetson"), "on target host, bare"),
        (
            EvaluationOptions(kick_the_tires=True, runtime=RuntimeKind.CONTAINER),
            "leave out --target",
        ),
        (EvaluationOptions(kick_the_tires=True, experiments=("smoke",)), "experiments of its own"),
        (EvaluationOptions(experiments=("nothing",)), "unknown experiment 'nothing'"),
        (EvaluationOptions(pin="b1"), "unknown pin 'b1'"),
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

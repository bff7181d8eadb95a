from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EVALUATION_FILE, EvaluationConfig, read_evaluation
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import Study

TEXT = (resource_folder("configs") / EVALUATION_FILE).read_text(encoding="utf-8")


def test_every_target_and_pin_of_ours_has_its_entries(
    config: EvaluationConfig, study: Study
) -> None:
    targets = study.configs.devices.targets
    limited = {name: limits for name in targets if (limits := study.configs.limits(name))}
    assert study.suites.evaluate.keys() == targets.keys() - limited.keys()
    assert config.paces.prompt_over_generation.keys() == targets.keys() - limited.keys()
    # Where a backend is limited, it computes none of this study's models.
    models = [study.configs.model(name) for name in study.models]
    assert all(limits.lacks(model) for limits in limited.values() for model in models)
    assert config.paces.source_mb.keys() == study.configs.engines.pins.keys()


def test_kicking_the_tires_feeds_every_table_but_that_of_a_second_engine(
    study: Study,
) -> None:
    experiments = map(study.experiment, study.suites.kick_the_tires)
    fed = {feeds for experiment in experiments for feeds in experiment.feeds}
    # Answers are asked of real models alone, and by another study.
    assert fed == set(Feeds) - {Feeds.ENGINE, Feeds.DIVERGENCE, Feeds.CHOICE}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  archive: 1\n", "", "lacks archive"),
        ("start_s: 0.5", "start_s: -1", "greater than or equal to 0"),
        ("twins: thin", "twins: huge", "thin"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    (tmp_path / EVALUATION_FILE).write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_evaluation(tmp_path)
    assert words in str(caught.value)
    assert f"{EVALUATION_FILE}:" in str(caught.value)

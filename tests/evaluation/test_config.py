from pathlib import Path

import pytest

from edgemoe_appliance.analysis.claims import Reference
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EVALUATION_FILE, EvaluationConfig, read_evaluation
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.resources import resource_folder

TEXT = (resource_folder("configs") / EVALUATION_FILE).read_text(encoding="utf-8")


def test_every_target_and_pin_of_ours_has_its_entries(
    config: EvaluationConfig, reference: Reference
) -> None:
    assert config.experiments.keys() == reference.configs.devices.targets.keys()
    assert config.paces.prompt_over_generation.keys() == reference.configs.devices.targets.keys()
    assert config.paces.source_mb.keys() == reference.configs.engines.pins.keys()


def test_kicking_the_tires_feeds_every_table_but_that_of_a_second_engine(
    config: EvaluationConfig, reference: Reference
) -> None:
    experiments = map(reference.configs.experiment, config.kick_the_tires.experiments)
    fed = {feeds for experiment in experiments for feeds in experiment.feeds}
    assert fed == set(Feeds) - {Feeds.ENGINE}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("host: [efficiency,", "host: [effciency,", "experiments.host: 'effciency' is not known"),
        ("[demo_efficiency,", "[nothing,", "kick_the_tires.experiments: 'nothing'"),
        ("  archive: 1\n", "", "lacks archive"),
        ("start_s: 0.5", "start_s: -1", "greater than or equal to 0"),
        ("twins: thin", "twins: huge", "thin"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, reference: Reference, old: str, new: str, words: str
) -> None:
    assert old in TEXT
    (tmp_path / EVALUATION_FILE).write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_evaluation(tmp_path, reference.configs)
    assert words in str(caught.value)
    assert f"{EVALUATION_FILE}:" in str(caught.value)


def test_a_target_of_the_user_s_own_needs_no_entry(tmp_path: Path, reference: Reference) -> None:
    shorter = "\n".join(line for line in TEXT.splitlines() if not line.startswith("  cuda: ["))
    (tmp_path / EVALUATION_FILE).write_text(shorter, encoding="utf-8")
    assert "cuda" not in read_evaluation(tmp_path, reference.configs).experiments

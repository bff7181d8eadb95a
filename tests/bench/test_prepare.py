"""Which models a request concerns, and what an entry that nothing uses may cost: nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.prepare import (
    BenchRequest,
    expected_model_bytes,
    obtain_model,
    require_assessable,
    require_models,
    supply_engines,
    used_models,
    wanted_models,
)
from edgemoe_appliance.bench.progress import Steps
from edgemoe_appliance.bench.runtime import EngineRequest, Supply
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.models.ggml_types import GGML_TYPES
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.configs import Configs, ModelEntry, ModelsConfig
from edgemoe_appliance.studies import Study, read_study
from tests.evaluation.standins import StandInAudience

UNUSABLE = ModelEntry(
    name="Unusable",
    architecture="qwen3moe",
    quantization="IQ1_S",
    licence="none",
    repository="nobody/nothing",
    file="nothing.gguf",
)


@pytest.fixture
def study() -> Study:
    """The study with an entry that no experiment runs and no twin can be written of."""
    known = read_study()
    models = ModelsConfig(models={"unusable": UNUSABLE, **known.configs.models.models})
    return replace(known, configs=known.configs.model_copy(update={"models": models}))


def request(**changes: object) -> BenchRequest:
    given = BenchRequest(
        target="host", experiments=("smoke",), session="s", pin=None, twins=TwinScale.TINY
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def test_an_entry_that_nothing_uses_concerns_nobody(study: Study, tmp_path: Path) -> None:
    assert "unusable" not in used_models(study)
    assert len(used_models(study)) == 4
    sizes = expected_model_bytes(study.configs, used_models(study), None, tmp_path)
    assert len(sizes) == 4
    assert sum(sizes) < 8e9
    tiny = expected_model_bytes(
        study.configs, wanted_models(study, request()), TwinScale.TINY, tmp_path
    )
    assert sum(tiny) < 20e6


def test_a_size_that_nobody_can_tell_is_left_out(study: Study, tmp_path: Path) -> None:
    assert expected_model_bytes(study.configs, ["unusable"], None, tmp_path) == ()
    (tmp_path / "nothing.gguf").write_bytes(b"12345")
    assert expected_model_bytes(study.configs, ["unusable"], None, tmp_path) == (5,)
    with pytest.raises(ConfigError, match="unusable has no shape"):
        expected_model_bytes(study.configs, ["unusable"], TwinScale.TINY, tmp_path)


def test_models_can_be_named_in_place_of_the_experiments_own(study: Study) -> None:
    assert wanted_models(study, request(models=("gemma-2-2b",))) == ("gemma-2-2b",)
    with pytest.raises(ConfigError, match="unknown model 'gemma'"):
        wanted_models(study, request(models=("gemma",)))


def test_missing_models_are_told_with_what_fetches_them(study: Study, tmp_path: Path) -> None:
    folders = Folders(
        cache=tmp_path, models=tmp_path, sessions=tmp_path, results=tmp_path, images=tmp_path
    )
    asked = request(twins=None, models=("llama-3.2-1b", "gemma-2-2b"))
    with pytest.raises(HostError, match=r"2 of 2 models are missing: llama-3\.2-1b, gemma-2-2b"):
        require_models(study, asked, folders)
    (tmp_path / study.configs.model("llama-3.2-1b").file).write_bytes(b"is there")
    with pytest.raises(HostError, match=r"1 of 2 .*models fetch gemma-2-2b; or .*--twins full"):
        require_models(study, asked, folders)
    require_models(study, request(models=("gemma-2-2b",)), folders)


def test_a_tensor_type_that_the_pin_does_not_know_is_refused(study: Study, tmp_path: Path) -> None:
    folders = Folders(
        cache=tmp_path, models=tmp_path, sessions=tmp_path, results=tmp_path, images=tmp_path
    )
    steps: Steps = StandInAudience()
    old = {code: kind for code, kind in GGML_TYPES.items() if kind.name != "Q6_K"}
    with pytest.raises(ConfigError, match="is of type Q6_K, which"):
        obtain_model(study.configs, "llama-3.2-1b", TwinScale.TINY, folders, steps, {"old": old})
    new = {"new": GGML_TYPES, "untold": {}}
    assert (
        obtain_model(study.configs, "llama-3.2-1b", TwinScale.TINY, folders, steps, new).twin_scale
        == "tiny"
    )


@pytest.mark.parametrize(
    ("experiment", "twins", "kind", "words"),
    [
        ("demo_items", TwinScale.TINY, RuntimeKind.NATIVE, "demo_items asks .* twins have none"),
        ("demo_items", None, RuntimeKind.CONTAINER, "demo_items asks .* images lack"),
        ("demo_items", None, RuntimeKind.NATIVE, None),
        ("demo_speed", TwinScale.TINY, RuntimeKind.NATIVE, None),
        ("demo_speed", None, RuntimeKind.CONTAINER, None),
    ],
)
def test_answers_are_judged_of_real_models_run_bare(
    experiment: str, twins: TwinScale | None, kind: RuntimeKind, words: str | None
) -> None:
    asked = request(experiments=("demo_speed", experiment), twins=twins)
    quantisation = read_study("quantisation")
    if words is None:
        require_assessable(quantisation, asked, kind)
        return
    with pytest.raises(ConfigError, match=words):
        require_assessable(quantisation, asked, kind)


def test_answers_of_twins_are_refused_before_an_engine_is_supplied() -> None:
    class Untouched:
        def supply(self, configs: Configs, wanted: EngineRequest, steps: Steps) -> Supply:
            raise AssertionError("an engine was supplied")

    asked = request(experiments=("demo_divergence",))
    with pytest.raises(ConfigError, match="twins have none"):
        supply_engines(read_study("quantisation"), asked, Untouched(), StandInAudience())


def test_stand_ins_are_not_offered_where_answers_are_judged(tmp_path: Path) -> None:
    folders = Folders(
        cache=tmp_path, models=tmp_path, sessions=tmp_path, results=tmp_path, images=tmp_path
    )
    asked = request(experiments=("demo_items",), twins=None)
    with pytest.raises(HostError, match=r"models fetch smollm2-135m$"):
        require_models(read_study("quantisation"), asked, folders)

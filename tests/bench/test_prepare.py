"""Which models a request concerns, and what an entry that nothing uses may cost: nothing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.prepare import (
    BenchRequest,
    check_computed,
    chosen_experiments,
    expected_model_bytes,
    obtain_model,
    require_architectures,
    require_assessable,
    require_models,
    supply_engines,
    used_models,
    wanted_models,
)
from edgemoe_appliance.bench.progress import Steps
from edgemoe_appliance.bench.runtime import EngineRequest, Supply
from edgemoe_appliance.engine.source import read_architectures
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.models.ggml_types import GGML_TYPES
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import BackendLimits, Configs, ModelEntry, ModelsConfig
from edgemoe_appliance.schema.findings import Level
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
    ("experiment", "twins", "words"),
    [
        ("demo_items", TwinScale.TINY, "demo_items asks .* twins have none"),
        ("demo_items", None, None),
        ("demo_speed", TwinScale.TINY, None),
    ],
)
def test_answers_are_judged_of_real_models(
    experiment: str, twins: TwinScale | None, words: str | None
) -> None:
    asked = request(experiments=("demo_speed", experiment), twins=twins)
    quantisation = read_study("quantisation")
    if words is None:
        require_assessable(quantisation, asked)
        return
    with pytest.raises(ConfigError, match=words):
        require_assessable(quantisation, asked)


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


def on_ascend(**changes: object) -> BenchRequest:
    return request(target="ascend", twins=None, **changes)


def test_what_a_backend_does_not_compute_is_left_out_and_told() -> None:
    quantisation = read_study("quantisation")
    asked = on_ascend(experiments=("bits_divergence", "bits_speed"))
    left = ("smollm2-135m-f16", "smollm2-135m-q8_0", "smollm2-135m-q4_0")
    for experiment in chosen_experiments(quantisation, asked).values():
        assert experiment.models == left
    (finding,) = check_computed(quantisation, asked)
    assert finding.level is Level.WARN
    assert "not tested: the backend does not compute Q6_K (smollm2-135m-q6_k)" in finding.seen
    assert "TQ2_0 (smollm2-135m-tq2_0)" in finding.seen
    on_host = request(experiments=asked.experiments, twins=None)
    assert not [*check_computed(quantisation, on_host)]
    assert len(chosen_experiments(quantisation, on_host)["bits_speed"].models) == 12


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("smollm2-135m-q4_k_m", r"does not compute Q4_K_M \(smollm2-135m-q4_k_m\)"),
        ("olmoe-1b-7b-f16", r"does not compute experts \(olmoe-1b-7b-f16\)"),
    ],
)
def test_nothing_that_a_backend_computes_is_nothing_to_run(model: str, words: str) -> None:
    asked = on_ascend(experiments=("bits_speed",), models=(model,))
    with pytest.raises(ConfigError, match=words) as caught:
        chosen_experiments(read_study("quantisation"), asked)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "without", "experts", "words"),
    [
        ("llama-3.2-1b", "", False, None),
        ("olmoe-1b-7b", "", True, None),
        ("llama-3.2-1b", "Q6_K", True, "target board does not compute Q6_K, as tensor"),
        ("olmoe-1b-7b", "", False, "target board does not compute experts, as tensor"),
    ],
)
def test_a_file_is_asked_tensor_by_tensor_what_a_backend_computes(
    name: str, without: str, experts: bool, words: str | None, study: Study, tmp_path: Path
) -> None:
    """A file named Q4_0 may hold its output in six bits."""
    folders = Folders(
        cache=tmp_path, models=tmp_path, sessions=tmp_path, results=tmp_path, images=tmp_path
    )
    steps: Steps = StandInAudience()
    weights = tuple(each.name for each in GGML_TYPES.values() if each.name != without)
    computed = ("board", BackendLimits(weights=weights, experts=experts))
    with nullcontext() if words is None else pytest.raises(ConfigError, match=words):
        obtain_model(study.configs, name, TwinScale.TINY, folders, steps, computed=computed)


@pytest.mark.parametrize(
    ("pins", "has_bf16", "has_experts"),
    [
        ((), False, False),
        ((None,), False, False),  # whichever is taken, it is one of the first
        (("b4447",), False, False),
        (("b5763",), False, True),
        (("b11312",), True, True),
        (("b11312", "b5763"), False, True),
        (("b11312", "b4447"), False, False),
    ],
)
def test_what_a_backend_computes_is_that_of_the_pins(
    pins: tuple[str | None, ...], has_bf16: bool, has_experts: bool, study: Study
) -> None:
    limits = study.configs.limits("ascend", pins)
    assert limits is not None
    assert {"F16", "Q8_0", "Q4_0"} <= set(limits.weights)
    assert ("BF16" in limits.weights, limits.experts) == (has_bf16, has_experts)
    assert not {"Q4_K", "Q4_K_M", "IQ2_XS"} & set(limits.weights)


@pytest.mark.parametrize(
    ("known", "is_refused"),
    [({"llama"}, True), ({"llama", "pangu-embedded"}, False), (set[str](), False)],
)
def test_a_pin_that_does_not_know_an_architecture_is_refused(
    known: set[str], is_refused: bool
) -> None:
    supply = Supply(
        kind="native",
        engines={},
        image=None,
        launcher=NativeLauncher(),
        architectures={"b4447": frozenset(known)},
    )
    asked = (read_study("quantisation"), ("llama-3.2-1b-f16", "openpangu-1b-q8_0"), supply)
    if not is_refused:
        require_architectures(*asked)
        return
    with pytest.raises(ConfigError) as caught:
        require_architectures(*asked)
    assert str(caught.value) == (
        "llama.cpp b4447 does not know the architecture pangu-embedded of openpangu-1b-q8_0; "
        "name a newer --pin, or other models with --model"
    )


def test_architectures_are_those_that_a_source_names(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/llama-arch.cpp").write_text(
        'x = {\n    { LLM_ARCH_OLMOE,            "olmoe"            },\n'
        '    { LLM_ARCH_PANGU_EMBED,      "pangu-embedded"   },\n'
        '    { LLM_KV_GENERAL_TYPE,       "general.type"     },\n};\n'
    )
    assert read_architectures(tmp_path) == {"olmoe", "pangu-embedded"}
    assert read_architectures(tmp_path / "src") == set()

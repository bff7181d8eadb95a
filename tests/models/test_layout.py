from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.models.gguf import TensorInfo
from edgemoe_appliance.models.layout import build_tensors, scaled_shape
from edgemoe_appliance.models.twin import build_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig

CASES = Path(__file__).parents[2] / "../shared/cases/engine"

# Files of the study as published; the size of the OLMoE file is that of Ai2's own upload.
REAL_BYTES = {
    "olmoe-1b-7b": 4_213_512_672,
    "llama-3.2-1b": 807_694_464,
    "qwen2.5-1.5b": 986_048_768,
    "gemma-2-2b": 1_708_582_752,
}


def case_entry(name: str) -> tuple[str, ModelEntry]:
    path = CASES / f"{name}.yaml"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    ((model_id, entry),) = yaml.safe_load(path.read_text()).items()
    return model_id, ModelEntry.model_validate(entry)


def tensors_of(models: ModelsConfig, model_id: str, scale: TwinScale) -> dict[str, TensorInfo]:
    entry = models.models[model_id]
    tensors = build_tensors(entry.architecture, scaled_shape(entry, scale))
    return {tensor.name: tensor for tensor in tensors}


@pytest.mark.parametrize("model_id", REAL_BYTES)
def test_full_twins_are_as_large_as_the_files(models: ModelsConfig, model_id: str) -> None:
    plan = build_twin(models.models[model_id], model_id, TwinScale.FULL)
    assert plan.file_bytes == pytest.approx(REAL_BYTES[model_id], rel=0.01)


@pytest.mark.parametrize(
    ("model_id", "q4_k", "q6_k", "f32"),
    [
        ("olmoe-1b-7b", 97, 17, 81),
        ("llama-3.2-1b", 96, 17, 34),
        ("qwen2.5-1.5b", 168, 29, 141),
        ("gemma-2-2b", 156, 27, 105),
    ],
)
def test_types_are_those_of_q4_k_m(
    models: ModelsConfig, model_id: str, q4_k: int, q6_k: int, f32: int
) -> None:
    tensors = tensors_of(models, model_id, TwinScale.FULL)
    assert Counter(t.type.name for t in tensors.values()) == {
        "Q4_K": q4_k,
        "Q6_K": q6_k,
        "F32": f32,
    }


def test_sensitive_tensors_keep_more_bits(models: ModelsConfig) -> None:
    tensors = tensors_of(models, "llama-3.2-1b", TwinScale.FULL)
    richer = {
        name.removeprefix("blk.").split(".")[0]
        for name, tensor in tensors.items()
        if name.endswith("attn_v.weight") and tensor.type.name == "Q6_K"
    }
    assert sorted(map(int, richer)) == [0, 1, 4, 7, 10, 13, 14, 15]
    assert tensors["token_embd.weight"].type.name == "Q6_K"  # it is the head as well
    assert tensors["blk.0.attn_k.weight"].type.name == "Q4_K"
    assert tensors["rope_freqs.weight"].shape == (32,)


def test_tensors_of_olmoe(models: ModelsConfig) -> None:
    tensors = tensors_of(models, "olmoe-1b-7b", TwinScale.FULL)
    assert tensors["blk.15.ffn_gate_exps.weight"].shape == (2048, 1024, 64)
    assert tensors["blk.15.ffn_down_exps.weight"].shape == (1024, 2048, 64)
    assert tensors["blk.0.ffn_gate_inp.weight"].type.name == "F32"
    assert tensors["blk.0.attn_q_norm.weight"].shape == (2048,)
    assert tensors["token_embd.weight"].type.name == "Q4_K"
    assert tensors["output.weight"].type.name == "Q6_K"


def test_tensors_of_the_dense_models(models: ModelsConfig) -> None:
    qwen = tensors_of(models, "qwen2.5-1.5b", TwinScale.FULL)
    assert qwen["blk.27.attn_k.bias"].shape == (256,)
    assert qwen["blk.27.ffn_down.weight"].shape == (8960, 1536)
    gemma = tensors_of(models, "gemma-2-2b", TwinScale.FULL)
    assert gemma["blk.25.post_ffw_norm.weight"].shape == (2304,)
    assert gemma["blk.25.attn_output.weight"].shape == (2048, 2304)
    assert "output.weight" not in gemma


@pytest.mark.parametrize("scale", TwinScale)
@pytest.mark.parametrize("model_id", REAL_BYTES)
def test_tensors_lie_one_behind_the_other(
    models: ModelsConfig, model_id: str, scale: TwinScale
) -> None:
    end = 0
    for tensor in tensors_of(models, model_id, scale).values():
        assert tensor.offset % 32 == 0
        assert end <= tensor.offset < end + 32
        end = tensor.offset + tensor.n_bytes


def test_thin_twins_keep_the_ratios_between_the_models(models: ModelsConfig) -> None:
    for model_id, real_bytes in REAL_BYTES.items():
        entry = models.models[model_id]
        shape = scaled_shape(entry, TwinScale.THIN)
        assert shape.vocab_size == entry.shape_of(model_id).vocab_size // 8
        plan = build_twin(entry, model_id, TwinScale.THIN)
        # Qwen has 28 layers: an eighth is 3.5, and 4 are kept.
        tolerance = 0.12 if entry.architecture == "qwen2" else 0.02
        assert plan.file_bytes * 8 == pytest.approx(real_bytes, rel=tolerance)


def test_thin_twins_have_true_layers(models: ModelsConfig) -> None:
    for model_id in ("olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b"):
        thin = tensors_of(models, model_id, TwinScale.THIN)
        full = tensors_of(models, model_id, TwinScale.FULL)
        for name, tensor in thin.items():
            if name.startswith("blk."):
                assert tensor.shape == full[name].shape
    assert scaled_shape(models.models["olmoe-1b-7b"], TwinScale.THIN).block_count == 2
    assert scaled_shape(models.models["qwen2.5-1.5b"], TwinScale.THIN).block_count == 4


def test_gemma_keeps_the_layers_that_the_engine_asks_for(models: ModelsConfig) -> None:
    for scale in TwinScale:
        assert scaled_shape(models.models["gemma-2-2b"], scale).block_count == 26


def test_olmoe_never_has_eight_experts(models: ModelsConfig) -> None:
    for scale in TwinScale:
        assert scaled_shape(models.models["olmoe-1b-7b"], scale).expert_count in {16, 64}


# Sizes of published uploads, in bytes; their metadata weigh up to some MB.
@pytest.mark.parametrize(
    ("case", "file_bytes"),
    [
        ("qwen05_entry", 397_808_192),  # bartowski's, rows of 896
        ("smollm2_entry", 98_362_432),  # QuantFactory's Q4_1, rows of 576
        ("mixtral_entry", 28_446_410_624),  # mradermacher's, eight experts
    ],
)
def test_twins_of_other_models_are_as_large_as_their_files(case: str, file_bytes: int) -> None:
    model_id, entry = case_entry(case)
    plan = build_twin(entry, model_id, TwinScale.FULL)
    assert plan.file_bytes == pytest.approx(file_bytes, rel=0.01)


# Sizes in bytes of the uploads of Llama-3.2-1B-Instruct in other quantisations (bartowski).
@pytest.mark.parametrize(
    ("quantization", "file_bytes"),
    [
        ("F16", 2_479_595_264),
        ("Q8_0", 1_321_083_008),
        ("Q6_K", 1_021_800_576),
        ("Q5_K_M", 911_503_488),
        ("Q5_K_S", 892_563_584),
        ("Q4_K_S", 775_647_360),
        ("Q4_0", 773_025_920),
        ("Q3_K_L", 732_524_672),
        ("IQ4_XS", 743_140_480),
    ],
)
def test_a_quantisation_has_its_size(
    models: ModelsConfig, quantization: str, file_bytes: int
) -> None:
    entry = models.models["llama-3.2-1b"].model_copy(update={"quantization": quantization})
    plan = build_twin(entry, "llama-3.2-1b", TwinScale.FULL)
    assert plan.file_bytes == pytest.approx(file_bytes, rel=0.011)


def test_the_mixture_of_a_dense_architecture_has_experts() -> None:
    _, entry = case_entry("mixtral_entry")
    kinds = {t.name: (t.type.name, t.shape) for t in build_tensors("llama", entry.shape_of("m"))}
    assert kinds["blk.0.ffn_up_exps.weight"] == ("Q4_K", (4096, 14336, 8))
    assert kinds["blk.0.attn_v.weight"][0] == kinds["blk.0.attn_k.weight"][0] == "Q8_0"
    assert kinds["blk.0.attn_output.weight"][0] == "Q5_K"
    assert kinds["blk.0.ffn_gate_inp.weight"] == ("F32", (4096, 8))
    assert "rope_freqs.weight" not in kinds


@pytest.mark.parametrize(
    ("width", "kinds"),
    [(896, ("Q5_0", "Q8_0")), (1024, ("Q4_K", "Q6_K")), (1000, ("F16", "F16"))],
)
def test_rows_that_do_not_fill_blocks_get_another_type(
    models: ModelsConfig, width: int, kinds: tuple[str, str]
) -> None:
    shape = models.models["qwen2.5-1.5b"].shape_of("m")
    shape = shape.model_copy(update={"embedding_length": width})
    types = {t.name: t.type.name for t in build_tensors("qwen2", shape)}
    assert (types["blk.5.attn_k.weight"], types["blk.0.attn_v.weight"]) == kinds


@pytest.mark.parametrize("quantization", ["IQ2_XXS", "MXFP4_MOE", "Q4_0_4_4", "q4"])
def test_a_quantisation_that_no_twin_can_have_is_refused(
    models: ModelsConfig, quantization: str
) -> None:
    shape = models.models["qwen2.5-1.5b"].shape_of("m")
    message = f"no twin can be written in quantization {quantization}"
    with pytest.raises(ConfigError, match=message):
        build_tensors("qwen2", shape, quantization)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expert_count": 0, "expert_used_count": 0}, "parameters, 46702792704 are published"),
        ({"expert_used_count": 0}, "0 of 8 experts used per token"),
        ({"block_count": 31}, "parameters, 46702792704 are published"),
        ({"expert_used_count": 3}, "active parameters, 12879425536 are published"),
        ({"tied_embeddings": True}, "parameters, 46702792704 are published"),
        ({"tokenizer": "smollm"}, "no twin can have the tokenizer smollm"),
        ({"head_count_kv": 7}, "32 heads cannot share 7 of keys"),
    ],
)
def test_a_twin_of_another_model_is_refused(change: dict[str, object], message: str) -> None:
    model_id, entry = case_entry("mixtral_entry")
    shape = entry.shape_of(model_id).model_copy(update=change)
    with pytest.raises(ConfigError) as caught:
        build_twin(entry.model_copy(update={"shape": shape}), model_id, TwinScale.TINY)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": None}, "has no shape, which a twin is written from"),
        ({"architecture": "qwen3moe"}, "no twin can be written of architecture qwen3moe"),
        ({"architecture": "qwen2"}, "experts in the shape of an architecture without any"),
    ],
)
def test_an_entry_that_no_twin_can_have_is_refused(change: dict[str, object], message: str) -> None:
    model_id, entry = case_entry("mixtral_entry")
    with pytest.raises(ConfigError) as caught:
        build_twin(entry.model_copy(update=change), model_id, TwinScale.TINY)
    assert message in str(caught.value)

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.arithmetic import ModelCounts, TokenWork, count_model
from edgemoe_appliance.models.ggml_types import F32, Q4_K
from edgemoe_appliance.models.gguf import GgufHeader, ValueType, read_header
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue
from edgemoe_appliance.models.twin import build_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelsConfig
from tests.models import files
from tests.models.published import PUBLISHED

KIB = 1024
WEIGHT = ("output.weight", 8)


@pytest.fixture(scope="module")
def full(models: ModelsConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, GgufHeader]:
    """Headers of full-scale files, read from files whose gigabytes of data are holes."""
    folder = tmp_path_factory.mktemp("full")
    headers = {}
    for model_id, entry in models.models.items():
        plan = build_twin(entry, model_id, TwinScale.FULL)
        path = folder / f"{model_id}.gguf"
        path.write_bytes(plan.header)
        with path.open("r+b") as file:
            file.truncate(plan.file_bytes)
        headers[model_id] = read_header(path)
        path.unlink()
    return headers


def test_parameters_are_the_published_ones(
    full: dict[str, GgufHeader], models: ModelsConfig
) -> None:
    for model_id, entry in models.models.items():
        counts = count_model(full[model_id])
        assert counts.parameters_total == entry.published_parameters_total
        assert counts.parameters_active == entry.published_parameters_active


@pytest.mark.parametrize(
    ("model_id", "total_b", "active_b", "kv_kib"),
    [
        ("olmoe-1b-7b", 6.92, 1.28, 128),
        ("llama-3.2-1b", 1.24, 1.24, 32),
        ("qwen2.5-1.5b", 1.54, 1.54, 28),
        ("gemma-2-2b", 2.61, 2.61, 104),
    ],
)
def test_counts_at_full_scale(
    full: dict[str, GgufHeader], model_id: str, total_b: float, active_b: float, kv_kib: int
) -> None:
    counts = count_model(full[model_id])
    assert round(counts.parameters_total / 1e9, 2) == total_b
    assert round(counts.parameters_active / 1e9, 2) == active_b
    assert counts.kv_bytes_per_token == kv_kib * KIB


def test_weight_bytes_of_olmoe_are_those_that_llama_bench_reports(
    full: dict[str, GgufHeader],
) -> None:
    # "model_size" of llama-bench for the real olmoe-1b-7b-0924-instruct-q4_k_m.gguf.
    assert count_model(full["olmoe-1b-7b"]).weight_bytes == 4_211_730_432


def test_bytes_per_token(full: dict[str, GgufHeader]) -> None:
    olmoe = count_model(full["olmoe-1b-7b"])
    assert olmoe.expert_count == 64
    assert olmoe.expert_used_count == 8
    # By hand: 8 of 64 experts, attention, router, norms and the head; not the embedding.
    tensors = {tensor.name: tensor for tensor in full["olmoe-1b-7b"].tensors}
    experts = sum(t.n_bytes for name, t in tensors.items() if "_exps" in name)
    embedding = tensors["token_embd.weight"].n_bytes
    rest = sum(t.n_bytes for t in tensors.values()) - experts - embedding
    assert olmoe.work.read_bytes == experts // 8 + rest
    assert 0.70e9 < olmoe.work.read_bytes < 0.76e9
    for model_id in ("llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"):
        dense = count_model(full[model_id])
        assert dense.work.read_bytes == dense.weight_bytes  # the tied embedding is the head
        assert dense.expert_count == 0


def header_of(folder: Path, entries: files.Metadata, *tensors: tuple[str, int]) -> GgufHeader:
    """Return a header with F32 tensors of the given names and numbers of weights."""
    placed, offset = [], 0
    for name, elements in tensors:
        placed.append(files.tensor(name, (elements,), offset=offset))
        offset = placed[-1].offset + -(-elements * 4 // 32) * 32
    return read_header(files.write(folder, files.gguf_bytes(entries, placed)))


def test_an_untied_embedding_is_not_read(tmp_path: Path) -> None:
    header = header_of(tmp_path, files.metadata(), ("token_embd.weight", 64), ("output.weight", 32))
    counts = count_model(header)
    assert counts.work.read_bytes == 32 * 4
    assert counts.weight_bytes == 96 * 4
    assert counts.parameters_total == 96


def test_tables_of_the_format_are_no_parameters(tmp_path: Path) -> None:
    header = header_of(tmp_path, files.metadata(), ("rope_freqs.weight", 32), ("output.weight", 32))
    assert count_model(header).parameters_total == 32


@pytest.mark.parametrize("names", [(), ("rope_freqs.weight",)])
def test_a_file_without_weights_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    header = header_of(tmp_path, files.metadata(), *((name, 8) for name in names))
    with pytest.raises(RecordError, match="no weights in it, as in a file that holds a vocabulary"):
        count_model(header)


def test_kv_bytes_where_blocks_differ(tmp_path: Path) -> None:
    kv_heads = TypedArray(type=ValueType.UINT32, values=[2, 0, 1])
    change: files.Metadata = {
        "llama.block_count": files.number(3),
        "llama.attention.head_count_kv": kv_heads,
    }
    entries = files.metadata(**change)
    # head width 256 / 4 = 64, keys and values, f16
    assert count_model(header_of(tmp_path, entries, WEIGHT)).kv_bytes_per_token == 3 * 128 * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llama.block_count": files.number(0)}, "llama.block_count is 0, not between 1"),
        ({"llama.block_count": files.number(2**31)}, "llama.block_count is 2147483648, not"),
        (
            {"llama.attention.head_count_kv": TypedArray(type=ValueType.UINT32, values=[1, 2])},
            "llama.attention.head_count_kv does not hold one number for each of 1 blocks",
        ),
        (
            {"llama.attention.head_count_kv": TypedValue(type=ValueType.FLOAT32, value=2.0)},
            "llama.attention.head_count_kv is not a whole number",
        ),
    ],
)
def test_metadata_that_cannot_be(tmp_path: Path, change: files.Metadata, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        count_model(header_of(tmp_path, files.metadata(**change), WEIGHT))
    assert message in str(caught.value)
    assert "use a GGUF file that llama.cpp can load" in str(caught.value)


def test_missing_metadata_are_named(tmp_path: Path) -> None:
    entries = files.metadata()
    del entries["llama.block_count"]
    with pytest.raises(RecordError, match=r"llama\.block_count is missing"):
        count_model(header_of(tmp_path, entries, WEIGHT))


@pytest.mark.parametrize(
    ("experts", "used", "message"),
    [
        (None, 2, "2 of 0 experts used per token"),
        (4, None, "0 of 4 experts used per token"),
        (4, 5, "5 of 4 experts used per token"),
        (16, 2, "blk.0.ffn_up_exps.weight holds 4 experts, not 16"),
    ],
)
def test_experts_that_do_not_add_up(
    tmp_path: Path, experts: int | None, used: int | None, message: str
) -> None:
    numbers = {"llama.expert_count": experts, "llama.expert_used_count": used}
    more: files.Metadata = {
        key: files.number(value) for key, value in numbers.items() if value is not None
    }
    stack = files.tensor("blk.0.ffn_up_exps.weight", (256, 2, 4), kind=Q4_K)
    data = files.gguf_bytes(files.metadata(**more), [stack])
    header = read_header(files.write(tmp_path, data))
    with pytest.raises(RecordError, match=message):
        count_model(header)


def test_counts_of_a_small_mixture(tmp_path: Path) -> None:
    more = {"llama.expert_count": files.number(4), "llama.expert_used_count": files.number(1)}
    tensors = [
        files.tensor("blk.0.ffn_up_exps.weight", (256, 2, 4), kind=Q4_K),
        files.tensor("output.weight", (8, 2), offset=1152, kind=F32),
    ]
    path = files.write(tmp_path, files.gguf_bytes(files.metadata(**more), tensors))
    assert count_model(read_header(path)) == ModelCounts(
        parameters_total=2048 + 16,
        parameters_active=512 + 16,
        work=TokenWork(
            read_bytes=288 + 64,
            head_bytes=64,
            multiplied_parameters=512 + 16,
            attention_flops_per_position=2 * 4 * (64 + 64),
        ),
        weight_bytes=1152 + 64,
        kv_bytes_per_token=2 * 64 * 2 * 2,
        expert_count=4,
        expert_used_count=1,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_of_published_models(tmp_path: Path, name: str) -> None:
    model = PUBLISHED[name]()
    header = model.header(tmp_path / "model.gguf")
    counts = count_model(header, is_head_stored_twice=model.is_head_stored_twice)
    assert counts.parameters_total == model.total
    assert counts.parameters_active == model.active
    embedding = header.tensor("token_embd.weight")
    assert embedding is not None
    as_said = counts.parameters_active - model.left_out * embedding.elements
    assert as_said == pytest.approx(model.said_active_b * 1e9, rel=0.03)


@pytest.mark.parametrize(
    ("name", "kv_bytes"),
    [
        ("DeepSeek-V2-Lite", 27 * 16 * (192 + 128) * 2),  # keys and values unfolded
        ("GLM-4.5-Air", 46 * 8 * 256 * 2),  # not the block that predicts
        ("Falcon-Mamba-7B", 0),
        ("LFM2-1.2B", 6 * 8 * 128 * 2),
    ],
)
def test_blocks_that_keep_keys(tmp_path: Path, name: str, kv_bytes: int) -> None:
    assert count_model(PUBLISHED[name]().header(tmp_path / "m.gguf")).kv_bytes_per_token == kv_bytes


def test_a_head_stored_twice_is_read_once(tmp_path: Path) -> None:
    model = PUBLISHED["Qwen2.5-1.5B, head stored twice"]()
    header = model.header(tmp_path / "model.gguf")
    assert count_model(header, is_head_stored_twice=False).parameters_total == 1_777_088_000
    assert count_model(header).parameters_total == 1_543_714_304  # known of this checkpoint
    counts = count_model(header, is_head_stored_twice=True)
    assert counts.weight_bytes - counts.work.read_bytes == 2 * 151936 * 1536


@pytest.mark.parametrize(
    ("name", "shape", "read"),
    [
        ("blk.0.ffn_gate_inp_shexp.weight", (64,), 1.0),
        ("blk.0.ffn_up_shexp.weight", (64, 2), 1.0),
        ("blk.0.ffn_norm_exps.weight", (64,), 1.0),  # one norm before all experts
        ("blk.0.exp_probs_b", (4,), 1.0),
        ("blk.0.ffn_down_exps.bias", (64, 4), 0.25),
        ("blk.0.ffn_gate_up_exps.weight", (64, 2, 4), 0.25),
        ("blk.0.attn_kv_b.weight", (64, 4), 1.0),
        ("blk.0.ssm_a", (16, 4), 1.0),
        ("position_embd.weight", (64, 4), 0.0),
        ("per_layer_token_embd.weight", (64, 4), 0.0),
        ("blk.0.attn_rel_b.weight", (64, 4), 0.0),
        ("cls.output.weight", (64, 4), 0.0),
        ("enc.blk.0.ffn_up.weight", (64, 4), 0.0),
        ("dec.blk.0.ffn_up.weight", (64, 4), 1.0),
        ("dec.blk.0.cross_attn_k.weight", (64, 4), 1.0),
        ("blk.0.vis_up.weight", (64, 4), 0.0),
        ("blk.1.attn_norm.weight", (64,), 0.0),  # the block that predicts
        ("blk.1.nextn.eh_proj.weight", (64, 4), 0.0),
    ],
)
def test_what_a_token_reads(tmp_path: Path, name: str, shape: tuple[int, ...], read: float) -> None:
    more = {
        "llama.block_count": files.number(2),
        "llama.nextn_predict_layers": files.number(1),
        "llama.expert_count": files.number(4),
        "llama.expert_used_count": files.number(1),
    }
    output = files.tensor("output.weight", (8, 4))
    tensors = [output, files.tensor(name, shape, offset=128)]
    data = files.gguf_bytes(files.metadata(**more), tensors)
    counts = count_model(read_header(files.write(tmp_path, data)))
    assert counts.work.read_bytes - output.n_bytes == tensors[1].n_bytes * read


@pytest.mark.parametrize(
    "name",
    ["blk.0.ffn_quux.weight", "quux.weight", "blk.0.ffn_gate_exps", "v.blk.0.attn_q.weight", "blk"],
)
def test_a_tensor_without_a_rule_is_refused_by_name(tmp_path: Path, name: str) -> None:
    if name == "blk.0.ffn_gate_exps":  # a known name whose ending is none of llama.cpp's
        name += ".quux"
    header = header_of(tmp_path, files.metadata(), WEIGHT, (name, 8))
    with pytest.raises(RecordError) as caught:
        count_model(header)
    assert f"tensor {name} fits no rule for what a token reads" in str(caught.value)


def test_every_expert_of_a_block_is_there(tmp_path: Path) -> None:
    more = {"llama.expert_count": files.number(4), "llama.expert_used_count": files.number(2)}
    apart = [(f"blk.0.ffn_up.{expert}.weight", 8) for expert in range(3)]
    header = header_of(tmp_path, files.metadata(**more), WEIGHT, *apart)
    with pytest.raises(RecordError, match=r"block 0 holds 3 experts of ffn_up\.weight, not 4"):
        count_model(header)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            {"split.no": files.number(0), "split.count": files.number(3)},
            "part 1 of 3 of a model that was split; join its parts with `llama-gguf-split --merge",
        ),
        ({"general.type": files.text("adapter")}, "an adapter (LoRA), which changes a model"),
        ({"adapter.type": files.text("lora")}, "an adapter (LoRA), which changes a model"),
        ({"general.type": files.text("mmproj")}, "the projector of a multimodal model"),
        ({"general.architecture": files.text("clip")}, "the projector of a multimodal model"),
        ({"general.architecture": files.text("bert")}, "an encoder, which turns text into"),
    ],
)
def test_what_is_no_whole_model_is_refused_as_what_it_is(
    tmp_path: Path, change: files.Metadata, what: str
) -> None:
    with pytest.raises(RecordError) as caught:
        count_model(header_of(tmp_path, files.metadata(**change), WEIGHT))
    assert what in str(caught.value)


def test_a_split_of_one_part_is_whole(tmp_path: Path) -> None:
    entries = files.metadata(**{"split.no": files.number(0), "split.count": files.number(1)})
    assert count_model(header_of(tmp_path, entries, WEIGHT)).parameters_total == 8


@pytest.mark.parametrize(
    ("name", "total"),
    [("Qwen2.5 1.5B Instruct", 2 * 1536), ("DeepSeek R1 Distill Qwen 1.5B", 4 * 1536)],
)
def test_models_of_one_shape_differ_in_their_heads(tmp_path: Path, name: str, total: int) -> None:
    entries = {
        key.replace("llama", "qwen2"): value
        for key, value in files.metadata(
            **{"general.name": files.text(name), "llama.block_count": files.number(28)}
        ).items()
    }
    entries["general.architecture"] = files.text("qwen2")
    matrices = [
        files.tensor("token_embd.weight", (1536, 2)),
        files.tensor("output.weight", (1536, 2), offset=12288),
    ]
    path = files.write(tmp_path, files.gguf_bytes(entries, matrices))
    assert count_model(read_header(path)).parameters_total == total

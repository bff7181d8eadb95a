from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.arithmetic import ModelCounts, count_model
from edgemoe_appliance.models.ggml_types import F32, Q4_K
from edgemoe_appliance.models.gguf import GgufHeader, ValueType, read_header
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue
from edgemoe_appliance.models.layout import TwinScale
from edgemoe_appliance.models.twin import build_twin
from edgemoe_appliance.schema.configs import ModelsConfig
from tests.models import files

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
    assert olmoe.active_bytes_per_token == experts // 8 + rest
    assert 0.70e9 < olmoe.active_bytes_per_token < 0.76e9
    for model_id in ("llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"):
        dense = count_model(full[model_id])
        assert dense.active_bytes_per_token == dense.weight_bytes  # the tied embedding is the head
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
    assert counts.active_bytes_per_token == 32 * 4
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
    assert "use a GGUF file that llama.cpp b4404 can load" in str(caught.value)


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
        active_bytes_per_token=288 + 64,
        weight_bytes=1152 + 64,
        kv_bytes_per_token=2 * 64 * 2 * 2,
        expert_count=4,
        expert_used_count=1,
    )

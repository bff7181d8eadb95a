"""Which tensors a twin has, at what shape and in what quantisation.

Pure arithmetic on published shapes: names as llama.cpp b4404 looks them up, types as its
llama-quantize gives them out, order as it writes them. No weights here.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.models.ggml_types import GgmlType, TensorShape
from edgemoe_appliance.models.gguf import DEFAULT_ALIGNMENT, TensorInfo, aligned
from edgemoe_appliance.models.quantiser import (
    FileType,
    QuantiserRequest,
    choose_type,
    find_file_type,
)
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelShape

# Architectures that a twin can have; those of them that can have experts.
TWIN_ARCHITECTURES = ("olmoe", "llama", "qwen2", "gemma2")
EXPERT_ARCHITECTURES = ("olmoe", "llama")

# An eighth of the work of gemma2 without an eighth of its layers: b4404 aborts unless there are
# 26, 42 or 46. These widths give 1/8.1 of the bytes and 1/7.7 of the weights of Gemma-2-2B.
_THIN_GEMMA2 = {
    "embedding_length": 1024,
    "feed_forward_length": 2816,
    "head_count": 4,
    "head_count_kv": 2,
}
# Every row is a multiple of 256, else the K-quants fall back to other types. Not 8 experts:
# llama-quantize treats that number apart (Mixtral).
_TINY = {
    "embedding_length": 256,
    "head_count": 4,
    "head_count_kv": 1,
    "key_length": 64,
    "value_length": 64,
    "vocab_size": 1024,
}
_TINY_BY_ARCHITECTURE = {
    "olmoe": {
        "block_count": 2,
        "head_count_kv": 4,
        "feed_forward_length": 256,
        "expert_count": 16,
        "expert_used_count": 2,
    },
    "llama": {"block_count": 2, "feed_forward_length": 1024},
    "qwen2": {"block_count": 2, "feed_forward_length": 1024},
    "gemma2": {"feed_forward_length": 256},
}
# The number of experts stays: the quantiser treats eight of them apart.
_TINY_LLAMA_EXPERTS = {"feed_forward_length": 256}


def scaled_shape(entry: ModelEntry, scale: TwinScale) -> ModelShape:
    """Return the shape of a model's twin at a scale. Raises ConfigError where it has none."""
    shape = entry.shape_of(entry.name)
    if scale is TwinScale.FULL:
        return shape
    if scale is TwinScale.TINY:
        changes = {**_TINY, **_TINY_BY_ARCHITECTURE[entry.architecture]}
        if shape.expert_count and entry.architecture == "llama":
            changes |= _TINY_LLAMA_EXPERTS
        return shape.model_copy(update=changes)
    vocabulary = {"vocab_size": _eighth(shape.vocab_size)}
    if entry.architecture == "gemma2":
        return shape.model_copy(update={**vocabulary, **_THIN_GEMMA2})
    return shape.model_copy(update={**vocabulary, "block_count": _eighth(shape.block_count)})


def _eighth(number: int) -> int:
    """Return a number divided by 8, halves up, at least 1."""
    return max(1, (number + 4) // 8)


def build_tensors(
    architecture: str, shape: ModelShape, quantization: str = "Q4_K_M"
) -> tuple[TensorInfo, ...]:
    """Return the tensors of a model in a quantisation, placed one after another.

    Raises ConfigError for a quantisation that no twin can have.
    """
    tensors: list[TensorInfo] = []
    offset = 0
    for name, dimensions, kind in _typed(architecture, shape, find_file_type(quantization)):
        tensor = TensorInfo(name=name, shape=dimensions, type=kind, offset=offset)
        tensors.append(tensor)
        offset = aligned(offset + tensor.n_bytes, DEFAULT_ALIGNMENT)
    return tuple(tensors)


def _typed(
    architecture: str, shape: ModelShape, file_type: FileType
) -> Iterator[tuple[str, TensorShape, GgmlType]]:
    """Yield name, shape and type in the order of llama-quantize: by block, then by name."""
    model = QuantiserRequest(
        architecture=architecture,
        block_count=shape.block_count,
        head_count=shape.head_count,
        head_count_kv=shape.head_count_kv,
        expert_count=shape.expert_count,
        is_head_tied=shape.tied_embeddings,
    )
    for name, dimensions in sorted(_outer_tensors(shape).items()):
        yield name, dimensions, choose_type(name, dimensions, 0, model, file_type)
    for block in range(shape.block_count):
        for part, dimensions in sorted(_block_tensors(architecture, shape).items()):
            name = f"blk.{block}.{part}"
            yield name, dimensions, choose_type(name, dimensions, block, model, file_type)


def _outer_tensors(shape: ModelShape) -> dict[str, TensorShape]:
    width, vocabulary = shape.embedding_length, shape.vocab_size
    tensors: dict[str, TensorShape] = {
        "token_embd.weight": (width, vocabulary),
        "output_norm.weight": (width,),
    }
    if not shape.tied_embeddings:
        tensors["output.weight"] = (width, vocabulary)
    if shape.rope_scaling == "llama3":
        tensors["rope_freqs.weight"] = (shape.key_length // 2,)
    return tensors


def _block_tensors(architecture: str, shape: ModelShape) -> dict[str, TensorShape]:
    width, inner = shape.embedding_length, shape.feed_forward_length
    queries = shape.head_count * shape.key_length
    keys = shape.head_count_kv * shape.key_length
    values = shape.head_count_kv * shape.value_length
    tensors: dict[str, TensorShape] = {
        "attn_norm.weight": (width,),
        "attn_q.weight": (width, queries),
        "attn_k.weight": (width, keys),
        "attn_v.weight": (width, values),
        "attn_output.weight": (queries, width),
        "ffn_norm.weight": (width,),
    }
    if architecture == "qwen2":
        tensors |= {"attn_q.bias": (queries,), "attn_k.bias": (keys,), "attn_v.bias": (values,)}
    if architecture == "gemma2":
        tensors |= {"post_attention_norm.weight": (width,), "post_ffw_norm.weight": (width,)}
    if architecture == "olmoe":
        tensors |= {"attn_q_norm.weight": (width,), "attn_k_norm.weight": (width,)}
    if shape.expert_count:
        return tensors | _expert_tensors(shape)
    return tensors | {
        "ffn_gate.weight": (width, inner),
        "ffn_up.weight": (width, inner),
        "ffn_down.weight": (inner, width),
    }


def _expert_tensors(shape: ModelShape) -> dict[str, TensorShape]:
    width, inner, experts = shape.embedding_length, shape.feed_forward_length, shape.expert_count
    return {
        "ffn_gate_inp.weight": (width, experts),
        "ffn_gate_exps.weight": (width, inner, experts),
        "ffn_up_exps.weight": (width, inner, experts),
        "ffn_down_exps.weight": (inner, width, experts),
    }

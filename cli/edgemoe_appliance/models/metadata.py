"""The metadata of a twin: the keys that llama.cpp reads for its architecture, and its mark."""

from __future__ import annotations

from typing import Final

from edgemoe_appliance.models.gguf import ValueType
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue
from edgemoe_appliance.models.quantiser import find_file_type
from edgemoe_appliance.models.twin_mark import MARK, TwinMark
from edgemoe_appliance.models.vocabulary import TokenizerKind, Vocabulary
from edgemoe_appliance.schema.choices import TwinRouting
from edgemoe_appliance.schema.configs import ModelEntry, ModelShape

Metadata = dict[str, TypedValue | TypedArray]

_QUANTIZATION_VERSION: Final = 2  # GGML_QNT_VERSION
# Source: config.json of google/gemma-2-2b-it.
_GEMMA2_ATTENTION_SOFTCAP: Final = 50.0
_GEMMA2_FINAL_SOFTCAP: Final = 30.0
_GEMMA2_SLIDING_WINDOW: Final = 4096


def build_metadata(
    entry: ModelEntry, mark: TwinMark, shape: ModelShape, vocabulary: Vocabulary
) -> Metadata:
    """Return the metadata of a twin in the order in which they are written."""
    return {
        **_general(entry, mark),
        **_architecture(entry.architecture, shape),
        **_tokenizer(TokenizerKind(shape.tokenizer), vocabulary),
    }


def _general(entry: ModelEntry, mark: TwinMark) -> Metadata:
    described = (
        f"Not {entry.name}. Tensor shapes and types follow that model at scale {mark.scale.value}; "
        "the weights are random, so its speed and memory can be measured but its text means "
        "nothing. Written by edgemoe-appliance."
    )
    kinds, keys = mark.scale.value, {}
    if mark.routing is not TwinRouting.UNIFORM:
        kinds += f", {mark.routing.value} routing"
        keys[f"{MARK}routing"] = _text(mark.routing.value)
    return {
        "general.architecture": _text(entry.architecture),
        "general.type": _text("model"),
        "general.name": _text(f"TWIN ({kinds}, random weights) of {entry.name}"),
        "general.description": _text(described),
        "general.file_type": _uint32(find_file_type(entry.quantization).code),
        "general.quantization_version": _uint32(_QUANTIZATION_VERSION),
        f"{MARK}of": _text(mark.of),
        f"{MARK}scale": _text(mark.scale.value),
        f"{MARK}seed": TypedValue(type=ValueType.UINT64, value=mark.seed),
        f"{MARK}format": _uint32(mark.format_version),
        **keys,
    }


def _architecture(name: str, shape: ModelShape) -> Metadata:
    keys: Metadata = {
        f"{name}.block_count": _uint32(shape.block_count),
        f"{name}.context_length": _uint32(shape.context_length),
        f"{name}.embedding_length": _uint32(shape.embedding_length),
        f"{name}.feed_forward_length": _uint32(shape.feed_forward_length),
        f"{name}.vocab_size": _uint32(shape.vocab_size),
        f"{name}.attention.head_count": _uint32(shape.head_count),
        f"{name}.attention.head_count_kv": _uint32(shape.head_count_kv),
        f"{name}.attention.key_length": _uint32(shape.key_length),
        f"{name}.attention.value_length": _uint32(shape.value_length),
        f"{name}.attention.layer_norm_rms_epsilon": _float32(shape.rms_epsilon),
        f"{name}.rope.dimension_count": _uint32(shape.key_length),
        f"{name}.rope.freq_base": _float32(shape.rope_freq_base),
    }
    if shape.expert_count:
        keys[f"{name}.expert_count"] = _uint32(shape.expert_count)
        keys[f"{name}.expert_used_count"] = _uint32(shape.expert_used_count)
    if name == "gemma2":
        keys[f"{name}.attn_logit_softcapping"] = _float32(_GEMMA2_ATTENTION_SOFTCAP)
        keys[f"{name}.final_logit_softcapping"] = _float32(_GEMMA2_FINAL_SOFTCAP)
        keys[f"{name}.attention.sliding_window"] = _uint32(_GEMMA2_SLIDING_WINDOW)
    return keys


def _tokenizer(kind: TokenizerKind, vocabulary: Vocabulary) -> Metadata:
    is_spm = kind is TokenizerKind.SPM
    # As with the real files: a beginning-of-text token for Llama and Gemma only.
    adds_bos = kind in {TokenizerKind.LLAMA_BPE, TokenizerKind.SPM}
    keys: Metadata = {
        "tokenizer.ggml.model": _text("llama" if is_spm else "gpt2"),
        "tokenizer.ggml.pre": _text("default" if is_spm else kind.value),
        "tokenizer.ggml.tokens": TypedArray(type=ValueType.STRING, values=vocabulary.tokens),
        "tokenizer.ggml.token_type": TypedArray(type=ValueType.INT32, values=vocabulary.types),
        "tokenizer.ggml.bos_token_id": _uint32(vocabulary.bos),
        "tokenizer.ggml.eos_token_id": _uint32(vocabulary.eos),
        "tokenizer.ggml.padding_token_id": _uint32(vocabulary.pad),
        "tokenizer.ggml.add_bos_token": TypedValue(type=ValueType.BOOL, value=adds_bos),
        "tokenizer.ggml.add_eos_token": TypedValue(type=ValueType.BOOL, value=False),
        "tokenizer.ggml.add_space_prefix": TypedValue(type=ValueType.BOOL, value=False),
    }
    if is_spm:
        scores = TypedArray(type=ValueType.FLOAT32, values=vocabulary.scores)
        keys["tokenizer.ggml.scores"] = scores
    else:
        merges = TypedArray(type=ValueType.STRING, values=vocabulary.merges)
        keys["tokenizer.ggml.merges"] = merges
    return keys


def _text(value: str) -> TypedValue:
    return TypedValue(type=ValueType.STRING, value=value)


def _uint32(value: int) -> TypedValue:
    return TypedValue(type=ValueType.UINT32, value=value)


def _float32(value: float) -> TypedValue:
    return TypedValue(type=ValueType.FLOAT32, value=value)

"""Which type llama-quantize gives to each tensor of a model, without an importance matrix.

Source: `llama_tensor_get_type` and `llama_model_quantize_impl` in src/llama-quant.cpp of llama.cpp
b4404. File types that need an importance matrix (IQ1 to IQ3) are not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.models.ggml_types import F32, TYPE_BY_NAME, GgmlType, TensorShape


@dataclass(frozen=True, kw_only=True)
class FileType:
    """A way to quantise a whole model: `code` in general.file_type, and its usual type."""

    name: str
    code: int
    usual: GgmlType


_FILE_TYPES: Final = {
    name: FileType(name=name, code=code, usual=TYPE_BY_NAME[usual])
    for name, code, usual in (
        ("F32", 0, "F32"),
        ("F16", 1, "F16"),
        ("Q4_0", 2, "Q4_0"),
        ("Q4_1", 3, "Q4_1"),
        ("Q8_0", 7, "Q8_0"),
        ("Q5_0", 8, "Q5_0"),
        ("Q5_1", 9, "Q5_1"),
        ("Q2_K", 10, "Q2_K"),
        ("Q3_K_S", 11, "Q3_K"),
        ("Q3_K_M", 12, "Q3_K"),
        ("Q3_K_L", 13, "Q3_K"),
        ("Q4_K_S", 14, "Q4_K"),
        ("Q4_K_M", 15, "Q4_K"),
        ("Q5_K_S", 16, "Q5_K"),
        ("Q5_K_M", 17, "Q5_K"),
        ("Q6_K", 18, "Q6_K"),
        ("IQ4_NL", 25, "IQ4_NL"),
        ("IQ4_XS", 30, "IQ4_XS"),
        ("BF16", 32, "BF16"),
    )
}
_NOT_QUANTISED: Final = ("F32", "F16", "BF16")
# What stands in where a row is no multiple of a type's block.
_FALLBACKS: Final = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_MANY_BLOCKS: Final = 80  # a 70B model, whose few keys and values get more bits
_EIGHT: Final = 8  # experts of Mixtral, which the quantiser treats apart


@dataclass(frozen=True, kw_only=True)
class QuantiserRequest:
    """What the quantiser asks of a model besides its tensors' names and shapes."""

    architecture: str
    block_count: int
    head_count: int
    head_count_kv: int
    expert_count: int
    is_head_tied: bool

    @property
    def queries_per_key(self) -> int:
        """Return how many heads of queries share one of keys."""
        return self.head_count // self.head_count_kv


def find_file_type(name: str) -> FileType:
    """Return a file type by the name that uploads bear. Raises ConfigError for another."""
    if name not in _FILE_TYPES:
        raise ConfigError(
            f"no twin can be written in quantization {name}",
            where="models.yaml",
            hint=f"twins can have: {', '.join(_FILE_TYPES)}",
        )
    return _FILE_TYPES[name]


def choose_type(
    name: str, shape: TensorShape, block: int, model: QuantiserRequest, file_type: FileType
) -> GgmlType:
    """Return the type of a tensor; `block` is the number of its block, 0 outside of blocks."""
    if not _is_quantised(name, shape):
        return F32
    usual = file_type.usual.name
    if usual in _NOT_QUANTISED:
        return file_type.usual
    if name == ("token_embd.weight" if model.is_head_tied else "output.weight"):
        chosen = _head_type(file_type.usual, shape)
    elif "attn_v.weight" in name:
        chosen = _value_type(file_type.name, usual, block, model)
    elif "attn_k.weight" in name:
        chosen = "Q8_0" if model.expert_count == _EIGHT else usual
    elif "ffn_down" in name:
        chosen = _down_type(file_type.name, usual, block, model.block_count)
    elif "attn_output.weight" in name:
        chosen = _attention_output_type(file_type.name, usual, model)
    else:
        chosen = usual
    return _that_fits(TYPE_BY_NAME[chosen], shape[0])


def _is_quantised(name: str, shape: TensorShape) -> bool:
    """Return whether a tensor is left as it is: norms, biases, the router."""
    return len(shape) > 1 and name.endswith(".weight") and "ffn_gate_inp" not in name


def _head_type(usual: GgmlType, shape: TensorShape) -> str:
    return "Q8_0" if shape[0] % usual.block_elements or usual.name == "Q8_0" else "Q6_K"


def _gets_more_bits(block: int, blocks: int) -> bool:
    """Return whether the M variants keep the sensitive tensors of a block in more bits."""
    eighth = blocks // 8
    return block < eighth or block >= 7 * blocks // 8 or (block - eighth) % 3 == 2


def _value_type(file_type: str, usual: str, block: int, model: QuantiserRequest) -> str:
    if model.expert_count == _EIGHT:
        return "Q8_0"
    shares = model.queries_per_key >= 4
    chosen = {
        "Q2_K": "Q4_K" if shares else "Q3_K",
        "Q3_K_M": "Q5_K" if block < 2 else "Q4_K",
        "Q3_K_L": "Q5_K",
        "Q4_K_S": "Q5_K" if block < 4 else usual,
        "IQ4_NL": "Q5_K" if shares else usual,
        "IQ4_XS": "Q5_K" if shares else usual,
    }.get(file_type, usual)
    if file_type in {"Q4_K_M", "Q5_K_M"} and _gets_more_bits(block, model.block_count):
        chosen = "Q6_K"
    is_70b = model.block_count == _MANY_BLOCKS and model.queries_per_key > 1
    return "Q5_K" if is_70b and chosen in {"Q3_K", "Q4_K"} else chosen


def _down_type(file_type: str, usual: str, block: int, blocks: int) -> str:
    is_first = block < blocks // 8
    chosen = {
        "Q2_K": "Q3_K",
        "Q3_K_M": "Q5_K" if block < blocks // 16 else "Q4_K",
        "Q3_K_L": "Q5_K",
        "Q4_K_S": "Q5_K" if is_first else usual,
        "IQ4_NL": "Q5_K" if is_first else usual,
        "IQ4_XS": "Q5_K" if is_first else usual,
    }.get(file_type, usual)
    if file_type in {"Q4_K_M", "Q5_K_M"} and _gets_more_bits(block, blocks):
        return "Q6_K"
    return chosen


def _attention_output_type(file_type: str, usual: str, model: QuantiserRequest) -> str:
    if model.expert_count == _EIGHT:
        apart = {"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"}
        return "Q5_K" if file_type in apart else usual
    return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(file_type, usual)


def _that_fits(kind: GgmlType, row: int) -> GgmlType:
    """Return a type, or what stands in for it where rows are no multiple of its block."""
    if row % kind.block_elements == 0:
        return kind
    fallback = TYPE_BY_NAME[_FALLBACKS.get(kind.name, "F16")]
    return fallback if row % fallback.block_elements == 0 else TYPE_BY_NAME["F16"]

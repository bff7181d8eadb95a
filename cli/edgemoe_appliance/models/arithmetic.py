"""What a model costs, from its GGUF header alone: parameters, bytes per token, KV cache.

Counts and bytes only; no speed is estimated here and no tensor data is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.gguf import GgufArray, GgufHeader, TensorInfo

_KV_ELEMENT_BYTES = 2  # f16, the default cache type of llama.cpp
# Far above any model; a number per block is kept, which must stay a small list.
_MAX_BLOCKS = 4_096
_MAX_WIDTH = 1_000_000
_FIX = "use a GGUF file that llama.cpp b4404 can load"


@dataclass(frozen=True, kw_only=True)
class ModelCounts:
    """Sizes of one model.

    Two readings of the bytes of one generated token stand side by side: `active_bytes_per_token`
    counts the weights a token needs (the used experts only; the head, which is the embedding where
    the two are tied; not the one row of the embedding that is looked up), `weight_bytes` counts
    them all. `kv_bytes_per_token` is what the context grows by, in f16.
    """

    parameters_total: int
    parameters_active: int
    active_bytes_per_token: int
    weight_bytes: int
    kv_bytes_per_token: int
    expert_count: int
    expert_used_count: int


def count_model(header: GgufHeader) -> ModelCounts:
    """Return the counts of a model.

    Raises RecordError where the metadata do not go with the tensors.
    """
    expert_count, expert_used_count = _experts(header)
    parameters_total = parameters_active = weight_bytes = 0
    for tensor in header.tensors:
        used, of = (expert_used_count, expert_count) if _is_experts(tensor) else (1, 1)
        elements = 0 if _is_constant(tensor) else tensor.elements
        parameters_total += elements
        parameters_active += elements * used // of
        weight_bytes += tensor.n_bytes
    if not parameters_total:
        raise _unfit(header, "no weights in it, as in a file that holds a vocabulary only")
    return ModelCounts(
        parameters_total=parameters_total,
        parameters_active=parameters_active,
        active_bytes_per_token=active_bytes(header.tensors, expert_used_count, expert_count),
        weight_bytes=weight_bytes,
        kv_bytes_per_token=_kv_bytes_per_token(header),
        expert_count=expert_count,
        expert_used_count=expert_used_count,
    )


def active_bytes(tensors: Sequence[TensorInfo], used: int, of: int) -> int:
    """Return the weight bytes that one token needs where it uses `used` of `of` experts."""
    is_tied = all(tensor.name != "output.weight" for tensor in tensors)
    return sum(
        tensor.n_bytes * used // of if _is_experts(tensor) else tensor.n_bytes
        for tensor in tensors
        if is_tied or not tensor.name.startswith("token_embd.")
    )


def _is_experts(tensor: TensorInfo) -> bool:
    """Return whether a tensor holds all experts of a layer, one per index of its last dimension."""
    return "_exps." in tensor.name


def _is_constant(tensor: TensorInfo) -> bool:
    """Return whether a tensor is a table of the file format and no parameter of the model."""
    return tensor.name.startswith("rope_")


def _experts(header: GgufHeader) -> tuple[int, int]:
    """Return how many experts a layer has and how many a token uses; (0, 0) for a dense model."""
    stacks = [tensor for tensor in header.tensors if _is_experts(tensor)]
    if not stacks:
        return 0, 0
    name = header.architecture
    count = header.whole_number(f"{name}.expert_count") or 0
    used = header.whole_number(f"{name}.expert_used_count") or 0
    if not 1 <= used <= count:
        raise _unfit(header, f"{used} of {count} experts used per token")
    for tensor in stacks:
        if tensor.shape[-1] != count:
            raise _unfit(header, f"{tensor.name} holds {tensor.shape[-1]} experts, not {count}")
    return count, used


def _kv_bytes_per_token(header: GgufHeader) -> int:
    name = header.architecture
    blocks = _needed(header, f"{name}.block_count", _MAX_BLOCKS)
    heads = _per_block(header, f"{name}.attention.head_count", blocks)
    kv_heads = _per_block(header, f"{name}.attention.head_count_kv", blocks) or heads
    width = _needed(header, f"{name}.embedding_length", _MAX_WIDTH)
    default = width // max([1, *heads])
    key = header.whole_number(f"{name}.attention.key_length") or default
    value = header.whole_number(f"{name}.attention.value_length") or default
    return sum(kv_heads) * (key + value) * _KV_ELEMENT_BYTES


def _per_block(header: GgufHeader, key: str, blocks: int) -> list[int]:
    """Return a number for each block: the files give one for all, or one each; [] for none."""
    value = header.metadata.get(key)
    if isinstance(value, GgufArray):
        numbers = [n for n in value.numbers or () if isinstance(n, int) and n >= 0]
        if len(numbers) != blocks:
            raise _unfit(header, f"{key} does not hold one number for each of {blocks} blocks")
        return numbers
    number = header.whole_number(key)
    return [] if number is None else [number] * blocks


def _needed(header: GgufHeader, key: str, most: int) -> int:
    number = header.whole_number(key)
    if number is None:
        raise _unfit(header, f"{key} is missing")
    if not 1 <= number <= most:
        raise _unfit(header, f"{key} is {number}, not between 1 and {most}")
    return number


def _unfit(header: GgufHeader, what: str) -> RecordError:
    return RecordError(what, where=header.where, hint=_FIX)

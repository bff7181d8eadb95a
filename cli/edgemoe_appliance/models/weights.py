"""Random weights as quantised blocks, made piece by piece and the same on every machine.

Only raw output of the generator is used: NumPy keeps that stream stable between versions, which
it does not promise for its distributions.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.models.ggml_types import F32, GgmlType
from edgemoe_appliance.models.gguf import TensorInfo
from edgemoe_appliance.schema.choices import TwinRouting
from edgemoe_appliance.schema.configs import ModelShape

Bytes = NDArray[np.uint8]

# Blocks at a time: 4 MB or so, which stays in the caches of a small processor.
_CHUNK_BLOCKS: Final = 24 * 1024


@dataclass(frozen=True, kw_only=True)
class _BlockForm:
    """The f16 factors of a block (offset, multiple of the first), and what deviation they make.

    `deviation` is that of the values of a block whose other bytes are random, for a factor of 1.
    """

    factors: tuple[tuple[int, float], ...]
    deviation: float


# With every byte of a block random except its f16 factors, its scales, minima and values are
# uniform over their ranges. Their moments give the factor for a wanted deviation; the minimum is
# such a multiple of it that the mean of the values is zero. Source of the layouts: ggml-common.h.
_BLOCK_FORMS: Final = {
    "Q4_0": _BlockForm(factors=((0, 1.0),), deviation=4.637),  # d (q - 8), q of 4 bits
    "Q4_1": _BlockForm(factors=((0, 1.0), (2, -7.5)), deviation=4.610),  # d q + m
    "Q5_0": _BlockForm(factors=((0, 1.0),), deviation=9.247),  # d (q - 16), q of 5 bits
    "Q5_1": _BlockForm(factors=((0, 1.0), (2, -15.5)), deviation=9.233),
    "Q8_0": _BlockForm(factors=((0, 1.0),), deviation=73.90),  # d q, int8
    "Q2_K": _BlockForm(factors=((80, 1.0), (82, 1.5)), deviation=13.87),
    "Q3_K": _BlockForm(factors=((108, 1.0),), deviation=43.34),  # d (scale - 32) (q - 4)
    "Q4_K": _BlockForm(factors=((0, 1.0), (2, 7.5)), deviation=258.3),  # d scale q - dmin minimum
    "Q5_K": _BlockForm(factors=((0, 1.0), (2, 15.5)), deviation=526.9),
    "Q6_K": _BlockForm(factors=((208, 1.0),), deviation=1365.8),  # d scale (q - 32)
    "IQ4_NL": _BlockForm(factors=((0, 1.0),), deviation=67.44),  # d times one of 16 values
    "IQ4_XS": _BlockForm(factors=((0, 1.0),), deviation=1246.3),
}

# Attention averages over the context. At full weight that drowns what each token brings, and greedy
# decoding prints one token for ever; Gemma 2 normalises its result once more.
_NORM_GAINS: Final = {"attn_norm.weight": 0.02, "post_attention_norm.weight": 0.25}
_EMBEDDING_GAIN: Final = 2.0
_BIAS_DEVIATION: Final = 0.001
_ROUTER_GAIN: Final = 2.0
_ROUTER: Final = "ffn_gate_inp"
# A router's logit of an expert is as large as its row. Rows of equal size favour none; where they
# fall with this power of a random rank, an expert of high rank is chosen by every second token
# (half of all logits are positive) and those of low rank by hardly any: some thirty of 64 share all
# choices, with an entropy of 4.5 of 6 bits where inputs are random.
_SKEW_POWER: Final = 4


def tensor_chunks(
    tensor: TensorInfo,
    shape: ModelShape,
    *,
    seed: int,
    silent: Sequence[int] = (),
    routing: TwinRouting = TwinRouting.UNIFORM,
) -> Iterator[memoryview]:
    """Yield the data of a tensor.

    `silent` are rows that are left at zero: tokens whose logit is then never the highest.
    `routing` says how the rows of a router stand to each other.
    """
    if tensor.type.name in _BLOCK_FORMS:
        yield from _block_chunks(tensor, _generator(tensor.name, seed), silent)
    elif len(tensor.shape) > 1 and _ROUTER not in tensor.name:
        yield from _float_chunks(tensor, _generator(tensor.name, seed), silent)
    else:
        values = _plain_values(tensor, shape, seed)
        if _ROUTER in tensor.name and routing is TwinRouting.SKEWED:
            values = values * np.repeat(_skew(tensor, seed), tensor.shape[0])
        yield memoryview(values.astype("<f4").tobytes())


def _generator(name: str, seed: int) -> np.random.SFC64:
    """Return a generator for one tensor, so that no tensor depends on the others."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.SFC64(int.from_bytes(digest[:16], "little"))


def _skew(tensor: TensorInfo, seed: int) -> NDArray[np.float64]:
    """Return by what the row of each expert is multiplied: a power of its rank in the layer."""
    raw = _generator(f"{tensor.name} rank", seed).random_raw(tensor.shape[1])
    ranks: NDArray[np.int64] = np.argsort(np.argsort(raw, kind="stable"), kind="stable") + 1
    return 1.0 / (ranks**_SKEW_POWER)


def _block_chunks(
    tensor: TensorInfo, generator: np.random.SFC64, silent: Sequence[int]
) -> Iterator[memoryview]:
    size = tensor.type.block_bytes
    blocks_per_row = tensor.shape[0] // tensor.type.block_elements
    zero_blocks = _blocks_of_rows(silent, blocks_per_row)
    total = tensor.elements // tensor.type.block_elements
    for first in range(0, total, _CHUNK_BLOCKS):
        count = min(_CHUNK_BLOCKS, total - first)
        words = generator.random_raw(-(-count * size // 8)).astype("<u8", copy=False)
        blocks = words.view(np.uint8)[: count * size].reshape(count, size)
        _set_factors(blocks, tensor)
        here = zero_blocks[(zero_blocks >= first) & (zero_blocks < first + count)]
        blocks[here - first] = 0
        yield blocks.data.cast("B")


def _blocks_of_rows(rows: Sequence[int], blocks_per_row: int) -> NDArray[np.int64]:
    starts = np.asarray(rows, dtype=np.int64) * blocks_per_row
    return (starts[:, None] + np.arange(blocks_per_row)).ravel()


def _set_factors(blocks: Bytes, tensor: TensorInfo) -> None:
    form = _BLOCK_FORMS[tensor.type.name]
    factor = _deviation(tensor) / form.deviation
    for offset, multiple in form.factors:
        packed = struct.pack("<e", multiple * factor)
        blocks[:, offset : offset + 2] = np.frombuffer(packed, np.uint8)


def _float_chunks(
    tensor: TensorInfo, generator: np.random.SFC64, silent: Sequence[int]
) -> Iterator[memoryview]:
    """Yield uniform weights as F32, F16 or BF16."""
    zero = _blocks_of_rows(silent, tensor.shape[0])
    step = _CHUNK_BLOCKS * 64
    for first in range(0, tensor.elements, step):
        count = min(step, tensor.elements - first)
        words = generator.random_raw(-(-count // 4)).astype("<u8", copy=False).view("<u2")[:count]
        uniform = words.astype(np.float32) / 2**16 - np.float32(0.5)
        values = (uniform * np.float32(_deviation(tensor) * math.sqrt(12))).astype("<f4")
        here = zero[(zero >= first) & (zero < first + count)]
        values[here - first] = 0
        yield memoryview(_as_stored(values, tensor.type).tobytes())


def _as_stored(values: NDArray[np.float32], kind: GgmlType) -> NDArray[np.generic]:
    if kind.name == "BF16":  # the upper half of a float
        return (values.view("<u4") >> 16).astype("<u2")
    return values if kind is F32 else values.astype("<f2")


def _deviation(tensor: TensorInfo) -> float:
    """Return a standard deviation that keeps activations near 1 from layer to layer.

    Embeddings stay below what the layers add: where the head is tied to them, a token would else
    predict itself.
    """
    width = tensor.shape[0]
    if tensor.name.startswith("token_embd."):
        return _EMBEDDING_GAIN / width
    return 1 / math.sqrt(width)


def _plain_values(tensor: TensorInfo, shape: ModelShape, seed: int) -> NDArray[np.float64]:
    if tensor.name == "rope_freqs.weight":
        return np.array(rope_factors(shape))
    if tensor.name.endswith("_norm.weight"):
        gain = _NORM_GAINS.get(tensor.name.split(".", 2)[-1], 1.0)
        return np.full(tensor.elements, gain)
    deviation = _BIAS_DEVIATION
    if _ROUTER in tensor.name:
        deviation = _ROUTER_GAIN / math.sqrt(tensor.shape[0])
    raw = _generator(tensor.name, seed).random_raw(tensor.elements)
    uniform: NDArray[np.float64] = (raw >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5
    return uniform * (deviation * math.sqrt(12))


def rope_factors(shape: ModelShape) -> list[float]:
    """Return the frequency factors of Llama 3.2, one per pair of dimensions of a head.

    Source: rope_scaling of the model's config.json (type llama3, factor 32, low 1, high 4,
    original context 8192) and the rule of convert_hf_to_gguf.py of llama.cpp b4404.
    Rounded, so that no difference between mathematics libraries can show.
    """
    factor, low, high, original = 32.0, 1.0, 4.0, 8192
    factors = []
    for pair in range(shape.key_length // 2):
        wavelength = 2 * math.pi * shape.rope_freq_base ** (2 * pair / shape.key_length)
        smooth = (original / wavelength - low) / (high - low)
        smooth = min(1.0, max(0.0, smooth))
        factors.append(round(1 / ((1 - smooth) / factor + smooth), 5))
    return factors

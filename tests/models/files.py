"""Small GGUF files for tests: whole ones, and ones with a single thing wrong."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgemoe_appliance.models.ggml_types import F32, Q4_K, GgmlType
from edgemoe_appliance.models.gguf import TensorInfo, ValueType
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue, render_header

Metadata = dict[str, TypedValue | TypedArray]


def text(value: str) -> TypedValue:
    return TypedValue(type=ValueType.STRING, value=value)


def number(value: int) -> TypedValue:
    return TypedValue(type=ValueType.UINT32, value=value)


def tensor(name: str, shape: tuple[int, ...], offset: int = 0, kind: GgmlType = F32) -> TensorInfo:
    return TensorInfo(name=name, shape=shape, type=kind, offset=offset)


TENSORS = (
    tensor("token_embd.weight", (256, 4), kind=Q4_K),
    tensor("blk.0.attn_norm.weight", (8,), offset=576),
)


def metadata(**more: TypedValue | TypedArray) -> Metadata:
    return {
        "general.architecture": text("llama"),
        "llama.block_count": number(1),
        "llama.embedding_length": number(256),
        "llama.attention.head_count": number(4),
        "llama.attention.head_count_kv": number(2),
        "tokenizer.ggml.tokens": TypedArray(type=ValueType.STRING, values=["a", "b", "\u2581c"]),
        "tokenizer.ggml.scores": TypedArray(type=ValueType.FLOAT32, values=[0.0, -1.0, -2.0]),
        **more,
    }


def gguf_bytes(
    entries: Mapping[str, TypedValue | TypedArray] | None = None,
    tensors: Sequence[TensorInfo] = TENSORS,
) -> bytes:
    header = render_header(metadata() if entries is None else entries, tensors)
    ends = [t.offset + t.n_bytes for t in tensors] or [0]
    return header + bytes(max(ends))


def write(folder: Path, data: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return path


def preamble(version: int = 3, n_tensors: int = 0, n_entries: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_entries)


def string(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data

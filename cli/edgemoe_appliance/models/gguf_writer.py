"""Renders the header of a GGUF file, version 3; the caller writes the tensor data after it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgemoe_appliance.models.gguf import (
    DEFAULT_ALIGNMENT,
    MAGIC,
    NUMBER_FORMATS,
    VERSIONS,
    TensorInfo,
    ValueType,
    aligned,
)


@dataclass(frozen=True, kw_only=True)
class TypedValue:
    """One value to be written under its GGUF type."""

    type: ValueType
    value: int | float | bool | str


@dataclass(frozen=True, kw_only=True)
class TypedArray:
    """Values of one GGUF type to be written as an array."""

    type: ValueType
    values: Sequence[int | float | bool | str]


def render_header(
    metadata: Mapping[str, TypedValue | TypedArray], tensors: Sequence[TensorInfo]
) -> bytes:
    """Return everything before the tensor data, padded to the alignment of 32 bytes."""
    parts = [MAGIC, struct.pack("<IQQ", VERSIONS[-1], len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_text(key), _entry(value)]
    for tensor in tensors:
        layout = f"<I{len(tensor.shape)}QIQ"
        numbers = (len(tensor.shape), *tensor.shape, tensor.type.code, tensor.offset)
        parts += [_text(tensor.name), struct.pack(layout, *numbers)]
    header = b"".join(parts)
    return header.ljust(aligned(len(header), DEFAULT_ALIGNMENT), b"\0")


def _entry(value: TypedValue | TypedArray) -> bytes:
    if isinstance(value, TypedValue):
        return struct.pack("<I", value.type) + _values(value.type, [value.value])
    opening = struct.pack("<IIQ", ValueType.ARRAY, value.type, len(value.values))
    return opening + _values(value.type, value.values)


def _values(kind: ValueType, values: Sequence[int | float | bool | str]) -> bytes:
    if kind is ValueType.STRING:
        return b"".join(_text(str(value)) for value in values)
    return struct.pack(f"<{len(values)}{NUMBER_FORMATS[kind]}", *values)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data

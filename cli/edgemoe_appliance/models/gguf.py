"""The header of a GGUF file: its metadata and what it says of its tensors, never their data.

Reads files of any origin: each length is held against the file and against a cap before it is
believed, so that a damaged or hostile file costs neither memory nor time.
Source of the format: docs/gguf.md of ggml; versions 2 and 3 have the same layout.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.models.ggml_types import GGML_TYPES, RETIRED_TYPES, GgmlType
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import MIB

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
DEFAULT_ALIGNMENT: Final = 32

# Real headers of large vocabularies take 6 to 20 MB; the caps leave room and no more.
_MAX_HEADER_BYTES: Final = 32 * MIB
_MAX_ENTRIES: Final = 65_536
_MAX_KEY_BYTES: Final = 65_535
_MAX_STRING_BYTES: Final = MIB
_MAX_ARRAY_ITEMS: Final = 1_000_000
_MAX_KEPT_ITEMS: Final = 4_096
_ALIGNMENTS: Final = tuple(2**power for power in range(3, 17))
_MAX_DIMENSIONS: Final = 4  # GGML_MAX_DIMS
_MAX_TENSOR_NAME_BYTES: Final = 63  # GGML_MAX_NAME with its closing zero
_MAX_ELEMENTS: Final = 2**62
_MIN_ENTRY_BYTES: Final = 13  # an empty key, a type and one byte of value
_MIN_TENSOR_BYTES: Final = 32  # an empty name, one dimension, a type and an offset

_INCOMPLETE = "the file is cut off or damaged: fetch or write it again"
_FOREIGN = "use a GGUF file that llama.cpp can load"
_MERGE = "join its parts with `llama-gguf-split --merge FIRST-PART WHOLE.gguf` and name that file"
# Formats that llama.cpp read before August 2023, by their first four bytes.
_BEFORE_GGUF: Final = (b"lmgg", b"fmgg", b"tjgg", b"algg")
# What the file of one of these is, which no text can be generated with.
_NO_MODELS: Final = {
    "adapter": "an adapter (LoRA), which changes a model and is none itself",
    "mmproj": "the projector of a multimodal model, without the model",
    "imatrix": "an importance matrix, made to quantise a model with",
    "vocab": "a vocabulary without a model",
}
_NO_GENERATORS: Final = {
    "clip": _NO_MODELS["mmproj"],
    "controlvector": "a control vector, which changes a model and is none itself",
    "wavtokenizer-dec": "a decoder of sound, which generates no text",
    **dict.fromkeys(
        (
            "bert",
            "nomic-bert",
            "nomic-bert-moe",
            "jina-bert-v2",
            "jina-bert-v3",
            "modern-bert",
            "neo-bert",
            "eurobert",
            "t5encoder",
            "gemma-embedding",
            "llama-embed",
        ),
        "an encoder, which turns text into vectors and generates none",
    ),
    **dict.fromkeys(("eagle3", "dflash"), "a draft model, which works beside its main model only"),
}


class ValueType(IntEnum):
    """The value types of GGUF metadata."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


NUMBER_FORMATS: Final = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}


@dataclass(frozen=True, kw_only=True)
class GgufArray:
    """An array of metadata; the values of long ones and of strings are passed over."""

    element_type: ValueType
    length: int
    numbers: tuple[int | float | bool, ...] | None


GgufValue = int | float | bool | str | GgufArray


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One tensor as described; the fastest dimension comes first, `offset` counts in the data."""

    name: str
    shape: tuple[int, ...]
    type: GgmlType
    offset: int

    @property
    def elements(self) -> int:
        """Return the number of weights."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Return the bytes its data takes."""
        return self.type.bytes_of(self.elements)


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says of itself; `where` names the file in messages."""

    where: str
    version: int
    alignment: int
    metadata: Mapping[str, GgufValue]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int

    def text(self, key: str) -> str | None:
        """Return a string of the metadata, or None where the key is missing.

        Raises RecordError where the value is not a string.
        """
        value = self.metadata.get(key)
        if value is not None and not isinstance(value, str):
            raise RecordError(f"{key} is not a string", where=self.where, hint=_FOREIGN)
        return value

    def whole_number(self, key: str) -> int | None:
        """Return a whole number of at least 0 of the metadata, or None where the key is missing.

        Raises RecordError where the value is something else.
        """
        value = self.metadata.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RecordError(
                f"{key} is not a whole number of at least 0", where=self.where, hint=_FOREIGN
            )
        return value

    @property
    def architecture(self) -> str:
        """Return the architecture. Raises RecordError where the file names none."""
        name = self.text("general.architecture")
        if not name:
            raise RecordError("general.architecture is missing", where=self.where, hint=_FOREIGN)
        return name

    def tensor(self, name: str) -> TensorInfo | None:
        """Return a tensor by name, or None where there is none of that name."""
        return next((tensor for tensor in self.tensors if tensor.name == name), None)


def check_is_model(header: GgufHeader) -> None:
    """Raise RecordError, with what it is instead, where a file is no whole model of text."""
    parts = header.whole_number("split.count") or 1
    if parts > 1:
        number = (header.whole_number("split.no") or 0) + 1
        raise RecordError(
            f"part {number} of {parts} of a model that was split", where=header.where, hint=_MERGE
        )
    kind = _NO_MODELS.get(header.text("general.type") or "")
    if kind is None and "adapter.type" in header.metadata:  # files from before general.type
        kind = _NO_MODELS["adapter"]
    what = kind or _NO_GENERATORS.get(header.text("general.architecture") or "")
    if what is not None:
        raise RecordError(what, where=header.where, hint="name the GGUF file of the model")


def read_header(path: Path, types: Mapping[int, GgmlType] = GGML_TYPES) -> GgufHeader:
    """Read the header of a GGUF file and check that its tensors lie inside the file.

    `types` are the tensor types by number. Raises HostError where there is no such file,
    RecordError for everything else that is wrong.
    """
    try:
        if path.exists() and not path.is_file():
            raise RecordError("not a regular file", where=str(path), hint="name a GGUF file")
        with path.open("rb", buffering=MIB) as file:
            return _Reader(file, path.stat().st_size, str(path), types).header()
    except FileNotFoundError as error:
        raise HostError(
            "no such model file",
            where=str(path),
            hint="run: edgemoe-appliance models fetch, or models twin",
        ) from error
    except OSError as error:
        raise RecordError(
            f"cannot be read ({error.strerror})", where=str(path), hint="check its permissions"
        ) from error


class _Reader:
    """Walks over a header, and never past the end of the file or the cap."""

    def __init__(
        self, file: BinaryIO, file_bytes: int, where: str, types: Mapping[int, GgmlType]
    ) -> None:
        self._file = file
        self._types = types
        self._file_bytes = file_bytes
        self._limit = min(file_bytes, _MAX_HEADER_BYTES)
        self._position = 0
        self._where = where

    def header(self) -> GgufHeader:
        version, n_tensors, n_entries = self._preamble()
        metadata: dict[str, GgufValue] = {}
        for index in range(n_entries):
            key = self._string(f"metadata key {index + 1}", _MAX_KEY_BYTES)
            if key in metadata:
                raise self._error(f"metadata key {on_one_line(key)} stands there twice", _FOREIGN)
            metadata[key] = self._value(self._value_type(key), key)
        alignment = self._alignment(metadata)
        self._need_room(n_tensors, _MIN_TENSOR_BYTES, "tensors")
        tensors = tuple(self._tensor(index) for index in range(n_tensors))
        data_offset = aligned(self._position, alignment)
        self._check_names(tensors)
        self._check_places(tensors, data_offset, alignment)
        return GgufHeader(
            where=self._where,
            version=version,
            alignment=alignment,
            metadata=metadata,
            tensors=tensors,
            data_offset=data_offset,
            file_bytes=self._file_bytes,
        )

    def _preamble(self) -> tuple[int, int, int]:
        magic = self._take(4, "its magic number")
        if magic in _BEFORE_GGUF:
            raise self._error(
                f"a model file from before August 2023 ({magic[::-1].decode()}), not GGUF",
                "fetch the model as GGUF",
            )
        if magic != MAGIC:
            raise self._error(
                f"not a GGUF file (it begins with {magic!r})", "name a GGUF file, or fetch it again"
            )
        version = self._version()
        n_tensors = self._count("the number of tensors", _MAX_ENTRIES)
        n_entries = self._count("the number of metadata entries", _MAX_ENTRIES)
        self._need_room(n_entries, _MIN_ENTRY_BYTES, "metadata entries")
        return version, n_tensors, n_entries

    def _version(self) -> int:
        opening = self._take(4, "its version")
        version = int.from_bytes(opening, "little")
        if version in VERSIONS:
            return version
        if int.from_bytes(opening, "big") in VERSIONS:
            raise self._error(
                "a big-endian file, as made for s390x", "fetch the little-endian file of the model"
            )
        known = " and ".join(map(str, VERSIONS))
        raise self._error(f"GGUF version {version}; {known} can be read here", _FOREIGN)

    def _value_type(self, key: str) -> ValueType:
        (code,) = struct.unpack("<I", self._take(4, f"the type of {on_one_line(key)}"))
        try:
            return ValueType(code)
        except ValueError:
            raise self._error(
                f"{on_one_line(key)} is of the unknown value type {code}", _FOREIGN
            ) from None

    def _value(self, kind: ValueType, key: str) -> GgufValue:
        if kind is ValueType.STRING:
            return self._string(f"the value of {on_one_line(key)}", _MAX_STRING_BYTES)
        if kind is ValueType.ARRAY:
            return self._array(key)
        return self._numbers(kind, 1, key)[0]

    def _array(self, key: str) -> GgufArray:
        kind = self._value_type(key)
        if kind is ValueType.ARRAY:
            raise self._error(f"{on_one_line(key)} is an array of arrays", _FOREIGN)
        length = self._count(f"the length of {on_one_line(key)}", _MAX_ARRAY_ITEMS)
        numbers = None
        if kind is ValueType.STRING:
            self._pass_strings(length, key)
        elif length <= _MAX_KEPT_ITEMS:
            numbers = self._numbers(kind, length, key)
        else:
            self._pass(length * struct.calcsize(NUMBER_FORMATS[kind]), key)
        return GgufArray(element_type=kind, length=length, numbers=numbers)

    def _numbers(self, kind: ValueType, count: int, key: str) -> tuple[int | float | bool, ...]:
        layout = f"<{count}{NUMBER_FORMATS[kind]}"
        data = self._take(struct.calcsize(layout), f"the value of {on_one_line(key)}")
        return struct.unpack(layout, data)

    def _pass_strings(self, count: int, key: str) -> None:
        """Walk over strings, without a call for each: vocabularies have half a million of them."""
        what = f"a string of {on_one_line(key)}"
        self._need_room(count, 8, f"strings of {on_one_line(key)}")
        read, unpack = self._file.read, struct.Struct("<Q").unpack
        for _ in range(count):
            opening = read(8)
            if len(opening) < 8:
                raise self._error(f"the file ends inside {what}", _INCOMPLETE)
            (n_bytes,) = unpack(opening)
            self._position += 8 + n_bytes
            if n_bytes > _MAX_STRING_BYTES or self._position > self._limit:
                raise self._error(f"{what} has {n_bytes} bytes, more than can be", _INCOMPLETE)
            read(n_bytes)

    def _pass(self, n_bytes: int, key: str) -> None:
        self._check_within(n_bytes, f"the value of {on_one_line(key)}")
        self._file.seek(n_bytes, 1)
        self._position += n_bytes

    def _tensor(self, index: int) -> TensorInfo:
        name = self._string(f"the name of tensor {index + 1}", _MAX_TENSOR_NAME_BYTES)
        shown = on_one_line(name)
        (n_dimensions,) = struct.unpack("<I", self._take(4, f"the dimensions of {shown}"))
        if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
            raise self._error(
                f"tensor {shown} has {n_dimensions} dimensions, 1 to {_MAX_DIMENSIONS} can be read",
                _FOREIGN,
            )
        layout = f"<{n_dimensions}QIQ"
        data = self._take(struct.calcsize(layout), f"the description of {shown}")
        *shape, code, offset = struct.unpack(layout, data)
        return self._described(name, tuple(shape), code, offset)

    def _described(self, name: str, shape: tuple[int, ...], code: int, offset: int) -> TensorInfo:
        shown = on_one_line(name)
        if code not in self._types:
            raise self._unknown_type(shown, code)
        if not 0 < math.prod(shape) <= _MAX_ELEMENTS:
            sizes = " x ".join(map(str, shape))
            raise self._error(f"tensor {shown} has the impossible shape {sizes}", _INCOMPLETE)
        kind = self._types[code]
        if shape[0] % kind.block_elements:
            raise self._error(
                f"tensor {shown} has rows of {shape[0]}, "
                f"{kind.name} needs multiples of {kind.block_elements}",
                _INCOMPLETE,
            )
        return TensorInfo(name=name, shape=shape, type=kind, offset=offset)

    def _unknown_type(self, shown: str, code: int) -> RecordError:
        if code in RETIRED_TYPES:
            name, instead = RETIRED_TYPES[code]
            return self._error(
                f"tensor {shown} is of type {code} ({name}), which llama.cpp gave up",
                f"use {instead}",
            )
        newest = max(self._types)
        if code > newest:
            what = f"tensor {shown} is of type {code}, newer than the {newest} that are known here"
            return self._error(what, "use a file of an older type, or a newer edgemoe-appliance")
        return self._error(f"tensor {shown} is of type {code}, which no model file has", _FOREIGN)

    def _alignment(self, metadata: Mapping[str, GgufValue]) -> int:
        value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if isinstance(value, int) and value in _ALIGNMENTS:
            return value
        shown = on_one_line(value, 40)
        raise self._error(
            f"general.alignment is {shown}, not a power of two from 8 to {_ALIGNMENTS[-1]}",
            _FOREIGN,
        )

    def _check_names(self, tensors: tuple[TensorInfo, ...]) -> None:
        seen: set[str] = set()
        for tensor in tensors:
            if tensor.name in seen:
                raise self._error(f"tensor {on_one_line(tensor.name)} stands there twice", _FOREIGN)
            seen.add(tensor.name)

    def _check_places(
        self, tensors: tuple[TensorInfo, ...], data_offset: int, alignment: int
    ) -> None:
        for tensor in tensors:
            if tensor.offset % alignment:
                raise self._error(
                    f"tensor {on_one_line(tensor.name)} begins at {tensor.offset}, "
                    f"not at a multiple of {alignment}",
                    _INCOMPLETE,
                )
            end = data_offset + tensor.offset + tensor.n_bytes
            if end > self._file_bytes:
                raise self._error(
                    f"tensor {on_one_line(tensor.name)} ends at byte {end}, "
                    f"the file at {self._file_bytes}",
                    _INCOMPLETE,
                )
        for before, after in pairwise(sorted(tensors, key=lambda tensor: tensor.offset)):
            if before.offset + before.n_bytes > after.offset:
                names = f"{on_one_line(before.name)} and {on_one_line(after.name)}"
                raise self._error(f"tensors {names} overlap", _INCOMPLETE)

    def _count(self, what: str, cap: int) -> int:
        (count,) = struct.unpack("<Q", self._take(8, what))
        if count > cap:
            raise self._error(f"{what} is {count}, at most {cap} can be read", _FOREIGN)
        return int(count)

    def _string(self, what: str, cap: int) -> str:
        data = self._take(self._count(f"the length of {what}", cap), what)
        return data.decode("utf-8", "replace")

    def _need_room(self, count: int, least_bytes: int, what: str) -> None:
        if count * least_bytes > self._limit - self._position:
            raise self._error(f"{count} {what} do not fit into the rest of the file", _INCOMPLETE)

    def _take(self, n_bytes: int, what: str) -> bytes:
        self._check_within(n_bytes, what)
        data = self._file.read(n_bytes)
        if len(data) < n_bytes:
            raise self._error(f"the file ends inside {what}", _INCOMPLETE)
        self._position += n_bytes
        return data

    def _check_within(self, n_bytes: int, what: str) -> None:
        if self._position + n_bytes <= self._limit:
            return
        if self._limit < self._file_bytes:
            raise self._error(f"a header of more than {_MAX_HEADER_BYTES} bytes", _FOREIGN)
        raise self._error(f"the file ends inside {what}", _INCOMPLETE)

    def _error(self, what: str, hint: str) -> RecordError:
        return RecordError(what, where=self._where, hint=hint)


def aligned(position: int, alignment: int) -> int:
    """Return the first multiple of `alignment` that is not below `position`."""
    return -(-position // alignment) * alignment

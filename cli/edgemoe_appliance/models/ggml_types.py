"""The tensor types of ggml: block sizes only, enough to know how many bytes a tensor takes.

Source: `enum ggml_type` in ggml.h and the block structures in ggml-common.h of llama.cpp, b4404 up
to August 2026; which of them one build knows stands in its own source (`build_type_table`).
Q8_1 and Q8_K, which never leave the memory of llama.cpp, are not among them.
A table of ours, because the library that carries one needs numpy, which measuring must not import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

TensorShape: TypeAlias = tuple[int, ...]  # elements along each dimension, as GGUF orders them


@dataclass(frozen=True, kw_only=True)
class GgmlType:
    """One tensor type: `block_bytes` bytes hold `block_elements` elements."""

    code: int
    name: str
    block_elements: int
    block_bytes: int

    def bytes_of(self, elements: int) -> int:
        """Return the bytes of a number of elements that fills whole blocks."""
        return elements // self.block_elements * self.block_bytes

    @property
    def is_integer(self) -> bool:
        """Return whether it holds whole numbers: indices, and no weights."""
        return self.name in {"I8", "I16", "I32", "I64"}


_TABLE = (
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
    (42, "Q2_0", 64, 18),
)

GGML_TYPES: dict[int, GgmlType] = {
    code: GgmlType(code=code, name=name, block_elements=elements, block_bytes=block_bytes)
    for code, name, elements, block_bytes in _TABLE
}
TYPE_BY_NAME: Final = {kind.name: kind for kind in GGML_TYPES.values()}
_MEMORY_ONLY: Final = ("Q8_1", "Q8_K")
F32 = GGML_TYPES[0]
Q4_K = GGML_TYPES[12]
Q6_K = GGML_TYPES[14]

# Numbers that once meant a type and never will again, with what to use instead.
RETIRED_TYPES: Final = {
    4: ("Q4_2", "a file quantised anew (Q4_0)"),
    5: ("Q4_3", "a file quantised anew (Q4_1)"),
    31: ("Q4_0_4_4", "the Q4_0 file: it is repacked when it is loaded"),
    32: ("Q4_0_4_8", "the Q4_0 file: it is repacked when it is loaded"),
    33: ("Q4_0_8_8", "the Q4_0 file: it is repacked when it is loaded"),
    36: ("IQ4_NL_4_4", "the IQ4_NL file: it is repacked when it is loaded"),
    37: ("IQ4_NL_4_8", "the IQ4_NL file: it is repacked when it is loaded"),
    38: ("IQ4_NL_8_8", "the IQ4_NL file: it is repacked when it is loaded"),
}
_CODE: Final = re.compile(r"^\s*GGML_TYPE_([A-Z0-9_]+)\s*=\s*(\d+)\s*,", re.MULTILINE)
_SIZES: Final = re.compile(
    r"GGMLQuantizationType\.([A-Z0-9_]+):\s*\((\d{1,4}|QK_K), ([QK_0-9 +*/]{1,80})\),"
)
_TERM: Final = re.compile(r"\s*(QK_K|\d{1,4})\s*(?:(//)\s*(\d{1,4})\s*)?")
_QK_K: Final = 256


def build_type_table(ggml_h: str, constants_py: str) -> dict[int, GgmlType]:
    """Return the tensor types that a build of llama.cpp knows, out of its own source.

    Numbers come from its ggml/include/ggml.h, sizes from here or, for types that are newer than
    this table, from its gguf-py/gguf/constants.py.
    """
    body = re.search(r"enum ggml_type \{(.*?)\};", ggml_h, re.DOTALL)
    codes = {name: int(code) for name, code in _CODE.findall(body[1] if body else "")}
    sizes = dict(_new_sizes(constants_py))
    table: dict[int, GgmlType] = {}
    for name, code in codes.items():
        known = TYPE_BY_NAME.get(name)
        if known is not None and known.code == code:
            table[code] = known
        elif name in sizes and name not in _MEMORY_ONLY:
            elements, size = sizes[name]
            table[code] = GgmlType(code=code, name=name, block_elements=elements, block_bytes=size)
    return table


def _new_sizes(constants_py: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield elements and bytes of blocks, written as sums like `2 + QK_K // 4`."""
    for name, elements, total in _SIZES.findall(constants_py):
        terms = [_TERM.fullmatch(term) for term in total.split("+")]
        if all(terms):
            size = sum(
                (_QK_K if t[1] == "QK_K" else int(t[1])) // int(t[3] or 1) for t in terms if t
            )
            yield name, (_QK_K if elements == "QK_K" else int(elements), size)


def read_type_table(source: Path) -> dict[int, GgmlType]:
    """Read the tensor types that a source tree of llama.cpp knows; {} where it does not tell."""
    texts = []
    for part in ("ggml/include/ggml.h", "gguf-py/gguf/constants.py"):
        try:
            texts.append((source / part).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            texts.append("")
    return build_type_table(*texts)

"""The tensor types that a build knows, out of its own source."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.models.ggml_types import (
    GGML_TYPES,
    GgmlType,
    build_type_table,
    read_type_table,
)

HEADER = """
    enum ggml_type {
        GGML_TYPE_F32     = 0,
        // GGML_TYPE_Q4_2 = 4, support has been removed
        GGML_TYPE_Q8_1    = 9,
        GGML_TYPE_Q4_K    = 12,
        GGML_TYPE_MXFP4   = 39, // MXFP4 (1 block)
        GGML_TYPE_NEW_1   = 50,
        GGML_TYPE_NEW_2   = 51,
        GGML_TYPE_COUNT   = 52,
    };
"""
CONSTANTS = """
    GGMLQuantizationType.NEW_1:   (256, 2 + QK_K // 4 + 12),
    GGMLQuantizationType.Q8_1:    (32, 4 + 4 + 32),
    GGMLQuantizationType.NEW_2:   (32, __import__("os")),
"""


def test_numbers_and_sizes_are_those_of_the_source() -> None:
    table = build_type_table(HEADER, CONSTANTS)
    assert {code: kind.name for code, kind in table.items()} == {
        0: "F32",
        12: "Q4_K",
        39: "MXFP4",
        50: "NEW_1",
    }
    assert table[50] == GgmlType(code=50, name="NEW_1", block_elements=256, block_bytes=78)


@pytest.mark.parametrize("header", ["", "enum ggml_type {", "\0"])
def test_a_source_that_does_not_tell_knows_nothing(header: str, tmp_path: Path) -> None:
    assert build_type_table(header, "") == {}
    assert read_type_table(tmp_path) == {}


@pytest.mark.engine
def test_the_pin_of_the_tests_knows_no_mxfp4(engine: object) -> None:
    source: Path = engine.source  # type: ignore[attr-defined]
    table = read_type_table(source)
    assert table[12] is GGML_TYPES[12]
    assert 39 not in table
    assert max(table) == 35

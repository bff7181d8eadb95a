from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.models.arithmetic import count_model
from edgemoe_appliance.models.ggml_types import GGML_TYPES, Q4_K
from edgemoe_appliance.models.gguf import GgufArray, ValueType, aligned, read_header
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue
from edgemoe_appliance.models.twin import WrittenTwin
from edgemoe_appliance.models.twin_mark import read_twin_mark
from tests.models import files


def refused(folder: Path, data: bytes) -> str:
    path = files.write(folder, data)
    with pytest.raises(RecordError) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert caught.value.hint
    assert "\n" not in message
    return message


def test_types_are_those_of_the_gguf_library() -> None:
    known = {kind.value for kind in gguf.GGMLQuantizationType}
    assert known - set(GGML_TYPES) == {9, 15}  # Q8_1 and Q8_K are in no file
    for code in known & set(GGML_TYPES):
        library, kind = gguf.GGMLQuantizationType(code), GGML_TYPES[code]
        assert library.name == kind.name
        assert gguf.GGML_QUANT_SIZES[library] == (kind.block_elements, kind.block_bytes)


def test_reads_what_was_written(tmp_path: Path) -> None:
    entries = files.metadata(**{"general.name": files.text("Zwilling \u2582")})
    path = files.write(tmp_path, files.gguf_bytes(entries))
    header = read_header(path)
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.text("general.name") == "Zwilling \u2582"
    assert header.whole_number("llama.block_count") == 1
    assert header.whole_number("llama.none") is None
    assert header.tensors == files.TENSORS
    assert header.data_offset % 32 == 0
    assert header.file_bytes == path.stat().st_size
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert tokens == GgufArray(element_type=ValueType.STRING, length=3, numbers=None)
    scores = header.metadata["tokenizer.ggml.scores"]
    assert scores == GgufArray(element_type=ValueType.FLOAT32, length=3, numbers=(0.0, -1.0, -2.0))


def test_reads_every_scalar_type(tmp_path: Path) -> None:
    values: dict[ValueType, int | float | bool] = {
        ValueType.UINT8: 255,
        ValueType.INT8: -128,
        ValueType.UINT16: 65_535,
        ValueType.INT16: -32_768,
        ValueType.UINT32: 2**32 - 1,
        ValueType.INT32: -(2**31),
        ValueType.FLOAT32: 0.5,
        ValueType.BOOL: True,
        ValueType.UINT64: 2**64 - 1,
        ValueType.INT64: -(2**63),
        ValueType.FLOAT64: 0.1,
    }
    entries = {kind.name: TypedValue(type=kind, value=value) for kind, value in values.items()}
    header = read_header(files.write(tmp_path, files.gguf_bytes(dict(entries))))
    assert header.metadata == {kind.name: value for kind, value in values.items()}


def test_passes_over_long_arrays(tmp_path: Path) -> None:
    entries = files.metadata(
        long=TypedArray(type=ValueType.INT32, values=list(range(5000))), after=files.number(7)
    )
    header = read_header(files.write(tmp_path, files.gguf_bytes(entries)))
    long = header.metadata["long"]
    assert long == GgufArray(element_type=ValueType.INT32, length=5000, numbers=None)
    assert header.whole_number("after") == 7


@pytest.mark.parametrize("model_id", ["olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"])
def test_agrees_with_the_gguf_library(tiny: dict[str, WrittenTwin], model_id: str) -> None:
    path = tiny[model_id].path
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    assert [t.name for t in ours.tensors] == [t.name for t in theirs.tensors]
    for mine, library in zip(ours.tensors, theirs.tensors, strict=True):
        assert mine.shape == tuple(int(n) for n in library.shape)
        assert mine.type.code == library.tensor_type
        assert mine.n_bytes == library.n_bytes
        assert ours.data_offset + mine.offset == library.data_offset
    own_keys = [key for key in theirs.fields if not key.startswith("GGUF.")]
    assert list(ours.metadata) == own_keys


def test_says_where_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no such model file; run: edgemoe-appliance models"):
        read_header(tmp_path / "none.gguf")


def test_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a regular file"):
        read_header(tmp_path)


@pytest.mark.parametrize("data", [b"", b"GG", b"PK\x03\x04 a zip", b"\x1b[31mred", b"GGML" * 9])
def test_refuses_what_is_not_gguf(tmp_path: Path, data: bytes) -> None:
    message = refused(tmp_path, data)
    assert "not a GGUF file" in message or "ends inside its magic number" in message
    assert "\x1b" not in message


@pytest.mark.parametrize("version", [2, 3])
def test_refuses_big_endian_files_as_such(tmp_path: Path, version: int) -> None:
    data = files.gguf_bytes()
    message = refused(tmp_path, data[:4] + struct.pack(">I", version) + data[8:])
    assert "a big-endian file, as made for s390x; fetch the little-endian file" in message


@pytest.mark.parametrize("magic", [b"lmgg", b"tjgg"])
def test_refuses_files_of_before_gguf_as_such(tmp_path: Path, magic: bytes) -> None:
    assert "a model file from before August 2023 (gg" in refused(tmp_path, magic * 9)


@pytest.mark.parametrize("version", [0, 1, 4, 99])
def test_refuses_other_versions(tmp_path: Path, version: int) -> None:
    data = files.gguf_bytes()
    message = refused(tmp_path, data[:4] + struct.pack("<I", version) + data[8:])
    assert f"GGUF version {version}; 2 and 3 can be read here" in message


def test_reads_version_2(tmp_path: Path) -> None:
    data = files.gguf_bytes()
    path = files.write(tmp_path, data[:4] + struct.pack("<I", 2) + data[8:])
    assert read_header(path).version == 2


def test_truncations_are_refused(tmp_path: Path) -> None:
    data = files.gguf_bytes()
    for size in range(0, len(data), 3):
        message = refused(tmp_path, data[:size])
        assert (
            "the file ends inside" in message
            or "more than can be" in message
            or "do not fit into the rest of the file" in message
            or "the file at" in message
        )


def test_truncations_of_a_twin_are_refused(tiny: dict[str, WrittenTwin], tmp_path: Path) -> None:
    data = tiny["olmoe-1b-7b"].path.read_bytes()
    chance = random.Random(5)
    sizes = [*range(0, 400, 7), *(chance.randrange(len(data)) for _ in range(60)), len(data) - 33]
    for size in sizes:
        refused(tmp_path, data[:size])


def test_names_the_tensor_that_is_cut_off(tmp_path: Path) -> None:
    data = files.gguf_bytes()
    message = refused(tmp_path, data[:-1])
    assert (
        f"tensor blk.0.attn_norm.weight ends at byte {len(data)}, the file at {len(data) - 1}"
        in (message)
    )
    assert "fetch or write it again" in message


def one_tensor(**change: int) -> bytes:
    """Return a file with one described tensor, in which one field was changed."""
    fields = {"n_dimensions": 1, "size": 8, "code": 0, "offset": 0} | change
    described = struct.pack(
        f"<I{max(fields['n_dimensions'], 0) % 9}QIQ",
        fields["n_dimensions"],
        *[fields["size"]] * (fields["n_dimensions"] % 9),
        fields["code"],
        fields["offset"],
    )
    return (files.preamble(n_tensors=1) + files.string("w") + described).ljust(256, b"\0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_dimensions": 0}, "tensor w has 0 dimensions, 1 to 4 can be read"),
        ({"n_dimensions": 5}, "tensor w has 5 dimensions, 1 to 4 can be read"),
        ({"code": 4}, "tensor w is of type 4 (Q4_2), which llama.cpp gave up; use a file quant"),
        ({"code": 31}, "tensor w is of type 31 (Q4_0_4_4), which llama.cpp gave up; use the Q4_0"),
        ({"code": 9}, "tensor w is of type 9, which no model file has"),
        ({"code": 43}, "tensor w is of type 43, newer than the 42 that are known here"),
        ({"code": 2**32 - 1}, "tensor w is of type 4294967295, newer than the 42"),
        ({"size": 0}, "tensor w has the impossible shape 0"),
        ({"size": 2**63}, "tensor w has the impossible shape 9223372036854775808"),
        ({"size": 2**20, "n_dimensions": 4}, "tensor w has the impossible shape 1048576 x"),
        ({"size": 8, "code": 12}, "tensor w has rows of 8, Q4_K needs multiples of 256"),
        ({"offset": 4}, "tensor w begins at 4, not at a multiple of 32"),
        ({"offset": 2**62}, "tensor w ends at byte 4611686018427"),
        ({"size": 2**40}, "tensor w ends at byte 43980465"),
    ],
)
def test_refuses_impossible_tensors(tmp_path: Path, change: dict[str, int], message: str) -> None:
    assert message in refused(tmp_path, one_tensor(**change))


def test_refuses_names_that_stand_twice(tmp_path: Path) -> None:
    twice = (files.tensor("w", (8,)), files.tensor("w", (8,), offset=32))
    assert "tensor w stands there twice" in refused(tmp_path, files.gguf_bytes(tensors=twice))
    entry = files.string("key") + struct.pack("<IB", 0, 1)
    data = files.preamble(n_entries=2) + entry * 2
    assert "metadata key key stands there twice" in refused(tmp_path, data)


def test_refuses_tensors_that_overlap(tmp_path: Path) -> None:
    tensors = (files.tensor("a", (64,)), files.tensor("b", (64,), offset=224))
    assert "tensors a and b overlap" in refused(tmp_path, files.gguf_bytes(tensors=tensors))


@pytest.mark.parametrize("alignment", [0, 1, 4, 7, 33, 2**20])
def test_refuses_odd_alignments(tmp_path: Path, alignment: int) -> None:
    entries = files.metadata(**{"general.alignment": files.number(alignment)})
    message = refused(tmp_path, files.gguf_bytes(entries))
    assert f"general.alignment is {alignment}, not a power of two from 8 to 65536" in message


def test_refuses_an_alignment_in_words(tmp_path: Path) -> None:
    entries = files.metadata(**{"general.alignment": files.text("wide")})
    assert "general.alignment is wide, not a power" in refused(tmp_path, files.gguf_bytes(entries))


def test_uses_the_alignment_of_the_file(tmp_path: Path) -> None:
    entries = files.metadata(**{"general.alignment": files.number(64)})
    data = files.gguf_bytes(entries, [files.tensor("w", (8,))])
    header = read_header(files.write(tmp_path, data + bytes(64)))
    assert header.alignment == 64
    assert header.data_offset % 64 == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files.preamble(n_tensors=2**40), "the number of tensors is 1099511627776, at most 65536"),
        (files.preamble(n_entries=2**63), "the number of metadata entries is 92233720368547758"),
        (files.preamble(n_entries=60_000), "60000 metadata entries do not fit into the rest"),
        (files.preamble(n_tensors=60_000), "60000 tensors do not fit into the rest of the file"),
        (
            files.preamble(n_entries=1) + struct.pack("<Q", 2**62).ljust(40, b"\0"),
            "the length of metadata key 1 is 4611686018427387904, at most 65535",
        ),
        (
            files.preamble(n_entries=1) + files.string("k") + struct.pack("<IQ", 8, 2**40),
            "the length of the value of k is 1099511627776, at most 1048576",
        ),
        (
            files.preamble(n_entries=1) + files.string("k") + struct.pack("<IIQ", 9, 0, 2**50),
            "the length of k is 1125899906842624, at most 1000000",
        ),
        (
            files.preamble(n_entries=1) + files.string("k") + struct.pack("<IIQ", 9, 8, 900_000),
            "900000 strings of k do not fit into the rest of the file",
        ),
        (
            files.preamble(n_entries=1) + files.string("k") + struct.pack("<IIQ", 9, 10, 900_000),
            "the file ends inside the value of k",
        ),
        (
            files.preamble(n_entries=1) + files.string("k") + struct.pack("<IIQ", 9, 9, 1),
            "k is an array of arrays",
        ),
        (
            files.preamble(n_entries=1) + files.string("k\x1b\n") + struct.pack("<IB", 13, 0),
            "k\\x1b\\n is of the unknown value type 13",
        ),
        (
            files.preamble(n_tensors=1) + files.string("n" * 64).ljust(200, b"\0"),
            "the length of the name of tensor 1 is 64, at most 63",
        ),
    ],
)
def test_refuses_lengths_that_cannot_be(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in refused(tmp_path, data)


def test_refuses_a_header_without_end(tmp_path: Path) -> None:
    path = files.write(tmp_path, b"")
    with path.open("wb") as file:
        file.write(files.preamble(n_entries=60))
        for index in range(60):
            file.write(
                files.string(f"k{index}") + struct.pack("<I", 8) + files.string(b"x" * 2**20)
            )
        file.truncate(100 * 2**20)
    with pytest.raises(RecordError, match="a header of more than 33554432 bytes"):
        read_header(path)


def test_values_of_the_wrong_kind_are_refused_where_they_are_used(tmp_path: Path) -> None:
    entries = files.metadata(
        **{
            "general.architecture": files.number(3),
            "number": TypedValue(type=ValueType.FLOAT32, value=1.5),
            "negative": TypedValue(type=ValueType.INT32, value=-1),
            "truth": TypedValue(type=ValueType.BOOL, value=True),
        }
    )
    header = read_header(files.write(tmp_path, files.gguf_bytes(entries)))
    with pytest.raises(RecordError, match=r"general\.architecture is not a string"):
        _ = header.architecture
    for key in ("number", "negative", "truth"):
        with pytest.raises(RecordError, match=f"{key} is not a whole number of at least 0"):
            header.whole_number(key)


def test_refuses_a_file_without_architecture(tmp_path: Path) -> None:
    header = read_header(files.write(tmp_path, files.gguf_bytes({}, ())))
    with pytest.raises(RecordError, match=r"general\.architecture is missing"):
        _ = header.architecture


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_cost_no_memory_and_raise_only_record_errors(
    tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(files.gguf_bytes())
    for position, value in flips:
        data[position % len(data)] = value
    path = files.write(tmp_path, bytes(data))
    tracemalloc.start()
    try:
        header = read_header(path)
        read_twin_mark(header)
        count_model(header)
    except RecordError as error:
        assert "\n" not in str(error)
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 4_000_000  # the read buffer is 1 MiB


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=300))
def test_any_bytes_behind_the_magic_raise_only_record_errors(tmp_path: Path, data: bytes) -> None:
    path = files.write(tmp_path, b"GGUF\x03\0\0\0" + data)
    try:
        header = read_header(path)
    except RecordError:
        return
    assert header.data_offset <= aligned(len(data) + 8, header.alignment)


@pytest.mark.parametrize("n_bytes", [2**20 + 1, 2**40, 2**64 - 1])
def test_refuses_strings_that_are_too_long(tmp_path: Path, n_bytes: int) -> None:
    lengths = struct.pack("<IIQQ", 9, 8, 3, n_bytes)
    path = files.write(tmp_path, files.preamble(n_entries=1) + files.string("k") + lengths)
    with path.open("r+b") as file:
        file.truncate(10**9)
    with pytest.raises(RecordError, match=f"a string of k has {n_bytes} bytes, more than can be"):
        read_header(path)


def test_long_values_cost_no_more_than_their_cap(tmp_path: Path) -> None:
    entry = struct.pack("<IIQ", 9, 8, 20) + files.string(bytes(2**20)) * 20
    path = files.write(tmp_path, files.preamble(n_entries=1) + files.string("k") + entry)
    tracemalloc.start()
    read_header(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4_000_000


def test_tensor_bytes() -> None:
    assert files.tensor("w", (512, 3), kind=Q4_K).n_bytes == 2 * 3 * 144
    assert aligned(0, 32) == 0
    assert aligned(1, 32) == 32
    assert aligned(64, 32) == 64

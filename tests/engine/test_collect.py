from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.engine.collect import LineCollector, StderrLine, TextChunk, TextCollector


def collected(*reads: bytes) -> TextCollector:
    collector = TextCollector()
    for moment, data in enumerate(reads):
        collector.feed(data, moment)
    return collector


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_engine_s_two_closing_newlines_are_not_text() -> None:
    text = collected(b"Hello", b" world", b"\n\n")
    assert text.text == b"Hello world"
    assert text.text_bytes == 11
    assert text.text_sha256 == sha256(b"Hello world")
    assert text.chunks == (TextChunk(0, 5), TextChunk(1, 6))
    assert (text.first_ns, text.last_ns) == (0, 1)


def test_closing_newlines_that_came_with_text_shorten_its_read() -> None:
    text = collected(b"Hello", b" world\n", b"\n")
    assert text.chunks == (TextChunk(0, 5), TextChunk(1, 6))


def test_newlines_inside_and_a_single_last_one_are_text() -> None:
    assert collected(b"a\n\nb", b"\n").text == b"a\n\nb\n"
    assert collected(b"a\n\n\n\n").text == b"a\n\n"


def test_no_text_at_all_has_no_moments() -> None:
    for text in (collected(), collected(b"\n\n")):
        assert (text.text_bytes, text.chunks, text.first_ns, text.last_ns) == (0, (), None, None)
        assert text.text_sha256 == sha256(b"")


@given(st.binary(max_size=40), st.lists(st.integers(1, 7), max_size=40), st.booleans())
def test_the_digest_does_not_depend_on_how_reads_cut_the_text(
    data: bytes, sizes: list[int], is_ended: bool
) -> None:
    whole = data + (b"\n\n" if is_ended else b"")
    reads, rest = [], whole
    for size in sizes:
        reads.append(rest[:size])
        rest = rest[size:]
    cut = collected(*(read for read in (*reads, rest) if read))
    expected = whole[:-2] if whole.endswith(b"\n\n") else whole
    assert cut.text == expected
    assert cut.text_bytes == len(expected) == sum(chunk.n_bytes for chunk in cut.chunks)
    assert cut.text_sha256 == sha256(expected)


def test_runaway_text_is_digested_whole_and_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextCollector, "MAX_KEPT_BYTES", 8)
    monkeypatch.setattr(TextCollector, "MAX_CHUNKS", 3)
    text = collected(*[b"abc"] * 5)
    assert text.text == b"abcabcab"
    assert text.text_bytes == 15
    assert text.text_sha256 == sha256(b"abc" * 5)
    assert (len(text.chunks), text.chunks_dropped, text.last_ns) == (3, 2, 4)


def test_lines_are_stamped_when_they_end() -> None:
    lines = LineCollector()
    assert lines.feed(b"one\ntw", 1) == [StderrLine(1, "one")]
    assert lines.feed(b"o\n\nthree", 2) == [StderrLine(2, "two"), StderrLine(2, "")]
    assert lines.finish(3) == [StderrLine(3, "three")]
    assert [line.text for line in lines.lines] == ["one", "two", "", "three"]


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    lines = LineCollector()
    assert lines.feed(b"bad \xff\xfe magic\n", 1) == [StderrLine(1, "bad �� magic")]


def test_the_first_and_the_last_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineCollector, "MAX_HEAD_BYTES", 20)
    monkeypatch.setattr(LineCollector, "MAX_TAIL_BYTES", 20)
    lines = LineCollector()
    for number in range(100):
        lines.feed(f"line {number:02d}\n".encode(), number)
    assert [line.text[-2:] for line in lines.lines] == ["00", "01", "98", "99"]
    assert lines.total_bytes == 800
    assert lines.dropped_bytes == 96 * 8


def test_a_line_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LineCollector, "MAX_LINE_BYTES", 10)
    lines = LineCollector()
    assert [line.text for line in lines.feed(b"x" * 25, 1)] == ["x" * 10, "x" * 10]
    assert [line.text for line in lines.finish(2)] == ["x" * 5]

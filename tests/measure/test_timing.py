"""Windows, gaps and the cross-check of footer and stream, on timelines written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgemoe_appliance.engine.footer import Footer, parse_footer
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.timing import (
    Timeline,
    check_footer,
    check_length,
    put_timing,
    timing_windows,
)
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.records import Phase
from edgemoe_appliance.schema.units import NS_PER_S

MS = NS_PER_S // 1000
FIRST_NS = 2 * NS_PER_S


def a_footer(eval_ms: float, *, runs: int = 100, sampling_ms: float = 20.0) -> Footer:
    footer = parse_footer(
        f"llama_perf_sampler_print:    sampling time = {sampling_ms} ms / {runs + 11} runs\n"
        "llama_perf_context_print:        load time = 1500.00 ms\n"
        "llama_perf_context_print: prompt eval time = 400.00 ms / 10 tokens\n"
        f"llama_perf_context_print:        eval time = {eval_ms} ms / {runs} runs\n"
        "llama_perf_context_print:       total time = 9000.00 ms / 110 tokens\n"
    )
    assert footer is not None
    return footer


def a_timeline(stream_ms: float, *, gap_ms: int = 100) -> Timeline:
    last_ns = FIRST_NS + round(stream_ms * MS)
    return Timeline(
        spawn_ns=0,
        first_text_ns=FIRST_NS,
        last_text_ns=last_ns,
        exit_ns=last_ns + 80 * MS,
        read_ns=(*range(FIRST_NS, last_ns, gap_ms * MS), last_ns),
    )


@pytest.mark.parametrize(
    ("stream_ms", "with_caveat"),
    [
        (10_020, False),
        # 2 % of evaluation and sampling, and 4 ms of the pipe at both ends.
        (10_020 * 1.02 + 7.9, False),
        (10_020 * 1.02 + 8.1, True),
        (10_020 * 0.98 - 7.9, False),
        (10_020 * 0.98 - 8.1, True),
        (5_000, True),
    ],
)
def test_a_stream_that_is_not_the_footer_s_is_with_caveat_past_two_percent(
    stream_ms: float, with_caveat: bool
) -> None:
    caveats = check_footer(a_timeline(stream_ms), a_footer(10_000))
    assert [caveat.code for caveat in caveats] == (["footer-stream"] if with_caveat else [])
    if with_caveat:
        assert caveats[0].numbers["footer_s"] == pytest.approx(10.02)
        assert caveats[0].numbers["stream_s"] == pytest.approx(stream_ms / 1000, abs=1e-6)


def test_without_text_or_footer_nothing_can_be_compared() -> None:
    silent = replace(a_timeline(10_020), first_text_ns=None, last_text_ns=None, read_ns=())
    assert check_footer(silent, a_footer(10_000)) == ()
    assert check_footer(a_timeline(10_020), None) == ()


def test_the_footer_s_own_caveats_are_handed_on() -> None:
    twice = replace(a_footer(10_000), caveats=("the engine printed more than one footer",))
    (caveat,) = check_footer(a_timeline(10_020), twice)
    assert (caveat.code, caveat.text) == ("footer", "the engine printed more than one footer")


def test_the_phases_fill_the_whole_call_without_a_gap() -> None:
    timeline = a_timeline(10_000)
    windows = {window.phase: window for window in timing_windows(timeline, a_footer(10_000))}
    order = (Phase.LOAD, Phase.PROMPT, Phase.GENERATE, Phase.UNLOAD)
    edges = [windows[phase].start_ns for phase in order] + [timeline.exit_ns]
    assert edges == [0, FIRST_NS - 400 * MS, FIRST_NS, FIRST_NS + 10 * NS_PER_S, timeline.exit_ns]
    assert [windows[phase].end_ns for phase in order] == edges[1:]
    assert [w.phase for w in timing_windows(timeline, None)] == [Phase.PROCESS]


def test_time_to_first_token_and_gaps() -> None:
    readings = Readings()
    timeline = a_timeline(10_000)
    *steady_ns, before_ns, last_ns = timeline.read_ns
    read_ns = (*steady_ns, before_ns + 900 * MS, last_ns + 1800 * MS)  # two of 100 gaps are 1 s
    put_timing(readings, replace(timeline, read_ns=read_ns), a_footer(10_000), "")
    metrics = readings.metrics
    assert metrics["ttft_s"] == 2.0
    assert metrics["gap_median_ms"] == 100
    assert metrics["gap_p95_ms"] == 100
    assert metrics["gap_p99_ms"] == 1000
    assert metrics["gen_tok_s"] == pytest.approx(10.0)
    assert metrics["prompt_tok_s"] == pytest.approx(25.0)
    assert set(metrics) | set(readings.absent) <= set(METRICS)


def test_without_a_footer_its_figures_are_absent_with_the_reason() -> None:
    readings = Readings()
    put_timing(readings, a_timeline(10_000), None, "no footer: killed")
    assert readings.absent["gen_tok_s"] == "no footer: killed"
    assert readings.metrics["stream_s"] == 10.0


def test_a_held_length_that_was_not_held_is_with_caveat() -> None:
    footer = a_footer(10_000, runs=100)
    assert check_length(101, True, footer) == ()
    (caveat,) = check_length(256, True, footer)
    assert caveat.numbers == {"wanted_tokens": 256, "generated_tokens": 101}


def test_a_text_that_ended_early_is_told_with_its_length() -> None:
    footer = a_footer(10_000, runs=100)
    assert check_length(101, False, footer) == ()
    (caveat,) = check_length(256, False, footer)
    assert caveat.code == "ended-early"
    assert caveat.numbers == {"wanted_tokens": 256, "generated_tokens": 101}

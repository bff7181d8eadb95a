# ruff: noqa: E501  lines of real footers
"""Footers that real engines printed, and what can become of them on the way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.engine.footer import Footer, parse_footer
from tests.engine.captured_text import captured

# Of a real OLMoE-sized twin on two cores.
FULL = """\
llama_perf_sampler_print:    sampling time =      20.14 ms /   293 runs   (    0.07 ms per token, 14551.78 tokens per second)
llama_perf_context_print:        load time =    1992.72 ms
llama_perf_context_print: prompt eval time =    1480.39 ms /    37 tokens (   40.01 ms per token,    24.99 tokens per second)
llama_perf_context_print:        eval time =   21763.45 ms /   255 runs   (   85.35 ms per token,    11.72 tokens per second)
llama_perf_context_print:       total time =   23322.35 ms /   292 tokens
"""

# From public reports of engines older and newer than the study's.
TIMINGS = """\
llama_print_timings:        load time =     285.92 ms
llama_print_timings:      sample time =      30.81 ms /    37 runs   (    0.83 ms per token,  1200.95 tokens per second)
llama_print_timings: prompt eval time =     159.23 ms /     5 tokens (   31.85 ms per token,    31.40 tokens per second)
llama_print_timings:        eval time =    3656.10 ms /    36 runs   (  101.56 ms per token,     9.85 tokens per second)
llama_print_timings:       total time =    3861.11 ms /    41 tokens
"""
COMMON = """\
common_perf_print:    sampling time =      70.90 ms
common_perf_print:    samplers time =      45.40 ms /   520 tokens
common_perf_print:        load time =    1226.89 ms
common_perf_print: prompt eval time =      19.04 ms /     8 tokens (    2.38 ms per token,   420.28 tokens per second)
common_perf_print:        eval time =    4852.86 ms /   511 runs   (    9.50 ms per token,   105.30 tokens per second)
common_perf_print:       total time =    4945.97 ms /   519 tokens
common_perf_print: unaccounted time =       3.18 ms /   0.1 %      (total - sampling - peval - eval) / (total)
common_perf_print:    graphs reused =        508
"""


def parsed(text: str) -> Footer:
    footer = parse_footer(text)
    assert footer is not None
    return footer


def test_a_whole_footer() -> None:
    footer = parsed(FULL)
    assert footer.load_s == pytest.approx(1.99272)
    assert footer.prompt_tokens == 37
    assert footer.prompt_eval_s == pytest.approx(1.48039)
    assert footer.prompt_tok_s == pytest.approx(24.99, abs=0.005)
    assert footer.generated_tokens == 256
    assert footer.eval_runs == 255
    assert footer.eval_s == pytest.approx(21.76345)
    assert footer.gen_tok_s == pytest.approx(11.72, abs=0.005)
    assert footer.sampling_s == pytest.approx(0.02014)
    assert footer.total_s == pytest.approx(23.32235)
    assert (footer.absent, footer.caveats) == ({}, ())


@pytest.mark.parametrize(
    ("text", "tokens", "times_s"),
    [
        (TIMINGS, (5, 37, 36), (0.28592, 0.15923, 3.65610, 0.03081, 3.86111)),
        (COMMON, (8, 512, 511), (1.22689, 0.01904, 4.85286, 0.07090, 4.94597)),
    ],
    ids=["2024", "2026"],
)
def test_other_ages_spell_it_otherwise(
    text: str, tokens: tuple[int, ...], times_s: tuple[float, ...]
) -> None:
    footer = parsed(text)
    assert (footer.prompt_tokens, footer.generated_tokens, footer.eval_runs) == tokens
    found = (footer.load_s, footer.prompt_eval_s, footer.eval_s, footer.sampling_s, footer.total_s)
    assert found == pytest.approx(times_s)
    assert footer.gen_tok_s == pytest.approx(tokens[2] / times_s[2])
    assert (footer.absent, footer.caveats) == ({}, ())


@pytest.mark.parametrize("digits", [16, 300, 5000])
@pytest.mark.parametrize("number", ["21763.45", "255", "37", "1480.39"])
def test_a_number_past_all_sense_is_none(number: str, digits: int) -> None:
    footer = parsed(FULL.replace(number, "9" * digits))
    assert footer.gen_tok_s is None or footer.prompt_tok_s is None


@pytest.mark.parametrize("name", ["ok", "ok-b4404", "ok-b5763", "ok-b11312"])
def test_all_builds_print_the_same_footer(name: str) -> None:
    footer = parsed(captured(name))
    assert (footer.prompt_tokens, footer.generated_tokens, footer.eval_runs) == (17, 16, 15)
    assert (footer.absent, footer.caveats) == ({}, ())
    assert footer.gen_tok_s is not None
    assert footer.gen_tok_s > 0


def test_two_tokens_take_one_evaluation() -> None:
    footer = parsed(captured("generate-2"))
    assert (footer.generated_tokens, footer.eval_runs) == (2, 1)
    assert footer.eval_s == pytest.approx(0.00034)


def test_one_token_takes_none_though_the_engine_prints_one() -> None:
    footer = parsed(captured("generate-1"))
    assert (footer.generated_tokens, footer.eval_runs) == (1, 0)
    assert footer.eval_s is None
    assert footer.gen_tok_s is None
    assert footer.absent["gen_tok_s"] == footer.absent["eval_s"]
    assert "comes from the prompt pass" in footer.absent["eval_s"]
    assert footer.prompt_eval_s is not None
    assert footer.caveats == ()


def test_no_token_at_all() -> None:
    footer = parsed(captured("generate-0"))
    assert (footer.generated_tokens, footer.eval_runs) == (0, 0)
    for field in ("prompt_eval_s", "prompt_tok_s", "eval_s", "gen_tok_s", "sampling_s"):
        assert getattr(footer, field) is None
        assert footer.absent[field]
    assert footer.caveats == ()


def test_a_prompt_of_one_token_is_counted_under_generation() -> None:
    footer = parsed(captured("prompt-of-one-token"))
    assert (footer.prompt_tokens, footer.generated_tokens, footer.eval_runs) == (1, 4, 4)
    assert footer.prompt_eval_s is None
    assert footer.prompt_tok_s is None
    assert "one token" in footer.absent["prompt_eval_s"]
    assert footer.eval_s is not None
    assert footer.caveats == ()


def test_without_timing_there_are_counts_and_no_times() -> None:
    footer = parsed(captured("no-perf"))
    assert (footer.prompt_tokens, footer.generated_tokens) == (17, 4)
    assert footer.prompt_eval_s is None
    assert footer.eval_s is None
    assert footer.load_s is not None


def test_a_log_prefix_does_no_harm() -> None:
    text = captured("log-prefix")
    assert "I llama_perf_context_print" in text
    footer = parsed(text)
    assert (footer.prompt_tokens, footer.generated_tokens, footer.absent) == (17, 4, {})


def test_generation_past_the_context_is_counted_whole() -> None:
    footer = parsed(captured("shifted"))
    assert (footer.generated_tokens, footer.caveats) == (300, ())


def test_an_interrupted_engine_counts_what_it_did() -> None:
    footer = parsed(captured("interrupted"))
    assert footer.eval_runs == 490
    assert footer.generated_tokens == 491


@pytest.mark.parametrize("name", ["model-missing", "prompt-too-long", "memory-kv", "abort"])
def test_failures_have_none(name: str) -> None:
    assert parse_footer(captured(name)) is None


def test_other_lines_between_and_glued_on_do_no_harm() -> None:
    noisy = FULL.replace("\n", "\nwarning: something else\n").replace(
        "llama_perf_context_print:        eval", "no newline herellama_perf_context_print:   eval"
    )
    assert parsed(noisy) == parsed(FULL)


def test_of_two_footers_the_last_counts_and_a_caveat_is_raised() -> None:
    earlier = FULL.replace("255 runs", "100 runs").replace("293 runs", "138 runs")
    footer = parsed(earlier + FULL)
    assert footer.generated_tokens == 256
    assert footer.caveats == ("the engine printed more than one footer; the last counts",)


@pytest.mark.parametrize("number", ["nan", "-nan", "inf", "-inf", "-1.00"])
def test_what_is_no_number_is_absent(number: str) -> None:
    footer = parsed(FULL.replace("21763.45", number))
    assert footer.eval_s is None
    assert footer.gen_tok_s is None
    assert "no number" in footer.absent["eval_s"]
    assert footer.generated_tokens == 256


def test_numbers_with_a_comma_are_not_guessed_at() -> None:
    assert parse_footer(FULL.replace(".", ",")) is None


def test_without_the_sampler_s_line_the_evaluations_count() -> None:
    footer = parsed(FULL.split("\n", maxsplit=1)[1])
    assert footer.generated_tokens == 256
    assert footer.sampling_s is None


def test_counts_that_contradict_each_other_are_a_caveat() -> None:
    footer = parsed(FULL.replace("293 runs", "290 runs"))
    assert footer.generated_tokens == 253
    assert footer.caveats == ("the footer counts 253 sampled tokens but 255 evaluation runs",)


def test_a_missing_line_is_absent_with_its_reason() -> None:
    lines = [line for line in FULL.splitlines() if " eval time" not in line or "prompt" in line]
    footer = parsed("\n".join(lines))
    assert footer.eval_s is None
    assert footer.eval_runs is None
    assert "missing or torn" in footer.absent["eval_s"]
    assert footer.generated_tokens == 256


@given(st.integers(0, len(FULL)))
def test_a_footer_torn_anywhere_gives_true_figures_or_none(length: int) -> None:
    whole, torn = parsed(FULL), parse_footer(FULL[:length])
    if torn is None:
        return
    for field in ("load_s", "prompt_tokens", "prompt_eval_s", "prompt_tok_s", "generated_tokens",
                  "eval_runs", "eval_s", "gen_tok_s", "sampling_s", "total_s"):  # fmt: skip
        found = getattr(torn, field)
        assert (found is None) == (field in torn.absent)
        assert found in (None, getattr(whole, field))


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for noise in (
        text,
        FULL + text,
        COMMON + text,
        TIMINGS + text,
        f"llama_perf_context_print: eval time = {text}",
    ):
        footer = parse_footer(noise)
        if footer is not None and footer.eval_s is not None:
            assert math.isfinite(footer.eval_s)

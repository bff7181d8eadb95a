"""Runs whose text ended before the tokens asked for: told apart, counted, weighed by one rule."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.conditions import Pool, pools, sample_of
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.metrics import GENERATION_METRICS, METRICS, is_long_enough
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.studies import read_study
from tests.analysis.journals import EFFICIENCY_PROMPTS, Synthetic, metrics_of, write_session

MATRIX = Synthetic(models=("olmoe-1b-7b", "llama-3.2-1b"))
# The first prompt ends after one token, the second before half, the third after it.
TOKENS = dict(zip(EFFICIENCY_PROMPTS, (1, 11, 200), strict=False))
WRONG_RATE = 999.0


def early(_: int, spec: RunSpec) -> Mapping[str, Any]:
    tokens = TOKENS.get(spec.prompt)
    if spec.model != "olmoe-1b-7b" or tokens is None:
        return {}
    metrics = {**metrics_of(spec), "generated_tokens": float(tokens)}
    if tokens < spec.n_predict / 2:
        metrics["gen_tok_s"] = WRONG_RATE
    if tokens == 1:
        del metrics["gen_tok_s"]
    return {"metrics": metrics}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedSessions:
    return load_sessions([write_session(tmp_path_factory.mktemp("early"), MATRIX, early)])


@pytest.fixture(scope="module")
def pool(loaded: LoadedSessions) -> Pool:
    (only,) = pools(loaded, read_study(), Feeds.HEADLINE)
    return only


def test_they_are_told_apart_by_model(pool: Pool) -> None:
    olmoe, llama = pool.models
    repetitions = len(olmoe.ok) // len(EFFICIENCY_PROMPTS)
    assert (olmoe.early, olmoe.too_early) == (3 * repetitions, 2 * repetitions)
    assert (llama.early, llama.too_early) == (0, 0)


def test_a_rate_over_few_tokens_enters_no_mean_and_memory_does(pool: Pool) -> None:
    olmoe = pool.models[0]
    rates, memory = sample_of(olmoe.ok, "gen_tok_s"), sample_of(olmoe.ok, "peak_rss_bytes")
    assert WRONG_RATE not in rates.values
    assert rates.n == len(olmoe.ok) - olmoe.too_early
    assert memory.n == len(olmoe.ok)
    whole = [rate for rate in olmoe.ok.numbers("gen_tok_s") if rate < WRONG_RATE]
    assert float(rates.values.mean()) == pytest.approx(plain.fmean(whole))


def test_every_table_of_these_runs_counts_them(loaded: LoadedSessions, pool: Pool) -> None:
    tables = build_tables(loaded, read_study())
    early_runs, left_out = pool.models[0].early, pool.models[0].too_early
    ok = sum(len(models.ok) for models in pool.models)
    told = f"256 tokens; {early_runs} of {ok} runs ended early, {left_out} before half their tokens"
    for table in (tables["throughput"], tables["memory"], tables["stability"]):
        (own,) = [group for group in table.groups if group.source == "reader"]
        assert told in own.label, table.id


def test_a_session_counts_them_too(loaded: LoadedSessions) -> None:
    (session,) = loaded.sessions
    assert session.early == 3 * (session.ok // (2 * len(EFFICIENCY_PROMPTS)))


def test_where_all_ended_too_early_the_table_says_why(tmp_path: Path) -> None:
    def every(_: int, spec: RunSpec) -> Mapping[str, Any]:
        return {"metrics": {**metrics_of(spec), "generated_tokens": 2.0}}

    loaded = load_sessions([write_session(tmp_path, MATRIX, every)])
    (pool,) = pools(loaded, read_study(), Feeds.HEADLINE)
    assert sample_of(pool.models[0].ok, "gen_tok_s").n == 0
    assert "before 50% of its tokens" in pool.models[0].why_absent("gen_tok_s")


@pytest.mark.parametrize(
    ("tokens", "counts"),
    [(1, False), (127, False), (128, True), (256, True), (None, True)],
)
def test_the_rule(tokens: float | None, counts: bool) -> None:
    assert is_long_enough(tokens, 256) is counts


@pytest.mark.parametrize(
    ("key", "is_of_generation"),
    [
        *((key, True) for key in ("gen_tok_s", "j_per_token_gross", "power_study_w", "gap_p95_ms")),
        *((key, True) for key in ("routing_share_decode_pct", "energy_generate_u95_j", "wall_s")),
        *((key, False) for key in ("prompt_tok_s", "load_s", "ttft_s", "peak_rss_bytes")),
        *((key, False) for key in ("energy_load_j", "temp_peak_c", "routing_share_prompt_pct")),
    ],
)
def test_what_is_a_figure_of_generation(key: str, is_of_generation: bool) -> None:
    assert key in METRICS
    assert (key in GENERATION_METRICS) is is_of_generation

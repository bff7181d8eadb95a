"""Two synthetic sessions side by side: same, shifted, other files, missing readings."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.analysis.comparison import (
    MARGIN,
    Area,
    Comparison,
    ComparisonOutcome,
    Side,
    compare_sides,
    comparison_document,
    rule_in_words,
)
from edgemoe_appliance.analysis.comparison.facts import differences
from edgemoe_appliance.analysis.comparison.results import outcome_of
from edgemoe_appliance.analysis.sessions import SessionFacts
from edgemoe_appliance.analysis.statistics import Absent, Interval, resampling
from edgemoe_appliance.schema.hardware import Clock, Fan, HardwareFacts, PowerMode
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status, record_line
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.journals import (
    Synthetic,
    build_period,
    build_plan,
    failed,
    journal_lines,
    metrics_of,
    unchanged,
    write_lines,
    write_session,
)

Changes = Callable[[int, RunSpec], Mapping[str, Any]]
MODELS = ["olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"]
SHARED = ("gen_tok_s", "prompt_tok_s", "peak_rss_bytes")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.fixture(autouse=True)
def _fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 2000)


@pytest.fixture
def compare(tmp_path: Path, study: Study) -> Callable[..., Comparison]:
    def made(
        a: Synthetic,
        b: Synthetic,
        changes_a: Changes = unchanged,
        changes_b: Changes = unchanged,
    ) -> Comparison:
        folders = (
            write_session(tmp_path / "a", a, changes_a),
            write_session(tmp_path / "b", b, changes_b),
        )
        first, second = (
            Side(name=name, loaded=load_sessions([folder]))
            for name, folder in zip("ab", folders, strict=True)
        )
        return compare_sides(first, second, study)

    return made


def scaled(**factors: float) -> Changes:
    """Return changes that multiply metrics of every run."""

    def changes(_: int, spec: RunSpec) -> Mapping[str, Any]:
        metrics = metrics_of(spec)
        return {"metrics": metrics | {key: metrics[key] * f for key, f in factors.items()}}

    return changes


def noisy(seed: int, spread: float) -> Changes:
    """Return changes that vary every run's rates by chance, the same way for the same seed."""
    rng = random.Random(seed)

    def changes(_: int, spec: RunSpec) -> Mapping[str, Any]:
        metrics, factor = metrics_of(spec), rng.gauss(1, spread)
        return {
            "metrics": metrics
            | {key: metrics[key] * factor for key in ("gen_tok_s", "prompt_tok_s")}
        }

    return changes


def outcomes(compared: Comparison, metric: str) -> list[ComparisonOutcome]:
    return [row.outcome for row in compared.results.rows if row.metric == metric]


def test_a_session_and_itself_do_not_differ_in_anything(
    compare: Callable[..., Comparison],
) -> None:
    compared = compare(Synthetic(), Synthetic())
    assert compared.differences == ()
    assert compared.changes == ()
    rows = [row for row in compared.results.rows if row.metric in SHARED]
    assert [row.model for row in rows[::3]] == MODELS
    assert {(row.outcome, row.ratio, row.prompts) for row in rows} == {
        (ComparisonOutcome.SAME, 1.0, 15)
    }
    assert {(row.runs_a, row.runs_b) for row in rows} == {(45, 45)}


def test_the_same_host_with_other_noise_shows_no_difference(
    compare: Callable[..., Comparison],
) -> None:
    compared = compare(Synthetic(), Synthetic(), changes_a=noisy(1, 0.05), changes_b=noisy(2, 0.05))
    assert ComparisonOutcome.DIFFERS not in {row.outcome for row in compared.results.rows}
    assert any(row.ratio not in (None, 1.0) for row in compared.results.rows)


def test_a_shifted_rate_is_found_and_nothing_else(compare: Callable[..., Comparison]) -> None:
    compared = compare(
        Synthetic(), Synthetic(), noisy(5, 0.01), changes_b=scaled(gen_tok_s=0.9, prompt_tok_s=1.0)
    )
    assert outcomes(compared, "gen_tok_s") == [ComparisonOutcome.SESSIONS_DIFFER] * 4
    assert outcomes(compared, "prompt_tok_s") == [ComparisonOutcome.SAME] * 4
    assert outcomes(compared, "peak_rss_bytes") == [ComparisonOutcome.SAME] * 4
    first = compared.results.rows[0]
    assert first.ratio == pytest.approx(0.9, abs=0.01)
    assert isinstance(first.interval, Interval)
    assert first.interval.low < 0.9 < first.interval.high


def test_what_is_sure_but_smaller_than_the_margin_is_the_same(
    compare: Callable[..., Comparison],
) -> None:
    compared = compare(Synthetic(), Synthetic(), changes_b=scaled(peak_rss_bytes=1 + MARGIN / 4))
    assert outcomes(compared, "peak_rss_bytes") == [ComparisonOutcome.SAME] * 4


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        (Interval(low=0.99, high=1.01), ComparisonOutcome.SAME),
        (Interval(low=1.001, high=1.02), ComparisonOutcome.SAME),
        (Interval(low=1.001, high=1.021), ComparisonOutcome.OPEN),
        (Interval(low=1.021, high=1.05, sessions=3), ComparisonOutcome.DIFFERS),
        (Interval(low=1.021, high=1.05, sessions=2), ComparisonOutcome.SESSIONS_DIFFER),
        (Interval(low=0.5, high=0.6), ComparisonOutcome.SESSIONS_DIFFER),
        (Interval(low=0.97, high=1.03), ComparisonOutcome.OPEN),
        (Interval(low=1.0, high=1.2), ComparisonOutcome.OPEN),
        (Absent(reason="too few"), ComparisonOutcome.OPEN),
    ],
)
def test_an_outcome_follows_from_the_interval(
    interval: Interval | Absent, outcome: ComparisonOutcome
) -> None:
    assert outcome_of(interval) is outcome


def test_other_files_hosts_engines_and_threads_are_named(
    compare: Callable[..., Comparison],
) -> None:
    b = Synthetic(
        host_name="host-b",
        engine="engine-b",
        pin="b4404",
        threads=4,
        memory_bytes=8 * 1024**3,
        twin_scale="full",
        model_sha256={"olmoe-1b-7b": "1" * 64},
    )
    compared = compare(Synthetic(), b)
    assert {each.fact for each in compared.of(Area.HOST)} == {"Machine", "Memory"}
    assert {"pin", "llama-cli"} <= {each.fact for each in compared.of(Area.ENGINE)}
    assert {each.fact for each in compared.of(Area.TARGET)} == {"threads"}
    (olmoe, *_) = compared.of(Area.MODELS)
    assert (olmoe.fact, olmoe.a[:9], olmoe.b[:9]) == ("olmoe-1b-7b", "thin twin", "full twin")
    assert "sha256 1111111111111111" in olmoe.b
    assert not compared.of(Area.PROMPTS)
    # The runs are compared all the same: what differs stands above them.
    assert outcomes(compared, "gen_tok_s") == [ComparisonOutcome.SAME] * 4


def test_only_prompts_sent_in_both_are_compared(compare: Callable[..., Comparison]) -> None:
    fewer = Synthetic(prompts=Synthetic().prompts[:7], length_prompts=())
    compared = compare(Synthetic(), fewer)
    assert {row.prompts for row in compared.results.rows if row.ratio} == {7}
    # How an experiment is made is told where both have it.
    assert {each.fact for each in compared.of(Area.PROMPTS)} == {"efficiency", "prompt_length"}
    assert {each.fact for each in compared.of(Area.PROCEDURE)} == {"experiments", "runs"}


def test_other_texts_are_not_compared(compare: Callable[..., Comparison]) -> None:
    compared = compare(Synthetic(), Synthetic(prompt_text="Other words."))
    shared = [row for row in compared.results.rows if row.metric in SHARED]
    assert {(row.outcome, row.reason) for row in shared} == {
        (ComparisonOutcome.NOT_COMPARED, "no prompt was sent in both")
    }


def test_a_missing_reading_is_told_with_its_side_and_reason(
    compare: Callable[..., Comparison],
) -> None:
    def no_memory(_: int, spec: RunSpec) -> Mapping[str, Any]:
        metrics = metrics_of(spec)
        del metrics["peak_rss_bytes"]
        return {"metrics": metrics, "absent": {"peak_rss_bytes": "no /proc here"}}

    compared = compare(Synthetic(), Synthetic(), changes_b=no_memory)
    reasons = {row.reason for row in compared.results.rows if row.metric == "peak_rss_bytes"}
    assert reasons == {"B: no /proc here"}
    energy = [row for row in compared.results.rows if row.metric == "j_per_token_gross"]
    assert {row.reason for row in energy} == {"A: no run with this reading"}
    assert all(row.a is None and row.ratio is None for row in energy)


def test_too_few_prompts_leave_it_open(compare: Callable[..., Comparison]) -> None:
    small = Synthetic(prompts=Synthetic().prompts[:2], length_prompts=())
    compared = compare(small, small, changes_b=scaled(gen_tok_s=0.5))
    assert outcomes(compared, "gen_tok_s") == [ComparisonOutcome.OPEN] * 4
    assert "an interval over prompts needs" in compared.results.rows[0].reason


def test_a_model_that_only_one_has_and_one_that_failed_are_not_compared(
    compare: Callable[..., Comparison],
) -> None:
    def no_room(_: int, spec: RunSpec) -> Mapping[str, Any]:
        return failed(Status.OOM, "out of memory") if spec.model == "gemma-2-2b" else {}

    fewer = Synthetic(models=("olmoe-1b-7b", "gemma-2-2b"))
    compared = compare(Synthetic(), fewer, changes_b=no_room)
    rows = {row.model: row for row in compared.results.rows if row.metric == "gen_tok_s"}
    assert rows["olmoe-1b-7b"].outcome is ComparisonOutcome.SAME
    assert rows["llama-3.2-1b"].reason == "B has no runs of this model"
    assert rows["gemma-2-2b"].reason == "B: no run with this reading"


def test_all_intervals_together_have_the_confidence_of_one(
    compare: Callable[..., Comparison],
) -> None:
    results = compare(Synthetic(), Synthetic()).results
    assert results.confidence == pytest.approx(1 - 0.1 / 12)
    assert "99.17 %, so that all 12 hold together with 90 %" in rule_in_words(results)


def test_a_claim_that_comes_out_otherwise_is_named(compare: Callable[..., Comparison]) -> None:
    def reversed_order(_: int, spec: RunSpec) -> Mapping[str, Any]:
        factor = 3.0 if spec.model == "olmoe-1b-7b" else 1.0
        metrics = metrics_of(spec)
        return {"metrics": metrics | {"gen_tok_s": metrics["gen_tok_s"] * factor}}

    whole = Synthetic(twin_scale=None)
    compared = compare(whole, whole, changes_b=reversed_order)
    moved = {change.id: (change.a, change.b) for change in compared.changes}
    assert moved["c1"] == (Verdict.SAME_DIRECTION, Verdict.OPPOSITE_DIRECTION)
    assert len(moved) < compared.claims


def test_the_document_is_plain_data_of_the_same_content(
    compare: Callable[..., Comparison],
) -> None:
    compared = compare(Synthetic(), Synthetic(host_name="b"), changes_b=scaled(gen_tok_s=2.0))
    document = json.loads(json.dumps(comparison_document(compared), allow_nan=False))
    assert document["differences"]["host"][0]["fact"] == "Machine"
    assert document["results"][0]["outcome"] == "sessions_differ"
    assert document["results"][0]["ratio"] == pytest.approx(2.0)
    assert len(document["results"]) == len(compared.results.rows)


def hardware(mode: str, maximum_hz: int) -> HardwareFacts:
    return HardwareFacts(
        device="Synthetic board",
        firmware="1.0",
        release=None,
        jetpack=None,
        kernel="6.1",
        system="Synthetic Linux",
        power_mode=PowerMode(id=0, name=mode),
        clocks=(Clock(kind="device", name="gpu", minimum_hz=306_000_000, maximum_hz=maximum_hz),),
        swap=(),
        fans=(Fan(name="fan", pwm=100, rpm=2000),),
        cooling=(),
        temps_c={},
    )


def test_another_power_mode_is_named_and_what_moves_by_itself_is_not(tmp_path: Path) -> None:
    plan = build_plan(Synthetic())
    found: list[SessionFacts] = []
    for name, facts in (
        ("a", hardware("15W", 612_000_000)),
        ("b", hardware("25W", 918_000_000).model_copy(update={"fans": ()})),
    ):
        period = build_period(plan, Synthetic()).model_copy(update={"hardware": facts})
        lines = journal_lines(plan, Synthetic(), runs=1)
        folder = write_lines(tmp_path / name, plan, [record_line(period), *lines[1:]])
        found += load_sessions([folder]).sessions
    told = {each.fact: (each.a, each.b) for each in differences(*found)}
    assert told == {
        "Power mode": ("15W", "25W"),
        "Device clocks": ("gpu: 306 to 612 MHz", "gpu: 306 to 918 MHz"),
    }

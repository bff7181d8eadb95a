"""Whether the results of two sides differ by more than a margin, by model and metric.

A side is one session or several of one kind. Only prompts that both sides sent are compared, text
by text; the result is the ratio b / a. Each session moves by itself: without several on each side
nobody knows by how much, and what differs are these two sessions and not what they ran on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, pools, sample_of
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import (
    CONFIDENCE,
    Absent,
    Interval,
    Sample,
    ratio_of_means,
)
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.studies import Study

# Two results within 2 % of one another count as the same: the width to which the study's own
# kind of runs can be brought, and that past which two clocks of one run carry a caveat.
MARGIN = 0.02
# Two sessions a side leave Student's t at one or two degrees of freedom; from three on an interval
# over sessions says something.
SESSIONS_NEEDED = 3
COMPARED_METRICS = ("gen_tok_s", "prompt_tok_s", "peak_rss_bytes", "j_per_token_gross")
# Of runs that judge answers what they found, and not how fast.
_COMPARED_ANSWERS = {
    Feeds.DIVERGENCE: ("kl_divergence_nat", "ln_perplexity_ratio", "same_top_pct"),
    Feeds.CHOICE: ("choice_correct_pct",),
}
# The runs of the prompt lengths are among the headline's.
_TABLES = tuple(feeds for feeds in Feeds if feeds is not Feeds.PROMPT_LENGTH)


class ComparisonOutcome(str, Enum):
    """What can be said of two results."""

    SAME = "same"
    DIFFERS = "differs"
    # By more than the margin, but with fewer sessions than would tell a session from the device.
    SESSIONS_DIFFER = "sessions_differ"
    OPEN = "open"
    NOT_COMPARED = "not_compared"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What the runs of a comparison were for; `lane` tells apart several of one kind."""

    table: Feeds
    arm: Arm
    lane: str = ""

    @property
    def label(self) -> str:
        """Return its name for a person: `headline`, `routing probe-boundary`."""
        parts = (self.table.value, "" if self.arm is Arm.PLAIN else self.arm.value, self.lane)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One metric of one model in both sessions, over the prompts that both sent.

    `a` and `b` are means in the metric's unit, `ratio` is b / a; where something is missing they
    are None and `reason` says why. `interval` is that of the ratio.
    """

    workload: Workload
    model: str
    metric: str
    outcome: ComparisonOutcome
    prompts: int = 0
    runs_a: int = 0
    runs_b: int = 0
    a: float | None = None
    b: float | None = None
    ratio: float | None = None
    interval: Interval | Absent | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results, and the confidence of each interval: together they have that of one."""

    rows: tuple[Result, ...]
    confidence: float

    def count(self, outcome: ComparisonOutcome) -> int:
        """Return how many results have an outcome."""
        return sum(row.outcome is outcome for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two samples of one metric over the same prompts."""

    workload: Workload
    model: str
    metric: str
    a: Sample
    b: Sample


def _compared(table: Feeds) -> tuple[str, ...]:
    return _COMPARED_ANSWERS.get(table, COMPARED_METRICS)


def rule_in_words(results: Results) -> str:
    """Return how an outcome follows from an interval."""
    number = sum(row.ratio is not None for row in results.rows)
    percent = f"{100 * MARGIN:g} %"
    return (
        f"same: the whole interval of the ratio lies within {percent} of 1; differs: the whole "
        f"interval lies outside, over {SESSIONS_NEEDED} or more sessions on each side; sessions "
        f"differ: the same of fewer, which says that these sessions differ, not what they ran on; "
        f"open: anything else. Each interval has {100 * results.confidence:.4g} %, so that all "
        f"{number} hold together with {100 * CONFIDENCE:g} %"
    )


def outcome_of(interval: Interval | Absent) -> ComparisonOutcome:
    """Return what an interval of the ratio says: a test of equivalence within the margin."""
    if isinstance(interval, Absent):
        return ComparisonOutcome.OPEN
    if interval.low >= 1 - MARGIN and interval.high <= 1 + MARGIN:
        return ComparisonOutcome.SAME
    if interval.low <= 1 + MARGIN and interval.high >= 1 - MARGIN:
        return ComparisonOutcome.OPEN
    enough = interval.sessions >= SESSIONS_NEEDED
    return ComparisonOutcome.DIFFERS if enough else ComparisonOutcome.SESSIONS_DIFFER


def compare_results(a: LoadedSessions, b: LoadedSessions, study: Study) -> Results:
    """Return the results of two sessions compared, tables and models in the study's order."""
    found = [item for table in _TABLES for arm in Arm for item in _table(a, b, study, table, arm)]
    pairs = sum(isinstance(item, _Pair) for item in found)
    confidence = 1 - (1 - CONFIDENCE) / max(1, pairs)
    rows = [_result(item, confidence) if isinstance(item, _Pair) else item for item in found]
    return Results(rows=tuple(rows), confidence=confidence)


def _table(
    a: LoadedSessions, b: LoadedSessions, study: Study, table: Feeds, arm: Arm
) -> Iterator[_Pair | Result]:
    ours, theirs = pools(a, study, table, arm), pools(b, study, table, arm)
    workload = Workload(table=table, arm=arm)
    if len(ours) <= 1 and len(theirs) <= 1:
        yield from _sides(workload, ours, theirs)
        return
    for lane in dict.fromkeys(_lane(pool) for pool in (*ours, *theirs)):
        own, other = ([p for p in side if _lane(p) == lane] for side in (ours, theirs))
        yield from _sides(replace(workload, lane=lane), own, other)


def _lane(pool: Pool) -> str:
    """Return what tells the pools of one session apart when its host does not change."""
    condition = pool.condition
    parts = [condition.setting.engine.pin, f"{condition.threads} threads"]
    parts += [f"{condition.n_predict} tokens", f"context {condition.context}"]
    parts += [f"{100 * condition.prompt_scale:g} % of words"] if condition.prompt_scale < 1 else []
    return ", ".join(parts)


def _sides(workload: Workload, a: Sequence[Pool], b: Sequence[Pool]) -> Iterator[_Pair | Result]:
    """Yield what compares one pool of each, or why nothing is compared."""
    if len(a) == len(b) == 1:
        yield from _pools(workload, a[0], b[0])
        return
    reason = "one session ran on different hosts or builds; such runs are never pooled"
    if not a or not b:
        reason = f"{'B' if a else 'A'} has no such runs"
    for model in dict.fromkeys(m.model for pool in (*a, *b) for m in pool.models):
        for metric in _compared(workload.table):
            yield _missing(workload, model, metric, reason)


def _pools(workload: Workload, a: Pool, b: Pool) -> Iterator[_Pair | Result]:
    ours, theirs = _by_model(a), _by_model(b)
    for model in dict.fromkeys((*ours, *theirs)):
        for metric in _compared(workload.table):
            if model in ours and model in theirs:
                yield _metric(workload, ours[model], theirs[model], metric)
            else:
                side = "A" if model not in ours else "B"
                yield _missing(workload, model, metric, f"{side} has no runs of this model")


def _by_model(pool: Pool) -> dict[str, ModelRuns]:
    return {models.model: models for models in pool.models}


def _metric(workload: Workload, a: ModelRuns, b: ModelRuns, metric: str) -> _Pair | Result:
    ours, theirs = sample_of(a.ok, metric), sample_of(b.ok, metric)
    for name, side, sample in (("A", a, ours), ("B", b, theirs)):
        if not sample.n:
            return _missing(workload, a.model, metric, f"{name}: {side.why_absent(metric)}")
    common = ours.by_prompt.keys() & theirs.by_prompt.keys()
    if not common:
        return _missing(workload, a.model, metric, "no prompt was sent in both")
    return _Pair(
        workload=workload,
        model=a.model,
        metric=metric,
        a=ours.of_prompts(common),
        b=theirs.of_prompts(common),
    )


def _missing(workload: Workload, model: str, metric: str, reason: str) -> Result:
    return Result(
        workload=workload,
        model=model,
        metric=metric,
        outcome=ComparisonOutcome.NOT_COMPARED,
        reason=reason,
    )


def _result(pair: _Pair, confidence: float) -> Result:
    ratio = ratio_of_means(pair.b, pair.a, confidence)
    if isinstance(ratio, Absent):
        return _missing(pair.workload, pair.model, pair.metric, ratio.reason)
    interval = ratio.interval
    return Result(
        workload=pair.workload,
        model=pair.model,
        metric=pair.metric,
        outcome=outcome_of(interval),
        prompts=len(pair.a.by_prompt),
        runs_a=pair.a.n,
        runs_b=pair.b.n,
        a=float(pair.a.values.mean()),
        b=float(pair.b.values.mean()),
        ratio=ratio.value,
        interval=interval,
        reason=interval.reason if isinstance(interval, Absent) else "",
    )

"""Conditions: which runs a table may pool, and whether its figures may stand beside the study's.

Two runs are of one condition when setting, threads, tokens, context and prompts are handled
alike; two files of a model are never one model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from edgemoe_appliance.analysis.frames import feeding
from edgemoe_appliance.analysis.sessions import LoadedSessions, Setting
from edgemoe_appliance.analysis.statistics import Sample
from edgemoe_appliance.study.configs import Arm, Feeds
from edgemoe_appliance.study.reference import Study, TokenBounds
from edgemoe_appliance.study.units import GB, gb

BASELINE = "llama-3.2-1b"
MOE = "olmoe-1b-7b"
# A device of 8 GB reports less: firmware and kernel keep some. More than this is another device.
_MEMORY_TOLERANCE = 0.25
_SAMPLE_ORDER = ["prompt", "prompt_sha256", "repetition", "run_id"]
_WORKED_OUT = "worked_out"
_POOL_KEYS = ["setting", "threads", "n_predict", "context", "prompt_scale"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What pooled runs have in common."""

    setting: Setting
    threads: int
    n_predict: int
    context: int
    prompt_scale: float

    @property
    def label(self) -> str:
        """Return what tells this condition from others: setting, threads, tokens."""
        return self._told(self.setting.label, f"{self.threads} threads")

    @property
    def label_without_engine(self) -> str:
        """Return the same without setting and engine, for rows that differ in these."""
        return self._told(self.setting.target.label, f"{self.threads} threads")

    @property
    def label_without_threads(self) -> str:
        """Return the same without threads, for rows that differ in these."""
        return self._told(self.setting.label)

    @property
    def key(self) -> tuple[str, int, int, int, float]:
        """Return what is equal for equal conditions."""
        return (self.setting.id, self.threads, self.n_predict, self.context, self.prompt_scale)

    def _told(self, *parts: str) -> str:
        return ", ".join([*parts, f"{self.n_predict} tokens"])


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelRuns:
    """All final runs of one model file under one condition; `name` is as planned.

    `ok` holds those that ended well, the only ones that enter a statistic, by prompt and
    repetition. `reasons` says by metric why readings are missing.
    """

    model: str
    name: str
    sha256: str
    twin_scale: str | None
    runs: pd.DataFrame
    ok: pd.DataFrame
    reasons: Mapping[str, str]

    @property
    def not_ok(self) -> int:
        """Return how many runs did not end well."""
        return len(self.runs) - len(self.ok)

    def why_absent(self, metric: str) -> str:
        """Return why no run has a reading of a metric."""
        return self.reasons.get(metric, "no run with this reading")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One condition and its models, in the order of the study."""

    condition: Condition
    models: tuple[ModelRuns, ...]

    def find(self, models: ModelRuns) -> ModelRuns | None:
        """Return the runs of the same model file here, None where it was not run."""
        return next((own for own in self.models if own.sha256 == models.sha256), None)

    def baseline(self) -> ModelRuns | None:
        """Return the runs of the model that ratios refer to, where there is one file of it."""
        found = [model for model in self.models if model.model == BASELINE]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, kw_only=True)
class ArmPools:
    """The pools of one condition that differ in their arm alone."""

    condition: Condition
    by_arm: Mapping[Arm, Pool]

    def find(self, arm: Arm, models: ModelRuns) -> ModelRuns | None:
        """Return the runs of a model file in an arm, None where there are none."""
        return self.by_arm[arm].find(models) if arm in self.by_arm else None

    def files(self) -> tuple[ModelRuns, ...]:
        """Return one entry per model file, that of the first arm that has it."""
        every = [models for pool in self.by_arm.values() for models in pool.models]
        return tuple({models.sha256: models for models in reversed(every)}.values())[::-1]


def pools(
    loaded: LoadedSessions, study: Study, feeds: Feeds, arm: Arm = Arm.PLAIN
) -> tuple[Pool, ...]:
    """Return the runs of one arm that go into a table, by condition."""
    runs = feeding(loaded.runs, feeds)
    runs = runs[runs["arm"] == arm.value]
    settings = {setting.id: setting for setting in loaded.settings}
    found = []
    for keys, group in runs.groupby(_POOL_KEYS, sort=False):
        setting, threads, n_predict, context, prompt_scale = keys
        condition = Condition(
            setting=settings[str(setting)],
            threads=int(threads),
            n_predict=int(n_predict),
            context=int(context),
            prompt_scale=float(prompt_scale),
        )
        found.append(Pool(condition=condition, models=tuple(_models(group, loaded, study))))
    return tuple(found)


def pools_by_arm(
    loaded: LoadedSessions, study: Study, feeds: Feeds, arms: Iterable[Arm]
) -> tuple[ArmPools, ...]:
    """Return the runs of several arms that go into a table, by condition."""
    found: dict[tuple[str, int, int, int, float], dict[Arm, Pool]] = {}
    for arm in arms:
        for pool in pools(loaded, study, feeds, arm):
            found.setdefault(pool.condition.key, {})[arm] = pool
    return tuple(
        ArmPools(condition=next(iter(by_arm.values())).condition, by_arm=by_arm)
        for by_arm in found.values()
    )


def _models(runs: pd.DataFrame, loaded: LoadedSessions, study: Study) -> Iterator[ModelRuns]:
    order = {model: place for place, model in enumerate(study.models)}
    groups = list(runs.groupby(["model", "model_sha256"], sort=False))
    groups.sort(key=lambda item: order.get(str(item[0][0]), len(order)))
    for (model, sha256), group in groups:
        scale = group["twin_scale"].iloc[0]
        yield ModelRuns(
            model=str(model),
            name=str(group["model_name"].iloc[0]),
            sha256=str(sha256),
            twin_scale=None if pd.isna(scale) else str(scale),
            runs=group,
            ok=group[group["status"] == "ok"].sort_values(_SAMPLE_ORDER, kind="stable"),
            reasons=_reasons(loaded.absent, group),
        )


def _reasons(absent: pd.DataFrame, runs: pd.DataFrame) -> Mapping[str, str]:
    """Return the most frequent recorded reason for each missing metric of some runs."""
    rows = absent.merge(runs[["session", "run_id"]], on=["session", "run_id"])
    counts = rows.groupby(["metric", "reason"], as_index=False).size()
    counts = counts.sort_values(["metric", "size", "reason"], ascending=[True, False, True])
    first = counts.drop_duplicates("metric")
    pairs = zip(first["metric"], first["reason"], strict=True)
    return {str(metric): str(reason) for metric, reason in pairs}


def sample_of(runs: pd.DataFrame, metric: str) -> Sample:
    """Return the readings of a metric by prompt, each prompt's in the order of repetitions.

    `runs` are in the order of `ModelRuns.ok`. A prompt is known by the text that was sent. Runs
    without the reading are left out.
    """
    present = runs.loc[runs[metric].notna(), ["prompt", "prompt_sha256", metric]]
    groups = present.groupby(["prompt", "prompt_sha256"], sort=False)[metric]
    return Sample({f"{p} {sha}": values.to_numpy(dtype=float) for (p, sha), values in groups})


def sums_sample(runs: pd.DataFrame, over: Sequence[str], under: Sequence[str] = ()) -> Sample:
    """Return a figure worked out for each run: the sum of metrics, over that of others if named.

    A run that lacks one of them, or whose divisor is not above 0, is left out.
    """
    figure = runs[list(over)].sum(axis=1, skipna=False)
    if under:
        divisor = runs[list(under)].sum(axis=1, skipna=False)
        figure = figure / divisor.where(divisor > 0)
    return sample_of(runs.assign(**{_WORKED_OUT: figure}), _WORKED_OUT)


def with_prompts_of(models: ModelRuns, bounds: TokenBounds) -> ModelRuns:
    """Return the runs whose prompt, in tokens as the engine counted them, lies within bounds."""
    return _kept(models, lambda runs: _is_within(runs["prompt_tokens"], bounds))


def with_other_prompts(models: ModelRuns, taken: Iterable[TokenBounds]) -> ModelRuns:
    """Return the runs whose prompt lies within none of some bounds, or is of unknown length."""
    bounds = list(taken)

    def is_other(runs: pd.DataFrame) -> pd.Series:
        inside = [_is_within(runs["prompt_tokens"], each) for each in bounds]
        return ~pd.concat(inside, axis=1).any(axis=1)

    return _kept(models, is_other)


def of_category(models: ModelRuns, category: str) -> ModelRuns:
    """Return the runs with prompts of a category."""
    return _kept(models, lambda runs: runs["prompt_category"] == category)


def doubted(models: ModelRuns, code: str) -> int:
    """Return how many of the runs that ended well carry a doubt."""
    return int((" " + models.ok["doubts"] + " ").str.contains(f" {code} ", regex=False).sum())


def doubt_texts(loaded: LoadedSessions, code: str) -> Mapping[str, int]:
    """Return the different texts of a doubt and the number of runs with each."""
    doubts = loaded.doubts[loaded.doubts["code"] == code]
    counts = doubts.groupby("text", sort=True).size()
    return {str(words): int(runs) for words, runs in counts.items()}


def above(models: ModelRuns, metric: str, limit: float) -> int:
    """Return in how many of the runs that ended well a metric is above a limit."""
    return int((models.ok[metric] > limit).sum())


def added_by_heat(models: ModelRuns, loaded: LoadedSessions) -> int:
    """Return how many of the runs stand in no plan of fixed repetitions: heat added them.

    Where repetitions go by need, what heat asked for cannot be told apart and is not counted.
    """
    fixed = {
        session.key: {spec.id for spec in session.plan.runs}
        for session in loaded.sessions
        if session.plan.precision is None
    }
    made = zip(models.runs["session"], models.runs["run_id"], strict=True)
    return sum(str(run) not in fixed[session] for session, run in made if session in fixed)


def has_reading(pool: Pool, metrics: Iterable[str]) -> bool:
    """Return whether any run of a pool has a reading of any of some metrics."""
    keys = list(metrics)
    return any(bool(models.runs[keys].notna().any(axis=None)) for models in pool.models)


def texts_of(models: ModelRuns) -> Mapping[str, frozenset[str]]:
    """Return the digests of the generated texts by digest of the prompt as sent."""
    texts = models.ok[models.ok["text_sha256"].notna()]
    groups = texts.groupby("prompt_sha256", sort=True)["text_sha256"]
    return {str(prompt): frozenset(map(str, digests)) for prompt, digests in groups}


def _kept(models: ModelRuns, choose: Callable[[pd.DataFrame], pd.Series]) -> ModelRuns:
    runs, ok = models.runs, models.ok
    return replace(models, runs=runs[choose(runs)], ok=ok[choose(ok)])


def _is_within(tokens: pd.Series, bounds: TokenBounds) -> pd.Series:
    inside: pd.Series = tokens.notna()
    if bounds.at_most is not None:
        inside &= tokens <= bounds.at_most
    if bounds.at_least is not None:
        inside &= tokens >= bounds.at_least
    return inside


def why_not_comparable(pool: Pool, study: Study) -> tuple[str, ...]:
    """Return why absolute figures of a pool must not stand beside the study's; none if they may."""
    condition = pool.condition
    target, host = condition.setting.target, condition.setting.host
    procedure = study.procedure
    reasons = []
    if target.study_device is None:
        reasons.append("this hardware is neither of the study's devices")
    else:
        nominal = study.devices[target.study_device].memory_gb
        if abs(host.memory_bytes / GB - nominal) > _MEMORY_TOLERANCE * nominal:
            reasons.append(
                f"this host has {gb(host.memory_bytes):.1f} GB of memory, "
                f"the study's {study.devices[target.study_device].label} has {nominal:.0f}"
            )
    scales = sorted({m.twin_scale for m in pool.models if m.twin_scale not in (None, "full")})
    if scales:
        reasons.append(f"the models are reduced twins (scale {', '.join(map(str, scales))})")
    if condition.n_predict != procedure.max_new_tokens:
        reasons.append(
            f"runs generate {condition.n_predict} tokens, the study's {procedure.max_new_tokens}"
        )
    if condition.prompt_scale < 1:
        reasons.append(f"prompts are cut to {100 * condition.prompt_scale:.3g} % of their words")
    return tuple(reasons)

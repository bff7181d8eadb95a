"""Conditions: which runs a table may pool, and whether its figures may stand beside the study's.

Two runs are of one condition when setting, threads, tokens, context and prompts are handled
alike; two files of a model are never one model.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.frames import reasons_of
from edgemoe_appliance.analysis.pooling import Lot
from edgemoe_appliance.analysis.sessions import LoadedSessions, Setting
from edgemoe_appliance.analysis.statistics import (
    Drift,
    Floats,
    Interval,
    Ints,
    Sample,
    drift_of,
    mean_interval,
)
from edgemoe_appliance.analysis.store import Rows, StoredValue
from edgemoe_appliance.schema.configs import ITEM_ANSWERS, Arm, Feeds
from edgemoe_appliance.schema.metrics import (
    GENERATION_METRICS,
    LEAST_LENGTH_SHARE,
    METRICS,
    SERIES_METRICS,
)
from edgemoe_appliance.schema.units import GB, gb
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import TokenBounds

# A device of 8 GB reports less: firmware and kernel keep some. More than this is another device.
_MEMORY_TOLERANCE = 0.25
_TOKENS, _RATE, _SCORE = "prompt_tokens", "gen_tok_s", "choice_correct_pct"
# Items that 16 bits answer hardly better than chance say nothing about fewer bits: all of the
# interval of their score must lie so many points above it. Declared here.
CHANCE_PCT = 100 / ITEM_ANSWERS
ABOVE_CHANCE_POINTS = 10.0
# All metrics of so few runs are less than a megabyte.
_FEW_RUNS = 1_000


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
        # What generates nothing has chunks of so many tokens, or room for items.
        length = f"{self.n_predict} tokens" if self.n_predict else f"context of {self.context}"
        return ", ".join([*parts, length])


@dataclass(frozen=True, kw_only=True)
class _PromptOrder:
    """Where each run stands when runs are put by prompt and repetition.

    `order` are positions among the rows; prompt number `sent[i]` has those from `starts[i]` on.
    `sessions` are the numbers of their sessions.
    """

    order: Ints
    sent: Ints
    starts: Ints
    sessions: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class RunRows:
    """Runs whose readings make samples; `prompts` are the prompts as sent by number.

    They are those of `rows`, `total` in number, that `chosen` marks; all of them without it.
    Tables, claims and audits choose among the runs of one model file again and again: columns are
    read from the store once, and chosen from in memory. Items of the categories in `no_tasks` are
    no part of a series.
    """

    rows: Rows
    total: int
    prompts: tuple[str, ...]
    chosen: NDArray[np.bool_] | None = None
    no_tasks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return how many runs these are."""
        return self.total if self.chosen is None else int(np.count_nonzero(self.chosen))

    def where(self, **equal: StoredValue) -> RunRows:
        """Return the runs whose columns have these values; None is a missing one."""
        return self._among(self._is(name, value) for name, value in equal.items())

    def where_not(self, **equal: StoredValue) -> RunRows:
        """Return the runs whose columns have other values than these, or None: have any."""
        return self._among(~self._is(name, value) for name, value in equal.items())

    def within(self, column: str, at_least: float | None, at_most: float | None) -> RunRows:
        """Return the runs with a reading inside bounds; None is no bound."""
        return self._among([self._inside(column, at_least, at_most)])

    def outside(self, column: str, at_least: float | None, at_most: float | None) -> RunRows:
        """Return the runs without a reading inside bounds."""
        return self._among([~self._inside(column, at_least, at_most)])

    def above(self, column: str, limit: float) -> RunRows:
        """Return the runs with a reading above a limit."""
        return self._among([self._column(column) > limit])

    def holding(self, column: str, word: str) -> RunRows:
        """Return the runs whose text, words separated by spaces, holds a word."""
        texts = self.rows.texts(column, self._is_few)
        return self._among([texts.among({t for t in texts.names if word in t.split(" ")})])

    def has_any(self, columns: Sequence[str]) -> bool:
        """Return whether any run has a value in any of some columns."""
        return any(len(self.where_not(**{column: None})) for column in columns)

    def numbers(self, column: str) -> Floats:
        """Return a column of numbers, NaN where missing."""
        found: Floats = self._of_chosen(self._column(column))
        return found

    def integers(self, column: str) -> Ints:
        """Return a column of whole numbers."""
        found: Ints = self._of_chosen(self._column(column))
        return found

    def texts(self, column: str) -> list[str | None]:
        """Return a column of text, None where missing."""
        texts = self.rows.texts(column, self._is_few)
        return [None if code < 0 else texts.names[code] for code in self._of_chosen(texts.codes)]

    def first(self, column: str) -> StoredValue:
        """Return a column of the first run. Raises LookupError where there is none."""
        if not len(self):
            raise LookupError("no run")
        place = 0 if self.chosen is None else int(np.argmax(self.chosen))
        if self.rows.shape.kinds[column] == "text":
            texts = self.rows.texts(column, self._is_few)
            code = texts.codes[place]
            return None if code < 0 else str(texts.names[code])
        value: float = self._column(column)[place].item()
        return None if value != value else value  # noqa: PLR0124  (NaN stands for a missing one)

    def reasons(self) -> Mapping[str, str]:
        """Return the most frequent reason for each metric that any of the runs lacks."""
        return reasons_of(self.rows.store, self.integers("absent_set"))

    @property
    def stored(self) -> Rows:
        """Return them as rows of the store, for questions that only it can answer."""
        if self.chosen is None:
            return self.rows
        return self.rows.among("place", self.integers("place").tolist())

    def readings(self, metric: str) -> Floats:
        """Return a metric of each row, NaN where it is missing.

        A figure of generation is missing for a run that ended too early to have one, see
        `metrics.LEAST_LENGTH_SHARE`: this is the one place where that is decided.
        """
        if metric not in METRICS:
            raise KeyError(metric)
        found = self.numbers(metric)
        if metric not in GENERATION_METRICS:
            return found
        return np.where(self.generated_share < LEAST_LENGTH_SHARE, np.nan, found)

    def series(self, metric: str) -> Sample:
        """Return the values of chunks or items of a metric, those of equal ones together.

        Where any of them is no finite number there is no mean, and none of the values counts.
        """
        if self.is_not_finite(metric):
            return Sample({})
        counted = self
        for category in self.no_tasks if metric == _SCORE else ():
            counted = counted.where_not(prompt_category=category)
        found = counted.stored.ask(
            "SELECT chosen.sent, chosen.session, series.item, series.value"  # noqa: S608
            " FROM chosen JOIN series USING (place)"
            f" WHERE series.metric = '{metric}' AND chosen.{metric} IS NOT NULL"
            " ORDER BY sent, item, repetition, run_id, chosen.place"
        )
        sessions = _numbered(found["session"].tolist())
        values: dict[str, list[float]] = {}
        numbers: dict[str, list[int]] = {}
        columns = (found["sent"], found["item"], found["value"], sessions)
        for sent, item, value, session in zip(*columns, strict=True):
            key = f"{self.prompts[int(sent)]}#{int(item):05d}"
            values.setdefault(key, []).append(float(value))
            numbers.setdefault(key, []).append(int(session))
        return Sample(values, numbers, is_in_row=metric != _SCORE)

    def is_not_finite(self, metric: str) -> bool:
        """Return whether any run told a chunk or item of a metric that is no finite number."""
        if metric not in SERIES_METRICS:
            raise KeyError(metric)
        found = self.stored.ask(
            "SELECT count(*) AS n FROM chosen JOIN series USING (place)"  # noqa: S608
            f" WHERE series.metric = '{metric}' AND series.value IS NULL"
        )
        return bool(found["n"].tolist()[0])

    @cached_property
    def generated_share(self) -> Floats:
        """Return the generated tokens of each row over those asked for, NaN where not known."""
        asked = self.numbers("n_predict")
        share: Floats = self.numbers("generated_tokens") / np.where(asked > 0, asked, np.nan)
        return share

    def grouped(self, values: Floats) -> Sample:
        """Return readings, one for each row, by prompt and repetition; NaN is none."""
        layout = self._by_prompt
        groups = np.split(values[layout.order], layout.starts[1:])
        names = [self.prompts[number] for number in layout.sent]
        sessions = np.split(layout.sessions, layout.starts[1:])
        return Sample(
            {name: group[~np.isnan(group)] for name, group in zip(names, groups, strict=False)},
            {
                name: numbers[~np.isnan(group)]
                for name, group, numbers in zip(names, groups, sessions, strict=False)
            },
        )

    @cached_property
    def _by_prompt(self) -> _PromptOrder:
        order = self.rows.kept("by prompt", self._read_order)["order"]
        if self.chosen is not None:
            places = np.cumsum(self.chosen) - 1
            order = places[order[self.chosen[order]]]
        sent, starts = np.unique(self.integers("sent")[order], return_index=True)
        sessions = _numbered(self.texts("session"))
        return _PromptOrder(order=order, sent=sent, starts=starts, sessions=sessions[order])

    def _read_order(self) -> Mapping[str, Ints]:
        """Return the positions of all rows in the order of prompts and repetitions."""
        found = self.rows.ask("SELECT place FROM chosen ORDER BY sent, repetition, run_id, place")
        return {"order": np.searchsorted(self.rows.integers("place"), found["place"].to_numpy())}

    @property
    def _is_few(self) -> bool:
        """Return whether all columns of all rows are less than a megabyte."""
        return self.total <= _FEW_RUNS

    def _column(self, name: str) -> NDArray[Any]:
        return self.rows.column(name, self._is_few)

    def _of_chosen(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self.chosen is None else values[self.chosen]

    def _is(self, name: str, value: StoredValue) -> NDArray[np.bool_]:
        """Return which of all rows have a value, or None: have none."""
        if self.rows.shape.kinds[name] == "text":
            texts = self.rows.texts(name, self._is_few)
            return texts.among({value}) if isinstance(value, str) else texts.codes < 0
        column = self._column(name)
        found: NDArray[np.bool_] = np.isnan(column) if value is None else column == value
        return found

    def _inside(
        self, column: str, at_least: float | None, at_most: float | None
    ) -> NDArray[np.bool_]:
        values = self._column(column)
        inside: NDArray[np.bool_] = ~np.isnan(values)
        if at_least is not None:
            inside &= values >= at_least
        if at_most is not None:
            inside &= values <= at_most
        return inside

    def _among(self, marked: Iterable[NDArray[np.bool_]]) -> RunRows:
        """Return those of these runs that all of some marks on all rows agree on."""
        chosen = np.logical_and.reduce([*marked, *([] if self.chosen is None else [self.chosen])])
        return replace(self, chosen=chosen)


def _numbered(sessions: Sequence[str | None]) -> Ints:
    """Return a number for each session: 0 for a single one, else one that follows from its name.

    A session must have the same number among the runs of every model: ratios pair by it.
    """
    names = set(sessions)
    numbers = {name: 1 + zlib.crc32(str(name).encode()) if len(names) > 1 else 0 for name in names}
    return np.array([numbers[name] for name in sessions], dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelRuns:
    """All final runs of one model file under one condition; `name` is as planned.

    `no_tasks` are categories of items that no score counts, with the reason.
    """

    model: str
    name: str
    sha256: str
    twin_scale: str | None
    runs: RunRows
    no_tasks: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def ok(self) -> RunRows:
        """Return the runs that ended well, the only ones that enter a statistic."""
        return self.runs.where(status="ok")

    @property
    def not_ok(self) -> int:
        """Return how many runs did not end well."""
        return len(self.runs) - len(self.ok)

    def of_file(self, column: str) -> float:
        """Return a number of the first run, for what its file gives all runs in common."""
        value = self.runs.first(column)
        return math.nan if value is None else float(value)

    @property
    def early(self) -> int:
        """Return how many of the runs that ended well have fewer tokens than were asked for."""
        return int(np.count_nonzero(self.ok.generated_share < 1))

    @property
    def too_early(self) -> int:
        """Return how many of those enter no figure of generation."""
        return int(np.count_nonzero(self.ok.generated_share < LEAST_LENGTH_SHARE))

    def why_absent(self, metric: str) -> str:
        """Return the most frequent reason why no run has a reading of a metric."""
        if metric in GENERATION_METRICS and 0 < self.too_early == len(self.ok):
            return f"every run ended before {LEAST_LENGTH_SHARE:.0%} of its tokens"
        known = METRICS.get(metric)
        lacking = known.lacking if known is not None else ""
        if metric == _SCORE and self.no_tasks:
            lacking = next(iter(self.no_tasks.values()))
        return self._reasons.get(metric, lacking or "no run with this reading")

    @cached_property
    def _reasons(self) -> Mapping[str, str]:
        return self.runs.reasons()


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One condition and its models, in the order of the study; ratios refer to `baseline_id`."""

    condition: Condition
    models: tuple[ModelRuns, ...]
    baseline_id: str

    @property
    def early_ends(self) -> str:
        """Return in words how many runs ended before their tokens; empty where none did."""
        early = sum(models.early for models in self.models)
        left_out = sum(models.too_early for models in self.models)
        ok = sum(len(models.ok) for models in self.models)
        if not early:
            return ""
        told = f"{early} of {ok} runs ended early"
        if not left_out:
            return told
        return f"{told}, {left_out} before half their tokens and left out of rates and energy"

    @property
    def drift(self) -> str:
        """Return which rates drift within the session by what matters; empty where none does."""
        found = {each.name: drift_of(sample_of(each.ok, _RATE)) for each in self.models}
        told = [
            f"{name} {drift}"
            for name, drift in found.items()
            if isinstance(drift, Drift) and drift.matters
        ]
        return f"Rates drift within the session: {'; '.join(told)}." if told else ""

    def find(self, models: ModelRuns) -> ModelRuns | None:
        """Return the runs of the same model file here, None where it was not run."""
        return next((own for own in self.models if own.sha256 == models.sha256), None)

    def baseline(self) -> ModelRuns | None:
        """Return the runs of the model that ratios refer to, where there is one file of it."""
        found = [model for model in self.models if model.model == self.baseline_id]
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
    settings = {setting.id: setting for setting in loaded.settings}
    groups: dict[tuple[object, ...], list[Lot]] = {}
    for lot in loaded.lots:
        if feeds in lot.key.feeds and lot.key.arm is arm:
            groups.setdefault(_condition(lot, settings).key, []).append(lot)
    found = []
    for lots in groups.values():
        models = tuple(_models(lots, loaded, study))
        if feeds is Feeds.CHOICE:
            models = tuple(_of_tasks(models, study))
        condition = _condition(lots[0], settings)
        found.append(Pool(condition=condition, models=models, baseline_id=study.baseline))
    return tuple(found)


def _of_tasks(models: Sequence[ModelRuns], study: Study) -> Iterator[ModelRuns]:
    """Yield models without the items that their 16-bit file answers hardly better than chance.

    Where that file did not run, or gave no numbers, nothing is known of the items and all stay.
    """
    wanted = {study.references.get(each.model) for each in models}
    found = {each.model: dict(_no_tasks(each)) for each in models if each.model in wanted}
    for each in models:
        reasons = found.get(study.references.get(each.model, ""), {})
        yield replace(each, runs=replace(each.runs, no_tasks=tuple(reasons)), no_tasks=reasons)


def _no_tasks(reference: ModelRuns) -> Iterator[tuple[str, str]]:
    """Yield the categories of items that are no tasks for a 16-bit file, and why not."""
    for category in dict.fromkeys(reference.ok.texts("prompt_category")):
        sample = of_category(reference, str(category)).ok.series(_SCORE)
        interval = mean_interval(sample)
        if not isinstance(interval, Interval):
            continue
        if interval.low < CHANCE_PCT + ABOVE_CHANCE_POINTS:
            yield (
                str(category),
                f"no task for this model: its 16 bits answer {sample.values.mean():.0f} % of "
                f"{sample.n} such items rightly ({interval.low:.0f} to {interval.high:.0f} %), "
                f"chance {CHANCE_PCT:.0f} %",
            )


def _condition(lot: Lot, settings: Mapping[str, Setting]) -> Condition:
    return Condition(
        setting=settings[lot.key.setting],
        threads=lot.key.threads,
        n_predict=lot.key.n_predict,
        context=lot.key.context,
        prompt_scale=lot.key.prompt_scale,
    )


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


def _models(lots: Iterable[Lot], loaded: LoadedSessions, study: Study) -> Iterator[ModelRuns]:
    order = {model: place for place, model in enumerate(study.models)}
    files: dict[tuple[str, str], list[Lot]] = {}
    for lot in lots:
        files.setdefault((lot.key.model, lot.key.model_sha256), []).append(lot)
    for model, sha256 in sorted(files, key=lambda file: order.get(file[0], len(order))):
        own = files[model, sha256]
        yield ModelRuns(
            model=model,
            name=own[0].key.model_name,
            sha256=sha256,
            twin_scale=own[0].key.twin_scale,
            runs=_run_rows(loaded, own),
        )


def _run_rows(loaded: LoadedSessions, lots: Iterable[Lot]) -> RunRows:
    lots = tuple(lots)
    runs = loaded.runs.among("lot", [lot.number for lot in lots])
    return RunRows(rows=runs, total=sum(lot.runs for lot in lots), prompts=loaded.prompts)


def sample_of(runs: RunRows, metric: str) -> Sample:
    """Return the readings of a metric by prompt, each prompt's in the order of repetitions.

    A prompt is known by the text that was sent. Runs without the reading are left out. Of a metric
    that has a value for each chunk or item, these stand in the place of prompts: what varies
    between them is what the interval of a mean rests on.
    """
    if metric in SERIES_METRICS:
        return runs.series(metric)
    return runs.grouped(runs.readings(metric))


def sums_sample(runs: RunRows, over: Sequence[str], under: Sequence[str] = ()) -> Sample:
    """Return a figure worked out for each run: the sum of metrics, over that of others if named.

    A run that lacks one of them, or whose divisor is not above 0, is left out.
    """
    figure = _sum_of(runs, over)
    if under:
        divisor = _sum_of(runs, under)
        figure = figure / np.where(divisor > 0, divisor, np.nan)
    return runs.grouped(figure)


def _sum_of(runs: RunRows, metrics: Sequence[str]) -> Floats:
    total: Floats = np.sum([runs.readings(metric) for metric in metrics], axis=0)
    return total


def with_prompts_of(models: ModelRuns, bounds: TokenBounds) -> ModelRuns:
    """Return the runs whose prompt, in tokens as the engine counted them, lies within bounds."""
    runs = models.runs.within(_TOKENS, bounds.at_least, bounds.at_most)
    return replace(models, runs=runs)


def with_other_prompts(models: ModelRuns, taken: Iterable[TokenBounds]) -> ModelRuns:
    """Return the runs whose prompt lies within none of some bounds, or is of unknown length."""
    runs = models.runs
    for bounds in taken:
        runs = runs.outside(_TOKENS, bounds.at_least, bounds.at_most)
    return replace(models, runs=runs)


def of_category(models: ModelRuns, category: str) -> ModelRuns:
    """Return the runs with prompts of a category."""
    reasons = {name: why for name, why in models.no_tasks.items() if name == category}
    return replace(models, runs=models.runs.where(prompt_category=category), no_tasks=reasons)


def with_caveat(models: ModelRuns, code: str) -> int:
    """Return how many of the runs that ended well carry a caveat."""
    return len(models.ok.holding("caveats", code))


def caveat_texts(loaded: LoadedSessions, code: str) -> Mapping[str, int]:
    """Return the different texts of a caveat and the number of runs with each."""
    counts = loaded.caveats.where(code=code).counts("text").sort_values("text")
    return {str(words): int(n) for words, n in zip(counts["text"], counts["n"], strict=True)}


def above(models: ModelRuns, metric: str, limit: float) -> int:
    """Return in how many of the runs that ended well a metric is above a limit."""
    return len(models.ok.above(metric, limit))


def added_by_heat(models: ModelRuns) -> int:
    """Return how many of the runs stand in no plan of fixed repetitions: heat added them.

    Where repetitions go by need, what heat asked for cannot be told apart and is not counted.
    """
    return len(models.runs.where(by_heat=True))


def has_reading(pool: Pool, metrics: Iterable[str]) -> bool:
    """Return whether any run of a pool has a reading of any of some metrics."""
    keys = list(metrics)
    return any(models.runs.has_any(keys) for models in pool.models)


def texts_of(models: ModelRuns) -> Mapping[str, frozenset[str]]:
    """Return the digests of the generated texts by digest of the prompt as sent."""
    told = models.ok.where_not(text_sha256=None)
    found: dict[str, set[str]] = {}
    pairs = zip(told.texts("prompt_sha256"), told.texts("text_sha256"), strict=True)
    for prompt, digest in pairs:
        found.setdefault(str(prompt), set()).add(str(digest))
    return {prompt: frozenset(digests) for prompt, digests in sorted(found.items())}


def device_of(setting: Setting, study: Study) -> str | None:
    """Return the study's device that a setting's hardware is, None for other hardware.

    A plan names the device of the study that it was made for; another study has its own.
    """
    named = setting.target.study_device
    return study.device_of(setting.target_id) or (named if named in study.devices else None)


def why_not_comparable(pool: Pool, study: Study) -> tuple[str, ...]:
    """Return why absolute figures of a pool must not stand beside the study's; none if they may."""
    condition = pool.condition
    host = condition.setting.host
    procedure = study.procedure
    reasons = []
    device = device_of(condition.setting, study)
    if driver := condition.setting.software_device:
        reasons.append(f"{driver} is a software device: the processor computed in its place")
    if device is None:
        none = "neither" if len(study.devices) == 2 else "none"
        reasons.append(f"this hardware is {none} of the study's devices")
    else:
        nominal = study.devices[device].memory_gb
        if abs(host.memory_bytes / GB - nominal) > _MEMORY_TOLERANCE * nominal:
            reasons.append(
                f"this host has {gb(host.memory_bytes):.1f} GB of memory, "
                f"the study's {study.devices[device].label} has {nominal:.0f}"
            )
    scales = sorted({m.twin_scale for m in pool.models if m.twin_scale not in (None, "full")})
    if scales:
        reasons.append(f"the models are reduced twins (scale {', '.join(map(str, scales))})")
    if condition.n_predict and procedure.max_new_tokens not in (None, condition.n_predict):
        reasons.append(
            f"runs generate {condition.n_predict} tokens, the study's {procedure.max_new_tokens}"
        )
    if condition.prompt_scale < 1:
        of = "words" if condition.n_predict else "words or items"
        reasons.append(f"prompts are cut to {100 * condition.prompt_scale:.3g} % of their {of}")
    return tuple(reasons)

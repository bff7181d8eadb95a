"""The reader's sessions as evidence: one place per condition that runs may be pooled in.

Reads frames and pools only. A place that is not the study's hardware, or that ran reduced twins
or another procedure, says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from edgemoe_appliance.analysis.claims.estimates import Estimate, beyond, exact, ratio
from edgemoe_appliance.analysis.claims.evidence import Place, Statement
from edgemoe_appliance.analysis.claims.sample_estimates import (
    difference_estimate,
    mean_estimate,
    median_estimate,
    prompt_variance,
    ratio_estimate,
    variation_estimate,
)
from edgemoe_appliance.analysis.claims.session_statements import session_statements
from edgemoe_appliance.analysis.claims.study_evidence import bandwidth_of, quantity_of_work
from edgemoe_appliance.analysis.claims.weight_counts import published_work
from edgemoe_appliance.analysis.conditions import (
    Condition,
    ModelRuns,
    Pool,
    device_of,
    of_category,
    pools,
    sample_of,
    sums_sample,
    with_prompts_of,
)
from edgemoe_appliance.analysis.declared import is_machine_as_declared, unmet_conditions
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import Absent, Sample, against_best
from edgemoe_appliance.analysis.table_model import Source
from edgemoe_appliance.schema.configs import Arm, Feeds, GitSource
from edgemoe_appliance.schema.plan import PlannedModel
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.quantities import Quantity, QuantityStatistic, Term, facts_of

# From a sensor's expanded uncertainty, 2 standard ones (95.45 %), to the 90 % of intervals.
_TO_INTERVAL = 1.645 / 2.0
# What only modes that take turns within a process tell.
_IN_TURN = (Quantity.ROTATED_SLOWDOWN, Quantity.SYNC_COST, Quantity.UNSYNCED_SHARE)
_PROBED = (Arm.PROBE_PER_NODE, Arm.PROBE_BOUNDARY, Arm.PROBE_ROTATE)


@dataclass(frozen=True, kw_only=True, eq=False)
class _PlacePools:
    """A place and the pools behind it, by arm and by number of threads."""

    place: Place
    closeness: tuple[int, ...]
    pools: Mapping[tuple[Arm, int], Pool]

    @property
    def condition(self) -> Condition:
        """Return the condition that the place is named after."""
        return next(iter(self.pools.values())).condition


class SessionEvidence:
    """What the reader measured."""

    source: Source = "reader"

    def __init__(self, loaded: LoadedSessions, study: Study) -> None:
        """Take the sessions; pools, numbers and ratios are made when asked for, once each."""
        self.study = study
        self._loaded = loaded
        self._found = lru_cache(maxsize=None)(self._find)
        self._numbers = lru_cache(maxsize=None)(self._read)
        self._ratios = lru_cache(maxsize=None)(self._ratio)

    def places(self, table: Feeds) -> Sequence[Place]:
        """Return the conditions with runs for a table, closest to the study first."""
        return tuple(found.place for found in self._found(table))

    def models(self, place: Place) -> Sequence[str]:
        """Return the models of a condition, in the order of the study."""
        names = (m.model for pool in self._of(place).pools.values() for m in pool.models)
        return tuple(dict.fromkeys(names))

    def read(self, place: Place, term: Term) -> Estimate | Absent:
        """Return what was measured, with its interval, or why it was not."""
        return self._numbers(place, term)

    def ratio(self, place: Place, top: Term, bottom: Term) -> Estimate | Absent:
        """Return a ratio; where both sides are means of runs, their prompts are paired."""
        return self._ratios(place, top, bottom)

    def sensor_share(self, place: Place, term: Term) -> float:
        """Return the mean relative uncertainty of the runs, however many they are."""
        facts = facts_of(term.quantity)
        runs = self._runs(place, term) if facts.u95 else None
        if not isinstance(runs, ModelRuns):
            return 0.0
        of = runs.ok.readings(facts.u95_of)
        shares = runs.ok.readings(facts.u95) / np.where(of > 0, of, np.nan)
        return 0.0 if np.isnan(shares).all() else _TO_INTERVAL * float(np.nanmean(shares))

    def statements(self) -> Sequence[Statement]:
        """Return the metrics of runs that follow from others, and the counts of runs."""
        return tuple(session_statements(self._loaded, self.study))

    def _read(self, place: Place, term: Term) -> Estimate | Absent:
        setting = self._of(place).condition.setting
        if term.quantity is Quantity.PHYSICAL_MEMORY:
            return exact(setting.host.memory_bytes)
        if term.quantity is Quantity.BANDWIDTH:
            return bandwidth_of(setting.target, setting.hardware)
        if term.quantity is Quantity.PEAK_FLOPS:
            return self._peak_flops(place)
        if term.quantity is Quantity.THREAD_LOSS:
            return self._thread_loss(place, term)
        if facts_of(term.quantity).statistic is QuantityStatistic.BELOW_REFERENCE:
            return self._below_reference(place, term)
        runs = self._runs(place, term)
        return runs if isinstance(runs, Absent) else self._of_runs(runs, term.quantity)

    def _below_reference(self, place: Place, term: Term) -> Estimate | Absent:
        """Return by how much a mean lies below that of the model's 16-bit file, item by item."""
        own = self._runs(place, term)
        named = self.study.references.get(str(term.model))
        other = self._runs(place, replace(term, model=named))
        metric = facts_of(term.quantity).metrics[0]
        if isinstance(own, Absent):
            return own
        if isinstance(other, Absent):
            return other
        if other.ok.is_not_finite(metric):
            return Absent(reason="the answers of the 16-bit file are no finite numbers")
        if own.ok.is_not_finite(metric):
            return _worst(term.quantity)
        samples = {runs: sample_of(runs.ok, metric) for runs in (other, own)}
        empty = next((runs for runs, sample in samples.items() if not sample.n), None)
        if empty is not None:
            return Absent(reason=empty.why_absent(metric))
        return difference_estimate(samples[other], samples[own])

    def _ratio(self, place: Place, top: Term, bottom: Term) -> Estimate | Absent:
        above, below = self._sample(place, top), self._sample(place, bottom)
        if isinstance(above, Sample) and isinstance(below, Sample):
            return ratio_estimate(above, below)
        numerator, denominator = self.read(place, top), self.read(place, bottom)
        if isinstance(numerator, Absent):
            return numerator
        return denominator if isinstance(denominator, Absent) else ratio(numerator, denominator)

    def _find(self, table: Feeds) -> tuple[_PlacePools, ...]:
        arms = (Arm.PLAIN, *_PROBED) if table is Feeds.ROUTING else (Arm.PLAIN,)
        groups: dict[tuple[object, ...], dict[tuple[Arm, int], Pool]] = {}
        for arm in arms:
            for pool in pools(self._loaded, self.study, table, arm):
                condition = pool.condition
                threads = None if table is Feeds.THREADS else condition.threads
                key = (
                    condition.setting.id,
                    threads,
                    condition.n_predict,
                    condition.context,
                    condition.prompt_scale,
                )
                groups.setdefault(key, {})[arm, condition.threads] = pool
        found = [self._as_found(table, group) for group in groups.values()]
        found.sort(key=lambda each: each.closeness, reverse=True)
        return tuple(_with_ids(found))

    def _as_found(self, table: Feeds, group: Mapping[tuple[Arm, int], Pool]) -> _PlacePools:
        study = self.study
        pool = next(iter(group.values()))
        setting = pool.condition.setting
        shortfalls, device = unmet_conditions(pool, study, table), device_of(setting, study)
        scales = {models.twin_scale for each in group.values() for models in each.models}
        source = setting.engine.source
        is_pin = isinstance(source, GitSource) and source.commit == study.procedure.engine_commit
        same_threads = pool.condition.threads == study.procedure.threads
        place = Place(
            id=setting.id,
            label=setting.label if table is Feeds.THREADS else pool.condition.label,
            table=table,
            device=device,
            shortfalls=shortfalls,
            cautions=(*_cautions(scales), *_paging(group.values(), study)),
            twin_scale="tiny" if "tiny" in scales else "thin" if "thin" in scales else None,
            has_twins=bool(scales - {None}),
            prompt_scale=pool.condition.prompt_scale,
            software_device=setting.software_device,
            pretended_meter=setting.pretended_meter,
        )
        ok = sum(len(models.ok) for each in group.values() for models in each.models)
        is_device = device is not None
        closeness = (is_device, not shortfalls, is_pin, same_threads, ok)
        return _PlacePools(place=place, closeness=tuple(map(int, closeness)), pools=group)

    def _of(self, place: Place) -> _PlacePools:
        return next(found for found in self._found(place.table) if found.place.id == place.id)

    def _runs(self, place: Place, term: Term) -> ModelRuns | Absent:
        """Return the runs of a model, cut to the length or stratum that is asked for."""
        found = self._of(place)
        arm = term.arm if facts_of(term.quantity).probed else Arm.PLAIN
        if term.quantity in _IN_TURN:
            arm = Arm.PROBE_ROTATE
        threads = term.threads or found.condition.threads
        pool = found.pools.get((arm, threads))
        if pool is None:
            what = f"{threads} threads" if place.table is Feeds.THREADS else f"the arm {arm.value}"
            return Absent(reason=f"no run with {what}")
        same = [models for models in pool.models if models.model == term.model]
        if len(same) != 1:
            count = f"{len(same)} files" if same else "no run"
            return Absent(reason=f"{count} of {self.study.model_name(term.model)}")
        return self._cut(same[0], term)

    def _cut(self, models: ModelRuns, term: Term) -> ModelRuns | Absent:
        strata = self.study.procedure.routing_strata_tokens
        if term.length is not None:
            models = of_category(models, term.length)
        if term.stratum is not None:
            models = with_prompts_of(models, strata[term.stratum])
        if not len(models.runs):
            return Absent(reason=f"no run with {term.length or term.stratum} prompts")
        return models

    def _sample(self, place: Place, term: Term) -> Sample | Absent | None:
        """Return the sample whose mean a term is, None for a term that is no mean of runs.

        Nor is one whose runs are no numbers.
        """
        if not facts_of(term.quantity).is_mean:
            return None
        runs = self._runs(place, term)
        if isinstance(runs, Absent):
            return runs
        return None if _is_not_finite(runs, term.quantity) else _mean_sample(runs, term.quantity)

    def _of_runs(self, runs: ModelRuns, quantity: Quantity) -> Estimate | Absent:
        facts = facts_of(quantity)
        if facts.statistic is QuantityStatistic.FILE:
            return exact(runs.of_file(facts.metrics[0]))
        if facts.statistic is QuantityStatistic.HIGHEST:
            return _highest(runs, facts.metrics[0])
        special: Mapping[Quantity, Callable[[ModelRuns], Estimate | Absent]] = {
            Quantity.COMPLETED: _completed,
            Quantity.RATE_VARIATION: lambda r: variation_estimate(sample_of(r.ok, "gen_tok_s")),
            Quantity.PROMPT_VARIANCE: lambda r: prompt_variance(sample_of(r.ok, "gen_tok_s")),
            Quantity.MEDIAN_ENERGY_PER_TOKEN: lambda r: _median(r, "j_per_token_study"),
            Quantity.LIKELY_PROMPT_VARIANCE: lambda _: Absent(reason="prompts were measured"),
            Quantity.CACHE_BYTES_PER_TOKEN: lambda r: exact(self._planned(r).kv_bytes_per_token),
            Quantity.MEAN_CONTEXT: _mean_context,
            Quantity.HEAD_BYTES: lambda r: self._of_file(r, quantity),
            Quantity.MULTIPLIED_PARAMETERS: lambda r: self._of_file(r, quantity),
            Quantity.ATTENTION_FLOPS: lambda r: self._of_file(r, quantity),
        }
        if quantity in special:
            return special[quantity](runs)
        if _is_not_finite(runs, quantity):
            return _worst(quantity)
        sample = _mean_sample(runs, quantity)
        return sample if isinstance(sample, Absent) else mean_estimate(sample)

    def _peak_flops(self, place: Place) -> Estimate | Absent:
        pool = next(iter(self._of(place).pools.values()))
        if place.device is None or not is_machine_as_declared(pool, self.study):
            return Absent(reason="the peak arithmetic rate of this hardware is not declared")
        peaks = self.study.peaks.get(place.device)
        if peaks is None:
            return Absent(reason="the study's folder names no peaks of this device")
        return exact(peaks.flops)

    def _thread_loss(self, place: Place, term: Term) -> Estimate | Absent:
        """Return by how much a number of threads stays below the best one, in per cent."""
        counts = sorted(threads for _, threads in self._of(place).pools)
        samples: dict[int | None, Sample] = {}
        for threads in counts:
            one = replace(term, quantity=Quantity.GENERATION_RATE, threads=threads)
            sample = self._sample(place, one)
            if isinstance(sample, Sample):
                samples[threads] = sample
        pair = against_best(samples, term.threads)
        if isinstance(pair, Absent):
            return Absent(reason=f"no sweep of threads with {term.threads} among them")
        own, best = pair
        if own is best:
            return exact(0.0)
        found = ratio_estimate(own, best)
        return found if isinstance(found, Absent) else _fall(found)

    def _of_file(self, runs: ModelRuns, quantity: Quantity) -> Estimate | Absent:
        """Return what the directory of the file that ran tells, as its plan counted it.

        Plans of before it was counted are helped by the catalogue, where the file is a whole model.
        """
        planned = self._planned(runs)
        counted = {
            Quantity.HEAD_BYTES: planned.head_bytes_per_token,
            Quantity.MULTIPLIED_PARAMETERS: planned.parameters_multiplied,
            Quantity.ATTENTION_FLOPS: planned.attention_flops_per_position,
        }[quantity]
        if counted is not None:
            return exact(counted)
        if runs.twin_scale not in (None, "full"):
            return Absent(reason="the plan of this session did not count it")
        entry = self.study.configs.models.models.get(runs.model)
        return quantity_of_work(published_work(entry), quantity)

    def _planned(self, runs: ModelRuns) -> PlannedModel:
        """Return what the session's plan says of the model file."""
        planned = (session.plan.models.get(runs.model) for session in self._loaded.sessions)
        return next(model for model in planned if model and model.sha256 == runs.sha256)


def _mean_context(runs: ModelRuns) -> Estimate | Absent:
    """Return the mean over runs of the prompt and half of what was generated, in tokens."""
    tokens = runs.ok.readings("prompt_tokens") + runs.ok.readings("generated_tokens") / 2
    if np.isnan(tokens).all():
        return Absent(reason="the runs tell no number of tokens")
    return exact(max(1.0, float(np.nanmean(tokens))))


def _is_not_finite(runs: ModelRuns, quantity: Quantity) -> bool:
    """Return whether answers that a quantity says something of are no finite numbers."""
    facts = facts_of(quantity)
    return bool(facts.worse) and runs.ok.is_not_finite(facts.metrics[0])


def _worst(quantity: Quantity) -> Estimate:
    """Return what is worse than any number of a quantity."""
    return beyond(is_above=facts_of(quantity).worse == "higher")


def _mean_sample(runs: ModelRuns, quantity: Quantity) -> Sample | Absent:
    """Return the readings of a quantity by prompt, or why there are none."""
    facts = facts_of(quantity)
    if not facts.is_mean:
        raise ValueError(f"{quantity.value} is no mean of runs")
    if facts.statistic is QuantityStatistic.MEAN:
        sample = sample_of(runs.ok, facts.metrics[0])
        if not sample.n and facts.instead:
            sample = sample_of(runs.ok, facts.instead)
    else:
        sample = sums_sample(runs.ok, facts.metrics, facts.under)
        if facts.statistic is QuantityStatistic.SHARE:
            sample = sample.scaled(100)
    if sample.n:
        return sample
    needed = (*facts.metrics, *facts.under)
    missing = next((key for key in needed if not runs.ok.has_any([key])), facts.metrics[-1])
    return Absent(reason=runs.why_absent(missing))


def _highest(runs: ModelRuns, column: str) -> Estimate | Absent:
    values = runs.ok.readings(column)
    if np.isnan(values).all():
        return Absent(reason=runs.why_absent(column))
    return exact(float(np.nanmax(values)))


def _median(runs: ModelRuns, column: str) -> Estimate | Absent:
    sample = sample_of(runs.ok, column)
    return median_estimate(sample) if sample.n else Absent(reason=runs.why_absent(column))


def _completed(runs: ModelRuns) -> Estimate | Absent:
    """Return the share of runs that ended well; runs that other causes spoilt do not count."""
    counted = runs.runs.where_not(status=Status.INVALID.value)
    if not len(counted):
        return Absent(reason="every run was spoilt from outside")
    return exact(100 * len(runs.ok) / len(counted))


def _fall(found: Estimate) -> Estimate:
    """Return 100 (1 - ratio)."""
    if isinstance(found.bounds, Absent):
        return replace(found, value=100 * (1 - found.value))
    bounds = replace(
        found.bounds, low=100 * (1 - found.bounds.high), high=100 * (1 - found.bounds.low)
    )
    return replace(found, value=100 * (1 - found.value), bounds=bounds)


def _cautions(scales: set[str | None]) -> Iterator[str]:
    """Yield what is to be told with every verdict on runs of these twins."""
    if "full" in scales:
        yield (
            "full-scale twins have the models' shapes and random weights: which experts a token "
            "takes is not what a trained router would choose"
        )


def _paging(found: Iterable[Pool], study: Study) -> Iterator[str]:
    """Yield that memory depends on the choice of experts, where twins with experts nearly fill it.

    A file is in memory twice where the engine keeps a copy for the device, as the study's peak of
    1.9 times the file on 8 GB has it: from half of the memory on, what is not used is paged out.
    """
    for pool in found:
        memory = pool.condition.setting.host.memory_bytes
        for models in pool.models:
            size = models.of_file("file_bytes")
            if models.twin_scale and study.has_experts(models.model) and 2 * size > memory:
                yield (
                    f"the file of {models.name} takes {100 * size / memory:.0f} % of this memory, "
                    "so which experts are chosen decides what is paged: uniform and skewed routing "
                    "of twins are bounds for memory and rate here, not values"
                )
                return


def _with_ids(found: Sequence[_PlacePools]) -> Iterator[_PlacePools]:
    """Yield places named after their settings: `A`, `B`, and `A-2` for a second one of A."""
    counts: dict[str, int] = {}
    for each in found:
        setting = each.place.id
        counts[setting] = counts.get(setting, 0) + 1
        name = setting if counts[setting] == 1 else f"{setting}-{counts[setting]}"
        yield replace(each, place=replace(each.place, id=name))

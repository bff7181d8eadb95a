"""Statistics of repeated runs over a set of prompts: summaries, intervals, ratios.

Prompts are the clusters: repetitions of one prompt resemble one another more than runs of
different prompts do, so an interval over plain runs would be too narrow. From five units on the
bootstrap gives the interval; three or four are too few to draw from, and Student's t stands in,
which takes their errors for normal. Every result is a function of the values alone; where there
are too few, the result says so instead.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

CONFIDENCE = 0.90
RESAMPLES = 10_000
# Two units say next to nothing about their spread: Student's t would be 6.3.
MIN_UNITS = 3
# Below five units a resampled tail holds only a handful of different values.
_MIN_RESAMPLED = 5
# Leaving out one of fewer prompts tells little about a spread.
_MIN_LEFT_OUT = 5
# With more runs of a prompt than this, the mean of runs drawn again is drawn from its normal
# limit; where the runs are the units there is no mean over units to help, so it takes more.
MANY_RUNS = 50
MANY_UNITS = 1_000
# Resampling holds one float per resample and run; this bounds it to about 100 MB.
_CHUNK_DRAWS = 4_000_000
_MOST_KNOWN = 10_000
_KNOWN: dict[tuple[bytes, float, int], Interval | Absent] = {}


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A result that there is not, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided interval; `confidence` in 0-1."""

    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Return half the distance from low to high."""
        return (self.high - self.low) / 2

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """Return the interval of a monotonic function of what this one is of."""
        low, high = sorted((function(self.low), function(self.high)))
        return Interval(low=low, high=high, confidence=self.confidence)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of two means and its interval."""

    value: float
    interval: Interval | Absent


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference of two means and its interval, in the unit of both."""

    value: float
    interval: Interval | Absent


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a sample of runs comes to. `sd` has n-1 in its divisor; `cv_pct` is sd / mean.

    `sd_within` is the standard deviation between repetitions of one prompt, pooled over prompts.
    """

    n: int
    prompts: int
    mean: float
    median: float
    minimum: float
    maximum: float
    sd: float | Absent
    cv_pct: float | Absent
    sd_within: float | Absent


class Sample:
    """Finite values of one metric, grouped by prompt; prompts are kept in sorted order."""

    def __init__(self, values_by_prompt: Mapping[str, Sequence[float] | Floats]) -> None:
        """Take the values of each prompt in the order of their repetitions; empty ones go."""
        kept = {key: np.asarray(v, dtype=np.float64) for key, v in values_by_prompt.items()}
        self.by_prompt: dict[str, Floats] = {k: kept[k] for k in sorted(kept) if kept[k].size}
        if not all(bool(np.isfinite(values).all()) for values in self.by_prompt.values()):
            raise ValueError("a sample holds a value that is not a finite number")

    @property
    def values(self) -> Floats:
        """Return all values, prompt after prompt."""
        if not self.by_prompt:
            return np.empty(0)
        return np.concatenate(list(self.by_prompt.values()))

    @property
    def n(self) -> int:
        """Return the number of values."""
        return sum(values.size for values in self.by_prompt.values())

    def scaled(self, factor: float) -> Sample:
        """Return the values times a factor."""
        return Sample({key: factor * values for key, values in self.by_prompt.items()})

    @property
    def median(self) -> float:
        """Return the median of all values; there must be one."""
        return float(np.median(self.values))

    def digest(self) -> bytes:
        """Return a digest that is equal for equal samples."""
        sha = hashlib.sha256()
        for key, values in self.by_prompt.items():
            sha.update(key.encode() + b"\0" + values.astype("<f8").tobytes())
        return sha.digest()


class _Units(Protocol):
    """A sample laid out for resampling by units: prompts, or the runs of a single prompt."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the names of the units."""

    @property
    def size(self) -> int:
        """Return the number of units."""

    @property
    def draws(self) -> int:
        """Return how many numbers one resample draws."""

    @property
    def mean(self) -> float:
        """Return the mean over all runs."""

    @property
    def influence(self) -> Floats:
        """Return by how much each unit moves the mean: its share of the sum of deviations."""

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw units with replacement: shape (resamples, units)."""

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        """Return the mean of each resample: runs are drawn again inside each drawn unit."""


@dataclass(frozen=True, kw_only=True)
class _FewRuns:
    """Units of few runs each, one row per unit, rows padded to the longest."""

    keys: tuple[str, ...]
    values: Floats
    counts: Ints

    @property
    def size(self) -> int:
        return self.counts.size

    @property
    def draws(self) -> int:
        return self.values.size

    @property
    def mean(self) -> float:
        return float(self.values.sum() / self.counts.sum())

    @property
    def influence(self) -> Floats:
        deviations = self.values.sum(axis=1) - self.counts * self.mean
        shares: Floats = deviations * self.counts.size / self.counts.sum()
        return shares

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        return _pick(rng, size, self.size)

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        counts = self.counts[picks]
        longest = self.values.shape[1]
        inside = (rng.random((*picks.shape, longest)) * counts[..., None]).astype(np.int64)
        values = self.values[picks[..., None], inside]
        values[np.arange(longest) >= counts[..., None]] = 0.0
        means: Floats = values.sum(axis=(1, 2)) / counts.sum(axis=1)
        return means


@dataclass(frozen=True, kw_only=True)
class _ManyRuns:
    """Units of many runs: the mean of runs drawn inside a unit is drawn from its normal limit.

    It has the exact mean and variance of such a draw; its shape differs by about a sixth of the
    skewness over the root of the runs, which the mean over units makes smaller still.
    Source: Bickel and Freedman, Annals of Statistics 9 (1981) 1196, theorem 2.1.
    """

    keys: tuple[str, ...]
    means: Floats
    spreads: Floats
    counts: Ints

    @property
    def size(self) -> int:
        return self.counts.size

    @property
    def draws(self) -> int:
        return self.counts.size

    @property
    def mean(self) -> float:
        return float((self.means * self.counts).sum() / self.counts.sum())

    @property
    def influence(self) -> Floats:
        deviations = self.counts * (self.means - self.mean)
        shares: Floats = deviations * self.counts.size / self.counts.sum()
        return shares

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        return _pick(rng, size, self.size)

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        counts = self.counts[picks]
        errors = (self.spreads / np.sqrt(self.counts))[picks]
        drawn = self.means[picks] + errors * rng.standard_normal(picks.shape)
        means: Floats = (drawn * counts).sum(axis=1) / counts.sum(axis=1)
        return means


@dataclass(frozen=True, kw_only=True)
class _ManyUnits:
    """Very many runs of one prompt, each a unit: their resampled mean has its normal limit."""

    values: Floats

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    @property
    def size(self) -> int:
        return self.values.size

    @property
    def draws(self) -> int:
        return 1

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def influence(self) -> Floats:
        shares: Floats = self.values - self.mean
        return shares

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        return np.zeros((size, 0), dtype=np.int64)

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        error = float(self.values.std()) / math.sqrt(self.values.size)
        return self.mean + error * rng.standard_normal(len(picks))


def summarise(sample: Sample) -> Summary | Absent:
    """Return the summary of a sample, or why there is none."""
    values = sample.values
    if not values.size:
        return Absent(reason="no run with this reading")
    mean = float(values.mean())
    sd = spread(values)
    return Summary(
        n=values.size,
        prompts=len(sample.by_prompt),
        mean=mean,
        median=float(np.median(values)),
        minimum=float(values.min()),
        maximum=float(values.max()),
        sd=sd,
        cv_pct=_cv_pct(sd, mean),
        sd_within=_sd_within(sample),
    )


def spread(values: Floats) -> float | Absent:
    """Return the standard deviation with n-1 in its divisor."""
    if values.size < 2:
        return Absent(reason="one run has no spread")
    return float(values.std(ddof=1))


def mean_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the mean by hierarchical bootstrap: prompts, then repetitions.

    With a single prompt the runs are the units, and the interval speaks of that prompt alone.
    Tables, claims and audits ask for the same ones: equal samples are worked out once.
    """
    key = (sample.digest(), confidence, RESAMPLES)
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _mean_interval(sample, confidence)
    return _KNOWN[key]


def _mean_interval(sample: Sample, confidence: float) -> Interval | Absent:
    units = _units(sample)
    if isinstance(units, Absent):
        return units
    error = _error(units.mean, (units.influence,), confidence)
    if units.size < _MIN_RESAMPLED:
        return error.symmetric()
    rng = _generator(sample)
    parts = [units.resampled_means(rng, units.pick(rng, size)) for size in _chunks(units.draws)]
    return error.shaped(np.concatenate(parts))


def ratio_of_means(
    numerator: Sample, denominator: Sample, confidence: float = CONFIDENCE
) -> Ratio | Absent:
    """Return mean(numerator) / mean(denominator) with its bootstrap interval.

    Where both hold the same prompts, the same prompts are drawn for both: what a prompt does to
    both sides then cancels, as it does in the runs.
    """
    if not numerator.n or not denominator.n:
        return Absent(reason="one side of the ratio has no run")
    base = float(denominator.values.mean())
    if base <= 0:
        return Absent(reason="the mean to divide by is not above 0")
    return Ratio(
        value=float(numerator.values.mean()) / base,
        interval=_ratio_interval(numerator, denominator, confidence),
    )


def difference_of_means(
    first: Sample, second: Sample, confidence: float = CONFIDENCE
) -> Difference | Absent:
    """Return mean(first) - mean(second) with its interval; prompts are paired as in a ratio."""
    if not first.n or not second.n:
        return Absent(reason="one side of the difference has no run")
    return Difference(
        value=float(first.values.mean()) - float(second.values.mean()),
        interval=_difference_interval(first, second, confidence),
    )


def on_common_prompts(*samples: Sample) -> tuple[Sample, ...]:
    """Return the samples without the prompts that not all of them have."""
    common = set.intersection(*(set(sample.by_prompt) for sample in samples))
    return tuple(
        Sample({key: values for key, values in sample.by_prompt.items() if key in common})
        for sample in samples
    )


def median_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the median of all runs: from one prompt's median to another's.

    It asks nothing of their distribution and covers more often than it says. Source: Conover,
    Practical Nonparametric Statistics (1999), 3.2.
    """
    medians = sorted(float(np.median(values)) for values in sample.by_prompt.values())
    if len(medians) < _MIN_LEFT_OUT:
        count = _counted(len(medians), "prompt")
        return Absent(reason=f"{count}; an interval of a median needs {_MIN_LEFT_OUT}")
    left_out, beyond = 0, 1 / 2 ** len(medians)
    while (more := beyond + math.comb(len(medians), left_out + 1) / 2 ** len(medians)) <= (
        1 - confidence
    ) / 2:
        left_out, beyond = left_out + 1, more
    low, high = medians[left_out], medians[-1 - left_out]
    return Interval(
        low=min(low, sample.median), high=max(high, sample.median), confidence=confidence
    )


def variation_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the coefficient of variation over all runs, in per cent.

    It is that of its logarithm by leaving out one prompt after another (jackknife), as drawing
    prompts again would make the variation itself smaller. Source: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 11.
    """
    summary = summarise(sample)
    if isinstance(summary, Absent):
        return summary
    if isinstance(summary.cv_pct, Absent):
        return summary.cv_pct
    groups = list(sample.by_prompt.values())
    if len(groups) < _MIN_LEFT_OUT:
        count = _counted(len(groups), "prompt")
        return Absent(reason=f"{count}; an interval of a variation needs {_MIN_LEFT_OUT}")
    rest = [np.concatenate(groups[:i] + groups[i + 1 :]) for i in range(len(groups))]
    parts = [100 * float(values.std(ddof=1) / values.mean()) for values in rest]
    if min(parts) <= 0:
        return Absent(reason="runs without any spread")
    logs = np.log(parts)
    error = math.sqrt((logs.size - 1) * float(logs.var()))
    swing = math.exp(student_t(1 - (1 - confidence) / 2, logs.size - 1) * error)
    return Interval(low=summary.cv_pct / swing, high=summary.cv_pct * swing, confidence=confidence)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two samples laid out for resampling; `paired` says that they draw the same prompts."""

    top: _Units
    bottom: _Units
    paired: bool
    seed: tuple[Sample, Sample]

    @property
    def is_small(self) -> bool:
        """Return whether one side has too few units to draw from."""
        return min(self.top.size, self.bottom.size) < _MIN_RESAMPLED

    def error_of_ratio(self, confidence: float) -> _Error:
        """Return the error of top / bottom to first order."""
        ratio, base = self.top.mean / self.bottom.mean, self.bottom.mean
        above, below = self.top.influence / base, ratio * self.bottom.influence / base
        return _error(ratio, (above - below,) if self.paired else (above, below), confidence)

    def error_of_difference(self, confidence: float) -> _Error:
        """Return the error of top - bottom."""
        above, below = self.top.influence, self.bottom.influence
        return _error(
            self.top.mean - self.bottom.mean,
            (above - below,) if self.paired else (above, below),
            confidence,
        )

    def draw(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield resampled means of both, a chunk at a time."""
        rng = _generator(*self.seed)
        for size in _chunks(max(self.top.draws, self.bottom.draws)):
            picks = self.top.pick(rng, size)
            other = picks if self.paired else self.bottom.pick(rng, size)
            below = self.bottom.resampled_means(rng, other)
            yield self.top.resampled_means(rng, picks), below


def _pair(first: Sample, second: Sample) -> _Pair | Absent:
    top, bottom = _units(first), _units(second)
    if isinstance(top, Absent):
        return top
    if isinstance(bottom, Absent):
        return bottom
    paired = top.keys == bottom.keys and len(first.by_prompt) > 1
    return _Pair(top=top, bottom=bottom, paired=paired, seed=(first, second))


def _ratio_interval(numerator: Sample, denominator: Sample, confidence: float) -> Interval | Absent:
    pair = _pair(numerator, denominator)
    if isinstance(pair, Absent):
        return pair
    error = pair.error_of_ratio(confidence)
    if pair.is_small:
        return error.symmetric()
    resampled = np.concatenate(
        [above / np.where(below > 0, below, np.nan) for above, below in pair.draw()]
    )
    if not np.isfinite(resampled).all():
        return Absent(reason="the mean to divide by is not clearly above 0")
    return error.shaped(resampled)


def _difference_interval(first: Sample, second: Sample, confidence: float) -> Interval | Absent:
    pair = _pair(first, second)
    if isinstance(pair, Absent):
        return pair
    error = pair.error_of_difference(confidence)
    if pair.is_small:
        return error.symmetric()
    return error.shaped(np.concatenate([above - below for above, below in pair.draw()]))


def _units(sample: Sample) -> _Units | Absent:
    """Return the units of the outer level: prompts, or the runs of a single prompt."""
    groups = sample.by_prompt
    if len(groups) == 1:
        (values,) = groups.values()
        if values.size < MIN_UNITS:
            count = _counted(values.size, "repetition")
            return Absent(reason=f"{count} of one prompt; an interval needs {MIN_UNITS}")
        if values.size > MANY_UNITS:
            return _ManyUnits(values=values)
        groups = {str(index): values[index : index + 1] for index in range(values.size)}
    if len(groups) < MIN_UNITS:
        count = _counted(len(groups), "prompt")
        return Absent(reason=f"{count}; an interval over prompts needs {MIN_UNITS}")
    counts = np.array([values.size for values in groups.values()], dtype=np.int64)
    if counts.max() > MANY_RUNS:
        return _ManyRuns(
            keys=tuple(groups),
            means=np.array([values.mean() for values in groups.values()]),
            spreads=np.array([values.std() for values in groups.values()]),
            counts=counts,
        )
    padded = np.zeros((counts.size, int(counts.max())))
    for row, values in enumerate(groups.values()):
        padded[row, : values.size] = values
    return _FewRuns(keys=tuple(groups), values=padded, counts=counts)


def _pick(rng: np.random.Generator, size: int, units: int) -> Ints:
    return (rng.random((size, units)) * units).astype(np.int64)


def _variance_of_mean(influence: Floats) -> float:
    """Return the variance of a mean over units, from each unit's influence on it."""
    return float((influence**2).sum() / (influence.size * (influence.size - 1)))


def _error(centre: float, influences: Sequence[Floats], confidence: float) -> _Error:
    """Return the error of a result that several independent sets of units move.

    Each set brings degrees of freedom. Source: Welch, Biometrika 34 (1947) 28.
    """
    parts = [_variance_of_mean(influence) for influence in influences]
    freedoms = [influence.size - 1 for influence in influences]
    variance = sum(parts)
    squares = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return _Error(
        centre=centre,
        variance=variance,
        freedom=variance**2 / squares if squares else min(freedoms),
        confidence=confidence,
    )


@dataclass(frozen=True, kw_only=True)
class _Error:
    """A result, the variance of its error, and the degrees of freedom that this rests on."""

    centre: float
    variance: float
    freedom: float
    confidence: float

    @property
    def _t(self) -> float:
        return student_t(1 - (1 - self.confidence) / 2, self.freedom)

    def symmetric(self) -> Interval:
        """Return the interval of Student's t."""
        swing = self._t * math.sqrt(self.variance)
        return Interval(
            low=self.centre - swing, high=self.centre + swing, confidence=self.confidence
        )

    def shaped(self, resampled: Floats) -> Interval:
        """Return the percentile interval of a two-level bootstrap, brought to its true width.

        Drawing repetitions inside drawn prompts counts their spread twice, as it is in the means
        of the prompts already; so the resampled values keep their shape and are scaled to the
        unbiased variance over units. The levels are widened as Student's t widens the normal.
        Sources: Kalibera and Jones, Rigorous benchmarking in reasonable time (2013), the levels
        of resampling; Davison and Hinkley, Bootstrap methods and their application (1997), 3.8,
        the double count; Hesterberg, arXiv 1411.5279, the levels of the percentiles.
        """
        spread_of_values = float(resampled.std())
        scale = math.sqrt(self.variance) / spread_of_values if spread_of_values else 0.0
        tail = NormalDist().cdf(-self._t)
        ends = np.quantile(resampled, (tail, 1 - tail))
        low, high = self.centre + (ends - self.centre) * scale
        return Interval(low=float(low), high=float(high), confidence=self.confidence)


@lru_cache(maxsize=1024)
def student_t(probability: float, freedom: float) -> float:
    """Return a quantile (above a half) of Student's t with any freedom from 1 on, to about 1e-6.

    The angle whose tangent is t / sqrt(freedom) has the density cos^(freedom - 1), which is
    summed up and looked up.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom: at least 1 is needed")
    angles = np.linspace(0.0, math.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    sums = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = float(np.interp(2 * probability - 1, sums / sums[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)


def _generator(*samples: Sample) -> np.random.Generator:
    """Return a generator seeded by the data, so that equal data give equal intervals."""
    seed = hashlib.sha256(b"".join(sample.digest() for sample in samples)).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed[:16], "big")))


def _chunks(draws_per_resample: int) -> list[int]:
    size = max(1, min(RESAMPLES, _CHUNK_DRAWS // max(1, draws_per_resample)))
    whole, rest = divmod(RESAMPLES, size)
    return [size] * whole + ([rest] if rest else [])


def _cv_pct(sd: float | Absent, mean: float) -> float | Absent:
    if isinstance(sd, Absent):
        return sd
    if mean <= 0:
        return Absent(reason="no coefficient of variation for a mean that is not above 0")
    return 100 * sd / mean


def _sd_within(sample: Sample) -> float | Absent:
    groups = [values for values in sample.by_prompt.values() if values.size > 1]
    if not groups:
        return Absent(reason="no prompt was repeated")
    freedom = sum(values.size - 1 for values in groups)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in groups)
    return math.sqrt(squares / freedom)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Intervals of one sample: of its mean, its median and its variation."""

from __future__ import annotations

import math

import numpy as np

from edgemoe_appliance.analysis.results import CONFIDENCE, Absent, Interval
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.analysis.statistics.samples import Sample, summarise
from edgemoe_appliance.analysis.statistics.student import error_of, student_t
from edgemoe_appliance.analysis.statistics.units import units_of
from edgemoe_appliance.schema.text import counted

# Leaving out one of fewer prompts tells little about a spread.
_MIN_LEFT_OUT = 5
_MOST_KNOWN = 10_000
_KNOWN: dict[tuple[bytes, float, int], Interval | Absent] = {}


def mean_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the mean by hierarchical bootstrap: prompts, then repetitions.

    With a single prompt the runs are the units, and the interval speaks of that prompt alone.
    Tables, claims and audits ask for the same ones: equal samples are worked out once.
    """
    key = (sample.digest(), confidence, resampling.RESAMPLES)
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _mean_interval(sample, confidence)
    return _KNOWN[key]


def _mean_interval(sample: Sample, confidence: float) -> Interval | Absent:
    units = units_of(sample)
    if isinstance(units, Absent):
        return units
    by_session = np.array(list(sample.session_influence.values()))
    influences = (units.influence, by_session) if by_session.size > 1 else (units.influence,)
    in_row = int(sample.is_in_row and len(sample.by_prompt) > 1)
    error = error_of(units.mean, influences, confidence, by_session.size, in_row=in_row)
    if units.size < resampling.MIN_RESAMPLED or error.sessions > 1:
        return error.symmetric()
    rng = resampling.generator_of(sample)
    parts = [
        units.resampled_means(rng, units.pick(rng, size)) for size in resampling.chunks(units.draws)
    ]
    return error.shaped(np.concatenate(parts))


def median_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the median of all runs: from one prompt's median to another's.

    It asks nothing of their distribution and covers more often than it says. Source: Conover,
    Practical Nonparametric Statistics (1999), 3.2.
    """
    medians = sorted(float(np.median(values)) for values in sample.by_prompt.values())
    if len(medians) < _MIN_LEFT_OUT:
        count = counted(len(medians), "prompt")
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


def prompt_variance_interval(sample: Sample, confidence: float = CONFIDENCE) -> Interval | Absent:
    """Return the interval of the part of the variance that lies between prompts, in per cent.

    Prompts are left out one after another, as for a variation: it is that of the logarithm of all
    variance over that within prompts, which has no ends.
    """
    groups = list(sample.by_prompt.values())
    if len(groups) < _MIN_LEFT_OUT:
        count = counted(len(groups), "prompt")
        return Absent(reason=f"{count}; an interval of a variance needs {_MIN_LEFT_OUT}")
    keys = list(sample.by_prompt)
    logs = [_log_variance_ratio(sample.of_prompts(set(keys) - {key})) for key in (None, *keys)]
    known = [each for each in logs if each is not None]
    if len(known) < len(logs):
        return Absent(reason="runs of one prompt without any spread, or none repeated")
    whole, rest = known[0], np.array(known[1:])
    error = math.sqrt((rest.size - 1) * float(rest.var()))
    swing = student_t(1 - (1 - confidence) / 2, rest.size - 1) * error
    low, high = (100 * max(0.0, 1 - math.exp(-end)) for end in (whole - swing, whole + swing))
    return Interval(low=low, high=high, confidence=confidence)


def _log_variance_ratio(sample: Sample) -> float | None:
    """Return the logarithm of all variance over that within prompts, None where either is 0."""
    summary = summarise(sample)
    if isinstance(summary, Absent):
        return None
    every, within = summary.sd, summary.sd_within
    if isinstance(every, Absent) or isinstance(within, Absent) or not every or not within:
        return None
    return 2 * math.log(every / within)


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
        count = counted(len(groups), "prompt")
        return Absent(reason=f"{count}; an interval of a variation needs {_MIN_LEFT_OUT}")
    rest = [np.concatenate(groups[:i] + groups[i + 1 :]) for i in range(len(groups))]
    parts = [100 * float(values.std(ddof=1) / values.mean()) for values in rest]
    if min(parts) <= 0:
        return Absent(reason="runs without any spread")
    logs = np.log(parts)
    error = math.sqrt((logs.size - 1) * float(logs.var()))
    swing = math.exp(student_t(1 - (1 - confidence) / 2, logs.size - 1) * error)
    return Interval(low=summary.cv_pct / swing, high=summary.cv_pct * swing, confidence=confidence)

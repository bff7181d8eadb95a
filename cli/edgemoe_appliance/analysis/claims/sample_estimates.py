"""Estimates from samples: means, ratios and variations with intervals, and what widens them.

The intervals of means and ratios are those of `analysis.statistics`; how much of their width lies
between repetitions and how much between prompts is worked out here.
"""

from __future__ import annotations

from edgemoe_appliance.analysis.claims.estimates import Basis, Bounds, Estimate, Repeats
from edgemoe_appliance.analysis.statistics import (
    CONFIDENCE,
    Absent,
    Interval,
    Sample,
    difference_of_means,
    doubts_of,
    mean_interval,
    median_interval,
    prompt_variance_interval,
    ratio_of_means,
    student_t,
    summarise,
    variation_interval,
)


def mean_estimate(sample: Sample) -> Estimate:
    """Return the mean of a sample that is not empty."""
    interval = mean_interval(sample)
    return Estimate(
        value=float(sample.values.mean()),
        bounds=_as_bounds(interval),
        repeats=_repeats(sample, interval, _within_variance(sample)),
        doubts=doubts_of(sample),
    )


def ratio_estimate(top: Sample, bottom: Sample) -> Estimate | Absent:
    """Return the ratio of two means; prompts that both have are drawn together."""
    found = ratio_of_means(top, bottom)
    if isinstance(found, Absent):
        return found
    base = float(bottom.values.mean())
    below = _within_variance(bottom)
    above = _within_variance(top)
    inside = None
    if above is not None and below is not None:
        inside = (above + found.value * found.value * below) / (base * base)
    fewer = min(top, bottom, key=lambda sample: sample.n)
    return Estimate(
        value=found.value,
        bounds=_as_bounds(found.interval),
        repeats=_repeats(fewer, found.interval, inside),
        doubts=tuple(dict.fromkeys((*doubts_of(top), *doubts_of(bottom)))),
    )


def difference_estimate(first: Sample, second: Sample) -> Estimate | Absent:
    """Return mean(first) - mean(second); what both have of one item or prompt is paired."""
    found = difference_of_means(first, second)
    if isinstance(found, Absent):
        return found
    return Estimate(value=found.value, bounds=_as_bounds(found.interval))


def variation_estimate(sample: Sample) -> Estimate | Absent:
    """Return the coefficient of variation over all runs, in per cent."""
    summary = summarise(sample)
    if isinstance(summary, Absent):
        return summary
    if isinstance(summary.cv_pct, Absent):
        return summary.cv_pct
    interval = variation_interval(sample)
    repeats = _repeats(sample, interval, 0.0) if isinstance(interval, Interval) else None
    return Estimate(
        value=summary.cv_pct,
        bounds=_as_bounds(interval),
        repeats=repeats,
        doubts=doubts_of(sample),
    )


def median_estimate(sample: Sample) -> Estimate:
    """Return the median of all runs of a sample that is not empty."""
    interval = median_interval(sample)
    return Estimate(
        value=sample.median,
        bounds=_as_bounds(interval),
        repeats=_repeats(sample, interval, 0.0) if isinstance(interval, Interval) else None,
    )


def prompt_variance(sample: Sample) -> Estimate | Absent:
    """Return the part of the variance of single runs that lies between prompts, in per cent."""
    summary = summarise(sample)
    if isinstance(summary, Absent):
        return summary
    if isinstance(summary.sd, Absent) or isinstance(summary.sd_within, Absent) or not summary.sd:
        return Absent(reason="no spread, or no repeated prompt")
    share = max(0.0, 1 - (summary.sd_within / summary.sd) ** 2)
    interval = prompt_variance_interval(sample)
    return Estimate(value=100 * share, bounds=_as_bounds(interval))


def _as_bounds(interval: Interval | Absent) -> Bounds | Absent:
    if isinstance(interval, Absent):
        return interval
    return Bounds(low=interval.low, high=interval.high, basis=Basis.INTERVAL)


def _within_variance(sample: Sample) -> float | None:
    """Return the variance that repetitions alone give the mean, None where nothing is repeated."""
    summary = summarise(sample)
    if isinstance(summary, Absent) or isinstance(summary.sd_within, Absent):
        return None
    return summary.sd_within * summary.sd_within / summary.n


def _repeats(sample: Sample, interval: Interval | Absent, inside: float | None) -> Repeats:
    """Return the repeats behind an interval; `inside` is the variance due to repetitions."""
    prompts = len(sample.by_prompt)
    repetitions = max(1, round(sample.n / prompts))
    share = 1.0 if prompts == 1 else 0.0
    if prompts > 1 and inside is not None and isinstance(interval, Interval):
        t = student_t(1 - (1 - CONFIDENCE) / 2, prompts - 1)
        error = interval.half_width / t
        share = min(1.0, inside / (error * error)) if error * error else 1.0
    return Repeats(repetitions=repetitions, prompts=prompts, within_share=share)

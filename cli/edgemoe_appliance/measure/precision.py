"""How well the mean generation rate of a cell is known, and whether more repetitions would help.

A cell is one model under one condition (pin, threads, arm) over all prompts of an experiment: a
row of the study's tables. Its interval is Student's t over the means of the prompts,

    mean +- t(0.95, k - 1) * s / sqrt(k),    k prompts, s the standard deviation of their means

(over the runs themselves where there is a single prompt). The analysis draws prompts, then
repetitions, and brings the width of that bootstrap to the same variance over prompts, so the two
differ by the skew of a handful of means. Sources: Student's t, NIST/SEMATECH e-Handbook of
Statistical Methods, 1.3.6.7.2; prompts as the outer level of repetition, Kalibera and Jones,
Rigorous benchmarking in reasonable time (2013).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

from edgemoe_appliance.schema.plan import PrecisionRule

# Runs that ended well: fewer say too little about their own spread. Source: field practice with
# this rule of stopping, at least ten samples.
_LEAST_SAMPLES: Final = 10
# Two units have a t of 6.3; the analysis gives no interval for them either.
_LEAST_UNITS: Final = 3
# All repetitions that are allowed must promise an interval narrower by this factor at least. The
# promise is rough, as the spread of a dozen means is: a merely noisy cell must not end here.
_WORTH_IT: Final = 0.8
# t(0.95, n) for n = 1, 2, ... 30 degrees of freedom. Source: the handbook above.
_T_95: Final = (
    *(6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812),
    *(1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725),
    *(1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697),
)

# The rates of the runs that ended well, by prompt; a prompt without one is not there.
Rates: TypeAlias = Mapping[str, Sequence[float]]


class StopReason(str, Enum):
    """Why a cell is not repeated any more."""

    PRECISE = "precise"
    PROMPTS = "prompts"  # too few, or so different that repeating them hardly narrows the interval
    CAP = "cap"
    NO_RUN = "no-run"  # none has ended well: to repeat them only costs time


def settle(rule: PrecisionRule, rates: Rates, repetitions: int) -> StopReason | None:
    """Return why a cell needs no more than `repetitions`; None where it does."""
    samples = sum(map(len, rates.values()))
    if not samples:
        return StopReason.NO_RUN
    if samples >= _LEAST_SAMPLES:
        reached, reachable = relative_half_width(rates), reachable_half_width(rates, rule.at_most)
        if reached is None or reachable is None:
            return StopReason.PROMPTS
        if reached <= rule.within:
            return StopReason.PRECISE
        if reachable > max(rule.within, _WORTH_IT * reached):
            return StopReason.PROMPTS
    return StopReason.CAP if repetitions >= rule.at_most else None


def relative_half_width(rates: Rates) -> float | None:
    """Return half the 90 % interval of the mean, relative to it; None for too few units."""
    means = _unit_means(rates)
    if len(means) < _LEAST_UNITS:
        return None
    return _relative(statistics.variance(means), means)


def reachable_half_width(rates: Rates, repetitions: int) -> float | None:
    """Return the half width to expect after so many repetitions; None for too few units.

    Repeating takes away the part of the spread of means that repetitions of one prompt show, and
    leaves that between prompts.
    """
    if len(rates) == 1:
        return _reachable_alone(next(iter(rates.values())), repetitions)
    means = _unit_means(rates)
    if len(means) < _LEAST_UNITS:
        return None
    now, made = statistics.variance(means), statistics.fmean(map(len, rates.values()))
    repeated = [statistics.variance(values) for values in rates.values() if len(values) > 1]
    # Before anything was repeated, all of the spread may be of that kind.
    inside = statistics.fmean(repeated) if repeated else now * made
    return _relative(max(0.0, now - inside * max(0.0, 1 / made - 1 / repetitions)), means)


def _reachable_alone(values: Sequence[float], repetitions: int) -> float | None:
    if len(values) < _LEAST_UNITS:
        return None
    as_many = [statistics.fmean(values)] * max(len(values), repetitions)
    return _relative(statistics.variance(values), as_many)


def _unit_means(rates: Rates) -> list[float]:
    if len(rates) == 1:
        return list(next(iter(rates.values())))
    return [statistics.fmean(values) for values in rates.values()]


def _relative(variance: float, means: Sequence[float]) -> float:
    swing = _t_95(len(means) - 1) * math.sqrt(variance / len(means))
    return swing / statistics.fmean(means)


def _t_95(freedom: int) -> float:
    """Return the factor of the table; past its end that of 30, which is 3 % too wide at most."""
    return _T_95[min(freedom, len(_T_95)) - 1]

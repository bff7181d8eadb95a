"""The integral of a rail's readings over a window, with its uncertainty. Pure.

Power is integrated by trapezoids, with the readings just outside the window taken in, so that no
edge is dropped; counters are interpolated at the edges. Whether a window can be integrated at
all is not asked here.
"""

from __future__ import annotations

import cmath
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from edgemoe_appliance.measure.power.interface import Rail
from edgemoe_appliance.measure.railtrace import GAP_PERIODS, RailTrace
from edgemoe_appliance.measure.uncertainty import Uncertainty, rectangular
from edgemoe_appliance.schema.records import Window
from edgemoe_appliance.schema.units import NS_PER_S

_DOF_PER_READING = 18 / 35
# A counter's power is taken over at least this many refreshes: a stale value shifts it by 10 %.
_PEAK_REFRESHES = 10
# Three times the answer of readings at random moments: seen once in 8,000 cases (Rayleigh).
_ANSWER_BY_CHANCE = 3.0
_HARMONICS = (1, 2, 3)
# From so many readings on their mean period is better known than the median of their distances.
_SETTLED_READINGS = 5
# Frequencies tried to each side: fewer than a third of a turn apart up to 40 tokens/s.
_NEAR_STEPS = 12
# The amplitude of a ripple as a share of the mean power. The study's peaks are 10 to 29 % above
# its means (its Table 6); a token is a burst and a pause, so that this is a bound, not a mean.
_RIPPLE_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class Integral:
    """An energy, the peak power, their uncertainty and the stalls inside the window."""

    energy_j: float
    peak_w: float
    uncertainty: Uncertainty
    gaps_s: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Span:
    """The readings that a window needs; seconds since its start, and one period."""

    times_s: tuple[float, ...]
    values: tuple[float, ...]
    duration_s: float
    period_s: float

    @property
    def range(self) -> float:
        """Return the largest difference between two values."""
        return max(self.values) - min(self.values)


def _span(trace: RailTrace, window: Window, margin: int) -> _Span:
    """Return the readings in a window, with `margin` more beyond each edge where there are."""
    first = max(0, bisect_right(trace.times_ns, window.start_ns) - margin)
    last = bisect_left(trace.times_ns, window.end_ns) + margin
    times_s = [(t_ns - window.start_ns) / NS_PER_S for t_ns in trace.times_ns[first:last]]
    return _Span(
        times_s=tuple(times_s),
        values=trace.values[first:last],
        duration_s=window.duration_s,
        period_s=trace.period_s,
    )


def integrate_power(trace: RailTrace, window: Window, ripple_hz: float | None = None) -> Integral:
    """Return the integral of power readings (W) by trapezoids, with its uncertainty.

    A sensor with a first-order lag of tau shows y where the power is y + tau dy/dt, so that the
    energy from a to b is the integral of y and tau (y(b) - y(a)), whatever the load did.

    Parts of the uncertainty:

    - sampling: the variance of each reading about the line between its neighbours, which does
      not see slow change (Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73:625), carried
      through the weights of the trapezoids. For even spacing it is what the difference between
      all and every second reading estimates, block by block. 18/35 degrees of freedom for each
      reading, from the asymptotic variance given there.
    - edges: power may have jumped anywhere between the two readings around an edge, and readings
      may be late by one refresh of the sensor: rectangles.
    - lag: of the correction, from the bound of tau, from the steps and the noise of the two
      readings at each edge, and from how far between two readings the curve can bend.
    - ripple: where the load swings at `ripple_hz` and the readings come in step with it, the part
      that they cannot tell from a steady load: see `_ripple_j`.
    - gaps: in a stall power may have been anywhere between the extremes of the window: rectangle.
    - quantisation: step/sqrt(12), not averaged down: a steady load has one rounding error.
    - offset and gain: the bounds of the sensor as rectangles, not averaged down.

    Blind spot: a burst between two readings that no reading meets leaves no trace.
    """
    # Two readings beyond each edge: the outer one lets the inner one be compared with a line.
    span = _span(trace, window, margin=2)
    weights = trapezoid_weights(span.times_s, span.duration_s)
    rise_w = _value_at(span, span.duration_s) - _value_at(span, 0.0)
    shown_j = math.fsum(w * p for w, p in zip(weights, span.values, strict=True))
    energy_j = shown_j + trace.rail.lag_s * rise_w
    readings = zip(span.times_s, span.values, strict=True)
    uncertainty = _power_uncertainty(trace.rail, span, weights, energy_j)
    return Integral(
        energy_j=energy_j,
        peak_w=max(p for t, p in readings if 0 <= t <= span.duration_s),
        uncertainty=replace(
            uncertainty,
            lag_j=_lag_j(trace.rail, span, rise_w),
            ripple_j=_ripple_j(trace.rail, span, weights, ripple_hz),
        ),
        gaps_s=tuple(_gaps(span)),
    )


def trapezoid_weights(times_s: Sequence[float], duration_s: float) -> list[float]:
    """Return for each reading the time (s) that it stands for in a window from 0 to `duration_s`.

    The integral is the sum of weight times value: of straight lines between readings, cut at the
    edges, and of the nearest value where there is no reading beyond an edge.
    """
    weights = [0.0] * len(times_s)
    for index, (left_s, right_s) in enumerate(pairwise(times_s)):
        from_s, to_s = max(left_s, 0.0), min(right_s, duration_s)
        if to_s > from_s:
            later = ((from_s + to_s) / 2 - left_s) / (right_s - left_s)
            weights[index] += (to_s - from_s) * (1 - later)
            weights[index + 1] += (to_s - from_s) * later
    weights[0] += max(0.0, times_s[0])
    weights[-1] += max(0.0, duration_s - times_s[-1])
    return weights


def _power_uncertainty(
    rail: Rail, span: _Span, weights: Sequence[float], energy_j: float
) -> Uncertainty:
    variances = line_variances(span.times_s, span.values)
    sampling_j2 = math.fsum(w * w * v for w, v in zip(weights, variances, strict=True))
    return Uncertainty(
        sampling_j=math.sqrt(sampling_j2),
        edges_j=_edges_j(span, rail.refresh_s + rail.late_s),
        gaps_j=math.fsum(_gaps(span)) * span.range / math.sqrt(12),
        quantisation_j=rail.step / math.sqrt(12) * span.duration_s,
        offset_j=_bounded(rail.offset_bound_w, span.duration_s),
        gain_j=_bounded(rail.gain_bound, energy_j),
        sampling_dof=max(1.0, _DOF_PER_READING * (len(variances) - 2)),
    )


def _value_at(span: _Span, moment_s: float) -> float:
    """Return the value at a moment on the line between its neighbours, else the nearest one."""
    right = bisect_left(span.times_s, moment_s)
    if right in (0, len(span.times_s)):
        return span.values[min(right, len(span.times_s) - 1)]
    left_s, right_s = span.times_s[right - 1], span.times_s[right]
    share = (moment_s - left_s) / (right_s - left_s)
    return span.values[right - 1] * (1 - share) + span.values[right] * share


def _lag_j(rail: Rail, span: _Span, rise_w: float) -> float:
    """Return the uncertainty of the correction for the lag."""
    if not rail.lag_s:
        return 0.0
    noise_w = math.hypot(rail.step / math.sqrt(12), math.sqrt(_least_variance(span)))
    bends_w = [_bend_w(span, edge_s, rail.lag_s) for edge_s in (0.0, span.duration_s)]
    return math.hypot(
        rectangular(rail.lag_bound_s * rise_w),
        rail.lag_s * noise_w * math.sqrt(2),
        *(rectangular(rail.lag_s * bend_w) for bend_w in bends_w),
    )


def _least_variance(span: _Span) -> float:
    """Return the variance of a reading where the load is steady: the median of all."""
    return median(line_variances(span.times_s, span.values))


def _bend_w(span: _Span, edge_s: float, lag_s: float) -> float:
    """Return how far the sensor's curve can be from the line between the readings at an edge.

    Loads change where windows meet: the curve may have a kink there, between two readings. A
    kink leaves the chord by the change in slope, times the product of the distances to both
    ends, over their sum. The slope has fallen already where it can be read, by one reading's
    share of the lag.
    """
    right = min(max(1, bisect_left(span.times_s, edge_s)), len(span.times_s) - 1)
    left_s, right_s = span.times_s[right - 1], span.times_s[right]
    if not left_s < edge_s < right_s:
        return 0.0
    slopes = _slopes(span)[max(0, right - 2) : right + 1]
    apart_s = (edge_s - left_s) * (right_s - edge_s) / (right_s - left_s)
    fallen = math.exp(min(1.0, (right_s - left_s) / lag_s))
    return apart_s * (max(slopes) - min(slopes)) * fallen


def _ripple_j(rail: Rail, span: _Span, weights: Sequence[float], ripple_hz: float | None) -> float:
    """Return what a ripple of the load may hide from readings that come in step with it.

    Readings answer to a ripple of frequency f with the share |sum of w exp(2 pi i f t)| of its
    amplitude; a lag divides it by sqrt(1 + (2 pi f tau)^2). Readings at random moments answer
    with about 1/sqrt(n), which the sampling part sees; where the answer is far above that, what
    the readings show is one phase of the ripple. The ripple is no square wave: harmonics count
    with their order.
    """
    if ripple_hz is None or ripple_hz <= 0:
        return 0.0
    total_s = math.fsum(weights)
    shares = [weight / total_s for weight in weights]
    hidden = [_hidden(rail, span, shares, order * ripple_hz) / order for order in _HARMONICS]
    mean_w = math.fsum(w * p for w, p in zip(shares, span.values, strict=True))
    return rectangular(max(hidden) * _RIPPLE_SHARE * mean_w * span.duration_s)


def _hidden(rail: Rail, span: _Span, shares: Sequence[float], ripple_hz: float) -> float:
    """Return the share of a ripple's amplitude that the readings may take for steady load."""
    times_s = _even_times_s(span) if rail.late_s else span.times_s
    answer = max(_answer(times_s, shares, hz) for hz in _near_hz(rail, span, ripple_hz))
    turns = 2 * math.pi * ripple_hz * span.duration_s
    # What is left over of the last token is in the energy itself.
    exact = abs(cmath.exp(1j * turns) - 1) / turns
    chance = 0.0 if rail.late_s else _ANSWER_BY_CHANCE / math.sqrt(len(shares))
    if answer <= max(exact, chance):
        return 0.0
    return (answer - exact) / math.hypot(1.0, 2 * math.pi * ripple_hz * rail.lag_s)


def _answer(times_s: Sequence[float], shares: Sequence[float], ripple_hz: float) -> float:
    turn = 2j * math.pi * ripple_hz
    return abs(sum(w * cmath.exp(turn * t_s) for w, t_s in zip(shares, times_s, strict=True)))


def _near_hz(rail: Rail, span: _Span, ripple_hz: float) -> list[float]:
    """Return the frequencies that the stamps cannot tell from that of the ripple.

    Late stamps leave the period of the readings uncertain by the lateness over all of them.
    """
    if not rail.late_s:
        return [ripple_hz]
    spread = rail.late_s / (span.times_s[-1] - span.times_s[0])
    steps = range(-_NEAR_STEPS, _NEAR_STEPS + 1)
    return [ripple_hz * (1 + spread * step / _NEAR_STEPS) for step in steps]


def _even_times_s(span: _Span) -> list[float]:
    """Return when readings were taken that a program takes evenly and stamps late."""
    first_s, period_s = span.times_s[0], span.period_s
    numbers = [0]
    for before_s, now_s in pairwise(span.times_s):
        if numbers[-1] >= _SETTLED_READINGS:
            period_s = (before_s - first_s) / numbers[-1]
        numbers.append(max(numbers[-1] + 1, round((now_s - first_s) / period_s)))
    return [first_s + period_s * number for number in numbers]


def _bounded(bound: float | None, factor: float) -> float | None:
    return None if bound is None else rectangular(abs(bound * factor))


def line_variances(times_s: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return for each reading an estimate of its variance about the line of its neighbours.

    The first and the last get the mean of the others. Source: see integrate_power.
    """
    inner: list[float] = []
    for index in range(1, len(values) - 1):
        before_s, now_s, after_s = times_s[index - 1 : index + 2]
        share = (now_s - before_s) / (after_s - before_s)
        line = values[index - 1] * (1 - share) + values[index + 1] * share
        inner.append((values[index] - line) ** 2 / (1 + share**2 + (1 - share) ** 2))
    mean = math.fsum(inner) / len(inner)
    return [mean, *inner, mean]


def _edges_j(span: _Span, refresh_s: float) -> float:
    """Return the uncertainty of both edges, and of a clock that is late by up to a refresh."""
    near_start = _near(span, 0.0, refresh_s)
    near_end = _near(span, span.duration_s, refresh_s)
    # Readings that are late by d move the window by d: they win at one end what they lose at
    # the other.
    moved_w = max(max(near_start) - min(near_end), max(near_end) - min(near_start))
    return math.hypot(
        _jump_j(span, 0.0), _jump_j(span, span.duration_s), rectangular(refresh_s * moved_w)
    )


def _near(span: _Span, edge_s: float, refresh_s: float) -> tuple[float, ...]:
    """Return the values within one refresh of an edge, with the nearest on both sides."""
    right = bisect_left(span.times_s, edge_s)
    first = min(max(0, right - 1), bisect_left(span.times_s, edge_s - refresh_s))
    last = max(right + 1, bisect_right(span.times_s, edge_s + refresh_s))
    return span.values[first:last]


def _jump_j(span: _Span, edge_s: float) -> float:
    """Return the uncertainty of one edge: the inner part of its interval, times the jump."""
    right = bisect_left(span.times_s, edge_s)
    if right in (0, len(span.times_s)):
        held_s = abs(span.times_s[min(right, len(span.times_s) - 1)] - edge_s)
        return held_s * span.range / math.sqrt(12)
    left_s, right_s = span.times_s[right - 1], span.times_s[right]
    inside_s = right_s - edge_s if edge_s == 0 else edge_s - left_s
    jump_w = abs(span.values[right] - span.values[right - 1])
    return inside_s * jump_w / math.sqrt(12)


def _gaps(span: _Span) -> list[float]:
    """Return the lengths of the stalls, as far as they lie in the window."""
    stalls = [
        min(right_s, span.duration_s) - max(left_s, 0.0)
        for left_s, right_s in pairwise(span.times_s)
        if right_s - left_s > GAP_PERIODS * span.period_s
    ]
    return [stall_s for stall_s in stalls if stall_s > 0]


def integrate_counter(trace: RailTrace, window: Window, stale_s: float) -> Integral | None:
    """Return the difference of a counter (J) that moves; None where it was reset.

    What happened between readings is in them. At an edge the counter may bend away from the line
    between two readings by the jump in power around it, and be stale: `stale_s` is how old a
    value can be when it is read.
    """
    span = _span(trace, window, margin=2)
    if any(later < earlier for earlier, later in pairwise(span.values)):
        return None
    rail, duration_s = trace.rail, span.duration_s
    energy_j = _counter_at(span, duration_s) - _counter_at(span, 0.0)
    return Integral(
        energy_j=energy_j,
        peak_w=_counter_peak_w(span, rail.refresh_s),
        uncertainty=Uncertainty(
            sampling_j=0.0,
            edges_j=_counter_edges_j(span, stale_s),
            gaps_j=0.0,
            quantisation_j=rail.step * math.sqrt(2 / 12),
            offset_j=_bounded(rail.offset_bound_w, duration_s),
            gain_j=_bounded(rail.gain_bound, energy_j),
            sampling_dof=1.0,
        ),
        gaps_s=tuple(_gaps(span)),
    )


def _counter_at(span: _Span, moment_s: float) -> float:
    """Return the counter at a moment, on the line of the two nearest readings."""
    right = min(max(1, bisect_left(span.times_s, moment_s)), len(span.times_s) - 1)
    left_s, right_s = span.times_s[right - 1], span.times_s[right]
    power_w = (span.values[right] - span.values[right - 1]) / (right_s - left_s)
    return span.values[right - 1] + power_w * (moment_s - left_s)


def _counter_edges_j(span: _Span, stale_s: float) -> float:
    """Return the uncertainty of a counter at both edges.

    Between two readings the counter may bend: it can differ from the line by the jump in power,
    times the product of the distances to both, over their sum. A value can be stale, too.
    """
    powers_w = _slopes(span)
    edges: list[float] = []
    for edge_s in (0.0, span.duration_s):
        right = min(max(1, bisect_left(span.times_s, edge_s)), len(span.times_s) - 1)
        left_s, right_s = span.times_s[right - 1], span.times_s[right]
        near_w = powers_w[max(0, right - 2) : right + 1]
        bend_s = abs(edge_s - left_s) * abs(right_s - edge_s) / (right_s - left_s)
        edges.append(bend_s * (max(near_w) - min(near_w)))
        edges.append(stale_s * max(near_w) / math.sqrt(12))
    return math.hypot(*edges)


def _slopes(span: _Span) -> list[float]:
    """Return the slopes between neighbouring readings: of a counter, powers."""
    readings = zip(span.times_s, span.values, strict=True)
    return [(e1 - e0) / (t1 - t0) for (t0, e0), (t1, e1) in pairwise(readings)]


def _counter_peak_w(span: _Span, refresh_s: float) -> float:
    """Return the highest mean power between readings far enough apart to be told."""
    peaks_w: list[float] = []
    start = 0
    for index in range(1, len(span.times_s)):
        elapsed_s = span.times_s[index] - span.times_s[start]
        if elapsed_s >= _PEAK_REFRESHES * refresh_s:
            peaks_w.append((span.values[index] - span.values[start]) / elapsed_s)
            start = index
    whole_w = (span.values[-1] - span.values[0]) / (span.times_s[-1] - span.times_s[0])
    return max(peaks_w, default=whole_w)

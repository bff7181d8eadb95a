"""The integral of a rail's readings over a window, with its uncertainty. Pure.

Power is integrated by trapezoids, with the readings just outside the window taken in, so that no
edge is dropped; counters are interpolated at the edges. Whether a window can be integrated at
all is not asked here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgemoe_appliance.measure.power.interface import Rail
from edgemoe_appliance.measure.railtrace import GAP_PERIODS, RailTrace
from edgemoe_appliance.measure.uncertainty import Uncertainty, rectangular
from edgemoe_appliance.schema.records import Window
from edgemoe_appliance.schema.units import NS_PER_S

_DOF_PER_READING = 18 / 35
# A counter's power is taken over at least this many refreshes: a stale value shifts it by 10 %.
_PEAK_REFRESHES = 10


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


def integrate_power(trace: RailTrace, window: Window) -> Integral:
    """Return the integral of power readings (W) by trapezoids, with its uncertainty.

    Parts of the uncertainty:

    - sampling: the variance of each reading about the line between its neighbours, which does
      not see slow change (Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73:625), carried
      through the weights of the trapezoids. For even spacing it is what the difference between
      all and every second reading estimates, block by block. 18/35 degrees of freedom for each
      reading, from the asymptotic variance given there.
    - edges: power may have jumped anywhere between the two readings around an edge, and readings
      may be late by one refresh of the sensor: rectangles.
    - gaps: in a stall power may have been anywhere between the extremes of the window: rectangle.
    - quantisation: step/sqrt(12), not averaged down: a steady load has one rounding error.
    - offset and gain: the bounds of the sensor as rectangles, not averaged down.

    Blind spots: a burst between two readings that no reading meets leaves no trace; nor does a
    ripple whose frequency is close to a multiple of the sampling rate.
    """
    # Two readings beyond each edge: the outer one lets the inner one be compared with a line.
    span = _span(trace, window, margin=2)
    weights = trapezoid_weights(span.times_s, span.duration_s)
    energy_j = math.fsum(w * p for w, p in zip(weights, span.values, strict=True))
    readings = zip(span.times_s, span.values, strict=True)
    return Integral(
        energy_j=energy_j,
        peak_w=max(p for t, p in readings if 0 <= t <= span.duration_s),
        uncertainty=_power_uncertainty(trace.rail, span, weights, energy_j),
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
        edges_j=_edges_j(span, rail.refresh_s),
        gaps_j=math.fsum(_gaps(span)) * span.range / math.sqrt(12),
        quantisation_j=rail.step / math.sqrt(12) * span.duration_s,
        offset_j=_bounded(rail.offset_bound_w, span.duration_s),
        gain_j=_bounded(rail.gain_bound, energy_j),
        sampling_dof=max(1.0, _DOF_PER_READING * (len(variances) - 2)),
    )


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
    powers_w = _powers_w(span)
    edges: list[float] = []
    for edge_s in (0.0, span.duration_s):
        right = min(max(1, bisect_left(span.times_s, edge_s)), len(span.times_s) - 1)
        left_s, right_s = span.times_s[right - 1], span.times_s[right]
        near_w = powers_w[max(0, right - 2) : right + 1]
        bend_s = abs(edge_s - left_s) * abs(right_s - edge_s) / (right_s - left_s)
        edges.append(bend_s * (max(near_w) - min(near_w)))
        edges.append(stale_s * max(near_w) / math.sqrt(12))
    return math.hypot(*edges)


def _powers_w(span: _Span) -> list[float]:
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

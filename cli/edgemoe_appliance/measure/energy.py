"""Energy of a window: of a rail, in total, above idle, per token, and as the study did it. Pure.

What cannot be said is absent with its reason: a dead sensor, a missing edge, a counter that was
reset or stands still. How energies and their uncertainties come about stands in integration.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from edgemoe_appliance.measure.integration import Integral, integrate_counter, integrate_power
from edgemoe_appliance.measure.railtrace import (
    RailTrace,
    check_trace,
    moving_trace,
    readings_inside,
    why_no_energy,
)
from edgemoe_appliance.measure.uncertainty import Uncertainty, add_uncertainties, random_parts
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.records import Caveat, Window
from edgemoe_appliance.schema.units import NS_PER_S

# An interval that reaches from half to one and a half of a value says little more than its size.
_LARGEST_SHARE = 0.5
# In full step the readings show one phase of each token: that is no mean.
_LARGEST_RIPPLE = 0.05
# A first-order filter has come to within 5 % after three time constants.
_SETTLED_LAGS = 3.0


class Method(str, Enum):
    """How an energy was come by."""

    TRAPEZOID = "trapezoid with edge interpolation"
    COUNTER = "counter interpolated at the edges"
    SUM = "sum of the total rails"


@dataclass(frozen=True, kw_only=True)
class WindowEnergy:
    """The energy of a rail (or of a sum of rails) in a window."""

    rail: str
    sensor: str
    window: Window
    energy_j: float
    peak_w: float
    n_samples: int
    uncertainty: Uncertainty
    method: Method
    caveats: tuple[Caveat, ...]

    @property
    def mean_w(self) -> float:
        """Return the mean power over the window."""
        return self.energy_j / self.window.duration_s


@dataclass(frozen=True, kw_only=True)
class AbsentEnergy:
    """A window without an energy, and why."""

    rail: str
    window: Window
    reason: str


def window_energy(
    trace: RailTrace, window: Window, *, ripple_hz: float | None = None
) -> WindowEnergy | AbsentEnergy:
    """Return the energy of a rail in a window, or why there is none.

    `ripple_hz` is a frequency at which the load is known to swing, that of the tokens; None
    where it is not known. An energy that is not known to half of itself is none.
    """
    counts = trace.rail.unit is Unit.JOULES
    used = moving_trace(trace) if counts else trace
    reason = _why_still(trace, window) if counts else None
    reason = reason or why_no_energy(used, window)
    if reason is not None:
        return AbsentEnergy(rail=trace.rail.name, window=window, reason=reason)
    if not counts:
        return _as_energy(used, window, integrate_power(used, window, ripple_hz))
    # A reading at which the counter had moved is no older than the reading before it.
    stale_s = min(trace.rail.refresh_s, trace.period_s)
    integral = integrate_counter(used, window, stale_s)
    if integral is None:
        reason = "the counter was reset"
        return AbsentEnergy(rail=trace.rail.name, window=window, reason=reason)
    return _as_energy(used, window, integral)


def _as_energy(trace: RailTrace, window: Window, integral: Integral) -> WindowEnergy | AbsentEnergy:
    reason = _why_unresolved(trace, window, integral)
    if reason is not None:
        return AbsentEnergy(rail=trace.rail.name, window=window, reason=reason)
    counts = trace.rail.unit is Unit.JOULES
    return WindowEnergy(
        rail=trace.rail.name,
        sensor=trace.rail.sensor,
        window=window,
        energy_j=integral.energy_j,
        peak_w=integral.peak_w,
        n_samples=readings_inside(trace, window),
        uncertainty=integral.uncertainty,
        method=Method.COUNTER if counts else Method.TRAPEZOID,
        caveats=(
            *check_trace(trace, window, integral.gaps_s),
            *_caveats_of(trace, window, integral),
        ),
    )


def _caveats_of(trace: RailTrace, window: Window, integral: Integral) -> Iterator[Caveat]:
    name, lag_s = trace.rail.name, trace.rail.lag_s
    if integral.uncertainty.ripple_j:
        yield Caveat(
            code="energy-ripple",
            text=f"{name}: readings come in step with the tokens and may show one phase of them",
            numbers={"u_ripple_j": integral.uncertainty.ripple_j},
        )
    if window.duration_s < _SETTLED_LAGS * lag_s:
        yield Caveat(
            code="power-peak-lags",
            text=f"{name}: the sensor had no time to follow; peaks read low",
            numbers={"lag_s": lag_s, "window_s": window.duration_s},
        )


def _why_unresolved(trace: RailTrace, window: Window, integral: Integral) -> str | None:
    """Return why an energy would say nothing, or None where it says something."""
    bound_j, ripple_j = integral.uncertainty.expanded_j, integral.uncertainty.ripple_j
    energy_j = abs(integral.energy_j)
    if bound_j <= _LARGEST_SHARE * energy_j and ripple_j <= _LARGEST_RIPPLE * energy_j:
        return None
    causes = [f"{window.duration_s:.2f} s long"]
    if trace.rail.lag_s:
        causes.append(f"the sensor lags {trace.rail.lag_s:.2f} s behind")
    if ripple_j:
        causes.append("tokens come in step with the readings")
    return (
        f"{trace.rail.name} cannot resolve the window: {integral.energy_j:.3g} J known to within "
        f"{bound_j:.2g} J only ({', '.join(causes)})"
    )


def _why_still(trace: RailTrace, window: Window) -> str | None:
    first = bisect_left(trace.times_ns, window.start_ns)
    inside = trace.values[first : bisect_right(trace.times_ns, window.end_ns)]
    if len(inside) >= 2 and min(inside) == max(inside):
        return f"the counter stood still at {inside[0]:.3f} J"
    return None


def total_energy(
    traces: Sequence[RailTrace], window: Window, *, ripple_hz: float | None = None
) -> WindowEnergy | AbsentEnergy:
    """Return the energy of the total of a source: of its only total rail, or their sum.

    The peak of a sum is the sum of the peaks: no less than the true one. `ripple_hz`: see
    `window_energy`. Raises ValueError for no trace.
    """
    found = [window_energy(trace, window, ripple_hz=ripple_hz) for trace in traces]
    parts = [one for one in found if isinstance(one, WindowEnergy)]
    missing = [one for one in found if isinstance(one, AbsentEnergy)]
    if not found:
        raise ValueError("a total needs at least one rail")
    if len(found) == 1 or missing:
        return (missing or found)[0]
    return WindowEnergy(
        rail=" + ".join(part.rail for part in parts),
        sensor=" + ".join(part.sensor for part in parts),
        window=window,
        energy_j=sum(part.energy_j for part in parts),
        peak_w=sum(part.peak_w for part in parts),
        n_samples=min(part.n_samples for part in parts),
        uncertainty=add_uncertainties([part.uncertainty for part in parts]),
        method=Method.SUM,
        caveats=tuple(caveat for part in parts for caveat in part.caveats),
    )


@dataclass(frozen=True, kw_only=True)
class StudyEnergy:
    """The study's figure: left-Riemann sum over the readings inside a window, edges dropped."""

    rail: str
    window: Window
    energy_j: float
    mean_w: float
    peak_w: float
    n_samples: int


def left_riemann(trace: RailTrace, window: Window) -> StudyEnergy | AbsentEnergy:
    """Return the energy as the study computed it (its section 3.5), for comparison only.

    The readings are cut to the window; each holds until the next. Up to one period is lost at
    each edge. A counter has its readings in energy already: last less first.
    """
    first = bisect_left(trace.times_ns, window.start_ns)
    last = bisect_right(trace.times_ns, window.end_ns)
    times_ns, values = trace.times_ns[first:last], trace.values[first:last]
    if len(values) < 2:
        reason = f"{len(values)} readings inside the window, 2 are needed"
        return AbsentEnergy(rail=trace.rail.name, window=window, reason=reason)
    steps_s = [(later - earlier) / NS_PER_S for earlier, later in pairwise(times_ns)]
    if trace.rail.unit is Unit.JOULES:
        energies_j = [later - earlier for earlier, later in pairwise(values)]
        powers_w = [e / s for e, s in zip(energies_j, steps_s, strict=True)]
    else:
        energies_j = [p * s for p, s in zip(values, steps_s, strict=False)]
        powers_w = list(values)
    return StudyEnergy(
        rail=trace.rail.name,
        window=window,
        energy_j=math.fsum(energies_j),
        mean_w=math.fsum(powers_w) / len(powers_w),
        peak_w=max(powers_w),
        n_samples=len(values),
    )


@dataclass(frozen=True, kw_only=True)
class NetEnergy:
    """Energy above idle: what the work itself cost."""

    rail: str
    energy_j: float
    idle_w: float
    uncertainty: Uncertainty


def net_of_idle(gross: WindowEnergy, idle: WindowEnergy) -> NetEnergy:
    """Return the energy of a window less the idle power over the same time.

    The offset of the sensor is in both and cancels; its gain scales what is left.
    """
    scale = gross.window.duration_s / idle.window.duration_s
    energy_j = gross.energy_j - scale * idle.energy_j
    of_gross, of_idle = gross.uncertainty, idle.uncertainty
    gain_j = of_gross.gain_j
    return NetEnergy(
        rail=gross.rail,
        energy_j=energy_j,
        idle_w=idle.mean_w,
        uncertainty=Uncertainty(
            **random_parts([(1.0, of_gross), (scale, of_idle)]),
            quantisation_j=math.hypot(of_gross.quantisation_j, scale * of_idle.quantisation_j),
            offset_j=0.0,
            gain_j=None if gain_j is None else gain_j * abs(energy_j / gross.energy_j),
            sampling_dof=min(of_gross.sampling_dof, of_idle.sampling_dof),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class TokenEnergy:
    """Energy for each token, with its standard and expanded (95 %) uncertainty."""

    j_per_token: float
    standard_j_per_token: float
    expanded_j_per_token: float


def energy_per_token(energy: WindowEnergy | NetEnergy, tokens: int) -> TokenEnergy:
    """Return the energy for each of `tokens` (at least 1). Raises ValueError for none."""
    if tokens < 1:
        raise ValueError(f"{tokens} tokens cannot share an energy")
    return TokenEnergy(
        j_per_token=energy.energy_j / tokens,
        standard_j_per_token=energy.uncertainty.standard_j / tokens,
        expanded_j_per_token=energy.uncertainty.expanded_j / tokens,
    )


@dataclass(frozen=True, kw_only=True)
class SourceDifference:
    """How far two sources are apart over one window: the cross-check less the primary."""

    difference_j: float
    relative: float
    standard_j: float
    expanded_j: float

    @property
    def agrees(self) -> bool:
        """Return whether the difference is within its expanded uncertainty."""
        return abs(self.difference_j) <= self.expanded_j


def compare_sources(primary: WindowEnergy, cross: WindowEnergy) -> SourceDifference:
    """Compare two energies of one window.

    Two readings of one sensor share its offset and gain: only the rest may tell them apart.
    """
    of_primary, of_cross = primary.uncertainty, cross.uncertainty
    shared = primary.sensor == cross.sensor
    offset_j = 0.0 if shared else _together(of_primary.offset_j, of_cross.offset_j)
    gain_j = 0.0 if shared else _together(of_primary.gain_j, of_cross.gain_j)
    both = Uncertainty(
        **random_parts([(1.0, of_primary), (1.0, of_cross)]),
        quantisation_j=math.hypot(of_primary.quantisation_j, of_cross.quantisation_j),
        offset_j=offset_j,
        gain_j=gain_j,
        sampling_dof=min(of_primary.sampling_dof, of_cross.sampling_dof),
    )
    difference_j = cross.energy_j - primary.energy_j
    return SourceDifference(
        difference_j=difference_j,
        relative=difference_j / primary.energy_j,
        standard_j=both.standard_j,
        expanded_j=both.expanded_j,
    )


def _together(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else math.hypot(first, second)

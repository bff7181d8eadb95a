"""How many more runs would settle an inconclusive number, from the width of its interval.

A forecast: it takes the value for the truth. Repetitions narrow only what lies between
repetitions; where that is not enough, only more prompts help.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgemoe_appliance.analysis.claims.config import Limits
from edgemoe_appliance.analysis.claims.estimates import Basis, Estimate, Repeats
from edgemoe_appliance.analysis.statistics import MIN_UNITS, Absent

# Beyond this nobody measures; the value then lies practically on the limit.
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class MoreRuns:
    """What would settle it, in words; `repetitions` of each prompt or `prompts` to be added."""

    text: str
    repetitions: int | None = None
    prompts: int | None = None


def more_runs(estimate: Estimate, limits: Limits) -> MoreRuns | None:
    """Return what would settle a number that its bounds leave open, None where no run would."""
    repeats, bounds = estimate.repeats, estimate.bounds
    if repeats is None:
        return None
    if isinstance(bounds, Absent):
        return _for_an_interval(repeats.repetitions, repeats.prompts)
    distance = min(abs(estimate.value - end) for end in (limits.low, limits.high))
    needed, variance = distance * distance, bounds.half_width * bounds.half_width
    if bounds.basis is not Basis.INTERVAL or not math.isfinite(needed + variance):
        return None
    return _to_narrow(repeats, needed, variance)


def _to_narrow(repeats: Repeats, needed: float, variance: float) -> MoreRuns:
    """Return what brings a variance down to the needed one."""
    inside = repeats.within_share * variance
    between = variance - inside
    if needed > between and inside:
        total = math.ceil(repeats.repetitions * inside / (needed - between))
        if total <= _MOST:
            more = max(1, total - repeats.repetitions)
            text = f"{more} more repetitions of each prompt would settle it"
            return MoreRuns(text=text, repetitions=more)
    prompts = math.ceil(repeats.prompts * variance / needed) if needed else _MOST + 1
    if prompts > _MOST:
        return MoreRuns(text="the value lies so near the limit that no number of runs settles it")
    more = max(1, prompts - repeats.prompts)
    text = f"repetitions alone do not settle it; {more} more prompts would"
    return MoreRuns(text=text, prompts=more)


def _for_an_interval(repetitions: int, prompts: int) -> MoreRuns | None:
    """Return what an interval needs at all."""
    if prompts >= MIN_UNITS:
        return None
    if prompts == 1:
        more = max(1, MIN_UNITS - repetitions)
        return MoreRuns(text=f"{more} more repetitions would give it an interval", repetitions=more)
    more = MIN_UNITS - prompts
    return MoreRuns(text=f"{more} more prompts would give it an interval", prompts=more)

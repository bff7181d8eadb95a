"""How many more runs would settle an inconclusive number, from the width of its interval.

A forecast: it takes the value for the truth, and as the value will move when it is measured again,
it asks for a margin with which four of five such studies are settled. Repetitions narrow only what
lies between repetitions; where that is not enough, only more prompts help.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from edgemoe_appliance.analysis.claims.estimates import Basis, Estimate, Repeats
from edgemoe_appliance.analysis.results import CONFIDENCE, MIN_UNITS, Absent
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.studies.claims import Limits

# The half width of a 90 % interval is 1.645 standard errors, the value stays within 0.842 of them
# of the truth, on the side of the limit, in four of five studies (normal quantiles).
_MARGIN = 1 + 0.842 / 1.645
# Beyond this nobody measures; the value then lies practically on the limit.
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class MoreRuns:
    """What would settle it, in words; `repetitions` of each prompt or `prompts` to be added."""

    text: str
    repetitions: int | None = None
    prompts: int | None = None


_SO_NEAR = MoreRuns(text="the value lies so near the limit that no number of runs settles it")


def more_runs(estimate: Estimate, limits: Limits) -> MoreRuns | None:
    """Return what would settle a number that its bounds leave open, None where no run would."""
    repeats, bounds = estimate.repeats, estimate.bounds
    if repeats is None:
        return None
    if isinstance(bounds, Absent):
        return _for_an_interval(repeats.repetitions, repeats.prompts)
    distance = min(abs(estimate.value - end) for end in (limits.low, limits.high))
    if bounds.basis is not Basis.INTERVAL or not 0 < bounds.half_width < math.inf:
        return None
    return _to_narrow(repeats, distance / _MARGIN, bounds.half_width)


def _to_narrow(repeats: Repeats, distance: float, half_width: float) -> MoreRuns:
    """Return what brings half the width of an interval down to a distance.

    Shares are of the variance that the interval has now.
    """
    if repeats.prompts == 1:
        total = _units_needed(repeats.repetitions, half_width, distance)
        return _SO_NEAR if total is None else _repetitions(total - repeats.repetitions)
    needed = (distance / half_width) ** 2
    inside, between = repeats.within_share, 1 - repeats.within_share
    if needed > between and inside:
        total = math.ceil(repeats.repetitions * inside / (needed - between))
        if total <= _MOST:
            return _repetitions(total - repeats.repetitions)
    prompts = _units_needed(repeats.prompts, half_width, distance)
    if prompts is None:
        return _SO_NEAR
    more = max(1, prompts - repeats.prompts)
    text = f"repetitions alone do not settle it; {counted(more, 'more prompt')} likely would"
    return MoreRuns(text=text, prompts=more)


def _repetitions(more: int) -> MoreRuns:
    more = max(1, more)
    text = f"{counted(more, 'more repetition')} of each prompt would likely settle it"
    return MoreRuns(text=text, repetitions=more)


def _units_needed(units: int, half_width: float, distance: float) -> int | None:
    """Return how many units narrow an interval to a distance, None beyond what is measured.

    Both the error and Student's t fall with their number.
    """
    error = half_width / _t(units) * math.sqrt(units)
    wanted = range(units + 1, _MOST + 1)
    place = bisect_left(wanted, True, key=lambda n: _t(n) * error / math.sqrt(n) <= distance)
    return wanted[place] if place < len(wanted) else None


def _t(units: int) -> float:
    # The study alone is judged without numbers in arrays.
    from edgemoe_appliance.analysis.statistics import student_t  # noqa: PLC0415

    return student_t(1 - (1 - CONFIDENCE) / 2, max(1, units - 1))


def _for_an_interval(repetitions: int, prompts: int) -> MoreRuns | None:
    """Return what an interval needs at all."""
    if prompts >= MIN_UNITS:
        return None
    if prompts == 1:
        more = max(1, MIN_UNITS - repetitions)
        text = f"{counted(more, 'more repetition')} would give it an interval"
        return MoreRuns(text=text, repetitions=more)
    more = MIN_UNITS - prompts
    text = f"{counted(more, 'more prompt')} would give it an interval"
    return MoreRuns(text=text, prompts=more)

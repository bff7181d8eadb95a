"""What an interval does not cover: too few units, a stray run, drift within the session.

Each brings its coverage below what it says, and none can be mended from the same runs: so each is
told with the interval. `tests.bench.interval_coverage` shows by how much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgemoe_appliance.analysis.results import MIN_UNITS, Absent, Interval
from edgemoe_appliance.analysis.statistics.samples import Floats, Sample
from edgemoe_appliance.analysis.statistics.student import student_t

# Student's t over three or four values takes their errors for normal; five are drawn from.
_FEW_UNITS = 5
# A run so far from the middle one of its prompt is no ordinary repetition: those scatter by 1 or
# 2 %, a stall of the machine halves a rate.
_STRAY = 0.25
# Every rate of every report is asked for a trend: chance is to give one in a hundred, not in ten.
_SURE = 0.99
# Less drift than this changes no claim's verdict: its tolerances are several per cent.
DRIFT_THAT_MATTERS = 0.01


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The linear trend of a metric within a session, from the first repetition to the last.

    `share` is of the mean (-0.1: a tenth less at the end).
    """

    share: float
    interval: Interval

    @property
    def matters(self) -> bool:
        """Return whether there is a trend, and one that could bear on a verdict."""
        is_there = not self.interval.low <= 0 <= self.interval.high
        return is_there and abs(self.share) > DRIFT_THAT_MATTERS

    def __str__(self) -> str:
        """Return it in words: `-3.1 % (-4.0 to -2.2, ...) from the first ...`."""
        share, low, high = (100 * each for each in self._ends)
        sure = f"{100 * self.interval.confidence:.0f} %"
        interval = f"{low:+.1f} to {high:+.1f}, {sure} interval"
        return f"{share:+.1f} % ({interval}) from the first repetition to the last"

    @property
    def _ends(self) -> tuple[float, float, float]:
        return self.share, self.interval.low, self.interval.high


def drift_of(sample: Sample, confidence: float = _SURE) -> Drift | Absent:
    """Return the trend within a session, from what each prompt's repetitions do one after another.

    What prompts differ by is no part of it, as each is compared with itself; its interval is
    Student's t over prompts.
    """
    slopes = np.array(list(_slopes(sample)))
    if slopes.size < MIN_UNITS:
        return Absent(reason="fewer than three prompts were repeated within a session")
    error = float(slopes.std(ddof=1)) / math.sqrt(slopes.size)
    share = float(slopes.mean())
    swing = student_t(1 - (1 - confidence) / 2, slopes.size - 1) * error
    interval = Interval(low=share - swing, high=share + swing, confidence=confidence)
    return Drift(share=share, interval=interval)


def doubts_of(sample: Sample) -> tuple[str, ...]:
    """Return in words why an interval of a sample may hold the truth less often than it says."""
    return tuple(_doubts(sample))


def _doubts(sample: Sample) -> Iterator[str]:
    prompts = len(sample.by_prompt)
    units, what = (prompts, "prompts") if prompts > 1 else (sample.n, "repetitions of one prompt")
    if MIN_UNITS <= units < _FEW_UNITS:
        yield f"it rests on {units} {what}, and holds less often where these are skewed"
    if strays := [each for values in sample.by_prompt.values() for each in _strays(values)]:
        runs = "1 run is" if len(strays) == 1 else f"{len(strays)} runs are"
        farthest = max(strays, key=abs)
        yield f"{runs} far from the others of the same prompt (by {100 * farthest:+.0f} % at most)"
    drift = drift_of(sample)
    if isinstance(drift, Drift) and drift.matters:
        yield f"there is drift within the session, {drift}"


def _strays(values: Floats) -> Floats:
    """Return by how much runs are off the middle one of their prompt, of those that are far off."""
    middle = float(np.median(values))
    if values.size < MIN_UNITS or middle <= 0:
        return np.empty(0)
    off = values / middle - 1
    found: Floats = off[np.abs(off) > _STRAY]
    return found


def _slopes(sample: Sample) -> Iterator[float]:
    """Yield the trend of each prompt in each session, over all its repetitions, as a share."""
    for key, values in sample.by_prompt.items():
        for session in np.unique(sample.sessions[key]):
            own = values[sample.sessions[key] == session]
            if own.size > 1 and own.mean() > 0:
                place = np.linspace(-0.5, 0.5, own.size)
                yield float((place @ own) / (place @ place) / own.mean())

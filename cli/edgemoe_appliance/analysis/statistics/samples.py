"""The runs of one metric grouped by their prompts, and what they come to without any drawing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.results import Absent

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
KeyT = TypeVar("KeyT", bound=Hashable)


class Sample:
    """Finite values of one metric, grouped by prompt; prompts are kept in sorted order.

    `sessions` holds the number of the session of each value, in the shape of `by_prompt`. Where it
    `is_in_row` the prompts are pieces of one text, one after another, and neighbours may be alike.
    """

    def __init__(
        self,
        values_by_prompt: Mapping[str, Sequence[float] | Floats],
        sessions_by_prompt: Mapping[str, Sequence[int] | Ints] | None = None,
        *,
        is_in_row: bool = False,
    ) -> None:
        """Take the values of each prompt in the order of their repetitions; empty ones go.

        Without `sessions_by_prompt` all values are of one session. Raises ValueError for a value
        that is not finite, or sessions that do not fit the values.
        """
        self.is_in_row = is_in_row
        kept = {key: np.asarray(v, dtype=np.float64) for key, v in values_by_prompt.items()}
        self.by_prompt: dict[str, Floats] = {k: kept[k] for k in sorted(kept) if kept[k].size}
        if not all(bool(np.isfinite(values).all()) for values in self.by_prompt.values()):
            raise ValueError("a sample holds a value that is not a finite number")
        named = sessions_by_prompt or {}
        self.sessions: dict[str, Ints] = {
            key: np.asarray(named.get(key, np.zeros(values.size)), dtype=np.int64)
            for key, values in self.by_prompt.items()
        }
        if any(self.sessions[key].size != v.size for key, v in self.by_prompt.items()):
            raise ValueError("a sample has another number of sessions than of values")

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
        scaled = {key: factor * values for key, values in self.by_prompt.items()}
        return Sample(scaled, self.sessions, is_in_row=self.is_in_row)

    def of_prompts(self, prompts: Container[str]) -> Sample:
        """Return the sample without the prompts that are not among these."""
        kept = {key: values for key, values in self.by_prompt.items() if key in prompts}
        return Sample(kept, self.sessions, is_in_row=self.is_in_row)

    @cached_property
    def session_influence(self) -> Mapping[int, float]:
        """Return by how much each session moves the mean, what its prompts are left out."""
        moved: dict[int, float] = {}
        for key, values in self.by_prompt.items():
            deviations = values - values.mean()
            for session in np.unique(self.sessions[key]):
                there = float(deviations[self.sessions[key] == session].sum())
                moved[int(session)] = moved.get(int(session), 0.0) + there
        return {session: len(moved) * total / self.n for session, total in sorted(moved.items())}

    @property
    def median(self) -> float:
        """Return the median of all values; there must be one."""
        return float(np.median(self.values))

    def digest(self) -> bytes:
        """Return a digest that is equal for equal samples."""
        sha = hashlib.sha256(b"in a row" if self.is_in_row else b"")
        for key, values in self.by_prompt.items():
            sha.update(key.encode() + b"\0" + values.astype("<f8").tobytes())
            if self.sessions[key].any():
                sha.update(b"\0" + self.sessions[key].astype("<i8").tobytes())
        return sha.digest()


def on_common_prompts(*samples: Sample) -> tuple[Sample, ...]:
    """Return the samples without the prompts that not all of them have."""
    common = set.intersection(*(set(sample.by_prompt) for sample in samples))
    return tuple(sample.of_prompts(common) for sample in samples)


def against_best(samples: Mapping[KeyT, Sample], own: KeyT) -> tuple[Sample, Sample] | Absent:
    """Return one of several samples and the one with the highest mean, on the prompts of all.

    They are the same sample where `own` is the best one. Empty samples do not count.
    """
    kept = {key: sample for key, sample in samples.items() if sample.n}
    common = dict(zip(kept, on_common_prompts(*kept.values()), strict=True)) if kept else {}
    if own not in common or len(common) < 2 or not common[own].n:
        return Absent(reason="nothing else with these prompts to compare with")
    best = max(common.values(), key=lambda sample: float(sample.values.mean()))
    return common[own], best


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

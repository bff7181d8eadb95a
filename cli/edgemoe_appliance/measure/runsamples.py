"""The samples that belong to one engine process, cut out of all that were taken around it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgemoe_appliance.measure.sampler import SystemSample

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, kw_only=True)
class RunSamples:
    """From the last sample before the start of a process to the first after its end.

    `full_ns` is when the engine held all its memory, None where it never came so far.
    """

    samples: tuple[SystemSample, ...]
    spawn_ns: int
    full_ns: int | None

    @property
    def alive(self) -> tuple[SystemSample, ...]:
        """Return the samples of the living process; none where it was not seen with all its memory.

        Unless a sample was taken from then on, the highest one says nothing about a peak.
        """
        alive = tuple(sample for sample in self.samples if sample.tree is not None)
        if self.full_ns is not None and not any(s.t_mono_ns >= self.full_ns for s in alive):
            return ()
        return alive


def cut_samples(
    samples: Sequence[SystemSample], *, spawn_ns: int, full_ns: int | None, exit_ns: int
) -> RunSamples:
    """Return the part of samples (in order of time) that belongs to a process."""
    before = [sample for sample in samples if sample.t_mono_ns <= spawn_ns]
    during = [sample for sample in samples if spawn_ns < sample.t_mono_ns < exit_ns]
    after = [sample for sample in samples if sample.t_mono_ns >= exit_ns]
    kept = (*before[-1:], *during, *after[:1])
    return RunSamples(samples=kept, spawn_ns=spawn_ns, full_ns=full_ns)


def highest(items: Sequence[ItemT], part: Callable[[ItemT], int | None]) -> int | None:
    """Return the highest value of a part over samples; None where none of them has it."""
    return max(values(items, part), default=None)


def values(items: Sequence[ItemT], part: Callable[[ItemT], int | None]) -> list[int]:
    """Return a part of each item that has it."""
    return [value for item in items if (value := part(item)) is not None]

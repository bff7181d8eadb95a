"""The sampler: a thread that reads memory, load, power and heat at a fixed mean rate.

It keeps raw samples and says what each of them cost and how late it was. It averages nothing. What
can change from token to token is read every time, the rest twice a second; what is read as text is
parsed after the run.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edgemoe_appliance.measure.cgroup import CgroupMemory
from edgemoe_appliance.measure.heat import HeatReading, ThrottleReading
from edgemoe_appliance.measure.hostload import HostReading
from edgemoe_appliance.measure.instruments import Instruments, KernelCounters
from edgemoe_appliance.measure.power.interface import MeterReading, UnparsedReadings
from edgemoe_appliance.measure.procfs import Unparsed
from edgemoe_appliance.measure.tree import TreeReader, TreeReading
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.units import NS_PER_S

# Throttling and the kernel's counters change rarely and are kept by the kernel meanwhile.
_RARE_NS = NS_PER_S
# Temperatures, the host's memory and load, and the cgroup's memory: none of them moves much faster.
_SLOW_NS = NS_PER_S // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemSample:
    """One sample; `tree` is None while no process is attached, `cgroup` where there is none.

    `host`, `heat` and `cgroup` are read in some samples only, and None in the others.
    `late_ns` is how long after its due time it was taken, None for one that had none; `cost_ns`
    is processor time.
    """

    t_mono_ns: int
    tree: TreeReading | None
    host: HostReading | None = None
    heat: HeatReading | None = None
    cgroup: CgroupMemory | None = None
    late_ns: int | None = None
    cost_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class SamplerReport:
    """All that was read around one run, each list in order of time."""

    samples: tuple[SystemSample, ...]
    power: Mapping[PowerSource, tuple[MeterReading, ...]]
    throttle: tuple[ThrottleReading, ...]
    counters: tuple[KernelCounters, ...]
    failure: str | None


# The fields of a sample in their order, its texts still to be parsed.
_TakenSample: TypeAlias = tuple[
    int,
    Unparsed[TreeReading | None] | None,
    Unparsed[HostReading] | None,
    HeatReading | None,
    Unparsed[CgroupMemory] | None,
    int | None,
    int,
]


class Sampler:
    """Samples from `start` to `close`, and a process tree from `attach` to `detach`."""

    def __init__(self, instruments: Instruments, *, period_s: float) -> None:
        """Prepare the thread without starting it."""
        self._instruments = instruments
        self._period_ns = round(period_s * NS_PER_S)
        self._tree: TreeReader | None = None
        self._samples: list[_TakenSample] = []
        self._power: dict[PowerSource, list[UnparsedReadings]] = {}
        self._throttle: list[ThrottleReading] = []
        self._counters: list[KernelCounters] = []
        self._failure: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)

    def start(self) -> None:
        """Take the first sample and go on in a thread."""
        self._take(time.thread_time_ns(), None, rare=True, slow=True)
        self._thread.start()

    def attach(self, tree: TreeReader) -> None:
        """Sample a process tree from now on."""
        with self._lock:
            self._tree = tree
        self.sample_now()

    def detach(self) -> None:
        """Let go of the process tree: it has ended."""
        with self._lock:
            tree, self._tree = self._tree, None
        if tree is not None:
            tree.close()
            self.sample_now()

    def sample_now(self) -> None:
        """Take a sample in the calling thread, for a moment that matters."""
        self._take(time.thread_time_ns(), None, rare=False, slow=True)

    def close(self) -> None:
        """Stop the thread, if it was started, and take a last sample. May be called again."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.detach()
        if self._thread.ident is not None:
            self._thread.join()
            self._take(time.thread_time_ns(), None, rare=True, slow=True)

    def report(self) -> SamplerReport:
        """Return what was read; meant for after `close`."""
        samples = sorted(map(_parse, self._samples), key=lambda sample: sample.t_mono_ns)
        power = {
            source: tuple(
                sorted(
                    (reading for taken in every for reading in taken()),
                    key=lambda reading: reading.t_mono_ns,
                )
            )
            for source, every in self._power.items()
        }
        return SamplerReport(
            samples=tuple(samples),
            power=power,
            throttle=tuple(self._throttle),
            counters=tuple(self._counters),
            failure=self._failure,
        )

    def _loop(self) -> None:
        # At a random moment of every period: readings in step with the tokens, whose rate may be
        # a multiple of theirs, would show one phase of each token only.
        moments = random.Random()  # noqa: S311  (not for secrets)
        grid_ns = time.monotonic_ns() + self._period_ns
        due_ns = grid_ns
        rare_ns = time.monotonic_ns() + _RARE_NS
        slow_ns = time.monotonic_ns() + _SLOW_NS
        cost_from_ns = time.thread_time_ns()
        while not self._ended.wait(max(0, due_ns - time.monotonic_ns()) / NS_PER_S):
            now_ns = time.monotonic_ns()
            rare, slow = now_ns >= rare_ns, now_ns >= slow_ns
            self._take(cost_from_ns, now_ns - due_ns, rare=rare, slow=slow)
            if self._failure is not None:
                return
            rare_ns = now_ns + _RARE_NS if rare else rare_ns
            slow_ns = now_ns + _SLOW_NS if slow else slow_ns
            cost_from_ns = time.thread_time_ns()
            grid_ns = next_due_ns(grid_ns, time.monotonic_ns(), self._period_ns)
            due_ns = grid_ns + moments.randrange(self._period_ns)

    def _take(self, cost_from_ns: int, late_ns: int | None, *, rare: bool, slow: bool) -> None:
        """Take one sample; `cost_from_ns` is the thread's processor time when its cost began."""
        with self._lock:
            try:
                if rare:
                    self._throttle.append(self._instruments.heat.read_throttle())
                    self._counters.append(self._instruments.read_counters())
                self._samples.append(self._read(cost_from_ns, late_ns, slow=slow))
            except Exception as error:  # noqa: BLE001 (a dead sampler must not end the run)
                self._failure = f"{type(error).__name__}: {error}"

    def _read(self, cost_from_ns: int, late_ns: int | None, *, slow: bool) -> _TakenSample:
        instruments = self._instruments
        if late_ns is not None:
            # In step only: of a counter read twice within its refresh, power is 0 or far too high.
            for meter in instruments.power.meters:
                self._power.setdefault(meter.source, []).append(meter.take())
        t_mono_ns = time.monotonic_ns()
        return (
            t_mono_ns,
            self._tree.take() if self._tree else None,
            instruments.host.take() if slow else None,
            instruments.heat.read() if slow else None,
            instruments.take_cgroup() if slow else None,
            late_ns,
            time.thread_time_ns() - cost_from_ns,
        )


def _parse(taken: _TakenSample) -> SystemSample:
    """Return a sample from what was read for it, in the order of its fields."""
    t_mono_ns, tree, host, heat, cgroup, late_ns, cost_ns = taken
    return SystemSample(
        t_mono_ns=t_mono_ns,
        tree=tree() if tree else None,
        host=host() if host else None,
        heat=heat,
        cgroup=cgroup() if cgroup else None,
        late_ns=late_ns,
        cost_ns=cost_ns,
    )


def next_due_ns(due_ns: int, now_ns: int, period_ns: int) -> int:
    """Return the next multiple of the period that is still ahead: missed ones are left out."""
    missed = max(0, (now_ns - due_ns) // period_ns)
    return due_ns + (missed + 1) * period_ns

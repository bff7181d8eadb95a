"""The sampler: a thread that reads memory, processor time and the host at a fixed rate.

It keeps raw samples and says what it cost and how late it was. It averages nothing.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from edgemoe_appliance.measure.hostload import HostReader, HostReading
from edgemoe_appliance.measure.tree import TreeReader, TreeReading
from edgemoe_appliance.study.units import NS_PER_S


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample; `tree` is None once the process has ended."""

    t_mono_ns: int
    tree: TreeReading | None
    host: HostReading


@dataclass(frozen=True, kw_only=True)
class SamplerReport:
    """The samples of one run and what taking them cost."""

    samples: tuple[Sample, ...]
    late_ns: tuple[int, ...]
    cpu_s: float
    failure: str | None


class Sampler:
    """Samples one process from `start` to `stop`; `sample_now` adds a moment that matters."""

    def __init__(self, host: HostReader, *, period_s: float) -> None:
        """Prepare the thread without starting it."""
        self._tree: TreeReader | None = None
        self._host = host
        self._period_ns = round(period_s * NS_PER_S)
        self._samples: list[Sample] = []
        self._late_ns: list[int] = []
        self._cpu_ns = 0
        self._failure: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)

    def start(self, tree: TreeReader) -> None:
        """Take the first sample of a process tree and go on in a thread."""
        self._tree = tree
        self.sample_now()
        self._thread.start()

    def sample_now(self) -> None:
        """Take a sample in the calling thread."""
        started_ns = time.thread_time_ns()
        with self._lock:
            tree = self._tree.read() if self._tree else None
            self._samples.append(
                Sample(t_mono_ns=time.monotonic_ns(), tree=tree, host=self._host.read())
            )
            self._cpu_ns += time.thread_time_ns() - started_ns

    def stop(self) -> SamplerReport:
        """Stop the thread, take a last sample and return all of them in order of time."""
        self._ended.set()
        if self._tree is not None:
            self._thread.join()
            self.sample_now()
            self._tree.close()
        return SamplerReport(
            samples=tuple(sorted(self._samples, key=lambda sample: sample.t_mono_ns)),
            late_ns=tuple(self._late_ns),
            cpu_s=self._cpu_ns / NS_PER_S,
            failure=self._failure,
        )

    def _loop(self) -> None:
        due_ns = time.monotonic_ns() + self._period_ns
        while not self._ended.wait(max(0, due_ns - time.monotonic_ns()) / NS_PER_S):
            self._late_ns.append(time.monotonic_ns() - due_ns)
            try:
                self.sample_now()
            except Exception as error:  # noqa: BLE001 (a dead sampler must not end the run)
                self._failure = f"{type(error).__name__}: {error}"
                return
            due_ns = next_due_ns(due_ns, time.monotonic_ns(), self._period_ns)


def next_due_ns(due_ns: int, now_ns: int, period_ns: int) -> int:
    """Return the next multiple of the period that is still ahead: missed ones are left out."""
    missed = max(0, (now_ns - due_ns) // period_ns)
    return due_ns + (missed + 1) * period_ns

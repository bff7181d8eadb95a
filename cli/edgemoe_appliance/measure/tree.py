"""Memory and processor time of a process and its descendants, read while they run.

On Linux from /proc files kept open, elsewhere through psutil. A process that ends between two
samples simply leaves the sum.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import psutil

from edgemoe_appliance.measure.procfs import (
    ProcFile,
    StatusMemory,
    parse_process_cpu_s,
    parse_status,
)
from edgemoe_appliance.schema.units import NS_PER_S

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Children are looked for this often: listing all threads for them is half the cost of a reading,
# and llama-cli starts a process only to describe its own crash.
_LOOK_EVERY_NS = NS_PER_S
NumberT = TypeVar("NumberT", int, float)


@dataclass(frozen=True, kw_only=True)
class TreeReading:
    """Sums over a process tree at one moment; None where the system does not tell.

    `high_water_bytes` is the kernel's own peak of resident memory of the root process.
    """

    processes: int
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    swap_bytes: int | None
    high_water_bytes: int | None
    cpu_s: float | None


class TreeReader(Protocol):
    """Reads a process tree; opened once for each run."""

    def read(self) -> TreeReading | None:
        """Return a reading, or None when the root process has ended."""

    def close(self) -> None:
        """Release what is held open."""


def open_tree(pid: int, proc: Path = Path("/proc")) -> TreeReader:
    """Return the best reader for this system."""
    return ProcTree(pid, proc) if (proc / "self/status").exists() else PsutilTree(pid)


class ProcTree:
    """A process tree through /proc."""

    def __init__(self, pid: int, proc: Path) -> None:
        """Open the files of the root process."""
        self._proc = proc
        self._root = pid
        self._members: dict[int, _Member] = {}
        self._look_at_ns = 0

    def read(self) -> TreeReading | None:
        """Return the sums over the tree, or None when the root has ended.

        Descendants that were started since are found within a second.
        """
        looks = time.monotonic_ns() >= self._look_at_ns
        if looks:
            self._look_at_ns = time.monotonic_ns() + _LOOK_EVERY_NS
        readings: dict[int, tuple[StatusMemory, float | None]] = {}
        pending = [*self._members] or [self._root]
        while pending:
            pid = pending.pop()
            reading = None if pid in readings else self._read_member(pid)
            if reading is not None:
                readings[pid] = reading
                pending += self._children(pid) if looks else []
        self._forget(set(readings))
        root = readings.get(self._root)
        if root is None or root[0].rss_bytes is None:
            return None
        memories = [memory for memory, _ in readings.values()]
        return TreeReading(
            processes=len(readings),
            rss_bytes=_total(m.rss_bytes for m in memories),
            anon_bytes=_total(m.anon_bytes for m in memories),
            file_bytes=_total(m.file_bytes for m in memories),
            shmem_bytes=_total(m.shmem_bytes for m in memories),
            swap_bytes=_total(m.swap_bytes for m in memories),
            high_water_bytes=root[0].high_water_bytes,
            cpu_s=_total(cpu_s for _, cpu_s in readings.values()),
        )

    def close(self) -> None:
        """Close all files."""
        self._forget(set())

    def _read_member(self, pid: int) -> tuple[StatusMemory, float | None] | None:
        try:
            if pid not in self._members:
                self._members[pid] = _Member(self._proc / str(pid))
            return self._members[pid].read()
        except OSError:
            return None

    def _children(self, pid: int) -> list[int]:
        """Return the children of a process; empty where the kernel does not list them."""
        children: list[int] = []
        try:
            for task in os.listdir(self._proc / str(pid) / "task"):  # noqa: PTH208 (cheaper)
                listed = self._proc / str(pid) / "task" / task / "children"
                children += map(int, listed.read_bytes().split())
        except OSError:
            pass
        return children

    def _forget(self, living: set[int]) -> None:
        for pid in set(self._members) - living:
            self._members.pop(pid).close()


class _Member:
    """The two files of one process."""

    def __init__(self, folder: Path) -> None:
        self._status = ProcFile(folder / "status")
        try:
            self._stat = ProcFile(folder / "stat")
        except OSError:
            self._status.close()
            raise

    def read(self) -> tuple[StatusMemory, float | None]:
        memory = parse_status(self._status.read())
        return memory, parse_process_cpu_s(self._stat.read(), _TICKS_PER_S)

    def close(self) -> None:
        self._status.close()
        self._stat.close()


class PsutilTree:
    """A process tree through psutil, for systems without /proc; parts of RSS are not told."""

    def __init__(self, pid: int) -> None:
        """Attach to the root process."""
        self._pid = pid

    def read(self) -> TreeReading | None:
        """Return the sums over the tree, or None when the root has ended."""
        try:
            root = psutil.Process(self._pid)
            members = [root, *root.children(recursive=True)]
            if root.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        readings = [reading for member in members if (reading := _psutil_member(member))]
        return TreeReading(
            processes=len(readings),
            rss_bytes=_total(rss_bytes for rss_bytes, _ in readings),
            anon_bytes=None,
            file_bytes=None,
            shmem_bytes=None,
            swap_bytes=None,
            high_water_bytes=None,
            cpu_s=_total(cpu_s for _, cpu_s in readings),
        )

    def close(self) -> None:
        """Release nothing: psutil holds nothing open."""


def _psutil_member(process: psutil.Process) -> tuple[int, float] | None:
    try:
        with process.oneshot():
            times = process.cpu_times()
            return process.memory_info().rss, times.user + times.system
    except psutil.Error:
        return None


def _total(values: Iterable[NumberT | None]) -> NumberT | None:
    """Return the sum of the values that are there, or None where none is."""
    present = [value for value in values if value is not None]
    return sum(present[1:], start=present[0]) if present else None

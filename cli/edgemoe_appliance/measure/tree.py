"""Memory and processor time of a process and its descendants, read while they run.

On Linux from /proc files kept open, elsewhere through psutil, and on macOS its physical footprint
through libproc. A process that ends between two samples simply leaves the sum.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import psutil

from edgemoe_appliance.measure.procfs import (
    ProcFile,
    StatusMemory,
    Unparsed,
    parse_process_cpu_s,
    parse_status,
)
from edgemoe_appliance.schema.units import NS_PER_S

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Children are looked for this often: listing all threads for them is half the cost of a reading,
# and llama-cli starts a process only to describe its own crash.
_LOOK_EVERY_NS = NS_PER_S
# Part of the system's own library, and found in its cache though no file has that name.
_LIBPROC = "/usr/lib/libproc.dylib"
# RUSAGE_INFO_V4 of macOS' sys/resource.h.
_RUSAGE_INFO_V4 = 4
NumberT = TypeVar("NumberT", int, float)


@dataclass(frozen=True, kw_only=True)
class TreeReading:
    """Sums over a process tree at one moment; None where the system does not tell.

    `high_water_bytes` is the kernel's own peak of resident memory of the root process,
    `high_water_footprint_bytes` that of its physical footprint: what macOS holds a process to
    account for, memory of its GPU buffers included, clean pages of mapped files left out.
    """

    processes: int
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    swap_bytes: int | None
    high_water_bytes: int | None
    cpu_s: float | None
    footprint_bytes: int | None = None
    high_water_footprint_bytes: int | None = None


_Contents: TypeAlias = tuple[bytes, bytes]


class TreeReader(Protocol):
    """Reads a process tree; opened once for each run."""

    def take(self) -> Unparsed[TreeReading | None]:
        """Read; what is returned gives the reading, or None when the root process had ended."""

    def close(self) -> None:
        """Release what is held open."""


def open_tree(pid: int, proc: Path = Path("/proc")) -> TreeReader:
    """Return the best reader for this system."""
    if (proc / "self/status").exists():
        return ProcTree(pid, proc)
    return PsutilTree(pid, open_libproc() if platform.system() == "Darwin" else None)


class ProcTree:
    """A process tree through /proc."""

    def __init__(self, pid: int, proc: Path) -> None:
        """Open the files of the root process."""
        self._proc = proc
        self._root = pid
        self._members: dict[int, _Member] = {}
        self._look_at_ns = 0

    def take(self) -> Unparsed[TreeReading | None]:
        """Read the tree: its sums, or None when the root has ended.

        Descendants that were started since are found within a second.
        """
        looks = time.monotonic_ns() >= self._look_at_ns
        if looks:
            self._look_at_ns = time.monotonic_ns() + _LOOK_EVERY_NS
        readings: dict[int, _Contents] = {}
        pending = [*self._members] or [self._root]
        while pending:
            pid = pending.pop()
            reading = None if pid in readings else self._read_member(pid)
            if reading is not None:
                readings[pid] = reading
                pending += self._children(pid) if looks else []
        if len(readings) != len(self._members):
            self._forget(set(readings))
        return partial(_parse_tree, self._root, readings)

    def close(self) -> None:
        """Close all files."""
        self._forget(set())

    def _read_member(self, pid: int) -> _Contents | None:
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

    def read(self) -> _Contents:
        return self._status.read(), self._stat.read()

    def close(self) -> None:
        self._status.close()
        self._stat.close()


def _parse_tree(root_pid: int, contents: Mapping[int, _Contents]) -> TreeReading | None:
    """Return the sums over a tree; None where its root is not among what was read, or a zombie."""
    read = {
        pid: (parse_status(status), parse_process_cpu_s(stat, _TICKS_PER_S))
        for pid, (status, stat) in contents.items()
    }
    root: StatusMemory | None = read[root_pid][0] if root_pid in read else None
    if root is None or root.rss_bytes is None:
        return None
    memories = [memory for memory, _ in read.values()]
    return TreeReading(
        processes=len(read),
        rss_bytes=_total(m.rss_bytes for m in memories),
        anon_bytes=_total(m.anon_bytes for m in memories),
        file_bytes=_total(m.file_bytes for m in memories),
        shmem_bytes=_total(m.shmem_bytes for m in memories),
        swap_bytes=_total(m.swap_bytes for m in memories),
        high_water_bytes=root.high_water_bytes,
        cpu_s=_total(cpu_s for _, cpu_s in read.values()),
    )


class RusageInfoV4(ctypes.Structure):
    """`struct rusage_info_v4` of macOS' sys/resource.h, in 64-bit words but for its first field."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        ("times_and_wakeups", ctypes.c_uint64 * 5),
        ("ri_wired_size", ctypes.c_uint64),
        ("ri_resident_size", ctypes.c_uint64),
        ("ri_phys_footprint", ctypes.c_uint64),
        ("start_to_logical_writes", ctypes.c_uint64 * 20),
        ("ri_lifetime_max_phys_footprint", ctypes.c_uint64),
        ("instructions_to_runnable_time", ctypes.c_uint64 * 6),
    )


def open_libproc(path: str = _LIBPROC) -> ctypes.CDLL | None:
    """Return macOS' libproc, or None where there is none with what is asked of it."""
    try:
        library = ctypes.CDLL(path)
        library.proc_pid_rusage.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    except (OSError, AttributeError):
        return None
    return library


def read_footprint(libproc: ctypes.CDLL, pid: int) -> RusageInfoV4 | None:
    """Return what macOS says of a process of this user; None of one that has ended."""
    info = RusageInfoV4()
    failed = libproc.proc_pid_rusage(pid, _RUSAGE_INFO_V4, ctypes.byref(info))
    return None if failed else info


class PsutilTree:
    """A process tree through psutil, for systems without /proc; parts of RSS are not told.

    Its physical footprint is, where there is macOS' libproc to ask.
    """

    def __init__(self, pid: int, libproc: ctypes.CDLL | None = None) -> None:
        """Attach to the root process."""
        self._pid = pid
        self._libproc = libproc
        self._root: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._root = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._look_at_ns = 0

    def take(self) -> Unparsed[TreeReading | None]:
        """Read the tree; its descendants are looked for once a second, as in /proc."""
        reading = self._read()
        return lambda: reading

    def _read(self) -> TreeReading | None:
        if self._root is None:
            return None
        try:
            if self._root.status() == psutil.STATUS_ZOMBIE:
                return None
            if time.monotonic_ns() >= self._look_at_ns:
                self._look_at_ns = time.monotonic_ns() + _LOOK_EVERY_NS
                self._children = self._root.children(recursive=True)
        except psutil.Error:
            return None
        members = (self._root, *self._children)
        readings = [reading for member in members if (reading := _psutil_member(member))]
        footprints = self._footprints([member.pid for member in members])
        root = footprints.get(self._pid)
        return TreeReading(
            processes=len(readings),
            rss_bytes=_total(rss_bytes for rss_bytes, _ in readings),
            anon_bytes=None,
            file_bytes=None,
            shmem_bytes=None,
            swap_bytes=None,
            high_water_bytes=None,
            cpu_s=_total(cpu_s for _, cpu_s in readings),
            footprint_bytes=_total(info.ri_phys_footprint for info in footprints.values()),
            high_water_footprint_bytes=root.ri_lifetime_max_phys_footprint if root else None,
        )

    def _footprints(self, pids: Iterable[int]) -> dict[int, RusageInfoV4]:
        if self._libproc is None:
            return {}
        found = ((pid, read_footprint(self._libproc, pid)) for pid in pids)
        return {pid: info for pid, info in found if info is not None}

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

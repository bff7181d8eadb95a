"""Cheap reading of Linux /proc: files stay open and are read again in place.

Only counters that the kernel keeps anyway are read; nothing here walks page tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from edgemoe_appliance.schema.units import KIB

ReadT = TypeVar("ReadT")
# What was read, to be parsed by calling it: after the run, when nothing is disturbed by that.
Unparsed: TypeAlias = Callable[[], ReadT]

_READ_BYTES = 16 * 1024
# The lines that are wanted of /proc/PID/status and /proc/meminfo. One pass in C: these files are
# read many times a second, and splitting all of their lines took longer than reading them.
_KIB_FIELD = re.compile(
    rb"^(Vm(?:RSS|Swap|HWM)|Rss(?:Anon|File|Shmem)|Mem(?:Total|Available)|Swap(?:Total|Free)"
    rb"|NvMapMemUsed):[ \t]+(\d{1,18}) kB$",
    re.MULTILINE,
)


class ProcFile:
    """A /proc file kept open; `read` gives its present content."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError where it is not there."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return the content (the first 16 KiB). Raises OSError when its process has gone."""
        return os.pread(self._descriptor, _READ_BYTES, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(frozen=True, kw_only=True)
class StatusMemory:
    """The memory lines of /proc/PID/status in bytes; None where the kernel does not print one."""

    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    swap_bytes: int | None
    high_water_bytes: int | None


def parse_status(content: bytes) -> StatusMemory:
    """Parse /proc/PID/status. A zombie has no memory lines: all None. Source: proc(5)."""
    fields = _kib_fields(content)
    return StatusMemory(
        rss_bytes=fields.get(b"VmRSS"),
        anon_bytes=fields.get(b"RssAnon"),
        file_bytes=fields.get(b"RssFile"),
        shmem_bytes=fields.get(b"RssShmem"),
        swap_bytes=fields.get(b"VmSwap"),
        high_water_bytes=fields.get(b"VmHWM"),
    )


@dataclass(frozen=True, kw_only=True)
class MemInfo:
    """Lines of /proc/meminfo in bytes; None where the kernel does not print one."""

    total_bytes: int | None
    available_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    nvmap_bytes: int | None

    @property
    def swap_used_bytes(self) -> int | None:
        """Return the swap in use."""
        if self.swap_total_bytes is None or self.swap_free_bytes is None:
            return None
        return self.swap_total_bytes - self.swap_free_bytes


def parse_meminfo(content: bytes) -> MemInfo:
    """Parse /proc/meminfo; NvMapMemUsed is there on Jetson only. Source: proc(5)."""
    fields = _kib_fields(content)
    return MemInfo(
        total_bytes=fields.get(b"MemTotal"),
        available_bytes=fields.get(b"MemAvailable"),
        swap_total_bytes=fields.get(b"SwapTotal"),
        swap_free_bytes=fields.get(b"SwapFree"),
        nvmap_bytes=fields.get(b"NvMapMemUsed"),
    )


def _kib_fields(content: bytes) -> dict[bytes, int]:
    return {match[1]: int(match[2]) * KIB for match in _KIB_FIELD.finditer(content)}


@dataclass(frozen=True, kw_only=True)
class CpuTotals:
    """Processor time of the whole host since boot, summed over its cores."""

    busy_s: float
    steal_s: float


def parse_cpu_totals(content: bytes, ticks_per_s: int) -> CpuTotals | None:
    """Parse the first line of /proc/stat, or return None where it is not one.

    Busy is user, nice, system, irq and softirq; guest time is in user already; idle, iowait and
    steal are not busy. Source: proc(5).
    """
    words = content.split(b"\n", 1)[0].split()
    if len(words) < 9 or words[0] != b"cpu" or not all(w.isdigit() for w in words[1:9]):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
    return CpuTotals(
        busy_s=(user + nice + system + irq + softirq) / ticks_per_s, steal_s=steal / ticks_per_s
    )


def parse_process_cpu_s(content: bytes, ticks_per_s: int) -> float | None:
    """Parse user plus system time out of /proc/PID/stat, or return None where it is not one.

    The name of the program stands in parentheses and may hold spaces and parentheses itself.
    """
    words = content.rpartition(b")")[2].split()
    if len(words) < 13 or not (words[11].isdigit() and words[12].isdigit()):
        return None
    return (int(words[11]) + int(words[12])) / ticks_per_s


def parse_oom_kills(content: bytes) -> int | None:
    """Parse the kills for want of memory since boot out of /proc/vmstat, or return None."""
    for line in content.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"oom_kill" and value.isdigit():
            return int(value)
    return None

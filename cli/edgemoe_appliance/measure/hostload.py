"""What the whole host does during a run: memory that is left, swap, processor time, steal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import psutil

from edgemoe_appliance.measure.procfs import (
    CpuTotals,
    ProcFile,
    Unparsed,
    parse_cpu_totals,
    parse_meminfo,
)

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class HostReading:
    """The host at one moment; None where the system does not tell."""

    mem_available_bytes: int | None
    swap_used_bytes: int | None
    nvmap_bytes: int | None
    cpu: CpuTotals | None


class HostReader(Protocol):
    """Reads the host; opened once for each measuring period."""

    def take(self) -> Unparsed[HostReading]:
        """Read; what is returned gives the reading."""

    def close(self) -> None:
        """Release what is held open."""


def open_host(proc: Path = Path("/proc")) -> HostReader:
    """Return the best reader for this system."""
    return ProcHost(proc) if (proc / "stat").exists() else PsutilHost()


class ProcHost:
    """The host through /proc."""

    def __init__(self, proc: Path) -> None:
        """Open /proc/meminfo and /proc/stat."""
        self._meminfo = ProcFile(proc / "meminfo")
        self._stat = ProcFile(proc / "stat")

    def take(self) -> Unparsed[HostReading]:
        """Read both files."""
        return partial(_parse_host, self._meminfo.read(), self._stat.read())

    def close(self) -> None:
        """Close the files."""
        self._meminfo.close()
        self._stat.close()


def _parse_host(meminfo: bytes, stat: bytes) -> HostReading:
    memory = parse_meminfo(meminfo)
    return HostReading(
        mem_available_bytes=memory.available_bytes,
        swap_used_bytes=memory.swap_used_bytes,
        nvmap_bytes=memory.nvmap_bytes,
        cpu=parse_cpu_totals(stat, _TICKS_PER_S),
    )


class PsutilHost:
    """The host through psutil, for systems without /proc."""

    def take(self) -> Unparsed[HostReading]:
        """Read; nothing is left to be parsed."""
        reading = self._read()
        return lambda: reading

    def _read(self) -> HostReading:
        """Return a reading; steal time is not known there and counts as absent load."""
        times = psutil.cpu_times()
        return HostReading(
            mem_available_bytes=psutil.virtual_memory().available,
            swap_used_bytes=psutil.swap_memory().used,
            nvmap_bytes=None,
            cpu=CpuTotals(busy_s=times.user + times.system + times.nice, steal_s=0.0),
        )

    def close(self) -> None:
        """Release nothing: psutil holds nothing open."""

"""Peaks of the cgroup's memory during one run, and whether the kernel killed for want of it. Pure.

The parts are kept apart: page cache is reclaimable, and belongs to whoever touched it first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgemoe_appliance.measure.cgroup import Cgroup, CgroupMemory, NoCgroup, peak_of_run
from edgemoe_appliance.measure.instruments import KernelCounters
from edgemoe_appliance.measure.load import UNSEEN
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.runsamples import RunSamples, highest
from edgemoe_appliance.schema.units import human_bytes

_PEAK_KEYS = ("cgroup_peak_bytes", "cgroup_peak_is_kernels")
_PARTS: dict[str, Callable[[CgroupMemory], int | None]] = {
    "cgroup_peak_anon_bytes": lambda memory: memory.anon_bytes,
    "cgroup_peak_file_bytes": lambda memory: memory.file_bytes,
    "cgroup_peak_kernel_bytes": lambda memory: memory.kernel_bytes,
    "cgroup_peak_swap_bytes": lambda memory: memory.swap_bytes,
}


def put_cgroup(
    readings: Readings,
    run: RunSamples,
    cgroup: Cgroup | NoCgroup,
    counters: Sequence[KernelCounters],
) -> None:
    """Put the peaks; `counters` are the readings around the run, in order of time."""
    if isinstance(cgroup, NoCgroup):
        readings.put_absent((*_PEAK_KEYS, *_PARTS), cgroup.reason)
        return
    memories = [sample.cgroup for sample in run.alive if sample.cgroup is not None]
    reason = "this kernel does not tell" if memories else UNSEEN
    for key, part in _PARTS.items():
        readings.put(key, highest(memories, part), reason)
    _put_peak(readings, highest(memories, lambda memory: memory.current_bytes), counters)


def _put_peak(
    readings: Readings, sampled_bytes: int | None, counters: Sequence[KernelCounters]
) -> None:
    of_cgroup = [reading.cgroup for reading in counters if reading.cgroup is not None]
    if not of_cgroup:
        readings.put_absent(_PEAK_KEYS, UNSEEN)
        return
    peak = peak_of_run(of_cgroup[0], of_cgroup[-1], sampled_bytes)
    if isinstance(peak, NoCgroup):
        readings.put_absent(_PEAK_KEYS, peak.reason)
        return
    readings.put("cgroup_peak_bytes", peak.peak_bytes, "")
    readings.put("cgroup_peak_is_kernels", float(peak.is_kernels), "")


def describe_oom_kill(counters: Sequence[KernelCounters]) -> str | None:
    """Return what the kernel's counters say of a kill for want of memory; None where nothing."""
    if len(counters) < 2:
        return None
    first, last = counters[0], counters[-1]
    if first.cgroup is not None and last.cgroup is not None:
        kills = _rise(first.cgroup.oom_kills, last.cgroup.oom_kills)
        limit_bytes = last.cgroup.limit_bytes
        limit = "without a limit" if limit_bytes is None else f"limit {human_bytes(limit_bytes)}"
        if kills:
            return f"killed by the kernel for want of memory: oom_kill of its cgroup ({limit}) rose"
    if _rise(first.host_oom_kills, last.host_oom_kills):
        return "killed by the kernel for want of memory: oom_kill of the machine rose"
    return None


def _rise(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else after - before

"""Memory and processor metrics of one run, from its samples and the engine's messages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.measure.readings import Readings, percentile
from edgemoe_appliance.measure.runsamples import RunSamples, highest, values
from edgemoe_appliance.measure.sampler import SystemSample
from edgemoe_appliance.measure.tree import TreeReading
from edgemoe_appliance.schema.records import BufferFacts, BufferKind, Caveat
from edgemoe_appliance.schema.units import NS_PER_S

# Bounds past which a run carries a caveat. Other load: field experience on shared machines is
# that 5 % of a core already moves a two-core engine that spins at its barriers.
_OTHER_LOAD_PCT = 5.0
_SAMPLER_CPU_PCT = 1.0
# Below this the sampler has done little more than the few samples that every run gets, however
# short: a share of such a run says nothing.
_SAMPLER_CPU_FLOOR_S = 0.010
_SAMPLER_LATE_SHARE = 0.5
_UNTOLD = "this system does not tell"
_NO_FOOTPRINT = "told by macOS alone, through proc_pid_rusage"
_TOO_SHORT = "the run was too short"
UNSEEN: Final = "the process ended before it was sampled with all its memory"
_BUFFER_KEYS: Final = {
    BufferKind.MODEL: "model_buffer_bytes",
    BufferKind.KV: "kv_buffer_bytes",
    BufferKind.COMPUTE: "compute_buffer_bytes",
    BufferKind.OUTPUT: "output_buffer_bytes",
}
# Shorter stretches than this hold too few accounting ticks for a percentage.
_MIN_CPU_INTERVAL_NS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class ProcessCost:
    """What the reaped engine and the measuring process used.

    `max_rss_bytes` is the kernel's figure for the reaped process. It never falls below the peak
    of the process that started it, because the mark is inherited over fork until exec.
    """

    wall_s: float
    engine_cpu_s: float
    own_cpu_s: float
    max_rss_bytes: int
    own_peak_rss_bytes: int


def put_memory(readings: Readings, run: RunSamples, cost: ProcessCost) -> None:
    """Put the peaks of resident memory and its parts, and what the host had left."""
    trees = [sample.tree for sample in run.alive if sample.tree is not None]
    marks = values(trees, lambda tree: tree.high_water_bytes)
    sums = values(trees, lambda tree: tree.rss_bytes)
    if cost.max_rss_bytes > cost.own_peak_rss_bytes:
        marks.append(cost.max_rss_bytes)
    readings.put("peak_rss_bytes", max(marks + sums, default=None), UNSEEN)
    parts: dict[str, Callable[[TreeReading], int | None]] = {
        "peak_rss_anon_bytes": lambda tree: tree.anon_bytes,
        "peak_rss_file_bytes": lambda tree: tree.file_bytes,
        "peak_rss_shmem_bytes": lambda tree: tree.shmem_bytes,
        "peak_process_swap_bytes": lambda tree: tree.swap_bytes,
    }
    reason = _UNTOLD if trees else UNSEEN
    for key, part in parts.items():
        readings.put(key, highest(trees, part), reason)
    readings.put("peak_rss_at_s", _peak_at_s(run), reason)
    footprints = [
        *values(trees, lambda tree: tree.footprint_bytes),
        *values(trees, lambda tree: tree.high_water_footprint_bytes),
    ]
    reason = _NO_FOOTPRINT if trees else UNSEEN
    readings.put("peak_footprint_bytes", max(footprints, default=None), reason)
    _put_host_memory(readings, run.samples)


def _peak_at_s(run: RunSamples) -> float | None:
    """Return when the highest sample was taken, from the start of the process."""
    sums = [
        (sample.tree.rss_bytes, sample.t_mono_ns)
        for sample in run.alive
        if sample.tree is not None and sample.tree.rss_bytes is not None
    ]
    if not sums:
        return None
    peak_bytes = max(rss_bytes for rss_bytes, _ in sums)
    first_ns = min(t_ns for rss_bytes, t_ns in sums if rss_bytes == peak_bytes)
    return (first_ns - run.spawn_ns) / NS_PER_S


def _put_host_memory(readings: Readings, samples: Sequence[SystemSample]) -> None:
    hosts = [sample.host for sample in samples if sample.host is not None]
    available = values(hosts, lambda host: host.mem_available_bytes)
    drop = max(0, available[0] - min(available)) if available else None
    readings.put("mem_available_drop_bytes", drop, _UNTOLD)
    swap = highest(hosts, lambda host: host.swap_used_bytes)
    readings.put("peak_swap_used_bytes", swap, _UNTOLD)
    nvmap = highest(hosts, lambda host: host.nvmap_bytes)
    readings.put("nvmap_peak_bytes", nvmap, "this kernel has no NvMapMemUsed: it is a Jetson's")


def put_buffers(readings: Readings, buffers: Sequence[BufferFacts]) -> None:
    """Put what the engine told of its own buffers: by what they hold, and those on a device."""
    untold = "the engine reported no buffer"
    for kind, key in _BUFFER_KEYS.items():
        sizes = [buffer.bytes for buffer in buffers if buffer.kind is kind]
        readings.put(key, sum(sizes) if sizes else None, untold)
    on_device = [buffer.bytes for buffer in buffers if not buffer.is_host]
    reason = "the engine reported no device beside the processor" if buffers else untold
    readings.put("device_buffer_bytes", sum(on_device) if on_device else None, reason)


def put_cpu(readings: Readings, run: RunSamples, cost: ProcessCost) -> None:
    """Put processor use of the engine, the sampler and everything else; 100 % is one core."""
    samples = run.samples
    readings.put("cpu_s", cost.engine_cpu_s, "")
    readings.put("cpu_mean_pct", 100 * cost.engine_cpu_s / cost.wall_s, "")
    readings.put("cpu_peak_pct", _peak_cpu_pct(samples), _TOO_SHORT)
    sampler_s = sum(sample.cost_ns for sample in samples) / NS_PER_S
    readings.put("sampler_cpu_pct", 100 * sampler_s / cost.wall_s, "")
    late_ms = [sample.late_ns / 1e6 for sample in samples if sample.late_ns is not None]
    readings.put("sampler_late_p95_ms", percentile(late_ms, 0.95), _TOO_SHORT)
    other = _other_load(samples, cost)
    readings.put("other_cpu_pct", other.busy_pct if other else None, _UNTOLD)
    readings.put("steal_pct", other.steal_pct if other else None, _UNTOLD)


def _peak_cpu_pct(samples: Sequence[SystemSample]) -> float | None:
    points = [
        (sample.t_mono_ns, sample.tree.cpu_s)
        for sample in samples
        if sample.tree is not None and sample.tree.cpu_s is not None
    ]
    rates: list[float] = []
    start_ns, start_s = points[0] if points else (0, 0.0)
    for end_ns, end_s in points:
        if end_ns - start_ns >= _MIN_CPU_INTERVAL_NS:
            rates.append(100 * (end_s - start_s) / ((end_ns - start_ns) / NS_PER_S))
            start_ns, start_s = end_ns, end_s
    return max(rates, default=None)


@dataclass(frozen=True, kw_only=True)
class OtherLoad:
    """Load that is not ours, in percent of one core; `busy_pct` holds steal too."""

    busy_pct: float
    steal_pct: float


def _other_load(samples: Sequence[SystemSample], cost: ProcessCost) -> OtherLoad | None:
    totals = [
        (sample.t_mono_ns, sample.host.cpu)
        for sample in samples
        if sample.host is not None and sample.host.cpu is not None
    ]
    if len(totals) < 2 or totals[-1][0] == totals[0][0]:
        return None
    (start_ns, first), (end_ns, last) = totals[0], totals[-1]
    span_s = (end_ns - start_ns) / NS_PER_S
    steal_s = last.steal_s - first.steal_s
    foreign_s = last.busy_s - first.busy_s - cost.engine_cpu_s - cost.own_cpu_s
    # Accounting by ticks can leave the difference slightly negative: that is no load.
    return OtherLoad(
        busy_pct=max(0.0, 100 * (foreign_s + steal_s) / span_s),
        steal_pct=max(0.0, 100 * steal_s / span_s),
    )


def check_load(
    readings: Readings, failure: str | None, *, period_s: float, tick_s: float
) -> tuple[Caveat, ...]:
    """Return the caveats that load and sampling throw on a run; `failure` ended the sampler."""
    # One tick at each end is the resolution of the kernel's accounting.
    wall_s = readings.metrics["wall_s"]
    resolution_pct = 100 * 2 * tick_s / wall_s
    sampler_bound_pct = max(_SAMPLER_CPU_PCT, 100 * _SAMPLER_CPU_FLOOR_S / wall_s)
    late_bound_ms = 1e3 * period_s * _SAMPLER_LATE_SHARE
    caveats = [
        _past_bound(
            readings,
            "other_cpu_pct",
            _OTHER_LOAD_PCT + resolution_pct,
            "other-load",
            "other processes or the hypervisor took more than 5 % of a core",
        ),
        _past_bound(
            readings,
            "sampler_cpu_pct",
            sampler_bound_pct,
            "sampler-cost",
            "the sampler took more than 1 % of a core",
        ),
        _past_bound(
            readings,
            "sampler_late_p95_ms",
            late_bound_ms,
            "sampler-late",
            "the sampler was late by more than half its period",
        ),
    ]
    if failure is not None:
        caveats.append(Caveat(code="sampler-failed", text=f"the sampler ended: {failure}"))
    return tuple(caveat for caveat in caveats if caveat is not None)


def _past_bound(readings: Readings, key: str, bound: float, code: str, text: str) -> Caveat | None:
    value = readings.metrics.get(key)
    if value is None or value <= bound:
        return None
    return Caveat(code=code, text=text, numbers={key: value, "bound": bound})

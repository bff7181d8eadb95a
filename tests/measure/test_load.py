import pytest

from edgemoe_appliance.measure.hostload import HostReading
from edgemoe_appliance.measure.load import ProcessCost, check_load, put_cpu, put_memory
from edgemoe_appliance.measure.procfs import CpuTotals
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.runsamples import RunSamples
from edgemoe_appliance.measure.sampler import SystemSample
from edgemoe_appliance.measure.tree import TreeReading

S = 1_000_000_000


def tree(rss: int | None, mark: int | None = None, cpu_s: float | None = 0.0) -> TreeReading:
    return TreeReading(
        processes=1,
        rss_bytes=rss,
        anon_bytes=None if rss is None else rss // 4,
        file_bytes=None if rss is None else rss // 2,
        shmem_bytes=0,
        swap_bytes=0,
        high_water_bytes=mark,
        cpu_s=cpu_s,
    )


def host(available: int, busy_s: float, steal_s: float = 0.0) -> HostReading:
    return HostReading(
        mem_available_bytes=available,
        swap_used_bytes=5,
        nvmap_bytes=None,
        cpu=CpuTotals(busy_s=busy_s, steal_s=steal_s),
    )


def run(*samples: SystemSample, full_ns: int | None = None) -> RunSamples:
    return RunSamples(samples=samples, spawn_ns=-S, full_ns=full_ns)


def cost(max_rss: int = 0, own_peak: int = 10**9, engine_cpu_s: float = 1.5) -> ProcessCost:
    return ProcessCost(
        wall_s=2.0,
        engine_cpu_s=engine_cpu_s,
        own_cpu_s=0.1,
        max_rss_bytes=max_rss,
        own_peak_rss_bytes=own_peak,
    )


RUN = (
    SystemSample(t_mono_ns=0, tree=tree(100, 120, 0.0), host=host(1000, 10.0)),
    SystemSample(t_mono_ns=S, tree=tree(900, 950, 0.9), host=host(300, 11.0)),
    SystemSample(t_mono_ns=2 * S, tree=None, host=host(990, 11.7, 0.3)),
)


def test_the_peak_is_the_highest_of_marks_and_sums() -> None:
    readings = Readings()
    put_memory(readings, run(*RUN, full_ns=S), cost())
    assert readings.metrics["peak_rss_bytes"] == 950
    assert readings.metrics["peak_rss_anon_bytes"] == 225
    assert readings.metrics["mem_available_drop_bytes"] == 700
    assert readings.metrics["peak_swap_used_bytes"] == 5
    assert readings.metrics["peak_process_swap_bytes"] == 0
    assert readings.metrics["peak_rss_at_s"] == 2.0
    assert "NvMapMemUsed" in readings.absent["nvmap_peak_bytes"]


def test_an_inherited_mark_of_the_measuring_process_is_not_the_engine_s() -> None:
    inherited, own = Readings(), Readings()
    put_memory(inherited, run(*RUN, full_ns=S), cost(max_rss=5000, own_peak=5000))
    put_memory(own, run(*RUN, full_ns=S), cost(max_rss=5000, own_peak=4000))
    assert inherited.metrics["peak_rss_bytes"] == 950
    assert own.metrics["peak_rss_bytes"] == 5000


def test_a_process_never_seen_has_no_peak_rather_than_a_peak_of_zero() -> None:
    readings = Readings()
    put_memory(readings, run(SystemSample(t_mono_ns=0, tree=None, host=host(1, 1))), cost())
    assert "peak_rss_bytes" not in readings.metrics
    assert "ended before" in readings.absent["peak_rss_bytes"]


def test_samples_from_before_the_memory_was_full_are_not_a_peak() -> None:
    readings = Readings()
    put_memory(readings, run(*RUN, full_ns=S + 1), cost())
    assert "peak_rss_anon_bytes" not in readings.metrics
    assert "ended before" in readings.absent["peak_rss_anon_bytes"]
    never_full = Readings()
    put_memory(never_full, run(*RUN), cost())
    assert never_full.metrics["peak_rss_bytes"] == 950


def test_other_load_leaves_out_the_engine_and_the_measuring_process() -> None:
    readings = Readings()
    put_cpu(readings, run(*RUN), cost())
    # 1.7 s busy - 1.5 s engine - 0.1 s measuring + 0.3 s stolen, over 2 s
    assert readings.metrics["other_cpu_pct"] == pytest.approx(20.0)
    assert readings.metrics["steal_pct"] == pytest.approx(15.0)
    assert readings.metrics["cpu_mean_pct"] == pytest.approx(75.0)
    assert readings.metrics["cpu_peak_pct"] == pytest.approx(90.0)


def test_ticks_that_round_below_zero_are_no_load() -> None:
    readings = Readings()
    put_cpu(readings, run(*RUN), cost(engine_cpu_s=2.5))
    assert readings.metrics["other_cpu_pct"] == 0.0


def test_a_system_that_does_not_tell_leaves_load_absent() -> None:
    silent = HostReading(mem_available_bytes=None, swap_used_bytes=None, nvmap_bytes=None, cpu=None)
    samples = [SystemSample(t_mono_ns=t, tree=tree(None, None, None), host=silent) for t in (0, S)]
    readings = Readings()
    put_cpu(readings, run(*samples), cost())
    put_memory(readings, run(*samples, full_ns=0), cost())
    for key in ("other_cpu_pct", "steal_pct", "cpu_peak_pct", "peak_swap_used_bytes"):
        assert key in readings.absent
        assert key not in readings.metrics


def caveats(readings: Readings, failure: str | None = None) -> set[str]:
    return {caveat.code for caveat in check_load(readings, failure, period_s=0.1, tick_s=0.01)}


def test_the_fixed_samples_of_a_short_run_are_no_caveat() -> None:
    readings = Readings()
    readings.metrics = {"wall_s": 0.4, "sampler_cpu_pct": 2.4}
    assert caveats(readings) == set()
    readings.metrics["sampler_cpu_pct"] = 2.6
    assert caveats(readings) == {"sampler-cost"}


def test_bounds_are_crossed_one_by_one() -> None:
    readings = Readings()
    readings.metrics = {
        "wall_s": 2.0,
        "other_cpu_pct": 5.9,
        "sampler_cpu_pct": 1.0,
        "sampler_late_p95_ms": 50.0,
    }
    assert caveats(readings) == set()
    readings.metrics["other_cpu_pct"] = 6.1  # 5 % and one tick at each end of 2 s
    assert caveats(readings) == {"other-load"}
    readings.metrics["sampler_cpu_pct"] = 1.1
    readings.metrics["sampler_late_p95_ms"] = 51.0
    assert caveats(readings, "OSError: gone") == {
        "other-load",
        "sampler-cost",
        "sampler-late",
        "sampler-failed",
    }

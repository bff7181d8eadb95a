"""Temperatures, throttling and pauses as metrics."""

from __future__ import annotations

import pytest

from edgemoe_appliance.measure.cooldown import CooldownEnd, CooldownOutcome
from edgemoe_appliance.measure.heat import HeatReading, ThrottleReading
from edgemoe_appliance.measure.heat_metrics import put_heat, put_pause
from edgemoe_appliance.measure.hostload import HostReading
from edgemoe_appliance.measure.pause import Pause
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.sampler import SystemSample
from edgemoe_appliance.schema.configs import CooldownRule

SILENT = HostReading(mem_available_bytes=None, swap_used_bytes=None, nvmap_bytes=None, cpu=None)


def sample(t_ns: int, **temps_c: float) -> SystemSample:
    heat = HeatReading(t_mono_ns=t_ns, temps_c=temps_c, failed={})
    return SystemSample(t_mono_ns=t_ns, tree=None, host=SILENT, heat=heat)


def throttle(level: int, events: int) -> ThrottleReading:
    return ThrottleReading(t_mono_ns=0, states={"cpu-throttle": level}, counts={"oc1": events})


def test_a_replayed_trace_of_a_run() -> None:
    trace = [(45.0, 44.0), (52.0, 61.5), (61.25, 58.0), (55.5, 54.0)]
    samples = [sample(t, tj=tj, cpu=cpu) for t, (tj, cpu) in enumerate(trace)]
    readings = Readings()
    caveats = put_heat(readings, samples, [throttle(0, 3), throttle(2, 4), throttle(0, 4)])
    # Where there is a sensor of the junction it counts, not the hotter one beside it.
    assert readings.metrics == {
        "temp_start_c": 45.0,
        "temp_peak_c": 61.25,
        "temp_end_c": 55.5,
        "throttle_events": 3.0,
    }
    assert [caveat.code for caveat in caveats] == ["throttled"]


def test_a_machine_that_could_throttle_and_did_not() -> None:
    readings = Readings()
    assert put_heat(readings, [sample(0, cpu=40.0)], [throttle(0, 3)] * 2) == ()
    assert readings.metrics["throttle_events"] == 0


def test_a_machine_without_sensors_has_no_temperature_and_no_throttling() -> None:
    readings = Readings()
    silent = ThrottleReading(t_mono_ns=0, states={}, counts={})
    assert put_heat(readings, [sample(0, acpitz=30.0)], [silent, silent]) == ()
    assert readings.metrics == {}
    assert set(readings.absent) == {"temp_start_c", "temp_peak_c", "temp_end_c", "throttle_events"}


def unread(level: int) -> ThrottleReading:
    return ThrottleReading(
        t_mono_ns=0, states={"Processor": level}, counts={}, unread={"cpu0 core throttled": "gone"}
    )


def test_what_cannot_be_seen_is_not_zero() -> None:
    readings = Readings()
    assert put_heat(readings, [sample(0, cpu=40.0)], [unread(0), unread(0)]) == ()
    assert "throttle_events" not in readings.metrics
    assert readings.absent["throttle_events"] == (
        "what would show it cannot be read here: cpu0 core throttled (gone)"
    )


def test_what_was_seen_counts_though_not_all_could_be() -> None:
    readings = Readings()
    (caveat,) = put_heat(readings, [sample(0, cpu=40.0)], [unread(0), unread(2)])
    assert caveat.code == "throttled"
    assert readings.metrics["throttle_events"] == 2


def a_pause(end: CooldownEnd | None) -> Pause:
    outcome = None
    if end is not None:
        outcome = CooldownOutcome(
            rule=CooldownRule.JUNCTION,
            end=end,
            waited_s=12.0,
            reference_c=45.0,
            start_c=50.0,
            end_c=46.0,
        )
    return Pause(outcome=outcome, paused_s=12.5, idle=None)


def test_the_first_run_of_a_period_has_no_pause() -> None:
    readings = Readings()
    assert put_pause(readings, a_pause(None)) == ()
    assert readings.absent == {"cooldown_s": "the first run of its measuring period"}


@pytest.mark.parametrize("end", [CooldownEnd.COOL, CooldownEnd.CAP, CooldownEnd.NO_SENSOR])
def test_a_pause_without_a_temperature_to_wait_for_is_with_caveat(end: CooldownEnd) -> None:
    readings = Readings()
    caveats = put_pause(readings, a_pause(end))
    assert readings.metrics == {"cooldown_s": 12.5}
    wanted = ["cooldown-no-sensor"] if end is CooldownEnd.NO_SENSOR else []
    assert [caveat.code for caveat in caveats] == wanted

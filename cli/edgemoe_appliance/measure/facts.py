"""What a measuring period is read with, for its record: power sources, heat sensors, the cgroup."""

from __future__ import annotations

from edgemoe_appliance.measure.cgroup import NoCgroup
from edgemoe_appliance.measure.heat import HeatSensors, hottest_on_die
from edgemoe_appliance.measure.instruments import Instruments
from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power.interface import Rail
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.records import CgroupFacts, HeatFacts, PowerFacts, RailFacts


def power_facts(power: Discovery) -> PowerFacts:
    """Return which sources there are and what the primary's rails are."""
    primary, cross_check = power.primary, power.cross_check
    return PowerFacts(
        primary=None if primary is None else primary.source,
        scope=None if primary is None else primary.scope.value,
        rails=() if primary is None else tuple(map(rail_facts, primary.rails)),
        cross_check=None if cross_check is None else cross_check.source,
        beside=tuple(meter.source for meter in power.beside),
        absent=dict(power.absent),
        reason=power.reason,
    )


def rail_facts(rail: Rail) -> RailFacts:
    """Return a rail as it is recorded."""
    return RailFacts(
        name=rail.name,
        sensor=rail.sensor,
        unit="J" if rail.unit is Unit.JOULES else "W",
        role=rail.role.value,
        step=rail.step,
        offset_bound_w=rail.offset_bound_w,
        gain_bound=rail.gain_bound,
        refresh_s=rail.refresh_s,
        lag_s=rail.lag_s,
        lag_bound_s=rail.lag_bound_s,
        late_s=rail.late_s,
    )


def read_heat_facts(heat: HeatSensors) -> HeatFacts:
    """Read which sensors there are, and which of them is the hottest on the die now."""
    reading, throttle = heat.read(), heat.read_throttle()
    hottest = hottest_on_die(reading.temps_c)
    return HeatFacts(
        die=None if hottest is None else hottest.sensor,
        temperatures=tuple(sorted(reading.temps_c)),
        throttling=tuple(sorted((*throttle.states, *throttle.counts))),
        unreadable=heat.unreadable | reading.failed,
    )


def read_cgroup_facts(instruments: Instruments) -> CgroupFacts:
    """Read what the cgroup offers."""
    cgroup, counters = instruments.cgroup, instruments.read_counters().cgroup
    if isinstance(cgroup, NoCgroup) or counters is None:
        reason = cgroup.reason if isinstance(cgroup, NoCgroup) else "it has gone"
        return CgroupFacts(
            version=None,
            limit_bytes=None,
            keeps_peak=False,
            counts_oom_kills=False,
            reason=reason,
        )
    return CgroupFacts(
        version=cgroup.version.value,
        limit_bytes=counters.limit_bytes,
        keeps_peak=counters.peak_bytes is not None,
        counts_oom_kills=counters.oom_kills is not None,
        reason=None,
    )

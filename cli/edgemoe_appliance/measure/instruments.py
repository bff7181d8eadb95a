"""Everything that is read during a measuring period, found and opened once, closed in every case.

A meter that was found and cannot be opened is absent with its reason, like one that was not there.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.cgroup import (
    Cgroup,
    CgroupCounters,
    CgroupMemory,
    CgroupReader,
    NoCgroup,
    locate_cgroup,
)
from edgemoe_appliance.measure.heat import HeatSensors, find_heat, hottest_on_die
from edgemoe_appliance.measure.hostload import HostReader, open_host
from edgemoe_appliance.measure.power.discovery import (
    Discovery,
    build_discovery,
    discover_power_sources,
)
from edgemoe_appliance.measure.power.interface import AbsentSource, PowerMeter, total_rails
from edgemoe_appliance.measure.power.nvml import NvmlMeter
from edgemoe_appliance.measure.procfs import Unparsed, parse_oom_kills
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import OutsideMeter, PowerSource


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelCounters:
    """What the kernel counts, at one moment; None where it does not tell.

    `host_oom_kills` are the processes killed for want of memory since boot, on the whole machine.
    """

    t_mono_ns: int
    cgroup: CgroupCounters | None
    host_oom_kills: int | None


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The open readers of a measuring period; `cgroup_reader` is None without a cgroup."""

    host: HostReader
    power: Discovery
    heat: HeatSensors
    cgroup: Cgroup | NoCgroup
    cgroup_reader: CgroupReader | None
    vmstat: Path

    @property
    def power_refresh_s(self) -> float | None:
        """Return after how long the primary has a new value; None where there is no primary."""
        if self.power.primary is None:
            return None
        return max(rail.refresh_s for rail in total_rails(self.power.primary.rails))

    @property
    def power_arrives_s(self) -> float:
        """Return how long after its moment the slowest reading that is compared can be had."""
        compared = (self.power.primary, self.power.cross_check)
        rails = [rail for meter in compared if meter is not None for rail in meter.rails]
        return max((rail.arrives_s for rail in rails), default=0.0)

    def read_die_c(self) -> float | None:
        """Return the hottest temperature on the die; None where no sensor is on it."""
        hottest = hottest_on_die(self.heat.read().temps_c)
        return None if hottest is None else hottest.temp_c

    def take_cgroup(self) -> Unparsed[CgroupMemory] | None:
        """Read what the cgroup holds; None where there is none, or it has gone."""
        if self.cgroup_reader is None:
            return None
        with contextlib.suppress(OSError):
            return self.cgroup_reader.take()
        return None

    def reopen_power(self) -> None:
        """Close and open the meters, so that one that died in a run can serve the next one.

        One that cannot be opened stays silent, and the next run says so.
        """
        for meter in self.power.meters:
            meter.__exit__(None, None, None)
            with contextlib.suppress(MeasureError):
                meter.__enter__()

    def read_counters(self) -> KernelCounters:
        """Return the kernel's counters."""
        reader = self.cgroup_reader
        return KernelCounters(
            t_mono_ns=time.monotonic_ns(),
            cgroup=None if reader is None else reader.read_counters(),
            host_oom_kills=_read_oom_kills(self.vmstat),
        )


@contextlib.contextmanager
def open_instruments(
    order: Sequence[PowerSource],
    roots: SystemRoots | None = None,
    *,
    meter: OutsideMeter | None = None,
) -> Iterator[Instruments]:
    """Open what this machine has; `order` are the target's power sources, best first.

    Opening an outside meter takes some seconds, and loads every core for some of them.
    """
    where = roots or SystemRoots()
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(contextlib.closing(open_host(where.below("proc"))))
        power = _open_meters(discover_power_sources(order, where, meter=meter), order, stack)
        primary = power.primary
        read_more = primary.read_temps_c if isinstance(primary, NvmlMeter) else None
        cgroup, cgroup_reader = _open_cgroup(where, stack)
        yield Instruments(
            host=host,
            power=power,
            heat=stack.enter_context(find_heat(where, read_more)),
            cgroup=cgroup,
            cgroup_reader=cgroup_reader,
            vmstat=where.below("proc/vmstat"),
        )


def _open_meters(
    found: Discovery, order: Sequence[PowerSource], stack: contextlib.ExitStack
) -> Discovery:
    """Return what is left of a discovery once its meters have been opened."""
    ones: list[PowerMeter | AbsentSource] = [
        *(_open_meter(meter, stack) for meter in found.meters),
        *(AbsentSource(source=source, reason=why) for source, why in found.absent.items()),
    ]
    in_order = sorted(ones, key=lambda one: order.index(one.source))
    return build_discovery(in_order, platform.system())


def _open_meter(meter: PowerMeter, stack: contextlib.ExitStack) -> PowerMeter | AbsentSource:
    try:
        return stack.enter_context(meter)
    except MeasureError as error:
        return AbsentSource(source=meter.source, reason=str(error))


def _open_cgroup(
    roots: SystemRoots, stack: contextlib.ExitStack
) -> tuple[Cgroup | NoCgroup, CgroupReader | None]:
    cgroup = locate_cgroup(roots.root)
    if isinstance(cgroup, NoCgroup):
        return cgroup, None
    try:
        return cgroup, stack.enter_context(contextlib.closing(CgroupReader(cgroup)))
    except OSError as error:
        return NoCgroup(reason=f"{error.filename}: {error.strerror}"), None


def _read_oom_kills(vmstat: Path) -> int | None:
    try:
        return parse_oom_kills(vmstat.read_bytes())
    except OSError:
        return None

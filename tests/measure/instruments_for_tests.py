"""Instruments whose readings a test sets: they implement the real protocols and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from edgemoe_appliance.measure.cgroup import NoCgroup
from edgemoe_appliance.measure.heat import HeatSensors
from edgemoe_appliance.measure.hostload import HostReader, HostReading
from edgemoe_appliance.measure.instruments import Instruments
from edgemoe_appliance.measure.power.discovery import Discovery, build_discovery
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    MeterReading,
    PowerMeter,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    as_taken,
)
from edgemoe_appliance.measure.procfs import Unparsed
from edgemoe_appliance.measure.tree import TreeReading
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit


class Host:
    """A host that counts how often it was asked."""

    def __init__(self) -> None:
        self.reads = 0

    def take(self) -> Unparsed[HostReading]:
        reading = self._reading()
        return lambda: reading

    def _reading(self) -> HostReading:
        self.reads += 1
        return HostReading(
            mem_available_bytes=self.reads, swap_used_bytes=None, nvmap_bytes=None, cpu=None
        )

    def close(self) -> None: ...


class Tree:
    """A tree whose reading fails from a given read on."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.reads = 0
        self.closed = False
        self.fails_at = fails_at

    def take(self) -> Unparsed[TreeReading | None]:
        assert not self.closed
        self.reads += 1
        if self.reads == self.fails_at:
            raise RuntimeError("broken")
        reading = TreeReading(
            processes=1,
            rss_bytes=self.reads,
            anon_bytes=None,
            file_bytes=None,
            shmem_bytes=None,
            swap_bytes=None,
            high_water_bytes=None,
            cpu_s=None,
        )
        return lambda: reading

    def close(self) -> None:
        self.closed = True


class Meter:
    """A meter with one total rail that gives what a function returns."""

    scope = PowerScope.MODULE

    def __init__(
        self,
        read: Callable[[], tuple[MeterReading, ...]],
        *,
        source: PowerSource = PowerSource.INA3221,
        rails: tuple[Rail, ...] | None = None,
    ) -> None:
        self.source = source
        self.rails = rails or (a_rail(),)
        self.opened = 0
        self._read = read

    def __enter__(self) -> Meter:
        self.opened += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def take(self) -> UnparsedReadings:
        return as_taken(self.read())

    def read(self) -> tuple[MeterReading, ...]:
        return self._read()


def a_rail(
    name: str = "VDD_IN",
    *,
    unit: Unit = Unit.WATTS,
    source: PowerSource = PowerSource.INA3221,
    sensor: str = "ina3221",
    role: RailRole = RailRole.TOTAL,
) -> Rail:
    return Rail(
        name=name,
        source=source,
        sensor=sensor,
        unit=unit,
        role=role,
        step=0.04,
        offset_bound_w=0.08,
        gain_bound=0.005,
        refresh_s=0.0066,
    )


def discovery(*found: PowerMeter | AbsentSource) -> Discovery:
    return build_discovery(found, "Linux")


def a_heat(
    temps: dict[str, Path] | None = None, states: dict[str, Path] | None = None
) -> HeatSensors:
    return HeatSensors(temps=temps or {}, states=states or {}, counts={}).__enter__()


def some_instruments(
    *,
    host: HostReader | None = None,
    power: Discovery | None = None,
    heat: HeatSensors | None = None,
) -> Instruments:
    return Instruments(
        host=host or Host(),
        power=power or discovery(),
        heat=heat or a_heat(),
        cgroup=NoCgroup(reason="none in this test"),
        cgroup_reader=None,
        vmstat=Path("/nonexistent/vmstat"),
    )

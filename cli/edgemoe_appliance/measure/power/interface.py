"""What a power source is: rails with their units and bounds, and readings in order of time.

A source that cannot read says so in a reading of its own kind. Nothing is ever estimated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, TypeAlias

from edgemoe_appliance.measure.procfs import Unparsed
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit


class RailRole(str, Enum):
    """How a rail relates to the total of its source."""

    TOTAL = "total"  # the source's total is the sum of these; they share nothing
    PART = "part"  # inside a total rail: never added to it
    BESIDE = "beside"  # encloses the total or overlaps it: never added to it


class PowerScope(str, Enum):
    """What the total of a source covers; only equal scopes can be compared."""

    MODULE = "module input"
    PROCESSOR = "processor packages and memory"
    GPU = "graphics boards"
    DEVICE = "whole device"


@dataclass(frozen=True, kw_only=True)
class Rail:
    """One thing that is measured, and how well.

    `unit` is W (power readings) or J (a cumulative counter); `step` is the smallest difference
    in that unit. A bound is None where nobody has published one. `gain_bound` is a share of the
    reading, `refresh_s` the time after which the sensor has a new value. Rails of one `sensor`
    share its offset and gain.

    A sensor that averages follows the power like a first-order filter with the time constant
    `lag_s`, known to within `lag_bound_s` either way; 0 where every reading stands for its own
    moment. `late_s` is how much older than its time stamp a reading may be besides,
    `arrives_s` how long after its moment it can be had.
    """

    name: str
    source: PowerSource
    sensor: str
    unit: Unit
    role: RailRole
    step: float
    offset_bound_w: float | None
    gain_bound: float | None
    refresh_s: float
    lag_s: float = 0.0
    lag_bound_s: float = 0.0
    late_s: float = 0.0
    arrives_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PowerReading:
    """The power of a rail at one moment."""

    t_mono_ns: int
    rail: str
    power_w: float


@dataclass(frozen=True, kw_only=True)
class EnergyReading:
    """The counter of a rail at one moment; it only falls when it was reset."""

    t_mono_ns: int
    rail: str
    energy_j: float


@dataclass(frozen=True, kw_only=True)
class DeadReading:
    """A moment at which a rail should have been read and could not be."""

    t_mono_ns: int
    rail: str
    reason: str


MeterReading = PowerReading | EnergyReading | DeadReading
# What a meter read: a tuple, so that one call can give the readings of several rails.
UnparsedReadings: TypeAlias = Unparsed[tuple[MeterReading, ...]]


class PowerMeter(Protocol):
    """A source that was found on this machine. It is open inside its `with` block only."""

    @property
    def source(self) -> PowerSource:
        """Return which source this is."""

    @property
    def scope(self) -> PowerScope:
        """Return what its total covers."""

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return its rails; at least one of them is a total."""

    def __enter__(self) -> PowerMeter:
        """Open it. Raises MeasureError where it is gone."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; it can be opened again."""

    def take(self) -> UnparsedReadings:
        """Read what is new since the last call, in order of time. Never raises while open."""

    def read(self) -> tuple[MeterReading, ...]:
        """Return the same at once."""


@dataclass(frozen=True, kw_only=True)
class AbsentSource:
    """A source that is not there, and why."""

    source: PowerSource
    reason: str


def as_taken(readings: tuple[MeterReading, ...]) -> UnparsedReadings:
    """Return readings that were never text as those that are parsed later."""
    return lambda: readings


def total_rails(rails: Iterable[Rail]) -> tuple[Rail, ...]:
    """Return the rails whose sum is the total of their source."""
    return tuple(rail for rail in rails if rail.role is RailRole.TOTAL)


def check_power(rail: Rail, t_mono_ns: int, power_w: float) -> MeterReading:
    """Return a power reading, or a dead one where that power is impossible.

    No rail gives energy back, and a total that is 0 while the machine runs was not measured.
    """
    if power_w < 0 or (power_w == 0 and rail.role is RailRole.TOTAL):
        reason = f"an impossible reading ({power_w:.3f} W)"
        return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=reason)
    return PowerReading(t_mono_ns=t_mono_ns, rail=rail.name, power_w=power_w)


def describe_failure(error: OSError | ValueError) -> str:
    """Return why a reading failed, for a dead reading or an absent source."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error)

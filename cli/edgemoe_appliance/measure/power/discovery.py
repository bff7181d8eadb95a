"""Which power sources this machine has, and what each of them is for.

The first one found, in the target's order, is primary. Another that covers the same is its
cross-check; one that covers something else stands beside it and is never compared with it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgemoe_appliance.measure.power.ina3221 import find_ina3221
from edgemoe_appliance.measure.power.interface import AbsentSource, PowerMeter
from edgemoe_appliance.measure.power.nvml import NvmlLibrary, find_nvml, load_nvml
from edgemoe_appliance.measure.power.outside import find_outside
from edgemoe_appliance.measure.power.rapl import find_rapl
from edgemoe_appliance.measure.power.tegrastats import find_tegrastats
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import OutsideMeter, PowerSource

Find = Callable[[], PowerMeter | AbsentSource]

_NO_SOURCE_NAMED = "the target names no power source"
_MACOS = (
    "macOS shows no power counter that can be defended: powermetrics reports figures that are "
    "partly inferred"
)


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """The sources of a machine. `reason` says why there is no primary; None where there is."""

    primary: PowerMeter | None
    cross_check: PowerMeter | None
    beside: tuple[PowerMeter, ...]
    absent: Mapping[PowerSource, str]
    reason: str | None

    @property
    def meters(self) -> tuple[PowerMeter, ...]:
        """Return all meters that were found, the primary first."""
        named = (self.primary, self.cross_check)
        return (*(meter for meter in named if meter is not None), *self.beside)


def discover_power_sources(
    order: Sequence[PowerSource],
    roots: SystemRoots | None = None,
    *,
    meter: OutsideMeter | None = None,
    nvml: Callable[[], NvmlLibrary | None] = load_nvml,
    system: str | None = None,
) -> Discovery:
    """Look for the sources in order; `system` is the name of the operating system."""
    where = roots or SystemRoots()
    find: dict[PowerSource, Find] = {
        PowerSource.INA3221: lambda: find_ina3221(where),
        PowerSource.TEGRASTATS: lambda: find_tegrastats(where),
        PowerSource.RAPL: lambda: find_rapl(where),
        PowerSource.NVML: lambda: find_nvml(nvml),
        PowerSource.METER: lambda: find_outside(meter),
    }
    found = [find[source]() for source in order]
    return build_discovery(found, system or platform.system())


def build_discovery(found: Sequence[PowerMeter | AbsentSource], system: str) -> Discovery:
    """Give each source that was found its part."""
    meters = [one for one in found if not isinstance(one, AbsentSource)]
    absent = {one.source: one.reason for one in found if isinstance(one, AbsentSource)}
    primary = meters[0] if meters else None
    same = [meter for meter in meters[1:] if primary and meter.scope is primary.scope]
    cross_check = same[0] if same else None
    return Discovery(
        primary=primary,
        cross_check=cross_check,
        beside=tuple(meter for meter in meters if meter not in (primary, cross_check)),
        absent=absent,
        reason=None if primary else _why_none(absent, system),
    )


def _why_none(absent: Mapping[PowerSource, str], system: str) -> str:
    if absent:
        return "; ".join(f"{source.value}: {reason}" for source, reason in absent.items())
    return _MACOS if system == "Darwin" else _NO_SOURCE_NAMED

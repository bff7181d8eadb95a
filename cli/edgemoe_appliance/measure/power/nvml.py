"""Discrete NVIDIA boards through NVML: energy, power and temperature of every visible device.

The binding (nvidia-ml-py) is optional and imported only here. What a device does not support is
absent with its reason; it is never 0.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, cast

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    as_taken,
    check_power,
)
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit

# NVML states +/-5 % of the present draw for its oldest boards and nothing for later ones; Yang,
# Adamek and Armour (SC 2024, arXiv:2312.02741) find errors of that size against external meters,
# and that A100 and H100 look at their power during a quarter of the time only.
_GAIN_BOUND = 0.05
_ENERGY_STEP_J = 0.001
_ENERGY_REFRESH_S = 0.1
# From Ampere on the power reading is a mean over one second (NVML reference): it lags half a
# second behind. What older boards show is not published; Yang et al. find from none to a second.
_POWER_STEP_W = 0.001
_POWER_REFRESH_S = 1.0
_POWER_LAG_S = 0.5
_TEMPERATURE_GPU = 0  # NVML_TEMPERATURE_GPU


class NvmlLibrary(Protocol):
    """The part of the module `pynvml` that is used; energies in mJ, powers in mW."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802, D102
    def nvmlShutdown(self) -> None: ...  # noqa: N802, D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802, D102
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int: ...  # noqa: N802, D102
    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int: ...  # noqa: N802, D102


def load_nvml() -> NvmlLibrary | None:
    """Return the binding, or None where it is not installed."""
    try:
        return cast(NvmlLibrary, importlib.import_module("pynvml"))
    except ImportError:
        return None


class NvmlMeter:
    """One rail for each device: its energy counter, or its power where it has no counter."""

    source = PowerSource.NVML
    scope = PowerScope.GPU

    def __init__(self, library: NvmlLibrary, units: tuple[Unit, ...]) -> None:
        """Keep what each device can tell, in order of the devices; nothing is opened yet."""
        self._library = library
        self._rails = tuple(_build_rail(index, unit) for index, unit in enumerate(units))
        self._open: list[tuple[Rail, Any]] = []

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rails `gpu-0`, `gpu-1`, ..."""
        return self._rails

    def __enter__(self) -> NvmlMeter:
        """Open NVML and the devices."""
        try:
            self._library.nvmlInit()
            for index, rail in enumerate(self._rails):
                self._open.append((rail, self._library.nvmlDeviceGetHandleByIndex(index)))
        except self._library.NVMLError as error:
            self._close()
            raise MeasureError(
                f"NVML: {error}", hint="the driver was there a moment ago"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close NVML."""
        self._close()

    def take(self) -> UnparsedReadings:
        """Read what is new since the last call."""
        return as_taken(self.read())

    def read(self) -> tuple[MeterReading, ...]:
        """Return one reading of each device."""
        return tuple(self._read_device(rail, handle) for rail, handle in self._open)

    def read_temps_c(self) -> dict[str, float]:
        """Return the temperature of each device that tells one, by rail."""
        temps_c: dict[str, float] = {}
        for rail, handle in self._open:
            with contextlib.suppress(self._library.NVMLError):
                temps_c[rail.name] = float(
                    self._library.nvmlDeviceGetTemperature(handle, _TEMPERATURE_GPU)
                )
        return temps_c

    def _read_device(self, rail: Rail, handle: Any) -> MeterReading:
        t_mono_ns = time.monotonic_ns()
        try:
            if rail.unit is Unit.JOULES:
                energy_j = self._library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
                return EnergyReading(t_mono_ns=t_mono_ns, rail=rail.name, energy_j=energy_j)
            power_w = self._library.nvmlDeviceGetPowerUsage(handle) / 1e3
            return check_power(rail, t_mono_ns, power_w)
        except self._library.NVMLError as error:
            return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=f"NVML: {error}")

    def _close(self) -> None:
        self._open = []
        with contextlib.suppress(self._library.NVMLError):
            self._library.nvmlShutdown()


def find_nvml(load: Callable[[], NvmlLibrary | None] = load_nvml) -> NvmlMeter | AbsentSource:
    """Look for devices; every one of them must tell its energy or its power."""
    library = load()
    if library is None:
        return _absent("the Python package nvidia-ml-py is not installed")
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        return _absent(f"NVML does not start: {error}")
    try:
        units = tuple(
            _unit_of(library, library.nvmlDeviceGetHandleByIndex(index))
            for index in range(library.nvmlDeviceGetCount())
        )
    except library.NVMLError as error:
        return _absent(f"NVML tells neither energy nor power: {error}")
    finally:
        library.nvmlShutdown()
    return NvmlMeter(library, units) if units else _absent("NVML sees no device")


def _unit_of(library: NvmlLibrary, handle: Any) -> Unit:
    """Return what a device can tell. Raises NVMLError where it is neither."""
    try:
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError:
        library.nvmlDeviceGetPowerUsage(handle)
        return Unit.WATTS
    return Unit.JOULES


def _build_rail(index: int, unit: Unit) -> Rail:
    counts = unit is Unit.JOULES
    return Rail(
        name=f"gpu-{index}",
        source=PowerSource.NVML,
        sensor=f"nvml gpu-{index}",
        unit=unit,
        role=RailRole.TOTAL,
        step=_ENERGY_STEP_J if counts else _POWER_STEP_W,
        offset_bound_w=None,
        gain_bound=_GAIN_BOUND,
        refresh_s=_ENERGY_REFRESH_S if counts else _POWER_REFRESH_S,
        lag_s=0.0 if counts else _POWER_LAG_S,
        lag_bound_s=0.0 if counts else _POWER_LAG_S,
    )


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.NVML, reason=reason)

"""NVML through a library of the same shape: counters, fallbacks, and what is not supported."""

from __future__ import annotations

import pytest

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    PowerReading,
)
from edgemoe_appliance.measure.power.nvml import NvmlMeter, find_nvml, load_nvml
from edgemoe_appliance.schema.metrics import Unit


class NvmlTestError(Exception):
    """What this library raises."""


class NvmlForTests:
    """A library with as many devices as lists of figures; None is not supported."""

    NVMLError: type[Exception] = NvmlTestError

    def __init__(
        self, energies_mj: list[int | None], powers_mw: list[int | None], starts: bool = True
    ) -> None:
        self.energies_mj = energies_mj
        self.powers_mw = powers_mw
        self.starts = starts
        self.opened = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.starts:
            raise NvmlTestError("Driver Not Loaded")
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.energies_mj)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        return self._supported(self.energies_mj[handle])

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return self._supported(self.powers_mw[handle])

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        assert sensor == 0
        return self._supported(41 + handle if handle == 0 else None)

    def _supported(self, value: int | None) -> int:
        if value is None:
            raise NvmlTestError("Not Supported")
        return value


def found(library: NvmlForTests) -> NvmlMeter:
    meter = find_nvml(lambda: library)
    assert isinstance(meter, NvmlMeter)
    assert library.opened == 0
    return meter


def reason(library: NvmlForTests | None) -> str:
    absent = find_nvml(lambda: library)
    assert isinstance(absent, AbsentSource)
    return absent.reason


def test_energy_counter_in_joules() -> None:
    library = NvmlForTests([1_234_567], [70_000])
    with found(library) as meter:
        reading = meter.read()[0]
        assert library.opened == 1
    assert isinstance(reading, EnergyReading)
    assert (reading.rail, reading.energy_j) == ("gpu-0", 1234.567)
    assert library.opened == 0


def test_power_where_there_is_no_counter() -> None:
    meter = found(NvmlForTests([None, 5], [65_500, 70_000]))
    assert [rail.unit for rail in meter.rails] == [Unit.WATTS, Unit.JOULES]
    with meter:
        first = meter.read()[0]
    assert isinstance(first, PowerReading)
    assert first.power_w == 65.5


def test_a_device_that_tells_nothing_makes_the_source_absent() -> None:
    library = NvmlForTests([5, None], [1, None])
    assert reason(library) == "NVML tells neither energy nor power: Not Supported"
    assert library.opened == 0


def test_other_reasons_for_absence() -> None:
    assert reason(None) == "the Python package nvidia-ml-py is not installed"
    assert reason(NvmlForTests([], [])) == "NVML sees no device"
    assert reason(NvmlForTests([1], [1], starts=False)) == (
        "NVML does not start: Driver Not Loaded"
    )


def test_failure_in_mid_run_is_a_dead_reading() -> None:
    library = NvmlForTests([5], [1])
    with found(library) as meter:
        library.energies_mj[0] = None
        reading = meter.read()[0]
    assert isinstance(reading, DeadReading)
    assert reading.reason == "NVML: Not Supported"


def test_power_of_zero_is_a_dead_reading() -> None:
    with found(NvmlForTests([None], [0])) as meter:
        assert isinstance(meter.read()[0], DeadReading)


def test_temperatures_of_the_devices_that_tell() -> None:
    with found(NvmlForTests([5, 6], [1, 1])) as meter:
        assert meter.read_temps_c() == {"gpu-0": 41.0}


def test_driver_that_has_gone_is_an_error() -> None:
    library = NvmlForTests([5], [1])
    meter = found(library)
    library.starts = False
    with pytest.raises(MeasureError, match="Driver Not Loaded"):
        meter.__enter__()


def test_the_real_binding_has_what_is_used() -> None:
    library = load_nvml()
    if library is None:
        pytest.skip("nvidia-ml-py is not installed")
    used = [name for name in vars(NvmlForTests) if name.startswith(("nvml", "NVML"))]
    assert len(used) == 8
    assert [name for name in used if not hasattr(library, name)] == []

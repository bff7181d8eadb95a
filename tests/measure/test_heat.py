"""Temperatures and throttling on replayed machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.measure.heat import (
    DieTemperature,
    HeatSensors,
    ThrottleReading,
    check_throttling,
    find_heat,
    hottest_on_die,
)
from edgemoe_appliance.measure.sysfs import SystemRoots

THERMAL = "sys/class/thermal"
HWMON = "sys/class/hwmon"


def write(root: Path, path: str, content: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content + "\n")
    return file


def write_jetson(root: Path) -> None:
    zones = {"cpu-thermal": 50_500, "gpu-thermal": 49_250, "cv0-thermal": -256_000}
    for index, (name, milli_c) in enumerate({**zones, "tj-thermal": 51_781}.items()):
        write(root, f"{THERMAL}/thermal_zone{index}/type", name)
        write(root, f"{THERMAL}/thermal_zone{index}/temp", str(milli_c))
    write(root, f"{HWMON}/hwmon0/name", "cpu_thermal")
    write(root, f"{HWMON}/hwmon0/temp1_input", "50500")
    write(root, f"{HWMON}/hwmon1/name", "soctherm_oc")
    for number in (1, 2, 3):
        write(root, f"{HWMON}/hwmon1/oc{number}_event_cnt", str(number - 1))
    devices = [("cpu-throttle-alert", 0), ("pwm-fan", 2), ("devfreq-gpu", 18)]
    for index, (name, state) in enumerate(devices):
        write(root, f"{THERMAL}/cooling_device{index}/type", name)
        write(root, f"{THERMAL}/cooling_device{index}/cur_state", str(state))


def write_laptop(root: Path) -> None:
    for index, (name, milli_c) in enumerate([("acpitz", 27_800), ("acpitz", 29_800)]):
        write(root, f"{THERMAL}/thermal_zone{index}/type", name)
        write(root, f"{THERMAL}/thermal_zone{index}/temp", str(milli_c))
    write(root, f"{HWMON}/hwmon2/name", "coretemp")
    write(root, f"{HWMON}/hwmon2/temp1_label", "Package id 0")
    write(root, f"{HWMON}/hwmon2/temp1_input", "61000")
    write(root, f"{HWMON}/hwmon3/name", "nvme")
    write(root, f"{HWMON}/hwmon3/temp1_input", "72850")
    for cpu in range(4):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        write(root, f"{folder}/topology/physical_package_id", str(cpu // 2))
        write(root, f"{folder}/thermal_throttle/core_throttle_count", str(cpu))
        write(root, f"{folder}/thermal_throttle/package_throttle_count", str(10 + cpu // 2))


def opened(root: Path) -> HeatSensors:
    return find_heat(SystemRoots(root=root))


def test_a_jetson(tmp_path: Path) -> None:
    write_jetson(tmp_path)
    with opened(tmp_path) as sensors:
        heat, throttle = sensors.read(), sensors.read_throttle()
    assert heat.temps_c == {"cpu-thermal": 50.5, "gpu-thermal": 49.25, "tj-thermal": 51.781}
    assert heat.failed == {"cv0-thermal": "switched off"}
    assert throttle.states == {"cpu-throttle-alert": 0, "devfreq-gpu": 18}
    assert throttle.counts == {
        "oc1 over-current events": 0,
        "oc2 over-current events": 1,
        "oc3 over-current events": 2,
    }
    assert hottest_on_die(heat.temps_c) == DieTemperature(sensor="tj-thermal", temp_c=51.781)


def test_a_laptop(tmp_path: Path) -> None:
    write_laptop(tmp_path)
    with opened(tmp_path) as sensors:
        heat, throttle = sensors.read(), sensors.read_throttle()
    assert heat.temps_c == {
        "acpitz": 27.8,
        "acpitz 2": 29.8,
        "coretemp/Package id 0": 61.0,
        "nvme/temp1": 72.85,
    }
    assert throttle.counts == {
        "cpu0 core throttled": 0,
        "cpu1 core throttled": 1,
        "cpu2 core throttled": 2,
        "cpu3 core throttled": 3,
        "package 0 throttled": 10,
        "package 1 throttled": 11,
    }
    # Neither the board nor the disk is the die.
    assert hottest_on_die(heat.temps_c) == DieTemperature(
        sensor="coretemp/Package id 0", temp_c=61.0
    )


def test_readings_follow_the_files(tmp_path: Path) -> None:
    write_jetson(tmp_path)
    with opened(tmp_path) as sensors:
        before = sensors.read()
        write(tmp_path, f"{THERMAL}/thermal_zone3/temp", "55500")
        after = sensors.read()
    assert (before.temps_c["tj-thermal"], after.temps_c["tj-thermal"]) == (51.781, 55.5)
    assert after.t_mono_ns > before.t_mono_ns


def test_a_sensor_that_refuses_is_named_and_not_asked_again(tmp_path: Path) -> None:
    write_jetson(tmp_path)
    write(tmp_path, f"{THERMAL}/thermal_zone1/temp", "")
    (tmp_path / f"{THERMAL}/thermal_zone0/temp").unlink()
    with opened(tmp_path) as sensors:
        heat = sensors.read()
        assert set(sensors.unreadable) == {"gpu-thermal", "cpu-thermal"}
        assert "No such file" in sensors.unreadable["cpu-thermal"]
    assert set(heat.temps_c) == {"tj-thermal"}


def test_a_sensor_that_fails_later_is_told_with_the_reading(tmp_path: Path) -> None:
    write_jetson(tmp_path)
    with opened(tmp_path) as sensors:
        write(tmp_path, f"{THERMAL}/thermal_zone0/temp", "no")
        heat = sensors.read()
    assert "cpu-thermal" not in heat.temps_c
    assert heat.failed["cpu-thermal"] == "not a number: b'no'"


def test_graphics_boards_are_read_with_the_rest(tmp_path: Path) -> None:
    write_laptop(tmp_path)
    with find_heat(SystemRoots(root=tmp_path), lambda: {"gpu-0": 77.0}) as sensors:
        heat = sensors.read()
    assert hottest_on_die(heat.temps_c) == DieTemperature(sensor="gpu-0", temp_c=77.0)


def test_a_machine_without_sensors_has_no_temperature(tmp_path: Path) -> None:
    with opened(tmp_path) as sensors:
        assert sensors.read().temps_c == {}
        assert sensors.read_throttle().states == {}
    assert hottest_on_die({}) is None
    assert hottest_on_die({"acpitz": 30.0, "nvme/temp1": 50.0}) is None


def throttle(states: dict[str, int], counts: dict[str, int]) -> ThrottleReading:
    return ThrottleReading(t_mono_ns=0, states=states, counts=counts)


def test_throttling_is_what_rose_since_the_first_reading() -> None:
    readings = [
        throttle({"cpu-throttle-alert": 0, "devfreq-gpu": 18}, {"oc3 over-current events": 5}),
        throttle({"cpu-throttle-alert": 1, "devfreq-gpu": 18}, {"oc3 over-current events": 7}),
        throttle({"cpu-throttle-alert": 0, "devfreq-gpu": 12}, {"oc3 over-current events": 7}),
    ]
    (caveat,) = check_throttling(readings)
    assert caveat.code == "throttled"
    assert caveat.numbers == {"cpu-throttle-alert": 1.0, "oc3 over-current events": 2.0}


@pytest.mark.parametrize("readings", [[], [throttle({"a": 3}, {"b": 4})] * 3])
def test_no_rise_is_no_caveat(readings: list[ThrottleReading]) -> None:
    assert check_throttling(readings) == ()


# A laptop (thermald, issue 49) and a machine whose ACPI fan bears the name of its device.
@pytest.mark.parametrize(
    ("kind", "before", "after", "rise"),
    [
        ("LCD", 45, 90, None),
        ("TFN1", 0, 60, None),
        ("pwm-fan", 0, 4, None),
        ("BAT0", 0, 1, None),
        ("iwlwifi_1", 0, 3, None),
        ("hot-surface-alert", 0, 1, None),
        ("Processor", 0, 3, 3.0),
        ("intel_powerclamp", -1, 25, 25.0),
        ("cpufreq-cpu0", 0, 2, 2.0),
        ("thermal-cpufreq-4", 1, 2, 1.0),
        ("thermal-devfreq-0", 0, 5, 5.0),
        ("devfreq-17000000.gpu", 0, 5, 5.0),
        ("gpu-throttle-alert", 0, 1, 1.0),
        ("soc0-throttle-alert", 0, 1, 1.0),
        ("cpu-balanced", 0, 1, 1.0),
    ],
)
def test_only_what_slows_the_machine_throttles_it(
    tmp_path: Path, kind: str, before: int, after: int, rise: float | None
) -> None:
    state = f"{THERMAL}/cooling_device0/cur_state"
    write(tmp_path, f"{THERMAL}/cooling_device0/type", kind)
    write(tmp_path, state, str(before))
    with opened(tmp_path) as sensors:
        first = sensors.read_throttle()
        write(tmp_path, state, str(after))
        caveats = check_throttling([first, sensors.read_throttle()])
    assert [caveat.numbers for caveat in caveats] == ([] if rise is None else [{kind: rise}])


def test_powerclamp_that_does_nothing_is_level_zero(tmp_path: Path) -> None:
    write(tmp_path, f"{THERMAL}/cooling_device0/type", "intel_powerclamp")
    write(tmp_path, f"{THERMAL}/cooling_device0/cur_state", "-1")
    with opened(tmp_path) as sensors:
        assert sensors.read_throttle().states == {"intel_powerclamp": 0}


def test_masked_counters_are_unread_and_not_zero(tmp_path: Path) -> None:
    """As a container sees them under Docker from 28.0.2 on: the folders are there and empty."""
    for cpu in (0, 1):
        (tmp_path / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle").mkdir(parents=True)
    write(tmp_path, f"{THERMAL}/cooling_device0/type", "Processor")
    write(tmp_path, f"{THERMAL}/cooling_device0/cur_state", "0")
    with opened(tmp_path) as sensors:
        reading = sensors.read_throttle()
    assert reading.states == {"Processor": 0}
    assert set(reading.unread) == {
        "cpu0 core throttled",
        "cpu1 core throttled",
        "package 0 throttled",
    }

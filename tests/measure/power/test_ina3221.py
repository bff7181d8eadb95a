"""The INA3221 on a replayed sysfs tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.ina3221 import Ina3221Meter, find_ina3221, parse_averaging
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    PowerReading,
    RailRole,
)
from edgemoe_appliance.measure.procfs import ProcFile
from edgemoe_appliance.measure.sysfs import SystemRoots

CHIP = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
ORIN_NANO = {
    "in1_label": "VDD_IN",
    "in1_input": "5000",
    "curr1_input": "1280",
    "shunt1_resistor": "5000",
    "in2_label": "VDD_CPU_GPU_CV",
    "in2_input": "4984",
    "curr2_input": "240",
    "shunt2_resistor": "5000",
    "in3_label": "VDD_SOC",
    "in3_input": "4984",
    "curr3_input": "336",
    "shunt3_resistor": "5000",
    "in7_label": "sum of shunt voltages",
    "in7_input": "9000",
}


def write_chip(root: Path, files: dict[str, str], chip: str = CHIP) -> Path:
    folder = root / chip
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content + "\n")
    return folder


def found(root: Path) -> Ina3221Meter:
    meter = find_ina3221(SystemRoots(root=root))
    assert isinstance(meter, Ina3221Meter)
    return meter


def reason(root: Path) -> str:
    absent = find_ina3221(SystemRoots(root=root))
    assert isinstance(absent, AbsentSource)
    return absent.reason


def test_channels_are_found_by_label_and_the_sum_is_left_out(tmp_path: Path) -> None:
    write_chip(tmp_path, ORIN_NANO)
    rails = {rail.name: rail for rail in found(tmp_path).rails}
    assert {name: rail.role for name, rail in rails.items()} == {
        "VDD_IN": RailRole.TOTAL,
        "VDD_CPU_GPU_CV": RailRole.PART,
        "VDD_SOC": RailRole.PART,
    }
    assert rails["VDD_IN"].step == pytest.approx(0.040)
    assert rails["VDD_IN"].offset_bound_w == pytest.approx(0.080)


def test_power_is_voltage_times_current(tmp_path: Path) -> None:
    folder = write_chip(tmp_path, ORIN_NANO)
    with found(tmp_path) as meter:
        first = meter.read()
        (folder / "curr1_input").write_text("2000\n")
        second = meter.read()
    assert [r.power_w for r in first if isinstance(r, PowerReading)] == pytest.approx(
        [6.4, 1.19616, 1.674624]
    )
    assert isinstance(second[0], PowerReading)
    assert second[0].power_w == pytest.approx(10.0)
    assert second[0].t_mono_ns > first[0].t_mono_ns


def test_power_file_is_preferred_where_there_is_one(tmp_path: Path) -> None:
    write_chip(tmp_path, {**ORIN_NANO, "power1_input": "6512000"})
    with found(tmp_path) as meter:
        reading = meter.read()[0]
    assert isinstance(reading, PowerReading)
    assert reading.power_w == pytest.approx(6.512)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("-16", "an impossible reading (-0.080 W)"),
        ("0", "an impossible reading (0.000 W)"),
        ("garbage", "not a number: b'garbage'"),
        ("", "not a number: b''"),
    ],
)
def test_impossible_total_is_a_dead_reading(tmp_path: Path, content: str, expected: str) -> None:
    folder = write_chip(tmp_path, ORIN_NANO)
    with found(tmp_path) as meter:
        (folder / "curr1_input").write_text(content)
        reading = meter.read()[0]
    assert isinstance(reading, DeadReading)
    assert (reading.rail, reading.reason) == ("VDD_IN", expected)


def test_a_part_may_draw_nothing(tmp_path: Path) -> None:
    write_chip(tmp_path, {**ORIN_NANO, "curr2_input": "0"})
    with found(tmp_path) as meter:
        reading = meter.read()[1]
    assert isinstance(reading, PowerReading)
    assert reading.power_w == 0


def test_an_error_of_the_bus_is_a_dead_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chip(tmp_path, ORIN_NANO)

    def fail(_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with found(tmp_path) as meter:
        monkeypatch.setattr(ProcFile, "read", fail)
        readings = meter.read()
    assert [r.reason for r in readings if isinstance(r, DeadReading)] == ["Input/output error"] * 3


def test_reasons_for_absence(tmp_path: Path) -> None:
    assert reason(tmp_path) == "no INA3221 is bound to its hwmon driver"
    write_chip(tmp_path, {"in1_label": "VDD_GPU_SOC", "in1_input": "5000", "curr1_input": "1"})
    assert "no channel is the input of the module" in reason(tmp_path)
    assert "VDD_GPU_SOC" in reason(tmp_path)


def test_total_that_cannot_be_read_is_absent(tmp_path: Path) -> None:
    write_chip(tmp_path, {**ORIN_NANO, "curr1_input": "-8"})
    assert reason(tmp_path) == "VDD_IN: an impossible reading (-0.040 W)"


def test_channels_not_connected_are_left_out(tmp_path: Path) -> None:
    write_chip(tmp_path, {**ORIN_NANO, "in3_label": "NC"})
    assert [rail.name for rail in found(tmp_path).rails] == ["VDD_IN", "VDD_CPU_GPU_CV"]


def test_meter_that_has_gone_says_so_and_leaves_nothing_open(tmp_path: Path) -> None:
    folder = write_chip(tmp_path, ORIN_NANO)
    meter = found(tmp_path)
    (folder / "curr3_input").unlink()
    with pytest.raises(MeasureError, match="No such file"):
        meter.__enter__()
    assert meter.read() == ()


def test_meter_can_be_opened_again(tmp_path: Path) -> None:
    write_chip(tmp_path, ORIN_NANO)
    meter = found(tmp_path)
    for _ in range(2):
        with meter:
            assert len(meter.read()) == 3
    assert meter.read() == ()


@pytest.mark.parametrize(
    ("samples", "interval_ms", "lag_s", "bound_s"),
    [
        (1, 7, 0.0, 0.0),
        (64, 422, 0.422, 0.043),  # an Orin Nano before Linux 6.7: the interval is of all samples
        (64, 7, 0.448, 0.077),  # since then: of one round
        (512, 7, 3.584, 0.614),
        (1024, 49, 50.2, 5.5),  # longest conversions: rounding cannot pass what they take
        (4, 26, 0.0658, 0.0468),  # both can be meant
    ],
)
def test_lag_follows_from_samples_and_interval(
    samples: int, interval_ms: int, lag_s: float, bound_s: float
) -> None:
    averaging = parse_averaging(samples, interval_ms / 1e3, channels=3)
    assert averaging is not None
    assert averaging.lag_s == pytest.approx(lag_s, rel=0.02)
    assert averaging.lag_bound_s == pytest.approx(bound_s, rel=0.05)


@pytest.mark.parametrize(
    ("samples", "interval_ms", "channels"), [(0, 7, 3), (64, 7, 0), (1, 400, 3), (64, -1, 3)]
)
def test_settings_that_no_chip_can_have_tell_nothing(
    samples: int, interval_ms: int, channels: int
) -> None:
    assert parse_averaging(samples, interval_ms / 1e3, channels) is None


def test_the_driver_tells_the_lag_and_its_silence_is_a_wide_bound(tmp_path: Path) -> None:
    folder = write_chip(tmp_path, {**ORIN_NANO, "samples": "64", "update_interval": "422"})
    rail = found(tmp_path).rails[0]
    assert (rail.lag_s, rail.lag_bound_s) == pytest.approx((0.422, 0.0427), rel=0.01)
    (folder / "samples").unlink()
    rail = found(tmp_path).rails[0]
    assert rail.lag_bound_s == rail.lag_s == 0.4


def test_a_channel_that_is_switched_off_takes_no_time(tmp_path: Path) -> None:
    off = {"in2_enable": "0", "in3_enable": "0", "samples": "4", "update_interval": "9"}
    write_chip(tmp_path, {**ORIN_NANO, **off})
    # 9 ms of one channel are four rounds of 2.2 ms, or one of 8.8 ms: both can be.
    rail = found(tmp_path).rails[0]
    assert rail.lag_s - rail.lag_bound_s < 0.009
    assert rail.lag_s + rail.lag_bound_s > 0.035

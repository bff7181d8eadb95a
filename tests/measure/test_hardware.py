from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.measure.hardware import parse_power_modes, read_hardware
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.hardware import (
    Clock,
    CoolingState,
    Fan,
    HardwareFacts,
    PowerMode,
    SwapArea,
)
from tests.measure.boards import JETSON, LAPTOP, lay_out

# What is asked for and can be missing, as it is named where it is.
ALL = {
    "cooling devices",
    "device",
    "device clocks",
    "fans",
    "firmware",
    "jetpack",
    "memory clock",
    "power mode",
    "processor clocks",
    "release",
    "swap",
    "system",
    "temperatures",
}


@pytest.fixture(autouse=True)
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")


def facts(root: Path, temps_c: dict[str, float] | None = None) -> HardwareFacts:
    return read_hardware(SystemRoots(root=root), temps_c or {})


def test_a_jetson_tells_all(tmp_path: Path) -> None:
    found = facts(lay_out(tmp_path, JETSON), {"tj": 48.5})
    assert found.absent == {}
    assert found.device == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert found.firmware == "EDK II 36.4.3-gcid-38968081 01/08/2025"
    assert (found.release, found.jetpack) == ("R36.4.3", "6.2")
    assert found.system == "Ubuntu 22.04.5 LTS"
    assert found.power_mode == PowerMode(id=0, name="15W")
    assert found.clocks == (
        Clock(
            kind="processor",
            name="0 1 2 3",
            governor="schedutil",
            minimum_hz=1_497_600_000,
            maximum_hz=1_497_600_000,
            current_hz=1_497_600_000,
        ),
        Clock(
            kind="device",
            name="17000000.gpu",
            governor="nvhost_podgov",
            minimum_hz=306_000_000,
            maximum_hz=612_000_000,
            current_hz=306_000_000,
        ),
        Clock(
            kind="memory",
            name="EMC",
            minimum_hz=204_000_000,
            maximum_hz=2_133_000_000,
            current_hz=2_133_000_000,
        ),
    )
    assert [clock.is_held for clock in found.clocks] == [True, False, False]
    assert found.swap == (
        SwapArea(
            name="/dev/zram0",
            size_bytes=649240 * 1024,
            used_bytes=1024 * 1024,
            priority=5,
            compression="lzo-rle",
        ),
        SwapArea(name="/mnt/swapfile", size_bytes=4194300 * 1024, used_bytes=0, priority=-2),
    )
    assert found.fans == (Fan(name="pwmfan 1", pwm=255), Fan(name="pwm_tach 1", rpm=5620))
    assert found.cooling == (
        CoolingState(kind="cpufreq-cpu0", count=1, state=0, maximum=28),
        CoolingState(kind="pwm-fan", count=1, state=3, maximum=3),
    )
    assert found.temps_c == {"tj": 48.5}
    assert "never to be recorded" not in found.model_dump_json()


_EMC = "sys/kernel/debug/bpmp/debug/clk/emc"
_CAP = "sys/kernel/nvpmodel_clk_cap/emc"


def test_processors_that_are_off_have_no_clock(tmp_path: Path) -> None:
    off = "sys/devices/system/cpu/cpufreq/policy1/affected_cpus"
    on = "sys/devices/system/cpu/cpufreq/policy0/affected_cpus"
    found = facts(lay_out(tmp_path, {**LAPTOP, on: "0\n", off: "\n"}))
    assert [clock.name for clock in found.clocks] == ["0"]


@pytest.mark.parametrize(
    ("files", "clock", "is_held"),
    [
        # Free to move below the cap of 15 W on a Super configuration, whose memory could do more.
        (
            {f"{_EMC}/max_rate": "3199000000\n", f"{_EMC}/rate": "665600000\n", _CAP: "2133000000"},
            (204_000_000, 2_133_000_000, 665_600_000),
            False,
        ),
        # A cap of 0 is none.
        (
            {f"{_EMC}/max_rate": "3199000000\n", _CAP: "0\n"},
            (204_000_000, 3_199_000_000, 2_133_000_000),
            False,
        ),
        # jetson_clocks locks the rate and leaves the range.
        (
            {f"{_EMC}/max_rate": "3199000000\n", f"{_EMC}/mrq_rate_locked": "1\n"},
            (2_133_000_000, 2_133_000_000, 2_133_000_000),
            True,
        ),
        # Without root the cap is all that is told.
        (
            {f"{_EMC}/{name}": None for name in ("rate", "min_rate", "max_rate")}
            | {_CAP: "3199000000\n"},
            (None, 3_199_000_000, None),
            False,
        ),
    ],
)
def test_the_memory_clock_ends_at_the_cap_and_is_held_by_a_lock(
    tmp_path: Path,
    files: dict[str, str | None],
    clock: tuple[int | None, int, int | None],
    is_held: bool,
) -> None:
    told = {name: text for name, text in (JETSON | files).items() if text is not None}
    found = facts(lay_out(tmp_path, told)).clocks[-1]
    assert (found.minimum_hz, found.maximum_hz, found.current_hz) == clock
    assert found.is_held is is_held


def test_another_machine_tells_what_it_has_and_why_not_the_rest(tmp_path: Path) -> None:
    found = facts(lay_out(tmp_path, LAPTOP), {"coretemp": 40.0})
    assert found.device == "Framework Laptop 13 A6"
    assert found.firmware == "03.05"
    assert found.swap == ()
    assert found.fans == (Fan(name="cros_ec 1", rpm=0),)
    assert found.cooling == (CoolingState(kind="Processor", count=2, state=0, maximum=10),)
    assert [clock.name for clock in found.clocks] == ["0", "1"]
    assert found.clocks[0].current_hz is None
    assert set(found.absent) == {
        *("device clocks", "jetpack", "memory clock", "power mode", "release"),
    }
    assert found.absent["power mode"] == "/var/lib/nvpmodel/status: No such file or directory"


def test_a_machine_that_tells_nothing_gives_a_reason_for_everything(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert set(found.absent) == ALL
    assert all(found.absent.values())
    assert (found.device, found.power_mode, found.clocks, found.temps_c) == (None, None, (), {})


@pytest.mark.parametrize("content", ["", "\0\0", "x" * 100_000, "-1", "\n\n", "\udce4".join("ab")])
def test_files_of_nonsense_are_survived(tmp_path: Path, content: str) -> None:
    for files in (JETSON, LAPTOP):
        root = lay_out(tmp_path, dict.fromkeys(files, ""))
        for name in files:
            (root / name).write_text(content, errors="surrogateescape")
    found = facts(tmp_path)
    assert HardwareFacts.model_validate_json(found.model_dump_json()) == found
    assert len(found.model_dump_json()) < 10_000
    assert found.power_mode is None and "power mode" in found.absent


def test_release_of_no_known_jetpack_says_so(tmp_path: Path) -> None:
    line = "# R40 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64\n"
    found = facts(lay_out(tmp_path, {"etc/nv_tegra_release": line}))
    assert (found.release, found.jetpack) == ("R40.2.0", None)
    assert "R40.2.0 is newer than the releases known here" in found.absent["jetpack"]


def test_mode_without_a_name_keeps_its_id(tmp_path: Path) -> None:
    found = facts(lay_out(tmp_path, {"var/lib/nvpmodel/status": "pmode:0007 fmode:cool\n"}))
    assert found.power_mode == PowerMode(id=7, name=None)
    assert "nvpmodel.conf" in found.absent["name of the power mode"]
    lay_out(tmp_path, {"etc/nvpmodel.conf": JETSON["etc/nvpmodel.conf"]})
    assert "has no mode 7" in facts(tmp_path).absent["name of the power mode"]


def test_modes_by_id() -> None:
    assert parse_power_modes(JETSON["etc/nvpmodel.conf"]) == {0: "15W", 1: "25W"}


def test_this_very_machine_is_read_and_every_gap_has_its_reason() -> None:
    found = read_hardware(SystemRoots(), {})
    assert found.kernel
    empty = {
        "device": not found.device,
        "system": not found.system,
        "fans": not found.fans,
        "cooling devices": not found.cooling,
        "processor clocks": not any(clock.kind == "processor" for clock in found.clocks),
    }
    assert {name for name, is_empty in empty.items() if is_empty} <= set(found.absent)

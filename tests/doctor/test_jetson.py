import os
from pathlib import Path

import pytest

from edgemoe_appliance.doctor.jetson import (
    check_free_blocks,
    check_jetson,
    parse_clocks,
    parse_power_mode,
)
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.l4t import parse_release

RELEASE = "# R36 (release), REVISION: {}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: x\n"
MODEL = b"NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
BUDDYINFO = """Node 0, zone      DMA  9  8  7  6  5  4  3  2  1  1  0
Node 0, zone   Normal  1000  900  800  700  600  500  400  300  200  100  {}
"""
SHOWN = """SOC family:tegra234  Machine:NVIDIA Jetson Orin Nano Developer Kit
Online CPUs: 0-1
cpu0:  Online=1 Governor=schedutil MinFreq=1497600 MaxFreq=1497600 IdleStates: WFI=0 c7=0
cpu1:  Online=1 Governor=schedutil MinFreq={cpu1} MaxFreq=1497600 IdleStates: WFI=0 c7=0
GPU MinFreq=612000000 MaxFreq=612000000 CurrentFreq=612000000
EMC MinFreq=204000000 MaxFreq={emc} CurrentFreq=2133000000 FreqOverride=1
FAN Dynamic Speed control=active hwmon0_pwm1=255
NV Power Mode: 15W
"""


def board(folder: Path, *, release: str, mode: str, shown: str | None) -> Path:
    """Lay out a root folder, and tools that print what the real ones print on such a board."""
    (folder / "etc").mkdir()
    (folder / "etc/nv_tegra_release").write_text(RELEASE.format(release))
    (folder / "proc/device-tree").mkdir(parents=True)
    (folder / "proc/device-tree/model").write_bytes(MODEL + b"\0")
    (folder / "proc/buddyinfo").write_text(BUDDYINFO.format(400))
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (("nvpmodel", f"NV Power Mode: {mode}\n0\n"), ("jetson_clocks", shown)):
        script = tools / name
        script.write_text("exit 1\n" if text is None else f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        script.chmod(0o755)
    return tools


def findings(folder: Path, monkeypatch: pytest.MonkeyPatch, tools: Path) -> dict[str, Finding]:
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return {finding.check: finding for finding in check_jetson(folder)}


def test_the_board_of_the_study_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SHOWN.format(cpu1=1497600, emc=2133000000)
    tools = board(tmp_path, release="4.3", mode="15W", shown=shown)
    found = findings(tmp_path, monkeypatch, tools)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["L4T release"].seen == "R36.4.3"


def test_a_mode_of_the_right_id_and_the_wrong_name_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = SHOWN.format(cpu1=1497600, emc=3199000000)
    tools = board(tmp_path, release="4.3", mode="25W", shown=shown)
    found = findings(tmp_path, monkeypatch, tools)
    assert found["power mode"].level is Level.WARN
    assert "15W" in found["power mode"].hint
    assert found["gpu clock cap"].level is Level.WARN
    assert found["emc clock cap"].level is Level.OK


def test_a_core_that_is_not_locked_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SHOWN.format(cpu1=729600, emc=2133000000)
    tools = board(tmp_path, release="4.7", mode="15W", shown=shown)
    found = findings(tmp_path, monkeypatch, tools)
    assert found["jetson_clocks"].level is Level.WARN
    assert "cpu" in found["jetson_clocks"].seen
    assert found["memory fragmentation"].level is Level.WARN


def test_a_core_that_is_off_is_not_an_unlocked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = SHOWN.format(cpu1=729600, emc=2133000000).replace("cpu1:  Online=1", "cpu1:  Online=0")
    tools = board(tmp_path, release="4.3", mode="15W", shown=shown)
    (tmp_path / "sys/devices/system/cpu").mkdir(parents=True)
    (tmp_path / "sys/devices/system/cpu/offline").write_text("1\n")
    found = findings(tmp_path, monkeypatch, tools)
    assert found["jetson_clocks"].level is Level.OK
    assert (found["processor cores"].level, found["processor cores"].seen) == (Level.WARN, "off: 1")


def test_without_root_the_clocks_are_unknown_and_not_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = board(tmp_path, release="4.3", mode="15W", shown=None)
    found = findings(tmp_path, monkeypatch, tools)
    assert found["jetson_clocks"].level is Level.UNKNOWN
    assert found["cpu clock cap"].level is Level.UNKNOWN


def test_another_machine_is_no_jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(tmp_path, monkeypatch, tmp_path)
    assert found["L4T release"].level is Level.FAIL
    assert found["power mode"].level is Level.UNKNOWN


def test_memory_in_pieces_is_told(tmp_path: Path) -> None:
    assert check_free_blocks(tmp_path).level is Level.UNKNOWN
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/buddyinfo").write_text(BUDDYINFO.format(3))
    finding = check_free_blocks(tmp_path)
    assert finding.level is Level.WARN
    assert finding.seen.startswith("3 ")


@pytest.mark.parametrize("text", ["", "R36", "\x00\xff", "# R36 (release), REVISION: x"])
def test_odd_texts_are_not_a_release(text: str) -> None:
    assert parse_release(text) is None
    assert parse_power_mode(text) is None
    assert parse_clocks(text).maximum == {}


CASES = Path(__file__).parents[2] / "../shared/cases/board"


@pytest.mark.parametrize("name", ["jetpack6", "jetpack72"])
def test_the_caps_of_either_configuration_are_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    case = CASES / f"04_jetson_clocks_15w_{name}.txt"
    if not case.exists():
        pytest.skip(f"{case} is not there")
    tools = board(tmp_path, release="4.3", mode="15W", shown=case.read_text())
    found = findings(tmp_path, monkeypatch, tools)
    assert found["gpu clock cap"].level is Level.OK
    assert found["gpu clock cap"].seen == "624750000, 15W has 612000000 or 624750000"
    assert found["cpu clock cap"].level is Level.OK
    assert found["jetson_clocks"].seen.startswith("not locked: ")


@pytest.mark.parametrize(
    ("release", "level"), [("4.3", Level.OK), ("4.7", Level.WARN), ("5.0", Level.OK)]
)
def test_only_releases_that_fragment_memory_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, level: Level
) -> None:
    found = findings(tmp_path, monkeypatch, board(tmp_path, release=release, mode="15W", shown=""))
    assert found["memory fragmentation"].level is level
    assert ("upgrade" in found["memory fragmentation"].hint) == (level is Level.WARN)


def test_another_board_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = board(tmp_path, release="4.3", mode="15W", shown="")
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson AGX Orin Developer Kit\0")
    found = findings(tmp_path, monkeypatch, tools)
    assert found["board"].level is Level.WARN
    assert found["board"].seen == "NVIDIA Jetson AGX Orin Developer Kit"

"""Every kind of tegrastats line, and lines that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.measure.power.tegraline import (
    CoreLoad,
    RailPower,
    parse_tegrastats_line,
)

JETPACK6_ROOT = (
    "05-15-2026 21:25:52 RAM 3709/7607MB (lfb 21x4MB) SWAP 138/3804MB (cached 0MB) "
    "CPU [34%@729,15%@729,36%@729,36%@729,17%@729,15%@729] EMC_FREQ 5%@2133 GR3D_FREQ 12%@[306] "
    "NVDEC off NVJPG off NVJPG1 off VIC off OFA off APE 200 cpu@66.656C soc2@65.406C "
    "soc0@66.437C gpu@65.875C tj@66.687C soc1@66.687C VDD_IN 6426mW/6426mW "
    "VDD_CPU_GPU_CV 1220mW/1220mW VDD_SOC 1695mW/1695mW"
)
JETPACK6_USER = (
    "08-23-2026 13:57:46 RAM 3595/7607MB (lfb 1x1MB) SWAP 11/3804MB (cached 0MB) "
    "CPU [100%@1728,1%@1728,3%@1728,0%@1728,1%@729,1%@729] GR3D_FREQ 0% cpu@51C soc2@50.562C "
    "soc0@51.031C gpu@50.625C tj@51.781C soc1@51.781C VDD_IN 5832mW/5852mW "
    "VDD_CPU_GPU_CV 1307mW/1327mW VDD_SOC 1468mW/1468mW"
)
JETPACK7 = (
    "09-19-2026 13:33:03 RAM 2845/7486MB (lfb 33x4MB) CPU [2%@1344,off,off,0%@1344] "
    "EMC_FREQ 3%@665 GR3D_FREQ 0%@[305] NVDEC0 off NVJPG0 off cpu@45.375C/45.812C "
    "tj@45.9C/46.1C VDD_IN 3462mW/3522mW/3582mW VDD_CPU_GPU_CV 442mW/483mW/523mW "
    "VDD_SOC 1127mW/1127mW/1127mW"
)
OLD_NANO = (
    "RAM 1766/3964MB (lfb 197x2MB) IRAM 0/252kB(lfb 252kB) SWAP 0/2048MB (cached 0MB) "
    "CPU [24%@1224,15%@1224,10%,off] EMC_FREQ 0% GR3D_FREQ 0%@305 PLL@21C CPU@25C PMIC@100C "
    "GPU@23.5C AO@33.5C thermal@24.5C POM_5V_IN 2545/2547 POM_5V_GPU 0/0 POM_5V_CPU 549/529"
)
AGX = (
    "RAM 5678/62795MB (lfb 1234x4MB) CPU [12%@1234,off] GR3D_FREQ 0%@[1300,1300] cv0@-256C "
    "cpu@50.1C VDD_GPU_SOC 3456mW/3456mW VDD_CPU_CV 2345mW/2345mW VIN_SYS_5V0 4014mW/4014mW "
    "NC 0mW/0mW"
)


def test_line_of_jetpack_6_as_root_is_read_whole() -> None:
    sample = parse_tegrastats_line(JETPACK6_ROOT)
    assert sample.stamp == "05-15-2026 21:25:52"
    assert sample.ram_used_bytes == 3709 * 2**20
    assert sample.ram_total_bytes == 7607 * 2**20
    assert (sample.largest_free_blocks, sample.largest_free_block_bytes) == (21, 4 * 2**20)
    assert sample.swap_used_bytes == 138 * 2**20
    assert sample.swap_total_bytes == 3804 * 2**20
    assert sample.swap_cached_bytes == 0
    assert sample.cores[2] == CoreLoad(load_pct=36, clock_mhz=729)
    assert len(sample.cores) == 6
    assert (sample.emc_load_pct, sample.emc_clock_mhz) == (5, 2133)
    assert (sample.gpu_load_pct, sample.gpu_clocks_mhz) == (12, (306,))
    assert sample.temps_c["tj"] == 66.687
    assert sample.rails["VDD_IN"] == RailPower(now_mw=6426, mean_mw=6426, max_mw=None)
    assert list(sample.rails) == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
    expected = "NVDEC off NVJPG off NVJPG1 off VIC off OFA off APE 200"
    assert sample.unknown == tuple(expected.split())


def test_line_without_root_has_no_memory_clock() -> None:
    sample = parse_tegrastats_line(JETPACK6_USER)
    assert sample.emc_load_pct is None
    assert (sample.gpu_load_pct, sample.gpu_clocks_mhz) == (0, ())
    assert sample.largest_free_block_bytes == 2**20
    assert sample.temps_c["cpu"] == 51.0
    assert sample.rails["VDD_IN"].now_mw == 5832
    assert sample.unknown == ()


def test_line_of_jetpack_7_has_maxima_and_no_swap() -> None:
    sample = parse_tegrastats_line(JETPACK7)
    assert sample.swap_used_bytes is None
    assert sample.cores[1] is None
    assert sample.temps_c == {"cpu": 45.375, "tj": 45.9}
    assert sample.rails["VDD_IN"] == RailPower(now_mw=3462, mean_mw=3522, max_mw=3582)


def test_line_of_the_old_nano_has_rails_without_unit() -> None:
    sample = parse_tegrastats_line(OLD_NANO)
    assert sample.rails["POM_5V_IN"].now_mw == 2545
    assert set(sample.rails) == {"POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"}
    assert sample.cores == (
        CoreLoad(load_pct=24, clock_mhz=1224),
        CoreLoad(load_pct=15, clock_mhz=1224),
        CoreLoad(load_pct=10, clock_mhz=None),
        None,
    )
    assert sample.gpu_clocks_mhz == (305,)
    assert sample.unknown == ("IRAM", "0/252kB(lfb", "252kB)")


def test_line_of_the_agx_has_sensors_that_are_off_and_channels_not_connected() -> None:
    sample = parse_tegrastats_line(AGX)
    assert sample.sensors_off == ("cv0",)
    assert sample.temps_c == {"cpu": 50.1}
    assert set(sample.rails) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}
    assert sample.gpu_clocks_mhz == (1300, 1300)


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("", ()),
        ("tegrastats: permission denied", ("tegrastats:", "permission", "denied")),
        ("VDD_IN 6426mW/", ("VDD_IN", "6426mW/")),
        ("VDD_IN 99999999999mW/1mW", ("VDD_IN", "99999999999mW/1mW")),
        ("RAM 1/2MB NEWTHING 7@3 tj@51C", ("NEWTHING", "7@3")),
    ],
)
def test_what_is_not_understood_is_kept(line: str, unknown: tuple[str, ...]) -> None:
    sample = parse_tegrastats_line(line)
    assert sample.unknown == unknown
    assert sample.rails == {}


def test_a_negative_power_is_kept_for_the_meter_to_judge() -> None:
    assert parse_tegrastats_line("VDD_SOC -40mW/3mW").rails["VDD_SOC"].now_mw == -40


@given(st.text())
def test_no_text_is_fatal(line: str) -> None:
    parse_tegrastats_line(line)


@given(st.integers(0, len(JETPACK6_ROOT)), st.integers(0, len(JETPACK6_ROOT)), st.characters())
def test_no_damage_to_a_line_is_fatal_or_makes_up_a_rail(start: int, end: int, new: str) -> None:
    sample = parse_tegrastats_line(JETPACK6_ROOT[:start] + new + JETPACK6_ROOT[end:])
    assert all(power.max_mw is None for power in sample.rails.values())


def test_an_agx_xavier_of_jetpack_4_prints_no_unit() -> None:
    line = (
        "RAM 10881/31919MB (lfb 4230x4MB) SWAP 0/15959MB (cached 0MB) CPU [17%@1190,off] "
        "EMC_FREQ 55%@2133 GR3D_FREQ 95%@1377 APE 150 MTS fg 0% bg 10% AO@48C GPU@54.5C "
        "Tdiode@53.25C PMIC@100C AUX@46C CPU@49C thermal@49.45C Tboard@47C GPU 18401/18525 "
        "CPU 2301/2330 SOC 4602/4602 CV 0/0 VDDRQ 2914/2911 SYS5V 4632/4620"
    )
    sample = parse_tegrastats_line(line)
    assert {name: rail.now_mw for name, rail in sample.rails.items()} == {
        "GPU": 18401,
        "CPU": 2301,
        "SOC": 4602,
        "CV": 0,
        "VDDRQ": 2914,
        "SYS5V": 4632,
    }
    assert sample.rails["GPU"].mean_mw == 18525
    assert sample.temps_c["GPU"] == 54.5
    assert sample.unknown == ("APE", "150", "MTS", "fg", "0%", "bg", "10%")

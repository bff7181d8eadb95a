"""RAPL on a replayed powercap tree: zones, wraps, resets, and why it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    RailRole,
)
from edgemoe_appliance.measure.power.rapl import CounterUnwrapper, RaplMeter, find_rapl
from edgemoe_appliance.measure.sysfs import SystemRoots

RANGE_UJ = 262_143_328_850
ZONES = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "dram",
    "intel-rapl:1": "psys",
}


def write_zone(root: Path, folder: str, name: str, energy_uj: int) -> None:
    path = root / "sys/class/powercap" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(name + "\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")


def write_zones(root: Path, energy_uj: int, zones: dict[str, str] | None = None) -> None:
    for folder, name in (zones or ZONES).items():
        write_zone(root, folder, name, energy_uj)


def found(root: Path, zones: dict[str, str] | None = None) -> RaplMeter:
    write_zones(root, 1_000_000, zones)
    meter = find_rapl(SystemRoots(root=root), lambda _: write_zones(root, 1_500_000, zones))
    assert isinstance(meter, RaplMeter)
    return meter


def reason(root: Path) -> str:
    absent = find_rapl(SystemRoots(root=root), lambda _: None)
    assert isinstance(absent, AbsentSource)
    return absent.reason


def test_packages_and_memory_are_the_total_and_the_rest_is_never_added(tmp_path: Path) -> None:
    assert {rail.name: rail.role for rail in found(tmp_path).rails} == {
        "package-0": RailRole.TOTAL,
        "package-0/core": RailRole.PART,
        "package-0/dram": RailRole.TOTAL,
        "psys": RailRole.BESIDE,
    }


def test_amd_shows_packages_and_cores(tmp_path: Path) -> None:
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "package-1"}
    totals = [r.name for r in found(tmp_path, zones).rails if r.role is RailRole.TOTAL]
    assert totals == ["package-0", "package-1"]


def test_readings_are_joules(tmp_path: Path) -> None:
    meter = found(tmp_path)
    with meter:
        write_zones(tmp_path, 2_500_000)
        readings = meter.read()
    assert [r.energy_j for r in readings if isinstance(r, EnergyReading)] == [2.5] * 4


def test_counter_that_fails_is_dead(tmp_path: Path) -> None:
    with found(tmp_path) as meter:
        (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("?")
        reading = meter.read()[0]
    assert isinstance(reading, DeadReading)
    assert reading.reason == "not a number: b'?'"


def test_wraps_are_undone() -> None:
    counter = CounterUnwrapper(range_uj=1_000_000)
    values = [900_000, 100_000, 950_000, 50_000]
    energies_j = [counter.follow(10**8 * n, value) for n, value in enumerate(values)]
    assert energies_j == pytest.approx([0.9, 1.1, 1.95, 2.05])


def test_a_reset_stays_a_fall() -> None:
    counter = CounterUnwrapper(range_uj=RANGE_UJ)
    before_j = counter.follow(0, 50_000_000)
    # As a wrap this would be 262 kJ in a tenth of a second.
    assert counter.follow(10**8, 1_000_000) == 1.0
    assert before_j == 50.0


def test_a_reset_after_a_wrap_falls_too() -> None:
    counter = CounterUnwrapper(range_uj=RANGE_UJ)
    counter.follow(0, RANGE_UJ - 1_000_000)
    wrapped_j = counter.follow(10**8, 5_000_000)
    assert wrapped_j == pytest.approx(RANGE_UJ / 1e6 + 5)
    assert counter.follow(2 * 10**8, 1_000_000) == 1.0


def test_reasons_for_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no intel-rapl zone" in reason(tmp_path)
    write_zones(tmp_path, 1_000_000)
    assert reason(tmp_path) == "the package counters stand still or cannot be read"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "intel-rapl:0/energy_uj may not be read; as root: chmod o+r" in reason(tmp_path)


def test_masked_by_a_container_runtime(tmp_path: Path) -> None:
    powercap = tmp_path / "sys/class/powercap"
    powercap.mkdir(parents=True)
    (powercap / "intel-rapl:0").symlink_to(tmp_path / "gone")
    assert reason(tmp_path) == "intel-rapl:0 is masked, as container runtimes do"


def test_memory_counter_that_stands_still_is_left_out(tmp_path: Path) -> None:
    write_zones(tmp_path, 1_000_000)
    still = {folder: name for folder, name in ZONES.items() if name != "dram"}
    meter = find_rapl(SystemRoots(root=tmp_path), lambda _: write_zones(tmp_path, 9, still))
    assert isinstance(meter, RaplMeter)
    assert "package-0/dram" not in [rail.name for rail in meter.rails]


def test_one_package_that_stands_still_makes_the_source_absent(tmp_path: Path) -> None:
    zones = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1"}
    write_zones(tmp_path, 1_000_000, zones)
    only = {"intel-rapl:0": "package-0"}
    absent = find_rapl(SystemRoots(root=tmp_path), lambda _: write_zones(tmp_path, 9, only))
    assert isinstance(absent, AbsentSource)


def draw(root: Path, watts: dict[str, float], seconds: float) -> None:
    """Let counters rise by what was drawn."""
    for folder, power_w in watts.items():
        path = root / "sys/class/powercap" / folder / "energy_uj"
        path.write_text(f"{int(path.read_text()) + round(power_w * seconds * 1e6)}\n")


@pytest.mark.parametrize(
    ("zones", "start_uj", "watts", "totals"),
    [
        # One counter under the names of two dies, as read a few milliseconds apart.
        (
            ("package-0-die-0", "package-0-die-1"),
            (10_360_237_493, 10_359_908_363),
            (68.0, 68.0),
            ["package-0-die-0"],
        ),
        # The same under the names of two packages, and under one name twice.
        (("package-0", "package-1"), (5_000_000, 5_000_100), (30.0, 30.0), ["package-0"]),
        (("package-0", "package-0"), (5_000_000, 5_000_100), (30.0, 30.0), ["package-0"]),
        # An offset between the dies of one package makes no second counter.
        (
            ("package-1-die-0", "package-1-die-1"),
            (7_000_000, 900_000_000),
            (40.0, 40.0),
            ["package-1-die-0"],
        ),
        # Dies, or packages, that draw different power are two.
        (
            ("package-0-die-0", "package-0-die-1"),
            (5_000_000, 5_000_000),
            (30.0, 33.0),
            ["package-0-die-0", "package-0-die-1"],
        ),
        # Two packages that idle alike have not drawn the same since boot.
        (
            ("package-0", "package-1"),
            (80_000_000, 95_000_000),
            (20.0, 20.02),
            ["package-0", "package-1"],
        ),
    ],
)
def test_counters_that_advance_alike_are_one(
    tmp_path: Path,
    zones: tuple[str, str],
    start_uj: tuple[int, int],
    watts: tuple[float, float],
    totals: list[str],
) -> None:
    folders = ("intel-rapl:0", "intel-rapl:1")
    for folder, name, value in zip(folders, zones, start_uj, strict=True):
        write_zone(tmp_path, folder, name, value)
    powers = dict(zip(folders, watts, strict=True))
    meter = find_rapl(SystemRoots(root=tmp_path), lambda s: draw(tmp_path, powers, s))
    assert isinstance(meter, RaplMeter)
    assert [r.name for r in meter.rails if r.role is RailRole.TOTAL] == totals
    # The other one is still read and recorded.
    assert len({rail.name for rail in meter.rails}) == 2

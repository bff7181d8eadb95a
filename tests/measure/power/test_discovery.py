"""Which source becomes what, on replayed machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.measure.power import discovery
from edgemoe_appliance.measure.power.discovery import build_discovery, discover_power_sources
from edgemoe_appliance.measure.power.interface import AbsentSource, PowerMeter
from edgemoe_appliance.measure.power.nvml import NvmlMeter
from edgemoe_appliance.measure.power.rapl import RaplMeter
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit
from tests.measure.power.test_ina3221 import ORIN_NANO, write_chip
from tests.measure.power.test_nvml import NvmlForTests
from tests.measure.power.test_tegrastats import ENDLESS, write_program

JETSON = (PowerSource.INA3221, PowerSource.TEGRASTATS)


def test_a_jetson_has_a_primary_and_a_cross_check(tmp_path: Path) -> None:
    write_chip(tmp_path, ORIN_NANO)
    write_program(tmp_path, ENDLESS)
    found = discover_power_sources(JETSON, SystemRoots(root=tmp_path))
    assert found.primary is not None
    assert found.cross_check is not None
    assert [meter.source for meter in found.meters] == list(JETSON)
    assert (found.beside, found.absent, found.reason) == ((), {}, None)


def test_the_order_of_the_target_decides(tmp_path: Path) -> None:
    write_chip(tmp_path, ORIN_NANO)
    write_program(tmp_path, ENDLESS)
    found = discover_power_sources(tuple(reversed(JETSON)), SystemRoots(root=tmp_path))
    assert found.primary is not None
    assert found.primary.source is PowerSource.TEGRASTATS


def test_one_of_two_is_primary_and_the_other_absent_with_its_reason(tmp_path: Path) -> None:
    write_chip(tmp_path, ORIN_NANO)
    found = discover_power_sources(JETSON, SystemRoots(root=tmp_path))
    assert found.primary is not None
    assert found.cross_check is None
    assert "no executable" in found.absent[PowerSource.TEGRASTATS]


def test_a_host_without_sources_says_why_of_each(tmp_path: Path) -> None:
    order = (*JETSON, PowerSource.RAPL, PowerSource.NVML)
    found = discover_power_sources(order, SystemRoots(root=tmp_path), nvml=lambda: None)
    assert found.meters == ()
    assert list(found.absent) == list(order)
    assert found.reason is not None
    assert found.reason.startswith("ina3221: no INA3221 is bound to its hwmon driver; tegrastats:")


@pytest.mark.parametrize(
    ("system", "reason"),
    [("Darwin", "macOS shows no power counter"), ("Linux", "the target names no power source")],
)
def test_a_target_without_sources_says_why(system: str, reason: str) -> None:
    found = discover_power_sources((), system=system)
    assert found.primary is None
    assert found.reason is not None
    assert found.reason.startswith(reason)


def test_a_processor_is_no_cross_check_of_a_graphics_board() -> None:
    board: PowerMeter = NvmlMeter(NvmlForTests([1], [1]), (Unit.JOULES,))
    processor: PowerMeter = RaplMeter(())
    found = build_discovery([board, processor], "Linux")
    assert (found.primary, found.cross_check, found.beside) == (board, None, (processor,))


def test_nvml_is_looked_for_through_its_library() -> None:
    found = discover_power_sources((PowerSource.NVML,), nvml=lambda: NvmlForTests([7], [1]))
    assert found.primary is not None
    assert [rail.name for rail in found.primary.rails] == ["gpu-0"]


def test_roots_are_the_real_ones_unless_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def note(roots: SystemRoots) -> AbsentSource:
        seen.append(roots.root)
        return AbsentSource(source=PowerSource.INA3221, reason="noted")

    monkeypatch.setattr(discovery, "find_ina3221", note)
    monkeypatch.setenv("SYSTEM_ROOT", "/nowhere")
    discover_power_sources((PowerSource.INA3221,))
    assert seen == [Path("/")]

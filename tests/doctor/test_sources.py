"""What doctor says of the sources that a run opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.doctor.sources import check_sources
from edgemoe_appliance.schema.configs import Configs, PowerSource, Target
from edgemoe_appliance.schema.findings import Level

INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"


@pytest.fixture
def target(configs: Configs) -> Target:
    return configs.target("host").model_copy(update={"power_sources": (PowerSource.INA3221,)})


def write(root: Path, path: str, content: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content + "\n")
    return file


def lay_out(root: Path) -> None:
    write(root, f"{INA}/in1_label", "VDD_IN")
    write(root, f"{INA}/in1_input", "5000")
    write(root, f"{INA}/curr1_input", "1280")
    write(root, "sys/class/thermal/thermal_zone0/type", "tj-thermal")
    write(root, "sys/class/thermal/thermal_zone0/temp", "51781")
    write(root, "sys/class/thermal/cooling_device0/type", "cpu-throttle-alert")
    write(root, "sys/class/thermal/cooling_device0/cur_state", "0")
    for name in ("stat", "meminfo", "vmstat"):
        write(root, f"proc/{name}", Path(f"/proc/{name}").read_text())


def test_sources_that_a_run_will_read(tmp_path: Path, target: Target) -> None:
    lay_out(tmp_path)
    found = {f.check: f for f in check_sources(target, tmp_path)}
    assert {f.level for f in found.values()} == {Level.OK}
    assert found["power"].seen == "ina3221: VDD_IN"
    assert found["die temperature"].seen == "tj-thermal 51.8 C"
    assert found["throttling"].seen == "1 sources"


def test_a_source_that_cannot_be_opened_is_told(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    opened = "edgemoe_appliance.measure.sysfs.ProcFile"

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(opened, refuse)
    found = {f.check: f for f in check_sources(target, tmp_path)}
    assert found["power"].level is Level.WARN
    assert "Permission denied" in found["power"].seen
    assert "to root alone: as root, chmod a+r" in found["power"].seen
    assert found["power"].hint == "runs will have no energy"
    assert found["die temperature"].level is Level.WARN
    assert "cpu-throttle-alert (Permission denied" in found["throttling"].seen


def test_what_a_container_will_not_see_is_told(tmp_path: Path, target: Target) -> None:
    lay_out(tmp_path)
    (tmp_path / f"{INA}/curr1_input").chmod(0o400)
    (tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle").mkdir(parents=True)
    write(tmp_path, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0")
    write(tmp_path, "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "0")
    native = {f.check for f in check_sources(target, tmp_path)}
    found = {f.check: f for f in check_sources(target, tmp_path, is_container=True)}
    assert set(found) - native == {"power in a container", "throttling in a container"}
    assert found["power in a container"].seen.startswith("curr1_input of the INA3221")

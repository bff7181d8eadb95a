"""The checks of a machine whose GPU speaks Vulkan, on what `vulkaninfo --summary` prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgemoe_appliance.doctor import check_target
from edgemoe_appliance.doctor.vulkan import check_vulkan, parse_devices
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding, Level

HEAD = (
    "==========\nVULKANINFO\n==========\n\nVulkan Instance Version: 1.3.239\n\nDevices:\n========\n"
)
# As Debian's vulkan-tools 1.3.239 prints it, with Mesa 22.3.6.
LLVMPIPE = """GPU{n}:
	apiVersion         = 1.3.230
	driverVersion      = 0.0.1
	vendorID           = 0x10005
	deviceType         = PHYSICAL_DEVICE_TYPE_CPU
	deviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
	driverName         = llvmpipe
	driverInfo         = Mesa 22.3.6 (LLVM 15.0.6)
"""
V3D = """GPU{n}:
	apiVersion         = 1.2.255
	deviceType         = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
	deviceName         = V3D 7.1.7
	driverName         = V3DV Mesa
	driverInfo         = Mesa 23.2.1
"""
CARD = """GPU{n}:
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = AMD Radeon RX 6600 (RADV NAVI23)
	driverName         = radv
"""


def machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *devices: str, node: bool = True
) -> Path:
    """Return a root with a render node, and a `vulkaninfo` that lists the devices on PATH."""
    tools = folder / "tools"
    tools.mkdir()
    listed = HEAD + "".join(text.format(n=n) for n, text in enumerate(devices))
    (tools / "listed").write_text(listed)
    tool = tools / "vulkaninfo"
    tool.write_text(f"#!/bin/sh\ncat {tools}/listed\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    if node:
        (folder / "dev/dri").mkdir(parents=True)
        (folder / "dev/dri/renderD128").touch()
    return folder


def found(root: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_vulkan(root)}


@pytest.mark.parametrize(
    ("devices", "level", "told"),
    [
        ((V3D,), Level.OK, "V3D 7.1.7 (INTEGRATED_GPU, Mesa 23.2.1)"),
        ((V3D, LLVMPIPE), Level.OK, "V3D 7.1.7"),
        ((LLVMPIPE,), Level.WARN, "software device only: llvmpipe (LLVM 15.0.6, 256 bits)"),
        ((CARD, V3D), Level.WARN, "AMD Radeon RX 6600 (RADV NAVI23) (DISCRETE_GPU, radv)"),
        ((), Level.FAIL, "no Vulkan device"),
    ],
)
def test_devices(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    devices: tuple[str, ...],
    level: Level,
    told: str,
) -> None:
    finding = found(machine(tmp_path, monkeypatch, *devices))["GPU"]
    assert finding.level is level
    assert told in finding.seen


def test_without_the_tool_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine(tmp_path, monkeypatch, V3D)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = found(root)["GPU"]
    assert finding.level is Level.UNKNOWN
    assert "vulkan-tools" in finding.hint


def test_a_machine_without_a_render_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = found(machine(tmp_path, monkeypatch, LLVMPIPE, node=False))["render node"]
    assert node.level is Level.WARN
    (inside,) = check_vulkan(tmp_path, in_container=True)
    assert inside.level is Level.FAIL


def test_a_section_without_name_or_type_is_left_out() -> None:
    assert parse_devices("GPU0:\n\tdeviceName = x\nGPU1:\n\tdeviceType = y\nnoise") == ()


def test_in_a_container_only_the_node_is_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine(tmp_path, monkeypatch, LLVMPIPE)
    assert [finding.check for finding in check_vulkan(root, in_container=True)] == ["render node"]


def test_other_targets_do_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configs: Configs
) -> None:
    root = machine(tmp_path, monkeypatch, LLVMPIPE)
    checks = {
        name: {
            finding.check
            for finding in check_target(
                configs.target(name), folder=tmp_path, model_bytes=(), root=root
            )
        }
        for name in ("vulkan", "host")
    }
    assert "render node" in checks["vulkan"]
    assert "render node" not in checks["host"]

"""Checks of a machine whose GPU speaks Vulkan: render node, drivers and devices, compiler.

What is a device, and what a driver on the processor, is read off `vulkaninfo` of vulkan-tools.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.launch import RENDER_NODES
from edgemoe_appliance.doctor.jetson import run_tool
from edgemoe_appliance.engine.toolchain import (
    find_cxx_compiler,
    read_shader_compiler,
    require_vulkan_headers,
)
from edgemoe_appliance.engine.tools import install_hint
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.findings import Finding, Level

_DRIVERS: Final = "mesa-vulkan-drivers (or the maker's own driver)"
_SOFTWARE_TYPE: Final = "CPU"


@dataclass(frozen=True, kw_only=True)
class VulkanDevice:
    """A device as `vulkaninfo` names it; `kind` is Vulkan's: DISCRETE_GPU, INTEGRATED_GPU, CPU."""

    name: str
    kind: str
    driver: str

    @property
    def is_software(self) -> bool:
        """Return whether its driver computes on the processor."""
        return self.kind == _SOFTWARE_TYPE


def parse_devices(text: str) -> tuple[VulkanDevice, ...]:
    """Parse the output of `vulkaninfo --summary`; a device without name or type is left out."""
    found = []
    for section in re.split(r"^GPU\d+:\s*$", text, flags=re.MULTILINE)[1:]:
        facts = dict(re.findall(r"^\s+(\w+)\s+= (.+?)\s*$", section, re.MULTILINE))
        kind = facts.get("deviceType", "").removeprefix("PHYSICAL_DEVICE_TYPE_")
        if kind and "deviceName" in facts:
            driver = facts.get("driverInfo") or facts.get("driverName") or "driver not told"
            found.append(VulkanDevice(name=facts["deviceName"], kind=kind, driver=driver))
    return tuple(found)


def check_vulkan(root: Path, *, in_container: bool = False) -> Iterator[Finding]:
    """Check everything that is particular to such a machine.

    In a container the drivers are the image's; only the render node is this machine's.
    """
    yield _check_render_node(root, in_container=in_container)
    if in_container:
        return
    yield _check_devices(run_tool("vulkaninfo", "--summary"))
    yield _check_compiler()


def _check_render_node(root: Path, *, in_container: bool) -> Finding:
    nodes = sorted(root.glob(RENDER_NODES))
    if not nodes:
        return Finding(
            check="render node",
            level=Level.FAIL if in_container else Level.WARN,
            seen=f"no /{RENDER_NODES}",
            hint="no GPU has a driver in this kernel; only a software device can answer, and that "
            "only with --runtime native",
        )
    shut = [node.name for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        return Finding(
            check="render node",
            level=Level.FAIL,
            seen=f"/dev/dri/{shut[0]} is not open to this user",
            hint="sudo usermod -aG render $USER, then log in anew",
        )
    names = ", ".join(f"/dev/dri/{node.name}" for node in nodes)
    return Finding(check="render node", level=Level.OK, seen=names)


def _check_devices(summary: str | None) -> Finding:
    if summary is None:
        return Finding(
            check="GPU",
            level=Level.UNKNOWN,
            seen="vulkaninfo does not answer",
            hint=f"{install_hint('vulkan-tools')}; drivers: {_DRIVERS}",
        )
    devices = parse_devices(summary)
    seen = "; ".join(f"{one.name} ({one.kind}, {one.driver})" for one in devices)
    real = [one for one in devices if not one.is_software]
    if not devices:
        return Finding(
            check="GPU",
            level=Level.FAIL,
            seen="no Vulkan device",
            hint=f"install {_DRIVERS}, or name another --target",
        )
    if not real:
        return Finding(
            check="GPU",
            level=Level.WARN,
            seen=f"software device only: {seen}",
            hint="the processor computes in place of a GPU: every step works, and no figure of "
            "speed, energy or memory means anything; newer engines leave such a device out",
        )
    if len(real) > 1:
        return Finding(
            check="GPU",
            level=Level.WARN,
            seen=seen,
            hint="llama.cpp takes all discrete ones, else the first; GGML_VK_VISIBLE_DEVICES "
            "names one by its number",
        )
    return Finding(check="GPU", level=Level.OK, seen=seen)


def _check_compiler() -> Finding:
    try:
        glslc = read_shader_compiler()
        require_vulkan_headers(find_cxx_compiler())
    except HostError as error:
        hint = f"needed unless the engine is built already: {error.hint}"
        return Finding(check="glslc", level=Level.WARN, seen=error.what, hint=hint)
    return Finding(check="glslc", level=Level.OK, seen=str(glslc))

"""The devices that an engine lists: as b4447 with Vulkan on llvmpipe printed them, and others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgemoe_appliance.engine.argv import device_variables, scrubbed_environment
from edgemoe_appliance.engine.devices import is_software, parse_accelerators, read_accelerators
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.units import MIB

LLVMPIPE = (
    "ggml_vulkan: Found 1 Vulkan devices:",
    "ggml_vulkan: 0 = llvmpipe (LLVM 15.0.6, 256 bits) (llvmpipe) | uma: 0 | fp16: 1 | warp size: 8"
    " | matrix cores: none",
    "ggml_vulkan: Warning: Device type is CPU. This is probably not the device you want.",
    "Available devices:",
    "  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (24035 MiB, 24035 MiB free)",
)
TWO = (
    "Available devices:",
    "  CUDA0: NVIDIA GeForce RTX 4090 Laptop GPU (15943 MiB, 15639 MiB free)",
    "  Metal: Apple M2 Pro (10922 MiB, 10922 MiB free)",
)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LLVMPIPE, [("Vulkan0", "llvmpipe (LLVM 15.0.6, 256 bits)", 24035, True)]),
        (
            TWO,
            [
                ("CUDA0", "NVIDIA GeForce RTX 4090 Laptop GPU", 15943, False),
                ("Metal", "Apple M2 Pro", 10922, False),
            ],
        ),
        (("Available devices:",), []),
    ],
)
def test_listed_devices(lines: tuple[str, ...], expected: list[tuple[str, str, int, bool]]) -> None:
    told = [
        (one.name, one.description, (one.memory_bytes or 0) // MIB, one.is_software)
        for one in parse_accelerators(lines)
    ]
    assert told == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("SwiftShader Device (Subzero)", True),
        ("cpu-haswell via pocl", True),
        ("AMD Radeon Graphics (RADV RAPHAEL_MENDOCINO)", False),
        ("V3D 7.1.7", False),
        ("Apple M2 Pro", False),
    ],
)
def test_software_devices_are_known_by_their_drivers(name: str, expected: bool) -> None:
    assert is_software(name) is expected


@pytest.mark.parametrize("script", ["exit 3", "echo no such option"])
def test_a_program_that_does_not_list_them(tmp_path: Path, script: str) -> None:
    program = tmp_path / "llama-cli"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(HostError, match="does not list its devices"):
        read_accelerators(program, os.environ)


@pytest.mark.parametrize(
    "said",
    [
        "  what():  vk::createInstance: ErrorIncompatibleDriver",
        "  what():  vk::Instance::enumeratePhysicalDevices: ErrorInitializationFailed",
    ],
)
def test_an_engine_that_ends_for_want_of_a_driver_has_no_device(tmp_path: Path, said: str) -> None:
    program = tmp_path / "llama-cli"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nkill -ABRT $$\n")
    program.chmod(0o755)
    assert read_accelerators(program, os.environ) == ()


def test_the_choice_of_a_device_reaches_the_engine_and_is_told() -> None:
    given = {"GGML_VK_VISIBLE_DEVICES": "0", "GGML_VK_DISABLE_F16": "1", "PATH": "/bin"}
    kept, removed = scrubbed_environment(given)
    assert kept["GGML_VK_VISIBLE_DEVICES"] == "0"
    assert removed == ("GGML_VK_DISABLE_F16",)
    assert device_variables(given) == {"GGML_VK_VISIBLE_DEVICES": "0"}

"""The boards that nvidia-smi tells, and what a build for "the GPU found here" becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine import build
from edgemoe_appliance.engine.dialect import Dialect
from edgemoe_appliance.engine.nvidia import (
    parse_nvidia_boards,
    read_nvidia_boards,
    with_gpu_of_this_host,
)
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.toolchain import Toolchain
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import Configs, DirectorySource

LAPTOP = "8.9, 550.54.15, NVIDIA GeForce RTX 4060 Laptop GPU"
SERVER = "9.0, 535.183.06, NVIDIA H100 80GB HBM3"
CUDA = {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": "native"}


def host_that_prints(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, exit_code: int = 0
) -> None:
    """Put an nvidia-smi on PATH; without lines and with code 127 there is none."""
    tools = folder / "tools"
    tools.mkdir()
    if lines:
        said = "\n".join(lines)
        script = tools / "nvidia-smi"
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {exit_code}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")


def test_boards_are_read_with_architecture_and_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_that_prints(tmp_path, monkeypatch, LAPTOP)
    (board,) = read_nvidia_boards()
    assert (board.name, board.architecture, board.driver) == (
        "NVIDIA GeForce RTX 4060 Laptop GPU",
        "89",
        "550.54.15",
    )


def test_lines_that_are_no_board_are_left_out() -> None:
    lines = ("Warning: persistence mode is off", LAPTOP, "[N/A], 550.54.15, Tesla", "", SERVER)
    assert [board.architecture for board in parse_nvidia_boards(lines)] == ["89", "90"]
    assert parse_nvidia_boards(("12.0, 580.1, NVIDIA B",))[0].architecture == "120"


def test_the_gpu_of_this_host_takes_the_place_of_native(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_that_prints(tmp_path, monkeypatch, SERVER, LAPTOP, LAPTOP)
    assert with_gpu_of_this_host(CUDA) == CUDA | {"CMAKE_CUDA_ARCHITECTURES": "89;90"}


@pytest.mark.parametrize(
    "flags",
    [
        {"GGML_NATIVE": "ON"},
        {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": "87"},
        {"GGML_CUDA": "OFF", "CMAKE_CUDA_ARCHITECTURES": "native"},
    ],
)
def test_other_targets_ask_no_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str]
) -> None:
    host_that_prints(tmp_path, monkeypatch)
    assert with_gpu_of_this_host(flags) == flags


@pytest.mark.parametrize(
    ("lines", "exit_code", "words"),
    [
        ((), 0, "there is no nvidia-smi"),
        (("NVIDIA-SMI has failed because it cannot talk to the driver",), 9, "has failed"),
        (("No devices were found",), 0, "No devices were found"),
    ],
)
def test_a_host_without_a_gpu_gets_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: tuple[str, ...],
    exit_code: int,
    words: str,
) -> None:
    host_that_prints(tmp_path, monkeypatch, *lines, exit_code=exit_code)
    with pytest.raises(HostError, match=words) as caught:
        with_gpu_of_this_host(CUDA)
    assert str(caught.value).startswith("no NVIDIA GPU")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert "name another --target" in caught.value.hint


def test_two_machines_that_share_a_cache_do_not_share_a_build(configs: Configs) -> None:
    source = PreparedSource(
        pin="b4447",
        source=DirectorySource(kind="directory", path="/src"),
        folder=Path("/src"),
        sha256="0" * 64,
        build_number=4447,
        why="a test",
    )
    tools = Toolchain(
        cmake=Path("/usr/bin/cmake"),
        generator="Ninja",
        make_program=Path("/usr/bin/ninja"),
        c=Path("/usr/bin/cc"),
        cxx=Path("/usr/bin/c++"),
        cuda=Path("/usr/bin/nvcc"),
        compiler="cc 1",
        machine="x86_64-linux-gnu",
    )
    dialect = Dialect(program="llama-cli", cmake={}, extra_args=(), no_mmap_args=("--no-mmap",))
    flags = configs.target("cuda").cmake
    assert flags["CMAKE_CUDA_ARCHITECTURES"] == "native"
    keys = {
        build._Recipe(
            source=source,
            dialect=dialect,
            target_flags={**flags, "CMAKE_CUDA_ARCHITECTURES": architecture},
            tools=tools,
        ).key
        for architecture in ("89", "90")
    }
    assert len(keys) == 2

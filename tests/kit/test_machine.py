"""Borrowed machines: what their tools print, and what is said of those that will not do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.kit.machine import (
    DeviceUse,
    check_machine,
    choose_scale,
    compile_jobs,
    parse_cuda_of_compiler,
    parse_cuda_of_driver,
    parse_device_use,
)
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Level
from edgemoe_appliance.schema.units import GB, MIB
from edgemoe_appliance.studies.study import Study, read_study

# A server with one H100, as nvidia-smi and nvcc of CUDA 12.4 print it.
BOARD = "9.0, 550.54.15, NVIDIA H100 80GB HBM3"
SMI = """\
case "$*" in
  *compute_cap,driver_version,name*) echo "{board}" ;;
  *memory.total,memory.used*) echo "{use}" ;;
  "") echo "| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: {cuda} |" ;;
esac"""
NVCC = """\
case "$1" in
  --version) echo "Cuda compilation tools, release {release}, V{release}.131" ;;
  --list-gpu-arch) printf 'compute_80\\ncompute_{newest}\\n' ;;
esac"""
GOOD = {"board": BOARD, "use": "81559, 4, 0", "cuda": "12.4", "release": "12.4", "newest": "90"}


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def put_tools(folder: Path, tools: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing on PATH but these tools and a shell's."""
    folder.mkdir()
    for name, script in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    for name in ("sh", "printf"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDACXX", raising=False)


@pytest.mark.parametrize(
    ("facts", "missing", "check", "level", "told"),
    [
        ({}, (), "driver", Level.OK, "runs CUDA 12.4, nvcc is 12.4"),
        ({}, ("nvidia-smi",), "GPU", Level.FAIL, "no NVIDIA GPU was found: there is no nvidia-smi"),
        ({"board": "No devices were found"}, (), "GPU", Level.FAIL, "no NVIDIA GPU answers"),
        ({}, ("nvcc",), "nvcc", Level.FAIL, "nvcc is not installed"),
        ({"cuda": "12.2", "release": "13.0"}, (), "driver", Level.FAIL, "older: runs CUDA 12.2"),
        ({"cuda": "12.2"}, (), "driver", Level.OK, "runs CUDA 12.2, nvcc is 12.4"),
        ({"cuda": "N/A"}, (), "driver", Level.UNKNOWN, "does not tell"),
        ({"newest": "89"}, (), "architecture", Level.FAIL, "does not compile for sm_90"),
        ({"use": "81559, 4, 0"}, (), "GPU use", Level.OK, "4.2 MB of 85.52 GB in use, 0 % busy"),
        ({"use": "81559, 9000, 0"}, (), "GPU use", Level.WARN, "9.44 GB of 85.52 GB in use"),
        ({"use": "81559, 4, 97"}, (), "GPU use", Level.WARN, "97 % busy"),
        ({"use": "81559, 79000, 0"}, (), "GPU use", Level.FAIL, "82.84 GB of 85.52 GB in use"),
        ({"use": "[N/A], [N/A], [N/A]"}, (), "GPU use", Level.UNKNOWN, "does not tell"),
        ({}, (), "cuBLAS", Level.WARN, "no cublas_v2.h beside"),
        ({}, ("c++",), "compiler", Level.FAIL, "no C++ compiler"),
    ],
)
def test_findings_of_a_gpu_server(
    facts: dict[str, str],
    missing: tuple[str, ...],
    check: str,
    level: Level,
    told: str,
    *,
    configs: Configs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {**GOOD, **facts}
    tools = {"nvidia-smi": SMI.format(**known), "nvcc": NVCC.format(**known), "c++": "exit 0"}
    left = {name: script for name, script in tools.items() if name not in missing}
    put_tools(tmp_path / "bin", left, monkeypatch)
    monkeypatch.setattr("edgemoe_appliance.engine.toolchain._CUDA_COMPILER", Path("/nonexistent"))
    monkeypatch.setattr("edgemoe_appliance.engine.tools.sysconfig.get_path", lambda _: "/none")
    monkeypatch.setattr("edgemoe_appliance.doctor.host._LOAD_SAMPLE_S", 0.01)
    findings = list(check_machine(configs.target("cuda"), tmp_path, (4 * GB,)))
    (found,) = [finding for finding in findings if finding.check == check]
    assert (found.level, told in found.seen) == (level, True), found
    if level is Level.FAIL:
        assert found.hint


@pytest.mark.parametrize(
    ("lines", "use"),
    [
        (["81559, 4, 0"], DeviceUse(total_bytes=81559 * MIB, used_bytes=4 * MIB, load_pct=0)),
        (["[N/A], [N/A], 3"], DeviceUse(total_bytes=None, used_bytes=None, load_pct=3)),
        ([], DeviceUse(total_bytes=None, used_bytes=None, load_pct=None)),
    ],
)
def test_parse_device_use(lines: list[str], use: DeviceUse) -> None:
    assert parse_device_use(lines) == use


def test_versions_of_cuda() -> None:
    assert parse_cuda_of_driver("Driver Version: 550.54.15   CUDA Version: 12.4 |") == (12, 4)
    assert parse_cuda_of_driver("CUDA Version: N/A") is None
    assert parse_cuda_of_compiler("Cuda compilation tools, release 13.0, V13.0.48") == (13, 0)
    assert parse_cuda_of_compiler("") is None


@pytest.mark.parametrize(
    ("free_gb", "memory_gb", "scale"),
    [
        (20, 100, TwinScale.FULL),
        (10, 100, TwinScale.THIN),  # 7.7 GB and room to build do not fit
        (4.5, 100, TwinScale.THIN),
        (4, 100, TwinScale.THIN),
        (3.1, 100, TwinScale.TINY),
        (20, 5, TwinScale.THIN),  # the largest twin does not fit into memory
        (2, 100, None),
    ],
)
def test_the_scale_is_the_largest_that_fits(
    free_gb: float,
    memory_gb: float,
    scale: TwinScale | None,
    *,
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = shutil._ntuple_diskusage(0, 0, int(free_gb * GB))
    monkeypatch.setattr("edgemoe_appliance.kit.machine.shutil.disk_usage", lambda _: usage)
    memory = type("Memory", (), {"available": int(memory_gb * GB)})
    monkeypatch.setattr("edgemoe_appliance.kit.machine.psutil.virtual_memory", lambda: memory)
    if scale is None:
        with pytest.raises(HostError, match="are the least"):
            choose_scale(study, tmp_path)
    else:
        assert choose_scale(study, tmp_path) is scale


@pytest.mark.parametrize(("cores", "memory_gb", "jobs"), [(16, 100, 16), (6, 6, 4), (6, 0.5, 1)])
def test_compilers_are_as_many_as_memory_allows(
    cores: int, memory_gb: float, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type("Memory", (), {"available": int(memory_gb * GB)})
    monkeypatch.setattr("edgemoe_appliance.kit.machine.psutil.virtual_memory", lambda: memory)
    assert compile_jobs(cores) == jobs


def test_a_vulkan_machine_must_have_the_compiler_of_kernels(
    tmp_path: Path, configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tools(tmp_path / "bin", {}, monkeypatch)
    monkeypatch.setattr("edgemoe_appliance.engine.tools.find_tool", lambda _name: None)
    found = {f.check: f for f in check_machine(configs.target("vulkan"), tmp_path, (4 * GB,))}
    assert found["glslc"].level is Level.FAIL
    assert found["glslc"].hint == "install it with: sudo apt-get install glslc"

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.doctor import host
from edgemoe_appliance.schema.findings import Finding, Level


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_too_little_disk_is_a_failure(tmp_path: Path) -> None:
    assert only(host.check_disk(tmp_path, 10**16)).level is Level.FAIL
    assert only(host.check_disk(tmp_path, 1)).level is Level.OK


def test_a_model_larger_than_the_memory_is_a_warning() -> None:
    assert only(host.check_memory(10**15)).level is Level.WARN


def test_the_governor_is_told_for_all_cores(tmp_path: Path) -> None:
    assert only(host.check_governor(tmp_path)).level is Level.UNKNOWN
    for core, governor in enumerate(("performance", "powersave")):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor + "\n")
    finding = only(host.check_governor(tmp_path))
    assert finding.level is Level.WARN
    assert finding.seen == "performance, powersave"


@pytest.mark.parametrize(
    ("files", "level", "seen"),
    [
        ((), Level.UNKNOWN, "not mounted"),
        (("memory/memory.max_usage_in_bytes",), Level.OK, "version 1"),
        (("cgroup.controllers", "system.slice/memory.peak"), Level.OK, "with memory.peak"),
        (("cgroup.controllers",), Level.WARN, "without memory.peak"),
    ],
)
def test_control_groups_by_version(
    tmp_path: Path, files: tuple[str, ...], level: Level, seen: str
) -> None:
    for name in files:
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    finding = only(host.check_cgroup(tmp_path))
    assert finding.level is level
    assert seen in finding.seen


def test_a_virtual_machine_is_told(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    cpuinfo = tmp_path / "proc/cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu vme hypervisor\n")
    assert only(host.check_virtual(tmp_path)).level is Level.WARN
    cpuinfo.write_text("flags\t\t: fpu vme\n")
    assert only(host.check_virtual(tmp_path)).level is Level.OK


def test_a_variable_that_changes_memory_by_being_there_is_told() -> None:
    assert not list(host.check_environment({}))
    assert (
        only(host.check_environment({"GGML_CUDA_ENABLE_UNIFIED_MEMORY": "0"})).level is Level.WARN
    )


def test_a_missing_compiler_is_told_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    findings = list(host.check_tools())
    assert [finding.level for finding in findings] == [Level.WARN, Level.WARN]
    assert "apt-get install g++" in findings[0].hint

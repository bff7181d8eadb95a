from dataclasses import replace
from pathlib import Path

from edgemoe_appliance.container.client import DockerFacts, ImageStore
from edgemoe_appliance.doctor.docker import check_docker, judge_engine
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding, Level

BOARD = DockerFacts(
    version="27.5.1",
    api_version="1.47",
    operating_system="Ubuntu 22.04.5 LTS",
    kernel="5.15.148-tegra",
    architecture="aarch64",
    image_store=ImageStore.CONFIG_ADDRESSED,
    cgroup_version=2,
    runtimes=("runc", "nvidia"),
    limits_memory=True,
    limits_swap=True,
    limits_pids=True,
    maps_users=False,
    cores=6,
    memory_bytes=8_000_000_000,
    warnings=(),
)


def judged(configs: Configs, facts: DockerFacts) -> dict[str, Finding]:
    findings = judge_engine(configs.target("jetson"), facts, "unix:///x")
    return {finding.check: finding for finding in findings}


def test_a_board_with_the_nvidia_runtime_is_fine(configs: Configs) -> None:
    found = judged(configs, BOARD)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert "27.5.1" in found["Docker engine"].seen


def test_without_the_nvidia_runtime_a_jetson_cannot_be_measured(configs: Configs) -> None:
    found = judged(configs, replace(BOARD, runtimes=("runc",)))
    assert found["container runtime"].level is Level.FAIL
    assert "toolkit" in found["container runtime"].hint


def test_the_engine_that_fails_on_this_kernel_is_told(configs: Configs) -> None:
    found = judged(configs, replace(BOARD, version="28.2.2"))
    assert found["engine and kernel"].level is Level.WARN
    elsewhere = judged(configs, replace(BOARD, version="28.2.2", kernel="6.8.0"))
    assert "engine and kernel" not in elsewhere


def test_a_kernel_that_does_not_account_swap_is_told(configs: Configs) -> None:
    assert judged(configs, replace(BOARD, limits_swap=False))["swap limit"].level is Level.WARN


def test_no_engine_is_a_failure_with_what_to_do(configs: Configs, tmp_path: Path) -> None:
    (finding,) = check_docker(configs.target("host"), f"unix://{tmp_path}/none.sock")
    assert finding.level is Level.FAIL
    assert finding.hint

"""The checks of a machine with a discrete GPU, on stand-ins for nvidia-smi and nvcc."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.doctor import check_target
from edgemoe_appliance.doctor.nvidia import check_nvidia
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding, Level
from tests.engine.test_nvidia import LAPTOP, SERVER, host_that_prints


def found() -> dict[str, Finding]:
    return {finding.check: finding for finding in check_nvidia()}


def test_a_machine_with_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host_that_prints(tmp_path, monkeypatch, LAPTOP)
    nvcc = tmp_path / "tools/nvcc"
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    monkeypatch.delenv("CUDACXX", raising=False)
    findings = found()
    assert findings["GPU"].level is Level.OK
    assert "sm_89, driver 550.54.15" in findings["GPU"].seen
    assert findings["nvcc"].seen == str(nvcc)


def test_several_boards_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host_that_prints(tmp_path, monkeypatch, LAPTOP, SERVER)
    assert found()["GPU"].level is Level.WARN
    assert "CUDA_VISIBLE_DEVICES" in found()["GPU"].hint


def test_a_machine_without_one_fails_for_this_target_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configs: Configs
) -> None:
    host_that_prints(tmp_path, monkeypatch)
    monkeypatch.setattr("edgemoe_appliance.engine.toolchain.find_tool", lambda _name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    findings = found()
    assert findings["GPU"].level is Level.FAIL
    assert (findings["nvcc"].level, findings["energy"].level) == (Level.WARN, Level.WARN)
    assert "[nvml]" in findings["energy"].hint
    levels = {
        name: {f.check: f.level for f in check_target(target, folder=tmp_path, model_bytes=())}
        for name, target in (("cuda", configs.target("cuda")), ("host", configs.target("host")))
    }
    assert levels["cuda"]["GPU"] is Level.FAIL
    assert "GPU" not in levels["host"]

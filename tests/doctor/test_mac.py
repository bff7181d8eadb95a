"""The checks of a Mac, on stand-ins for Apple's tools that print what a Mac prints."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import keep_awake
from edgemoe_appliance.doctor import DockerCheck, check_target
from edgemoe_appliance.doctor.mac import check_mac
from edgemoe_appliance.measure.hardware import parse_mac_power_mode
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding, Level

READY = {
    "sysctl": 'case "$2" in machdep.cpu.brand_string) echo "Apple M2 Pro" ;;'
    ' hw.optional.arm64) echo 1 ;; sysctl.proc_translated) echo "$TRANSLATED" ;; esac',
    "xcode-select": "echo /Library/Developer/CommandLineTools",
    "pmset": 'case "$*" in "-g batt") echo "Now drawing from \'AC Power\'" ;;'
    ' *) echo " powermode            0" ;; esac',
    "mdutil": "printf '/:\\n\\tIndexing disabled.\\n'",
    "tmutil": 'printf "Backup session status:\\n{\\n    Running = 0;\\n}\\n"',
}


def mac(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    machine: str = "arm64",
    macos: str = "14.7.1",
    translated: str = "0",
    **tools: str,
) -> dict[str, Finding]:
    """Return the findings on a Mac whose tools print what `READY` and `tools` say."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, script in {**READY, **tools}.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("TRANSLATED", translated)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "mac_ver", lambda: (macos, ("", "", ""), machine))
    return {finding.check: finding for finding in check_mac(Path("/Users/me/edgemoe"))}


def test_a_ready_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = mac(tmp_path, monkeypatch)
    assert {finding.level for finding in findings.values()} == {Level.OK}
    assert findings["chip"].seen == "Apple M2 Pro"


DISTURBED = [
    ({"machine": "x86_64", "translated": "1"}, "Python", Level.FAIL, "translated by Rosetta"),
    ({"machine": "x86_64"}, "Python", Level.FAIL, "translated by Rosetta"),
    ({"machine": "x86_64", "sysctl": "exit 1"}, "Python", Level.FAIL, "has no Apple chip"),
    ({"sysctl": "echo Apple M4"}, "chip", Level.WARN, "Apple M4"),
    ({"macos": "12.7"}, "macOS", Level.FAIL, "12.7"),
    ({"xcode-select": "exit 2"}, "Xcode tools", Level.FAIL, "no developer folder"),
    ({"pmset": "echo 'Battery Power'"}, "power supply", Level.FAIL, "battery"),
    ({"pmset": "exit 1"}, "power supply", Level.UNKNOWN, "does not answer"),
    ({"pmset": "echo ' lowpowermode   1 AC Power'"}, "power mode", Level.UNKNOWN, "not tell"),
    ({"pmset": "echo ' lowpowermode   1'"}, "power mode", Level.FAIL, "low"),
    ({"mdutil": "echo Indexing enabled"}, "Spotlight", Level.WARN, "indexes"),
    ({"tmutil": "echo ' Running = 1;'"}, "Time Machine", Level.WARN, "backing up"),
]


@pytest.mark.parametrize(("change", "check", "level", "told"), DISTURBED)
def test_what_disturbs_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    check: str,
    level: Level,
    told: str,
) -> None:
    finding = mac(tmp_path, monkeypatch, **change)[check]
    assert finding.level is level
    assert told in finding.seen


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        (" lowpowermode         1\n sleep 1", "low"),
        (" powermode            2", "high"),
        (" powermode            0", "automatic"),
        (" sleep                1", None),
    ],
)
def test_power_modes(settings: str, mode: str | None) -> None:
    found = parse_mac_power_mode(settings)
    assert (found.name if found else None) == mode


def test_a_blank_in_the_path_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    findings = {finding.check: finding for finding in check_mac(Path("/Users/me/My Work"))}
    assert findings["folder"].level is Level.FAIL


def test_elsewhere_the_one_thing_to_say_is_that_it_is_no_mac(
    tmp_path: Path, configs: Configs
) -> None:
    if platform.system() == "Darwin":
        pytest.skip("this is a Mac")
    findings = list(check_mac(tmp_path))
    assert [(finding.check, finding.level) for finding in findings] == [("Mac", Level.FAIL)]
    of_target = check_target(configs.target("m2"), folder=tmp_path, model_bytes=())
    assert findings[0] in list(of_target)


def test_a_container_is_refused_before_an_engine_is_asked(tmp_path: Path, configs: Configs) -> None:
    checks = check_target(
        configs.target("m2"),
        folder=tmp_path,
        model_bytes=(),
        docker=DockerCheck(host="unix:///nowhere.sock"),
    )
    found = {finding.check: finding for finding in checks}
    assert found["container"].level is Level.FAIL
    assert "Docker engine" not in found


def test_only_a_mac_is_kept_awake() -> None:
    assert keep_awake(1, system="Linux") is None

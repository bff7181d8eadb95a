"""The M2 wrapper on any system: its dry run, and its checks against commands that stand in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

WRAPPER = Path(__file__).resolve().parents[2] / "docker" / "m2" / "bench.sh"
# What a ready Mac answers.
READY = {
    "uname": 'case "$1" in -s) echo Darwin ;; -m) echo arm64 ;; esac',
    "sw_vers": "echo 14.7.1",
    "sysctl": "echo 'Apple M2 Pro'",
    "xcode-select": "echo /Library/Developer/CommandLineTools",
    "pmset": (
        'case "$*" in "-g batt") echo "Now drawing from \'AC Power\'" ;;'
        ' *) echo " lowpowermode         0" ;; esac'
    ),
    "mdutil": "printf '/:\\n\\tIndexing disabled.\\n'",
    "tmutil": 'printf "Backup session status:\\n{\\n    Running = 0;\\n}\\n"',
    "caffeinate": 'shift; echo "caffeinate $*"; exec "$@"',
    "edgemoe-appliance": 'echo "appliance $*"',
}


def call(folder: Path, *arguments: str, **other: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the wrapper whose commands print what `READY` and `other` say."""
    tools = folder / "bin"
    tools.mkdir()
    for name, script in {**READY, **other}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    wrapper = folder / "docker" / "m2" / "bench.sh"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_bytes(WRAPPER.read_bytes())
    return subprocess.run(
        ["bash", wrapper, *arguments],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_dry_run_prints_what_it_would_do(tmp_path: Path) -> None:
    done = call(tmp_path, "--dry-run", "--experiment", "smoke", "--session", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "would check: macOS, compilers, AC power, Spotlight, Time Machine",
        "would run: edgemoe-appliance build --target m2",
        "would run: caffeinate -ims edgemoe-appliance bench --target m2 --runtime native "
        "--experiment smoke --session a\\ b",
    ]


def test_ready_mac_builds_and_measures(tmp_path: Path) -> None:
    done = call(tmp_path, "--experiment", "efficiency")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith(("fail", "warn"))] == []
    assert lines[-3:] == [
        "appliance build --target m2",
        "caffeinate edgemoe-appliance bench --target m2 --runtime native --experiment efficiency",
        "appliance bench --target m2 --runtime native --experiment efficiency",
    ]


def test_environment_of_the_checkout_comes_first(tmp_path: Path) -> None:
    own = tmp_path / ".venv" / "bin" / "edgemoe-appliance"
    own.parent.mkdir(parents=True)
    own.write_text('#!/bin/sh\necho own "$@"\n')
    own.chmod(0o755)
    assert "own build --target m2" in call(tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "script", "told"),
    [
        ("uname", "echo Linux", "needs an Apple Silicon Mac"),
        ("sw_vers", "echo 12.6", "13 or newer"),
        ("xcode-select", "exit 2", "xcode-select --install"),
        ("pmset", "echo \"Now drawing from 'Battery Power'\"", "on battery"),
        ("pmset", "echo AC Power; echo ' lowpowermode         1'", "low power mode"),
    ],
)
def test_mac_that_is_not_ready_is_refused(
    tmp_path: Path, command: str, script: str, told: str
) -> None:
    done = call(tmp_path, **{command: script})
    assert done.returncode == 3
    assert told in done.stdout
    assert "--force" in done.stderr
    assert "appliance" not in done.stdout


def test_force_measures_all_the_same(tmp_path: Path) -> None:
    done = call(tmp_path, "--force", pmset="echo \"Now drawing from 'Battery Power'\"")
    assert done.returncode == 0
    assert "on battery" in done.stdout and "appliance bench" in done.stdout


@pytest.mark.parametrize(
    ("command", "script", "told"),
    [
        ("mdutil", "printf '/:\\n\\tIndexing enabled.\\n'", "Spotlight"),
        ("tmutil", "echo '    Running = 1;'", "Time Machine"),
    ],
)
def test_what_may_disturb_is_said_and_left_alone(
    tmp_path: Path, command: str, script: str, told: str
) -> None:
    done = call(tmp_path, **{command: script})
    assert done.returncode == 0
    assert any(line.startswith("warn") and told in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("flag", ["--target", "--target=host", "--runtime=container"])
def test_what_the_wrapper_sets_cannot_be_set(tmp_path: Path, flag: str) -> None:
    done = call(tmp_path, "--dry-run", "--experiment", "smoke", flag, "x")
    assert done.returncode == 2
    assert "set by this wrapper" in done.stderr


def test_failed_build_ends_it(tmp_path: Path) -> None:
    script = '[ "$1" != build ] || exit 4; echo "appliance $*"'
    done = call(tmp_path, **{"edgemoe-appliance": script})
    assert done.returncode == 4
    assert "appliance bench" not in done.stdout


def test_help_explains_the_flags(tmp_path: Path) -> None:
    shown = call(tmp_path, "--help").stdout
    assert "--dry-run" in shown and "Exit codes" in shown and "set -e" not in shown

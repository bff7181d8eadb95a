"""run.sh on machines that will not do: one line each, and nothing is left behind."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "kit" / "run.sh"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit whose wheels hold nothing."""
    return write_kit(tmp_path / "kit")


def write_kit(folder: Path, **facts: str) -> Path:
    (folder / "wheels").mkdir(parents=True)
    (folder / "run.sh").write_bytes(RUN.read_bytes())
    (folder / "wheels" / "first.lock").write_text("")
    (folder / "wheels" / "pip-1-py3-none-any.whl").write_text("no wheel")
    known = {"python": HERE, "architecture": platform.machine(), **facts}
    (folder / "kit.json").write_text(json.dumps(known, indent=1) + "\n")
    files = [path for path in folder.rglob("*") if path.is_file()]
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(folder)}" for f in files]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder


def call(kit: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", kit / "run.sh", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--minutes"], 2, "--minutes needs a value"),
        (["--minutes", "soon"], 2, "--minutes soon is no number"),
        (["--network"], 2, "unknown option --network"),
    ],
)
def test_wrong_flags(kit: Path, arguments: list[str], code: int, told: str) -> None:
    done = call(kit, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert told in done.stderr


def test_help_says_what_it_does(kit: Path) -> None:
    done = call(kit, "--help")
    assert done.returncode == 0
    assert "--minutes N" in done.stdout and "Exit codes" in done.stdout


def test_a_damaged_kit(kit: Path) -> None:
    (kit / "wheels" / "first.lock").write_text("changed")
    done = call(kit)
    assert done.returncode == 4
    assert "the kit is damaged" in done.stderr


def test_a_kit_for_another_processor(tmp_path: Path) -> None:
    done = call(write_kit(tmp_path / "kit", architecture="riscv64"))
    assert done.returncode == 3
    assert f"the kit is for riscv64, this machine is {platform.machine()}" in done.stderr


def test_a_kit_for_another_python(tmp_path: Path) -> None:
    done = call(write_kit(tmp_path / "kit", python="3.99"))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "the kit is for Python 3.99, here is" in done.stderr
    assert "make one with PYTHON_VERSION=3." in done.stderr


def test_wheels_that_cannot_be_unpacked(kit: Path, tmp_path: Path) -> None:
    done = call(kit, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "the environment could not be unpacked" in done.stderr
    assert not (tmp_path / "work" / ".environment").exists()


def test_a_folder_that_cannot_be_made(kit: Path) -> None:
    done = call(kit, "--out", "/dev/null/out")
    assert done.returncode == 3
    assert "/dev/null/out" in done.stderr.splitlines()[-1]

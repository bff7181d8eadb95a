"""What a kit is made of: its lock by Python and processor, and what no kit is made for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.kit import bundle
from edgemoe_appliance.kit.bundle import KitRequest, locked_lines, write_kit
from edgemoe_appliance.studies.study import read_study
from tests.bench.plans import IDENTITY

KIT = Path(__file__).resolve().parents[2] / "kit"
LOCK = (KIT / "requirements.lock").read_text()
REQUEST = KitRequest(
    study=read_study(),
    target="host",
    python="3.11",
    architecture="x86_64",
    pins=("b4447",),
    appliance=IDENTITY,
    cache=Path("cache"),
    out=Path("kit.tar"),
)
ENTRY = """\
one==1.0 ; python_full_version < '3.11' and sys_platform == 'linux' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
one==2.0 ; python_full_version >= '3.11' and sys_platform == 'linux' \\
    --hash=sha256:cc
two==1.0 ; sys_platform == 'darwin' \\
    --hash=sha256:dd
three==1.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
"""


@pytest.mark.parametrize(
    ("python", "architecture", "lines"),
    [
        ("3.10", "x86_64", ["one==1.0 --hash=sha256:aa --hash=sha256:bb"]),
        ("3.11", "x86_64", ["one==2.0 --hash=sha256:cc"]),
        ("3.12", "aarch64", ["one==2.0 --hash=sha256:cc", "three==1.0 --hash=sha256:ee"]),
    ],
)
def test_a_lock_is_read_for_another_machine(
    python: str, architecture: str, lines: list[str]
) -> None:
    assert list(locked_lines(ENTRY, python, architecture)) == lines


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
def test_the_lock_has_every_requirement_once_by_digest(python: str) -> None:
    lines = list(locked_lines(LOCK, python, "x86_64"))
    names = [line.partition("==")[0] for line in lines]
    wanted = re.findall(r"^([a-z-]+)[>=]", (KIT / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= set(names)
    assert len(set(names)) == len(names)
    assert all("--hash=sha256:" in line for line in lines)


def test_the_lock_names_no_index() -> None:
    assert "://" not in LOCK
    assert "--index" not in LOCK


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"target": "m2"}, "target m2 has no kit"),
        ({"target": "ascend"}, "weights that the backend does not compute"),
        ({"target": "toaster"}, "unknown target 'toaster'"),
        ({"study": replace(REQUEST.study, id="elsewhere")}, "study elsewhere lies elsewhere"),
        (
            {
                "study": replace(
                    REQUEST.study, suites=REQUEST.study.suites.model_copy(update={"visit": None})
                )
            },
            "does not say what a visit measures",
        ),
    ],
    ids=["mac", "limited backend", "unknown target", "study elsewhere", "study without a visit"],
)
def test_no_kit_is_made_for(change: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        write_kit(replace(REQUEST, out=tmp_path / "kit.tar", **change))  # type: ignore[arg-type]


def test_an_installation_makes_no_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "checkout_root", lambda: None)
    with pytest.raises(ConfigError, match="from a checkout"):
        write_kit(REQUEST)


def test_a_kit_that_is_too_large_is_not_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_request: KitRequest, _root: Path, folder: Path) -> None:
        (folder / "large").write_bytes(bytes(20_000))

    monkeypatch.setattr(bundle, "_fill", fill)
    monkeypatch.setattr(bundle, "MOST_KIT_BYTES", 10_000)
    with pytest.raises(HostError, match=r"22\.0 kB, at most 10\.0 kB"):
        write_kit(replace(REQUEST, out=tmp_path / "kit.tar"))
    assert list(tmp_path.iterdir()) == []

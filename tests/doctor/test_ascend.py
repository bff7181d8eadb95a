"""What doctor says of a machine with an Ascend NPU, and of one without.

What npu-smi prints is the example of llama.cpp's documentation: nobody here has such a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edgemoe_appliance.doctor.ascend import check_ascend
from edgemoe_appliance.schema.findings import Finding, Level

NODES = ("davinci_manager", "devmm_svm", "hisi_hdc")
HEAD = """+-------------------------------------------------------------------------------+
| npu-smi 24.1.rc2               Version: 24.1.rc2                              |
+----------------------+---------------+----------------------------------------+
| NPU   Name           | Health        | Power(W)    Temp(C)                    |
| Chip                 | Bus-Id        | AICore(%)   Memory-Usage(MB)           |
+======================+===============+========================================+
"""
ROW = """| {number}     {chip}           | {health}            | 64.4        51                |
| 0                    | 0000:01:00.0  | 0           1873 / 15077               |
"""
WELL = {"ASCEND_TOOLKIT_HOME": "/opt/ascend"}


def told(*npus: tuple[str, str]) -> str:
    rows = (ROW.format(number=n, chip=chip, health=h) for n, (chip, h) in enumerate(npus))
    return HEAD + "".join(rows)


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of device nodes; nothing else than what is put there is found on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in NODES:
        (tmp_path / name).touch()
    return tmp_path


def found_with(folder: Path, output: str | None, environment: Mapping[str, str]) -> list[Finding]:
    if output is not None:
        (folder / "npus").write_text(output)
        tool = folder / "npu-smi"
        tool.write_text(f"#!/bin/sh\ncat '{folder / 'npus'}'\n")
        tool.chmod(0o755)
    return [*check_ascend(environment, folder)]


@pytest.mark.parametrize(
    ("output", "environment", "levels"),
    [
        (told(("910B4", "OK")), WELL, {"NPU": Level.OK}),
        (told(("910B4", "OK")), {}, {"NPU": Level.OK, "CANN toolkit": Level.FAIL}),
        (None, WELL, {"NPU": Level.FAIL}),
        (HEAD, WELL, {"NPU": Level.FAIL}),
        (None, {"ASCEND_TOOLKIT_HOME": ""}, {"NPU": Level.FAIL, "CANN toolkit": Level.FAIL}),
        (told(("910B4", "Warning")), WELL, {"NPU": Level.WARN}),
        (told(("910B4", "OK"), ("910B4", "OK")), WELL, {"NPU": Level.WARN}),
        (
            told(("910B4", "OK"), ("910B4", "OK")),
            {**WELL, "ASCEND_RT_VISIBLE_DEVICES": "0"},
            {"NPU": Level.OK},
        ),
        (told(("310P3", "OK")), WELL, {"NPU": Level.OK, "chip": Level.WARN}),
    ],
)
def test_driver_chips_and_toolkit_are_looked_for(
    output: str | None, environment: Mapping[str, str], levels: Mapping[str, Level], checked: Path
) -> None:
    found = found_with(checked, output, environment)
    expected = {"NPU devices": Level.OK, "CANN toolkit": Level.OK, **levels}
    assert {finding.check: finding.level for finding in found} == expected
    assert all(finding.hint for finding in found if finding.level is not Level.OK)


@pytest.mark.parametrize("lacking", [NODES, NODES[:1]])
def test_devices_that_cannot_be_opened_are_named(lacking: Sequence[str], checked: Path) -> None:
    for name in lacking:
        (checked / name).unlink()
    (finding,) = (
        each
        for each in found_with(checked, told(("910B4", "OK")), WELL)
        if each.check == "NPU devices"
    )
    assert finding.level is Level.FAIL
    assert finding.seen == f"{', '.join(lacking)} cannot be opened"

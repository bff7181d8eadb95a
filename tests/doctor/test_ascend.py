"""What doctor says of a machine with an Ascend NPU, and of one without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemoe_appliance.doctor.ascend import check_ascend
from edgemoe_appliance.schema.findings import Level


@pytest.mark.parametrize(
    ("has_driver", "environment", "levels"),
    [
        (True, {"ASCEND_TOOLKIT_HOME": "/opt/ascend"}, [Level.OK, Level.OK]),
        (True, {}, [Level.OK, Level.FAIL]),
        (False, {"ASCEND_TOOLKIT_HOME": "/opt/ascend"}, [Level.FAIL, Level.OK]),
        (False, {"ASCEND_TOOLKIT_HOME": ""}, [Level.FAIL, Level.FAIL]),
    ],
)
def test_driver_and_toolkit_are_looked_for(
    has_driver: bool,
    environment: Mapping[str, str],
    levels: list[Level],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = tmp_path / "npu-smi"
    if has_driver:
        tool.write_text("#!/bin/sh\necho '| npu-smi 24.1.rc2 |'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = [*check_ascend(environment)]
    assert [finding.level for finding in found] == levels
    assert all(finding.hint for finding in found if finding.level is Level.FAIL)

"""The archive of a session that was measured: real llama.cpp, tiny twins."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.plan import PlannedModel
from tests.archive.sessions import archive, contents, maker
from tests.bench.plans import small_plan
from tests.conftest import RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_measured_session_is_archived_and_verified(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, session="measured")
    folder = tmp_path / "raw/measured"
    run_bench(plan, folder, NativeLauncher(), lambda _progress: None)
    path = archive(folder, tmp_path / "measured.tar").path
    found = verify_archive(path, maker())
    assert found.mismatches == ()
    assert found.session == "measured"
    raw = [name for name in contents(path) if name.startswith(layout.SAMPLES)]
    assert len(raw) == len(plan.runs)

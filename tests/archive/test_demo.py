"""The archive of a session that was measured: real llama.cpp, tiny twins."""

from __future__ import annotations

import gzip
import platform
import shutil
import tempfile
from pathlib import Path

import pytest

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.plan import PlannedModel
from edgemoe_appliance.schema.roots import LOCAL_NAME
from edgemoe_appliance.schema.sessionfolder import host_folder
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


def test_an_archive_tells_neither_who_measured_nor_where(
    configs: Configs,
    engine: RealEngine,
    tiny_models: dict[str, PlannedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home" / "grace-h"
    for name, value in (("HOME", str(home)), ("USER", "grace-h"), ("LOGNAME", "grace-h")):
        monkeypatch.setenv(name, value)
    models = home / "grace models"
    models.mkdir(parents=True)
    moved = {key: _copied(model, models) for key, model in tiny_models.items()}
    busy = Finding(check="disk", level=Level.OK, seen=f"room in {home}", hint="")
    plan = small_plan(configs, engine.build, moved, session="measured")
    plan = plan.model_copy(update={"findings": (busy,)})
    folder = home / "raw/measured"
    cache = Path(engine.build.binary).parent.parent
    run_bench(plan, folder, NativeLauncher(), lambda _progress: None, roots={"CACHE": cache})
    archived = archive(folder, tmp_path / "measured.tar").path
    scratch = tempfile.gettempdir() + "/"
    hidden = ["grace-h", "grace models", str(tmp_path), str(cache), scratch]
    hidden += [platform.node()] if len(platform.node()) > 4 else []
    told = [
        (name, word)
        for name, content in contents(archived).items()
        for word in hidden
        if word.encode() in (gzip.decompress(content) if name.endswith(".gz") else content)
        # The appliance's own code speaks of the folder for what is not kept.
        and not (layout.is_wheel(name) and word == scratch)
    ]
    assert told == []
    journal = contents(archived)[layout.JOURNAL].decode()
    assert '"$CACHE/bin/llama-cli","-m","$OTHER1/' in journal
    assert "grace-h" in (host_folder(folder) / LOCAL_NAME).read_text()
    assert verify_archive(archived, maker()).mismatches == ()


def _copied(model: PlannedModel, folder: Path) -> PlannedModel:
    path = shutil.copy(model.path, folder)
    return model.model_copy(update={"path": str(path)})

"""The whole way in a home whose name needs quoting everywhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import default_folders
from tests.app.programme import run
from tests.app.test_commands import COMMAND

PLACE = "My Files, (ü) 'quoted' $HOME"


@pytest.mark.engine
@pytest.mark.slow
def test_a_home_with_spaces_and_more(tmp_path: Path) -> None:
    home = tmp_path / PLACE
    home.mkdir()
    (home / "work").mkdir()
    environment = {
        "HOME": str(home),
        "EDGEMOE_WORK": str(home / "work"),
        "EDGEMOE_CACHE": str(default_folders().cache.absolute()),
    }
    measured = subprocess.run(
        [*COMMAND, "bench", "--experiment", "smoke", "--twins", "tiny", "--session", "odd"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stderr
    for arguments in (("archive", "odd"), ("verify", str(home / "work" / "results" / "odd.tar"))):
        done = run(*arguments, **environment)  # type: ignore[arg-type]  # no number of columns
        assert done.returncode == 0, done.stderr
    assert (home / "work" / "data" / "raw" / "odd" / "runs.jsonl").stat().st_size > 0
    assert not list(home.glob("*/.bench")), "what the bench keeps lies beside the sessions"

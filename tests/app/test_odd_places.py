"""The whole way in a home whose name needs quoting everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import default_folders

PROGRAM = [sys.executable, "-c", "from edgemoe_appliance.app import main; main()"]
PLACE = "My Files, (ü) 'quoted' $HOME"


@pytest.mark.engine
@pytest.mark.slow
def test_a_home_with_spaces_and_more(tmp_path: Path) -> None:
    home = tmp_path / PLACE
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "EDGEMOE_WORK": str(home / "work"),
        "EDGEMOE_CACHE": str(default_folders().cache.absolute()),
    }
    (home / "work").mkdir()
    for arguments in (
        ("bench", "--experiment", "smoke", "--twins", "tiny", "--session", "odd"),
        ("archive", "odd"),
        ("verify", str(home / "work" / "results" / "odd.tar")),
    ):
        done = subprocess.run(
            [*PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (home / "work" / "data" / "raw" / "odd" / "runs.jsonl").stat().st_size > 0
    assert not list(home.glob("*/.bench")), "what the bench keeps lies beside the sessions"

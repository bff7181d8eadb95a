"""The demo from end to end, on tiny twins: what a new user sees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.records import EndRecord, Status
from tests.app.programme import write_smaller_study
from tests.conftest import RealEngine

pytestmark = [pytest.mark.engine, pytest.mark.slow]
COMMAND = [sys.executable, "-c", "from edgemoe_appliance.app import main; main()"]


def run(work: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    cache = str(default_folders().cache.resolve())
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"EDGEMOE_WORK": str(work), "EDGEMOE_CACHE": cache, "COLUMNS": "120"},
        check=False,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, whose demo makes each run once; a container makes each thrice."""
    thrice, once = (f"repetitions: {number}\n    n_predict: 8" for number in (3, 1))
    return write_smaller_study(tmp_path_factory.mktemp("study"), thrice, once)


@pytest.fixture(scope="module")
def demo(engine: RealEngine, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo once; `engine` makes sure that it need not build."""
    work = tmp_path_factory.mktemp("work")
    done = run(work, "demo", "--twins", "tiny", "--study", str(study))
    (work / "output.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    return work


def test_it_measures_the_whole_matrix(demo: Path) -> None:
    (session,) = (demo / "data/raw").glob("demo-*")
    lines = iterate_journal(session / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    ends = [record for record in records if isinstance(record, EndRecord)]
    assert len(ends) == 4 * 15
    assert {end.status for end in ends} == {Status.OK}


def test_it_says_which_engine_was_used_and_where_the_report_is(demo: Path) -> None:
    output = (demo / "output.txt").read_text()
    assert "llama.cpp: b4" in output
    assert "tokens/s" in output
    (page,) = (demo / "results").glob("*/report.html")
    assert str(page) in output.replace("\n", "")
    assert "wins" in page.read_text()


def test_the_report_can_be_made_again_to_the_byte(demo: Path, study: Path, tmp_path: Path) -> None:
    (session,) = (demo / "data/raw").glob("demo-*")
    done = run(demo, "report", session.name, "--out", str(tmp_path), "--study", str(study))
    assert done.returncode == 0, done.stderr
    (page,) = (demo / "results").glob("*/report.html")
    assert (tmp_path / "report.html").read_bytes() == page.read_bytes()

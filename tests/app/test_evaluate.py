"""`evaluate` as typed, on tiny twins and the real engine: killed in the middle, and resumed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, read_progress
from edgemoe_appliance.schema.plan import read_plan
from tests.app.programme import run, write_smaller_study
from tests.app.test_commands import COMMAND
from tests.conftest import RealEngine

SESSION = "kick-the-tires-tiny-twins"
# --force: a machine that tests run on may be short of disk or memory for a real evaluation.
ASKED = ("evaluate", "--kick-the-tires", "--twins", "tiny", "--force")
_OF_DEMO = "demo_efficiency, demo_length, "
_DEADLINE_S = 900


def environment(work: Path) -> dict[str, str]:
    cache = str(default_folders().cache.resolve())
    named = {"EDGEMOE_WORK": str(work), "EDGEMOE_CACHE": cache, "COLUMNS": "120"}
    return os.environ | named


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    done = run(*ASKED, "--dry-run", columns=120, EDGEMOE_WORK=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "232 of 232 runs" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_kicking_the_tires_does_not_have(tmp_path: Path) -> None:
    done = run(*ASKED, "--target", "jetson", EDGEMOE_WORK=str(tmp_path))
    assert done.returncode == 2
    assert "on target host, native" in done.stderr


@pytest.mark.engine
@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_an_archive_that_verifies(
    engine: RealEngine, tmp_path: Path
) -> None:
    """`engine` makes sure that it need not build; the demo's own runs are made by its test."""
    whole, rest = (f"kick_the_tires: [{of_demo}demo_routing" for of_demo in (_OF_DEMO, ""))
    study = write_smaller_study(tmp_path / "study", whole, rest)
    command = [*COMMAND, *ASKED, "--study", str(study)]
    finished = kill_in_the_middle(command, tmp_path)
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "data/raw" / SESSION
    progress, plan = read_progress(folder / JOURNAL_NAME), read_plan(folder / PLAN_NAME)
    assert all(progress.is_done(run.id) for run in plan.runs)
    assert all(progress.attempts[run_id] == 1 for run_id in finished)
    archive = tmp_path / "results" / f"{SESSION}.tar"
    assert done.stdout.rstrip().endswith(f"verify: edgemoe-appliance verify {archive}")
    verified = run("verify", str(archive), EDGEMOE_WORK=str(tmp_path))
    assert verified.returncode == 0, verified.stdout
    sha256 = next(line for line in verified.stdout.splitlines() if line.startswith("sha256"))
    assert sha256 in done.stdout


def kill_in_the_middle(command: list[str], work: Path) -> set[str]:
    """Start an evaluation, kill it with no warning amid its runs, and return the finished ones."""
    journal = work / "data/raw" / SESSION / JOURNAL_NAME
    with subprocess.Popen(
        command, env=environment(work), stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline_s = time.monotonic() + _DEADLINE_S
        while len(read_progress(journal).ends) < 10:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    return {run for run, end in read_progress(journal).ends.items() if end.status.is_final}

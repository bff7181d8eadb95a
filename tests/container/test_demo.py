"""The demo's matrix in a container, from the command line, beside the same runs bare."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.schema.imagelock import read_lock
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, PeriodRecord, Status
from tests.conftest import RealEngine
from tests.container.conftest import IMAGES

pytestmark = [pytest.mark.container, pytest.mark.engine, pytest.mark.slow]
COMMAND = [sys.executable, "-c", "from edgemoe_appliance.app import main; main()"]
LENGTH = ("--experiment", "demo_length", "--twins", "tiny")
DEMO = ("--experiment", "demo_efficiency", *LENGTH)


def command(work: Path, docker_host: str, *arguments: str) -> None:
    """Run a command of ours as a user would, and see it succeed."""
    environment = {
        "EDGEMOE_WORK": str(work),
        "EDGEMOE_CACHE": str(default_folders().cache.resolve()),
        "DOCKER_HOST": docker_host,
    }
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def bench(work: Path, docker_host: str, *arguments: str) -> Path:
    """Bench from the command line and return the session's folder."""
    command(work, docker_host, "bench", "--pin", "b4447", "--session", "demo", *arguments)
    return work / "data/raw/demo"


def by_run(folder: Path) -> dict[str, EndRecord]:
    ends = {}
    for line in iterate_journal(folder / JOURNAL_NAME):
        assert isinstance(line, JournalLine)
        if isinstance(line.record, EndRecord):
            ends[line.record.run_id] = line.record
    return ends


def test_the_demo_runs_in_a_container_and_does_the_same_work_as_bare(
    docker_engine: DockerEngine, base_image: str, engine: RealEngine, tmp_path: Path
) -> None:
    boxed_work = tmp_path / "boxed"
    (boxed_work / "images").mkdir(parents=True)
    shutil.copy(IMAGES / "bases.yaml", boxed_work / "images")
    bases = ("--base-image", base_image, "--runtime-image", base_image)
    boxed = bench(boxed_work, docker_engine.host, "--runtime", "container", *bases, *DEMO)
    ends = by_run(boxed)
    assert len(ends) == 180
    assert {end.status for end in ends.values()} == {Status.OK}
    lock = read_lock(boxed_work / "images", "host")
    assert lock is not None
    for line in iterate_journal(boxed / JOURNAL_NAME):
        if isinstance(line, JournalLine) and isinstance(line.record, HeaderRecord):
            assert line.record.image == lock.image.config_sha256
        if isinstance(line, JournalLine) and isinstance(line.record, PeriodRecord):
            assert line.record.host.in_container
    archived = tmp_path / "demo.tar"
    command(
        boxed_work, docker_engine.host, "archive", "demo", "--with-image", "--out", str(archived)
    )
    command(boxed_work, docker_engine.host, "verify", str(archived))
    with tarfile.open(archived) as archive:
        sizes = {member.name: member.size for member in archive}
    assert max(sizes.values()) > 50 * 10**6, "the image is inside"
    assert any(name.endswith("HARDWARE.md") for name in sizes)
    bare = by_run(bench(tmp_path / "bare", docker_engine.host, *LENGTH))
    assert len(bare) == 36
    for run_id, end in bare.items():
        for key in ("prompt_tokens", "generated_tokens", "model_file_bytes"):
            assert ends[run_id].metrics[key] == end.metrics[key]

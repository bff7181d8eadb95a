"""Somebody else's program on a real engine: it sees its files and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.offline import OfflineRun, run_offline
from edgemoe_appliance.errors import HostError

pytestmark = pytest.mark.container
INSIDE = PurePosixPath("/as-made/file")


def run(engine: DockerEngine, image: str, script: str, path: Path) -> OfflineRun:
    path.write_text("its own file\n")
    path.chmod(0o644)
    return run_offline(engine, image, ("/bin/sh", "-c", script), {INSIDE: path})


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"cat {INSIDE}", "its own file\n"),
        ("id -u", "10001\n"),
        ("ls /sys/class/net", "lo\n"),
        (f"echo x > {INSIDE} || echo refused", "refused\n"),
        ("touch /x || echo refused", "refused\n"),
        ("grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
        ("touch /tmp/x && echo written", "written\n"),
    ],
)
def test_it_sees_its_files_and_reaches_nothing(
    script: str,
    expected: str,
    docker_engine: DockerEngine,
    script_image: Callable[[str], ImageIdentity],
    tmp_path: Path,
) -> None:
    image = script_image("exit 3")
    done = run(docker_engine, image.image_id, script, tmp_path / "file")
    assert (done.exit_code, done.output.decode()) == (0, expected)


def test_its_end_and_both_outputs_are_kept(
    docker_engine: DockerEngine, script_image: Callable[[str], ImageIdentity], tmp_path: Path
) -> None:
    image = script_image("exit 3")
    script = "echo out; echo bad >&2; exit 8"
    done = run(docker_engine, image.image_id, script, tmp_path / "file")
    assert (done.exit_code, done.output, done.errors) == (8, b"out\n", b"bad\n")


def test_an_image_that_is_not_there_is_named(docker_engine: DockerEngine, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="the image no-such-image is not on this engine"):
        run(docker_engine, "no-such-image", "true", tmp_path / "file")

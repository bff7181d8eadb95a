"""The engine goes away in the middle of a session and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import log_tail
from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.launcher import ContainerLauncher
from tests.container.images import build_script_image
from tests.container.plans import HOST_PROFILE
from tests.container.second_engine import SecondEngine, second_engine
from tests.container.test_containers import follow, new_session, read

pytestmark = [
    pytest.mark.container,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("ip")),
        reason="needs root, dockerd and ip to start an engine of its own",
    ),
]
CLOSING = (
    "trap 'echo closed > /session/closed; exit 130' TERM; echo began > /session/began;"
    " while :; do sleep 0.1; done"
)


@pytest.fixture
def mortal(docker_engine: DockerEngine, base_image: str) -> Iterator[SecondEngine]:
    """Start an engine that holds the local base image."""
    with second_engine() as engine:
        with open_engine(engine.host) as opened:
            opened.api.load_image(b"".join(docker_engine.api.get_image(base_image)))
        yield engine


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_engine_that_is_restarted_in_mid_session_is_waited_for(
    mortal: SecondEngine, base_image: str, tmp_path: Path, number: signal.Signals
) -> None:
    session = new_session(tmp_path, HOST_PROFILE)
    with open_engine(mortal.host) as engine:
        image = build_script_image(engine, base_image, CLOSING)
        measuring = ContainerLauncher(engine=engine, image=image, say=print).launch(
            read(session), session
        )
        while not (session / "began").exists():
            time.sleep(0.1)
        mortal.end(number)
        time.sleep(1.1)
        assert measuring.poll() is None, "an engine that is away is no reason to give up"
        mortal.start()
        code = follow(measuring)
    # Without live-restore, the engine ends its containers: the journal is closed by the signal.
    assert code == 130, log_tail(session)
    assert (session / "closed").exists()

"""An engine behind ssh: nothing is shared, so plan and models go there and results come back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel
from tests.container.test_measuring import ends, make_plan, no_traces, one_model

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
pytestmark = [
    pytest.mark.container,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or SSHD is None, reason="needs root and sshd (openssh-server)"
    ),
]


@pytest.fixture
def board_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an sshd of our own on the loopback and let `ssh` find its keys."""
    pytest.importorskip("paramiko", reason="the SDK wants it for ssh://, whichever client it uses")
    for name in ("host_key", "id"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host_key",
        "AuthorizedKeysFile": tmp_path / "id.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
    }
    config = tmp_path / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ssh").write_text(
        f"#!/bin/sh\nexec {shutil.which('ssh')} -i {tmp_path}/id -o StrictHostKeyChecking=no"
        f' -o UserKnownHostsFile={tmp_path}/known "$@"\n'
    )
    (tools / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([str(SSHD), "-D", "-f", config], stderr=subprocess.DEVNULL) as sshd:
        wait_for_port(port)
        yield f"ssh://root@127.0.0.1:{port}"
        sshd.terminate()


def wait_for_port(port: int) -> None:
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")


def test_session_is_measured_behind_ssh(
    board_address: str,
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    plan = make_plan(configs, image_engines, one_model(tiny_models), measurement_image)
    folder = tmp_path / "short"
    said: list[str] = []
    with open_engine(board_address) as engine:
        assert not engine.shares_files
        image = read_identity(engine, measurement_image.reference)
        assert image is not None and image.image_id == measurement_image.image_id
        launcher = ContainerLauncher(engine=engine, image=image, say=said.append)
        outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (1, 0)
    assert ends(folder)["llama-3.2-1b"].metrics["generated_tokens"] == 8
    assert no_traces(docker_engine, folder)


def test_board_that_does_not_listen_is_named(board_address: str) -> None:
    nobody = board_address.rpartition(":")[0] + ":9"
    with pytest.raises(HostError) as caught, open_engine(nobody, timeout_s=10):
        pass
    assert caught.value.exit_code == 3
    assert caught.value.where == nobody

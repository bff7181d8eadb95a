from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.container.client import (
    ImageStore,
    chosen_host,
    describe_failure,
    open_engine,
    parse_engine_facts,
)
from edgemoe_appliance.errors import ConfigError, HostError


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder short enough for the 108 bytes of a socket's path."""
    with tempfile.TemporaryDirectory(prefix="em") as folder:
        yield Path(folder)


def failure_at(address: str, timeout_s: float = 5) -> HostError:
    with pytest.raises(HostError) as caught, open_engine(address, timeout_s=timeout_s):
        pass
    assert caught.value.exit_code == 3
    assert caught.value.where == address
    return caught.value


def test_no_socket(short_folder: Path) -> None:
    error = failure_at(f"unix://{short_folder}/none.sock")
    assert "no Docker engine is running" in error.what
    assert "start it" in error.hint


def test_stale_socket(short_folder: Path) -> None:
    path = short_folder / "stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    error = failure_at(f"unix://{path}")
    assert "nothing answers" in error.what


def test_hung_engine(short_folder: Path) -> None:
    path = short_folder / "hung.sock"
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen()
        error = failure_at(f"unix://{path}", timeout_s=1)
    assert "does not answer in time" in error.what


def test_nothing_on_a_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "nothing answers" in failure_at(f"tcp://127.0.0.1:{port}").what


def test_engine_that_hangs_up(short_folder: Path) -> None:
    path = short_folder / "rude.sock"
    with socket.socket(socket.AF_UNIX) as rude:
        rude.bind(str(path))
        rude.listen()

        def hang_up() -> None:
            connection, _ = rude.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        error = failure_at(f"unix://{path}")
        thread.join()
    assert "went away" in error.what or "closed the connection" in error.what


def test_permission() -> None:
    cause = PermissionError(13, "Permission denied")
    error = describe_failure(RuntimeError("('Connection aborted.')", cause), "connect", "unix:///x")
    assert "no permission" in error.what
    assert "group docker" in error.hint


def test_wrong_address() -> None:
    with pytest.raises(ConfigError, match="unix://"), open_engine("laptop"):
        pass


def test_refusal_is_told_in_the_engines_words() -> None:
    class RefusalError(Exception):
        explanation = "no space left on device"

    error = describe_failure(RefusalError("500 Server Error"), "make the container", "unix:///x")
    assert "refused to make the container: no space left on device" in error.what


def test_address_comes_from_the_flag_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://board")
    assert chosen_host("unix:///mine") == "unix:///mine"
    assert chosen_host(None) == "ssh://board"
    monkeypatch.delenv("DOCKER_HOST")
    assert chosen_host(None) == "unix:///var/run/docker.sock"


def facts(**info: Any) -> Any:
    version = {"Version": "20.10.24", "ApiVersion": "1.41"}
    return parse_engine_facts({"CgroupVersion": "1", **info}, version)


def test_facts_of_a_graph_driver() -> None:
    found = facts(
        DriverStatus=[["Backing Filesystem", "extfs"]],
        SecurityOptions=["name=seccomp,profile=default"],
        Runtimes={"runc": {}, "nvidia": {}},
        SwapLimit=False,
        MemoryLimit=True,
    )
    assert found.image_store is ImageStore.CONFIG_ADDRESSED
    assert found.cgroup_version == 1
    assert found.runtimes == ("nvidia", "runc")
    assert (found.limits_memory, found.limits_swap, found.maps_users) == (True, False, False)


def test_facts_of_containerd_and_of_rootless() -> None:
    found = facts(
        DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]],
        SecurityOptions=["name=rootless"],
        CgroupVersion="2",
    )
    assert found.image_store is ImageStore.MANIFEST_ADDRESSED
    assert found.maps_users
    assert found.cgroup_version == 2


def test_sdk_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; import edgemoe_appliance.container.launcher, edgemoe_appliance.container.image"
        "; sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


@pytest.mark.parametrize("host", ["tcp://x:99999999", "tcp://x:port", "ssh://[::1", "gopher://x"])
def test_what_is_no_address_of_an_engine_is_a_wrong_flag(host: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of an engine"), open_engine(host):
        pass

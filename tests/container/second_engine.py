"""A Docker engine of the test's own, which may be killed: beside the one that others use.

It has its own socket, folders and bridge; without a bridge of its own it would take down docker0.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgemoe_appliance.container.client import open_engine
from edgemoe_appliance.errors import HostError

_BRIDGE = "edgemoetest0"
_WAIT_S = 60


class SecondEngine:
    """A dockerd that can be ended and started again, and the containerd that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.host = f"unix://{folder}/docker.sock"
        self._folder = folder
        self._dockerd: subprocess.Popen[bytes] | None = None
        self._containerd = self._start(
            "containerd",
            f"--root={folder}/containerd",
            f"--state={folder}/state",
            f"--address={folder}/containerd.sock",
        )

    def start(self) -> None:
        """Start dockerd and wait until it answers."""
        self._dockerd = self._start(
            "dockerd",
            f"--host={self.host}",
            f"--containerd={self._folder}/containerd.sock",
            f"--data-root={self._folder}/data",
            f"--exec-root={self._folder}/exec",
            f"--pidfile={self._folder}/pid",
            f"--bridge={_BRIDGE}",
            "--iptables=false",
            "--ip-masq=false",
        )
        end_s = time.monotonic() + _WAIT_S
        while time.monotonic() < end_s:
            try:
                with open_engine(self.host, timeout_s=5):
                    return
            except HostError:
                time.sleep(0.2)
        raise AssertionError((self._folder / "log").read_text()[-2000:])

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End dockerd; killed, it leaves its containers running and its pid file behind."""
        if self._dockerd is not None:
            self._dockerd.send_signal(number)
            self._dockerd.wait(_WAIT_S)
            self._dockerd = None
            (self._folder / "pid").unlink(missing_ok=True)

    def close(self) -> None:
        """End all of it."""
        self.end()
        self._containerd.terminate()
        self._containerd.wait(_WAIT_S)


@contextlib.contextmanager
def second_engine() -> Iterator[SecondEngine]:
    """Start a second engine and remove all of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="em-engine-"))
    subprocess.run(["ip", "link", "add", _BRIDGE, "type", "bridge"], check=True)
    subprocess.run(["ip", "addr", "add", "172.31.255.1/24", "dev", _BRIDGE], check=True)
    subprocess.run(["ip", "link", "set", _BRIDGE, "up"], check=True)
    engine = SecondEngine(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
        subprocess.run(["ip", "link", "delete", _BRIDGE], check=True)
        # A killed dockerd leaves its data folder mounted on itself.
        subprocess.run(["umount", "--quiet", folder / "data"], check=False)
        shutil.rmtree(folder, ignore_errors=True)

"""Debian's docker-registry on the loopback, with its storage in a folder of the test's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PROGRAM = shutil.which("docker-registry")
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {folder}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_START_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """Run a registry for as long as the context is open and give its address."""
    assert PROGRAM is not None
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(folder=folder / "storage", port=port))
    with subprocess.Popen([PROGRAM, "serve", config], stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(url: str) -> None:
    deadline_s = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline_s, "the registry does not answer"
            time.sleep(0.1)

"""Boards behind a real ssh: network namespaces of this machine, each with an sshd of its own.

A board has its own address behind a virtual cable, its own keys, host name and process numbers; it
shares the disk of this machine. `pull_cable` and `cut_power` are what they say.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
LACKING = "needs root, sshd (openssh-server), ip (iproute2) and network namespaces"
_PORT = 22
_WAIT_S = 30


@cache
def has_boards() -> bool:
    """Return whether such boards can be made here."""
    if os.geteuid() != 0 or SSHD is None or shutil.which("ip") is None:
        return False
    probe = ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


@dataclass
class SshBoard:
    """One board: `name` is the namespace and what `ssh` calls it."""

    name: str
    number: int
    folder: Path
    _power: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"10.203.{self.number}.2"

    def make(self) -> None:
        """Lay the cable, make the keys, and start it."""
        here, there = f"eh{self.number}", f"eb{self.number}"
        _ip("netns", "add", self.name)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        _ip("address", "add", f"10.203.{self.number}.1/30", "dev", here)
        _ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", there)
        for each in ("lo", there):
            _ip("-n", self.name, "link", "set", each, "up")
        self.put_cable()
        self.folder.mkdir(parents=True)
        make_key(self.folder / "host_key")
        (self.folder / "sshd_config").write_text(
            f"Port {_PORT}\nListenAddress {self.address}\nHostKey {self.folder}/host_key\n"
            f"AuthorizedKeysFile {self.folder.parent}/id.pub\nAuthenticationMethods publickey\n"
            "StrictModes no\nUsePAM no\nPidFile none\nMaxStartups 100\n"
        )
        self.start()

    def start(self) -> None:
        """Switch it on and wait until it listens."""
        Path("/run/sshd").mkdir(exist_ok=True)
        alone = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        run = 'hostname "$0" && exec "$@"'
        sshd = (str(SSHD), "-D", "-f", str(self.folder / "sshd_config"))
        self._power = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *alone, "sh", "-c", run, self.name, *sshd],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.address, _PORT)

    def cut_power(self) -> None:
        """End everything that runs on it, at once."""
        if self._power is not None:
            self._power.kill()
            self._power.wait()
            self._power = None

    def kill(self, pid: int) -> bool:
        """Kill a process by its number on the board."""
        return self._inside("kill", "-9", str(pid))

    def end_connections(self) -> bool:
        """Kill the sshd of every open connection; the one that listens goes on."""
        return self._inside("pkill", "-9", "-f", "^sshd: root@notty")

    def _inside(self, *command: str) -> bool:
        """Run a command among the board's processes; return whether it went well."""
        if self._power is None:
            return False
        enter = ["nsenter", "--target", str(self._first_process()), "--pid", "--mount"]
        return subprocess.run([*enter, *command], check=False, capture_output=True).returncode == 0

    def _first_process(self) -> int:
        assert self._power is not None
        children = Path(f"/proc/{self._power.pid}/task/{self._power.pid}/children")
        return int(children.read_text().split()[0])

    def pull_cable(self) -> None:
        _ip("link", "set", f"eh{self.number}", "down")

    def put_cable(self) -> None:
        _ip("link", "set", f"eh{self.number}", "up")

    def remove(self) -> None:
        """Take it away with all that was made for it."""
        self.cut_power()
        subprocess.run(["ip", "link", "del", f"eh{self.number}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@contextmanager
def ssh_boards(root: Path, names: Sequence[str]) -> Iterator[dict[str, SshBoard]]:
    """Make boards, and an `ssh` in `root`/bin that knows their addresses and keys, and only those.

    The names are made this process's own (`NAME-PID`), so that two can be at work on a machine.
    """
    root.mkdir(parents=True, exist_ok=True)
    make_key(root / "id")
    numbers = _free_numbers()
    boards = {name: SshBoard(f"{name}-{os.getpid()}", next(numbers), root / name) for name in names}
    try:
        for board in boards.values():
            board.make()
        _write_client(root, list(boards.values()))
        yield boards
    finally:
        for board in boards.values():
            board.remove()


def _write_client(root: Path, boards: Sequence[SshBoard]) -> None:
    """Write what a user has in ~/.ssh: names, keys, and the host keys that are trusted."""
    known, config = [], []
    for board in boards:
        public = (board.folder / "host_key.pub").read_text()
        known.append(f"{board.address} {public}")
        config += [f"Host {board.name}", f"  HostName {board.address}"]
    config += ["Host *", "  User root", f"  IdentityFile {root}/id", "  IdentitiesOnly yes"]
    config += [f"  UserKnownHostsFile {root}/known_hosts", "  StrictHostKeyChecking yes"]
    (root / "known_hosts").write_text("".join(known))
    (root / "ssh_config").write_text("\n".join(config) + "\n")
    (root / "bin").mkdir()
    tool = root / "bin" / "ssh"
    tool.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {root}/ssh_config "$@"\n')
    tool.chmod(0o755)


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def wait_for_port(address: str, port: int) -> None:
    end_s = time.monotonic() + _WAIT_S
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen at {address}")


def _free_numbers() -> Iterator[int]:
    """Yield numbers of cables that are not laid yet."""
    first = os.getpid() % 200 + 1
    for step in range(250):
        number = (first + step) % 250 + 1
        if not Path(f"/sys/class/net/eh{number}").exists():
            yield number


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

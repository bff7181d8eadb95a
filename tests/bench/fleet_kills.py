"""What a fleet loses when it is killed: hub, drivers, scheduler, boards and their cables.

    python -m tests.bench.fleet_kills [KILLS] [--seed N]

Three boards with two sessions of ten pretended runs each: one is this machine, two are reached by
a real ssh in network namespaces (as root, with sshd; else all three are this machine). Every few
seconds something is killed or taken away at random; a hub that ended is started again, now and then
on another folder and now and then twice at once. Whenever all six sessions have their archive, they
are checked and begun anew on fresh boards. In each such round every session must have one verified
archive made on its own board, every run must stand in its journal once, and no board may ever have
measured two sessions at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from edgemoe_appliance.fleet.hub import FleetJournal, is_archived
from tests.fleet.netns import SshBoard, has_boards, ssh_boards
from tests.fleet.shelves import Shelf, make_shelf, overlaps, prepare_archives

BOARDS = ("left", "middle", "right")
SESSIONS = 2
RUNS = 10
_RUN_S = 2.0
_APPLIANCE = "from edgemoe_appliance.app.main import main; main()"
_AWAY_S = 8.0
# Then a round is left in peace, so that it comes to its end and is checked.
_KILLS_A_ROUND = 9
# One that takes longer from then on has lost something, or waits for what never comes.
_MOST_LAST_S = 900.0


@dataclass(kw_only=True)
class Scheduler:
    """A Dask scheduler beside the hub, and a worker for each board, as a cluster would have."""

    root: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        at_home = ("--host", "127.0.0.1", "--no-dashboard")
        self._start("scheduler", *at_home, "--port", str(port))
        for board in BOARDS:
            alone = ("--nthreads", "1", "--resources", f"board-{board}=1", "--memory-limit", "0")
            self._start("worker", address, *at_home, *alone)
        return address

    def _start(self, *words: str) -> None:
        command = [sys.executable, "-m", "dask", *words]
        self.processes.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def kill(self) -> None:
        self.processes[0].kill()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()


@dataclass(kw_only=True)
class Rig:
    """The shelf, what runs on it, and what was killed so far."""

    root: Path
    shelf: Shelf
    ssh: Mapping[str, SshBoard]
    rng: random.Random
    path: str
    killed: Counter[str] = field(default_factory=Counter)
    hubs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: Scheduler | None = None
    folders: int = 1
    told: int = 0

    def start_hub(self) -> None:
        """Start a hub on the present folder, on a scheduler of its own or on one that is there."""
        command = [sys.executable, "-c", _APPLIANCE, "fleet", "run"]
        command += ["--boards", str(self.shelf.file), "--sessions", str(SESSIONS)]
        command += ["--name", f"fleet-{self.folders}", "--patience", "2"]
        if self.scheduler is None and self.rng.random() < 0.4:
            self.scheduler = Scheduler(root=self.root)
            command += ["--scheduler", self.scheduler.start()]
        with (self.root / "hub.log").open("ab") as log:
            self.hubs.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            )

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"EDGEMOE_WORK": str(self.root), "PATH": self.path}

    @property
    def is_at_work(self) -> bool:
        return any(hub.poll() is None for hub in self.hubs)

    def reap(self) -> int | None:
        """Forget hubs that have ended; return the code of the last one where none is left."""
        if self.is_at_work:
            return None
        code = self.hubs[-1].returncode
        self.hubs.clear()
        if self.scheduler is not None:
            self.scheduler.stop()
            self.scheduler = None
        return code

    @property
    def said_bytes(self) -> int:
        """Return how much the hubs have said: it grows when boards do something."""
        log = self.root / "hub.log"
        return log.stat().st_size if log.is_file() else 0

    def journal(self) -> FleetJournal:
        return FleetJournal(self.root / "data" / "fleets" / f"fleet-{self.folders}")


def _kill_hub(rig: Rig) -> bool:
    rig.rng.choice(rig.hubs).kill()
    return True


def _kill_driver(rig: Rig) -> bool:
    roots = [hub.pid for hub in rig.hubs]
    roots += [each.pid for each in rig.scheduler.processes[1:]] if rig.scheduler else []
    pids = [pid for root in roots for pid in _descendants(root, "spawn_main")]
    return _kill_one(rig, pids)


def _kill_scheduler(rig: Rig) -> bool:
    if rig.scheduler is None:
        return False
    rig.scheduler.kill()
    return True


def _kill_session(rig: Rig) -> bool:
    """Kill what measures on a board; behind ssh its process numbers are its own."""
    board = rig.rng.choice(BOARDS)
    path = rig.shelf.folder(board) / "running"
    if not path.is_file() or not (pid := path.read_text().strip()):
        return False
    if board not in rig.ssh:
        return _kill_one(rig, [int(pid)])
    return rig.ssh[board].kill(int(pid))


def _kill_connections(rig: Rig) -> bool:
    """End every open connection of a board; its sshd goes on listening."""
    return bool(rig.ssh) and _any(rig).end_connections()


def _pull_cable(rig: Rig) -> bool:
    if not rig.ssh:
        return False
    board = _any(rig)
    board.pull_cable()
    time.sleep(rig.rng.uniform(1, _AWAY_S))
    board.put_cable()
    return True


def _cut_power(rig: Rig) -> bool:
    if not rig.ssh:
        return False
    board = _any(rig)
    board.cut_power()
    time.sleep(rig.rng.uniform(0, _AWAY_S))
    board.start()
    return True


def _change_folder(rig: Rig) -> bool:
    """Kill the hub and go on in another folder, which knows nothing of what was done."""
    for hub in rig.hubs:
        hub.kill()
    rig.folders += 1
    return True


def _second_hub(rig: Rig) -> bool:
    """Start a second hub beside the first, on another folder."""
    if len(rig.hubs) > 1:
        return False
    rig.folders += 1
    rig.start_hub()
    return True


KINDS: Mapping[str, Callable[[Rig], bool]] = {
    "hub": _kill_hub,
    "driver": _kill_driver,
    "scheduler": _kill_scheduler,
    "session on a board": _kill_session,
    "connections of a board": _kill_connections,
    "cable pulled, put back": _pull_cable,
    "power of a board": _cut_power,
    "hub, then another folder": _change_folder,
    "second hub beside it": _second_hub,
}


def _any(rig: Rig) -> SshBoard:
    return rig.ssh[rig.rng.choice(list(rig.ssh))]


def _kill_one(rig: Rig, pids: list[int]) -> bool:
    with contextlib.suppress(ProcessLookupError):
        if pids:
            os.kill(rig.rng.choice(pids), signal.SIGKILL)
            return True
    return False


def _descendants(root: int, word: str) -> Iterator[int]:
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(root).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if word in " ".join(child.cmdline()):
                    yield child.pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sessions = [f"{board}-{n}" for board in BOARDS for n in range(1, SESSIONS + 1)]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        root = Path(name)
        prepared = prepare_archives(root / "prepared", sessions)
        ssh: Mapping[str, SshBoard] = {}
        if has_boards():
            ssh = opened.enter_context(ssh_boards(root / "ssh", BOARDS[1:]))
        rng = random.Random(options.seed)
        killed: Counter[str] = Counter()
        totals: Counter[str] = Counter()
        begun_s = time.monotonic()
        number = 0
        print(f"boards: left is this machine; ssh: {', '.join(ssh) or 'none'}", flush=True)
        while sum(killed.values()) < options.kills:
            number += 1
            place = root / f"round-{number}"
            hosts = {board: each.name for board, each in ssh.items()}
            shelf = make_shelf(place / "shelf", prepared, BOARDS, hosts)
            for board in BOARDS:
                shelf.set(board, "duration", _RUN_S)
                shelf.set(board, "runs", RUNS)
            path = f"{root / 'ssh' / 'bin'}:{os.environ['PATH']}" if ssh else shelf.path
            rig = Rig(root=place, shelf=shelf, ssh=ssh, rng=rng, path=path, killed=killed)
            _run_round(rig, options.kills)
            totals += _checked(rig, sessions)
            print(f"round {number}: {sum(killed.values())} kills, all is well", flush=True)
        _print(killed, totals, number, time.monotonic() - begun_s)


def _run_round(rig: Rig, kills: int) -> None:
    """Run the fleet to its end, killing something every now and then."""
    until_s = time.monotonic() + _MOST_LAST_S
    kills = min(kills, sum(rig.killed.values()) + _KILLS_A_ROUND)
    rig.start_hub()
    while time.monotonic() < until_s:
        time.sleep(rig.rng.uniform(0.1, 2.0))
        code = rig.reap()
        if code == 0:
            return
        if code is not None:
            rig.start_hub()
        elif sum(rig.killed.values()) < kills and rig.said_bytes > rig.told:
            # Something went on since the last time: what is killed over and over while it starts
            # would show nothing.
            time.sleep(rig.rng.uniform(0, 2 * _RUN_S))
            kind = rig.rng.choice(list(KINDS))
            if rig.is_at_work and KINDS[kind](rig):
                rig.told = rig.said_bytes
                until_s = time.monotonic() + _MOST_LAST_S
                rig.killed[kind] += 1
                print(f"  {time.strftime('%T')} {kind}", flush=True)
    raise AssertionError(f"a round did not end:\n{(rig.root / 'hub.log').read_text()[-4000:]}")


def _checked(rig: Rig, sessions: list[str]) -> Counter[str]:
    """Count what became of a round's sessions. Raises AssertionError for whatever is not right."""
    results = rig.journal().results()
    assert sorted(session for _, session in results) == sessions, results
    assert all(map(is_archived, results.values())), results
    begun = 0
    for board in BOARDS:
        events = rig.shelf.events(board)
        begun += sum(what == "begin" for what, _, _ in events)
        assert not overlaps(events), events
        assert {session.rpartition("-")[0] for _, session, _ in events} == {board}, events
        for session in (each for each in sessions if each.startswith(board)):
            runs = (rig.shelf.folder(board) / f"{session}.runs").read_text().splitlines()
            assert runs == [f"run {n}" for n in range(1, RUNS + 1)], runs
    return Counter(sessions=len(results), begun=begun, runs=len(results) * RUNS)


def _print(killed: Counter[str], totals: Counter[str], rounds: int, wall_s: float) -> None:
    for kind in KINDS:
        print(f"{kind:26} {killed[kind]:4}")
    print(f"{'in all':26} {sum(killed.values()):4}   in {rounds} rounds, {wall_s / 60:.1f} min")
    print(f"sessions {totals['sessions']}, begun or gone on with {totals['begun']} times")
    print(f"runs {totals['runs']}: lost 0, twice 0; sessions lost 0, on another board 0,")
    print("two at once on a board 0")


if __name__ == "__main__":
    main()

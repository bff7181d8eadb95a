"""What a fleet loses when it is killed: hub, drivers and boards, at random, again and again.

    python -m tests.bench.fleet_kills [KILLS]

Three pretended boards with two sessions each; the hub is started again whenever it has ended. At
the end every session must have one verified archive, made on its own board, and no board may ever
have made two at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from edgemoe_appliance.fleet.hub import FleetJournal, is_archived
from tests.fleet.shelves import Shelf, make_shelf, overlaps, prepare_archives

BOARDS = ("left", "middle", "right")
SESSIONS = 2
_HUB = "from edgemoe_appliance.app.main import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sessions = [f"{board}-{n}" for board in BOARDS for n in range(1, SESSIONS + 1)]
        shelf = make_shelf(root / "shelf", prepare_archives(root / "prepared", sessions), BOARDS)
        for board in BOARDS:
            shelf.set(board, "duration", 2)
        killed = _kill(shelf, root, options.kills, random.Random(options.seed))
        _print(shelf, root, killed)


def _kill(shelf: Shelf, root: Path, kills: int, rng: random.Random) -> Counter[str]:
    """Run the fleet to its end, killing something every now and then."""
    killed: Counter[str] = Counter()
    hub = _start(shelf, root)
    while True:
        time.sleep(rng.uniform(0.5, 4.0))
        if hub.poll() is not None:
            if sum(killed.values()) >= kills and hub.returncode == 0:
                return killed
            if hub.returncode == 0:  # all is done before all kills: begin again
                _forget(shelf, root)
            hub = _start(shelf, root)
        elif sum(killed.values()) < kills:
            what = rng.choice(("hub", "driver", "board"))
            victim = _victim(what, hub, shelf, rng)
            if victim is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed[what] += 1


def _start(shelf: Shelf, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _HUB, "fleet", "run", "--boards", str(shelf.file)]
    return subprocess.Popen(
        [*command, "--sessions", str(SESSIONS)],
        env=os.environ | {"EDGEMOE_WORK": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _victim(
    what: str, hub: subprocess.Popen[bytes], shelf: Shelf, rng: random.Random
) -> int | None:
    """Return a process of a kind, None where there is none just now."""
    if what == "hub":
        return hub.pid
    if what == "board":
        found = [shelf.folder(board) / "running" for board in BOARDS]
        pids = [int(path.read_text()) for path in found if path.is_file() and path.read_text()]
    else:
        try:
            children = psutil.Process(hub.pid).children()
        except psutil.NoSuchProcess:
            return None
        pids = [each.pid for each in children if "spawn_main" in " ".join(_words(each))]
    return rng.choice(pids) if pids else None


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _forget(shelf: Shelf, root: Path) -> None:
    """Check what is there, and remove the journal and archives so that all is made again."""
    _check(shelf, root)
    journal = FleetJournal(root / "data" / "fleets" / "fleet")
    for result in journal.results().values():
        if result.archive is not None:
            Path(result.archive).unlink(missing_ok=True)
    journal.path.unlink()


def _check(shelf: Shelf, root: Path) -> None:
    results = FleetJournal(root / "data" / "fleets" / "fleet").results()
    assert len(results) == len(BOARDS) * SESSIONS, results
    assert all(map(is_archived, results.values())), results
    for board in BOARDS:
        events = shelf.events(board)
        assert not overlaps(events), events
        assert {session.rpartition("-")[0] for _, session, _ in events} == {board}, events


def _print(shelf: Shelf, root: Path, killed: Counter[str]) -> None:
    _check(shelf, root)
    begun = sum(what == "begin" for board in BOARDS for what, _, _ in shelf.events(board))
    print(f"killed: {', '.join(f'{count} {what}' for what, count in sorted(killed.items()))}")
    print(f"sessions begun on boards, the killed ones among them: {begun}")
    print(f"{len(BOARDS) * SESSIONS} sessions, each with one verified archive of its own board;")
    print("lost: 0, twice: 0, on another board: 0, two at once on a board: 0")


if __name__ == "__main__":
    main()

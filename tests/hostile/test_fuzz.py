"""A thousand session folders that chance has made hostile, some of them exchanged all the time.

Each is looked at by what the host does with folders, as root and as an ordinary user. None may
follow a link, tell what lies elsewhere, end in a traceback or take longer than the bound.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.box import ACTIONS, Box
from tests.hostile.folders import NAMES, THINGS, Scene, lay, make_scene
from tests.hostile.test_folders import ROOT, judge

FOLDERS = 1000
ORDINARY = 12345
_BATCH = 50
# Takes names away, puts links in their place and brings them back, as fast as it can.
_EXCHANGER = """
import itertools, os, sys
folder, victim, *names = sys.argv[1:]
os.chdir(folder)
print("on", flush=True)
for name in itertools.cycle(names):
    try:
        os.rename(name, name + ".aside")
        os.symlink(victim, name)
        os.unlink(name)
        os.mkfifo(name)
        os.rename(name + ".aside", name)
    except OSError:
        try:
            os.rename(name + ".aside", name)
        except OSError:
            pass
"""


@contextlib.contextmanager
def exchanged(scene: Scene, chance: random.Random) -> Iterator[None]:
    """Exchange files of a folder for links for as long as the context is open."""
    names = ["session.json", "runs.jsonl", "samples", "live.json"]
    victim = chance.choice([scene.victim, scene.victim_folder])
    command = [sys.executable, "-S", "-c", _EXCHANGER, str(scene.folder), str(victim), *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def spoil(scene: Scene, chance: random.Random) -> None:
    """Put up to four things in the place of names, some of them nobody has heard of."""
    for _ in range(chance.randint(1, 4)):
        odd = "".join(chance.choices("ab.- \n\033\u202eé", k=chance.randint(1, 60)))
        name = chance.choice((*NAMES, f"odd-{odd}", f"samples/{odd}x"))
        thing = chance.choice([t for t in THINGS if ROOT or not t.needs_root])
        # What an earlier thing has left may be in the way of a later one.
        with contextlib.suppress(OSError, IndexError):
            lay(scene, name, thing)


def give(scene: Scene, uid: int) -> None:
    """Let an ordinary user own the place; the victims stay who they belong to."""
    subprocess.run(["chown", "-hR", f"{uid}:{uid}", scene.folder.parent], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(FOLDERS // _BATCH))
def test_no_folder_harms_its_reader(box: Box, template: Path, place: Path, batch: int) -> None:
    wrong = []
    for number in range(batch * _BATCH, (batch + 1) * _BATCH):
        chance = random.Random(number)
        root = place / str(number)
        root.mkdir()
        scene = make_scene(root, template)
        spoil(scene, chance)
        uid = ORDINARY if ROOT and number % 2 else os.geteuid()
        if uid != os.geteuid():
            give(scene, uid)
        moving = exchanged(scene, chance) if number % 5 == 0 else contextlib.nullcontext()
        with moving:
            for action in chance.sample(sorted(ACTIONS), 3):
                wrong += [f"{number}: {each}" for each in judge(box, scene, action, uid)]
    assert wrong == []

"""Every thing under every name, and everything that the host does with a session folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hostile.box import ACTIONS, BOUND_S, Box
from tests.hostile.folders import NAMES, THINGS, Scene, Thing, lay, make_scene

ROOT = os.geteuid() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.name)
def test_no_victim_is_harmed_and_nothing_hangs(
    box: Box, template: Path, place: Path, name: str, thing: Thing
) -> None:
    if thing.needs_root and not ROOT:
        pytest.skip("only root makes device nodes")
    wrong = []
    for action in ACTIONS:
        root = place / action
        root.mkdir()
        scene = make_scene(root, template)
        lay(scene, name, thing)
        wrong += judge(box, scene, action)
    assert wrong == []


def judge(box: Box, scene: Scene, action: str, uid: int | None = None) -> list[str]:
    """Do something to a folder and return what is wrong with how it ended."""
    before = scene.state()
    found = box.try_out(action, scene.folder, uid)
    wrong = []
    if found.kind not in ("done", "refused"):
        wrong.append(f"{action} {found.kind}: {found.text}")
    if scene.state() != before:
        wrong.append(f"{action} harmed a victim")
    if found.kind == "refused" and found.exit_code not in (2, 3, 6, 7):
        wrong.append(f"{action} ended with {found.exit_code}")
    if "diary" in found.text or is_published(scene):
        wrong.append(f"{action} tells what lies elsewhere")
    assert found.wall_s < 2 * BOUND_S
    return wrong


def is_published(scene: Scene) -> bool:
    """Return whether an archive holds words or names of a victim."""
    path = scene.folder.parent / "out" / "a.tar"
    if not path.exists():
        return False
    content = path.read_bytes()
    return b"diary-of-the-owner" in content or b"the owner's own words" in content

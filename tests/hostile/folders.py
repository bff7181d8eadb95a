"""Session folders as an attacker leaves them: what can be laid under a name, and how.

An attacker is whoever may write into the folder: a container while it measures, or who sent it.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.archive.sessions import write_small_session

LINKED = "linked"
SECRET = b"the owner's own words\n"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A session folder, and what must stay as it is: a file and a folder of the owner's."""

    folder: Path
    victim: Path
    victim_folder: Path

    def state(self) -> tuple[object, ...]:
        """Return all that an attack must not change: names, owners, and when it was read."""
        with os.scandir(self.victim_folder) as listed:
            paths = [self.victim, self.victim_folder, *(Path(each.path) for each in listed)]
        paths.append(self.folder.parents[1] / LINKED)
        return tuple(_facts(path) for path in sorted(paths))


def _facts(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    # Where the disk keeps it, a file tells whether it was read; of a folder, listing it counts.
    # A hard link is a plain file, which may be read.
    read_ns = status.st_atime_ns if path.is_file() and path.name != LINKED else 0
    return (path.name, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_size, read_ns)


def make_template(root: Path) -> Path:
    """Write a good session once; each scene has a copy of it."""
    return write_small_session(root)


def make_scene(root: Path, template: Path) -> Scene:
    """Set up a folder and its victims in an empty place."""
    raw = root / "raw"
    raw.mkdir(parents=True)
    shutil.copy(template / "session.json", raw / "plan-in-memory.json")
    folder = raw / template.name
    shutil.copytree(template, folder)
    (root / "raw" / "out").mkdir()
    victim = root / "victim"
    victim.write_bytes(SECRET)
    victim.chmod(0o644)
    (root / LINKED).write_bytes(SECRET)
    victim_folder = root / "private"
    victim_folder.mkdir()
    (victim_folder / "diary-of-the-owner").write_bytes(SECRET)
    # Read before it was written, so that `relatime` notes the next reading.
    for path in (victim, victim_folder / "diary-of-the-owner"):
        os.utime(path, ns=(10**18, 2 * 10**18))
    return Scene(folder=folder, victim=victim, victim_folder=victim_folder)


Lay = Callable[[Path, Scene], None]


def link_to_file(path: Path, scene: Scene) -> None:
    path.symlink_to(scene.victim)


def link_to_folder(path: Path, scene: Scene) -> None:
    path.symlink_to(scene.victim_folder)


def link_to_nothing(path: Path, scene: Scene) -> None:
    path.symlink_to(scene.victim_folder / "made-by-the-host")


def link_to_itself(path: Path, _: Scene) -> None:
    path.symlink_to(path.name)


def link_to_zeros(path: Path, _: Scene) -> None:
    path.symlink_to("/dev/zero")


def link_upwards(path: Path, _: Scene) -> None:
    path.symlink_to("..")


def pipe(path: Path, _: Scene) -> None:
    os.mkfifo(path)


def socket_file(path: Path, _: Scene) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        # A path that is too long for a socket is taken from its own folder.
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            opened.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        finally:
            os.close(descriptor)


def zero_device(path: Path, _: Scene) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


def empty_folder(path: Path, _: Scene) -> None:
    path.mkdir()


def deep_folders(path: Path, _: Scene, depth: int = 1500) -> None:
    """Make folders within folders, deeper than a path may be long."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    name = path.name
    for _level in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        outer, descriptor = descriptor, os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(outer)
        name = "d"
    os.close(descriptor)


def endless_file(path: Path, _: Scene) -> None:
    with path.open("wb") as file:
        file.truncate(20 * 2**30)


def long_line(path: Path, _: Scene) -> None:
    with path.open("wb") as file:
        file.truncate(200 * 2**20)


def nested_json(path: Path, _: Scene) -> None:
    path.write_bytes(b"[" * 200_000)


def noise(path: Path, _: Scene) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def nothing(_: Path, __: Scene) -> None:
    """Leave the name free."""


def link_to_file_hard(path: Path, scene: Scene) -> None:
    path.hardlink_to(scene.folder.parents[1] / LINKED)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What can be laid under a name; `is_followed` where following it would reach a victim."""

    lay: Lay
    needs_root: bool = False

    @property
    def name(self) -> str:
        return self.lay.__name__


THINGS = (
    *(
        Thing(lay=each)
        for each in (
            link_to_file,
            link_to_folder,
            link_to_nothing,
            link_to_itself,
            link_to_zeros,
            link_upwards,
            pipe,
            socket_file,
            empty_folder,
            deep_folders,
            endless_file,
            long_line,
            nested_json,
            noise,
            nothing,
            link_to_file_hard,
        )
    ),
    Thing(lay=zero_device, needs_root=True),
)

NAMES = (
    "session.json",
    "runs.jsonl",
    "samples",
    "live.json",
    "live.partial",
    "measure.log",
    ".bench.lock",
    ".reserve",
    "session.container.json",
    "runs.jsonl.torn-0",
    "samples/new.json.gz",
    "samples/RAW",
    "odd",
)


def remove_tree(root: Path) -> None:
    """Remove what an attack has left; Python's own way is too short for some of it."""
    subprocess.run(["rm", "-rf", "--", root], check=True)


def lay(scene: Scene, name: str, thing: Thing) -> None:
    """Put a thing in the place of a name; `samples/RAW` stands for a raw file of a run."""
    if name == "samples/RAW":
        name = f"samples/{sorted((scene.folder / 'samples').iterdir())[0].name}"
    path = scene.folder / name
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
    thing.lay(path, scene)

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.engine import tree
from edgemoe_appliance.engine.tree import tree_digest, unpack_subdirectory
from edgemoe_appliance.errors import DigestError, HostError
from tests.engine.archives import link, regular, special, write_tar

Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.c").write_text("int a;")
    (root / "build.sh").write_text("make")
    (root / "build.sh").chmod(0o755)
    (root / "link").symlink_to("src/a.c")
    return root


def test_equal_trees_have_equal_digests_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "elsewhere", symlinks=True)
    (other / ".git").mkdir()
    (other / ".git" / "HEAD").write_text("ref: refs/heads/master")
    (other / "src" / "a.c").chmod(0o600)  # another umask
    os.utime(other / "src" / "a.c", (0, 0))
    assert tree_digest(other) == tree_digest(folder)


def test_every_change_changes_the_digest(folder: Path) -> None:
    digests = [tree_digest(folder)]

    def note() -> None:
        digests.append(tree_digest(folder))

    (folder / "src" / "a.c").write_text("int b;")
    note()
    (folder / "src" / "a.c").rename(folder / "src" / "b.c")
    note()
    (folder / "build.sh").chmod(0o644)
    note()
    (folder / "link").unlink()
    note()
    (folder / "link").symlink_to("build.sh")
    note()
    (folder / "new").write_text("")
    note()
    assert len(set(digests)) == 7


def test_a_pipe_in_a_tree_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(HostError, match="neither file, folder nor link"):
        tree_digest(folder)


def unpack(tmp_path: Path, *members: Member) -> Path:
    archive = write_tar(tmp_path / "a.tar.gz", *members)
    unpack_subdirectory(archive, "vendor/llama.cpp", tmp_path / "out")
    return tmp_path / "out"


def test_only_the_subdirectory_is_unpacked(tmp_path: Path) -> None:
    out = unpack(
        tmp_path,
        regular("p-1/setup.py"),
        special("p-1/vendor/llama.cpp", tarfile.DIRTYPE),
        regular("p-1/vendor/llama.cpp/CMakeLists.txt", b"project()"),
        regular("p-1/vendor/llama.cpp/scripts/run.sh", b"run", 0o4755),
        link("p-1/vendor/llama.cpp/scripts/up", "../CMakeLists.txt"),
        regular("p-1/vendor/llama.cpp-other/x"),
        link("p-1/other", "/etc/passwd"),
    )
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    assert found == ["CMakeLists.txt", "scripts", "scripts/run.sh", "scripts/up"]
    assert (out / "scripts" / "up").read_text() == "project()"
    assert (out / "scripts" / "run.sh").stat().st_mode & 0o7777 == 0o755


BASE = "p-1/vendor/llama.cpp/"
HOSTILE = {
    "absolute name": [regular("/p-1/vendor/llama.cpp/x")],
    "dots in a name": [regular(BASE + "../../../../x")],
    "absolute link": [link(BASE + "x", "/etc/passwd")],
    "link that leads out": [link(BASE + "src/x", "../../x")],
    "file behind a link": [link(BASE + "x", "src"), regular(BASE + "x/y")],
    "link behind a link": [link(BASE + "a/b", ".."), link(BASE + "a/b/c", "../../..")],
    "hard link": [special(BASE + "x", tarfile.LNKTYPE, BASE + "y")],
    "device": [special(BASE + "x", tarfile.CHRTYPE)],
    "pipe": [special(BASE + "x", tarfile.FIFOTYPE)],
    "nothing wanted": [regular("p-1/vendor/other/x")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("has_filter", [True, False])
def test_hostile_archives_are_refused(
    tmp_path: Path, members: list[Member], has_filter: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_filter:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with pytest.raises(DigestError):
        unpack(tmp_path, *members)
    assert not (tmp_path / "x").exists()


def test_an_archive_of_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(DigestError, match="larger than any source tree"):
        unpack(tmp_path, regular(BASE + "x", b"0" * 101))


def test_an_archive_of_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_MEMBERS", 3)
    with pytest.raises(DigestError, match="larger than any source tree"):
        unpack(tmp_path, *(regular(f"{BASE}{number}") for number in range(4)))


@pytest.mark.parametrize("kept_share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused(tmp_path: Path, kept_share: float) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", regular(BASE + "x", os.urandom(50_000)))
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept_share)])
    with pytest.raises(DigestError, match="not a readable archive"):
        unpack_subdirectory(archive, "vendor/llama.cpp", tmp_path / "out")

"""Sources as they travel: packed, unpacked and checked against the digest of the whole tree."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tree import tree_digest
from edgemoe_appliance.errors import DigestError
from edgemoe_appliance.kit.carried import (
    archive_name,
    is_read_by_builds,
    listing_name,
    pack_source,
    unpack_source,
)
from edgemoe_appliance.schema.configs import GitSource
from tests.engine.small_source import write_small_source

PIN = "b4404"


@pytest.fixture
def source(tmp_path: Path) -> PreparedSource:
    folder = write_small_source(tmp_path / "tree")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "scripts" / "tool.sh").chmod(0o755)
    (folder / "scripts" / "link").symlink_to("tool.sh")
    return PreparedSource(
        pin=PIN,
        source=GitSource(kind="git", repository="https://host/x", commit="0827b2c1" + "d" * 32),
        folder=folder,
        sha256=tree_digest(folder),
        build_number=4404,
        why="a test",
    )


def test_what_arrives_is_the_part_of_the_tree_that_builds_read(
    source: PreparedSource, tmp_path: Path
) -> None:
    carried = pack_source(source, tmp_path)
    found = unpack_source(carried, tmp_path, tmp_path / "there")
    assert (found.sha256, found.source) == (source.sha256, source.source)
    assert (found.folder / "main.cpp").exists() is False  # not below a folder that cmake reads
    assert (found.folder / "CMakeLists.txt").read_bytes()
    assert not (found.folder / "models").exists()
    assert (found.folder / "scripts" / "link").readlink() == Path("tool.sh")
    assert (found.folder / "scripts" / "tool.sh").stat().st_mode & 0o100
    assert unpack_source(carried, tmp_path, tmp_path / "there") == found


def test_equal_sources_give_equal_bytes(source: PreparedSource, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        pack_source(source, tmp_path / name)
    for name in (archive_name(PIN), listing_name(PIN)):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_tree_that_has_changed_is_not_packed(source: PreparedSource, tmp_path: Path) -> None:
    (source.folder / "main.cpp").write_text("changed")
    with pytest.raises(DigestError, match="changed since it was verified"):
        pack_source(source, tmp_path)


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write an archive again with other files."""
    with tarfile.open(archive) as tar:
        files = {
            member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isreg()
        }
    change(files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(content))
    archive.write_bytes(gzip.compress(buffer.getvalue()))


TOP = f"{PIN}/tree"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda files: files.update({f"{TOP}/common/arg.cpp": b"other"}), "is not of the tree"),
        (lambda files: files.update({f"{TOP}/common/more.cpp": b"more"}), "is not of the tree"),
        (lambda files: files.pop(f"{TOP}/common/arg.cpp"), "is missing of b4404"),
        (lambda files: files.update({f"{TOP}/../../out": b""}), "leaves the archive"),
    ],
    ids=["changed", "added", "removed", "outside"],
)
def test_what_is_not_of_the_tree_is_refused(
    source: PreparedSource, tmp_path: Path, change: Callable[[dict[str, bytes]], None], told: str
) -> None:
    (source.folder / "scripts" / "link").unlink()
    plain = PreparedSource(
        pin=PIN,
        source=source.source,
        folder=source.folder,
        sha256=tree_digest(source.folder),
        build_number=None,
        why="",
    )
    carried = pack_source(plain, tmp_path)
    rewrite(tmp_path / archive_name(PIN), change)
    with pytest.raises(DigestError, match=told):
        unpack_source(carried, tmp_path, tmp_path / "there")


def test_another_list_is_refused(source: PreparedSource, tmp_path: Path) -> None:
    carried = pack_source(source, tmp_path)
    listing = tmp_path / listing_name(PIN)
    entries = json.loads(listing.read_text())
    entries[0][1] = "0" * 64
    listing.write_text(json.dumps(entries))
    with pytest.raises(DigestError, match="is not the list of the tree"):
        unpack_source(carried, tmp_path, tmp_path / "there")


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        ("CMakeLists.txt", True),
        ("ggml/src/ggml-cuda/mmq.cu", True),
        ("ggml/src/ggml-vulkan/vulkan-shaders/add.comp", True),
        ("examples/main/main.cpp", True),
        ("tools/main/main.cpp", True),
        ("tests/test-backend-ops.cpp", False),
        ("models/ggml-vocab-qwen2.gguf", False),
        ("tools/server/public/index.html.gz", False),
        ("ggml/src/ggml-sycl/mmq.cpp", False),
        ("media/llama-leader.jpeg", False),
    ],
)
def test_what_builds_read(name: str, is_read: bool) -> None:
    assert is_read_by_builds(name) is is_read

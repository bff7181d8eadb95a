from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.container.context import (
    BUILDER_PARTS,
    LIGHT_PARTS,
    BuildInputs,
    list_entries,
    part_digests,
    recipe_digest,
    usual_inputs,
    write_context,
    write_folder,
)
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tree import tree_digest
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import DirectorySource
from tests.container.plans import HOST_PROFILE, JETSON_PROFILE
from tests.tools.untar import unpack


def write(path: Path, text: str = "x", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def source(tmp_path: Path) -> PreparedSource:
    folder = tmp_path / "llama"
    write(folder / "CMakeLists.txt", "project(x)")
    write(folder / "scripts" / "run.sh", "#!/bin/sh", 0o755)
    write(folder / ".git" / "HEAD", "ref")
    (folder / "link.txt").symlink_to("CMakeLists.txt")
    return PreparedSource(
        pin="b1",
        source=DirectorySource(kind="directory", path=str(folder)),
        folder=folder,
        sha256=tree_digest(folder),
        build_number=None,
        why="for tests",
    )


@pytest.fixture
def inputs(source: PreparedSource) -> BuildInputs:
    return usual_inputs(HOST_PROFILE, [source], {})


def context_of(inputs: BuildInputs) -> bytes:
    out = io.BytesIO()
    write_context(list_entries(inputs), out)
    return out.getvalue()


def names(inputs: BuildInputs) -> set[str]:
    return {entry.name for entry in list_entries(inputs)}


def test_context_holds_what_the_dockerfile_copies(inputs: BuildInputs) -> None:
    found = names(inputs)
    assert {
        "Dockerfile",
        "build_engines.py",
        "requirements.lock",
        "certificates/README",
        "sources/engines.json",
        "sources/b1/scripts/run.sh",
        "builder/edgemoe_appliance/_resources/docker/probe/build.sh",
        "builder/edgemoe_appliance/engine/build.py",
        "app/edgemoe_appliance/measure/__main__.py",
        "app/edgemoe_appliance/_resources/configs/devices.yaml",
    } <= found
    for folder in ("analysis", "report", "container", "app", "models"):
        assert not any(name.startswith(f"app/edgemoe_appliance/{folder}/") for name in found)
    assert not any(".git/" in name or "__pycache__" in name for name in found)


def test_two_contexts_of_equal_files_are_equal_bytes(
    inputs: BuildInputs, source: PreparedSource
) -> None:
    first = context_of(inputs)
    os.utime(source.folder / "CMakeLists.txt", (1, 1))
    (source.folder / "scripts" / "run.sh").chmod(0o700)
    assert context_of(inputs) == first


def test_members_have_no_owner_and_no_time(inputs: BuildInputs) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_of(inputs))) as archive:
        members = {member.name: member for member in archive}
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members.values()} == {(0, 0, 0, "")}
    assert members["sources/b1/scripts/run.sh"].mode == 0o755
    assert members["sources/b1/CMakeLists.txt"].mode == 0o644
    assert members["sources/b1/link.txt"].linkname == "CMakeLists.txt"


def test_unpacked_source_has_the_digest_that_is_said_beside_it(
    inputs: BuildInputs, tmp_path: Path
) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_of(inputs))) as archive:
        unpack(archive, tmp_path / "out")
    said = json.loads((tmp_path / "out/sources/engines.json").read_text())
    assert tree_digest(tmp_path / "out/sources/b1") == said["b1"]["sha256"]


def test_folder_and_tar_hold_the_same(inputs: BuildInputs, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_of(inputs))) as archive:
        unpack(archive, tmp_path / "tar")
    write_folder(list_entries(inputs), tmp_path / "folder")
    assert tree_digest(tmp_path / "folder") == tree_digest(tmp_path / "tar")


def test_recipe_changes_with_content_and_flags_only(
    inputs: BuildInputs, source: PreparedSource, tmp_path: Path
) -> None:
    parts = part_digests(list_entries(inputs))
    recipe = recipe_digest(parts, {"CMAKE_FLAGS": "-DA=1"})
    assert recipe != recipe_digest(parts, {"CMAKE_FLAGS": "-DA=2"})
    with_bundle = usual_inputs(
        HOST_PROFILE, [source], {"PIP_CERT": str(write(tmp_path / "ca.pem"))}
    )
    assert "certificates/ca.pem" in names(with_bundle)
    assert part_digests(list_entries(with_bundle)) == parts
    write(source.folder / "CMakeLists.txt", "project(y)")
    changed = part_digests(list_entries(inputs))
    assert recipe != recipe_digest(changed, {"CMAKE_FLAGS": "-DA=1"})
    assert {part for part in parts if parts[part] != changed[part]} == {f"sources/{source.pin}"}


def test_parts_of_a_context_are_what_a_person_would_name(inputs: BuildInputs) -> None:
    named = {"Dockerfile", "app", "builder", "build_engines.py", "requirements.lock"}
    assert named <= set(part_digests(list_entries(inputs)))


def test_jetson_context_differs_in_its_dockerfile_only(
    inputs: BuildInputs, source: PreparedSource
) -> None:
    assert names(usual_inputs(JETSON_PROFILE, [source], {})) == names(inputs)


def test_link_that_leads_out_of_a_source_is_refused(
    inputs: BuildInputs, source: PreparedSource
) -> None:
    (source.folder / "escape").symlink_to("/etc/passwd")
    with pytest.raises(HostError, match="leads out"):
        list_entries(inputs)


def test_missing_input_is_named(source: PreparedSource, tmp_path: Path) -> None:
    bundle = str(tmp_path / "none.pem")
    with pytest.raises(HostError, match="missing") as caught:
        list_entries(usual_inputs(HOST_PROFILE, [source], {"SSL_CERT_FILE": bundle}))
    assert caught.value.where == bundle


@pytest.mark.parametrize(
    ("parts", "root", "module"),
    [
        (LIGHT_PARTS, "app", "edgemoe_appliance.measure.__main__"),
        (BUILDER_PARTS, "builder", "edgemoe_appliance.engine.build"),
        (BUILDER_PARTS, "builder", "edgemoe_appliance.engine.probe_build"),
    ],
)
def test_part_of_the_package_in_the_image_stands_alone(
    inputs: BuildInputs, tmp_path: Path, parts: tuple[str, ...], root: str, module: str
) -> None:
    with tarfile.open(fileobj=io.BytesIO(context_of(inputs))) as archive:
        unpack(archive, tmp_path)
    assert set(parts) <= {p.name for p in (tmp_path / root / "edgemoe_appliance").iterdir()}
    heavy = ("docker", "pandas", "numpy", "matplotlib", "jinja2", "typer", "rich")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_image_pins_are_those_of_the_project(inputs: BuildInputs) -> None:
    root = Path(__file__).resolve().parents[2]
    ours = pinned(inputs.shared / "requirements.lock")
    assert {"pydantic", "psutil", "pyyaml"} <= set(ours)
    assert "pandas" not in ours and "docker" not in ours
    project = pinned(root / "requirements.lock")
    assert ours == {name: project.get(name) for name in ours}, "run make lock"


def pinned(lock: Path) -> dict[str, str]:
    """Return each requirement of a lock with its version and all its hashes."""
    entries: dict[str, str] = {}
    name = ""
    for line in lock.read_text().splitlines():
        if not line.startswith((" ", "#")):
            name = line.partition("==")[0]
            entries[name] = ""
        entries[name] = entries.get(name, "") + line.strip()
    return entries

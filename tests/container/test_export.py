"""An image as one file: the same bytes every time, taken by the engine, and never a wrong one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.export import export_image, unpack_saved, write_layout
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.tarstream import open_chunks
from edgemoe_appliance.errors import HostError
from tests.container.images import build_image_from, read_file
from tests.tools.docker_archive import ImageSettings, build_config

LAYERS = (b"first layer".ljust(512, b"\0"), b"second layer".ljust(512, b"\0"))


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar_of(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return out.getvalue()


def saved(layout: str, layers: tuple[bytes, ...] = LAYERS) -> bytes:
    """Return what an engine sends: the layout of before 25, of after, or with packed layers."""
    config = build_config(ImageSettings(tag="t"), [f"sha256:{sha(layer)}" for layer in LAYERS])
    if layout == "old":
        names = [f"{index}/layer.tar" for index, _ in enumerate(layers)]
        config_name = f"{sha(config)}.json"
        blobs = dict(zip(names, layers, strict=True))
    else:
        packed = [gzip.compress(x) for x in layers] if layout == "packed" else list(layers)
        names = [f"blobs/sha256/{sha(blob)}" for blob in packed]
        config_name = f"blobs/sha256/{sha(config)}"
        blobs = dict(zip(names, packed, strict=True))
    manifest = [{"Config": config_name, "RepoTags": ["t:1"], "Layers": names}]
    return tar_of(
        {**blobs, config_name: config, "manifest.json": json.dumps(manifest).encode()},
        {"9/layer.tar": "../0/layer.tar"},
    )


def layout_of(archive: bytes, folder: Path) -> bytes:
    folder.mkdir()
    out = io.BytesIO()
    write_layout(unpack_saved(open_chunks([archive]), folder), folder, "t:1", out)
    return out.getvalue()


def test_every_layout_of_an_engine_gives_the_same_file(tmp_path: Path) -> None:
    kinds = ("old", "new", "packed")
    files = {kind: layout_of(saved(kind), tmp_path / kind) for kind in kinds}
    assert files["old"] == files["new"] == files["packed"]


def test_every_blob_is_named_by_its_digest_and_every_reference_leads_to_one(
    tmp_path: Path,
) -> None:
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(layout_of(saved("old"), tmp_path / "x"))) as archive:
        for member in archive:
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")
            content = archive.extractfile(member)
            assert content is not None
            members[member.name] = content.read()
    assert list(members) == sorted(members)
    blobs = {name: data for name, data in members.items() if name.startswith("blobs/sha256/")}
    assert all(name.rpartition("/")[2] == sha(data) for name, data in blobs.items())
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads(members["index.json"])["manifests"]
    manifest = json.loads(blob_of(members, described))
    config = json.loads(blob_of(members, manifest["config"]))
    assert [blob_of(members, layer) for layer in manifest["layers"]] == list(LAYERS)
    assert [layer["digest"] for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]
    (loadable,) = json.loads(members["manifest.json"])
    assert {loadable["Config"], *loadable["Layers"]} <= set(blobs)


def blob_of(members: dict[str, bytes], descriptor: dict[str, object]) -> bytes:
    data = members[f"blobs/sha256/{str(descriptor['digest']).removeprefix('sha256:')}"]
    assert descriptor["size"] == len(data)
    return data


def test_missing_layer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="lacks 1 of its layers"):
        unpack_saved(open_chunks([saved("old", LAYERS[:1])]), tmp_path)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"manifest.json": b"[]"},
        {"manifest.json": b"no json"},
        {"manifest.json": b'[{"Config": "none"}]'},
        {"manifest.json": b'[{"Config": "c"}]', "c": b"{}"},
    ],
)
def test_archive_without_a_config_is_an_error(members: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(HostError, match="config"):
        unpack_saved(open_chunks([tar_of(members)]), tmp_path)


def test_archive_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    whole = saved("old")
    with pytest.raises(HostError, match="cut off"):
        unpack_saved(open_chunks([whole[:700]]), tmp_path)


@pytest.mark.container
def test_image_goes_out_and_comes_back_as_the_same_one(
    docker_engine: DockerEngine, base_image: str, tmp_path: Path
) -> None:
    recipe = f"FROM {base_image}\nRUN echo kept > /kept\nENV A=b\n"
    image = build_image_from(docker_engine, recipe, "edgemoe-test-export:latest")
    exported = export_image(docker_engine, image, tmp_path / "image.tar")
    again = export_image(docker_engine, image, tmp_path / "again.tar")
    assert (again.sha256, again.manifest_sha256) == (exported.sha256, exported.manifest_sha256)
    assert exported.sha256 == sha(exported.path.read_bytes())
    assert exported.bytes == exported.path.stat().st_size
    assert exported.config_sha256 == image.config_sha256
    assert exported.diff_ids == image.diff_ids
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.tar", "image.tar"]
    docker_engine.api.remove_image(image.image_id, force=True)
    with exported.path.open("rb") as file:
        list(docker_engine.api.load_image(file))
    back = read_identity(docker_engine, image.reference)
    assert back is not None
    assert (back.config_sha256, back.diff_ids) == (image.config_sha256, image.diff_ids)
    assert read_file(docker_engine, back, "/kept") == b"kept\n"
    docker_engine.api.remove_image(image.reference, force=True)

"""Archives of sessions in containers: image, lock, statement and their agreement."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.imagefile import check_image_file
from edgemoe_appliance.archive.results import MismatchKind, Verification
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.schema.imagelock import ImageLock, lock_path
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import record_line
from tests.analysis.journals import build_end, build_header, build_period, build_plan
from tests.archive.sessions import SMALL, archive, contents, maker, pack, with_digests
from tests.schema.locks import a_lock

LAYER = b"a layer" * 1000
BOXED = replace(SMALL, session="boxed", in_container=True, repetitions=1)


def image_config(layer: bytes = LAYER) -> bytes:
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()


CONFIG_SHA256 = f"sha256:{hashlib.sha256(image_config()).hexdigest()}"


def write_image(path: Path, config: bytes, layer: bytes) -> Path:
    with tarfile.open(path, "w") as image:
        for name, data in (("layer.tar", layer), ("config.json", config), ("manifest.json", b"[]")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            image.addfile(info, io.BytesIO(data))
    return path


def locked(config_sha256: str = CONFIG_SHA256) -> ImageLock:
    lock = a_lock(target="synthetic-target")
    image = lock.image.model_copy(update={"config_sha256": config_sha256})
    return lock.model_copy(update={"image": image})


def write_lock(images: Path, lock: ImageLock) -> Path:
    path = lock_path(images, lock.target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lock.model_dump_json())
    return images


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    """Return the folder of a session whose runs name the image."""
    plan: Plan = build_plan(BOXED).model_copy(update={"image": CONFIG_SHA256})
    lines = [record_line(build_period(plan, BOXED))]
    for spec in plan.runs:
        header = build_header(plan, spec)
        lines += [record_line(header), record_line(build_end(header))]
    folder = tmp_path / "raw/boxed"
    folder.mkdir(parents=True)
    (folder / PLAN_NAME).write_text(plan.model_dump_json())
    (folder / JOURNAL_NAME).write_bytes(b"".join(lines))
    return folder


@pytest.fixture
def boxed_archive(boxed: Path, tmp_path: Path) -> Path:
    image = write_image(tmp_path / "image.tar", image_config(), LAYER)
    images = write_lock(tmp_path / "images", locked())
    return archive(boxed, tmp_path / "boxed.tar", images=images, image_file=image).path


def check(files: dict[str, bytes], tmp_path: Path) -> Verification:
    return verify_archive(pack(files, tmp_path / "changed.tar", "boxed"), maker())


def test_an_archive_with_its_image_is_good(boxed_archive: Path) -> None:
    found = verify_archive(boxed_archive, maker())
    assert found.mismatches == ()
    files = contents(boxed_archive)
    statement = json.loads(files[layout.STATEMENT])
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"] == {"sha256": CONFIG_SHA256.removeprefix("sha256:")}
    image_sha256 = hashlib.sha256(files[layout.IMAGE]).hexdigest()
    assert statement["subject"][1] == {"name": layout.IMAGE, "digest": {"sha256": image_sha256}}
    packages = {part["name"] for part in json.loads(files[layout.IMAGE_SBOM])["components"]}
    assert packages == {"libc6", "python3", "psutil"}
    (image,) = [e for e in json.loads(files[layout.CRATE])["@graph"] if e["@id"] == "#image"]
    assert image["sha256"] == CONFIG_SHA256.removeprefix("sha256:")


@pytest.mark.parametrize("config", [image_config(b"other"), b"{}"])
def test_another_image_in_its_place_is_found(
    config: bytes, boxed_archive: Path, tmp_path: Path
) -> None:
    other = write_image(tmp_path / "other.tar", config, b"other").read_bytes()
    files = contents(boxed_archive)
    statement = json.loads(files[layout.STATEMENT])
    statement["subject"][1]["digest"]["sha256"] = hashlib.sha256(other).hexdigest()
    text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
    changed = {**files, layout.IMAGE: other, layout.STATEMENT: text.encode()}
    found = check(with_digests(changed), tmp_path)
    assert [(m.file, m.kind) for m in found.mismatches] == [(layout.IMAGE, MismatchKind.IMAGE)]


def test_another_lock_is_found(boxed_archive: Path, tmp_path: Path) -> None:
    lock = locked("sha256:" + "0" * 64).model_dump_json().encode()
    found = check(with_digests({**contents(boxed_archive), layout.LOCK: lock}), tmp_path)
    assert {layout.LOCK, layout.IMAGE_SBOM} <= {m.file for m in found.mismatches}


def test_a_statement_about_another_image_is_found(boxed_archive: Path, tmp_path: Path) -> None:
    files = contents(boxed_archive)
    text = files[layout.STATEMENT].replace(CONFIG_SHA256[7:].encode(), b"0" * 64)
    found = check(with_digests({**files, layout.STATEMENT: text}), tmp_path)
    assert [(m.file, m.kind) for m in found.mismatches] == [(layout.STATEMENT, MismatchKind.IMAGE)]


def test_a_lock_that_is_not_the_session_s_is_left_out_and_told(boxed: Path, tmp_path: Path) -> None:
    images = write_lock(tmp_path / "images", locked("sha256:" + "0" * 64))
    written = archive(boxed, tmp_path / "a.tar", images=images)
    assert "another image" in written.about.absent[layout.LOCK]
    found = verify_archive(written.path, maker())
    assert found.is_good
    assert layout.LOCK in {note.file for note in found.notes}


def test_an_image_that_is_not_the_session_s_is_refused(boxed: Path, tmp_path: Path) -> None:
    other = write_image(tmp_path / "other.tar", image_config(b"other"), b"other")
    with pytest.raises(ConfigError, match="holds no image"):
        archive(boxed, tmp_path / "a.tar", image_file=other)
    lacking = write_image(tmp_path / "lacking.tar", image_config(), b"other")
    with pytest.raises(ConfigError, match="lacks the layer"):
        archive(boxed, tmp_path / "a.tar", image_file=lacking)
    assert not (tmp_path / "a.tar").exists()


def test_a_native_session_takes_no_image(small_session: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tar", image_config(), LAYER)
    with pytest.raises(ConfigError, match="without a container"):
        archive(small_session, tmp_path / "a.tar", image_file=image)


@pytest.mark.parametrize("size", [1, 511, 512, 100_000])
def test_an_image_is_read_in_pieces_of_any_size(size: int, tmp_path: Path) -> None:
    data = write_image(tmp_path / "image.tar", image_config(), LAYER).read_bytes()
    check_image_file((data[at : at + size] for at in range(0, len(data), size)), CONFIG_SHA256)


@pytest.mark.parametrize("data", [b"", b"x" * 600, bytes(1024)])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        check_image_file([data], CONFIG_SHA256)


def test_an_image_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = write_image(tmp_path / "image.tar", image_config(), LAYER).read_bytes()
    with pytest.raises(RecordError, match="cut off"):
        check_image_file([data[:3000]], CONFIG_SHA256)

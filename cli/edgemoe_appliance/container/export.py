"""An image as one file: an OCI layout in a tar, the same bytes for the same image on any engine.

Layers lie uncompressed, so that the name of each is its diff id and no packer's version counts.
The file also has the manifest.json of `docker save`, so that `docker load` of any version takes
it. What the engine sends is checked against the digests in the image's config.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.image import image_tag
from edgemoe_appliance.container.tarstream import open_chunks, open_members
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.schema.base import canonical_json
from edgemoe_appliance.schema.files import check_disk_space, scratch_folder, sync, sync_folder
from edgemoe_appliance.schema.journal import PLAN_NAME
from edgemoe_appliance.schema.plan import Plan, read_plan

_BLOCK_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
# Configs and manifests are some kilobytes; the list of a large index stays below this.
_MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
_BLOBS: Final = "blobs/sha256"
# Source: OCI image specification 1.0, media-types.md and annotations.md.
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_NAME_ANNOTATION: Final = "org.opencontainers.image.ref.name"
_FILE_NAME: Final = "image.tar"


@dataclass(frozen=True, kw_only=True)
class ExportedImage:
    """An image in a file. `manifest_sha256` is of this file alone: a registry may have another."""

    path: Path
    sha256: str
    bytes: int
    config_sha256: str
    manifest_sha256: str
    diff_ids: tuple[str, ...]


def export_image(engine: DockerEngine, identity: ImageIdentity, path: Path) -> ExportedImage:
    """Write an image to a file, which is there whole or not at all.

    Needs the image's size twice on the disk of `path` while it works. Raises HostError where the
    disk is too small or the engine breaks off, DigestError where it sends other layers than the
    image has.
    """
    hint = "free disk space, or leave the image out"
    check_disk_space(path.parent, 2 * identity.size_bytes, hint)
    try:
        with scratch_folder(".image-", path.parent) as scratch:
            return _export(engine, identity, path, scratch)
    except OSError as error:
        raise HostError(
            f"the image cannot be written ({error.strerror})", where=str(path)
        ) from error


def _export(
    engine: DockerEngine, identity: ImageIdentity, path: Path, scratch: Path
) -> ExportedImage:
    with engine.errors(f"save the image {identity.reference}"):
        saved = unpack_saved(open_chunks(engine.api.get_image(identity.image_id)), scratch)
    if saved.config_sha256 != identity.config_sha256:
        raise DigestError(
            f"the engine sent an image with config {saved.config_sha256[:19]}..., "
            f"asked was {identity.config_sha256[:19]}..."
        )
    partial = scratch / "image.tar"
    with partial.open("wb") as file:
        written = write_layout(saved, scratch, identity.reference, file)
        file.flush()
        sync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
    return ExportedImage(
        path=path,
        sha256=written.sha256,
        bytes=path.stat().st_size,
        config_sha256=saved.config_sha256,
        manifest_sha256=written.manifest_sha256,
        diff_ids=saved.diff_ids,
    )


@dataclass(frozen=True, kw_only=True)
class SavedImage:
    """A saved image that was unpacked into a folder: a file for each layer, named by its digest."""

    config: bytes
    diff_ids: tuple[str, ...]

    @property
    def config_sha256(self) -> str:
        """Return the digest that names the image."""
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"


def unpack_saved(archive: IO[bytes], folder: Path) -> SavedImage:
    """Unpack what `docker save` makes of one image: layers as plain tars, each by its digest.

    Every member is kept under the sha256 of what it holds unpacked, whatever it is called: the
    layouts of engines differ in names alone. Raises HostError where the config or a layer is
    missing.
    """
    texts: dict[str, bytes] = {}
    with open_members(archive) as members:
        for member, content in members:
            if content is None:
                continue
            blob = _keep(content, folder)
            if member.size <= _MAX_TEXT_BYTES:
                texts[member.name] = blob.read_bytes()
    config = _find_config(texts)
    try:
        diff_ids = tuple(str(digest) for digest in json.loads(config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError) as error:
        raise HostError("the engine's archive of the image has no config of an image") from error
    missing = [digest for digest in diff_ids if not _blob(folder, digest).is_file()]
    if missing:
        raise HostError(
            f"the engine's archive of the image lacks {len(missing)} of its layers, "
            f"{missing[0][:19]}... among them"
        )
    return SavedImage(config=config, diff_ids=diff_ids)


def _keep(content: IO[bytes], folder: Path) -> Path:
    """Store a member, unpacked where it is packed, and return its file, named by its digest."""
    start = cast("io.BufferedReader", content).peek(len(_GZIP))
    plain = gzip.GzipFile(fileobj=content) if start.startswith(_GZIP) else content
    digest = hashlib.sha256()
    descriptor, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "wb") as file:
        while block := plain.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
    return Path(name).replace(folder / digest.hexdigest())


def _blob(folder: Path, digest: str) -> Path:
    return folder / digest.removeprefix("sha256:")


def _find_config(texts: dict[str, bytes]) -> bytes:
    try:
        (image,) = json.loads(texts["manifest.json"])
        return texts[str(image["Config"])]
    except (KeyError, ValueError, TypeError) as error:
        raise HostError("the engine's archive of the image names no config") from error


@dataclass(frozen=True, kw_only=True)
class _Written:
    sha256: str
    manifest_sha256: str


def write_layout(saved: SavedImage, folder: Path, name: str, out: BinaryIO) -> _Written:
    """Write an unpacked image as an OCI layout in a tar: sorted, of nobody, without times."""
    config_name = saved.config_sha256.removeprefix("sha256:")
    layers = [digest.removeprefix("sha256:") for digest in saved.diff_ids]
    manifest = canonical_json(_manifest(saved, folder)).encode()
    manifest_name = hashlib.sha256(manifest).hexdigest()
    texts = {
        f"{_BLOBS}/{config_name}": saved.config,
        f"{_BLOBS}/{manifest_name}": manifest,
        "index.json": canonical_json(_index(manifest, manifest_name, name)).encode(),
        "manifest.json": canonical_json(
            [
                {
                    "Config": f"{_BLOBS}/{config_name}",
                    "RepoTags": [name],
                    "Layers": [f"{_BLOBS}/{layer}" for layer in layers],
                }
            ]
        ).encode(),
        "oci-layout": canonical_json({"imageLayoutVersion": "1.0.0"}).encode(),
    }
    hashing = _HashingWriter(out)
    with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for member in sorted({*texts, *(f"{_BLOBS}/{layer}" for layer in layers)}):
            _add(archive, member, texts.get(member), folder)
    return _Written(sha256=hashing.digest.hexdigest(), manifest_sha256=f"sha256:{manifest_name}")


def _add(archive: tarfile.TarFile, name: str, text: bytes | None, folder: Path) -> None:
    header = tarfile.TarInfo(name)
    header.mode = 0o644
    if text is not None:
        header.size = len(text)
        archive.addfile(header, io.BytesIO(text))
        return
    blob = folder / name.rpartition("/")[2]
    header.size = blob.stat().st_size
    with blob.open("rb") as file:
        archive.addfile(header, file)


def _manifest(saved: SavedImage, folder: Path) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {
            "mediaType": _CONFIG_TYPE,
            "digest": saved.config_sha256,
            "size": len(saved.config),
        },
        "layers": [
            {
                "mediaType": _LAYER_TYPE,
                "digest": digest,
                "size": _blob(folder, digest).stat().st_size,
            }
            for digest in saved.diff_ids
        ],
    }


def _index(manifest: bytes, manifest_name: str, name: str) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": _INDEX_TYPE,
        "manifests": [
            {
                "mediaType": _MANIFEST_TYPE,
                "digest": f"sha256:{manifest_name}",
                "size": len(manifest),
                "annotations": {_NAME_ANNOTATION: name},
            }
        ],
    }


class _HashingWriter(io.RawIOBase):
    """A file that can be written forwards only, and the digest of what was."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self.digest.update(block)
        return self._out.write(block)


@contextlib.contextmanager
def exported_image(session: Path, scratch: Path, docker_host: str | None) -> Iterator[Path]:
    """Give the image of a session as a file below `scratch` for as long as the context is open.

    Raises ConfigError for a session without a container, HostError where no engine answers or the
    disk is too small, DigestError where the engine does not have that image any more.
    """
    plan = read_plan(session / PLAN_NAME)
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        open_engine(docker_host) as engine,
        scratch_folder(".image-", scratch) as folder,
    ):
        yield export_image(engine, find_image(engine, plan), folder / _FILE_NAME).path


def find_image(engine: DockerEngine, plan: Plan) -> ImageIdentity:
    """Return the image of a plan under its usual name, by the digest of its config.

    Raises ConfigError for a plan without one, DigestError where the engine does not have it.
    """
    if plan.image is None:
        raise ConfigError(
            f"session {plan.session} ran without a container: no image belongs to it",
            hint="leave out --with-image",
        )
    usual = image_tag(plan.target_id)
    # By its id where images are named by their config; else by what the usual tag stands for.
    for reference in (plan.image, usual):
        identity = read_identity(engine, reference)
        if identity is not None and identity.config_sha256 == plan.image:
            return dataclasses.replace(identity, reference=usual)
    raise DigestError(
        f"the image {plan.image[:19]}... of session {plan.session} is not on this engine",
        where=engine.host,
        hint="bring it back with `build --locked` or `build --pull`, or archive without it",
    )

"""Which image is which: digests of its config and layers, independent of tags and stores.

An image id is the digest of the config in one kind of store and of the manifest in the other;
manifests made by different tools differ for the same image, so they are recorded, not compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from edgemoe_appliance.container.client import DockerEngine, ImageStore
from edgemoe_appliance.container.normalised_config import settings_digest
from edgemoe_appliance.container.tarstream import open_chunks, open_members
from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.schema.imagelock import ImageLock

RECIPE_LABEL: Final = "edgemoe-appliance.recipe"


@dataclass(frozen=True, kw_only=True)
class ImageIdentity:
    """One image as an engine holds it. `image_id` is the engine's own name for it."""

    reference: str
    image_id: str
    store: ImageStore
    config_sha256: str
    diff_ids: tuple[str, ...]
    repo_digests: tuple[str, ...]
    architecture: str
    size_bytes: int
    labels: Mapping[str, str]
    settings_sha256: str


def read_identity(engine: DockerEngine, reference: str) -> ImageIdentity | None:
    """Return the identity of an image that the engine holds, or None. Pulls nothing."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    with engine.errors(f"look at the image {reference}"):
        try:
            found: Mapping[str, Any] = engine.api.inspect_image(reference)
        except ImageNotFound:
            return None
    return _identity(engine, reference, found)


def _identity(engine: DockerEngine, reference: str, found: Mapping[str, Any]) -> ImageIdentity:
    store = engine.facts.image_store
    image_id = str(found["Id"])
    config = found.get("Config") or {}
    return ImageIdentity(
        reference=reference,
        image_id=image_id,
        store=store,
        config_sha256=(
            image_id
            if store is ImageStore.CONFIG_ADDRESSED
            else _read_config_digest(engine, image_id)
        ),
        diff_ids=tuple((found.get("RootFS") or {}).get("Layers") or ()),
        repo_digests=tuple(found.get("RepoDigests") or ()),
        architecture=str(found.get("Architecture", "")),
        size_bytes=int(found.get("Size") or 0),
        labels=dict(config.get("Labels") or {}),
        settings_sha256=settings_digest(found),
    )


def _read_config_digest(engine: DockerEngine, image_id: str) -> str:
    """Return the config's digest out of the archive that the engine makes of an image."""
    with engine.errors(f"read the config of image {image_id}"):
        return parse_config_digest(open_chunks(engine.api.get_image(image_id)))


def parse_config_digest(archive: IO[bytes]) -> str:
    """Return `sha256:...` of the config named in the manifest.json of a docker archive."""
    with open_members(archive) as members:
        for member, content in members:
            if member.name == "manifest.json" and content is not None:
                config = str(json.load(content)[0]["Config"])
                return f"sha256:{config.removesuffix('.json').rpartition('/')[2]}"
    raise HostError("the engine's archive of the image names no config")


def check_image(engine: DockerEngine, reference: str, lock: ImageLock | None) -> ImageIdentity:
    """Return the identity of an image, after comparing it with the lock.

    Raises HostError where the engine does not have it (it is never pulled), DigestError where it
    is not the locked one.
    """
    identity = read_identity(engine, reference)
    if identity is None:
        raise HostError(
            f"the image {reference} is not on this engine",
            where=engine.host,
            hint="make it: edgemoe-appliance build",
        )
    if lock is None:
        raise DigestError(
            f"the image {reference} is not in the lock",
            hint="build it here: edgemoe-appliance build",
        )
    if identity.config_sha256 != lock.image.config_sha256:
        raise DigestError(
            f"the image {reference} is {identity.config_sha256[:19]}..., "
            f"locked is {lock.image.config_sha256[:19]}...",
            hint="build it again, or bring back the lock that belongs to it",
        )
    return identity

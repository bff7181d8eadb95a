"""One config for equal images: without the times, container names and builder of its build.

A builder writes into the config of an image when it ran and in which containers, so that two
builds of equal layers have different ids. Here the config is written anew from what it says about
running the image; the engine has the layers already and is given the config alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from edgemoe_appliance.container.client import DockerEngine, ImageStore
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.base import canonical_json, digest_of

# 2024-01-01; any moment would do that zip files can hold too.
SOURCE_DATE_EPOCH: Final = 1_704_067_200
# The digest of a tar without members, which one builder makes a layer of and another does not.
_EMPTY_LAYER: Final = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
# What a config says about running the image. Source: OCI image specification, config.md; Docker
# adds the health check and the shell.
_SETTINGS: Final = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "StopSignal"),
    *("Healthcheck", "Shell"),
)


def settings_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an engine's description of an image says about running it."""
    config = found.get("Config") or {}
    return {name: config[name] for name in _SETTINGS if config.get(name)}


def settings_digest(found: Mapping[str, Any]) -> str:
    """Return the sha256 of what an image says about running it."""
    return digest_of(settings_of(found))


def settled_layers(found: Mapping[str, Any]) -> list[str]:
    """Return the layers of an image without empty ones at its top."""
    diff_ids = list((found.get("RootFS") or {}).get("Layers") or ())
    while diff_ids and diff_ids[-1] == _EMPTY_LAYER:
        diff_ids.pop()
    return diff_ids


def build_config(found: Mapping[str, Any]) -> bytes:
    """Return the config of an image out of an engine's description of it, equal for equal images.

    Its sha256 is the image's id in a store that names images by their config.
    """
    diff_ids = settled_layers(found)
    labels = (found.get("Config") or {}).get("Labels") or {}
    created = datetime.fromtimestamp(SOURCE_DATE_EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config: dict[str, Any] = {
        "architecture": str(found.get("Architecture", "")),
        "os": str(found.get("Os", "linux")),
        "created": created,
        "config": {**settings_of(found), "Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": created, "created_by": "edgemoe-appliance"} for _ in diff_ids],
    }
    if found.get("Variant"):
        config["variant"] = str(found["Variant"])
    return canonical_json(config).encode()


def settle_image(engine: DockerEngine, tag: str) -> None:
    """Give an image that was just built the config that every equal build gets.

    Does nothing where images are named by their manifest: builders for such stores keep to
    SOURCE_DATE_EPOCH by themselves. Raises HostError where the engine does not take it.
    """
    from docker.errors import APIError  # noqa: PLC0415

    if engine.facts.image_store is not ImageStore.CONFIG_ADDRESSED:
        return
    with engine.errors(f"look at the image {tag}"):
        found: Mapping[str, Any] = engine.api.inspect_image(tag)
    config = build_config(found)
    image_id = f"sha256:{hashlib.sha256(config).hexdigest()}"
    if image_id == found["Id"]:
        return
    diff_ids = settled_layers(found)
    with engine.errors(f"load the settled config of {tag}"):
        list(engine.api.load_image(config_archive(config, diff_ids, tag)))
        if engine.api.inspect_image(tag)["Id"] != image_id:
            raise HostError(f"the engine did not take the settled config of {tag}")
        # The steps before it stay, as the next build starts from them.
        with contextlib.suppress(APIError):  # something else stands on it
            engine.api.remove_image(found["Id"], noprune=True)


def config_archive(config: bytes, diff_ids: list[str], tag: str) -> bytes:
    """Return what `docker load` makes an image of whose layers the engine has already."""
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    layers = [f"{digest.removeprefix('sha256:')}/layer.tar" for digest in diff_ids]
    manifest = canonical_json([{"Config": name, "RepoTags": [tag], "Layers": layers}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member_name, content in ((name, config), ("manifest.json", manifest)):
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()

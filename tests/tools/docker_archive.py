"""Writes docker-archive tars (what `docker load` reads) from layer tars, without an engine.

Deterministic: equal layers and settings give equal image ids. `docker import` would stamp the
time instead.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What an image's config says beside its layers."""

    tag: str
    architecture: str = "amd64"
    command: tuple[str, ...] = ("/bin/sh",)
    created_epoch_s: int = 0


def build_config(settings: ImageSettings, diff_ids: Sequence[str]) -> bytes:
    """Return the image config; its sha256 is the image id."""
    created = datetime.fromtimestamp(settings.created_epoch_s, timezone.utc).isoformat()
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = {
        "architecture": settings.architecture,
        "os": "linux",
        "created": created,
        "config": {"Cmd": list(settings.command), "Env": [path]},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": created, "created_by": "docker_archive.py"} for _ in diff_ids],
    }
    return json.dumps(config, sort_keys=True).encode()


def write_archive(out: BinaryIO, layers: Sequence[Path], settings: ImageSettings) -> str:
    """Write an archive of the layers, lowest first, and return the image id."""
    digests = [_sha256_of(layer) for layer in layers]
    config = build_config(settings, [f"sha256:{digest}" for digest in digests])
    image_id = hashlib.sha256(config).hexdigest()
    manifest = [
        {
            "Config": f"{image_id}.json",
            "RepoTags": [settings.tag],
            "Layers": [f"{digest}/layer.tar" for digest in digests],
        }
    ]
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for layer, digest in zip(layers, digests, strict=True):
            with layer.open("rb") as file:
                archive.addfile(_entry(f"{digest}/layer.tar", layer.stat().st_size), file)
        for name, data in (
            (f"{image_id}.json", config),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            archive.addfile(_entry(name, len(data)), io.BytesIO(data))
    return f"sha256:{image_id}"


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--layer", type=Path, action="append", required=True)
    parser.add_argument("--architecture", default="amd64")
    parser.add_argument("--created-epoch-s", type=int, default=0)
    given = parser.parse_args()
    settings = ImageSettings(
        tag=given.tag,
        architecture=given.architecture,
        created_epoch_s=given.created_epoch_s,
    )
    write_archive(sys.stdout.buffer, given.layer, settings)


if __name__ == "__main__":
    main()

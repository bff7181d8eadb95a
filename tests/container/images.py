"""Small images for tests: the local base with a shell script as its process."""

from __future__ import annotations

import io
import json
import tarfile

from edgemoe_appliance.container.client import Engine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity

BASE = "edgemoe-test-base:bookworm"


def build_script_image(engine: Engine, base: str, script: str) -> ImageIdentity:
    """Build an image that runs `script`; the measuring process's arguments are its $1, $2, ..."""
    entrypoint = json.dumps(["/bin/sh", "-c", script, "measure"])
    recipe = f"FROM {base}\nUSER 10001\nENTRYPOINT {entrypoint}\n".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(recipe)
        archive.addfile(member, io.BytesIO(recipe))
    context.seek(0)
    tag = "edgemoe-test-script:latest"
    answers = engine.api.build(
        fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True
    )
    failures = [answer["error"] for answer in answers if "error" in answer]
    assert not failures, failures
    identity = read_identity(engine, tag)
    assert identity is not None
    return identity


def read_file(engine: Engine, image: ImageIdentity, path: str) -> bytes:
    """Return one file of an image; nothing is run."""
    container = engine.api.create_container(image.image_id, ["never"])["Id"]
    try:
        chunks, _ = engine.api.get_archive(container, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            assert file is not None
            return file.read()
    finally:
        engine.api.remove_container(container)

"""Small images for tests: the local base with a shell script as its process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile

from docker.errors import APIError

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity

BASE = "edgemoe-test-base:bookworm"
# Each worker replaces its own.
_SCRIPT = f"edgemoe-test-script:{os.environ.get('PYTEST_XDIST_WORKER', 'latest')}"


def target_name(target_id: str) -> str:
    """Return the name under which tests build a target's image, so that the user's stays."""
    return f"test-{target_id}"


def build_script_image(engine: DockerEngine, base: str, script: str) -> ImageIdentity:
    """Build an image that runs `script`; the measuring process's arguments are its $1, $2, ..."""
    entrypoint = json.dumps(["/bin/sh", "-c", script, "measure"])
    # As in the real image: a new volume takes its owner from here.
    own = "RUN install -d -o 10001 -g 10001 /session"
    recipe = f"FROM {base}\nUSER 0\n{own}\nUSER 10001\nENTRYPOINT {entrypoint}\n"
    recipe += f"LABEL tests={_SCRIPT}\n"
    return build_image_from(engine, recipe, _SCRIPT)


def build_image_from(engine: DockerEngine, recipe: str, tag: str) -> ImageIdentity:
    """Build an image from a Dockerfile that needs no other file; it replaces an older one."""
    before = read_identity(engine, tag)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(recipe.encode())
        archive.addfile(member, io.BytesIO(recipe.encode()))
    context.seek(0)
    answers = engine.api.build(
        fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True
    )
    failures = [answer["error"] for answer in answers if "error" in answer]
    assert not failures, failures
    identity = read_identity(engine, tag)
    assert identity is not None
    if before is not None and before.image_id != identity.image_id:
        with contextlib.suppress(APIError):  # in use by a container that goes on
            engine.api.remove_image(before.image_id)
    return identity


def read_file(engine: DockerEngine, image: ImageIdentity, path: str) -> bytes:
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

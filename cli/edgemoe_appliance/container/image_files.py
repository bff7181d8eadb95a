"""The files inside an image, read without running anything of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import created_container
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import IMAGE_USER, LaunchSpec, User
from edgemoe_appliance.container.tarstream import open_chunks, open_members

# Status files of package managers are some hundred kilobytes; more is not one of those.
_MAX_FILE_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """An image whose files can be asked for."""

    engine: DockerEngine
    container_id: str

    def stream(self, path: str) -> IO[bytes] | None:
        """Return a file or folder as the stream of a tar, or None where it is not there."""
        from docker.errors import NotFound  # noqa: PLC0415

        with self.engine.errors(f"read {path} of the image"):
            try:
                chunks, _ = self.engine.api.get_archive(self.container_id, path)
            except NotFound:
                return None
        return open_chunks(chunks)

    def content(self, path: str) -> bytes | None:
        """Return what a plain file holds, or None where there is none; absurd sizes are cut."""
        archive = self.stream(path)
        if archive is None:
            return None
        with self.engine.errors(f"read {path} of the image"), open_members(archive) as members:
            for _, content in members:
                return content.read(_MAX_FILE_BYTES) if content is not None else None
        return None


@contextlib.contextmanager
def opened_image(engine: DockerEngine, identity: ImageIdentity) -> Iterator[ImageFiles]:
    """Give the files of an image for as long as the context is open."""
    with created_container(engine, _reader(identity)) as reader:
        yield ImageFiles(engine=engine, container_id=reader.container_id)


def _reader(identity: ImageIdentity) -> LaunchSpec:
    """Return a container that is never started: it only makes the image's files readable."""
    return LaunchSpec(
        name=f"edgemoe-read-{identity.image_id[-12:]}",
        image_id=identity.image_id,
        # Never run; an image without an entry point cannot be made a container of without one.
        command=("never",),
        user=User(uid=IMAGE_USER, gid=IMAGE_USER),
        groups=(),
        environment={},
        labels={},
        mounts=(),
        runtime="runc",
        memory_limit_bytes=None,
        pids_limit=16,
    )

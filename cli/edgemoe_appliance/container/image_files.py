"""What is inside an image, read out of its files without running anything of it.

The packages of the system and of Python, and the engines, which are checked file by file against
their build records.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import created_container
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import (
    ENGINES_FOLDER,
    IMAGE_USER,
    LaunchSpec,
    User,
    engine_inside,
)
from edgemoe_appliance.container.tarstream import open_chunks, open_members, path_below_top
from edgemoe_appliance.engine.build import has_tools, read_build
from edgemoe_appliance.engine.probe_build import read_probe
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.imagelock import ImagePackages
from edgemoe_appliance.schema.plan import EngineBuild, ProbeFacts

# Status files of package managers are some hundred kilobytes; more is not one of those.
_MAX_FILE_BYTES: Final = 32 * 1024 * 1024
_RELEASE: Final = "/usr/lib/os-release"
_DPKG_STATUS: Final = "/var/lib/dpkg/status"
_PYTHON_FOLDER: Final = "/opt/edgemoe/lib"
# Binary distribution format: NAME-VERSION.dist-info, with `-` in neither.
_PYTHON_PACKAGE: Final = re.compile(r"([A-Za-z0-9._]+)-([A-Za-z0-9._+!]+)\.dist-info")
# A CUDA build with its kernels is some hundred megabytes.
_MAX_ENGINE_BYTES: Final = 4 * 10**9


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """An image whose files can be asked for."""

    engine: DockerEngine
    container_id: str
    streams: contextlib.ExitStack

    def stream(self, path: str) -> IO[bytes] | None:
        """Return a file or folder as the stream of a tar, or None where it is not there.

        It is closed with the image: an engine does not remove a container that is still being read.
        """
        from docker.errors import NotFound  # noqa: PLC0415

        with self.engine.errors(f"read {path} of the image"):
            try:
                chunks, _ = self.engine.api.get_archive(self.container_id, path)
            except NotFound:
                return None
        return self.streams.enter_context(contextlib.closing(open_chunks(chunks)))

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
    with created_container(engine, _reader(identity)) as reader, contextlib.ExitStack() as streams:
        yield ImageFiles(engine=engine, container_id=reader.container_id, streams=streams)


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


def read_packages(engine: DockerEngine, identity: ImageIdentity) -> ImagePackages:
    """Read what an image has installed; nothing of it is run."""
    with opened_image(engine, identity) as files:
        release = files.content(_RELEASE) or b""
        status = files.content(_DPKG_STATUS) or b""
        folder = files.stream(_PYTHON_FOLDER)
        python = {} if folder is None else parse_python_folder(folder)
    return ImagePackages(
        distribution=parse_distribution(release.decode(errors="replace")),
        system=parse_dpkg_status(status.decode(errors="replace")),
        python=python,
    )


def parse_distribution(release: str) -> str | None:
    """Return ID and VERSION_ID of an os-release file joined, or None without both."""
    pairs = (line.partition("=") for line in release.splitlines())
    values = {name: value.strip("\"'") for name, _, value in pairs}
    parts = [values[name] for name in ("ID", "VERSION_ID") if values.get(name)]
    return "-".join(parts) if len(parts) == 2 else None


def parse_dpkg_status(status: str) -> dict[str, str]:
    """Return the versions of installed packages by `name:architecture`. Source: deb822(5)."""
    found: dict[str, str] = {}
    for paragraph in status.split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.splitlines() if line[:1] != " ")
        fields = {name: value for name, _, value in lines}
        if fields.get("Status", "").endswith(" installed") and "Version" in fields:
            name = f"{fields.get('Package', '')}:{fields.get('Architecture', '')}"
            found[name] = fields["Version"]
    return dict(sorted(found.items()))


def parse_python_folder(archive: IO[bytes]) -> dict[str, str]:
    """Return the versions of the packages in the tar of a folder that pip installed into."""
    with open_members(archive) as members:
        names = {PurePosixPath(member.name).name for member, _ in members if member.isdir()}
    matches = (_PYTHON_PACKAGE.fullmatch(name) for name in sorted(names))
    return {match[1]: match[2] for match in matches if match}


def read_engines(engine: DockerEngine, identity: ImageIdentity) -> dict[str, EngineBuild]:
    """Return the engines of an image by pin, each with its probe, its tools and its paths inside.

    Nothing is run for it; an image without engines gives none. Raises HostError where it holds
    other things among them, DigestError where a file is not the one that was built.
    """
    doing = f"read the engines of {identity.reference}"
    with scratch_folder("edgemoe-image-") as scratch:
        with opened_image(engine, identity) as files, engine.errors(doing):
            archive = files.stream(str(ENGINES_FOLDER))
            if archive is not None:
                unpack_engines(archive, scratch)
        return {folder.name: _read_engine(folder) for folder in sorted(scratch.iterdir())}


def _read_engine(folder: Path) -> EngineBuild:
    probe = read_probe(folder / "probe")
    facts = ProbeFacts(
        path=str(probe.library), sha256=probe.sha256, build_key=probe.description.key
    )
    build = read_build(folder, with_tools=has_tools(folder))
    return engine_inside(build.model_copy(update={"probe": facts}))


def unpack_engines(archive: IO[bytes], folder: Path) -> None:
    """Unpack the tar of the folder of all engines: engine/PIN/... becomes PIN/...

    Raises HostError for anything but plain files and folders, and for absurd sizes.
    """
    total_bytes = 0
    with open_members(archive) as members:
        for member, content in members:
            if member.isdir():
                continue
            inside = path_below_top(member.name, least_parts=2)
            total_bytes += member.size
            if content is None or inside is None or total_bytes > _MAX_ENGINE_BYTES:
                raise HostError(f"the image holds {member.name!r} among its engines")
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)

"""The engines inside a measurement image, checked file by file against their build records."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.image_files import opened_image
from edgemoe_appliance.container.launch import ENGINES_FOLDER, engine_inside
from edgemoe_appliance.container.tarstream import open_members, path_below_top
from edgemoe_appliance.engine.build import read_build
from edgemoe_appliance.engine.probe_build import read_probe
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.plan import EngineBuild, ProbeFacts

# A CUDA build with its kernels is some hundred megabytes.
_MAX_BYTES: Final = 4 * 10**9


def read_engines(engine: DockerEngine, identity: ImageIdentity) -> dict[str, EngineBuild]:
    """Return the engines of an image by pin, each with its probe and its paths inside.

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
    return engine_inside(read_build(folder).model_copy(update={"probe": facts}))


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
            if content is None or inside is None or total_bytes > _MAX_BYTES:
                raise HostError(f"the image holds {member.name!r} among its engines")
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)

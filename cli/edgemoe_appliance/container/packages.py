"""What is installed inside an image: the system's packages and Python's, read out of its files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import IO, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.image_files import opened_image
from edgemoe_appliance.container.tarstream import open_members
from edgemoe_appliance.schema.imagelock import ImagePackages

_RELEASE: Final = "/usr/lib/os-release"
_DPKG_STATUS: Final = "/var/lib/dpkg/status"
_PYTHON_FOLDER: Final = "/opt/edgemoe/lib"
# Binary distribution format: NAME-VERSION.dist-info, with `-` in neither.
_PYTHON_PACKAGE: Final = re.compile(r"([A-Za-z0-9._]+)-([A-Za-z0-9._+!]+)\.dist-info")


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

from __future__ import annotations

import io
import tarfile

import pytest

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.image_files import (
    parse_distribution,
    parse_dpkg_status,
    parse_python_folder,
    read_packages,
)

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u9
Description: GNU C Library
 Version: 99 of a description is no version

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.134
"""


def test_installed_packages_alone_count() -> None:
    assert parse_dpkg_status(STATUS) == {"adduser:all": "3.134", "libc6:amd64": "2.36-9+deb12u9"}
    assert parse_dpkg_status("") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('NAME="Debian"\nID=debian\nVERSION_ID="12"\n', "debian-12"),
        ("ID=debian\n", None),
        ("", None),
    ],
)
def test_distribution(text: str, expected: str | None) -> None:
    assert parse_distribution(text) == expected


def test_python_packages_are_known_by_their_folders() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in (
            "lib",
            "lib/pydantic",
            "lib/pydantic_core-2.27.1.dist-info",
            "lib/x.dist-info",
        ):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
    assert parse_python_folder(io.BytesIO(out.getvalue())) == {"pydantic_core": "2.27.1"}


@pytest.mark.container
def test_packages_of_the_measurement_image(
    docker_engine: DockerEngine, measurement_image: ImageIdentity
) -> None:
    packages = read_packages(docker_engine, measurement_image)
    assert packages.distribution == "debian-12"
    assert {"libc6:amd64", "libgomp1:amd64", "python3:amd64"} <= set(packages.system)
    assert {"psutil", "pydantic", "pydantic_core", "pyyaml"} <= set(packages.python)
    assert all(packages.system.values())
    assert not any(name.startswith("g++") for name in packages.system), "compilers stay outside"

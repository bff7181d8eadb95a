"""The software of the environment that makes an archive, as a CycloneDX bill of materials.

Reads the installed Python packages and, where there is dpkg, the system's. No clock and no random
serial number: equal environments give equal bytes.
"""

from __future__ import annotations

import csv
import json
import platform
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import Distribution, distributions
from typing import Any, Final

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.schema.schema import SchemaVersion1Dot6
from packageurl import PackageURL

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import digest_of

_PREFIX: Final = "edgemoe-appliance"
_FORMAT: Final = "CycloneDX"
_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_DPKG: Final = "dpkg-query"
_DPKG_FORMAT: Final = "${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n"
_DPKG_TIMEOUT_S: Final = 60
# What an installer writes anew on each machine.
_INSTALLER_FILES: Final = ("/INSTALLER", "/REQUESTED", "/direct_url.json", ".pth")
# A name of our own for serial numbers that follow from the content.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:edgemoe-appliance:sbom")


@dataclass(frozen=True, kw_only=True, order=True)
class PythonPackage:
    """One installed distribution; `files_sha256` is over the digests that its RECORD gives."""

    name: str
    version: str
    files_sha256: str | None


@dataclass(frozen=True, kw_only=True, order=True)
class SystemPackage:
    """One package of the system's package manager."""

    name: str
    version: str
    architecture: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is installed somewhere; `system_reason` says why there are no system packages.

    `name` and `version` are of what the packages are installed in.
    """

    name: str
    version: str | None
    python: tuple[PythonPackage, ...]
    system: tuple[SystemPackage, ...]
    system_name: str
    system_reason: str | None


def read_environment() -> Environment:
    """Return what is installed in this environment and on this system."""
    packages, reason = _read_dpkg()
    return Environment(
        name="python",
        version=platform.python_version(),
        python=tuple(sorted({_python_package(found) for found in distributions()})),
        system=packages,
        system_name=_system_name(),
        system_reason=reason,
    )


def build_sbom(environment: Environment, made_utc: datetime) -> bytes:
    """Return the bill of materials as JSON; `made_utc` is a moment that the records tell."""
    serial = uuid.uuid5(_NAMESPACE, digest_of([repr(environment), made_utc.isoformat()]))
    whole = Component(
        name=environment.name,
        version=environment.version,
        type=ComponentType.PLATFORM,
        bom_ref="whole",
    )
    components = [*_python_components(environment), *_system_components(environment)]
    parts = [Dependency(part.bom_ref) for part in components]
    bom = Bom(
        serial_number=serial,
        metadata=BomMetaData(component=whole, timestamp=made_utc),
        components=components,
        properties=_properties(environment),
        dependencies=[Dependency(whole.bom_ref, parts), *parts],
    )
    return _json(bom)


def _json(bom: Bom) -> bytes:
    """Return a bill of materials as the library's writer of JSON gives it.

    The writer itself first looks for each component among all dependencies, which for a system of a
    thousand packages takes longer than all else; here each has its one, under a reference of ours.
    """
    untyped: Any = bom
    document = {
        **json.loads(untyped.as_json(view_=SchemaVersion1Dot6)),
        "$schema": _SCHEMA,
        "bomFormat": _FORMAT,
        "specVersion": "1.6",
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def check_sbom(content: bytes) -> None:
    """Raise RecordError where a document is no bill of materials with named components."""
    try:
        data = json.loads(content)
        components = data["components"]
        if data["bomFormat"] != _FORMAT:
            raise RecordError("is no CycloneDX document")
        named = all(part["name"] and part["version"] for part in components)
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecordError("is no CycloneDX document with components") from error
    if not named:
        raise RecordError("has a component without name or version")


def _properties(environment: Environment) -> Iterator[Property]:
    yield Property(name=f"{_PREFIX}:system", value=environment.system_name)
    if environment.system_reason is not None:
        yield Property(
            name=f"{_PREFIX}:system-packages-absent-because", value=environment.system_reason
        )


def _python_components(environment: Environment) -> Iterator[Component]:
    for package in environment.python:
        digest = package.files_sha256
        name = f"{_PREFIX}:installed-files-sha256"
        yield Component(
            name=package.name,
            version=package.version,
            purl=PackageURL("pypi", name=_normal(package.name), version=package.version),
            bom_ref=f"python:{_normal(package.name)}@{package.version}",
            properties=[Property(name=name, value=digest)] if digest else (),
        )


def _system_components(environment: Environment) -> Iterator[Component]:
    distribution = environment.system_name.partition(" ")[0]
    for package in environment.system:
        purl = PackageURL(
            "deb",
            namespace=distribution,
            name=package.name,
            version=package.version,
            qualifiers={"arch": package.architecture},
        )
        yield Component(
            name=package.name,
            version=package.version,
            purl=purl,
            bom_ref=f"system:{package.name}:{package.architecture}@{package.version}",
        )


def _normal(name: str) -> str:
    """Return a name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _python_package(found: Distribution) -> PythonPackage:
    return PythonPackage(
        name=found.metadata["Name"], version=found.version, files_sha256=_files_digest(found)
    )


def _files_digest(found: Distribution) -> str | None:
    """Return one digest over the files that RECORD gives a digest for.

    Scripts and notes of the installer hold paths of this machine and do not count.
    """
    # Not by `files`, which makes a path of each: an environment has tens of thousands.
    lines = (found.read_text("RECORD") or "").splitlines()
    digests = {
        name: digest.partition("=")[2]
        for name, digest, *_ in (row for row in csv.reader(lines) if len(row) > 1)
        if digest and not name.startswith("../") and not name.endswith(_INSTALLER_FILES)
    }
    return digest_of(digests) if digests else None


def _read_dpkg() -> tuple[tuple[SystemPackage, ...], str | None]:
    """Return the packages that dpkg has installed, or the reason why none are known."""
    if shutil.which(_DPKG) is None:
        return (), f"no {_DPKG} on this system"
    try:
        done = subprocess.run(
            [_DPKG, "-W", "-f", _DPKG_FORMAT],
            capture_output=True,
            timeout=_DPKG_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return (), f"{_DPKG} failed ({type(error).__name__})"
    return tuple(sorted(parse_dpkg(done.stdout.decode(errors="replace")))), None


def parse_dpkg(text: str) -> Iterator[SystemPackage]:
    """Yield the installed packages of dpkg-query's output."""
    for line in text.splitlines():
        status, _, rest = line.partition("\t")
        fields = rest.split("\t")
        if status == "installed" and len(fields) == 3:
            yield SystemPackage(name=fields[0], version=fields[1], architecture=fields[2])


def _system_name() -> str:
    """Return the system as `debian 12`, or what Python calls it where there is no os-release."""
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return f"{platform.system().lower()} {platform.release()}"
    return f"{facts['ID']} {facts.get('VERSION_ID', '')}".strip()

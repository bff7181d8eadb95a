"""Making a kit: one plain tar with everything a borrowed machine does not have.

The wheels come from the package index by the digests of kit/requirements.lock, the sources from the
cache by the digests of their pins; the appliance's own wheel is built from this checkout. The same
checkout makes the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.archive.tarball import Member, TarWriter
from edgemoe_appliance.engine.source import prepare_source
from edgemoe_appliance.engine.tools import run_tool
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.kit.carried import pack_source
from edgemoe_appliance.kit.contents import (
    FIRST_LOCK,
    KIT_NAME,
    MOST_KIT_BYTES,
    REST,
    REST_LOCK,
    RUN_NAME,
    SOURCES,
    SUMS_NAME,
    WHEELS,
    Architecture,
    KitFacts,
)
from edgemoe_appliance.schema.configs import Backend
from edgemoe_appliance.schema.files import file_sha256, open_atomically, scratch_folder
from edgemoe_appliance.schema.plan import ApplianceIdentity
from edgemoe_appliance.schema.resources import STUDIES_FOLDER, checkout_root
from edgemoe_appliance.schema.units import human_bytes
from edgemoe_appliance.studies.study import Study

_DOWNLOAD_S: Final = 900.0
_FOLDER: Final = "kit"
_LOCK: Final = "requirements.lock"
# What glibc 2.28 (Debian 10, Ubuntu 18.10) and newer run; JetPack 6 has 2.35.
_PLATFORMS: Final = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_PIP: Final = (
    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"),
)


@dataclass(frozen=True, kw_only=True)
class KitRequest:
    """For which target, Python and processor a kit is made, and with which pins."""

    study: Study
    target: str
    python: str
    architecture: Architecture
    pins: tuple[str, ...]
    appliance: ApplianceIdentity
    cache: Path
    out: Path


@dataclass(frozen=True, kw_only=True)
class WrittenKit:
    """A kit on disk."""

    path: Path
    kit_bytes: int
    sha256: str
    files: tuple[Member, ...]


def write_kit(request: KitRequest) -> WrittenKit:
    """Make a kit and write it.

    Raises ConfigError for a target, pin or Python that a kit cannot serve, HostError where
    something cannot be had or the kit is too large, DigestError where it is another than locked.
    """
    root = _checkout(request)
    with scratch_folder("edgemoe-kit-") as name:
        folder = Path(name) / request.out.name.removesuffix(".tar")
        folder.mkdir()
        _fill(request, root, folder)
        request.out.parent.mkdir(parents=True, exist_ok=True)
        return _write_tar(folder, request.out)


def _checkout(request: KitRequest) -> Path:
    root = checkout_root()
    if root is None:
        raise ConfigError("a kit is made from a checkout", hint="git clone the project first")
    if request.study.configs.target(request.target).backend is Backend.METAL:
        raise ConfigError(
            f"target {request.target} has no kit", hint="measure a Mac from a checkout"
        )
    if request.study.configs.limits(request.target) is not None:
        raise ConfigError(
            f"target {request.target} has no kit: its twins would hold weights that the backend "
            "does not compute",
            hint="measure real models from a checkout",
        )
    if not (root / "configs" / STUDIES_FOLDER / request.study.id).is_dir():
        raise ConfigError(
            f"study {request.study.id} lies elsewhere", hint="copy it below configs/studies"
        )
    if request.study.suites.visit is None:
        raise ConfigError(
            f"study {request.study.id} does not say what a visit measures",
            hint="add suites.visit to its experiments.yaml",
        )
    return root


def _fill(request: KitRequest, root: Path, folder: Path) -> None:
    wheels, sources = folder / WHEELS, folder / SOURCES
    wheels.mkdir()
    sources.mkdir()
    pins = [
        prepare_source(pin, request.study.configs.pin(pin), request.cache, why="for a kit")
        for pin in request.pins
    ]
    facts = KitFacts(
        study=request.study.id,
        target=request.target,
        python=request.python,
        architecture=request.architecture,
        appliance=request.appliance,
        pins=tuple(pack_source(source, sources) for source in pins),
    )
    _download_wheels(request, root / _FOLDER / _LOCK, wheels)
    _build_own_wheel(root, wheels)
    _write_locks(wheels)
    shutil.copyfile(root / _FOLDER / RUN_NAME, folder / RUN_NAME)
    document = json.dumps(facts.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / KIT_NAME).write_text(document + "\n")
    sums = [f"{file_sha256(path)}  {name}\n" for name, path in _files(folder)]
    (folder / SUMS_NAME).write_text("".join(sums))


def locked_lines(lock: str, python: str, architecture: str) -> Iterator[str]:
    """Yield the entries of a lock that hold for a Linux machine, without their conditions.

    pip evaluates conditions for the Python that it runs in, not for the one it downloads for.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415  (not on the machine)

    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": architecture,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for entry in lock.replace("\\\n", " ").splitlines():
        named, *hashes = entry.split(" --hash=")
        if not named.strip() or named.lstrip().startswith("#"):
            continue
        requirement = Requirement(named)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            pinned = f"{requirement.name}{requirement.specifier}"
            yield " ".join([pinned, *(f"--hash={value.strip()}" for value in hashes)])


def _download_wheels(request: KitRequest, lock: Path, wheels: Path) -> None:
    lines = locked_lines(lock.read_text(), request.python, request.architecture)
    with scratch_folder("edgemoe-lock-") as name:
        wanted = Path(name) / _LOCK
        wanted.write_text("".join(f"{line}\n" for line in lines))
        platforms = (f"--platform={one}_{request.architecture}" for one in _PLATFORMS)
        which = (f"--python-version={request.python}", "--implementation=cp", *platforms)
        options = ("--no-deps", "--require-hashes", "--only-binary=:all:", *which)
        result = run_tool(
            [*_PIP, "download", *options, "-r", wanted, "-d", wheels],
            env=os.environ,
            cwd=wheels,
            timeout_s=_DOWNLOAD_S,
        )
    if result.exit_code == 0:
        return
    if "DO NOT MATCH THE HASHES" in "\n".join(result.lines):
        raise DigestError(f"the index offers other wheels than are locked ({result.last_error})")
    raise HostError(
        f"the wheels for Python {request.python} could not be downloaded ({result.last_error})",
        hint="check the network and pip's settings, or ask for another Python",
    )


def _build_own_wheel(root: Path, wheels: Path) -> None:
    options = ("--no-deps", "--no-build-isolation", "--no-index")
    result = run_tool(
        [*_PIP, "wheel", *options, "--wheel-dir", wheels, root],
        env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},  # 1980, the first that zip knows
        timeout_s=_DOWNLOAD_S,
    )
    if result.exit_code != 0:
        raise HostError(f"the appliance's wheel was not built ({result.last_error})")


def _write_locks(wheels: Path) -> None:
    """Write what pip installs on the machine, each wheel by its digest."""
    lines: dict[str, list[str]] = {FIRST_LOCK: [], REST_LOCK: []}
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if name != "pip":
            lock = REST_LOCK if name in REST else FIRST_LOCK
            lines[lock].append(f"{name}=={version} --hash=sha256:{file_sha256(wheel)}\n")
    for lock, entries in lines.items():
        (wheels / lock).write_text("".join(entries))


def _files(folder: Path) -> list[tuple[str, Path]]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), path) for path in paths)


def _write_tar(folder: Path, out: Path) -> WrittenKit:
    members: list[Member] = []
    with open_atomically(out) as file:
        tar = TarWriter(file)
        for name, path in _files(folder):
            members.append(Member(name=name, size=path.stat().st_size))
            whole = Member(name=f"{folder.name}/{name}", size=members[-1].size)
            tar.add(whole, [path.read_bytes()])
        tar.finish()
        if tar.written_bytes > MOST_KIT_BYTES:
            raise HostError(
                f"the kit has {human_bytes(tar.written_bytes)}, at most "
                f"{human_bytes(MOST_KIT_BYTES)} are carried",
                hint="take one pin only",
            )
    return WrittenKit(
        path=out, kit_bytes=tar.written_bytes, sha256=tar.sha256, files=tuple(members)
    )

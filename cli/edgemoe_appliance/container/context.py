"""The build context of a measurement image: which files go in, in which order, byte for byte.

Two contexts of equal files are equal tars, whatever the times and owners on disk. Builds nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.base import canonical_json, digest_of
from edgemoe_appliance.schema.configs import ContainerProfile
from edgemoe_appliance.schema.resources import resource_folder

# What `measure` imports, and what builds an engine; a test imports each from these alone.
LIGHT_PARTS: Final = ("__init__.py", "errors.py", "schema", "engine", "measure")
BUILDER_PARTS: Final = ("__init__.py", "errors.py", "schema", "engine")
_REPOSITORY: Final = ".git"  # of a source; all else in it counts for its digest
_CACHE: Final = "__pycache__"
_CA_VARIABLES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_CERTIFICATES: Final = "certificates/"
_SOURCES: Final = "sources"
_NOTE: Final = b"ca.pem lies here where the network of the build needs its own authority.\n"
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BuildInputs:
    """The places a context is made from, and the verified llama.cpp sources that go into it."""

    dockerfile: Path
    shared: Path
    probe: Path
    sources: Sequence[PreparedSource]
    package: Path
    configs: Path
    ca_bundle: Path | None = None


def usual_inputs(
    profile: ContainerProfile, sources: Sequence[PreparedSource], environment: Mapping[str, str]
) -> BuildInputs:
    """Return the inputs for a target's image out of this installation.

    The CA bundle that pip uses on this machine, where it is told one, also serves the build.
    """
    docker = resource_folder("docker")
    bundle = next((environment[name] for name in _CA_VARIABLES if environment.get(name)), None)
    return BuildInputs(
        dockerfile=docker.parent / profile.dockerfile,
        shared=docker / "shared",
        probe=docker / "probe",
        sources=sources,
        package=Path(__file__).resolve().parent.parent,
        configs=resource_folder("configs"),
        ca_bundle=Path(bundle) if bundle else None,
    )


@dataclass(frozen=True, kw_only=True)
class ContextEntry:
    """One file (or symbolic link) of a context; content that is not on disk stands in `content`."""

    name: str
    path: Path | None = None
    content: bytes = b""

    @property
    def is_executable(self) -> bool:
        """Return whether its owner may execute the file, as git and the tree digest see it."""
        return self.path is not None and bool(self.path.lstat().st_mode & stat.S_IXUSR)

    @property
    def link(self) -> str | None:
        """Return what a symbolic link points to, or None for a file."""
        if self.path is None or not self.path.is_symlink():
            return None
        return str(self.path.readlink())


def list_entries(inputs: BuildInputs) -> list[ContextEntry]:
    """Return all entries of a context by name.

    Raises HostError where an input is missing, or a link in one leads out of it.
    """
    entries = [
        ContextEntry(name="Dockerfile", path=_present(inputs.dockerfile)),
        ContextEntry(name=f"{_CERTIFICATES}README", content=_NOTE),
    ]
    if inputs.ca_bundle is not None:
        entries.append(
            ContextEntry(name=f"{_CERTIFICATES}ca.pem", path=_present(inputs.ca_bundle).resolve())
        )
    entries += _below(inputs.shared, "")
    entries.append(ContextEntry(name=f"{_SOURCES}/engines.json", content=_describe(inputs.sources)))
    for source in inputs.sources:
        entries += _below(source.folder, f"{_SOURCES}/{source.pin}/", _REPOSITORY)
    for root, parts in (("builder", BUILDER_PARTS), ("app", LIGHT_PARTS)):
        for part in parts:
            entries += _below(inputs.package / part, f"{root}/edgemoe_appliance/{part}")
    entries += _below(inputs.probe, "builder/edgemoe_appliance/_resources/docker/probe/")
    entries += _below(inputs.configs, "app/edgemoe_appliance/_resources/configs/")
    return sorted(entries, key=lambda entry: entry.name)


def _describe(sources: Sequence[PreparedSource]) -> bytes:
    """Return what the build stage must know about the sources beside their files."""
    described = {
        source.pin: {
            "source": source.source.model_dump(mode="json"),
            "sha256": source.sha256,
            "build_number": source.build_number,
        }
        for source in sources
    }
    return canonical_json(described).encode()


def _present(path: Path) -> Path:
    if not path.exists():
        raise HostError("needed to build the image, but missing", where=str(path))
    return path


def _below(folder: Path, prefix: str, left_out: str = _CACHE) -> Iterator[ContextEntry]:
    """Yield the files of a folder under a prefix; of a file, that file under the prefix's name."""
    if _present(folder).is_file():
        yield ContextEntry(name=prefix, path=folder)
        return
    start = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if left_out in inside.parts or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink():
            _check_link(path, folder)
        yield ContextEntry(name=f"{start}{PurePosixPath(inside)}", path=path)


def _check_link(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise HostError(
            f"the link leads out of {folder} to {path.resolve()}",
            where=str(path),
            hint="what is built must lie in the source itself",
        )


def part_digests(entries: list[ContextEntry]) -> dict[str, str]:
    """Return the sha256 of each part of a context: a file at its top, a folder, each source.

    Certificates do not count: nothing of them is in the image.
    """
    parts: dict[str, list[list[object]]] = {}
    for entry in entries:
        if not entry.name.startswith(_CERTIFICATES):
            described = [entry.name, entry.is_executable, entry.link or _content_sha256(entry)]
            parts.setdefault(_part_of(entry.name), []).append(described)
    return {part: digest_of(files) for part, files in sorted(parts.items())}


def _part_of(name: str) -> str:
    first, *rest = PurePosixPath(name).parts
    return f"{first}/{rest[0]}" if first == _SOURCES and rest else first


def recipe_digest(parts: Mapping[str, str], arguments: Mapping[str, str]) -> str:
    """Return the sha256 of everything that an image is made from."""
    return digest_of({"parts": dict(parts), "arguments": dict(arguments)})


def _content_sha256(entry: ContextEntry) -> str:
    digest = hashlib.sha256(entry.content)
    if entry.path is not None:
        with entry.path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def write_context(entries: list[ContextEntry], out: BinaryIO) -> None:
    """Write a context as a tar: sorted, of nobody, without times."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            header = tarfile.TarInfo(entry.name)
            header.mode = 0o755 if entry.is_executable else 0o644
            if entry.link is not None:
                header.type, header.linkname = tarfile.SYMTYPE, entry.link
                archive.addfile(header)
            elif entry.path is None:
                header.size = len(entry.content)
                archive.addfile(header, io.BytesIO(entry.content))
            else:
                header.size = entry.path.stat().st_size
                with entry.path.open("rb") as file:
                    archive.addfile(header, file)


def write_folder(entries: list[ContextEntry], folder: Path) -> None:
    """Write a context into an empty folder, its files as old as those of the tar."""
    for entry in entries:
        target = folder / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.link is not None:
            target.symlink_to(entry.link)
            os.utime(target, (0, 0), follow_symlinks=False)
            continue
        if entry.path is None:
            target.write_bytes(entry.content)
        else:
            shutil.copyfile(entry.path, target)
        target.chmod(0o755 if entry.is_executable else 0o644)
        os.utime(target, (0, 0))

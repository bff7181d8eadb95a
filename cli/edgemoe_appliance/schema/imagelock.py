"""The lock of a measurement image: what it was made from, what came out, and how two locks differ.

Pure data and comparison, so that whoever reads an archive can check an image without an engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import Count, Frozen
from edgemoe_appliance.schema.configs import EngineSource, Identifier, Sha256
from edgemoe_appliance.schema.text import on_one_line

LOCK_SCHEMA: Final = 2
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
# The bases have their own items, by content: an image of another name may hold the same.
BASE_ARGUMENTS: Final = ("BASE_IMAGE", "RUNTIME_IMAGE")
_ABSENT: Final = "not there"


class PinnedBy(str, Enum):
    """Who says that a base image is the right one."""

    BASES_FILE = "bases-file"
    FIRST_PULL = "first-pull"
    OVERRIDE = "override"  # the user, by a flag


class LockedBase(Frozen):
    """A base image as it was used.

    `digest` is the registry's; an override that never saw a registry has none, but like every
    base that was on the engine when it was used it has the digest of its config.
    """

    tag: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9._/:-]*$")
    digest: Digest | None
    pinned_by: PinnedBy
    config_sha256: Digest | None = None

    @property
    def reference(self) -> str:
        """Return what stands after FROM."""
        return f"{self.tag}@{self.digest}" if self.digest else self.tag

    @property
    def content(self) -> str:
        """Return the digest of what it holds, or its name where none is known."""
        return self.config_sha256 or self.reference


class LockedBases(Frozen):
    """The base images of both stages as they were used."""

    build: LockedBase
    run: LockedBase


class ImageInputs(Frozen):
    """What an image is made from: `context` has the sha256 of each part of the build context."""

    bases: LockedBases
    arguments: dict[str, str]
    context: dict[str, Sha256]
    recipe_sha256: Sha256


class LockedImage(Frozen):
    """A built image: its layers from the lowest, of which the first are the base's.

    `settings_sha256` is of what it says about running it: user, entry point, environment.
    """

    config_sha256: Digest
    diff_ids: tuple[Digest, ...]
    base_layers: Count
    architecture: str
    settings_sha256: Sha256


class LockedEngine(Frozen):
    """A build of llama.cpp inside: `files_sha256` holds llama-cli and its libraries by name."""

    source: EngineSource
    source_sha256: Sha256
    build_key: Sha256
    cmake: dict[str, str]
    compiler: str
    files_sha256: dict[str, Sha256]
    probe_sha256: Sha256 | None


class ImagePackages(Frozen):
    """What is installed inside, with versions: `system` by `name:architecture`, `python` by name.

    `distribution` is `debian-12` for example; it is None where the image does not tell.
    """

    distribution: str | None
    system: dict[str, str]
    python: dict[str, str]


class BuildTools(Frozen):
    """What built an image; `builder` is None for one that was found built."""

    engine: str
    builder: str | None


class Published(Frozen):
    """The image in a registry: another registry or tool may give it another digest."""

    repository: str
    manifest_sha256: Digest

    @property
    def reference(self) -> str:
        """Return the name to pull it by."""
        return f"{self.repository}@{self.manifest_sha256}"


class ImageLock(Frozen):
    """images/lock/TARGET.json: an image, item by item. `built_utc` is when it was first locked."""

    schema_version: Literal[2] = LOCK_SCHEMA
    target: Identifier
    built_utc: str
    tools: BuildTools
    inputs: ImageInputs
    image: LockedImage
    engines: dict[Identifier, LockedEngine]
    packages: ImagePackages
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LockDifference:
    """One item of a lock that another has otherwise."""

    item: str
    locked: str
    found: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.item}: locked {self.locked}, found {self.found}"


def compare_inputs(locked: ImageInputs, found: ImageInputs) -> list[LockDifference]:
    """Return the bases, arguments and parts of the context that differ."""
    return _compare(dict(_input_items(locked)), dict(_input_items(found)))


def compare_results(locked: ImageLock, found: ImageLock) -> list[LockDifference]:
    """Return the layers, packages, binaries and settings that differ."""
    return _compare(dict(_result_items(locked)), dict(_result_items(found)))


def _input_items(inputs: ImageInputs) -> Iterator[tuple[str, str]]:
    yield "base of the build stage", inputs.bases.build.content
    yield "base of the runtime stage", inputs.bases.run.content
    for name, value in inputs.arguments.items():
        if name not in BASE_ARGUMENTS:
            yield f"build argument {name}", value
    for name, digest in inputs.context.items():
        yield f"build context {name}", digest


def _result_items(lock: ImageLock) -> Iterator[tuple[str, str]]:
    image = lock.image
    yield "architecture", image.architecture
    for index, digest in enumerate(image.diff_ids, start=1):
        own = "" if index > image.base_layers else " (of the base)"
        yield f"layer {index}{own}", digest
    for pin, engine in lock.engines.items():
        yield f"engine {pin}: source", engine.source_sha256
        yield f"engine {pin}: compiler", engine.compiler
        for name, digest in engine.files_sha256.items():
            yield f"engine {pin}: {name}", digest
        yield f"engine {pin}: probe", engine.probe_sha256 or _ABSENT
    for kind, names in (("system", lock.packages.system), ("Python", lock.packages.python)):
        for name, version in names.items():
            yield f"{kind} package {name}", version
    yield "settings of the image", image.settings_sha256
    # Last: everything above is part of it, and so are names and times that need not be the same.
    yield "config of the image", image.config_sha256


def _compare(locked: Mapping[str, str], found: Mapping[str, str]) -> list[LockDifference]:
    return [
        LockDifference(item=item, locked=locked.get(item, _ABSENT), found=found.get(item, _ABSENT))
        for item in dict.fromkeys((*locked, *found))
        if locked.get(item) != found.get(item)
    ]


def parse_lock(content: bytes, where: str) -> ImageLock:
    """Parse a lock. Raises RecordError where it is damaged, foreign, newer or too old."""
    try:
        return ImageLock.model_validate_json(content)
    except ValidationError as error:
        raise _as_record_error(error, where) from error


def _as_record_error(error: ValidationError, where: str) -> RecordError:
    first: Any = error.errors(include_url=False)[0]
    version = first.get("input") if first["loc"] == ("schema_version",) else None
    if isinstance(version, int):
        return RecordError(
            f"lock of schema {on_one_line(version, 20)}, this appliance writes {LOCK_SCHEMA}",
            where=where,
            hint="remove it and build again" if version < LOCK_SCHEMA else "use a newer one",
        )
    key = ".".join(map(str, first["loc"])) or "lock"
    return RecordError(
        on_one_line(f"not a lock of ours: {key}: {first['msg']}", 300),
        where=where,
        hint="remove it and build again",
    )


def lock_path(folder: Path, target_id: str) -> Path:
    """Return where the lock of a target lies in an images folder."""
    return folder / "lock" / f"{target_id}.json"


def read_lock(folder: Path, target_id: str) -> ImageLock | None:
    """Read the lock of a target, or return None where there is none yet.

    Raises RecordError where the file cannot be read or is not one of ours.
    """
    path = lock_path(folder, target_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return parse_lock(content, str(path))

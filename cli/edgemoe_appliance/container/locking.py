"""Locks of images written and held to: a build is locked, or compared with what is locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.bases import write_lock
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.image_files import read_packages
from edgemoe_appliance.errors import DigestError
from edgemoe_appliance.schema.imagelock import (
    BuildTools,
    ImageInputs,
    ImageLock,
    LockDifference,
    LockedEngine,
    LockedImage,
    compare_inputs,
    compare_results,
    lock_path,
)
from edgemoe_appliance.schema.plan import EngineBuild
from edgemoe_appliance.schema.streams import Say

# As many names as one line holds; all differences are said one by one before.
_NAMED: Final = 4


def describe_image(
    engine: DockerEngine,
    identity: ImageIdentity,
    engines: Mapping[str, EngineBuild],
    inputs: ImageInputs,
    *,
    target: str,
    known: ImageLock | None,
    builder: str | None,
) -> ImageLock:
    """Read what a lock says of an image that is on the engine; `builder` None: found built.

    `known` is the lock so far: it tells of a base that is not on this engine.
    """
    below = read_identity(engine, inputs.bases.run.reference)
    known_layers = known.image.base_layers if known else 0
    return ImageLock(
        target=target,
        built_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tools=BuildTools(
            engine=f"Docker {engine.facts.version}, API {engine.facts.api_version}, "
            f"{engine.facts.image_store.value}-addressed images",
            builder=builder,
        ),
        inputs=inputs,
        image=LockedImage(
            config_sha256=identity.config_sha256,
            diff_ids=identity.diff_ids,
            base_layers=len(below.diff_ids) if below else known_layers,
            architecture=identity.architecture,
            settings_sha256=identity.settings_sha256,
        ),
        engines={pin: _locked_engine(build) for pin, build in engines.items()},
        packages=read_packages(engine, identity),
    )


def _locked_engine(build: EngineBuild) -> LockedEngine:
    return LockedEngine(
        source=build.source,
        source_sha256=build.source_sha256,
        build_key=build.build_key,
        cmake=build.cmake,
        compiler=build.compiler,
        files_sha256=build.files_sha256,
        probe_sha256=build.probe.sha256 if build.probe else None,
    )


def renew_lock(images: Path, known: ImageLock | None, found: ImageLock, say: Say) -> ImageLock:
    """Return the lock that holds from now on, written where it says anything new.

    When and with what the same image was first built stays, and where it was published.
    """
    if known is not None and not (
        compare_inputs(known.inputs, found.inputs) or compare_results(known, found)
    ):
        return known
    write_lock(images, found)
    say(f"locked in {lock_path(images, found.target)}")
    return found


def require_lock(known: ImageLock | None, images: Path, target: str) -> ImageLock:
    """Return the lock to hold to. Raises DigestError where there is none."""
    if known is None:
        raise DigestError(
            f"no image is locked for {target}",
            where=str(lock_path(images, target)),
            hint="build once without --locked, or put the lock there that came with the results",
        )
    return known


def refuse_differences(differences: Sequence[LockDifference], path: Path, say: Say) -> None:
    """Say every difference; raises DigestError where there is any."""
    for difference in differences:
        say(str(difference))
    if differences:
        names = ", ".join(difference.item for difference in differences[:_NAMED])
        more = len(differences) - _NAMED
        raise DigestError(
            f"{len(differences)} things are not as locked: {names}"
            + (f" and {more} more" if more > 0 else ""),
            where=str(path),
            hint="build without --locked to lock what is here",
        )

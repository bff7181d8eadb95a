"""The container image of a session: whether lock and plan agree, and what the image was made from.

Pure: the statement and the bill of materials follow from the plan and the lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.environment import (
    Environment,
    PythonPackage,
    SystemPackage,
    build_sbom,
)
from edgemoe_appliance.archive.layout import json_bytes, parse_moment
from edgemoe_appliance.schema.configs import GitSource, SdistSource
from edgemoe_appliance.schema.imagelock import ImageLock, ImagePackages, LockedBases
from edgemoe_appliance.schema.plan import EngineBuild, Plan

# Source: in-toto attestation specification, Statement v1; SLSA specification, Provenance v1.
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
_BUILD_TYPE: Final = "urn:edgemoe-appliance:image-build:v1"
_BUILDER: Final = "urn:edgemoe-appliance:local-builder"


def belongs_to(lock: ImageLock, plan: Plan) -> bool:
    """Return whether the locked image is the one that the plan was run in."""
    return plan.image == lock.image.config_sha256


def build_image_files(
    plan: Plan, lock: ImageLock | None, image_sha256: str | None
) -> dict[str, bytes]:
    """Return the files about the image of a plan; none for a plan without an image.

    `image_sha256` is that of the image file in the archive, where there is one.
    """
    if plan.image is None:
        return {}
    files = {layout.STATEMENT: build_statement(plan, lock, image_sha256)}
    if lock is not None:
        files[layout.IMAGE_SBOM] = build_sbom(
            _as_environment(lock.packages, lock.image.config_sha256),
            parse_moment(lock.built_utc, layout.LOCK),
        )
    return files


def build_statement(plan: Plan, lock: ImageLock | None, image_sha256: str | None) -> bytes:
    """Return an in-toto statement (version 1, SLSA provenance) about the image of a plan."""
    subject = [_digested("image", str(plan.image))]
    if image_sha256 is not None:
        subject.append(_digested(layout.IMAGE, image_sha256))
    definition = {
        "buildType": _BUILD_TYPE,
        "externalParameters": {
            "target": plan.target_id,
            "arguments": lock.inputs.arguments if lock else {},
            "context_sha256": lock.inputs.context if lock else {},
        },
        "resolvedDependencies": [*_sources(plan), *(_bases(lock.inputs.bases) if lock else ())],
    }
    run = {
        "builder": {"id": _BUILDER, "version": lock.tools.model_dump(mode="json") if lock else {}},
        "metadata": {"finishedOn": lock.built_utc} if lock else {},
        "byproducts": list(_binaries(plan)),
    }
    return json_bytes(
        {
            "_type": _STATEMENT_TYPE,
            "subject": subject,
            "predicateType": _PREDICATE_TYPE,
            "predicate": {"buildDefinition": definition, "runDetails": run},
        }
    )


def _sources(plan: Plan) -> Iterator[dict[str, Any]]:
    for pin, build in plan.engines.items():
        yield {**_digested(f"llama.cpp {pin}", build.source_sha256), **_origin(build)}


def _origin(build: EngineBuild) -> dict[str, Any]:
    source = build.source
    if isinstance(source, GitSource):
        return {"uri": f"git+{source.repository}@{source.commit}"}
    if isinstance(source, SdistSource):
        return {"uri": f"pkg:pypi/{source.package}@{source.version}"}
    return {}


def _bases(bases: LockedBases) -> Iterator[dict[str, Any]]:
    """Yield the base images that have a digest, a registry's or that of their config."""
    for stage, base in (("build", bases.build), ("run", bases.run)):
        digest = base.digest or base.config_sha256
        if digest is not None:
            yield {
                **_digested(f"base image of the {stage} stage", digest),
                "uri": f"docker://{base.tag}",
            }


def _binaries(plan: Plan) -> Iterator[dict[str, Any]]:
    for pin, build in plan.engines.items():
        for name, digest in build.files_sha256.items():
            yield _digested(f"llama.cpp {pin}: {name}", digest)


def _digested(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def _as_environment(packages: ImagePackages, config_sha256: str) -> Environment:
    system = (name.partition(":") for name in packages.system)
    return Environment(
        name="container image",
        version=config_sha256,
        python=tuple(
            PythonPackage(name=name, version=version, files_sha256=None)
            for name, version in sorted(packages.python.items())
        ),
        system=tuple(
            SystemPackage(name=name, version=version, architecture=architecture)
            for (name, _, architecture), version in zip(
                system, packages.system.values(), strict=True
            )
        ),
        system_name=(packages.distribution or "unknown").replace("-", " "),
        system_reason=None if packages.system else "the image does not tell",
    )

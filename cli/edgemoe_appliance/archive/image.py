"""The container image of a session: its lock, and the statement of what it was made from.

Locks are read as plain documents: what they must hold for a check is the digest of the image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.derived import json_bytes
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.study.configs import GitSource, SdistSource
from edgemoe_appliance.study.plan import EngineBuild, Plan

_ALGORITHM: Final = "sha256:"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
_BUILD_TYPE: Final = "urn:edgemoe-appliance:image-build:v1"
_BUILDER: Final = "urn:edgemoe-appliance:local-builder"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What an archive reads of images/lock/TARGET.json; `data` is the whole document."""

    data: dict[str, Any]
    config_sha256: str

    def belongs_to(self, plan: Plan) -> bool:
        """Return whether the locked image is the one that the plan was run in."""
        return plan.image == self.config_sha256


def parse_lock(content: bytes) -> Lock:
    """Parse a lock. Raises RecordError where it is none."""
    try:
        data = json.loads(content)
        config = data["image"]["config_sha256"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecordError(
            "names no image", where=layout.LOCK, hint="not a lock of ours?"
        ) from error
    if not isinstance(config, str):
        raise RecordError("names no image", where=layout.LOCK, hint="not a lock of ours?")
    return Lock(data=data, config_sha256=config)


def build_statement(plan: Plan, lock: Lock | None, image_sha256: str | None) -> bytes:
    """Return an in-toto statement (version 1, SLSA provenance) about the image of a plan.

    `image_sha256` is that of the image file in the archive, where there is one.
    """
    subject = [{"name": "image", "digest": {"sha256": _hex(str(plan.image))}}]
    if image_sha256 is not None:
        subject.append({"name": layout.IMAGE, "digest": {"sha256": image_sha256}})
    parameters = {
        "target": plan.target_id,
        "cmake": {pin: build.cmake for pin, build in plan.engines.items()},
    }
    definition = {
        "buildType": _BUILD_TYPE,
        "externalParameters": parameters,
        "internalParameters": {"lock": lock.data} if lock else {},
        "resolvedDependencies": [*_sources(plan), *_bases(lock)],
    }
    predicate = {
        "buildDefinition": definition,
        "runDetails": {
            "builder": {
                "id": _BUILDER,
                "version": {"edgemoe-appliance": plan.appliance.version},
            },
            "byproducts": list(_binaries(plan)),
        },
    }
    return json_bytes(
        {
            "_type": _STATEMENT_TYPE,
            "subject": subject,
            "predicateType": _PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def _sources(plan: Plan) -> Iterator[dict[str, Any]]:
    for pin, build in plan.engines.items():
        yield {
            "name": f"llama.cpp {pin}",
            "digest": {"sha256": build.source_sha256},
            **_origin(build),
        }


def _origin(build: EngineBuild) -> dict[str, Any]:
    source = build.source
    if isinstance(source, GitSource):
        return {"uri": f"git+{source.repository}@{source.commit}"}
    if isinstance(source, SdistSource):
        return {"uri": f"pkg:pypi/{source.package}@{source.version}"}
    return {}


def _bases(lock: Lock | None) -> Iterator[dict[str, Any]]:
    """Yield the base images of a lock that have a digest."""
    bases = lock.data.get("bases") if lock else None
    for stage, base in bases.items() if isinstance(bases, dict) else ():
        digest = base.get("digest") or base.get("config_sha256") if isinstance(base, dict) else None
        if isinstance(digest, str):
            yield {
                "name": f"base image of stage {stage}",
                "uri": f"docker://{base.get('tag')}",
                "digest": {"sha256": _hex(digest)},
            }


def _binaries(plan: Plan) -> Iterator[dict[str, Any]]:
    for pin, build in plan.engines.items():
        for name, digest in build.files_sha256.items():
            yield {"name": f"llama.cpp {pin}: {name}", "digest": {"sha256": digest}}


def _hex(digest: str) -> str:
    return digest.removeprefix(_ALGORITHM)

"""The measurement image in a registry: pushed, known there by the digest of its manifest, pulled.

A pulled image is believed only where its config has the locked digest; a registry's own digest
says where it was found, not what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity, check_image
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.imagelock import ImageLock, Published
from edgemoe_appliance.schema.streams import Say

# HOST[:PORT]/NAME without tag or digest. Source: the reference grammar of OCI distribution.
_REPOSITORY: Final = re.compile(
    r"[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+"
)
_TAG_CHARACTERS: Final = 16


def push_image(
    engine: DockerEngine, identity: ImageIdentity, repository: str, say: Say
) -> Published:
    """Push an image and return what the registry calls it.

    Its tag there is the start of the digest of its config, so that no push replaces another
    image. Raises ConfigError for an impossible name, HostError where the registry refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(
            f"{repository!r} is not the name of a repository",
            hint="HOST:PORT/NAME, without a tag or digest",
        )
    tag = identity.config_sha256.removeprefix("sha256:")[:_TAG_CHARACTERS]
    say(f"pushing {repository}:{tag}")
    with engine.errors(f"push {repository}"):
        engine.api.tag(identity.image_id, repository, tag)
        answers = engine.api.push(repository, tag=tag, stream=True, decode=True)
        digest = parse_push(answers, repository, engine.host)
    return Published(repository=repository, manifest_sha256=digest)


def parse_push(answers: Iterable[Mapping[str, Any]], repository: str, host: str) -> str:
    """Return the manifest's digest out of what an engine says of a push.

    Raises HostError where it failed, or ended without naming one.
    """
    digest = ""
    for answer in answers:
        if "error" in answer:
            raise HostError(
                f"cannot push {repository}: {answer['error']}",
                where=host,
                hint="log in with `docker login`, and see that you may write there",
            )
        digest = str((answer.get("aux") or {}).get("Digest", digest))
    if not digest:
        raise HostError(f"the registry gave no digest for {repository}", where=host)
    return digest


def pull_locked(engine: DockerEngine, lock: ImageLock, tag: str, say: Say) -> ImageIdentity:
    """Pull the image of a lock from where it was published, and give it its usual tag.

    Raises HostError where no registry gives it, DigestError where what one gives is not the
    locked one.
    """
    if not lock.published:
        raise HostError(
            f"the lock of {lock.target} names no registry that has its image",
            hint="build it: edgemoe-appliance build --runtime container",
        )
    failures: list[str] = []
    for published in lock.published:
        try:
            pull_image(engine, published.reference, say)
        except HostError as error:
            failures.append(error.what)
            continue
        identity = check_image(engine, published.reference, lock)
        with engine.errors(f"tag {tag}"):
            engine.api.tag(identity.image_id, *split_tag(tag))
        return identity
    raise HostError("; ".join(failures), where=engine.host, hint="build it instead")


def pull_image(
    engine: DockerEngine, reference: str, say: Say, architecture: str | None = None
) -> None:
    """Pull an image by NAME:TAG, NAME@DIGEST or both. Raises HostError where it is not given.

    `architecture` is that of the image, as GOARCH, where it is not the engine's machine's.
    """
    name, _, digest = reference.partition("@")
    repository, tag = split_tag(name)
    say(f"pulling {reference}")
    with engine.errors(f"pull {reference}"):
        stream = engine.api.pull(
            repository,
            tag=digest or tag,
            stream=True,
            decode=True,
            platform=f"linux/{architecture}" if architecture else None,
        )
        for answer in stream:
            if "error" in answer:
                raise HostError(
                    f"cannot pull {reference}: {answer['error']}",
                    where=engine.host,
                    hint="name one that is there with --base-image or --runtime-image; "
                    "doctor --images asks for all of bases.yaml",
                )


def split_tag(name: str) -> tuple[str, str]:
    """Return repository and tag of a name; a colon before a slash is a port's."""
    repository, _, tag = name.rpartition(":")
    return (name, "") if not repository or "/" in tag else (repository, tag)

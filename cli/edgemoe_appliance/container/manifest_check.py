"""Whether the base images of bases.yaml are published, asked of their registries directly.

Needs no Docker engine and downloads no image. Source of the protocol: OCI distribution
specification 1.1 (`HEAD /v2/NAME/manifests/TAG`) and its token authentication.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.bases import BaseImage, read_bases
from edgemoe_appliance.container.registry import split_tag
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.text import on_one_line

_ANSWER_S: Final = 20
_DOCKER_HUB: Final = "registry-1.docker.io"
_ACCEPTED: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE: Final = re.compile(r'(realm|service|scope)="([^"]*)"')
_MAX_TOKEN_BYTES: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where an image lies: the registry's address, its repository and its tag."""

    registry: str
    repository: str
    tag: str

    @property
    def url(self) -> str:
        """Return the address of its manifest."""
        is_local = self.registry.partition(":")[0] in ("127.0.0.1", "localhost")
        scheme = "http" if is_local else "https"
        return f"{scheme}://{self.registry}/v2/{self.repository}/manifests/{self.tag}"


def check_bases(images: Path) -> Iterator[Finding]:
    """Ask about every line of bases.yaml, each name once. Raises ConfigError for a wrong file."""
    asked: dict[str, Finding] = {}
    for target, stages in read_bases(images).bases.items():
        for stage, base in (("build", stages.build), ("run", stages.run)):
            known = asked.get(f"{base.tag}@{base.digest}") or _check(base)
            asked[f"{base.tag}@{base.digest}"] = known
            yield known.model_copy(update={"check": f"{target}, {stage}"})


def _check(base: BaseImage) -> Finding:
    try:
        digest = _read_digest(_parse_place(base.tag))
    except urllib.error.HTTPError as error:
        is_gone = error.code in (401, 403, 404)
        return Finding(
            check=base.tag,
            level=Level.FAIL if is_gone else Level.UNKNOWN,
            seen=f"{base.tag}: the registry answered {error.code}",
            hint="no such public image: correct images/bases.yaml, or name another with "
            "--base-image or --runtime-image"
            if is_gone
            else "ask again later",
        )
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Finding(
            check=base.tag,
            level=Level.UNKNOWN,
            seen=f"{base.tag}: no answer ({on_one_line(reason)})",
            hint="check the network and the proxy",
        )
    if base.digest is not None and digest != base.digest:
        return Finding(
            check=base.tag,
            level=Level.WARN,
            seen=f"{base.tag} is now {digest or 'without a digest'}, {base.digest} is pinned",
            hint="the pinned one is pulled by its digest as long as the registry keeps it",
        )
    pinned = "as pinned" if base.digest else "not pinned yet"
    return Finding(check=base.tag, level=Level.OK, seen=f"{base.tag}: {digest or '?'} ({pinned})")


def _parse_place(tag: str) -> _Place:
    """Split a name as Docker does: without a registry it is Docker Hub's."""
    name, version = split_tag(tag)
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return _Place(registry=first, repository=rest, tag=version or "latest")
    repository = name if slash else f"library/{name}"
    return _Place(registry=_DOCKER_HUB, repository=repository, tag=version or "latest")


def _read_digest(place: _Place) -> str:
    try:
        return _head(place.url, None)
    except urllib.error.HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or not challenge.lower().startswith("bearer"):
            raise
    return _head(place.url, _read_token(dict(_CHALLENGE.findall(challenge))))


def _head(url: str, token: str | None) -> str:
    headers = {"Accept": _ACCEPTED, **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url, method="HEAD", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _read_token(challenge: dict[str, str]) -> str:
    """Ask for a token for everybody. Raises ValueError where the registry's answer has none."""
    realm = challenge.pop("realm", "")
    if not realm.startswith(("https://", "http://")):
        raise ValueError("the registry names no place for tokens")
    query = urllib.parse.urlencode(challenge)
    with urllib.request.urlopen(f"{realm}?{query}", timeout=_ANSWER_S) as answer:  # noqa: S310
        document = json.loads(answer.read(_MAX_TOKEN_BYTES))
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str):
        raise ValueError("the registry gave no token")
    return token

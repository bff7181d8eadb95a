"""The image in a real registry on the loopback: pushed, locked, pulled by digest, checked."""

from __future__ import annotations

import dataclasses
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.container.client import DockerEngine, ImageStore
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.image import (
    BuildOrder,
    build_image,
    image_tag,
    publish_image,
)
from edgemoe_appliance.container.registry import parse_push, push_image, split_tag
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.schema.imagelock import lock_path, read_lock
from tests.container.debian_registry import PROGRAM, free_port, running_registry
from tests.container.images import build_image_from
from tests.container.test_image import images_folder, inputs, order

__all__ = ["inputs", "order"]  # fixtures
needs_registry = pytest.mark.skipif(PROGRAM is None, reason="docker-registry is not installed")


@pytest.fixture
def registry(docker_engine: DockerEngine, tmp_path: Path) -> Iterator[str]:
    if docker_engine.facts.image_store is ImageStore.MANIFEST_ADDRESSED:
        pytest.skip("with containerd's store an engine pulls from the loopback by https only")
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder) as address:
        yield address


def forget(engine: DockerEngine, reference: str) -> None:
    """Remove an image under all of its names, so that only a pull brings it back."""
    identity = read_identity(engine, reference)
    assert identity is not None
    engine.api.remove_image(identity.image_id, force=True)
    assert read_identity(engine, identity.image_id) is None


@pytest.mark.container
@needs_registry
def test_pushed_image_is_locked_by_digest_and_comes_back_by_it(
    docker_engine: DockerEngine, order: BuildOrder, registry: str, tmp_path: Path
) -> None:
    folder, said = images_folder(tmp_path), list[str]()
    built = build_image(docker_engine, order, folder, print)
    lock = publish_image(docker_engine, built, f"{registry}/edgemoe/try", folder, said.append)
    assert lock == read_lock(folder, "try")
    (published,) = lock.published
    assert published.reference in said[-1]
    # The registry itself says the same of its content.
    url = f"http://{registry}/v2/edgemoe/try/manifests/{published.manifest_sha256}"
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    request = urllib.request.Request(url, headers={"Accept": kind})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Docker-Content-Digest"] == published.manifest_sha256
        assert json.load(answer)["config"]["digest"] == lock.image.config_sha256

    forget(docker_engine, built.identity.reference)
    pulling = dataclasses.replace(order, pull=True)
    pulled = build_image(docker_engine, pulling, folder, said.append)
    assert pulled.identity.config_sha256 == built.identity.config_sha256
    assert pulled.identity.reference == image_tag("try")
    assert pulled.lock == lock
    assert not any("building" in line for line in said)
    # And whoever builds without pulling finds it there.
    again = build_image(docker_engine, order, folder, said.append)
    assert (said[-1], again.lock) == (f"{image_tag('try')} is built from this recipe already", lock)
    forget(docker_engine, built.identity.reference)


@pytest.mark.container
@needs_registry
def test_registry_that_gives_another_image_is_not_believed(
    docker_engine: DockerEngine, order: BuildOrder, base_image: str, registry: str, tmp_path: Path
) -> None:
    folder = images_folder(tmp_path)
    built = build_image(docker_engine, order, folder, print)
    other = build_image_from(docker_engine, f"FROM {base_image}\nENV A=b\n", "edgemoe-test-o:1")
    published = push_image(docker_engine, other, f"{registry}/edgemoe/try", print)
    lock = built.lock.model_copy(update={"published": (published,)})
    lock_path(folder, "try").write_text(lock.model_dump_json())
    with pytest.raises(DigestError, match="locked is") as caught:
        build_image(docker_engine, dataclasses.replace(order, pull=True), folder, print)
    assert caught.value.exit_code == 4
    kept = read_identity(docker_engine, image_tag("try"))
    assert kept == built.identity, "the usual tag stays with the locked image"
    forget(docker_engine, other.reference)


@pytest.mark.container
def test_pull_without_a_registry_in_the_lock_says_what_else_to_do(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    folder = images_folder(tmp_path)
    build_image(docker_engine, order, folder, print)
    with pytest.raises(HostError, match="names no registry") as caught:
        build_image(docker_engine, dataclasses.replace(order, pull=True), folder, print)
    assert "build" in caught.value.hint


@pytest.mark.container
def test_push_where_nobody_listens_is_an_error(
    docker_engine: DockerEngine, base_image: str
) -> None:
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    repository = f"127.0.0.1:{free_port()}/none"
    with pytest.raises(HostError, match="push") as caught:
        push_image(docker_engine, identity, repository, print)
    assert caught.value.exit_code == 3
    tag = identity.config_sha256.removeprefix("sha256:")[:16]
    docker_engine.api.remove_image(f"{repository}:{tag}")


@pytest.mark.container
@pytest.mark.parametrize("name", ["x", "host/Name", "host/name:tag", "host/na me", "host/"])
def test_impossible_repository_is_refused(
    docker_engine: DockerEngine, base_image: str, name: str
) -> None:
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    with pytest.raises(ConfigError, match="repository"):
        push_image(docker_engine, identity, name, print)


def test_digest_of_a_push() -> None:
    answers: list[dict[str, Any]] = [
        {"status": "Pushed"},
        {"aux": {"Tag": "1", "Digest": "sha256:a", "Size": 1}},
    ]
    assert parse_push(answers, "r", "h") == "sha256:a"
    with pytest.raises(HostError, match="denied"):
        parse_push([{"error": "denied"}], "r", "h")
    with pytest.raises(HostError, match="no digest"):
        parse_push([{"status": "x"}], "r", "h")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a:1", ("a", "1")),
        ("127.0.0.1:5000/a:1", ("127.0.0.1:5000/a", "1")),
        ("127.0.0.1:5000/a", ("127.0.0.1:5000/a", "")),
        ("a", ("a", "")),
    ],
)
def test_repository_and_tag(name: str, expected: tuple[str, str]) -> None:
    assert split_tag(name) == expected

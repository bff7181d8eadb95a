"""Images built on a real engine, by both builders, from bases of every kind. The recipe is tiny."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError

from edgemoe_appliance.container.builders import Builder, find_buildkit_client
from edgemoe_appliance.container.client import DockerEngine, ImageStore
from edgemoe_appliance.container.context import BuildInputs
from edgemoe_appliance.container.identity import (
    parse_config_digest,
    read_identity,
)
from edgemoe_appliance.container.image import BuildOrder, build_image, image_tag
from edgemoe_appliance.container.image_files import opened_image, unpack_engines
from edgemoe_appliance.container.tarstream import open_chunks
from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.schema.imagelock import PinnedBy, lock_path, read_lock
from tests.container.conftest import BASE_TAR
from tests.container.images import read_file
from tests.container.registry import ServedImage, serve_image

pytestmark = pytest.mark.container
RECIPE = """\
ARG BASE_IMAGE
ARG RUNTIME_IMAGE
FROM ${BASE_IMAGE} AS build
ARG CMAKE_FLAGS
ARG BUILD_JOBS
ARG SOURCE_DATE_EPOCH
COPY app/ /app/
RUN mkdir /made && mv /app/edgemoe_appliance/measure/__main__.py /made/measure.py \\
 && echo "${CMAKE_FLAGS} jobs ${BUILD_JOBS}" > /made/flags \\
 && find /made -exec touch -d "@${SOURCE_DATE_EPOCH}" {} +
FROM ${RUNTIME_IMAGE}
COPY --from=build /made/ /
"""


@pytest.fixture
def inputs(tmp_path: Path, measurement_inputs: BuildInputs) -> BuildInputs:
    recipe = tmp_path / "Dockerfile"
    recipe.write_text(RECIPE)
    return dataclasses.replace(measurement_inputs, dockerfile=recipe, sources=())


@pytest.fixture
def order(
    inputs: BuildInputs, base_image: str, docker_engine: DockerEngine
) -> Iterator[BuildOrder]:
    yield BuildOrder(
        target_id="try",
        inputs=inputs,
        cmake={"GGML_NATIVE": "OFF"},
        labels={"kind": "test"},
        base=base_image,
        runtime=base_image,
    )
    if read_identity(docker_engine, image_tag("try")) is not None:
        docker_engine.api.remove_image(image_tag("try"), force=True)


def images_folder(folder: Path, tag: str = "debian:1", digest: str = "null") -> Path:
    base = f"{{tag: '{tag}', digest: {digest}}}"
    (folder / "bases.yaml").write_text(f"bases:\n  try:\n    build: {base}\n    run: {base}\n")
    return folder


@pytest.mark.parametrize("builder", [Builder.CLASSIC, Builder.BUILDKIT])
def test_both_builders_make_the_image_and_lock_it(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path, builder: Builder
) -> None:
    if builder is Builder.BUILDKIT and find_buildkit_client() is None:
        pytest.skip("no client with BuildKit here")
    said: list[str] = []
    folder = images_folder(tmp_path)
    ordered = dataclasses.replace(order, builder=builder)
    lines: list[str] = []
    built = build_image(docker_engine, ordered, folder, said.append, lines.append)
    image = built.identity
    jobs = max(1, min(docker_engine.facts.cores, docker_engine.facts.memory_bytes // 2**31))
    expected = f"-DGGML_NATIVE=OFF jobs {jobs}\n".encode()
    assert read_file(docker_engine, image, "/flags") == expected
    assert image.labels["kind"] == "test"
    assert any("COPY" in line for line in lines), "progress is passed on"
    assert not any("COPY" in line for line in said)
    lock = read_lock(folder, "try")
    assert lock is not None and lock == built.lock
    assert lock.image.config_sha256 == image.config_sha256
    assert lock.image.diff_ids == image.diff_ids
    assert lock.tools.builder is not None and builder.value in lock.tools.builder.lower()
    assert lock.inputs.bases.build.pinned_by is PinnedBy.OVERRIDE
    base = read_identity(docker_engine, order.base or "")
    assert base is not None and lock.inputs.bases.build.config_sha256 == base.config_sha256
    assert image.diff_ids[: lock.image.base_layers] == base.diff_ids
    # Once more: nothing is built, and the lock stays as it is.
    said.clear()
    again = build_image(docker_engine, ordered, folder, said.append)
    assert (again.identity, again.lock) == (image, lock)
    assert said == [f"{image_tag('try')} is built from this recipe already"]


@pytest.mark.parametrize("builder", [Builder.CLASSIC, Builder.BUILDKIT])
def test_build_without_cache_makes_the_locked_image_to_the_byte(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path, builder: Builder
) -> None:
    if builder is Builder.BUILDKIT and find_buildkit_client() is None:
        pytest.skip("no client with BuildKit here")
    folder, said = images_folder(tmp_path), list[str]()
    ordered = dataclasses.replace(order, builder=builder)
    first = build_image(docker_engine, ordered, folder, print)
    kept = lock_path(folder, "try").read_bytes()
    time.sleep(1.1)  # times in images are whole seconds
    anew = dataclasses.replace(ordered, locked=True, anew=True)
    second = build_image(docker_engine, anew, folder, said.append)
    assert any("building" in line for line in said), "it was really built"
    assert second.identity == first.identity
    assert lock_path(folder, "try").read_bytes() == kept


def test_both_builders_make_the_same_image(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    if find_buildkit_client() is None:
        pytest.skip("no client with BuildKit here")
    recipe = order.inputs.dockerfile
    recipe.write_text(recipe.read_text() + "USER 10001\nWORKDIR /etc\n")
    folder = images_folder(tmp_path)
    first = build_image(
        docker_engine, dataclasses.replace(order, builder=Builder.CLASSIC), folder, print
    )
    other = dataclasses.replace(order, builder=Builder.BUILDKIT, anew=True, locked=True)
    assert build_image(docker_engine, other, folder, print).identity == first.identity


def test_locked_without_a_lock_is_refused(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path, base_image: str
) -> None:
    folder = images_folder(tmp_path)
    with pytest.raises(DigestError) as caught:
        build_image(docker_engine, dataclasses.replace(order, locked=True), folder, print)
    assert caught.value.exit_code == 4


def test_locked_names_every_input_that_differs_and_builds_nothing(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    folder, said = images_folder(tmp_path), list[str]()
    build_image(docker_engine, order, folder, print)
    recipe = order.inputs.dockerfile
    recipe.write_text(recipe.read_text() + "USER 1\n")
    changed = dataclasses.replace(order, locked=True, cmake={"GGML_NATIVE": "ON"})
    with pytest.raises(DigestError, match="2 things are not as locked") as caught:
        build_image(docker_engine, changed, folder, said.append)
    assert caught.value.exit_code == 4
    assert "-DGGML_NATIVE=OFF, found -DGGML_NATIVE=ON" in said[0]
    assert said[1].startswith("build context Dockerfile: ")
    assert len(said) == 2, "nothing was built"


def test_locked_names_every_layer_that_came_out_otherwise(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    """A step that writes the time makes another layer each time; the lock is kept."""
    recipe = order.inputs.dockerfile
    recipe.write_text(recipe.read_text() + "RUN date +%N > /when\n")
    folder, said = images_folder(tmp_path), list[str]()
    first = build_image(docker_engine, order, folder, print)
    kept = lock_path(folder, "try").read_bytes()
    anew = dataclasses.replace(order, locked=True, anew=True)
    with pytest.raises(DigestError, match="not as locked: layer"):
        build_image(docker_engine, anew, folder, said.append)
    last = len(first.identity.diff_ids)
    assert [line.partition(":")[0] for line in said[-2:]] == [
        f"layer {last}",
        "config of the image",
    ]
    assert lock_path(folder, "try").read_bytes() == kept


def test_another_flag_builds_another_image(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    folder = images_folder(tmp_path)
    first = build_image(docker_engine, order, folder, print)
    other = dataclasses.replace(order, cmake={"GGML_NATIVE": "ON"})
    second = build_image(docker_engine, other, folder, print)
    assert second.identity.image_id != first.identity.image_id
    assert second.lock == read_lock(folder, "try") != first.lock


@pytest.fixture
def served(docker_engine: DockerEngine) -> Iterator[ServedImage]:
    """Serve a base image that holds one file."""
    if docker_engine.facts.image_store is ImageStore.MANIFEST_ADDRESSED:
        pytest.skip("with containerd's store an engine pulls from the loopback by https only")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        member = tarfile.TarInfo("base")
        archive.addfile(member, io.BytesIO())
    with serve_image(layer.getvalue()) as image:
        yield image
        with contextlib.suppress(APIError):  # where the test did not pull it
            docker_engine.api.remove_image(image.tag)


@pytest.fixture
def copying_order(inputs: BuildInputs, order: BuildOrder) -> BuildOrder:
    """Return an order that runs nothing, as its base has no shell."""
    recipe = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG CMAKE_FLAGS\nCOPY build_engines.py /\n"
    inputs.dockerfile.write_text(recipe)
    return dataclasses.replace(order, base=None)


def test_unpinned_base_is_pinned_on_its_first_pull_and_then_good_enough_for_locked(
    docker_engine: DockerEngine, copying_order: BuildOrder, served: ServedImage, tmp_path: Path
) -> None:
    folder = images_folder(tmp_path, served.tag)
    locked = dataclasses.replace(copying_order, locked=True)
    with pytest.raises(DigestError, match="not pinned"):
        build_image(docker_engine, locked, folder, print)
    said: list[str] = []
    build_image(docker_engine, copying_order, folder, said.append)
    assert any(served.digest in line and "first use" in line for line in said)
    lock = read_lock(folder, "try")
    assert lock is not None
    assert lock.inputs.bases.build.reference == f"{served.tag}@{served.digest}"
    assert lock.inputs.bases.build.pinned_by is PinnedBy.FIRST_PULL
    build_image(docker_engine, locked, folder, print)


def test_base_of_another_digest_than_pinned_is_refused_by_the_engine(
    docker_engine: DockerEngine, copying_order: BuildOrder, served: ServedImage, tmp_path: Path
) -> None:
    wrong = "sha256:" + "3" * 64
    folder = images_folder(tmp_path, served.tag, f"'{wrong}'")
    with pytest.raises(HostError, match="pull"):
        build_image(docker_engine, copying_order, folder, print)
    assert read_lock(folder, "try") is None


def test_base_that_nobody_has_is_an_error_with_a_way_out(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    missing = dataclasses.replace(order, base="127.0.0.1:9/none:1")
    with pytest.raises(HostError, match="pull 127") as caught:
        build_image(docker_engine, missing, images_folder(tmp_path), print)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("builder", [Builder.CLASSIC, Builder.BUILDKIT])
def test_failing_build_tells_why_and_locks_nothing(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path, builder: Builder
) -> None:
    if builder is Builder.BUILDKIT and find_buildkit_client() is None:
        pytest.skip("no client with BuildKit here")
    order.inputs.dockerfile.write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo no compiler here >&2; exit 7\n"
    )
    lines: list[str] = []
    folder = images_folder(tmp_path)
    failing = dataclasses.replace(order, builder=builder)
    with pytest.raises(HostError, match="7") as caught:
        build_image(docker_engine, failing, folder, print, lines.append)
    assert "cannot build" in caught.value.what
    assert any("no compiler here" in line for line in lines)
    assert read_lock(tmp_path, "try") is None


def test_config_digest_is_the_same_by_id_and_by_archive(
    docker_engine: DockerEngine, base_image: str
) -> None:
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    archive = open_chunks(docker_engine.api.get_image(identity.image_id))
    assert parse_config_digest(archive) == identity.config_sha256


def test_local_base_is_the_same_every_time_it_is_loaded(
    docker_engine: DockerEngine, base_image: str
) -> None:
    """The id of an image is the digest of its config: equal tars and settings, equal ids."""
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    (layer,) = identity.diff_ids
    digest = hashlib.sha256(BASE_TAR.read_bytes()).hexdigest()
    assert layer == f"sha256:{digest}"


@pytest.mark.parametrize("value", ["a b", "$(id)", "'", "a;b c", "`x`"])
def test_flags_that_a_shell_would_change_are_refused(
    docker_engine: DockerEngine, order: BuildOrder, value: str, tmp_path: Path
) -> None:
    odd = dataclasses.replace(order, cmake={"CMAKE_CXX_FLAGS": value})
    with pytest.raises(ConfigError, match="CMAKE_CXX_FLAGS"):
        build_image(docker_engine, odd, images_folder(tmp_path), print)


def test_target_without_bases_is_refused(
    docker_engine: DockerEngine, order: BuildOrder, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no base image for other"):
        build_image(
            docker_engine,
            dataclasses.replace(order, target_id="other"),
            images_folder(tmp_path),
            print,
        )


def test_buildkit_client_is_found_by_what_it_can(tmp_path: Path) -> None:
    def client(name: str, script: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "docker").chmod(0o755)
        return str(folder)

    modern = client("modern", '[ "$1" = --version ] && echo "Docker version 28.2.2, build e6"')
    old = client("old", 'echo "Docker version 20.10.24, build 29"')
    plugin = client("plugin", 'echo "Docker version 28.2.2, build e6"')
    broken = client("broken", "exit 1")
    assert find_buildkit_client(f"{broken}:{modern}:{old}") == f"{old}/docker"
    assert find_buildkit_client(f"{modern}:{plugin}") == f"{plugin}/docker"
    assert find_buildkit_client(f"{broken}:{modern}") is None


def test_engines_of_an_image_are_unpacked_without_trust(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("engine/b1/../../x")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(HostError, match="holds"):
        unpack_engines(io.BytesIO(out.getvalue()), tmp_path)
    assert not any(tmp_path.iterdir())


def test_archive_without_manifest_is_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("other.json")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(HostError, match="no config"):
        parse_config_digest(io.BytesIO(out.getvalue()))


def test_config_digest_of_both_layouts() -> None:
    for config in ("abc.json", "blobs/sha256/abc"):
        content = json.dumps([{"Config": config}]).encode()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            member = tarfile.TarInfo("manifest.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        assert parse_config_digest(io.BytesIO(out.getvalue())) == "sha256:abc"


def test_an_image_that_is_left_half_read_is_let_go(
    docker_engine: DockerEngine, base_image: str
) -> None:
    """An engine removes no container that is being read: what went wrong would be hidden."""
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    with (
        pytest.raises(HostError, match="odd member"),
        opened_image(docker_engine, identity) as files,
    ):
        stream = files.stream("/usr")
        assert stream is not None and stream.read(10)
        raise HostError("odd member")

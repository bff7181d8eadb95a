"""The Dockerfiles of both targets, built whole by both builders on stand-ins.

The stand-in base of the Jetson has an nvcc that only says its version, at the place where L4T
images have it; the stand-in source compiles in a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from edgemoe_appliance.container.builders import Builder, find_buildkit_client
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import usual_inputs
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.image import BuildOrder, build_image, image_tag
from edgemoe_appliance.container.launch import IMAGE_USER
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.schema.configs import Configs
from tests.container.images import build_image_from, target_name
from tests.container.standin import write_standin

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*/Dockerfile"))
GOAL_BYTES = 120 * 10**6
# Mesa's drivers bring LLVM.
VULKAN_BYTES = 450 * 10**6
_L4T = """
FROM {base}
RUN mkdir -p /usr/local/cuda/bin && cd /usr/local/cuda/bin \\
 && echo '#!/bin/sh' > nvcc \\
 && echo 'echo "Cuda compilation tools, release 12.6, V12.6.11"' >> nvcc && chmod +x nvcc
"""


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_recipe_needs_no_newer_builder_and_fetches_no_source(path: Path) -> None:
    text = path.read_text()
    instructions = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert "# syntax" not in text
    for newer in ("<<", "--mount", "--link", "--chmod"):
        assert not any(newer in line for line in instructions), newer
    for fetch in ("git clone", "curl ", "wget ", "ADD "):
        assert fetch not in "\n".join(instructions)
    assert re.search(r"^USER 10001:10001$", text, re.M) and str(IMAGE_USER) == "10001"
    assert "--require-hashes" in text


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    scripts = [*ROOT.glob("docker/**/*.sh"), *ROOT.glob("tests/tools/*.sh")]
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def standin(
    configs: Configs, measurement_source: PreparedSource, tmp_path_factory: pytest.TempPathFactory
) -> PreparedSource:
    return write_standin(tmp_path_factory.mktemp("standin"), measurement_source.folder)


@pytest.fixture(scope="module")
def l4t_image(docker_engine: DockerEngine, base_image: str) -> str:
    """Return the stand-in for L4T; the host's recipe takes it too, and shares its first layers."""
    recipe = _L4T.format(base=base_image)
    return build_image_from(docker_engine, recipe, "edgemoe-test-l4t:r36").reference


@pytest.fixture
def order(
    request: pytest.FixtureRequest,
    configs: Configs,
    standin: PreparedSource,
    l4t_image: str,
    docker_engine: DockerEngine,
) -> Iterator[BuildOrder]:
    target = configs.target(request.param)
    assert target.container is not None
    target_id = target_name(f"{request.param}-standin")
    yield BuildOrder(
        target_id=target_id,
        inputs=usual_inputs(target.container, [standin], os.environ),
        cmake={**target.cmake, **target.container.cmake},
        labels={},
        base=l4t_image,
        runtime=l4t_image,
    )
    with contextlib.suppress(ImageNotFound):
        docker_engine.api.remove_image(image_tag(target_id))


@pytest.mark.container
@pytest.mark.parametrize("builder", [Builder.CLASSIC, Builder.BUILDKIT])
@pytest.mark.parametrize("order", ["host", "jetson", "vulkan"], indirect=True)
def test_dockerfile_is_built_whole(
    docker_engine: DockerEngine,
    order: BuildOrder,
    tmp_path: Path,
    builder: Builder,
) -> None:
    if builder is Builder.BUILDKIT and find_buildkit_client() is None:
        pytest.skip("no client with BuildKit here")
    base = "{tag: 'debian:1', digest: null}"
    recipe = f"bases:\n  {order.target_id}:\n    build: {base}\n    run: {base}\n"
    (tmp_path / "bases.yaml").write_text(recipe)
    ordered = dataclasses.replace(order, builder=builder, labels={"builder": builder.value})
    built = build_image(docker_engine, ordered, tmp_path, print)
    image = built.identity
    assert set(built.engines) == {"standin"}
    build = built.engines["standin"]
    assert {"llama-cli", "llama-bench", "libllama.so", "libggml.so"} == set(build.files_sha256)
    assert build.binary == "/opt/edgemoe/engine/standin/bin/llama-cli"
    assert build.probe is not None
    assert build.probe.path == "/opt/edgemoe/engine/standin/probe/libedgemoe_probe.so"
    for name, value in order.cmake.items():
        assert build.cmake[name].startswith(value)
    assert ("12.6" in build.compiler) == ("jetson" in order.target_id)
    inside = names_in(docker_engine, image.image_id, "/opt/edgemoe")
    assert "edgemoe/engine/standin/probe/libedgemoe_probe.so" in inside
    assert "edgemoe/engine/standin/probe/probe.json" in inside
    assert "edgemoe/app/edgemoe_appliance/measure/__main__.py" in inside
    assert not any("pandas" in name or "/container/" in name for name in inside)
    assert not any("ca.pem" in name for name in inside), "certificates stay in the build stage"
    below = read_identity(docker_engine, order.base or "")
    assert below is not None
    is_vulkan = "vulkan" in order.target_id
    goal_bytes = VULKAN_BYTES if is_vulkan else GOAL_BYTES
    assert image.size_bytes - below.size_bytes < goal_bytes
    if is_vulkan:
        assert "glslc" in build.compiler
        drivers = names_in(docker_engine, image.image_id, "/usr/share/vulkan/icd.d")
        assert any("radeon" in name for name in drivers)
        assert not any("lvp" in name for name in drivers), "no software device unasked"


def names_in(engine: DockerEngine, image: str, path: str) -> set[str]:
    """Return the names of all files below a folder of an image."""
    container = engine.api.create_container(image)["Id"]
    try:
        chunks, _ = engine.api.get_archive(container, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            return set(archive.getnames())
    finally:
        engine.api.remove_container(container)

"""Images and connections for tests that need a Docker engine (tests/tools/start-engine.sh)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.context import BuildInputs, usual_inputs
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.image import BuildOrder, build_image
from edgemoe_appliance.container.image_files import read_engines
from edgemoe_appliance.engine.source import PreparedSource, prepare_source
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.files import cache_lock
from edgemoe_appliance.schema.plan import EngineBuild
from tests.container.cross import object_cache
from tests.container.images import BASE, build_script_image, target_name

TOOLS = Path(__file__).resolve().parents[1] / "tools"
IMAGES = Path(__file__).resolve().parents[2] / "images"
BASE_TAR = default_folders().cache / "base" / "bookworm.tar"


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    with open_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def base_image(docker_engine: DockerEngine) -> str:
    """Return the tag of the local base image, made where it or the tar it came from is missing."""
    with cache_lock(BASE_TAR):
        if read_identity(docker_engine, BASE) is None or not BASE_TAR.exists():
            environment = {**os.environ, "DOCKER_HOST": docker_engine.host}
            subprocess.run([TOOLS / "make-base-image.sh"], env=environment, check=True)
    return BASE


@pytest.fixture(scope="module")
def compiled(docker_engine: DockerEngine) -> Iterator[Path]:
    """Keep what is compiled for another processor in a folder that outlives the test."""
    with object_cache(docker_engine) as folder:
        yield folder


@pytest.fixture
def script_image(docker_engine: DockerEngine, base_image: str) -> Callable[[str], ImageIdentity]:
    """Return a function that makes an image whose process is a shell script."""
    return lambda script: build_script_image(docker_engine, base_image, script)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an images folder of our own: the tests lock and tag nothing of the user's."""
    folder = tmp_path_factory.mktemp("images")
    bases = yaml.safe_load((IMAGES / "bases.yaml").read_text())["bases"]
    ours = {target_name(name): stages for name, stages in bases.items()}
    (folder / "bases.yaml").write_text(yaml.safe_dump({"bases": ours}))
    return folder


@pytest.fixture(scope="session")
def measurement_source(configs: Configs) -> PreparedSource:
    name = configs.engines.fallback
    return prepare_source(
        name, configs.pin(name), default_folders().cache, why="the tests ask for it"
    )


@pytest.fixture(scope="session")
def measurement_inputs(configs: Configs, measurement_source: PreparedSource) -> BuildInputs:
    profile = configs.target("host").container
    assert profile is not None
    return usual_inputs(profile, [measurement_source], os.environ)


@pytest.fixture(scope="session")
def measurement_image(
    docker_engine: DockerEngine,
    base_image: str,
    image_folder: Path,
    measurement_inputs: BuildInputs,
    configs: Configs,
) -> ImageIdentity:
    """Build the real host image from the local base (minutes), or find it built."""
    target = configs.target("host")
    assert target.container is not None
    order = BuildOrder(
        target_id=target_name("host"),
        inputs=measurement_inputs,
        cmake={**target.cmake, **target.container.cmake},
        labels={},
        base=base_image,
        runtime=base_image,
    )
    return build_image(docker_engine, order, image_folder, print).identity


@pytest.fixture(scope="session")
def image_engines(
    docker_engine: DockerEngine, measurement_image: ImageIdentity
) -> dict[str, EngineBuild]:
    return read_engines(docker_engine, measurement_image)

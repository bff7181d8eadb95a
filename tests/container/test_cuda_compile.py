"""The Jetson image with CUDA for real, compiled and linked without a GPU: `make cuda-compile`.

The Dockerfile, the flags of devices.yaml and llama.cpp are a board's; so is the architecture, arm64
with device code for sm_87. Stand-ins are the base images (tests/container/cross.py): Debian for
Ubuntu, CUDA 12.4 for 12.6, and compilers that run on this machine. Compiling takes most of an hour
the first time; what was compiled is kept, so that the same command goes on after a stop.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import usual_inputs
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.image import BuildOrder, BuiltImage, build_image
from edgemoe_appliance.container.image_files import opened_image, unpack_engines
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.plan import Plan, PlannedModel
from tests.container.cross import TOOLS, build_l4t, build_with_files
from tests.container.images import target_name
from tests.container.test_arm64_smoke import elf_machine
from tests.container.test_measuring import make_plan, records

pytestmark = [
    pytest.mark.container,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EDGEMOE_CUDA_COMPILE"), reason="run: make cuda-compile"),
]
_EM_AARCH64 = 183
_ORIN = "sm_87"
DENSE = "llama-3.2-1b"


@pytest.fixture(scope="module")
def toolkit() -> Path:
    made = subprocess.run(
        [TOOLS / "make-cuda-toolkit.sh"], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(made.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def jetson(
    docker_engine: DockerEngine,
    base_image: str,
    image_folder: Path,
    measurement_source: PreparedSource,
    configs: Configs,
    toolkit: Path,
    compiled: Path,
) -> BuiltImage:
    target = configs.target("jetson")
    assert target.container is not None and target.container.architecture is not None
    devel, runtime = build_l4t(docker_engine, base_image, toolkit.parent)
    before = sum(1 for path in compiled.rglob("*") if path.is_file())
    begin_s = time.monotonic()
    order = BuildOrder(
        target_id=target_name("jetson"),
        inputs=usual_inputs(target.container, [measurement_source], os.environ),
        cmake={**target.cmake, **target.container.cmake},
        labels={},
        base=devel,
        runtime=runtime,
        architecture=target.container.architecture.value,
    )
    built = build_image(docker_engine, order, image_folder, print, print)
    print(
        f"\nJetson image: {time.monotonic() - begin_s:.0f} s, {before} objects were there; "
        f"{built.identity.size_bytes / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    return built


@pytest.fixture(scope="module")
def engine_folder(
    docker_engine: DockerEngine, jetson: BuiltImage, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    with opened_image(docker_engine, jetson.identity) as files:
        stream = files.stream("/opt/edgemoe/engine")
        assert stream is not None
        with stream:
            unpack_engines(stream, folder)
    ((pin, _),) = jetson.engines.items()
    return folder / pin / "bin"


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_is_built_for_the_board(jetson: BuiltImage, engine_folder: Path) -> None:
    ((_, build),) = jetson.engines.items()
    assert jetson.lock.image.architecture == "arm64"
    assert "nvcc Cuda compilation tools, release 12" in build.compiler
    assert build.compiler.endswith("aarch64-linux-gnu")
    assert build.cmake["CMAKE_CUDA_ARCHITECTURES"] == "87"
    for path in sorted(engine_folder.iterdir()):
        content = path.read_bytes()
        print(f"{len(content):>11} {path.name}")
        assert elf_machine(content) == _EM_AARCH64, path.name


def test_its_kernels_are_device_code_of_orin(engine_folder: Path, toolkit: Path) -> None:
    library = engine_folder / "libggml-cuda.so"
    listed = output(toolkit / "bin" / "cuobjdump", "--list-elf", library).splitlines()
    kinds = Counter(re.findall(r"\.(sm_\w+)\.cubin", "\n".join(listed)))
    print(f"\n{library.name}: {dict(kinds)}", *listed[:4], "...", *listed[-2:], sep="\n")
    assert set(kinds) == {_ORIN}
    assert kinds[_ORIN] > 60  # one for each of ggml's CUDA files
    code = output(toolkit / "bin" / "cuobjdump", "--dump-elf-symbols", library)
    # The multiplication of the study's own type of weights (ggml's type 12, Q4_K), and of its
    # experts' rows; a cubin without kernels would be listed too.
    functions = {line.split()[-1] for line in code.splitlines() if "STT_FUNC" in line}
    assert any("mul_mat_q" in name and "ggml_type12" in name for name in functions)
    assert any("mul_mat_vec_q" in name and "ggml_type12" in name for name in functions)
    print(f"{len(functions)} functions")


def test_it_is_linked_against_the_board_s_libraries(engine_folder: Path) -> None:
    library = engine_folder / "libggml-cuda.so"
    dynamic = output("readelf", "--dynamic", library)
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    print(f"\n{sorted(needed)}")
    assert {"libcuda.so.1", "libcudart.so.12", "libcublas.so.12"} <= needed


def on_board(plan: Plan, configs: Configs) -> Plan:
    """Return a plan for the target jetson, in a container without NVIDIA's runtime."""
    target = configs.target("jetson")
    assert target.container is not None
    profile = target.container.model_copy(update={"runtime": "runc"})
    changed = target.model_copy(update={"container": profile, "power_sources": ()})
    return plan.model_copy(update={"target": changed, "target_id": "jetson"})


# The stub has the driver's functions, of which each says that it is a stub.
_WITH_STUB = """\
FROM {image}
COPY 12.4/targets/aarch64-linux/lib/stubs/libcuda.so /usr/lib/aarch64-linux-gnu/libcuda.so.1
"""


@pytest.mark.parametrize(
    ("has_library", "told"),
    [
        (False, "the engine does not start: libcuda.so.1 is not on this machine"),
        (True, "no device for target jetson: the engine finds none on this machine"),
    ],
)
def test_without_a_gpu_it_is_refused_in_one_line(
    docker_engine: DockerEngine,
    jetson: BuiltImage,
    toolkit: Path,
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
    *,
    has_library: bool,
    told: str,
) -> None:
    image = jetson.identity
    if has_library:
        recipe = _WITH_STUB.format(image=image.image_id)
        tag = build_with_files(docker_engine, recipe, "edgemoe-test-stub:arm64", toolkit.parent)
        found = read_identity(docker_engine, tag)
        assert found is not None
        image = found
    models = {DENSE: tiny_models[DENSE]}
    plan = on_board(make_plan(configs, dict(jetson.engines), models, image), configs)
    folder = tmp_path / "short"
    launcher = ContainerLauncher(engine=docker_engine, image=image, say=print, may_emulate=True)
    with pytest.raises(ApplianceError) as caught:
        run_bench(plan, folder, launcher, lambda _progress: None)
    print(f"\n{caught.value}")
    assert told in str(caught.value)
    assert caught.value.exit_code == 3
    assert records(folder) == []

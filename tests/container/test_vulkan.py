"""The image of target `vulkan` with its real engine: `make vulkan-container`.

The image has no driver that computes on the processor, so that a run without a GPU is refused. A
second image, for this test alone, lets the loader see the one that Mesa's package brought along.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import usual_inputs
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.image import BuildOrder, build_image
from edgemoe_appliance.container.image_files import read_engines
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import Arm, Configs
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel
from edgemoe_appliance.schema.records import (
    BufferKind,
    EndRecord,
    PeriodRecord,
    Phase,
    Status,
)
from tests.bench.plans import small_plan
from tests.container.images import build_image_from, target_name

pytestmark = [
    pytest.mark.container,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("EDGEMOE_VULKAN_SMOKE"), reason="run: make vulkan-container"
    ),
]
MOE = "olmoe-1b-7b"
TOKENS = 12
# The library lies where the package put it; only the loader's note of it was taken away. Without
# threads the driver repeats itself (tests/engine/test_vulkan_smoke.py).
_DRIVER = {
    "file_format_version": "1.0.0",
    "ICD": {"library_path": "libvulkan_lvp.so", "api_version": "1.3.0"},
}
_WITH_DRIVER = """
FROM {image}
USER 0
RUN echo '{driver}' > /usr/share/vulkan/icd.d/test_lvp_icd.json
ENV LP_NUM_THREADS=0
USER 10001:10001
"""


@pytest.fixture(scope="module")
def image(
    docker_engine: DockerEngine,
    base_image: str,
    image_folder: Path,
    measurement_source: PreparedSource,
    configs: Configs,
) -> ImageIdentity:
    """Build the real image from the local base (minutes), or find it built."""
    target = configs.target("vulkan")
    assert target.container is not None
    order = BuildOrder(
        target_id=target_name("vulkan"),
        inputs=usual_inputs(target.container, [measurement_source], os.environ),
        cmake={**target.cmake, **target.container.cmake},
        labels={},
        base=base_image,
        runtime=base_image,
    )
    return build_image(docker_engine, order, image_folder, print).identity


@pytest.fixture(scope="module")
def software_image(docker_engine: DockerEngine, image: ImageIdentity) -> ImageIdentity:
    recipe = _WITH_DRIVER.format(image=image.image_id, driver=json.dumps(_DRIVER))
    return build_image_from(docker_engine, recipe, "edgemoe-test-vulkan-software:latest")


def plan_of(
    configs: Configs,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
    used: ImageIdentity,
) -> Plan:
    """Return a plan of the sparse twin, without a probe and with one that waits at edges."""
    (build,) = engines.values()
    plan = small_plan(
        configs,
        build,
        {MOE: models[MOE]},
        session="vulkan-container",
        n_predict=TOKENS,
        ignore_eos=True,
        arms=[Arm.PLAIN.value, Arm.PROBE_BOUNDARY.value],
        feeds=["headline"],
    )
    target = configs.target("vulkan").model_copy(
        update={"run_timeout_s": 3000.0, "power_sources": ()}
    )
    return plan.model_copy(
        update={
            "target": target,
            "target_id": "vulkan",
            "runtime": "container",
            "image": used.config_sha256,
        }
    )


def test_a_machine_without_a_device_is_refused_in_one_line(
    docker_engine: DockerEngine,
    image: ImageIdentity,
    configs: Configs,
    tiny_models: dict[str, PlannedModel],
    tmp_path: Path,
) -> None:
    plan = plan_of(configs, read_engines(docker_engine, image), tiny_models, image)
    launcher = ContainerLauncher(engine=docker_engine, image=image, say=print)
    with pytest.raises(HostError, match="no device for target vulkan: the engine finds none"):
        run_bench(plan, tmp_path / "session", launcher, lambda _: None)
    assert not (tmp_path / "session" / JOURNAL_NAME).read_bytes()


def test_every_layer_lies_on_the_device_inside(
    docker_engine: DockerEngine,
    software_image: ImageIdentity,
    configs: Configs,
    tiny_models: dict[str, PlannedModel],
    tmp_path: Path,
) -> None:
    engines = read_engines(docker_engine, software_image)
    plan = plan_of(configs, engines, tiny_models, software_image)
    folder = tmp_path / "session"
    launcher = ContainerLauncher(engine=docker_engine, image=software_image, say=print)
    run_bench(plan, folder, launcher, lambda _: None)
    lines = iterate_journal(folder / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    (period,) = (one for one in records if isinstance(one, PeriodRecord))
    assert period.host.in_container
    assert period.hardware is not None
    assert "llvmpipe" in (period.hardware.software_device or "")
    plain, probed = (one for one in records if isinstance(one, EndRecord))
    for end in (plain, probed):
        assert (end.status, end.detail) == (Status.OK, None)
        assert end.engine is not None
        assert end.engine.devices == ("Vulkan0",)
        assert end.engine.layers_offloaded == end.engine.layers
        on_device = {buffer.kind for buffer in end.engine.buffers if not buffer.is_host}
        assert on_device >= {BufferKind.MODEL, BufferKind.KV, BufferKind.COMPUTE}
        assert end.metrics["device_buffer_bytes"] > 0
        assert {Phase.LOAD, Phase.PROMPT, Phase.GENERATE} <= {w.phase for w in end.windows}
        assert end.metrics["generated_tokens"] == TOKENS
    assert plain.text_sha256 == probed.text_sha256
    assert probed.metrics["routing_decode_s"] > 0
    (setting,) = load_sessions([folder]).settings
    assert "on a software device" in setting.label

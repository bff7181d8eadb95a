"""The arm64 image for real: built, measured with, looked into, under qemu-user: `make arm64-smoke`.

The image is the one that a board gets, byte for byte what the Dockerfile makes on arm64 Debian;
only its compilers are this machine's (tests/container/cross.py). The processor is emulated, so no
figure of speed means anything, and qemu-user shows this machine's /proc: /proc/cpuinfo is not a
board's. On an arm64 machine nothing is emulated.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import log_tail
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import usual_inputs
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.image import BuildOrder, BuiltImage, build_image
from edgemoe_appliance.container.image_files import opened_image
from edgemoe_appliance.container.launch import BoardFiles
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.container.tarstream import open_members
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import Arm, Configs
from edgemoe_appliance.schema.plan import PlannedModel
from edgemoe_appliance.schema.records import EndRecord, PeriodRecord, Status
from tests.container.cross import BASE_ARM64, build_cross
from tests.container.images import build_script_image, target_name
from tests.container.test_board import MODEL, RELEASE, board, board_session
from tests.container.test_containers import follow, read
from tests.container.test_measuring import (
    SMALL_BYTES,
    cgroup_seen_inside,
    make_plan,
    records,
)

__all__ = ["board"]  # a fixture
MOE, DENSE = "olmoe-1b-7b", "llama-3.2-1b"
_EM_AARCH64 = 183  # ELF for the Arm 64-bit Architecture
_LOCK = Path(__file__).resolve().parents[2] / "docker" / "shared" / "requirements.lock"

pytestmark = [
    pytest.mark.container,
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EDGEMOE_ARM64_SMOKE"), reason="run: make arm64-smoke"),
]


def elf_machine(content: bytes) -> int | None:
    """Return what processor a program or library is for, by its ELF header; None for no ELF."""
    if not content.startswith(b"\x7fELF"):
        return None
    return int(struct.unpack_from("<H", content, 18)[0])


@pytest.fixture(scope="module")
def arm64(
    docker_engine: DockerEngine,
    base_image: str,
    image_folder: Path,
    measurement_source: PreparedSource,
    configs: Configs,
    compiled: Path,
) -> BuiltImage:
    """Build the real host image for arm64 (its compilation takes as long as a native one)."""
    target = configs.target("host")
    assert target.container is not None
    begin_s = time.monotonic()
    order = BuildOrder(
        target_id=target_name("host"),
        inputs=usual_inputs(target.container, [measurement_source], os.environ),
        cmake={**target.cmake, **target.container.cmake},
        labels={},
        base=build_cross(docker_engine, base_image),
        runtime=BASE_ARM64,
        architecture="arm64",
    )
    built = build_image(docker_engine, order, image_folder, print, print)
    print(f"\narm64 image: {time.monotonic() - begin_s:.0f} s, {built.identity.size_bytes} bytes")
    return built


def launcher(engine: DockerEngine, image: ImageIdentity) -> ContainerLauncher:
    return ContainerLauncher(engine=engine, image=image, say=print, may_emulate=True)


def test_all_that_is_in_the_image_is_arm64(docker_engine: DockerEngine, arm64: BuiltImage) -> None:
    assert arm64.lock.image.architecture == arm64.identity.architecture == "arm64"
    ((_, build),) = arm64.engines.items()
    assert build.compiler.endswith("aarch64-linux-gnu")
    assert "CMAKE_SYSTEM_NAME" not in build.cmake, "as on a board: for cmake no cross compilation"
    foreign = {name for name in arm64.lock.packages.system if name.endswith(":amd64")}
    assert not foreign
    machines: dict[str, int | None] = {}
    with opened_image(docker_engine, arm64.identity) as files:
        for part in ("engine", "lib"):
            stream = files.stream(f"/opt/edgemoe/{part}")
            assert stream is not None
            with open_members(stream) as members:
                for member, content in members:
                    name = member.name.rpartition("/")[2]
                    machines[name] = elf_machine(content.read(64)) if content else None
    programs = {name: found for name, found in machines.items() if found is not None}
    assert {"llama-cli", "libllama.so", "libggml-cpu.so", "libedgemoe_probe.so"} <= set(programs)
    assert any("pydantic_core" in name for name in programs), programs
    assert set(programs.values()) == {_EM_AARCH64}


def test_tiny_twins_are_measured_in_it(
    docker_engine: DockerEngine,
    arm64: BuiltImage,
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    models = {name: tiny_models[name] for name in (DENSE, MOE)}
    plan = make_plan(configs, dict(arm64.engines), models, arm64.identity)
    folder = tmp_path / "short"
    outcome = run_bench(plan, folder, launcher(docker_engine, arm64.identity), print)
    assert (outcome.progress.done, outcome.progress.not_ok) == (2, 0), log_tail(folder)
    period, *_ = found = records(folder)
    assert isinstance(period, PeriodRecord) and period.host.in_container
    assert period.host.machine == "aarch64"
    assert period.hardware is not None
    assert period.hardware.system == "Debian GNU/Linux 12 (bookworm)"
    print(
        f"\nmachine {period.host.machine}, processor as qemu-user shows it: "
        f"{period.host.cpu_model}; kernel {period.host.release}, cgroup {period.host.cgroup}"
    )
    for end in found:
        if isinstance(end, EndRecord):
            assert end.status is Status.OK
            assert end.metrics["generated_tokens"] == 8
            assert end.metrics["peak_rss_bytes"] > 0
            print({name: end.metrics[name] for name in ("gen_tok_s", "peak_rss_bytes", "wall_s")})


def test_the_probe_is_loaded_in_it(
    docker_engine: DockerEngine,
    arm64: BuiltImage,
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    moe, arms = {MOE: tiny_models[MOE]}, (Arm.PLAIN, Arm.PROBE_BOUNDARY)
    plan = make_plan(configs, dict(arm64.engines), moe, arm64.identity, arms=arms)
    folder = tmp_path / "short"
    outcome = run_bench(plan, folder, launcher(docker_engine, arm64.identity), print)
    assert (outcome.progress.done, outcome.progress.not_ok) == (2, 0), log_tail(folder)
    plain, probed = (record for record in records(folder) if isinstance(record, EndRecord))
    assert plain.text_sha256 == probed.text_sha256
    assert any(name.startswith("routing_share") for name in probed.metrics)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="nothing is emulated here")
def test_the_bench_does_not_measure_under_emulation(
    docker_engine: DockerEngine,
    arm64: BuiltImage,
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    plan = make_plan(configs, dict(arm64.engines), {DENSE: tiny_models[DENSE]}, arm64.identity)
    usual = ContainerLauncher(engine=docker_engine, image=arm64.identity, say=print)
    with pytest.raises(HostError, match="would only emulate it"):
        run_bench(plan, tmp_path / "short", usual, print)


def test_the_cgroup_is_read_in_it(docker_engine: DockerEngine, arm64: BuiltImage) -> None:
    shown = cgroup_seen_inside(docker_engine, arm64.identity.image_id)
    version, grown, current, peak, _, limit = json.loads(shown)
    assert version == docker_engine.facts.cgroup_version
    assert 60 * 2**20 < grown < 80 * 2**20
    assert peak is None or current <= peak <= SMALL_BYTES
    assert limit == SMALL_BYTES


def test_a_board_s_files_are_read_in_it(
    docker_engine: DockerEngine, arm64: BuiltImage, board: BoardFiles, tmp_path: Path
) -> None:
    session = board_session(tmp_path)
    image = build_script_image(
        docker_engine, arm64.identity.reference, "exec python3 /session/look.py"
    )
    looking = ContainerLauncher(
        engine=docker_engine, image=image, say=print, board=board, may_emulate=True
    )
    assert follow(looking.launch(read(session), session)) == 0, log_tail(session)
    seen = json.loads((session / "seen.json").read_text())
    hardware = seen["hardware"]
    assert (seen["release"], hardware["device"]) == (RELEASE, MODEL.rstrip("\0"))
    assert (hardware["release"], hardware["jetpack"]) == ("R36.4.3", "6.2")
    assert hardware["power_mode"] == {"id": 0, "name": "15W"}
    assert set(seen["powers_w"]) == {6.426}


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
def test_every_wheel_of_the_image_exists_for_arm64(version: str, tmp_path: Path) -> None:
    """JetPack 6 has Python 3.10; pip takes only files with the lock's hashes."""
    asked = ["download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    asked += ["--platform", "manylinux2014_aarch64", "--python-version", version]
    asked += ["--dest", str(tmp_path), "--requirement", str(_LOCK)]
    subprocess.run([sys.executable, "-m", "pip", *asked], check=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    print("\n" + "\n".join(names))
    assert any("aarch64" in name for name in names)
    assert not any("x86_64" in name for name in names)


def test_the_cache_of_objects_was_used(compiled: Path, arm64: BuiltImage) -> None:
    assert arm64.engines and any(compiled.iterdir())
    assert compiled.is_relative_to(default_folders().cache)

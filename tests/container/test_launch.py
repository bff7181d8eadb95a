from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import cast

import pytest

from edgemoe_appliance.bench.runtime import find_render_nodes
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.launch import (
    IMAGE_USER,
    BoardFiles,
    Exchange,
    LaunchSpec,
    RenderNode,
    User,
    choose_user,
    container_name,
    containerised_plan,
    launch_arguments,
)
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.schema.configs import Assessment, Configs, PowerSource
from edgemoe_appliance.schema.hardware import DEVICE_TREE_MODEL
from edgemoe_appliance.schema.plan import Plan, ProbeFacts
from tests.container.plans import JETSON_PROFILE, plan

FOLDER = Path("/data/raw/try")
SOMEBODY = User(uid=1000, gid=1000)


def specify(given: Plan, exchange: Exchange = Exchange.BIND) -> LaunchSpec:
    return launch_arguments(given, FOLDER, image_id="sha256:1", user=SOMEBODY, exchange=exchange)


def mounts_of(spec: LaunchSpec) -> dict[str, tuple[str, str | None, bool]]:
    return {str(m.target): (m.kind, m.source, m.read_only) for m in spec.mounts}


def test_host_container_sees_its_session_and_its_models_only() -> None:
    assert mounts_of(specify(plan())) == {
        "/session": ("bind", "/data/raw/try", False),
        "/plan/session.json": ("bind", "/data/raw/.bench/try/session.container.json", True),
        "/models/olmoe-1b-7b/olmoe.gguf": ("bind", "/data/models/olmoe.gguf", True),
    }


@pytest.mark.parametrize("exchange", list(Exchange))
def test_probabilities_lie_in_a_volume_of_the_containers_own(exchange: Exchange) -> None:
    given = plan()
    judged = {"assesses": Assessment.DIVERGENCE, "reference": "olmoe-1b-7b", "n_predict": 0}
    runs = tuple(run.model_copy(update=judged) for run in given.runs)
    spec = specify(given.model_copy(update={"runs": runs}), exchange)
    (mount,) = (each for each in spec.mounts if str(each.target) == "/bases")
    assert (mount.kind, mount.source, mount.read_only) == ("volume", None, False)
    assert spec.command[4:6] == ("--bases", "/bases")
    assert spec.read_only_root and spec.network == "none"
    assert "/bases" not in mounts_of(specify(given)), "nor where nothing is judged"


def test_two_models_of_the_same_file_name_do_not_cover_each_other() -> None:
    both = {"a": Path("/one/model.gguf"), "b": Path("/two/model.gguf")}
    assert len(mounts_of(specify(plan(models=both)))) == 4


def test_every_mount_says_what_it_is_for_and_only_the_session_can_be_written() -> None:
    jetson = plan(profile=JETSON_PROFILE, power_sources=(PowerSource.TEGRASTATS,))
    for exchange in Exchange:
        spec = specify(jetson, exchange)
        assert all(len(mount.purpose) > 10 for mount in spec.mounts)
        assert [str(m.target) for m in spec.mounts if not m.read_only] == ["/session"]


def test_jetson_container_sees_the_boards_own_files() -> None:
    jetson = plan(
        profile=JETSON_PROFILE, power_sources=(PowerSource.INA3221, PowerSource.TEGRASTATS)
    )
    spec = specify(jetson)
    mounts = mounts_of(spec)
    assert mounts["/usr/bin/tegrastats"] == ("bind", "/usr/bin/tegrastats", True)
    assert mounts["/etc/nv_tegra_release"] == ("bind", "/etc/nv_tegra_release", True)
    assert mounts[DEVICE_TREE_MODEL][1] == "/sys/firmware/devicetree/base/model"
    assert spec.runtime == "nvidia"
    assert spec.groups == ("video",)
    assert spec.environment["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_boards_files_are_the_boards_even_where_the_session_is_in_a_volume() -> None:
    jetson = plan(profile=JETSON_PROFILE, power_sources=(PowerSource.TEGRASTATS,))
    kinds = {str(m.target): m.kind for m in specify(jetson, Exchange.VOLUME).mounts}
    assert kinds["/usr/bin/tegrastats"] == "bind"
    assert kinds["/session"] == kinds["/models/olmoe-1b-7b"] == "volume"


def test_a_board_can_stand_elsewhere() -> None:
    jetson = plan(profile=JETSON_PROFILE, power_sources=(PowerSource.TEGRASTATS,))
    spec = launch_arguments(
        jetson,
        FOLDER,
        image_id="sha256:1",
        user=SOMEBODY,
        exchange=Exchange.BIND,
        board=BoardFiles(tegrastats="/elsewhere/tegrastats"),
    )
    assert mounts_of(spec)["/usr/bin/tegrastats"][1] == "/elsewhere/tegrastats"


def test_defaults_are_those_of_least_privilege() -> None:
    spec = specify(plan())
    assert spec.read_only_root
    assert spec.dropped_capabilities == ("ALL",)
    assert spec.security_options == ("no-new-privileges:true",)
    assert spec.network == "none"
    assert spec.runtime == "runc"
    assert spec.memory_limit_bytes == 2**30
    assert spec.pids_limit == 128
    assert "size=" in spec.tmpfs["/tmp"] and "noexec" in spec.tmpfs["/tmp"]


def test_command_reads_the_rewritten_plan_and_writes_the_session() -> None:
    assert specify(plan()).command == (
        "--plan",
        "/plan/session.json",
        "--out",
        "/session",
        "--root=CACHE=/opt/edgemoe/engine",
        "--root=MODELS=/models",
    )


def test_target_without_container_is_refused() -> None:
    with pytest.raises(ConfigError, match="native"):
        specify(plan(profile=None))


def test_name_tells_two_folders_of_the_same_session_apart() -> None:
    names = {container_name("try", Path(f"/{n}/try")) for n in (1, 2)}
    assert len(names) == 2
    assert all(name.startswith("edgemoe-try-") for name in names)


@pytest.mark.parametrize(
    ("exchange", "uid", "expected"),
    [
        (Exchange.BIND, 1000, User(uid=1000, gid=100)),
        (Exchange.BIND, 0, User(uid=IMAGE_USER, gid=IMAGE_USER)),
        (Exchange.VOLUME, 1000, User(uid=IMAGE_USER, gid=IMAGE_USER)),
    ],
)
def test_user_is_the_caller_but_never_root(exchange: Exchange, uid: int, expected: User) -> None:
    assert choose_user(exchange, uid, 100) == expected


def test_containerised_plan_has_other_paths_and_the_same_digest() -> None:
    given = plan()
    inside = containerised_plan(given)
    assert inside.engines["b4447"].binary == "/opt/edgemoe/engine/b4447/bin/llama-cli"
    assert inside.models["olmoe-1b-7b"].path == "/models/olmoe-1b-7b/olmoe.gguf"
    assert PurePosixPath(inside.models["olmoe-1b-7b"].path).name == "olmoe.gguf"
    assert inside.digest == given.digest
    assert inside.runs == given.runs
    assert Plan.model_validate_json(inside.model_dump_json()) == inside


def test_probe_is_found_beside_its_engine() -> None:
    given = plan()
    facts = ProbeFacts(path="/home/x/probe-1/libp.so", sha256="b" * 64, build_key="c" * 64)
    probed = given.engines["b4447"].model_copy(update={"probe": facts})
    given = given.model_copy(update={"engines": {"b4447": probed}})
    inside = containerised_plan(given)
    assert inside.engines["b4447"].probe is not None
    assert inside.engines["b4447"].probe.path == "/opt/edgemoe/engine/b4447/probe/libp.so"
    assert inside.digest == given.digest


def test_labels_lead_back_to_the_session() -> None:
    given = plan()
    assert specify(given).labels == {
        "edgemoe-appliance.session": "try",
        "edgemoe-appliance.folder": "/data/raw/try",
        "edgemoe-appliance.plan": given.digest,
    }


def test_spec_is_a_value() -> None:
    assert replace(specify(plan())) == specify(plan())


def test_a_gpu_comes_as_its_node_and_the_number_of_its_group() -> None:
    nodes = [RenderNode(path=f"/dev/dri/renderD{n}", gid=106) for n in (128, 129)]
    spec = launch_arguments(
        plan(),
        FOLDER,
        image_id="sha256:1",
        user=SOMEBODY,
        exchange=Exchange.BIND,
        render_nodes=nodes,
    )
    assert spec.devices == ("/dev/dri/renderD128", "/dev/dri/renderD129")
    assert spec.groups == ("106",)
    assert (specify(plan()).devices, specify(plan()).groups) == ((), ())


def test_the_nodes_of_this_machine_are_looked_up(tmp_path: Path, configs: Configs) -> None:
    here = cast("DockerEngine", SimpleNamespace(shares_files=True, host="unix:///x.sock"))
    elsewhere = cast("DockerEngine", SimpleNamespace(shares_files=False, host="ssh://board"))
    vulkan = configs.target("vulkan")
    with pytest.raises(HostError, match="no GPU to let into a container"):
        find_render_nodes(here, vulkan, tmp_path)
    assert find_render_nodes(here, configs.target("host"), tmp_path) == ()
    (tmp_path / "dev/dri").mkdir(parents=True)
    node = tmp_path / "dev/dri/renderD128"
    node.touch()
    found = find_render_nodes(here, vulkan, tmp_path)
    assert found == (RenderNode(path="/dev/dri/renderD128", gid=node.stat().st_gid),)
    with pytest.raises(HostError, match="of another machine"):
        find_render_nodes(elsewhere, vulkan, tmp_path)

"""Real containers that do nothing but show what they may do and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.bench.launcher import log_tail
from edgemoe_appliance.container.client import DockerEngine, ImageStore, open_engine
from edgemoe_appliance.container.containers import (
    create_container,
    created_container,
    find_containers,
    read_state,
    remove_container,
    start_container,
)
from edgemoe_appliance.container.identity import ImageIdentity, check_image
from edgemoe_appliance.container.launch import (
    SESSION_LABEL,
    Exchange,
    LaunchSpec,
    User,
    launch_arguments,
)
from edgemoe_appliance.container.launcher import ContainerLauncher, ContainerMeasuring
from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.schema.configs import ContainerProfile
from edgemoe_appliance.schema.journal import PLAN_INSIDE_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.sessionfolder import host_folder
from tests.container.images import build_script_image
from tests.container.plans import HOST_PROFILE, plan
from tests.schema.locks import a_lock

pytestmark = pytest.mark.container
MakeImage = Callable[[str], ImageIdentity]
_WAIT_S = 60


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Return a session folder with a plan whose model is a small file."""
    return new_session(tmp_path, HOST_PROFILE)


def new_session(folder: Path, profile: ContainerProfile) -> Path:
    model = folder / "m.gguf"
    model.write_bytes(b"GGUF")
    model.chmod(0o644)
    session = folder / "try"
    session.mkdir()
    given = plan(models={"m": model}, profile=profile)
    (session / PLAN_NAME).write_text(given.model_dump_json())
    own = host_folder(session)
    own.mkdir(parents=True)
    (own / PLAN_INSIDE_NAME).write_text(given.model_dump_json())
    return session


def read(session: Path) -> Plan:
    return Plan.model_validate_json((session / PLAN_NAME).read_bytes())


def specify(session: Path, image: ImageIdentity) -> LaunchSpec:
    owner = User(uid=10001, gid=10001)
    return launch_arguments(
        read(session), session, image_id=image.image_id, user=owner, exchange=Exchange.BIND
    )


def follow(measuring: ContainerMeasuring) -> int:
    """Wait for the end, no longer than a minute."""
    end_s = time.monotonic() + _WAIT_S
    while time.monotonic() < end_s:
        code = measuring.poll()
        if code is not None:
            return code
        time.sleep(0.1)
    measuring.stop()
    raise AssertionError("the container did not end")


def containers_of(engine: DockerEngine, name: str) -> list[Any]:
    found: list[Any] = engine.api.containers(all=True, filters={"name": name})
    return found


def launcher(engine: DockerEngine, image: ImageIdentity, said: list[str]) -> ContainerLauncher:
    return ContainerLauncher(engine=engine, image=image, say=said.append)


FACTS = """
report() { printf '%s\t%s\n' "$1" "$(eval "$2" 2>&1 | tr '\n' ' ')"; }
{
  report uid 'id -u'
  report capabilities 'grep CapEff /proc/self/status | cut -f 2'
  report bounding 'grep CapBnd /proc/self/status | cut -f 2'
  report new_privileges 'grep NoNewPrivs /proc/self/status | cut -f 2'
  report interfaces 'ls /sys/class/net'
  report root 'touch /x'
  report models 'touch /models/m/x'
  report model 'echo x >> /models/m/m.gguf'
  report model_content 'cat /models/m/m.gguf'
  report cgroup 'mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x'
  report cgroup_mounts 'grep -c " /sys/fs/cgroup.* cgroup2* ro," /proc/mounts'
  report writable_cgroup_mounts 'grep -c " /sys/fs/cgroup.* cgroup2* rw," /proc/mounts'
  report memory 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max'
  report core 'ulimit -c'
  report tmp 'touch /tmp/x && echo written'
  report first 'cat /proc/1/comm'
  report thermal 'ls -d /sys/class/thermal && touch /sys/class/thermal/x'
  report session 'touch /session/x && echo written'
} > /session/facts
"""


def test_container_can_do_nothing_but_read_its_models_and_write_its_session(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    said: list[str] = []
    measuring = launcher(docker_engine, script_image(FACTS), said).launch(read(session), session)
    assert follow(measuring) == 0
    lines = (session / "facts").read_text().splitlines()
    facts = {name: value.strip() for name, _, value in (line.partition("\t") for line in lines)}
    assert facts["uid"] == ("10001" if os.geteuid() == 0 else str(os.geteuid()))
    assert int(facts["capabilities"], 16) == 0
    assert int(facts["bounding"], 16) == 0
    assert facts["new_privileges"] == "1"
    assert facts["interfaces"] == "lo"
    for place in ("root", "models", "model", "cgroup", "thermal"):
        assert "ead-only file system" in facts[place] or "ermission denied" in facts[place], facts
    assert facts["model_content"] == "GGUF"
    assert int(facts["cgroup_mounts"]) > 0
    assert facts["writable_cgroup_mounts"] == "0"
    assert str(2**30) in facts["memory"]
    assert facts["core"] == "0"
    assert facts["tmp"] == facts["session"] == "written"
    assert "docker-init" in facts["first"] or "tini" in facts["first"]
    assert containers_of(docker_engine, "edgemoe-try-") == []


def test_inspect_shows_what_was_specified(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    spec = specify(session, script_image("sleep 60"))
    with created_container(docker_engine, spec) as created:
        found = docker_engine.api.inspect_container(created.container_id)
    host, config = found["HostConfig"], found["Config"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["NetworkMode"] == "none"
    assert host["Privileged"] is False
    assert host["CgroupnsMode"] == "private"
    assert host["IpcMode"] == "private"
    assert host["Init"] is True
    assert host["Memory"] == 2**30
    assert host["PidsLimit"] == 128
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert not host["AutoRemove"], "its results would go with it"
    assert next(u for u in host["Ulimits"] if u["Name"] == "core")["Hard"] == 0
    assert config["User"] == "10001:10001"
    mounts = {m["Destination"]: m["RW"] for m in found["Mounts"]}
    assert mounts == {"/session": True, "/plan/session.json": False, "/models/m/m.gguf": False}


def test_start_that_fails_leaves_no_container(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image("true")
    spec = specify(session, image)
    (session.parent / "m.gguf").unlink()
    with pytest.raises(HostError, match=r"m\.gguf"):
        start_container(docker_engine, spec)
    assert containers_of(docker_engine, spec.name) == []


def test_container_that_cannot_be_executed_leaves_no_container(
    docker_engine: DockerEngine, base_image: str, session: Path
) -> None:
    image = build_script_image(docker_engine, base_image, "true")
    spec = replace(specify(session, image), groups=("no-such-group",))
    with pytest.raises(HostError, match="no-such-group"):
        start_container(docker_engine, spec)
    assert containers_of(docker_engine, spec.name) == []


def test_nvidia_runtime_that_is_missing_is_named_before_anything_is_made(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    if "nvidia" in docker_engine.facts.runtimes:
        pytest.skip("this engine has it")
    spec = replace(specify(session, script_image("true")), runtime="nvidia")
    with pytest.raises(HostError, match="no runtime nvidia") as caught:
        create_container(docker_engine, spec)
    assert "nvidia-container-toolkit" in caught.value.hint


def test_missing_image_is_not_pulled(docker_engine: DockerEngine, session: Path) -> None:
    missing = "edgemoe-test-none:never"
    with pytest.raises(HostError, match="not on this engine"):
        check_image(docker_engine, missing, None)
    spec = replace(specify(session, image_named(missing)), image_id=missing)
    started_s = time.monotonic()
    with pytest.raises(HostError, match="not on this engine") as caught:
        start_container(docker_engine, spec)
    assert time.monotonic() - started_s < 5, "no registry was asked"
    assert caught.value.exit_code == 3
    assert "build" in caught.value.hint


def image_named(name: str) -> ImageIdentity:
    return ImageIdentity(
        reference=name,
        image_id=name,
        store=ImageStore.CONFIG_ADDRESSED,
        config_sha256="",
        diff_ids=(),
        repo_digests=(),
        architecture="",
        size_bytes=0,
        labels={},
        settings_sha256="",
    )


def test_image_that_is_not_the_locked_one_is_refused(
    docker_engine: DockerEngine, script_image: MakeImage
) -> None:
    built = script_image("echo one")
    image = a_lock().image.model_copy(update={"config_sha256": built.config_sha256})
    lock = a_lock(image=image)
    assert check_image(docker_engine, built.reference, lock).image_id == built.image_id
    script_image("echo two")
    with pytest.raises(DigestError, match="locked is") as caught:
        check_image(docker_engine, built.reference, lock)
    assert caught.value.exit_code == 4
    with pytest.raises(DigestError, match="not in the lock"):
        check_image(docker_engine, built.reference, None)


def test_killed_container_is_told_apart_from_one_that_failed(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    measuring = launcher(docker_engine, script_image("sleep 300"), []).launch(
        read(session), session
    )
    assert measuring.poll() is None
    name = specify(session, script_image("sleep 300")).name
    docker_engine.api.kill(name)
    assert follow(measuring) == 137
    assert log_tail(session) == "error: the measuring container was killed"
    assert containers_of(docker_engine, name) == []


def test_own_words_of_a_failed_process_come_last(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image("echo 'error: models are gone' >&2; exit 3")
    assert follow(launcher(docker_engine, image, []).launch(read(session), session)) == 3
    assert log_tail(session) == "error: models are gone"


def test_want_of_memory_is_told(
    docker_engine: DockerEngine, script_image: MakeImage, tmp_path: Path
) -> None:
    small = HOST_PROFILE.model_copy(update={"memory_limit_bytes": 48 * 2**20})
    session = new_session(tmp_path, small)
    # `exec`: the process that is killed is the measuring process itself.
    image = script_image("exec tail /dev/zero")
    assert follow(launcher(docker_engine, image, []).launch(read(session), session)) == 137
    assert "want of memory" in log_tail(session)


def test_child_that_is_killed_for_memory_does_not_end_the_container(
    docker_engine: DockerEngine, script_image: MakeImage, tmp_path: Path
) -> None:
    small = HOST_PROFILE.model_copy(update={"memory_limit_bytes": 48 * 2**20})
    session = new_session(tmp_path, small)
    image = script_image(
        "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events"
        " > /session/before; tail /dev/zero; echo $? > /session/child;"
        "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events"
        " > /session/after; true"
    )
    assert follow(launcher(docker_engine, image, []).launch(read(session), session)) == 0
    assert (session / "child").read_text().strip() == "137"
    assert oom_kills(session / "before") == 0
    assert oom_kills(session / "after") == 1


def oom_kills(path: Path) -> int:
    values = [line.split() for line in path.read_text().splitlines()]
    return max(int(words[1]) for words in values if words[0] == "oom_kill")


def test_stop_asks_first(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image(
        "trap 'echo closed > /session/closed; exit 130' TERM; echo began > /session/began;"
        " while :; do sleep 0.1; done"
    )
    measuring = launcher(docker_engine, image, []).launch(read(session), session)
    while not (session / "began").exists():
        assert measuring.poll() is None
        time.sleep(0.05)
    started_s = time.monotonic()
    assert measuring.stop() == 130
    assert time.monotonic() - started_s < 15
    assert (session / "closed").read_text() == "closed\n"
    assert containers_of(docker_engine, "edgemoe-try-") == []


def test_client_that_is_killed_leaves_a_container_that_the_next_one_follows(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image("sleep 5; echo done > /session/done")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from edgemoe_appliance.container.client import open_engine\n"
        "from edgemoe_appliance.container.identity import read_identity\n"
        "from edgemoe_appliance.container.launcher import ContainerLauncher\n"
        "with open_engine() as engine:\n"
        f"    image = read_identity(engine, {image.reference!r})\n"
        "    launcher = ContainerLauncher(engine=engine, image=image, say=print)\n"
        "    from edgemoe_appliance.schema.plan import read_plan\n"
        f"    session = Path({str(session)!r})\n"
        "    launcher.launch(read_plan(session / 'session.json'), session)\n"
        "    print('launched', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "launched\n"
        client.kill()
    said: list[str] = []
    measuring = launcher(docker_engine, image, said).launch(read(session), session)
    assert len(said) == 1 and "still measuring" in said[0]
    assert len(containers_of(docker_engine, "edgemoe-try-")) == 1
    assert follow(measuring) == 0
    assert (session / "done").exists()


def test_container_that_ended_while_nobody_looked_is_brought_home_and_measuring_goes_on(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image("echo once >> /session/runs.jsonl; echo said")
    spec = specify(session, image)
    os.chown(session, 10001, 10001) if os.geteuid() == 0 else None
    lonely = start_container(docker_engine, spec)
    while not (state := read_state(docker_engine, lonely.container_id)) or not state.is_over:
        time.sleep(0.1)
    said: list[str] = []
    assert follow(launcher(docker_engine, image, said).launch(read(session), session)) == 0
    assert said == [f"{spec.name} has ended meanwhile"]
    assert (session / "runs.jsonl").read_text() == "once\nonce\n"
    assert read_state(docker_engine, lonely.container_id) is None


@pytest.mark.parametrize("exchange", list(Exchange))
@pytest.mark.parametrize("name", ["try", "My Files, (ü) 'quoted' $HOME"])
def test_results_come_home_and_are_there_again_for_the_next_container(
    docker_engine: DockerEngine,
    script_image: MakeImage,
    session: Path,
    exchange: Exchange,
    name: str,
) -> None:
    image = script_image(
        "cd /session; mkdir -p samples; echo once >> runs.jsonl; cat $2 > samples/new &&"
        " mv -f samples/new samples/plan.gz"
    )
    place = session.rename(session.parent / name)
    made = replace(launcher(docker_engine, image, []), exchange=exchange)
    for _ in range(2):
        assert follow(made.launch(read(place), place)) == 0, log_tail(place)
    assert (place / "runs.jsonl").read_text() == "once\nonce\n"
    inside = Plan.model_validate_json((place / "samples" / "plan.gz").read_bytes())
    assert inside.digest == read(place).digest
    assert {path.stat().st_uid for path in place.rglob("*")} == {os.geteuid()}
    volumes = docker_engine.api.volumes()["Volumes"] or []
    assert [v for v in volumes if v["Name"].startswith("edgemoe-try-")] == []


def test_container_of_another_plan_is_not_followed(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    image = script_image("sleep 60")
    measuring = launcher(docker_engine, image, []).launch(read(session), session)
    other = read(session).model_copy(update={"order_seed": 2})
    with pytest.raises(HostError, match="another plan"):
        launcher(docker_engine, image, []).launch(other, session)
    measuring.stop()


def test_two_containers_of_one_session_are_refused(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    spec = specify(session, script_image("true"))
    with (
        created_container(docker_engine, spec),
        pytest.raises(HostError, match="there already"),
    ):
        create_container(docker_engine, spec)


def test_container_that_was_removed_by_somebody_is_not_waited_for(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    measuring = launcher(docker_engine, script_image("sleep 60"), []).launch(read(session), session)
    (state,) = find_containers(docker_engine, {SESSION_LABEL: "try"})
    remove_container(docker_engine, state.container_id)
    with pytest.raises(HostError, match="removed by somebody else"):
        follow(measuring)


def test_removing_twice_is_no_error(
    docker_engine: DockerEngine, script_image: MakeImage, session: Path
) -> None:
    spec = specify(session, script_image("true"))
    created = create_container(docker_engine, spec)
    remove_container(docker_engine, created.container_id)
    remove_container(docker_engine, created.container_id)
    assert read_state(docker_engine, created.container_id) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_engine_that_may_not_be_talked_to(docker_engine: DockerEngine) -> None:
    path = Path(docker_engine.host.removeprefix("unix://"))
    if path.stat().st_mode & 0o006:
        pytest.skip("this engine lets everybody in")
    code = (
        "import docker.errors, json, os, requests.exceptions, urllib3.exceptions\n"
        "from edgemoe_appliance.container.client import open_engine\n"
        "from edgemoe_appliance.errors import HostError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        "    with open_engine(): pass\n"
        "except HostError as error:\n"
        "    print(json.dumps([error.exit_code, str(error)]))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    exit_code, text = json.loads(shown)
    assert exit_code == 3
    assert "no permission" in text and "group docker" in text


def test_two_connections_see_the_same_engine(docker_engine: DockerEngine) -> None:
    with open_engine(docker_engine.host) as other:
        assert other.facts == docker_engine.facts

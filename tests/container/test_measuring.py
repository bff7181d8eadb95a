"""Real llama-cli runs in real containers of the real image, on tiny twins."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import log_tail
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import read_log, remove_container, start_container
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import (
    Exchange,
    choose_user,
    container_name,
    launch_arguments,
)
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.errors import ApplianceError, RunFailedError
from edgemoe_appliance.schema.configs import Arm, Configs, Experiment
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    JournalLine,
    iterate_journal,
)
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    expand_prompts,
    expand_runs,
)
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, PeriodRecord, Status
from edgemoe_appliance.studies import read_study

pytestmark = pytest.mark.container
SMALL_BYTES = 300 * 2**20
# A measuring process's own view of its cgroup, before and after it takes 64 MiB.
CGROUP_CODE = (
    "import json, time; from edgemoe_appliance.measure.cgroup import *\n"
    "cgroup = locate_cgroup(); reader = CgroupReader(cgroup)\n"
    "before = reader.read(); block = bytearray(64 * 2**20); after = reader.read()\n"
    "counters = reader.read_counters()\n"
    "print(json.dumps([cgroup.version.value, after.anon_bytes - before.anon_bytes,"
    " after.current_bytes, counters.peak_bytes, counters.oom_kills, counters.limit_bytes]))"
)


def make_plan(
    configs: Configs,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
    image: ImageIdentity,
    *,
    arms: tuple[Arm, ...] = (Arm.PLAIN,),
    repetitions: int = 1,
    memory_limit_bytes: int | None = None,
    n_predict: int = 8,
) -> Plan:
    """Return a plan of short runs of all the models, one thread each."""
    target = configs.target("host")
    assert target.container is not None
    profile = target.container.model_copy(update={"memory_limit_bytes": memory_limit_bytes})
    study = read_study()
    smoke = study.experiment("smoke")
    experiment = Experiment(
        title="short runs",
        models=tuple(models),
        prompts=smoke.prompts,
        repetitions=repetitions,
        n_predict=n_predict,
        ignore_eos=True,
        context=512,
        arms=arms,
    )
    (pin,) = engines
    return Plan(
        session="short",
        target_id="host",
        target=target.model_copy(update={"container": profile}),
        threads=1,
        runtime="container",
        image=image.config_sha256,
        appliance=ApplianceIdentity(version="0", git_head=None, git_dirty=None),
        engines=engines,
        models=models,
        prompts=expand_prompts({"short": experiment}, study.prompts),
        experiments={"short": experiment},
        order_seed=1,
        runs=expand_runs({"short": experiment}, target="host", pin=pin, threads=1, seed=1),
    )


def records(folder: Path) -> list[PeriodRecord | HeaderRecord | EndRecord]:
    lines = iterate_journal(folder / JOURNAL_NAME)
    return [line.record for line in lines if isinstance(line, JournalLine)]


def ends(folder: Path) -> dict[str, EndRecord]:
    """Return the last end of each run by the model it is of."""
    found = records(folder)
    models = {r.run_id: r.spec.model for r in found if isinstance(r, HeaderRecord)}
    return {models[r.run_id]: r for r in found if isinstance(r, EndRecord)}


def one_model(models: dict[str, PlannedModel]) -> dict[str, PlannedModel]:
    return {"llama-3.2-1b": models["llama-3.2-1b"]}


@pytest.mark.parametrize("exchange", list(Exchange))
def test_session_measured_in_a_container_comes_home_whole(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
    exchange: Exchange,
) -> None:
    plan = make_plan(configs, image_engines, one_model(tiny_models), measurement_image)
    folder = tmp_path / "short"
    said: list[str] = []
    launcher = ContainerLauncher(
        engine=docker_engine, image=measurement_image, say=said.append, exchange=exchange
    )
    outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (1, 0)
    period, header, end = records(folder)
    assert isinstance(period, PeriodRecord) and period.host.in_container
    assert period.hardware is not None
    assert period.hardware.system == "Debian GNU/Linux 12 (bookworm)"
    assert period.plan_digest == plan.digest
    assert isinstance(header, HeaderRecord) and header.image == measurement_image.config_sha256
    assert header.argv[0] == "$CACHE/b4447/bin/llama-cli"
    assert isinstance(end, EndRecord) and end.status is Status.OK
    assert end.metrics["generated_tokens"] == 8
    assert end.samples is not None and (folder / "samples" / end.samples.name).is_file()
    owners = {path.stat().st_uid for path in folder.rglob("*")}
    assert owners == {tmp_path.stat().st_uid}
    assert no_traces(docker_engine, folder)
    again = run_bench(plan, folder, launcher, lambda _progress: None)
    assert again.progress.done == 1
    assert len(records(folder)) == 3, "what is done is not done again"


def test_probe_is_loaded_inside(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    moe = {"olmoe-1b-7b": tiny_models["olmoe-1b-7b"]}
    arms = (Arm.PLAIN, Arm.PROBE_BOUNDARY)
    plan = make_plan(configs, image_engines, moe, measurement_image, arms=arms)
    folder = tmp_path / "short"
    launcher = ContainerLauncher(engine=docker_engine, image=measurement_image, say=print)
    outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (2, 0)
    plain, probed = (record for record in records(folder) if isinstance(record, EndRecord))
    assert plain.text_sha256 == probed.text_sha256
    shares = [name for name in probed.metrics if name.startswith("routing_share")]
    assert shares and not any(name in plain.metrics for name in shares)


def assessing_plan(
    configs: Configs,
    engines: dict[str, EngineBuild],
    model: PlannedModel,
    image: ImageIdentity,
) -> Plan:
    """Return a plan that judges a twin's answers against its own, as if it were a real model."""
    made = model.model_copy(update={"twin_scale": None})
    plan = make_plan(configs, engines, {made.id: made}, image)
    study = read_study("quantisation")
    wanted = {name: study.experiment(name) for name in ("demo_divergence", "demo_items")}
    experiments = {
        name: each.model_copy(
            update={"models": (made.id,), "prompts": each.prompts[:1], "prompt_scale": 0.1}
        )
        for name, each in wanted.items()
    }
    runs = expand_runs(
        experiments,
        target="host",
        pin=next(iter(engines)),
        threads=1,
        seed=1,
        references={made.id: made.id},
    )
    return plan.model_copy(
        update={
            "experiments": {**plan.experiments, **experiments},
            "prompts": {**plan.prompts, **expand_prompts(experiments, study.prompts)},
            "runs": (*plan.runs, *runs),
        }
    )


@pytest.mark.parametrize("exchange", list(Exchange))
def test_answers_are_judged_inside_and_their_probabilities_stay_there(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
    exchange: Exchange,
) -> None:
    twin = tiny_models["llama-3.2-1b"]
    plan = assessing_plan(configs, image_engines, twin, measurement_image)
    folder = tmp_path / "short"
    launcher = ContainerLauncher(
        engine=docker_engine, image=measurement_image, say=print, exchange=exchange
    )
    before = volumes(docker_engine)
    outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (3, 0), log_tail(folder)
    found = {r.run_id: r for r in records(folder) if isinstance(r, EndRecord)}
    divergence, items = (found[run.id] for run in plan.runs if run.assesses)
    # Its own probabilities, kept in 16 bits each: next to nothing lies between.
    assert 0 <= divergence.metrics["kl_divergence_nat"] < 1e-3
    assert divergence.metrics["same_top_pct"] > 99
    assert len(items.series["choice_correct_pct"]) > 20
    assert {path.name for path in folder.rglob("*.base")} == set(), "nothing of them is kept"
    new = volumes(docker_engine) - before
    # Those of session "try" are of tests beside this one.
    known = ("edgemoe-model-", "edgemoe-try-")
    assert not [name for name in new if not name.startswith(known)]
    assert no_traces(docker_engine, folder)


def volumes(engine: DockerEngine) -> set[str]:
    return {each["Name"] for each in (engine.api.volumes() or {}).get("Volumes") or []}


def test_container_that_judges_answers_has_no_more_rights_than_others(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    twin = tiny_models["llama-3.2-1b"]
    plan = assessing_plan(configs, image_engines, twin, measurement_image)
    spec = launch_arguments(
        plan,
        tmp_path / "short",
        image_id=measurement_image.image_id,
        user=choose_user(Exchange.BIND, os.geteuid(), os.getegid()),
        exchange=Exchange.VOLUME,
    )
    code = (
        "import os, socket; from pathlib import Path\n"
        "(Path('/bases') / 'own').write_bytes(b'x')\n"
        "for folder in ('/', '/opt/edgemoe', '/models'):\n"
        "    try: (Path(folder) / 'own').write_bytes(b'x')\n"
        "    except OSError: continue\n"
        "    raise SystemExit(f'{folder} can be written')\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(os.getuid(), os.listdir('/sys/class/net'), status.split('CapEff:')[1].split()[0])"
    )
    spec = dataclasses.replace(spec, entrypoint=("python3",), command=("-c", code), labels={})
    created = start_container(docker_engine, spec)
    try:
        assert docker_engine.api.wait(created.container_id)["StatusCode"] == 0, read_log(
            docker_engine, created.container_id
        )
        said = read_log(docker_engine, created.container_id).decode()
        (mount,) = (
            each
            for each in docker_engine.api.inspect_container(created.container_id)["Mounts"]
            if each["Destination"] == "/bases"
        )
        assert said.split() == ["10001", "['lo']", "0" * 16]
    finally:
        remove_container(docker_engine, created.container_id)
        for own in spec.mounts:
            if own.source is not None:
                docker_engine.api.remove_volume(own.source, force=True)
    assert mount["Name"] not in volumes(docker_engine), "it goes with its container"


def no_traces(engine: DockerEngine, folder: Path) -> bool:
    names = {"name": container_name("short", folder)}
    volumes = (engine.api.volumes(filters=names) or {}).get("Volumes") or []
    return not engine.api.containers(all=True, filters=names) and not volumes


def test_one_model_out_of_memory_is_recorded_and_the_others_go_on(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    small = tiny_models["llama-3.2-1b"]
    # A long context makes the one model's memory: 256 MiB and more of key and value cache.
    large = tiny_models["olmoe-1b-7b"]
    plan = make_plan(
        configs,
        image_engines,
        {"olmoe-1b-7b": large, "llama-3.2-1b": small},
        measurement_image,
        arms=(Arm.NO_MMAP,),
        memory_limit_bytes=SMALL_BYTES,
    )
    runs = tuple(
        run.model_copy(update={"context": 131_072}) if run.model == "olmoe-1b-7b" else run
        for run in plan.runs
    )
    plan = plan.model_copy(update={"runs": runs})
    folder = tmp_path / "short"
    launcher = ContainerLauncher(engine=docker_engine, image=measurement_image, say=print)
    with pytest.raises(RunFailedError) as caught:
        run_bench(plan, folder, launcher, lambda _progress: None)
    assert caught.value.exit_code == 5
    found = ends(folder)
    assert found["llama-3.2-1b"].status is Status.OK
    assert found["olmoe-1b-7b"].status is Status.OOM, found["olmoe-1b-7b"]
    assert no_traces(docker_engine, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of its own that is nearly full at once."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=480k", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_full_disk_ends_measuring_with_a_readable_journal(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    small_disk: Path,
) -> None:
    plan = make_plan(
        configs, image_engines, one_model(tiny_models), measurement_image, repetitions=80
    )
    folder = small_disk / "short"
    launcher = ContainerLauncher(engine=docker_engine, image=measurement_image, say=print)
    with pytest.raises(ApplianceError) as caught:
        run_bench(plan, folder, launcher, lambda _progress: None)
    assert caught.value.exit_code in (3, 6), caught.value
    assert "No space left" in str(caught.value)
    before = records(folder)
    assert before, "what was measured before stays readable"
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (80, 0)
    assert records(folder)[: len(before)] == before
    assert no_traces(docker_engine, folder)


def test_interrupted_bench_closes_its_journal_and_goes_on_later(
    docker_engine: DockerEngine,
    measurement_image: ImageIdentity,
    image_engines: dict[str, EngineBuild],
    tiny_models: dict[str, PlannedModel],
    configs: Configs,
    tmp_path: Path,
) -> None:
    plan = make_plan(
        configs, image_engines, one_model(tiny_models), measurement_image, repetitions=6
    )
    folder = tmp_path / "short"
    folder.mkdir()
    launcher = ContainerLauncher(engine=docker_engine, image=measurement_image, say=print)
    measuring = launcher.launch(plan, folder)
    end_s = time.monotonic() + 60
    while not (folder / JOURNAL_NAME).exists() or len(records(folder)) < 3:
        assert time.monotonic() < end_s and measuring.poll() is None
        time.sleep(0.05)
    assert measuring.stop() == 130, log_tail(folder)
    before = len([r for r in records(folder) if isinstance(r, EndRecord)])
    assert 1 <= before < 6
    outcome = run_bench(plan, folder, launcher, lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (6, 0)


def cgroup_seen_inside(engine: DockerEngine, image_id: str) -> bytes:
    """Return what CGROUP_CODE prints in a container with little memory."""
    shown: bytes = engine.client.containers.run(
        image_id,
        ["-c", CGROUP_CODE],
        entrypoint="python3",
        mem_limit=SMALL_BYTES,
        network_mode="none",
        cgroupns="private",
        remove=True,
    )
    return shown


def test_cgroup_reader_sees_the_containers_own_memory(
    docker_engine: DockerEngine, measurement_image: ImageIdentity, base_image: str
) -> None:
    shown = cgroup_seen_inside(docker_engine, measurement_image.image_id)

    version, grown, current, peak, oom_kills, limit = json.loads(shown)
    assert version == docker_engine.facts.cgroup_version
    assert 60 * 2**20 < grown < 70 * 2**20
    assert peak is None or current <= peak <= SMALL_BYTES
    assert (oom_kills, limit) == (0, SMALL_BYTES)

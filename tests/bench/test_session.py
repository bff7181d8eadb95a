import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import NativeLauncher, NativeMeasuring
from edgemoe_appliance.bench.progress import BenchProgress
from edgemoe_appliance.bench.session import run_bench, unfinished_session
from edgemoe_appliance.errors import (
    ConfigError,
    DigestError,
    HostError,
    InterruptedByUserError,
    RunFailedError,
)
from edgemoe_appliance.schema.configs import Backend, Configs
from edgemoe_appliance.schema.files import file_sha256
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    PLAN_NAME,
    SAMPLES_FOLDER,
    AnyRecord,
    JournalLine,
    iterate_journal,
)
from edgemoe_appliance.schema.plan import Plan, PlannedModel, PrecisionRule
from edgemoe_appliance.schema.records import (
    EndRecord,
    HeaderRecord,
    PeriodRecord,
    Phase,
    Status,
)
from tests.bench.kill_session import kill_and_resume
from tests.bench.plans import small_plan
from tests.conftest import RealEngine

pytestmark = pytest.mark.engine
BENCH = ("-m", "tests.bench.kill_session", "--bench")


@pytest.fixture
def plan(configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel]) -> Plan:
    return small_plan(configs, engine.build, tiny_models)


def bench(plan: Plan, folder: Path) -> list[BenchProgress]:
    seen: list[BenchProgress] = []
    run_bench(plan, folder, NativeLauncher(), seen.append)
    return seen


def records(folder: Path) -> list[AnyRecord]:
    lines = iterate_journal(folder / JOURNAL_NAME)
    return [line.record for line in lines if isinstance(line, JournalLine)]


def ends(folder: Path) -> list[EndRecord]:
    return [record for record in records(folder) if isinstance(record, EndRecord)]


def test_a_session_measures_every_run_and_says_with_what(plan: Plan, tmp_path: Path) -> None:
    seen = bench(plan, tmp_path)
    assert (seen[-1].done, seen[-1].total, seen[-1].not_ok) == (4, 4, 0)
    period, *others = records(tmp_path)
    assert isinstance(period, PeriodRecord)
    assert period.hardware is not None and period.hardware.kernel
    assert period.plan_digest == plan.digest
    assert [record.kind for record in others] == ["header", "end"] * 4
    for header, end in zip(others[::2], others[1::2], strict=True):
        assert isinstance(header, HeaderRecord)
        assert isinstance(end, EndRecord)
        assert end.status is Status.OK
        assert header.engine_sha256 == plan.engines[header.spec.pin].binary_sha256
        assert header.model_twin_scale == "tiny"
        assert "--temp" in header.argv
        assert "-ngl" not in header.argv
        said = end.engine
        assert said is not None
        assert (said.threads, said.context, said.flash_attention) == (1, 512, False)
        assert {"engine-differs", "engine-setting"}.isdisjoint(d.code for d in end.caveats)
        assert end.metrics["kv_buffer_bytes"] > 0
        # The weights are those of the file, without its header.
        assert 0 < end.metrics["model_buffer_bytes"] < end.metrics["model_file_bytes"]
        assert "device_buffer_bytes" in end.absent


def on_gpu(plan: Plan) -> Plan:
    target = plan.target.model_copy(update={"backend": Backend.CUDA, "n_gpu_layers": 99})
    return plan.model_copy(update={"target": target, "target_id": "cuda"})


def test_a_gpu_target_without_a_gpu_is_refused_before_any_run(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no device for target cuda: the engine finds none"):
        bench(on_gpu(plan), tmp_path)
    assert records(tmp_path) == []


def instead(plan: Plan, folder: Path, lines: str) -> Plan:
    """Return a plan whose engine does this before it does what it is asked."""
    (pin, build), *_ = plan.engines.items()
    program = folder / "bin" / build.program
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{lines}\nexec "{build.binary}" "$@"\n')
    program.chmod(0o755)
    digests = {program.name: file_sha256(program)}
    engine = build.model_copy(
        update={"binary": str(program), "files_sha256": digests, "tools_sha256": {}}
    )
    return plan.model_copy(update={"engines": {pin: engine}})


def test_an_engine_without_its_driver_s_library_is_refused_before_any_run(
    plan: Plan, tmp_path: Path
) -> None:
    told = "llama-cli: error while loading shared libraries: libcuda.so.1: cannot open it"
    gpu = on_gpu(instead(plan, tmp_path, f"echo '{told}' >&2; exit 127"))
    with pytest.raises(HostError, match=r"libcuda\.so\.1 is not on this machine") as caught:
        bench(gpu, tmp_path / "session")
    assert "install the driver" in str(caught.value)
    assert caught.value.exit_code == 3
    assert records(tmp_path / "session") == []


def test_a_gpu_target_without_a_gpu_gives_no_figure_of_a_gpu(plan: Plan, tmp_path: Path) -> None:
    """An engine may list no devices; it says in a warning that the processor computes."""
    gpu = on_gpu(instead(plan, tmp_path, '[ "$1" = --list-devices ] && exit 1'))
    with pytest.raises(RunFailedError, match="4 of 4 runs did not end well"):
        bench(gpu, tmp_path / "session")
    for end in ends(tmp_path / "session"):
        assert end.status is Status.INVALID
        assert "99 layers were to lie on the GPU" in (end.detail or "")
        assert "'warning: no usable GPU found" in (end.detail or "")
        assert "engine-differs" in {caveat.code for caveat in end.caveats}
        assert end.metrics["gen_tok_s"] > 0  # kept, though of another run than planned


def test_a_session_that_is_to_finish_cuts_no_run_and_can_be_resumed(
    plan: Plan, tmp_path: Path
) -> None:
    measuring: list[NativeMeasuring] = []
    hold = tmp_path / "hold"
    hold.touch()
    waiting = f'while [ -e "{hold}" ]; do sleep 0.05; done'
    plan = instead(plan, tmp_path, f'case " $* " in *" -m "*) {waiting} ;; esac')

    class Kept(NativeLauncher):
        def launch(self, plan: Plan, folder: Path) -> NativeMeasuring:
            measuring.append(super().launch(plan, folder))
            return measuring[0]

    def on_progress(progress: BenchProgress) -> None:
        if progress.current is not None:
            measuring[0].finish()
            hold.unlink(missing_ok=True)

    with pytest.raises(InterruptedByUserError):
        run_bench(plan, tmp_path / "session", Kept(), on_progress)
    assert 1 <= len(ends(tmp_path / "session")) < 4
    assert {end.status for end in ends(tmp_path / "session")} == {Status.OK}
    assert bench(plan, tmp_path / "session")[-1].done == 4


@pytest.mark.parametrize("ask", [NativeMeasuring.finish, NativeMeasuring.stop])
def test_asked_before_it_has_come_up_the_measuring_process_ends_in_order(
    ask: Callable[[NativeMeasuring], object], plan: Plan, tmp_path: Path
) -> None:
    class Asked(NativeLauncher):
        def launch(self, plan: Plan, folder: Path) -> NativeMeasuring:
            measuring = super().launch(plan, folder)
            ask(measuring)
            return measuring

    with pytest.raises(InterruptedByUserError, match="the same command resumes"):
        run_bench(plan, tmp_path, Asked(), lambda _: None)
    assert {end.status for end in ends(tmp_path)} <= {Status.OK}


def test_the_figures_of_a_run_are_measured_and_consistent(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, n_predict=400, ignore_eos=True)
    bench(plan, tmp_path)
    for end in ends(tmp_path):
        metrics = end.metrics
        assert metrics["generated_tokens"] == 400
        assert metrics["prompt_tokens"] > 5
        assert metrics["gen_tok_s"] > 0
        assert 0 < metrics["eval_s"] < metrics["wall_s"] < 60
        assert metrics["ttft_s"] < metrics["wall_s"]
        # A twin of a few MB and a small context: tens of MB, most of it the engine itself.
        assert 5e6 < metrics["peak_rss_anon_bytes"] < metrics["peak_rss_bytes"] < 3e8
        assert metrics["peak_rss_file_bytes"] > 1e6
        windows = {window.phase: window for window in end.windows}
        assert set(windows) == set(Phase) - {Phase.IDLE}
        parts = [windows[p] for p in (Phase.LOAD, Phase.PROMPT, Phase.GENERATE, Phase.UNLOAD)]
        assert sum(part.duration_s for part in parts) == pytest.approx(metrics["wall_s"])
        samples = tmp_path / SAMPLES_FOLDER / (end.samples.name if end.samples else "")
        assert samples.stat().st_size == (end.samples.bytes if end.samples else -1)


def test_equal_work_gives_equal_text(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    bench(small_plan(configs, engine.build, tiny_models, repetitions=2), tmp_path)
    texts: dict[str, set[str]] = {}
    for record in records(tmp_path):
        if isinstance(record, HeaderRecord):
            model = record.spec.model
        elif isinstance(record, EndRecord):
            texts.setdefault(model, set()).add(record.text_sha256)
    assert len(texts) == 4
    assert all(len(digests) == 1 for digests in texts.values())


def test_a_finished_session_is_not_measured_again(plan: Plan, tmp_path: Path) -> None:
    bench(plan, tmp_path)
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    bench(plan, tmp_path)
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before


def test_what_is_not_measured_again_stays_as_it_was_to_the_byte(plan: Plan, tmp_path: Path) -> None:
    """The host has other free memory each time; an archive made again must be the same."""

    def on_host(seen: str) -> Plan:
        found = Finding(check="memory", level=Level.OK, seen=seen)
        return plan.model_copy(update={"findings": (found,)})

    bench(on_host("8 GB available"), tmp_path)
    kept = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    bench(on_host("3 GB available"), tmp_path)
    again = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    assert again == kept
    (tmp_path / JOURNAL_NAME).write_bytes(b"")
    bench(on_host("1 GB available"), tmp_path)
    assert b"1 GB available" in (tmp_path / PLAN_NAME).read_bytes()


def test_repetitions_by_need_go_on_to_their_cap_and_no_further(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    sure = small_plan(configs, engine.build, tiny_models, repetitions=2)
    # Three runs of a single prompt are fewer than the ten samples that could settle a cell.
    rule = PrecisionRule(within=0.5, at_most=3)
    plan = sure.model_copy(update={"precision": rule})
    seen = bench(plan, tmp_path)
    assert (seen[-1].done, seen[-1].total, seen[-1].by_need) == (12, 12, True)
    headers = [record for record in records(tmp_path) if isinstance(record, HeaderRecord)]
    made = Counter(header.spec.repetition for header in headers)
    assert made == {1: 4, 2: 4, 3: 4}
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    assert bench(plan, tmp_path)[-1].done == 12
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before
    with pytest.raises(ConfigError, match="other settings: precision"):
        bench(sure, tmp_path)


def test_another_plan_does_not_go_into_the_same_session(
    configs: Configs,
    engine: RealEngine,
    tiny_models: dict[str, PlannedModel],
    plan: Plan,
    tmp_path: Path,
) -> None:
    bench(plan, tmp_path)
    other = small_plan(configs, engine.build, tiny_models, n_predict=5)
    with pytest.raises(
        ConfigError, match=r"other settings: .*experiments.*choose another --session"
    ):
        bench(other, tmp_path)


def test_a_changed_model_is_refused_before_anything_is_measured(plan: Plan, tmp_path: Path) -> None:
    model = plan.models["llama-3.2-1b"]
    copy = tmp_path / "changed.gguf"
    content = bytearray(Path(model.path).read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    changed = model.model_copy(update={"path": str(copy)})
    other = plan.model_copy(update={"models": plan.models | {model.id: changed}})
    folder = tmp_path / "session"
    with pytest.raises(DigestError, match=r"the model has sha256 .*changed.gguf|changed.gguf.*"):
        bench(other, folder)
    assert records(folder) == []


def test_failed_runs_are_recorded_and_the_session_goes_on(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    """A prompt longer than the context fails in every model, a short one in none."""
    plan = small_plan(
        configs,
        engine.build,
        tiny_models,
        prompts=["length-long", "qa-tides"],
        context=256,
        prompt_scale=1.0,
    )
    with pytest.raises(RunFailedError, match="4 of 8 runs did not end well"):
        bench(plan, tmp_path)
    by_status = Counter(end.status for end in ends(tmp_path))
    assert by_status == {Status.INVALID: 4, Status.OK: 4}
    failed = next(end for end in ends(tmp_path) if end.status is Status.INVALID)
    assert "prompt is too long" in (failed.detail or "")
    assert failed.exit_code == 1
    assert "gen_tok_s" in failed.absent
    assert "gen_tok_s" not in failed.metrics


@pytest.mark.parametrize(
    ("behaviour", "status", "detail"),
    [
        ("echo text; exit 0", Status.INVALID, "no footer"),
        ("printf '\\377\\376'; kill -SEGV $$", Status.CRASHED, "SIGSEGV"),
        ("echo 'mmap failed: Cannot allocate memory' >&2; exit 1", Status.OOM, "allocate"),
        ("sleep 60", Status.TIMEOUT, "after 1 s"),
        (
            "echo 'llama_perf_context_print: eval time = nan ms / 0 runs' >&2; exit 0",
            Status.INVALID,
            "lacks counts or rates",
        ),
    ],
)
def test_an_engine_that_misbehaves_is_told_by_its_status(
    plan: Plan, tmp_path: Path, behaviour: str, status: Status, detail: str
) -> None:
    script = tmp_path / "bin" / "llama-cli"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexport PATH=/usr/bin:/bin\n{behaviour}\n")
    script.chmod(0o755)
    (pin,) = plan.engines
    fake = plan.engines[pin].model_copy(
        update={"binary": str(script), "files_sha256": {"llama-cli": file_sha256(script)}}
    )
    target = plan.target.model_copy(update={"run_timeout_s": 1.0})
    changed = plan.model_copy(
        update={"engines": {pin: fake}, "runs": plan.runs[:1], "target": target}
    )
    with pytest.raises(RunFailedError):
        bench(changed, tmp_path / "session")
    (end,) = ends(tmp_path / "session")
    assert end.status is status
    assert detail in (end.detail or "")
    assert "gen_tok_s" in end.absent
    assert end.metrics["wall_s"] > 0


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start a bench of the plan in a folder as a process of its own."""
    return subprocess.Popen(
        [sys.executable, *BENCH, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def written(plan: Plan, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / PLAN_NAME).write_text(json.dumps(plan.model_dump(mode="json")))


def test_killed_at_random_moments_and_resumed_every_run_is_there_once(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, repetitions=10)
    written(plan, tmp_path)
    kills = kill_and_resume(tmp_path, kills=6, seed=3)
    assert kills == 6
    finals = Counter(end.run_id for end in ends(tmp_path) if end.status.is_final)
    assert finals == {run.id: 1 for run in plan.runs}


def test_a_second_bench_on_a_session_is_refused(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, repetitions=20)
    written(plan, tmp_path)
    first = start(tmp_path)
    try:
        while not (tmp_path / JOURNAL_NAME).exists():
            time.sleep(0.05)
        with pytest.raises(HostError, match="another bench works on this session"):
            bench(plan, tmp_path)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_ctrl_c_closes_the_journal_and_says_how_to_go_on(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, repetitions=20)
    folder = tmp_path / plan.session
    written(plan, folder)
    process = start(folder)
    while not (folder / JOURNAL_NAME).exists() or len(ends(folder)) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command resumes" in output
    last = records(folder)[-1]
    assert isinstance(last, EndRecord)
    assert unfinished_session(plan, tmp_path, plan.session) == plan.session


def test_a_terminal_that_hangs_up_costs_no_more_than_the_run_in_progress(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, repetitions=5)
    written(plan, tmp_path / "session")
    terminal, its_end = os.openpty()
    code = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *BENCH, str(tmp_path / "session")],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    ) as process:
        os.close(its_end)
        while not (tmp_path / "session" / JOURNAL_NAME).exists() or not ends(tmp_path / "session"):
            time.sleep(0.05)
        os.close(terminal)
        assert process.wait(60) == -signal.SIGHUP
    # The measuring process sees that nobody is there any more, and the next bench waits for it.
    bench(plan, tmp_path / "session")
    finals = Counter(end.run_id for end in ends(tmp_path / "session") if end.status.is_final)
    assert finals == {run.id: 1 for run in plan.runs}


def test_a_plan_that_is_not_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / PLAN_NAME).write_text('{"schema_version": 1}')
    command = [sys.executable, "-m", "edgemoe_appliance.measure"]
    done = subprocess.run(
        [*command, "--plan", str(tmp_path / PLAN_NAME), "--out", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 7
    assert done.stderr.count(b"\n") == 1


IN_OWN_MOUNTS = ["unshare", "--mount", "bash", "-c"]


def can_mount() -> bool:
    command = [*IN_OWN_MOUNTS, "mount -t tmpfs tmpfs /mnt"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs file systems of its own")
@pytest.mark.parametrize("room", ["size=340k", "size=2m,nr_inodes=12"], ids=["bytes", "inodes"])
def test_a_disk_that_fills_up_closes_the_run_as_a_result_and_the_session_is_resumed(
    configs: Configs,
    engine: RealEngine,
    tiny_models: dict[str, PlannedModel],
    tmp_path: Path,
    room: str,
) -> None:
    """Sizes at which a run is begun that the disk has no room to end."""
    plan = small_plan(configs, engine.build, tiny_models, repetitions=5)
    script = """
    mount -t tmpfs -o "$3" tmpfs "$1" && mkdir "$1/s" && cp "$2" "$1/s/session.json"
    "${@:4}" "$1/s"; echo "code $?"; cp -r "$1/s" "$1.full"
    mount -o remount,size=20m,nr_inodes=1000 "$1"
    "${@:4}" "$1/s"; echo "code $?"; cp -r "$1/s" "$1.resumed"
    """
    (tmp_path / "disk").mkdir()
    written(plan, tmp_path / "given")
    bench_command = [sys.executable, "-m", "tests.bench.kill_session", "--bench"]
    given = [str(tmp_path / "disk"), str(tmp_path / "given" / PLAN_NAME), room]
    done = subprocess.run(
        [*IN_OWN_MOUNTS, script, "bash", *given, *bench_command],
        capture_output=True,
        text=True,
        check=True,
    )
    told = done.stdout.splitlines()
    assert (told[1], told[-1]) == ("code 6", "code 0"), done.stdout + done.stderr
    assert "No space left on device" in told[0] and "the same command resumes" in told[0]
    closed = records(tmp_path / "disk.full")
    kinds = Counter(record.kind for record in closed)
    assert 1 <= kinds["header"] == kinds["end"] < len(plan.runs)
    assert all(end.status is Status.OK for end in ends(tmp_path / "disk.full"))
    finals = Counter(end.run_id for end in ends(tmp_path / "disk.resumed"))
    assert finals == {run.id: 1 for run in plan.runs}


def test_interrupted_three_times_quickly_it_still_says_how_to_resume(
    configs: Configs, engine: RealEngine, tiny_models: dict[str, PlannedModel], tmp_path: Path
) -> None:
    plan = small_plan(configs, engine.build, tiny_models, repetitions=20)
    written(plan, tmp_path)
    process = start(tmp_path)
    while not (tmp_path / JOURNAL_NAME).exists() or len(ends(tmp_path)) < 1:
        time.sleep(0.05)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, b"the same command resumes" in output) == (130, True), output
    assert isinstance(records(tmp_path)[-1], EndRecord)

"""The probe inside real engines: what it reports, and that the engine does not notice it.

By default inside the engine that the tests share; EDGEMOE_TEST_ENGINE_DIR (a folder with
bin/llama-cli and its libraries) and EDGEMOE_TEST_ENGINE_SOURCE name another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgemoe_appliance.engine.probe import (
    CallMode,
    NodeClass,
    PassKind,
    ProbeMode,
    ProbeReport,
    parse_probe_report,
    probe_environment,
)
from edgemoe_appliance.engine.probe_build import ProbeBuild, build_probe, read_probe
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.plan import PlannedModel
from tests.engine.compilers import found_compiler

HERE = Path(__file__).parent
PROMPT = "Tides follow the moon, and the moon follows the earth around the sun."


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run left."""

    status: int
    text: bytes
    stderr: bytes
    report_bytes: bytes | None

    @property
    def report(self) -> ProbeReport:
        assert self.report_bytes is not None, self.stderr.decode(errors="replace")
        return parse_probe_report(self.report_bytes, "report")


@dataclass(frozen=True, kw_only=True)
class Probed:
    """An engine with its source, its probe and the models to run."""

    folder: Path
    source: Path
    probe: ProbeBuild
    models: dict[str, PlannedModel]

    def model(self, name: str) -> str:
        return self.models[name].path

    def argv(self, name: str, n_predict: int = 24) -> list[str]:
        return [
            *(str(self.folder / "bin" / "llama-cli"), "-m", self.model(name)),
            *("-t", "1", "-c", "512", "--temp", "0", "--seed", "42", "-n", str(n_predict)),
            *("--ignore-eos", "--no-display-prompt", "-p", PROMPT),
        ]

    def run(self, argv: list[str], mode: ProbeMode, folder: Path) -> Ran:
        out = folder / f"{mode.value}.jsonl"
        return _run(argv, probe_environment(self.probe, mode, out), out)


def _run(argv: list[str], extra: dict[str, str], out: Path | None = None) -> Ran:
    done = subprocess.run(
        argv,
        env={**os.environ, **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    left = out.read_bytes() if out and out.exists() else None
    return Ran(status=done.returncode, text=done.stdout, stderr=done.stderr, report_bytes=left)


@pytest.fixture(scope="session")
def probed(
    request: pytest.FixtureRequest,
    tiny_models: dict[str, PlannedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Probed:
    folder, source = _engine(request)
    out = tmp_path_factory.mktemp("probe")
    probe = build_probe(source, folder / "bin", out, found_compiler())
    return Probed(folder=folder, source=source, probe=probe, models=tiny_models)


def _engine(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Return the folder above bin/ and the source of the engine to load the probe into."""
    named = [os.environ.get(f"EDGEMOE_TEST_ENGINE_{part}") for part in ("DIR", "SOURCE")]
    if named[0] and named[1]:
        return Path(named[0]), Path(named[1])
    shared = request.getfixturevalue("engine")
    return Path(shared.llama_cli).parent.parent, Path(shared.source)


@pytest.mark.parametrize("mode", list(ProbeMode))
def test_the_text_is_that_of_the_bare_engine(
    probed: Probed, mode: ProbeMode, tmp_path: Path
) -> None:
    argv = probed.argv("olmoe-1b-7b")
    bare, ran = _run(argv, {}), probed.run(argv, mode, tmp_path)
    assert bare.status == ran.status == 0
    assert ran.text == bare.text
    assert len(bare.text) > 24
    assert ran.report.head.failures == ()


def test_per_node_counts_the_nodes_of_each_class(probed: Probed, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b"), ProbeMode.PER_NODE, tmp_path).report
    decode = report.decode
    assert decode is not None
    assert decode.calls == decode.tokens == 23
    # Two layers; per layer 6 nodes of routing and, with 2 experts used, 9 of the experts.
    assert decode.nodes_per_call[NodeClass.ROUTING] == 12
    assert decode.nodes_per_call[NodeClass.EXPERT_FFN] == 18
    assert decode.syncs == sum(decode.nodes.values())
    assert decode.nodes == decode.charged
    assert report.head.unknown == ()


def test_per_node_tells_the_nodes_that_the_study_counted(probed: Probed, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b"), ProbeMode.PER_NODE, tmp_path).report
    decode = report.decode
    assert decode is not None
    assert decode.projections is not None
    assert decode.projections_ns is not None
    assert decode.moved_ns is not None
    assert 2 * 3 <= decode.projections / decode.calls <= 2 * 5  # later engines fuse some
    assert 0 < decode.projections_ns < decode.class_ns[NodeClass.EXPERT_FFN]
    assert decode.moved_ns < decode.class_ns[NodeClass.ROUTING]
    assert all(call.reading_ns is not None for call in report.calls)


def test_the_chosen_experts_are_read_of_every_token(probed: Probed, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b"), ProbeMode.PER_NODE, tmp_path).report
    assert report.prompt is not None
    assert report.decode is not None
    chosen = {(each.chosen_in, each.layer): each for each in report.choices}
    assert len(chosen) == 4  # two layers, prompt and generation
    for (kind, layer), choice in chosen.items():
        # The last layer of a prompt computes what is asked for: its last token.
        tokens = report.decode.tokens if kind is PassKind.DECODE else report.prompt.tokens
        if (kind, layer) == (PassKind.PROMPT, 1):
            tokens = 1
        assert choice.tokens == tokens
        assert len(choice.counts) == 16
        assert sum(choice.counts) == 2 * tokens
        assert choice.pairs == 2 * (tokens if kind is PassKind.DECODE else tokens - 1)


def test_a_prompt_in_parts_chooses_as_one_in_a_piece(probed: Probed, tmp_path: Path) -> None:
    argv = probed.argv("olmoe-1b-7b", 4)
    whole = probed.run(argv, ProbeMode.PER_NODE, tmp_path).report
    (tmp_path / "parts").mkdir()
    parts = probed.run([*argv, "-ub", "8"], ProbeMode.PER_NODE, tmp_path / "parts").report
    first, cut = whole.choices[0], parts.choices[0]
    assert (first.layer, cut.layer) == (0, 0)
    assert (first.tokens, first.pairs) == (cut.tokens, cut.pairs)
    # Sums in another order may turn a choice between near equals.
    assert sum(abs(a - b) for a, b in zip(first.counts, cut.counts, strict=True)) <= 4


def test_a_skewed_twin_uses_its_experts_less_evenly(
    probed: Probed, configs: Configs, tmp_path: Path
) -> None:
    name = "olmoe-1b-7b"
    twin = write_twin(
        configs.model(name), name, TwinScale.TINY, tmp_path, routing=TwinRouting.SKEWED
    )
    argv = probed.argv(name, 64)
    uniform = probed.run(argv, ProbeMode.PER_NODE, tmp_path).report
    argv[argv.index("-m") + 1] = str(twin.path)
    skewed = probed.run(argv, ProbeMode.PER_NODE, tmp_path).report
    for kind in PassKind:
        entropies = [
            [c.entropy_bits for c in report.choices if c.chosen_in is kind and c.tokens > 1]
            for report in (uniform, skewed)
        ]
        assert entropies[0]
        # Of 4 bits: 3.5 to 3.9 where no expert is favoured, 2.6 to 3.1 where some are.
        assert min(entropies[0]) > max(entropies[1]) + 0.2


@pytest.mark.parametrize("mode", [ProbeMode.BOUNDARY, ProbeMode.ROTATE, ProbeMode.OFF])
def test_other_modes_read_no_experts(probed: Probed, mode: ProbeMode, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b", 8), mode, tmp_path).report
    assert report.choices == ()
    assert not any(call.reading_ns for call in report.calls)


def test_boundary_synchronises_at_edges_only(probed: Probed, tmp_path: Path) -> None:
    decode = probed.run(probed.argv("olmoe-1b-7b"), ProbeMode.BOUNDARY, tmp_path).report.decode
    assert decode is not None
    assert decode.syncs == decode.calls * (2 * 3 + 1)
    assert decode.nodes_per_call[NodeClass.ROUTING] == 12
    assert decode.charged[NodeClass.ROUTING] == decode.calls * 8
    assert decode.moved_nodes > 0


def test_prompt_and_decode_are_kept_apart(probed: Probed, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b"), ProbeMode.PER_NODE, tmp_path).report
    assert report.prompt is not None
    assert report.prompt.calls == 1
    assert report.prompt.tokens > 10
    assert report.calls[0].kind is PassKind.PROMPT
    assert {call.kind for call in report.calls[1:]} == {PassKind.DECODE}
    assert [call.kv_cells for call in report.calls[1:3]] == [
        report.prompt.tokens,
        report.prompt.tokens + 1,
    ]
    assert report.head.discarded == 1  # the warm-up


@pytest.mark.parametrize("mode", [ProbeMode.PER_NODE, ProbeMode.BOUNDARY])
def test_the_classes_fill_the_call(probed: Probed, mode: ProbeMode, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b"), mode, tmp_path).report
    assert report.decode is not None
    assert report.decode.routing_share is not None
    assert 0 < report.decode.routing_share < 1
    assert sum(report.decode.class_shares.values()) == pytest.approx(1)
    # The least disturbed call: building the graph of a tiny model takes a good part of it.
    parts = [sum(call.class_ns or ()) / call.wall_ns for call in report.calls]
    assert 0.3 < max(parts) < 1


@pytest.mark.parametrize("model", ["llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"])
def test_a_dense_model_has_no_routing_and_says_so(
    probed: Probed, model: str, tmp_path: Path
) -> None:
    report = probed.run(probed.argv(model, 4), ProbeMode.PER_NODE, tmp_path).report
    assert report.decode is not None
    assert report.decode.nodes[NodeClass.ROUTING] == 0
    assert report.decode.routing_share is None
    assert NodeClass.ROUTING not in report.decode.class_shares
    assert report.routing_absence == "the model has no routing nodes: it is dense"
    assert report.head.unknown == ()


def test_rotation_gives_every_mode_the_same_number_of_calls(probed: Probed, tmp_path: Path) -> None:
    report = probed.run(probed.argv("olmoe-1b-7b", 61), ProbeMode.ROTATE, tmp_path).report
    decodes = [call for call in report.calls if call.kind is PassKind.DECODE]
    assert Counter(call.mode for call in decodes) == dict.fromkeys(
        (CallMode.BARE, CallMode.BOUNDARY, CallMode.PER_NODE), 20
    )
    slowdown = report.slowdown(CallMode.PER_NODE)
    assert slowdown is not None
    assert slowdown.n == 20
    assert slowdown.low is not None
    assert slowdown.high is not None
    assert slowdown.low <= slowdown.value <= slowdown.high
    assert report.sync_ns is not None
    assert report.sync_ns.n == 20
    assert report.boundary_share_bounds is not None
    low, high = report.boundary_share_bounds
    assert low <= high


def test_an_interrupt_still_yields_a_report(probed: Probed, tmp_path: Path) -> None:
    out = tmp_path / "report.jsonl"
    environment = probe_environment(probed.probe, ProbeMode.PER_NODE, out)
    process = subprocess.Popen(
        probed.argv("olmoe-1b-7b", 100_000),
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process, process.stdout:
        _read_for(process.stdout.fileno(), 100)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # llama-cli can lock up in its own handler
            process.kill()
            pytest.skip("the engine hung at the interrupt")
    report = parse_probe_report(out.read_bytes(), "report")
    assert process.returncode == 130
    assert report.head.reason == "perf_print"
    assert report.decode is not None
    assert report.decode.calls > 5


def _read_for(descriptor: int, n_bytes: int) -> None:
    seen, end = 0, time.monotonic() + 20
    while seen < n_bytes and time.monotonic() < end:
        seen += len(os.read(descriptor, 4096))


def test_an_interrupt_while_loading_is_reported_and_ends_by_the_signal(
    probed: Probed, tmp_path: Path
) -> None:
    fifo = tmp_path / "model.gguf"
    os.mkfifo(fifo)  # the engine waits for its model for ever
    out = tmp_path / "report.jsonl"
    argv = [str(probed.folder / "bin" / "llama-cli"), "-m", str(fifo), "-p", "x", "-n", "1"]
    with subprocess.Popen(
        argv,
        env={**os.environ, **probe_environment(probed.probe, ProbeMode.PER_NODE, out)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == -signal.SIGINT
        finally:
            process.kill()
    report = parse_probe_report(out.read_bytes(), "report")
    assert report.head.reason == "signal"
    assert report.calls == ()
    assert report.routing_absence == "no decode was measured"


def test_an_unknown_mode_leaves_the_engine_alone_and_is_reported(
    probed: Probed, tmp_path: Path
) -> None:
    out = tmp_path / "report.jsonl"
    environment = probe_environment(probed.probe, ProbeMode.PER_NODE, out)
    argv = probed.argv("olmoe-1b-7b", 4)
    ran = _run(argv, {**environment, "EDGEMOE_PROBE_MODE": "zigzag"}, out)
    assert ran.status == 0
    assert ran.text == _run(argv, {}).text
    assert ran.report.head.mode is ProbeMode.OFF
    assert [failure.code for failure in ran.report.head.failures] == ["bad-mode"]
    assert ran.report.routing_absence == "the probe could not measure: bad-mode"


def test_a_report_that_cannot_be_written_does_not_stop_the_engine(
    probed: Probed, tmp_path: Path
) -> None:
    out = tmp_path / "missing" / "report.jsonl"
    argv = probed.argv("olmoe-1b-7b", 4)
    ran = _run(argv, probe_environment(probed.probe, ProbeMode.PER_NODE, out), out)
    assert ran.status == 0
    assert ran.text == _run(argv, {}).text
    assert b"edgemoe-probe: cannot write EDGEMOE_PROBE_OUT" in ran.stderr


def test_a_program_without_an_engine_is_named_as_such(probed: Probed, tmp_path: Path) -> None:
    out = tmp_path / "report.jsonl"
    ran = _run(["/bin/true"], probe_environment(probed.probe, ProbeMode.PER_NODE, out), out)
    failure = ran.report.head.failures[0]
    assert ran.status == 0
    assert (failure.code, failure.symbol) == ("symbol-missing", "llama_decode")


def test_a_wrapper_does_not_overwrite_the_report_of_its_engine(
    probed: Probed, tmp_path: Path
) -> None:
    argv = ["/bin/sh", "-c", '"$@"; exit 7', "sh", *probed.argv("olmoe-1b-7b", 4)]
    ran = probed.run(argv, ProbeMode.PER_NODE, tmp_path)
    assert ran.status == 7
    assert len(ran.report.calls) == 4


# ---- a program of our own, for what llama-cli never does ----


@pytest.fixture(scope="module")
def host(probed: Probed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("host") / "probe_host"
    libraries = sorted(probed.folder.rglob("lib*.so"))
    folders = sorted({str(library.parent) for library in libraries})
    names = [f"-l{library.stem.removeprefix('lib')}" for library in libraries]
    headers = [probed.source / "include", probed.source / "ggml" / "include"]
    subprocess.run(
        [found_compiler(), "-std=c++17", "-w", str(HERE / "probe_host.cpp"), "-o", str(program)]
        + [f"-I{folder}" for folder in headers]
        + [f"-L{folder}" for folder in folders]
        + names
        + [f"-Wl,-rpath,{':'.join(folders)}"],
        check=True,
    )
    return program


def _hosted(probed: Probed, host: Path, what: str, folder: Path) -> Ran:
    argv = [str(host), str(probed.model("olmoe-1b-7b")), what]
    ran = probed.run(argv, ProbeMode.PER_NODE, folder)
    assert ran.status == 0
    assert ran.text == _run(argv, {}).text
    return ran


def test_a_callback_of_the_program_is_left_alone(
    probed: Probed, host: Path, tmp_path: Path
) -> None:
    report = _hosted(probed, host, "callback", tmp_path).report
    assert [(f.code, f.times) for f in report.head.failures] == [("callback-taken", 3)]
    assert len(report.calls) == 3
    assert not any(call.timed for call in report.calls)
    assert report.decode is None


def test_a_program_that_the_engine_starts_reports_nothing(
    probed: Probed, host: Path, tmp_path: Path
) -> None:
    assert _hosted(probed, host, "crash", tmp_path).report_bytes is None


def test_a_second_context_is_reported(probed: Probed, host: Path, tmp_path: Path) -> None:
    report = _hosted(probed, host, "two-contexts", tmp_path).report
    assert [failure.code for failure in report.head.failures] == ["several-contexts"]
    assert len(report.calls) == 4


def test_a_prompt_in_several_graphs_is_one_pass(probed: Probed, host: Path, tmp_path: Path) -> None:
    report = _hosted(probed, host, "batches", tmp_path).report
    assert report.prompt is not None
    assert report.decode is not None
    assert report.calls[0].graphs == 3
    assert report.prompt.tokens == 40
    assert (
        report.prompt.nodes[NodeClass.ROUTING]
        == 3 * report.decode.nodes_per_call[NodeClass.ROUTING]
    )


def test_a_probe_is_compiled_once(probed: Probed) -> None:
    folder = probed.probe.library.parent
    written_ns = probed.probe.library.stat().st_mtime_ns
    again = build_probe(probed.source, probed.folder / "bin", folder.parent, found_compiler())
    assert again == probed.probe == read_probe(folder)
    assert probed.probe.library.stat().st_mtime_ns == written_ns

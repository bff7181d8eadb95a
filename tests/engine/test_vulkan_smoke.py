"""The path of an accelerator, run for real on Mesa's software driver: `make vulkan-smoke`.

The driver computes on the processor, so that no figure of speed means anything; that layers,
buffers, windows, probe and records are as on a device does. It compiles some hundred kernels for
each process, two minutes on a quiet core: few runs, and of tiny twins.

With its worker threads this driver (Mesa 22.3) does not repeat itself: of equal prompts of 57
tokens in one process some came out wholly otherwise, among them passes that no probe had cut.
Without threads it does, so that a text which a probe changes would be seen.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.engine.build import build_engine
from edgemoe_appliance.engine.probe_build import build_probe
from edgemoe_appliance.engine.source import prepare_source
from edgemoe_appliance.engine.tools import require_tool
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.report.render import render_files
from edgemoe_appliance.schema.configs import Arm, Configs
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel, ProbeFacts, RunSpec
from edgemoe_appliance.schema.records import (
    BufferKind,
    EndRecord,
    EngineFacts,
    HeaderRecord,
    Phase,
    Status,
)
from edgemoe_appliance.studies import read_study
from tests.bench.plans import small_plan

PIN = "b4447"
TOKENS = 12
# Each process compiles its kernels anew; beside other work that has taken minutes.
RUN_S = 3000.0
DENSE, MOE = "llama-3.2-1b", "olmoe-1b-7b"
ARMS = (Arm.PLAIN, Arm.PROBE_BOUNDARY, Arm.PROBE_PER_NODE)
REPETITIONS = 2
PLANNED = {(DENSE, Arm.PLAIN, 1), (MOE, Arm.PLAIN, 2), *((MOE, arm, 1) for arm in ARMS)}
Runs = dict[tuple[str, Arm, int], EndRecord]
NEEDED = "needed on Debian: apt-get install glslc libvulkan-dev mesa-vulkan-drivers"

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EDGEMOE_VULKAN_SMOKE"), reason="run: make vulkan-smoke"),
]


@pytest.fixture(scope="module", autouse=True)
def without_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LP_NUM_THREADS", "0")
        yield


@pytest.fixture(scope="module")
def build(configs: Configs) -> EngineBuild:
    cache = default_folders().cache
    try:
        source = prepare_source(PIN, configs.pin(PIN), cache, why="a smoke")
        built = build_engine(source, cache, cmake=configs.target("vulkan").cmake)
    except HostError as error:
        pytest.fail(f"{error}; {error.hint}; {NEEDED}")
    listed = subprocess.run([built.binary, "--list-devices"], capture_output=True, check=True)
    if b"llvmpipe" not in listed.stdout:
        pytest.fail(f"no software driver; {NEEDED}")
    compiler = str(require_tool("c++", "g++"))
    probe = build_probe(source.folder, Path(built.binary).parent, cache / "probes", compiler)
    facts = ProbeFacts(
        path=str(probe.library.resolve()), sha256=probe.sha256, build_key=probe.description.key
    )
    return built.model_copy(update={"probe": facts})


@pytest.fixture(scope="module")
def session(
    build: EngineBuild,
    configs: Configs,
    tiny_models: dict[str, PlannedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """One run of a dense twin; of the sparse twin two without a probe and one in each mode."""
    models = {name: tiny_models[name] for name in (DENSE, MOE)}
    plan = small_plan(
        configs,
        build,
        models,
        session="vulkan-smoke",
        n_predict=TOKENS,
        ignore_eos=True,
        arms=[arm.value for arm in ARMS],
        repetitions=REPETITIONS,
        feeds=["headline"],
    )
    target = configs.target("vulkan").model_copy(
        update={"run_timeout_s": RUN_S, "power_sources": ()}
    )
    kept = [run for run in plan.runs if (run.model, run.arm, run.repetition) in PLANNED]
    folder = tmp_path_factory.mktemp("raw") / plan.session
    folder.mkdir()
    on_device = plan.model_copy(
        update={"runs": tuple(kept), "target": target, "target_id": "vulkan"}
    )
    run_bench(on_device, folder, NativeLauncher(), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def runs(session: Path) -> Runs:
    lines = iterate_journal(session / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    specs: dict[str, RunSpec] = {r.run_id: r.spec for r in records if isinstance(r, HeaderRecord)}
    ends = [record for record in records if isinstance(record, EndRecord)]
    of_run = {e.run_id: specs[e.run_id] for e in ends}
    return {(s.model, s.arm, s.repetition): e for e, s in zip(ends, of_run.values(), strict=True)}


@pytest.fixture(scope="module")
def loaded(session: Path) -> LoadedSessions:
    return load_sessions([session])


def facts_of(end: EndRecord) -> EngineFacts:
    assert end.engine is not None
    return end.engine


def test_every_run_follows_its_plan_with_all_layers_on_the_device(runs: Runs) -> None:
    assert set(runs) == PLANNED
    for end in runs.values():
        assert (end.status, end.detail) == (Status.OK, None)
        assert not {"engine-differs", "engine-setting"} & {caveat.code for caveat in end.caveats}
        assert facts_of(end).devices == ("Vulkan0",)
        assert facts_of(end).layers_offloaded == facts_of(end).layers
        assert (facts_of(end).layers or 0) > 1
        assert end.metrics["generated_tokens"] == TOKENS


def test_memory_of_the_device_is_told_apart(runs: Runs) -> None:
    for end in runs.values():
        by_place = {(buffer.device, buffer.kind): buffer for buffer in facts_of(end).buffers}
        on_device = [buffer for buffer in by_place.values() if not buffer.is_host]
        assert {buffer.kind for buffer in on_device} >= {
            BufferKind.MODEL,
            BufferKind.KV,
            BufferKind.COMPUTE,
        }
        assert end.metrics["device_buffer_bytes"] == sum(buffer.bytes for buffer in on_device)
        assert end.metrics["device_buffer_bytes"] > 0
        # The embedding stays in the host's memory, as on every backend.
        assert by_place["CPU_Mapped", BufferKind.MODEL].is_host


def test_windows_are_those_of_the_footer(runs: Runs) -> None:
    for end in runs.values():
        windows = {window.phase: window for window in end.windows}
        assert {Phase.LOAD, Phase.PROMPT, Phase.GENERATE, Phase.PROCESS} <= set(windows)
        rate = (TOKENS - 1) / windows[Phase.GENERATE].duration_s
        assert end.metrics["gen_tok_s"] == pytest.approx(rate, rel=0.5)
        assert end.metrics["gen_tok_s"] > 0


def test_the_backend_repeats_itself(runs: Runs) -> None:
    texts = {runs[MOE, Arm.PLAIN, number].text_sha256 for number in (1, 2)}
    assert len(texts) == 1, "equal runs without a probe differ: no text tells of the probe here"


def test_the_probe_changes_no_text(runs: Runs) -> None:
    # Waiting within a graph changes neither the kernels of b4447 nor the order of their sums.
    texts = {runs[MOE, arm, 1].text_sha256 for arm in ARMS}
    assert len(texts) == 1


def test_the_probe_watches_an_asynchronous_backend(runs: Runs) -> None:
    for arm in ARMS[1:]:
        metrics = runs[MOE, arm, 1].metrics
        assert metrics["routing_decode_s"] > 0
        assert metrics["expert_ffn_decode_s"] > 0
        assert metrics["probe_unknown_nodes"] == 0
        assert metrics["probe_nodes_per_decode"] > 20


def test_a_software_device_is_named_everywhere(loaded: LoadedSessions) -> None:
    setting = loaded.settings[0]
    assert setting.software_device is not None
    assert "llvmpipe" in setting.software_device
    assert "on a software device" in setting.label
    files = render_files(loaded, read_study())
    hardware = next(text for name, text in files.items() if name.endswith("HARDWARE.md"))
    assert b"SOFTWARE: the processor computes" in hardware
    page = next(text for name, text in files.items() if name.endswith("report.html"))
    assert b"on a software device" in page
    assert b"SOFTWARE: the processor computes" in page


def test_the_runs_are_shown(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for line in table(runs):
            print(line)


def table(runs: Runs) -> Iterator[str]:
    yield ""
    columns = ("layers", "device MiB", "peak RSS MiB", "load s", "prompt tok/s", "gen tok/s")
    yield f"{'run':<32}" + "".join(f"{title:>14}" for title in (*columns, "routing %", "text"))
    for (model, arm, number), end in runs.items():
        facts, metrics = facts_of(end), end.metrics
        windows = {window.phase: window.duration_s for window in end.windows}
        share = metrics.get("routing_share_decode_pct")
        cells = (
            f"{facts.layers_offloaded}/{facts.layers}",
            f"{metrics['device_buffer_bytes'] / 2**20:.1f}",
            f"{metrics['peak_rss_bytes'] / 2**20:.0f}",
            f"{windows[Phase.LOAD]:.1f}",
            f"{metrics['prompt_tok_s']:.2f}",
            f"{metrics['gen_tok_s']:.2f}",
            "-" if share is None else f"{share:.1f}",
            end.text_sha256[:8],
        )
        yield f"{f'{model}, {arm.value} {number}':<32}" + "".join(f"{cell:>14}" for cell in cells)

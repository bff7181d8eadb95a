"""Every pin of engines.yaml, built and run on tiny twins: `make pins-smoke`, not part of others.

A pin takes minutes to build; its build stays in the cache. One whose git host cannot be reached is
skipped with the reason.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.engine.build import build_engine
from edgemoe_appliance.engine.probe_build import build_probe
from edgemoe_appliance.engine.source import prepare_source
from edgemoe_appliance.engine.tools import require_tool
from edgemoe_appliance.errors import HostError, RunFailedError
from edgemoe_appliance.schema.configs import Arm, Configs, read_configs
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    JournalLine,
    iterate_journal,
)
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel, ProbeFacts
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, Status
from edgemoe_appliance.schema.resources import resource_folder
from tests.bench.plans import small_plan

PINS = tuple(read_configs(resource_folder("configs")).engines.pins)
ARMS = (Arm.PLAIN, Arm.NO_MMAP, Arm.PROBE_BOUNDARY, Arm.PROBE_PER_NODE)
TOKENS = 16
# Newer engines do not wait for the thread that writes their messages: beside other load the end of
# the footer, or of the text, can be lost, which says nothing about the pin.
ATTEMPTS = 10
LOST = ("printed no footer", "its footer lacks counts or rates")
COLUMNS = ("arms ok", "texts", "gen tok/s", "RSS MiB", "nodes", "unknown", "routing %")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EDGEMOE_PINS_SMOKE"), reason="run: make pins-smoke"),
]
Runs = list[tuple[HeaderRecord, EndRecord]]


@pytest.fixture(scope="module", params=PINS)
def build(request: pytest.FixtureRequest, configs: Configs) -> EngineBuild:
    """A pin's build for this host, with its routing probe."""
    cache = default_folders().cache
    try:
        source = prepare_source(request.param, configs.pin(request.param), cache, why="a smoke")
    except HostError as error:
        pytest.skip(f"{request.param}: {error}")
    built = build_engine(source, cache, cmake=configs.target("host").cmake)
    compiler = str(require_tool("c++", "g++"))
    probe = build_probe(source.folder, Path(built.binary).parent, cache / "probes", compiler)
    facts = ProbeFacts(
        path=str(probe.library.resolve()),
        sha256=probe.sha256,
        build_key=probe.description.key,
    )
    return built.model_copy(update={"probe": facts})


@pytest.fixture(scope="module")
def runs(
    build: EngineBuild,
    configs: Configs,
    tiny_models: dict[str, PlannedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Runs:
    """One run of each twin in each arm that ended well, or the last attempt at it."""
    plan = small_plan(
        configs,
        build,
        tiny_models,
        n_predict=TOKENS,
        ignore_eos=True,
        arms=[arm.value for arm in ARMS],
    )
    kept: dict[str, tuple[HeaderRecord, EndRecord]] = {}
    for _ in range(ATTEMPTS):
        left = tuple(run for run in plan.runs if run.id not in kept or is_lost(kept[run.id][1]))
        if left:
            folder = tmp_path_factory.mktemp("smoke")
            kept |= measured(plan.model_copy(update={"runs": left}), folder)
    return [kept[run.id] for run in plan.runs]


def is_lost(end: EndRecord) -> bool:
    told = end.detail or ""
    return end.status is Status.INVALID and any(words in told for words in LOST)


def measured(plan: Plan, folder: Path) -> dict[str, tuple[HeaderRecord, EndRecord]]:
    with contextlib.suppress(RunFailedError):  # told by the statuses
        run_bench(plan, folder, NativeLauncher(), lambda _: None)
    lines = iterate_journal(folder / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    headers = {r.run_id: r for r in records if isinstance(r, HeaderRecord)}
    ends = {r.run_id: r for r in records if isinstance(r, EndRecord)}
    return {run_id: (headers[run_id], ends[run_id]) for run_id in ends}


def test_every_twin_runs_as_planned_in_every_arm(runs: Runs) -> None:
    assert len(runs) == 4 * len(ARMS)
    for header, end in runs:
        assert (end.status, end.detail) == (Status.OK, None), header.run_id
        assert end.metrics["generated_tokens"] == TOKENS
        assert end.metrics["gen_tok_s"] > 0
        assert not {"engine-differs", "engine-setting"} & {c.code for c in end.caveats}


def test_the_engine_says_what_it_used(runs: Runs) -> None:
    for _, end in runs:
        assert end.engine is not None
        assert (end.engine.context, end.engine.threads) == (512, 1)
        assert end.engine.flash_attention is False
        assert end.metrics["model_buffer_bytes"] > 0
        assert end.metrics["kv_buffer_bytes"] > 0


def test_arms_do_not_change_the_text(runs: Runs) -> None:
    texts: dict[str, set[str]] = {}
    for header, end in runs:
        texts.setdefault(header.spec.model, set()).add(end.text_sha256)
    assert {model: len(digests) for model, digests in texts.items()} == dict.fromkeys(texts, 1)


def test_the_probe_times_routing_and_knows_every_node(runs: Runs) -> None:
    probed = [(h, e) for h, e in runs if h.spec.arm.is_probed]
    for header, end in probed:
        is_moe = header.spec.model.startswith("olmoe")
        assert ("routing_decode_s" in end.metrics) is is_moe, header.run_id
        assert end.metrics["probe_nodes_per_decode"] > 20
        assert end.metrics["probe_unknown_nodes"] == 0, end.caveats


def test_the_runs_are_shown(
    build: EngineBuild, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n{build.pin:<10}{'twin':<14}" + "".join(f"{title:>12}" for title in COLUMNS))
        for model in dict.fromkeys(header.spec.model for header, _ in runs):
            ends = {h.spec.arm: e for h, e in runs if h.spec.model == model}
            print(f"{'':<10}{model:<14}" + "".join(f"{cell:>12}" for cell in row_of(ends)))


def row_of(ends: dict[Arm, EndRecord]) -> tuple[str, ...]:
    """Return how many arms ended well and of what texts, and figures: the probe's per node."""
    plain, probed = ends[Arm.PLAIN].metrics, ends[Arm.PROBE_PER_NODE].metrics
    share = probed.get("routing_share_decode_pct")
    return (
        f"{sum(end.status is Status.OK for end in ends.values())}/{len(ends)}",
        str(len({end.text_sha256 for end in ends.values()})),
        f"{plain['gen_tok_s']:.0f}",
        f"{plain['peak_rss_bytes'] / 2**20:.0f}",
        f"{probed['probe_nodes_per_decode']:.0f}",
        f"{probed['probe_unknown_nodes']:.0f}",
        "-" if share is None else f"{share:.1f}",
    )

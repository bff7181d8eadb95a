"""One run: the engine started, watched and read; its figures derived; its end described."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edgemoe_appliance.engine.argv import build_argv
from edgemoe_appliance.engine.footer import Footer, classify_failure, parse_footer
from edgemoe_appliance.engine.stream import (
    EndedBy,
    EngineEvent,
    EngineResult,
    EventKind,
    run_engine,
)
from edgemoe_appliance.measure.hostload import HostReader
from edgemoe_appliance.measure.live import LiveFile
from edgemoe_appliance.measure.load import ProcessCost, check_load, put_cpu, put_memory
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.sampler import Sampler, SamplerReport
from edgemoe_appliance.measure.samples import write_samples
from edgemoe_appliance.measure.timing import (
    Timeline,
    check_footer,
    check_length,
    put_timing,
    timing_windows,
)
from edgemoe_appliance.measure.tree import open_tree
from edgemoe_appliance.study.plan import Plan, RunSpec
from edgemoe_appliance.study.records import EndRecord, HeaderRecord, Status
from edgemoe_appliance.study.units import KIB

_STDERR_TAIL_CHARACTERS = 2000
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all runs of a sitting have in common."""

    plan: Plan
    folder: Path
    prompts_folder: Path
    environment: Mapping[str, str]
    host: HostReader
    live: LiveFile
    stop_requested: Callable[[], bool]


def utc_now() -> str:
    """Return the present time in UTC for display; durations never come from it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build_header(context: RunContext, run: RunSpec, attempt: int) -> HeaderRecord:
    """Return the record that opens a run."""
    plan = context.plan
    engine, model = plan.engines[run.pin], plan.models[run.model]
    return HeaderRecord(
        run_id=run.id,
        attempt=attempt,
        spec=run,
        argv=_argv(context, run),
        engine_sha256=engine.binary_sha256,
        engine_build_key=engine.build_key,
        model_sha256=model.sha256,
        model_file_bytes=model.file_bytes,
        model_twin_scale=model.twin_scale,
        prompt_sha256=plan.prompt_of(run).sha256,
        image=plan.image,
        git_head=plan.appliance.git_head,
        started_utc=utc_now(),
        start_mono_ns=time.monotonic_ns(),
    )


def execute_run(context: RunContext, header: HeaderRecord) -> EndRecord:
    """Make a run and return the record that closes it; raw samples are written before it."""
    own_start_s = time.process_time()
    result, report = _watch(context, header)
    own_cpu_s = time.process_time() - own_start_s
    samples = write_samples(context.folder, header.run_id, header.attempt, result, report)
    footer = parse_footer(result.stderr_text)
    status, detail = judge_ending(result, footer)
    timeline = _timeline(result)
    readings = Readings()
    put_timing(readings, timeline, footer, "no footer: " + (detail or status.value))
    cost = _cost(result, own_cpu_s)
    put_memory(readings, report, cost, timeline.first_text_ns)
    put_cpu(readings, report, cost)
    readings.put("model_file_bytes", header.model_file_bytes, "")
    period_s = 1 / context.plan.target.sample_hz
    return EndRecord(
        run_id=header.run_id,
        attempt=header.attempt,
        status=status,
        detail=detail,
        exit_code=result.exit_code,
        signal=result.signal,
        metrics=readings.metrics,
        absent=readings.absent,
        windows=timing_windows(timeline, footer),
        doubts=(
            *check_load(readings, report, period_s=period_s, tick_s=_TICK_S),
            *check_footer(timeline, footer),
            *check_length(header.spec.n_predict, header.spec.ignore_eos, footer),
        ),
        text_sha256=result.text_sha256,
        text_bytes=result.text_bytes,
        stderr_tail=result.stderr_text[-_STDERR_TAIL_CHARACTERS:],
        samples=samples,
        ended_utc=utc_now(),
    )


def judge_ending(result: EngineResult, footer: Footer | None) -> tuple[Status, str | None]:
    """Return how a run ended and, unless it ended well, why in one line."""
    if result.ended_by is EndedBy.STOPPED:
        return Status.INTERRUPTED, "stopped by the user"
    if result.ended_by is EndedBy.TIMEOUT:
        return Status.TIMEOUT, f"ended after {result.wall_s:.0f} s without an end of its own"
    if result.exit_code != 0:
        failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
        return failure.status, failure.reason
    if footer is None:
        return Status.INVALID, "the engine ended well but printed no footer that can be read"
    if not _is_whole(footer):
        return Status.INVALID, "the engine ended well but its footer lacks counts or rates"
    return Status.OK, None


def _is_whole(footer: Footer) -> bool:
    """Return whether a footer tells what was done; a single token has no rate of its own."""
    if footer.prompt_tokens is None or footer.generated_tokens is None:
        return False
    return footer.gen_tok_s is not None or footer.generated_tokens <= 1


def _watch(context: RunContext, header: HeaderRecord) -> tuple[EngineResult, SamplerReport]:
    """Run the engine under the sampler."""
    plan = context.plan
    sampler = Sampler(context.host, period_s=1 / plan.target.sample_hz)

    def on_event(event: EngineEvent) -> None:
        if event.kind is EventKind.SPAWNED:
            sampler.start(open_tree(event.pid))
            context.live.begin(header.run_id, "load and prompt")
        elif event.kind is EventKind.TEXT:
            context.live.text()
        elif event.kind in (EventKind.FIRST_TEXT, EventKind.FOOTER):
            # By the first text all buffers are in use; with the footer they are about to be given
            # back. A short run may have no other sample.
            sampler.sample_now()

    try:
        result = run_engine(
            header.argv,
            context.environment,
            timeout_s=plan.target.run_timeout_s,
            on_event=on_event,
            should_stop=context.stop_requested,
        )
    finally:
        report = sampler.stop()
    return result, report


def _timeline(result: EngineResult) -> Timeline:
    return Timeline(
        spawn_ns=result.spawn_ns,
        first_text_ns=result.first_text_ns,
        last_text_ns=result.last_text_ns,
        exit_ns=result.exit_ns,
        read_ns=tuple(chunk.t_ns for chunk in result.chunks),
    )


def _cost(result: EngineResult, own_cpu_s: float) -> ProcessCost:
    own_max = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return ProcessCost(
        wall_s=result.wall_s,
        engine_cpu_s=result.user_s + result.system_s,
        own_cpu_s=own_cpu_s,
        max_rss_bytes=result.max_rss_bytes,
        # Linux counts in KiB, macOS in bytes.
        own_peak_rss_bytes=own_max if sys.platform == "darwin" else own_max * KIB,
    )


def _argv(context: RunContext, run: RunSpec) -> tuple[str, ...]:
    plan = context.plan
    return build_argv(
        run,
        engine=plan.engines[run.pin],
        model=plan.models[run.model],
        target=plan.target,
        prompt_file=context.prompts_folder / f"{plan.prompt_of(run).sha256}.txt",
    )

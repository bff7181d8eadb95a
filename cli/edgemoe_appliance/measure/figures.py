"""Status, figures and caveats of one run, from the raw data that was read around it. Pure."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

from edgemoe_appliance.engine.account import Account, parse_account
from edgemoe_appliance.engine.failure import classify_failure
from edgemoe_appliance.engine.footer import Footer, parse_footer
from edgemoe_appliance.engine.stream import EndedBy, EngineResult
from edgemoe_appliance.measure.adherence import Deviation, RunExpectation, check_adherence
from edgemoe_appliance.measure.assessment import (
    Awaited,
    Judged,
    Series,
    absent_answers,
    put_answers,
    put_bits,
    tell_origin,
)
from edgemoe_appliance.measure.cgroup import Cgroup, NoCgroup
from edgemoe_appliance.measure.cgroup_metrics import describe_oom_kill, put_cgroup
from edgemoe_appliance.measure.heat_metrics import put_heat, put_pause
from edgemoe_appliance.measure.load import (
    ProcessCost,
    check_load,
    put_buffers,
    put_cpu,
    put_memory,
)
from edgemoe_appliance.measure.pause import Pause
from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power_metrics import build_run_power, put_power
from edgemoe_appliance.measure.probing import check_backend, put_probe
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.runsamples import cut_samples
from edgemoe_appliance.measure.sampler import SamplerReport
from edgemoe_appliance.measure.timing import (
    NOT_OF_ASSESSMENTS,
    Timeline,
    check_footer,
    check_length,
    put_timing,
    timing_windows,
)
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Caveat, EngineFacts, ExpertUse, Status, Window

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class RawRun:
    """What one engine process was to do and did, and what was read around it.

    `own_cpu_s` and `own_peak_rss_bytes` are those of the measuring process; `probe_report` is
    None where no probe wrote one. `awaited` is what a run that judges a model was to tell of; where
    the reference's probabilities could not be had, `result` is of the process that was to write
    them and `is_of_reference` says so.
    """

    planned: RunExpectation
    model_file_bytes: int
    pause: Pause
    result: EngineResult
    report: SamplerReport
    own_cpu_s: float
    own_peak_rss_bytes: int
    probe_report: bytes | None
    awaited: Awaited = field(default_factory=Awaited)
    is_of_reference: bool = False


@dataclass(frozen=True, kw_only=True)
class SamplingSetup:
    """How it was read: sources, cgroup, the time between two samples."""

    power: Discovery
    cgroup: Cgroup | NoCgroup
    period_s: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is recorded of a run."""

    status: Status
    detail: str | None
    readings: Readings
    windows: tuple[Window, ...]
    caveats: tuple[Caveat, ...]
    engine: EngineFacts
    expert_use: ExpertUse | None
    series: Series = field(default_factory=dict)


def derive_figures(raw: RawRun, setting: SamplingSetup) -> Figures:
    """Return the figures of a run."""
    spec = raw.planned.spec
    footer = parse_footer(raw.result.stderr_text)
    timeline = _timeline(raw.result)
    idle = () if raw.pause.idle is None else (raw.pause.idle,)
    windows = (*idle, *timing_windows(timeline, footer))
    account = parse_account(raw.result.stderr_text)
    oom_kill = describe_oom_kill(raw.report.counters)
    readings = Readings()
    judged = None
    if spec.assesses is None:
        status, detail = judge_ending(raw.result, footer, oom_kill)
    else:
        status, detail = judge_exit(raw.result, oom_kill)
        judged = _put_answers(readings, raw, status, detail)
        status, detail = (judged.status, judged.detail) if status is Status.OK else (status, detail)
    differences = _differences(raw, account, footer, status)
    if status is Status.OK and differences and differences[0].spoils:
        status, detail = Status.INVALID, f"not the run that was planned: {differences[0]}"
    readings.put("model_file_bytes", raw.model_file_bytes, "")
    put_bits(readings, raw.planned.model)
    put_timing(readings, timeline, footer, "no footer: " + (detail or status.value))
    if judged is not None:
        readings.withdraw(NOT_OF_ASSESSMENTS, "nothing is generated")
    put_buffers(readings, account.facts.buffers)
    probed, expert_use = _put_probe(readings, raw, account) if spec.arm.is_probed else ((), None)
    caveats = (
        *_put_samples(readings, raw, setting),
        *_put_power(readings, raw, setting, windows),
        *put_pause(readings, raw.pause),
        *probed,
        *(_check_text(spec, timeline, footer) if judged is None else judged.caveats),
        *tell_origin(raw.planned.model),
        *(difference.caveat for difference in differences),
    )
    return Figures(
        status=status,
        detail=detail,
        readings=readings,
        windows=windows,
        caveats=caveats,
        engine=account.facts,
        expert_use=expert_use,
        series={} if judged is None else judged.series,
    )


def _put_answers(readings: Readings, raw: RawRun, status: Status, detail: str | None) -> Judged:
    """Put what a run that judges a model found, or why it found nothing."""
    spec = raw.planned.spec
    if raw.is_of_reference:
        why = f"the probabilities of {spec.reference} were not written"
        why = why if detail is None else f"{why}: {detail}"
        absent_answers(readings, why)
        return Judged(series={}, status=Status.INVALID, detail=why)
    if status is not Status.OK:
        absent_answers(readings, detail or status.value)
        return Judged(series={})
    output = raw.result.text.decode(errors="replace")
    return put_answers(readings, spec, output, raw.awaited)


def _put_probe(
    readings: Readings, raw: RawRun, account: Account
) -> tuple[tuple[Caveat, ...], ExpertUse | None]:
    caveats, expert_use = put_probe(readings, raw.probe_report)
    return (*caveats, *check_backend(raw.planned.target.backend, account)), expert_use


def _differences(
    raw: RawRun, account: Account, footer: Footer | None, status: Status
) -> tuple[Deviation, ...]:
    """Return how the run differs from its plan; of one that failed only what spoils it.

    An engine that failed early could not say all that is expected of it.
    """
    generates = raw.planned.spec.assesses is None
    generated = footer.generated_tokens if footer is not None and generates else None
    found = check_adherence(account, raw.planned, generated)
    return found if status is Status.OK else tuple(each for each in found if each.spoils)


def _put_samples(readings: Readings, raw: RawRun, setting: SamplingSetup) -> tuple[Caveat, ...]:
    """Put what follows from the samples: memory, processor use and heat."""
    result, report = raw.result, raw.report
    run = cut_samples(
        report.samples,
        spawn_ns=result.spawn_ns,
        full_ns=result.first_text_ns,
        exit_ns=result.exit_ns,
    )
    cost = ProcessCost(
        wall_s=result.wall_s,
        engine_cpu_s=result.user_s + result.system_s,
        own_cpu_s=raw.own_cpu_s,
        max_rss_bytes=result.max_rss_bytes,
        own_peak_rss_bytes=raw.own_peak_rss_bytes,
    )
    put_memory(readings, run, cost)
    put_cgroup(readings, run, setting.cgroup, report.counters)
    put_cpu(readings, run, cost)
    return (
        *put_heat(readings, run.samples, report.throttle),
        *check_load(readings, report.failure, period_s=setting.period_s, tick_s=_TICK_S),
    )


def _put_power(
    readings: Readings, raw: RawRun, setting: SamplingSetup, windows: tuple[Window, ...]
) -> tuple[Caveat, ...]:
    power = build_run_power(setting.power, raw.report.power)
    return put_power(readings, power, windows, readings.metrics.get("generated_tokens"))


def _check_text(spec: RunSpec, timeline: Timeline, footer: Footer | None) -> tuple[Caveat, ...]:
    return (
        *check_footer(timeline, footer),
        *check_length(spec.n_predict, spec.ignore_eos, footer),
    )


def _timeline(result: EngineResult) -> Timeline:
    return Timeline(
        spawn_ns=result.spawn_ns,
        first_text_ns=result.first_text_ns,
        last_text_ns=result.last_text_ns,
        exit_ns=result.exit_ns,
        read_ns=tuple(chunk.t_ns for chunk in result.chunks),
    )


def judge_ending(
    result: EngineResult, footer: Footer | None, oom_kill: str | None
) -> tuple[Status, str | None]:
    """Return how a run ended and, unless it ended well, why in one line.

    `oom_kill` is what the kernel's counters say of a kill for want of memory during the run.
    """
    status, detail = judge_exit(result, oom_kill)
    if status is not Status.OK:
        return status, detail
    if footer is None:
        return Status.INVALID, "the engine ended well but printed no footer that can be read"
    if not _is_whole(footer):
        return Status.INVALID, "the engine ended well but its footer lacks counts or rates"
    return Status.OK, None


def judge_exit(result: EngineResult, oom_kill: str | None) -> tuple[Status, str | None]:
    """Return how a process ended, whatever it printed; see `judge_ending`."""
    if result.ended_by is EndedBy.STOPPED:
        return Status.INTERRUPTED, "stopped by the user"
    if result.ended_by is EndedBy.TIMEOUT:
        return Status.TIMEOUT, f"ended after {result.wall_s:.0f} s without an end of its own"
    return (Status.OK, None) if result.exit_code == 0 else _judge_failure(result, oom_kill)


def _judge_failure(result: EngineResult, oom_kill: str | None) -> tuple[Status, str]:
    if result.signal == signal.SIGKILL and oom_kill is not None:
        return Status.OOM, oom_kill
    failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
    if failure.maybe_out_of_memory:
        hint = "no counter of such kills rose; see the kernel's log"
        return failure.status, f"{failure.reason} ({hint})"
    return failure.status, failure.reason


def _is_whole(footer: Footer) -> bool:
    """Return whether a footer tells what was done; a single token has no rate of its own."""
    if footer.prompt_tokens is None or footer.generated_tokens is None:
        return False
    return footer.gen_tok_s is not None or footer.generated_tokens <= 1

"""One run: the engine started under the sampler, its raw data kept, its records written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from edgemoe_appliance.engine.argv import build_argv, scrubbed_environment
from edgemoe_appliance.engine.assessment import (
    AssessmentFiles,
    build_assessment_argv,
    read_base_header,
)
from edgemoe_appliance.engine.probe_build import ProbeBuild
from edgemoe_appliance.engine.stream import EngineEvent, EngineResult, EventKind, run_engine
from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.adherence import RunExpectation
from edgemoe_appliance.measure.assessment import Awaited, BaseStore, FiniteCheck
from edgemoe_appliance.measure.figures import RawRun, SamplingSetup, derive_figures
from edgemoe_appliance.measure.instruments import Instruments
from edgemoe_appliance.measure.live import LiveFile
from edgemoe_appliance.measure.pause import Pause, margin_s
from edgemoe_appliance.measure.probing import probe_variables, read_report
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.measure.samples import build_samples, write_raw
from edgemoe_appliance.measure.tree import open_tree
from edgemoe_appliance.schema.configs import Assessment
from edgemoe_appliance.schema.plan import Plan, RunSpec
from edgemoe_appliance.schema.records import Caveat, EndRecord, HeaderRecord, SampleFile
from edgemoe_appliance.schema.roots import Roots
from edgemoe_appliance.schema.units import KIB

_STDERR_TAIL_CHARACTERS = 2000
RAW_LOST: Final = "raw-data-lost"


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """What all runs of a measuring period have in common.

    Nothing in `scratch` is kept, nor are the probabilities in `bases`, nor what `finite` found;
    `folders` are those that no raw file tells.
    """

    plan: Plan
    folder: Path
    scratch: Path
    bases: BaseStore
    finite: FiniteCheck
    folders: Roots
    environment: Mapping[str, str]
    instruments: Instruments
    probes: Mapping[str, ProbeBuild]
    live: LiveFile
    stop_requested: Callable[[], bool]

    @property
    def period_s(self) -> float:
        """Return the time between two samples."""
        return 1 / self.plan.target.sample_hz

    @property
    def margin_s(self) -> float:
        """Return how long power is read beyond the edges of a run."""
        return margin_s(self.instruments, self.period_s)

    @property
    def probe_report(self) -> Path:
        """Return where a probe writes."""
        return self.scratch / "probe.jsonl"

    def prompt_file(self, run: RunSpec) -> Path:
        """Return the file that holds what a run sends."""
        return self.scratch / f"{self.plan.prompt_of(run).sha256}.txt"

    def probe_of(self, run: RunSpec) -> ProbeBuild | None:
        """Return the probe that a run loads, None for the arms that load none."""
        return self.probes[run.pin] if run.arm.is_probed else None


def utc_now() -> str:
    """Return the present time in UTC for display; durations never come from it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build_header(context: RunContext, run: RunSpec, attempt: int) -> HeaderRecord:
    """Return the record that opens a run."""
    plan = context.plan
    engine, model = plan.engines[run.pin], plan.models[run.model]
    probe = context.probe_of(run)
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
        probe_sha256=None if probe is None else probe.sha256,
    )


def execute_run(
    context: RunContext, header: HeaderRecord, sampler: Sampler, pause: Pause
) -> EndRecord:
    """Make a run and return the record that closes it; raw data are written before it.

    The sampler runs already; it is closed here.
    """
    raw = _watch(context, header, sampler, pause)
    power, cgroup = context.instruments.power, context.instruments.cgroup
    name = f"{header.run_id}.a{header.attempt}"
    content = build_samples(header, raw.result, raw.report, power, hide=context.folders.hide)
    raw_data = {f"{name}.json": content}
    if raw.probe_report is not None:
        raw_data[f"{name}.probe.jsonl"] = raw.probe_report
    kept, lost = _keep_raw(context.folder, raw_data)
    setting = SamplingSetup(power=power, cgroup=cgroup, period_s=context.period_s)
    figures = derive_figures(raw, setting)
    return EndRecord(
        run_id=header.run_id,
        attempt=header.attempt,
        status=figures.status,
        detail=figures.detail,
        exit_code=raw.result.exit_code,
        signal=raw.result.signal,
        metrics=figures.readings.metrics,
        absent=figures.readings.absent,
        series=figures.series,
        windows=figures.windows,
        caveats=(*figures.caveats, *lost),
        text_sha256=raw.result.text_sha256,
        text_bytes=raw.result.text_bytes,
        stderr_tail=raw.result.stderr_text[-_STDERR_TAIL_CHARACTERS:],
        samples=kept.get(f"{name}.json"),
        probe_report=kept.get(f"{name}.probe.jsonl"),
        engine=figures.engine,
        expert_use=figures.expert_use,
        ended_utc=utc_now(),
    )


def _keep_raw(
    folder: Path, raw_data: Mapping[str, bytes]
) -> tuple[dict[str, SampleFile], tuple[Caveat, ...]]:
    """Write raw data and return the files; where the disk does not take them, the run says so.

    What was measured must not be lost with them: the record of the run holds its figures.
    """
    kept: dict[str, SampleFile] = {}
    try:
        for name, content in raw_data.items():
            kept[name] = write_raw(folder, name, content)
    except OSError as error:
        text = f"its raw data could not be kept ({error.strerror})"
        return kept, (Caveat(code=RAW_LOST, text=text),)
    return kept, ()


def require_raw(end: EndRecord, folder: Path) -> None:
    """Raise MeasureError where the raw data of a run could not be kept: nor could the next ones."""
    for caveat in end.caveats:
        if caveat.code == RAW_LOST:
            raise MeasureError(
                f"run {end.run_id} is recorded, but {caveat.text}",
                where=str(folder),
                hint="free disk space and inodes there (df, df -i)",
            )


def _watch(context: RunContext, header: HeaderRecord, sampler: Sampler, pause: Pause) -> RawRun:
    """Run the engine under the sampler, and read on for a moment after it has ended."""
    context.probe_report.unlink(missing_ok=True)
    # The state from which the run's own use of memory and processor is counted.
    sampler.sample_now()
    own_start_s = time.process_time()
    missing = require_base(context, header.spec)
    result = missing or run_engine(
        header.argv,
        _environment(context, header.spec),
        timeout_s=context.plan.target.run_timeout_s,
        on_event=lambda event: _on_event(context, header, sampler, event),
        should_stop=context.stop_requested,
    )
    own_cpu_s = time.process_time() - own_start_s
    time.sleep(context.margin_s)
    sampler.close()
    return RawRun(
        planned=RunExpectation(
            spec=header.spec,
            target=context.plan.target,
            model=context.plan.models[header.spec.model],
        ),
        model_file_bytes=header.model_file_bytes,
        pause=pause,
        result=result,
        report=sampler.report(),
        own_cpu_s=own_cpu_s,
        own_peak_rss_bytes=_own_peak_rss_bytes(),
        probe_report=read_report(context.probe_report),
        awaited=_awaited(context, header.spec),
        is_of_reference=missing is not None,
    )


def require_base(context: RunContext, run: RunSpec) -> EngineResult | None:
    """Have the reference's probabilities written; return how it ended where that did not work.

    Once they are there, or could not be written, nothing is done any more. Raises HostError where
    the disk has no room for them.
    """
    if run.assesses is None:
        return None
    context.live.begin(run.id, "probabilities of the 16-bit model")
    return context.bases.require(
        run,
        context.prompt_file(run),
        lambda argv, most_bytes: run_engine(
            argv,
            _environment(context, run),
            timeout_s=context.plan.target.run_timeout_s,
            on_event=lambda event: _limit_files(event, most_bytes),
            should_stop=context.stop_requested,
        ),
    )


def _limit_files(event: EngineEvent, most_bytes: int) -> None:
    """Have the kernel end a process, from its start on, should one of its files grow too large.

    Not on macOS, which lets nobody set the limits of another process.
    """
    if event.kind is EventKind.SPAWNED and sys.platform == "linux":
        resource.prlimit(event.pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def require_finite(context: RunContext, run: RunSpec) -> None:
    """Have it asked whether the answers of a run's model are finite numbers, where items are."""
    if run.assesses is not Assessment.CHOICE:
        return
    context.live.begin(run.id, "are its answers numbers")
    context.finite.require(
        run,
        context.prompt_file(run),
        lambda argv: run_engine(
            argv,
            _environment(context, run),
            timeout_s=context.plan.target.run_timeout_s,
            should_stop=context.stop_requested,
        ),
    )


def _awaited(context: RunContext, run: RunSpec) -> Awaited:
    """Return what a run was to tell of its model's answers."""
    if run.assesses is Assessment.CHOICE:
        items = context.plan.prompt_of(run).items
        return Awaited(items=items, is_finite=context.finite.of(run))
    if run.assesses is not Assessment.DIVERGENCE:
        return Awaited()
    header = read_base_header(context.bases.path_of(run))
    return Awaited(chunks=None if header is None else header.chunks)


def _on_event(
    context: RunContext, header: HeaderRecord, sampler: Sampler, event: EngineEvent
) -> None:
    if event.kind is EventKind.SPAWNED:
        sampler.attach(open_tree(event.pid))
        context.live.begin(header.run_id, "load and prompt")
    elif event.kind is EventKind.TEXT:
        context.live.text()
    elif event.kind in (EventKind.FIRST_TEXT, EventKind.FOOTER):
        # By the first text all buffers are in use; with the footer they are about to be given
        # back. A short run may have no other sample.
        sampler.sample_now()
    elif event.kind is EventKind.EXITED:
        sampler.detach()


def _environment(context: RunContext, run: RunSpec) -> dict[str, str]:
    probe = context.probe_of(run)
    extra = {} if probe is None else probe_variables(probe, run.arm, context.probe_report)
    return scrubbed_environment(context.environment, extra_env=extra)[0]


def _own_peak_rss_bytes() -> int:
    own_max = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return own_max if sys.platform == "darwin" else own_max * KIB


def _argv(context: RunContext, run: RunSpec) -> tuple[str, ...]:
    plan, prompt_file = context.plan, context.prompt_file(run)
    engine, model = plan.engines[run.pin], plan.models[run.model]
    if run.assesses is None:
        return build_argv(
            run, engine=engine, model=model, target=plan.target, prompt_file=prompt_file
        )
    return build_assessment_argv(
        run,
        engine=engine,
        model=model,
        target=plan.target,
        files=AssessmentFiles(prompt=prompt_file, base=context.bases.path_of(run)),
        items=plan.prompt_of(run).items,
    )

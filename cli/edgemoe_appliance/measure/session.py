"""One measuring period: the runs of a plan that are still to be made, one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.engine.argv import (
    device_variables,
    prompt_file_bytes,
    scrubbed_environment,
)
from edgemoe_appliance.engine.devices import read_accelerators
from edgemoe_appliance.engine.failure import library_hint, missing_library
from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.measure.assessment import BaseStore, FiniteCheck
from edgemoe_appliance.measure.facts import power_facts, read_cgroup_facts, read_heat_facts
from edgemoe_appliance.measure.hardware import NO_DEVICE, read_hardware
from edgemoe_appliance.measure.host import read_host_facts
from edgemoe_appliance.measure.instruments import open_instruments
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.measure.journal import Journal
from edgemoe_appliance.measure.live import LiveFile
from edgemoe_appliance.measure.pause import Pauses
from edgemoe_appliance.measure.power_metrics import POWER_FAILED
from edgemoe_appliance.measure.probing import read_probes
from edgemoe_appliance.measure.run import (
    RunContext,
    build_header,
    execute_run,
    require_base,
    require_finite,
    require_raw,
    utc_now,
)
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.measure.schedule import all_runs
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import Backend
from edgemoe_appliance.schema.files import file_sha256, scratch_folder
from edgemoe_appliance.schema.hardware import Accelerator
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import PeriodRecord, Status
from edgemoe_appliance.schema.roots import Roots

# Where the probabilities of references lie while a session is measured.
_BASES = ".bases-"


@dataclass(frozen=True, kw_only=True)
class PeriodOutcome:
    """How many runs of the plan are done, and how many of them ended badly."""

    done: int
    not_ok: int


def measure_session(
    plan: Plan,
    folder: Path,
    environment: Mapping[str, str],
    interruption: Interruption,
    roots: SystemRoots | None = None,
    folders: Roots | None = None,
    bases: Path | None = None,
) -> PeriodOutcome:
    """Make all runs of a plan that the journal in `folder` does not hold yet.

    `roots` stands for `/` where sensors are looked up, `folders` are those that records name and
    do not tell, `bases` is where the probabilities of 16-bit models may lie meanwhile (None: the
    session folder). Raises DigestError where an engine or model is not the planned one (before any
    run), HostError or RecordError where the journal cannot be used, HostError where the engine
    finds no device that is to compute, and InterruptedByUserError when stopped; the journal is
    closed in every case.
    """
    with (
        scratch_folder("edgemoe-measure-") as scratch,
        Journal(folder, (folders or Roots()).having(SCRATCH=scratch)) as journal,
        contextlib.closing(LiveFile(folder)),
    ):
        if any(not journal.progress.is_done(run.id) for run in all_runs(plan, journal.progress)):
            with _open_context(
                plan,
                journal,
                scratch,
                environment,
                interruption=interruption,
                roots=roots,
                bases=bases or folder,
            ) as context:
                period = _period(context, environment, roots or SystemRoots())
                require_device(plan, period)
                journal.append(period)
                _make_runs(context, journal, interruption)
        ends = [journal.progress.ends[run.id] for run in all_runs(plan, journal.progress)]
    return PeriodOutcome(done=len(ends), not_ok=sum(end.status is not Status.OK for end in ends))


@contextlib.contextmanager
def _open_context(
    plan: Plan,
    journal: Journal,
    scratch: Path,
    environment: Mapping[str, str],
    *,
    interruption: Interruption,
    roots: SystemRoots | None,
    bases: Path,
) -> Iterator[RunContext]:
    """Check and open all that the runs need; everything is closed afterwards."""
    check_inputs(plan)
    probes = read_probes(plan)
    with (
        open_instruments(plan.target.power_sources, roots, meter=plan.target.meter) as instruments,
        scratch_folder(_BASES, bases) as own_bases,
    ):
        write_prompts(plan, scratch)
        yield RunContext(
            plan=plan,
            folder=journal.folder,
            scratch=scratch,
            bases=BaseStore(plan=plan, folder=own_bases),
            finite=FiniteCheck(plan=plan),
            folders=journal.roots,
            environment=scrubbed_environment(environment)[0],
            instruments=instruments,
            probes=probes,
            live=LiveFile(journal.folder),
            stop_requested=interruption.requested,
        )


def _make_runs(context: RunContext, journal: Journal, interruption: Interruption) -> None:
    pauses = Pauses(
        context.plan.target.cooldown,
        context.instruments,
        margin_s=context.margin_s,
        sleep=interruption.sleep,
    )
    for run in all_runs(context.plan, journal.progress):
        if journal.progress.is_done(run.id):
            continue
        interruption.check()
        # Before anything is sampled: it is no part of the run.
        require_base(context, run)
        require_finite(context, run)
        interruption.check()
        context.live.begin(run.id, "cool-down")
        with contextlib.closing(Sampler(context.instruments, period_s=context.period_s)) as sampler:
            pause = pauses.before_run(sampler)
            header = build_header(context, run, journal.progress.next_attempt(run.id))
            journal.append(header)
            end = execute_run(context, header, sampler, pause)
        journal.append(end)
        journal.require_room()
        require_raw(end, journal.folder)
        if any(caveat.code == POWER_FAILED for caveat in end.caveats):
            context.instruments.reopen_power()
    interruption.check()


def check_inputs(plan: Plan) -> None:
    """Check engines and models against their planned digests.

    Reading every model whole also brings it into the page cache, so that the first run of each
    model does not pay for a cold disk that the others do not pay for.
    """
    for engine in plan.engines.values():
        for name, sha256 in {**engine.files_sha256, **engine.tools_sha256}.items():
            _check_file(Path(engine.binary).parent / name, sha256, "engine")
    for model in plan.models.values():
        _check_file(Path(model.path), model.sha256, "model")


def _check_file(path: Path, sha256: str, kind: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise HostError(f"the {kind} cannot be read ({error.strerror})", where=str(path)) from error
    if found != sha256:
        raise DigestError(
            f"the {kind} has sha256 {found[:16]}..., planned was {sha256[:16]}...",
            where=str(path),
            hint="build or fetch it again",
        )


def write_prompts(plan: Plan, folder: Path) -> None:
    """Write each prompt to a file named by its digest."""
    for prompt in plan.prompts.values():
        (folder / f"{prompt.sha256}.txt").write_bytes(prompt_file_bytes(prompt.text))


def _period(
    context: RunContext, environment: Mapping[str, str], roots: SystemRoots
) -> PeriodRecord:
    plan, instruments = context.plan, context.instruments
    removed = scrubbed_environment(environment)[1]
    return PeriodRecord(
        session=plan.session,
        plan_digest=plan.digest,
        started_utc=utc_now(),
        appliance=plan.appliance,
        study=plan.study,
        host=read_host_facts(removed, device_variables(environment)),
        findings=plan.findings,
        power=power_facts(instruments.power),
        heat=read_heat_facts(instruments.heat),
        cgroup=read_cgroup_facts(instruments),
        hardware=read_hardware(
            roots, instruments.heat.read().temps_c, _accelerator_lister(context)
        ),
    )


def require_device(plan: Plan, period: PeriodRecord) -> None:
    """Refuse a target whose layers are to lie on a device where the engine sees none.

    Each run would be made by the processor, and be invalid, or would not start for want of the
    driver's library. An engine that does not answer for other reasons is left to its runs, which
    say what they did.
    """
    absent = period.hardware.absent if period.hardware is not None else {}
    reason = absent.get("accelerators", "")
    if not plan.target.n_gpu_layers:
        return
    if library := missing_library(reason):
        raise HostError(
            f"the engine does not start: {library} is not on this machine",
            where=next(iter(plan.engines)),
            hint=library_hint(library),
        )
    if reason == NO_DEVICE:
        raise HostError(
            f"no device for target {plan.target_id}: the engine finds none on this machine",
            where=next(iter(plan.engines)),
            hint=f"doctor --target {plan.target_id} says what is missing",
        )


def _accelerator_lister(context: RunContext) -> Callable[[], tuple[Accelerator, ...]] | None:
    """Return what asks the plan's engine for its devices; None where the processor computes."""
    if context.plan.target.backend is Backend.CPU:
        return None
    program = Path(next(iter(context.plan.engines.values())).binary)
    return lambda: read_accelerators(program, context.environment)

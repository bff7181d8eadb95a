"""One sitting: the runs of a plan that are still to be made, one after another."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.engine.argv import prompt_file_bytes, scrubbed_environment
from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.measure.host import read_host_facts
from edgemoe_appliance.measure.hostload import open_host
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.measure.journal import Journal
from edgemoe_appliance.measure.live import LiveFile
from edgemoe_appliance.measure.run import RunContext, build_header, execute_run, utc_now
from edgemoe_appliance.study.configs import Cooldown, CooldownRule
from edgemoe_appliance.study.plan import Plan
from edgemoe_appliance.study.records import SittingRecord, Status

_HASH_BLOCK_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class SittingOutcome:
    """How many runs of the plan are done, and how many of them ended badly."""

    done: int
    not_ok: int


def measure_session(
    plan: Plan, folder: Path, environment: Mapping[str, str], interruption: Interruption
) -> SittingOutcome:
    """Make all runs of a plan that the journal in `folder` does not hold yet.

    Raises DigestError where an engine or model is not the planned one (before any run),
    HostError or RecordError where the journal cannot be used, and InterruptedByUserError when
    stopped; the journal is closed in every case.
    """
    clean, removed = scrubbed_environment(environment)
    with Journal(folder) as journal, tempfile.TemporaryDirectory() as prompts:
        pending = [run for run in plan.runs if not journal.progress.is_done(run.id)]
        if pending:
            check_inputs(plan)
            journal.append(_sitting(plan, removed))
        write_prompts(plan, Path(prompts))
        context = RunContext(
            plan=plan,
            folder=folder,
            prompts_folder=Path(prompts),
            environment=clean,
            host=open_host(),
            live=LiveFile(folder),
            stop_requested=interruption.requested,
        )
        try:
            for index, run in enumerate(pending):
                if index:
                    _cool_down(context, plan.target.cooldown, interruption)
                interruption.check()
                header = build_header(context, run, journal.progress.next_attempt(run.id))
                journal.append(header)
                journal.append(execute_run(context, header))
            interruption.check()
        finally:
            context.live.close()
            context.host.close()
        ends = [journal.progress.ends[run.id] for run in plan.runs]
    return SittingOutcome(done=len(ends), not_ok=sum(end.status is not Status.OK for end in ends))


def check_inputs(plan: Plan) -> None:
    """Check engines and models against their planned digests.

    Reading every model whole also brings it into the page cache, so that the first run of each
    model does not pay for a cold disk that the others do not pay for.
    """
    for engine in plan.engines.values():
        for name, sha256 in engine.files_sha256.items():
            _check_file(Path(engine.binary).parent / name, sha256, "engine")
    for model in plan.models.values():
        _check_file(Path(model.path), model.sha256, "model")


def _check_file(path: Path, sha256: str, kind: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise HostError(f"the {kind} cannot be read ({error.strerror})", where=str(path)) from error
    if digest.hexdigest() != sha256:
        raise DigestError(
            f"the {kind} has sha256 {digest.hexdigest()[:16]}..., planned was {sha256[:16]}...",
            where=str(path),
            hint="build or fetch it again",
        )


def write_prompts(plan: Plan, folder: Path) -> None:
    """Write each prompt to a file named by its digest."""
    for prompt in plan.prompts.values():
        (folder / f"{prompt.sha256}.txt").write_bytes(prompt_file_bytes(prompt.text))


def _sitting(plan: Plan, removed: tuple[str, ...]) -> SittingRecord:
    return SittingRecord(
        session=plan.session,
        plan_digest=plan.digest,
        started_utc=utc_now(),
        appliance=plan.appliance,
        host=read_host_facts(removed),
        findings=plan.findings,
    )


def _cool_down(context: RunContext, rule: Cooldown, interruption: Interruption) -> None:
    if rule.rule is not CooldownRule.NONE:
        interruption.sleep(rule.seconds)

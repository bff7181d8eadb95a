"""One bench session on disk: made or resumed, measured by a launcher, followed to its end.

Two benches cannot work on one session, and a session is never continued with other settings.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.bench.launcher import Launcher, Measuring, log_tail
from edgemoe_appliance.bench.progress import BenchProgress, ProgressReader
from edgemoe_appliance.errors import (
    ConfigError,
    HostError,
    InterruptedByUserError,
    MeasureError,
    RecordError,
    RunFailedError,
    error_class_for,
)
from edgemoe_appliance.measure.schedule import all_runs
from edgemoe_appliance.schema.files import try_lock
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    LOCK_NAME,
    PLAN_NAME,
    find_kept_plan,
    read_progress,
)
from edgemoe_appliance.schema.plan import Plan, read_plan
from edgemoe_appliance.schema.roots import LOCAL_NAME, discreet_plan, named_plan, plan_roots
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder

_POLL_S = 0.2
_FULL_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BenchOutcome:
    """How a bench ended."""

    folder: Path
    progress: BenchProgress


def run_bench(
    plan: Plan,
    folder: Path,
    launcher: Launcher,
    on_progress: Callable[[BenchProgress], None],
    *,
    roots: Mapping[str, Path] | None = None,
) -> BenchOutcome:
    """Measure what is left of a plan in a session folder.

    `roots` are the folders that the records of the session name in place of paths.
    Raises ConfigError where the folder holds a session of another plan, HostError where another
    bench works on it, RunFailedError where runs ended badly (all are recorded), and
    InterruptedByUserError when the user stops it.
    """
    with (
        SessionFolder(folder, is_made=True) as session,
        SessionFolder(host_folder(folder), is_made=True) as own,
        _locked(own, folder),
    ):
        _require_same_plan(plan, folder)
        plan = _as_measured(plan, folder)
        known = plan_roots(plan, folder, roots or {})
        plan = discreet_plan(plan, known)
        own.write(LOCAL_NAME, known.document)
        own.write(PLAN_NAME, plan.document)
        content = named_plan(plan, known).document
        session.write(PLAN_NAME, content)
        reader = ProgressReader(plan, folder)
        code = _follow(launcher, plan, folder, lambda: on_progress(reader.read()))
        _restore_plan(session, content)
        progress = reader.read()
    on_progress(progress)
    _raise_for(code, folder, progress)
    return BenchOutcome(folder=folder, progress=progress)


def _restore_plan(session: SessionFolder, content: bytes) -> None:
    """Make what readers find what was decided: whoever measured could write there.

    One that is as it was is left alone, for the disk may be full by now.
    """
    with contextlib.suppress(FileNotFoundError, RecordError):
        if session.read_bytes(PLAN_NAME) == content:
            return
    session.write(PLAN_NAME, content)


def _require_same_plan(plan: Plan, folder: Path) -> None:
    """Refuse another plan for a session that is there already; paths alone may have changed."""
    path = find_kept_plan(folder)
    if path is None:
        return
    present = read_plan(path)
    if present.digest != plan.digest:
        raise ConfigError(
            f"session {plan.session} holds other settings: {_difference(present, plan)}",
            where=str(path),
            hint="choose another --session",
        )


def _as_measured(plan: Plan, folder: Path) -> Plan:
    """Return the plan with the findings of the host that its runs were measured on.

    Where no run is left, nothing is measured on the host as it is now, and an archive of the
    session made again is the same, byte for byte.
    """
    path = find_kept_plan(folder)
    if path is None:
        return plan
    progress = read_progress(folder / JOURNAL_NAME)
    if not all(progress.is_done(run.id) for run in all_runs(plan, progress)):
        return plan
    kept = read_plan(path)
    return plan.model_copy(update={"findings": kept.findings, "appliance": kept.appliance})


def _difference(present: Plan, wanted: Plan) -> str:
    """Return the names of the parts in which two plans differ."""
    ours, theirs = present.digested, wanted.digested
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(names) or "what is beside them"


def _follow(launcher: Launcher, plan: Plan, folder: Path, look: Callable[[], None]) -> int:
    measuring = launcher.launch(plan, folder)
    try:
        while (code := measuring.poll()) is None:
            look()
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return _stop(measuring)
    except BaseException:
        measuring.stop()
        raise
    return code


def _stop(measuring: Measuring) -> int:
    """Wait until the journal is closed, however often that is asked for meanwhile."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            code = measuring.stop()
            # One that was still starting ends by the signal itself.
            is_ours = code == 0 or error_class_for(code) is not None
            return code if is_ours else InterruptedByUserError.exit_code


def _raise_for(code: int, folder: Path, progress: BenchProgress) -> None:
    if code == InterruptedByUserError.exit_code:
        raise InterruptedByUserError(
            f"stopped after {progress.done} of {progress.total} runs",
            where=str(folder),
            hint="the same command resumes",
        )
    if code == RunFailedError.exit_code or (code == 0 and progress.not_ok):
        raise RunFailedError(
            f"{progress.not_ok} of {progress.done} runs did not end well (all are recorded)",
            where=str(folder),
            hint="the report lists them",
        )
    if code != 0:
        failure = error_class_for(code) or MeasureError
        message = log_tail(folder).removeprefix("error: ") or _unsaid(code, folder)
        raise failure(message, hint="what was measured is kept; the same command resumes")


def _unsaid(code: int, folder: Path) -> str:
    """Return what can be seen of an end that was not told: a full disk takes no log either."""
    disk = os.statvfs(folder)
    is_full = disk.f_bavail * disk.f_frsize < _FULL_BYTES or (disk.f_files and not disk.f_favail)
    return "the disk is full" if is_full else f"the measuring process ended with code {code}"


@contextlib.contextmanager
def _locked(own: SessionFolder, folder: Path) -> Iterator[None]:
    descriptor = own.open_for_append(LOCK_NAME)
    if not try_lock(descriptor):
        os.close(descriptor)
        raise HostError(
            "another bench works on this session",
            where=str(folder),
            hint="wait for it, or give this one another --session name",
        )
    try:
        yield
    finally:
        os.close(descriptor)


def unfinished_session(plan: Plan, sessions: Path, prefix: str) -> str | None:
    """Return the name of the newest session of the same plan with runs left, or None."""
    names = sorted((path.name for path in sessions.glob(f"{prefix}*")), reverse=True)
    return next((name for name in names if _can_resume(plan, sessions / name)), None)


def _can_resume(plan: Plan, folder: Path) -> bool:
    renamed = plan.model_copy(update={"session": folder.name})
    try:
        path = find_kept_plan(folder)
        if path is None or read_plan(path).digest != renamed.digest:
            return False
        progress = read_progress(folder / JOURNAL_NAME)
    except RecordError:
        return False
    return not all(progress.is_done(run.id) for run in plan.runs)

"""One bench session on disk: made or resumed, measured by a launcher, followed to its end.

Two benches cannot work on one session, and a session is never continued with other settings.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.bench.launcher import Launcher, log_tail
from edgemoe_appliance.bench.progress import BenchProgress, ProgressReader
from edgemoe_appliance.errors import (
    ConfigError,
    HostError,
    InterruptedByUserError,
    MeasureError,
    RunFailedError,
    error_class_for,
)
from edgemoe_appliance.schema.journal import LOCK_NAME, PLAN_NAME, find_kept_plan
from edgemoe_appliance.schema.plan import Plan, read_plan
from edgemoe_appliance.schema.roots import LOCAL_NAME, discreet_plan, named_plan, plan_roots
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder

_POLL_S = 0.2


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
        known = plan_roots(plan, folder, roots or {})
        plan = discreet_plan(plan, known)
        own.write(LOCAL_NAME, known.document)
        own.write(PLAN_NAME, plan.document)
        content = named_plan(plan, known).document
        session.write(PLAN_NAME, content)
        reader = ProgressReader(plan, folder)
        code = _follow(launcher, plan, folder, lambda: on_progress(reader.read()))
        # Whoever measured could write there: what readers find is again what was decided.
        session.write(PLAN_NAME, content)
        progress = reader.read()
    on_progress(progress)
    _raise_for(code, folder, progress)
    return BenchOutcome(folder=folder, progress=progress)


def _require_same_plan(plan: Plan, folder: Path) -> None:
    """Refuse another plan for a session that is there already; paths alone may have changed."""
    path = find_kept_plan(folder)
    if path is None:
        return
    present = read_plan(path)
    if present.digest != plan.digest:
        raise ConfigError(
            f"session {plan.session} was measured with another {_difference(present, plan)}",
            where=str(path),
            hint="give this one another --session name",
        )


def _difference(present: Plan, wanted: Plan) -> str:
    """Return the names of the parts in which two plans differ."""
    ours, theirs = present.digested, wanted.digested
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(names) or "content"


def _follow(launcher: Launcher, plan: Plan, folder: Path, look: Callable[[], None]) -> int:
    measuring = launcher.launch(plan, folder)
    try:
        while (code := measuring.poll()) is None:
            look()
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return measuring.stop()
    except BaseException:
        measuring.stop()
        raise
    return code


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
        message = log_tail(folder) or f"the measuring process ended with code {code}"
        raise failure(message, hint="what was measured is kept; the same command resumes")


@contextlib.contextmanager
def _locked(own: SessionFolder, folder: Path) -> Iterator[None]:
    descriptor = own.open_for_append(LOCK_NAME)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HostError(
            "another bench works on this session",
            where=str(folder),
            hint="wait for it, or give this one another --session name",
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)

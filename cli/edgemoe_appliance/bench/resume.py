"""Finding a session that was begun with the same plan and not finished."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import JOURNAL_NAME, find_kept_plan, read_progress
from edgemoe_appliance.schema.plan import Plan, read_plan


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

"""How far a bench is: the steps of its preparation, and its runs as journal and live file tell."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    LIVE_NAME,
    JournalProgress,
    JournalTail,
)
from edgemoe_appliance.schema.metrics import is_long_enough
from edgemoe_appliance.schema.plan import Plan, RunSpec
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, Status
from edgemoe_appliance.schema.sessionfolder import SessionFolder
from edgemoe_appliance.schema.text import on_one_line

# Some hundred bytes; whatever is larger is not ours.
_LIVE_BYTES = 64 * 1024


class Steps(Protocol):
    """Shows what is being prepared; a step gives a function that takes its share done (0-1)."""

    def step(self, title: str) -> AbstractContextManager[Callable[[float], None]]:
        """Begin a step."""

    def note(self, text: str) -> None:
        """Say something that the user should know."""


@dataclass(frozen=True, kw_only=True)
class ModelProgress:
    """The finished runs of one model: their number and the median of their generation rates."""

    runs: int
    median_gen_tok_s: float | None


@dataclass(frozen=True, kw_only=True)
class BenchProgress:
    """One look at a session; `total` grows by the runs that heat adds, or need where `by_need`."""

    total: int
    by_need: bool
    done: int
    not_ok: int
    current: RunSpec | None
    state: str
    models: dict[str, ModelProgress] = field(default_factory=dict)


class ProgressReader:
    """Reads the progress of a session again and again."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Start with what the journal already holds."""
        self._specs = {run.id: run for run in plan.runs}
        self._order = tuple(plan.models)
        self._by_need = plan.precision is not None
        self._tail = JournalTail(folder / JOURNAL_NAME)
        self._folder = folder
        self._progress = JournalProgress()

    def read(self) -> BenchProgress:
        """Return where the session is now."""
        for record in self._tail.poll():
            self._progress.add(record)
            if isinstance(record, HeaderRecord):
                self._specs.setdefault(record.run_id, record.spec)
        ends = [
            end
            for run_id, end in self._progress.ends.items()
            if run_id in self._specs and end.status.is_final
        ]
        run_id, state = self._read_live()
        return BenchProgress(
            total=len(self._specs),
            by_need=self._by_need,
            done=len(ends),
            not_ok=sum(end.status is not Status.OK for end in ends),
            current=self._specs.get(run_id),
            state=state,
            models=self._by_model(ends),
        )

    def _by_model(self, ends: list[EndRecord]) -> dict[str, ModelProgress]:
        counts = Counter(self._specs[end.run_id].model for end in ends)
        rates: dict[str, list[float]] = {model: [] for model in self._order}
        for end in ends:
            spec, metrics = self._specs[end.run_id], end.metrics
            if end.status is not Status.OK or "gen_tok_s" not in metrics:
                continue
            if is_long_enough(metrics.get("generated_tokens"), spec.n_predict):
                rates[spec.model].append(metrics["gen_tok_s"])
        return {
            model: ModelProgress(
                runs=counts[model],
                median_gen_tok_s=statistics.median(rates[model]) if rates[model] else None,
            )
            for model in self._order
        }

    def _read_live(self) -> tuple[str, str]:
        try:
            with SessionFolder(self._folder) as session:
                content = json.loads(session.read_bytes(LIVE_NAME, _LIVE_BYTES).decode())
            return str(content["run_id"]), on_one_line(content["state"])
        # Nested too deeply counts as damaged, too.
        except (OSError, RecordError, ValueError, KeyError, TypeError, RecursionError):
            return "", ""

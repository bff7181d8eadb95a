"""Frames: attempts as rows of long tables, one column per field and per metric.

Rows come from a stream and go into the store a chunk at a time. Nothing is averaged, filled in or
left out here: a missing reading is a missing value whose reason stands in a table of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.journal import Attempt
from edgemoe_appliance.analysis.store import (
    ColumnKind,
    FrameColumn,
    Rows,
    Store,
    StoredValue,
    TableShape,
)
from edgemoe_appliance.schema.base import canonical_json
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import EndRecord

# Rows held as Python objects before they become columns; bounds the memory of reading.
CHUNK_ROWS = 4_096
# Sets of reasons that are known again; one host has a handful, and past this they are forgotten.
_KNOWN_SETS = 4_096


def _columns(kind: ColumnKind, **meanings: str) -> tuple[FrameColumn, ...]:
    return tuple(FrameColumn(name=n, kind=kind, meaning=m) for n, m in meanings.items())


RUN_COLUMNS: tuple[FrameColumn, ...] = (
    *_columns(
        "text",
        session="session, made unique among those loaded together",
        setting="id of the host, target, runtime and engine; runs pool within one only",
        run_id="id of the run, equal for equal specs",
        status="how it ended; only ok runs enter a statistic",
    ),
    *_columns("integer", attempt="which attempt at the run, from 1"),
    *_columns(
        "text",
        target="device profile",
        pin="name of the llama.cpp source",
        model="id of the model",
        prompt="id of the prompt",
        experiment="id of the experiment",
    ),
    *_columns("integer", repetition="from 1", threads="threads of the engine"),
    *_columns("text", arm="plain, or what was varied"),
    *_columns("integer", n_predict="tokens to generate at most"),
    *_columns("flag", ignore_eos="whether an end-of-text token was ignored"),
    *_columns("integer", context="context size in tokens"),
    *_columns("text", feeds="the tables the run goes into, separated by spaces"),
    *_columns("number", prompt_scale="share of the prompt's words that was sent"),
    *_columns(
        "text",
        prompt_set="efficiency or length",
        prompt_category="category, or short, medium, long",
        prompt_sha256="digest of the text as sent",
    ),
    *_columns("integer", prompt_words="words of the text as sent"),
    *_columns(
        "text",
        model_name="name of the model",
        model_role="what the model stands for in the study",
        model_sha256="digest of the model file",
        twin_scale="scale of a twin (random weights), missing for a real model",
    ),
    *_columns(
        "integer",
        file_bytes="size of the model file",
        parameters_total="parameters in the file",
        parameters_active="parameters used for one token",
        bytes_per_token="weight bytes read for one token",  # noqa: S106  a size, not a password
    ),
    *_columns(
        "text",
        engine_sha256="digest of llama-cli",
        engine_build_key="digest of source, flags and compiler",
        image="container image, missing for a native run",
        git_head="commit of the appliance",
        detail="why the run did not end well",
    ),
    *_columns("number", exit_code="of the engine", signal="that ended the engine"),
    *_columns("text", caveats="codes of the caveats, separated by spaces"),
    *_columns("integer", caveat_count="number of caveats"),
    *_columns("text", text_sha256="digest of the generated text"),
    *_columns("number", text_bytes="size of the generated text"),
    *_columns("text", started_utc="for display only", ended_utc="for display only"),
    *(
        FrameColumn(name=key, kind="number", meaning=f"{metric.title}, {metric.unit.value}")
        for key, metric in METRICS.items()
    ),
)
RUNS = TableShape(
    name="runs",
    columns=RUN_COLUMNS,
    inner=(
        *_columns(
            "flag",
            final="whether it is the last attempt at its run that was not interrupted",
            by_heat="whether heat added it to a plan of fixed repetitions",
        ),
        *_columns(
            "integer",
            place="number of the attempt among all, from 0",
            lot="number of what it was pooled with, see `lots`",
            sent="number of the prompt as sent",
            absent_set="number of its reasons for missing readings",
        ),
        *_columns("text", devices="what the engine said it computes on, missing where untold"),
        *_columns(
            "number",
            layers_offloaded="layers that the engine put on a device, missing where untold",
            layers="layers that it has",
        ),
    ),
)
CAVEATS = TableShape(
    name="caveats",
    columns=_columns(
        "text",
        session="session",
        setting="setting of the run",
        run_id="run",
        model="model of the run",
        status="how the run ended",
        code="code of the caveat",
        text="what the caveat says",
        numbers="its numbers as JSON",
    ),
)
ABSENT_SETS = TableShape(
    name="absent_sets",
    columns=(
        *_columns("integer", absent_set="number of a set of reasons"),
        *_columns("text", metric="metric without a reading", reason="why there is none"),
    ),
)
ABSENT = TableShape(
    name="absent",
    columns=(
        *_columns(
            "text",
            session="session",
            setting="setting of the runs",
            model="model of the runs",
            metric="metric without a reading",
            reason="why there is none",
        ),
        *_columns("integer", attempts="attempts at runs that this holds for"),
        *_columns("text", first_run="the first of these runs"),
    ),
)
# What a run has a value of for each chunk of its text, or for each item.
SERIES = TableShape(
    name="series",
    columns=(
        *_columns("integer", place="number of the attempt among all, from 0"),
        *_columns("text", metric="metric whose mean the run holds"),
        *_columns("integer", item="number of the chunk or item, from 0"),
        *_columns("number", value="its value, missing where it is no finite number"),
    ),
)
SHAPES = (RUNS, CAVEATS, ABSENT_SETS, ABSENT, SERIES)


@dataclass(frozen=True, kw_only=True)
class LocatedAttempt:
    """An attempt and where it belongs: session, setting, plan, and the numbers of its groups."""

    session: str
    setting: str
    plan: Plan
    attempt: Attempt
    lot: int
    sent: int

    @property
    def by_heat(self) -> bool:
        """Return whether it stands in no plan of fixed repetitions: heat added it."""
        return not self.attempt.is_planned and self.plan.precision is None

    @property
    def is_final(self) -> bool:
        """Return whether it has an end that was no interruption; a later one may supersede it."""
        return self.attempt.status.is_final


class FrameWriter:
    """Puts attempts into a store, a chunk at a time. `added` is the number of attempts so far."""

    def __init__(self, store: Store) -> None:
        """Begin without rows."""
        self._store = store
        self._held: list[LocatedAttempt] = []
        self._absent_sets = _AbsentSets()
        self._absent_of: list[StoredValue] = []
        self.added = 0

    def add(self, placed: LocatedAttempt) -> None:
        """Take one more attempt."""
        end = placed.attempt.end
        self._absent_of.append(self._absent_sets.number_of(end.absent if end else {}))
        self._held.append(placed)
        self.added += 1
        if len(self._held) >= CHUNK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Put what is held into the store."""
        if self._held:
            columns = run_columns(self._held)
            places = list(range(self.added - len(self._held), self.added))
            self._store.add(RUNS, {**columns, "absent_set": self._absent_of, "place": places})
            self._store.add(CAVEATS, caveat_columns(self._held))
            self._store.add(ABSENT_SETS, self._absent_sets.take_new())
            self._store.add(SERIES, series_columns(self._held, places))
        self._held, self._absent_of = [], []


class _AbsentSets:
    """Numbers the sets of reasons for missing readings: most runs of a host share one."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, str], ...], int] = {}
        self._new: list[tuple[int, str, str]] = []
        self._next = 0

    def number_of(self, absent: Mapping[str, str]) -> int:
        key = tuple(absent.items())
        if key not in self._known:
            if len(self._known) >= _KNOWN_SETS:
                self._known.clear()
            self._known[key] = self._next
            self._new += [(self._next, metric, reason) for metric, reason in key]
            self._next += 1
        return self._known[key]

    def take_new(self) -> dict[str, list[StoredValue]]:
        """Return the sets since the last call as the columns of ABSENT_SETS."""
        new, self._new = self._new, []
        return {
            "absent_set": [number for number, _, _ in new],
            "metric": [metric for _, metric, _ in new],
            "reason": [reason for _, _, reason in new],
        }


def run_columns(placed: Sequence[LocatedAttempt]) -> dict[str, list[StoredValue]]:
    """Return attempts as the columns of RUNS, all but `place` and `absent_set`."""
    metrics = [each.attempt.end.metrics if each.attempt.end else {} for each in placed]
    # A host has a third of all readings: what no run has is missing without being looked up.
    had: set[str] = set().union(*metrics)
    missing: list[StoredValue] = [math.nan] * len(placed)
    return {
        "session": [each.session for each in placed],
        "setting": [each.setting for each in placed],
        "status": [each.attempt.status.value for each in placed],
        "final": [each.is_final for each in placed],
        "by_heat": [each.by_heat for each in placed],
        "lot": [each.lot for each in placed],
        "sent": [each.sent for each in placed],
        **_spec_columns(placed),
        **_plan_columns(placed),
        **_header_columns(placed),
        **_end_columns([each.attempt.end for each in placed]),
        **{
            key: [values.get(key, math.nan) for values in metrics] if key in had else missing
            for key in METRICS
        },
    }


def _spec_columns(placed: Sequence[LocatedAttempt]) -> dict[str, list[StoredValue]]:
    """Return what was to be run."""
    specs = [each.attempt.header.spec for each in placed]
    return {
        "target": [spec.target for spec in specs],
        "pin": [spec.pin for spec in specs],
        "model": [spec.model for spec in specs],
        "prompt": [spec.prompt for spec in specs],
        "experiment": [spec.experiment for spec in specs],
        "repetition": [spec.repetition for spec in specs],
        "threads": [spec.threads for spec in specs],
        "arm": [spec.arm.value for spec in specs],
        "n_predict": [spec.n_predict for spec in specs],
        "ignore_eos": [spec.ignore_eos for spec in specs],
        "context": [spec.context for spec in specs],
    }


def _plan_columns(placed: Sequence[LocatedAttempt]) -> dict[str, list[StoredValue]]:
    """Return the experiment, the prompt and the model of each attempt, as planned."""
    experiments = [each.plan.experiments[each.attempt.header.spec.experiment] for each in placed]
    prompts = [each.plan.prompt_of(each.attempt.header.spec) for each in placed]
    models = [each.plan.models[each.attempt.header.spec.model] for each in placed]
    return {
        "feeds": [" ".join(feeds.value for feeds in each.feeds) for each in experiments],
        "prompt_scale": [each.prompt_scale for each in experiments],
        "prompt_set": [each.set for each in prompts],
        "prompt_category": [each.category for each in prompts],
        "prompt_words": [each.words for each in prompts],
        "model_name": [each.name for each in models],
        "model_role": [each.role for each in models],
        "parameters_total": [each.parameters_total for each in models],
        "parameters_active": [each.parameters_active for each in models],
        "bytes_per_token": [each.bytes_per_token for each in models],
    }


def _header_columns(placed: Sequence[LocatedAttempt]) -> dict[str, list[StoredValue]]:
    """Return what was run, as the header found it."""
    headers = [each.attempt.header for each in placed]
    return {
        "run_id": [header.run_id for header in headers],
        "attempt": [header.attempt for header in headers],
        "prompt_sha256": [header.prompt_sha256 for header in headers],
        "model_sha256": [header.model_sha256 for header in headers],
        "twin_scale": [header.model_twin_scale for header in headers],
        "file_bytes": [header.model_file_bytes for header in headers],
        "engine_sha256": [header.engine_sha256 for header in headers],
        "engine_build_key": [header.engine_build_key for header in headers],
        "image": [header.image for header in headers],
        "git_head": [header.git_head for header in headers],
        "started_utc": [header.started_utc for header in headers],
    }


def _end_columns(ends: Sequence[EndRecord | None]) -> dict[str, list[StoredValue]]:
    """Return how each attempt ended."""
    killed = "the measuring process ended during the run"
    engines = [end.engine if end else None for end in ends]
    codes = [dict.fromkeys(caveat.code for caveat in end.caveats) if end else {} for end in ends]
    return {
        "detail": [end.detail if end else killed for end in ends],
        "exit_code": [end.exit_code if end else None for end in ends],
        "signal": [end.signal if end else None for end in ends],
        "caveats": [" ".join(each) for each in codes],
        "caveat_count": [len(end.caveats) if end else 0 for end in ends],
        "text_sha256": [end.text_sha256 if end else None for end in ends],
        "text_bytes": [end.text_bytes if end else None for end in ends],
        "ended_utc": [end.ended_utc if end else None for end in ends],
        "devices": [" ".join(each.devices) if each else None for each in engines],
        "layers_offloaded": [each.layers_offloaded if each else None for each in engines],
        "layers": [each.layers if each else None for each in engines],
    }


def caveat_columns(placed: Sequence[LocatedAttempt]) -> dict[str, list[StoredValue]]:
    """Return the caveats of attempts as the columns of CAVEATS."""
    found = [
        (each, caveat) for each in placed if each.attempt.end for caveat in each.attempt.end.caveats
    ]
    return {
        "session": [each.session for each, _ in found],
        "setting": [each.setting for each, _ in found],
        "run_id": [each.attempt.header.run_id for each, _ in found],
        "model": [each.attempt.header.spec.model for each, _ in found],
        "status": [each.attempt.status.value for each, _ in found],
        "code": [caveat.code for _, caveat in found],
        "text": [caveat.text for _, caveat in found],
        "numbers": [canonical_json(caveat.numbers) for _, caveat in found],
    }


def series_columns(
    placed: Sequence[LocatedAttempt], places: Sequence[int]
) -> dict[str, list[StoredValue]]:
    """Return the series of attempts, which have these numbers, as the columns of SERIES."""
    rows = [
        (place, metric, item, value)
        for place, each in zip(places, placed, strict=True)
        if each.attempt.end
        for metric, values in each.attempt.end.series.items()
        for item, value in enumerate(values)
    ]
    return {
        "place": [place for place, _, _, _ in rows],
        "metric": [metric for _, metric, _, _ in rows],
        "item": [item for _, _, item, _ in rows],
        "value": [value for _, _, _, value in rows],
    }


def supersede(store: Store, places: Sequence[int]) -> None:
    """Take attempts from the final ones: another attempt at the same run came later."""
    if places:
        store.execute(
            "UPDATE runs SET final = false WHERE place IN (SELECT unnest(?::BIGINT[]))",
            [list(places)],
        )


def fill_absent(store: Store) -> None:
    """Count the reasons for missing readings by session, setting, model and metric."""
    store.execute(
        """
        INSERT INTO absent
        SELECT session, setting, model, metric, reason,
               sum(attempts)::BIGINT, arg_min(run_id, place)
        FROM (
            SELECT session, setting, model, absent_set, count(*) AS attempts,
                   arg_min(run_id, rowid) AS run_id, min(rowid) AS place
            FROM runs GROUP BY session, setting, model, absent_set
        ) JOIN absent_sets USING (absent_set)
        GROUP BY session, setting, model, metric, reason
        ORDER BY min(place), metric, reason
        """
    )


def reasons_of(store: Store, absent_sets: NDArray[np.int64]) -> dict[str, str]:
    """Return the most frequent reason for each metric that any of some runs lacks.

    `absent_sets` has the number of each run's set of reasons.
    """
    known, (sets, runs) = store.rows(ABSENT_SETS), np.unique(absent_sets, return_counts=True)
    numbers, metrics, reasons = (
        known.integers("absent_set"),
        *map(known.texts, ("metric", "reason")),
    )
    counts: Counter[tuple[int, int]] = Counter()
    here = np.flatnonzero(np.isin(numbers, sets))
    weights = runs[np.searchsorted(sets, numbers[here])]
    for at, weight in zip(here.tolist(), weights.tolist(), strict=True):
        counts[int(metrics.codes[at]), int(reasons.codes[at])] += weight
    ranked = sorted(
        (str(metrics.names[metric]), -n, str(reasons.names[reason]))
        for (metric, reason), n in counts.items()
    )
    return {metric: reason for metric, _, reason in reversed(ranked)}


def count_reasons(runs: Rows) -> dict[str, dict[str, int]]:
    """Return for each metric that any of some runs lacks why, and for how many runs."""
    found = runs.ask(
        """
        SELECT metric, reason, count(*) AS n
        FROM chosen JOIN absent_sets USING (absent_set)
        GROUP BY metric, reason ORDER BY metric, n DESC, reason
        """
    )
    counts: dict[str, dict[str, int]] = {}
    for metric, reason, n in zip(found["metric"], found["reason"], found["n"], strict=True):
        counts.setdefault(str(metric), {})[str(reason)] = int(n)
    return counts

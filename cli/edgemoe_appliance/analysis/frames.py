"""Frames: attempts as rows of long-form tables, one column per field and per metric.

Rows come from a stream and are turned into columns a chunk at a time. Nothing is averaged,
filled in or left out here: a missing reading is a missing value whose reason is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from edgemoe_appliance.analysis.journal import Attempt
from edgemoe_appliance.study.base import canonical_json
from edgemoe_appliance.study.configs import Feeds
from edgemoe_appliance.study.metrics import METRICS
from edgemoe_appliance.study.plan import Plan

Kind = Literal["text", "integer", "number", "flag"]
Value: TypeAlias = str | int | float | bool | None
Row: TypeAlias = Mapping[str, Value]

# Rows held as Python objects before they become columns; bounds the memory of reading.
CHUNK_ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class FrameColumn:
    """One column: its name, what it can hold and what it means."""

    name: str
    kind: Kind
    meaning: str


def _columns(kind: Kind, **meanings: str) -> tuple[FrameColumn, ...]:
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
        model_role="moe, dense-active-match or dense-memory-anchor",
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
    *_columns("text", doubts="codes of the doubts, separated by spaces"),
    *_columns("integer", doubt_count="number of doubts"),
    *_columns("text", text_sha256="digest of the generated text"),
    *_columns("number", text_bytes="size of the generated text"),
    *_columns("text", started_utc="for display only", ended_utc="for display only"),
    *(
        FrameColumn(name=key, kind="number", meaning=f"{metric.title}, {metric.unit.value}")
        for key, metric in METRICS.items()
    ),
)
DOUBT_COLUMNS: tuple[FrameColumn, ...] = _columns(
    "text",
    session="session",
    setting="setting of the run",
    run_id="run",
    model="model of the run",
    status="how the run ended",
    code="code of the doubt",
    text="what is doubted",
    numbers="its numbers as JSON",
)
ABSENT_COLUMNS: tuple[FrameColumn, ...] = _columns(
    "text",
    session="session",
    setting="setting of the run",
    run_id="run",
    model="model of the run",
    metric="metric without a reading",
    reason="why there is none",
)


class FrameBuilder:
    """Collects rows and returns them as one DataFrame with the dtypes of its columns.

    Text is pandas' nullable string, integers int64, numbers float64 (NaN where missing), flags
    bool; the index is 0..n-1 in the order of the rows.
    """

    def __init__(self, columns: Sequence[FrameColumn]) -> None:
        """Begin without rows."""
        self._columns = columns
        self._rows: list[Row] = []
        self._chunks: list[pd.DataFrame] = []

    def add(self, row: Row) -> None:
        """Take one more row; it has exactly the columns of this frame."""
        self._rows.append(row)
        if len(self._rows) >= CHUNK_ROWS:
            self._flush()

    def build(self) -> pd.DataFrame:
        """Return all rows as a frame."""
        self._flush()
        frame: pd.DataFrame = pd.concat(self._chunks, ignore_index=True)
        return frame

    def _flush(self) -> None:
        if self._rows or not self._chunks:
            self._chunks.append(_frame(self._rows, self._columns))
            self._rows = []


def _frame(rows: Sequence[Row], columns: Sequence[FrameColumn]) -> pd.DataFrame:
    series = {c.name: _series([row[c.name] for row in rows], c.kind) for c in columns}
    frame: pd.DataFrame = pd.DataFrame(series, index=range(len(rows)))
    return frame


def _series(values: list[Value], kind: Kind) -> pd.Series:
    if kind == "text":
        return pd.Series(values, dtype=pd.StringDtype("python"))
    if kind == "number":
        floats = [np.nan if value is None else float(value) for value in values]
        return pd.Series(floats, dtype="float64")
    return pd.Series(values, dtype="int64" if kind == "integer" else "bool")


def run_row(session: str, setting: str, plan: Plan, attempt: Attempt) -> Row:
    """Return an attempt as a row of RUN_COLUMNS."""
    end = attempt.end
    doubts = end.doubts if end else ()
    metrics = end.metrics if end else {}
    return {
        "session": session,
        "setting": setting,
        "status": attempt.status.value,
        **_spec_values(plan, attempt),
        **_digest_values(attempt),
        "detail": end.detail if end else "the measuring process ended during the run",
        "exit_code": end.exit_code if end else None,
        "signal": end.signal if end else None,
        "doubts": " ".join(dict.fromkeys(doubt.code for doubt in doubts)),
        "doubt_count": len(doubts),
        "text_sha256": end.text_sha256 if end else None,
        "text_bytes": end.text_bytes if end else None,
        "ended_utc": end.ended_utc if end else None,
        **{key: metrics.get(key) for key in METRICS},
    }


def _spec_values(plan: Plan, attempt: Attempt) -> dict[str, Value]:
    """Return what was to be run: the spec, its model, its prompt, its experiment."""
    spec = attempt.header.spec
    model = plan.models[spec.model]
    prompt = plan.prompt_of(spec)
    experiment = plan.experiments[spec.experiment]
    return {
        "target": spec.target,
        "pin": spec.pin,
        "model": spec.model,
        "prompt": spec.prompt,
        "experiment": spec.experiment,
        "repetition": spec.repetition,
        "threads": spec.threads,
        "arm": spec.arm.value,
        "n_predict": spec.n_predict,
        "ignore_eos": spec.ignore_eos,
        "context": spec.context,
        "feeds": " ".join(feeds.value for feeds in experiment.feeds),
        "prompt_scale": experiment.prompt_scale,
        "prompt_set": prompt.set.value,
        "prompt_category": prompt.category,
        "prompt_words": prompt.words,
        "model_name": model.name,
        "model_role": model.role.value,
        "parameters_total": model.parameters_total,
        "parameters_active": model.parameters_active,
        "bytes_per_token": model.bytes_per_token,
    }


def _digest_values(attempt: Attempt) -> dict[str, Value]:
    """Return what was run, as the header found it."""
    header = attempt.header
    return {
        "run_id": header.run_id,
        "attempt": header.attempt,
        "prompt_sha256": header.prompt_sha256,
        "model_sha256": header.model_sha256,
        "twin_scale": header.model_twin_scale,
        "file_bytes": header.model_file_bytes,
        "engine_sha256": header.engine_sha256,
        "engine_build_key": header.engine_build_key,
        "image": header.image,
        "git_head": header.git_head,
        "started_utc": header.started_utc,
    }


def doubt_rows(session: str, setting: str, attempt: Attempt) -> Iterable[Row]:
    """Yield the doubts of an attempt as rows of DOUBT_COLUMNS."""
    for doubt in attempt.end.doubts if attempt.end else ():
        yield {
            "session": session,
            "setting": setting,
            "run_id": attempt.header.run_id,
            "model": attempt.header.spec.model,
            "status": attempt.status.value,
            "code": doubt.code,
            "text": doubt.text,
            "numbers": canonical_json(doubt.numbers),
        }


def absent_rows(session: str, setting: str, attempt: Attempt) -> Iterable[Row]:
    """Yield the missing readings of an attempt as rows of ABSENT_COLUMNS."""
    for metric, reason in (attempt.end.absent if attempt.end else {}).items():
        yield {
            "session": session,
            "setting": setting,
            "run_id": attempt.header.run_id,
            "model": attempt.header.spec.model,
            "metric": metric,
            "reason": reason,
        }


def split_final(attempts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the final runs, one row each, and all other attempts.

    Final is the last attempt at a run that was not interrupted.
    """
    ended = attempts[attempts["status"] != "interrupted"]
    final = ended.drop_duplicates(["session", "run_id"], keep="last")
    others = attempts.drop(index=final.index)
    return final.reset_index(drop=True), others.reset_index(drop=True)


def feeding(runs: pd.DataFrame, feeds: Feeds) -> pd.DataFrame:
    """Return the runs whose experiment goes into a table."""
    padded = " " + runs["feeds"] + " "
    chosen: pd.DataFrame = runs[padded.str.contains(f" {feeds.value} ", regex=False)]
    return chosen

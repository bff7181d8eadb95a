"""Frames: their documented shape, and which attempts count as final."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edgemoe_appliance.analysis import frames, load_sessions
from edgemoe_appliance.analysis.frames import (
    ABSENT_COLUMNS,
    DOUBT_COLUMNS,
    RUN_COLUMNS,
    FrameBuilder,
    feeding,
    split_final,
)
from edgemoe_appliance.study.configs import Feeds
from edgemoe_appliance.study.metrics import METRICS
from tests.analysis.journals import Synthetic, doubted, rate_of, unchanged, write_session

SMALL = Synthetic(models=("llama-3.2-1b", "olmoe-1b-7b"), prompts=("prompt-01", "prompt-02"))


def test_runs_have_the_documented_columns_and_dtypes(tmp_path: Path) -> None:
    runs = load_sessions([write_session(tmp_path, SMALL)]).runs
    assert list(runs.columns) == [column.name for column in RUN_COLUMNS]
    dtypes = {"text": "string", "integer": "int64", "number": "float64", "flag": "bool"}
    for column in RUN_COLUMNS:
        assert runs[column.name].dtype == dtypes[column.kind], column.name
    assert set(METRICS) <= set(runs.columns)
    assert list(runs.index) == list(range(len(runs)))


def test_a_row_holds_the_spec_the_digests_and_the_metrics(tmp_path: Path) -> None:
    loaded = load_sessions([write_session(tmp_path, SMALL)])
    spec = loaded.sessions[0].plan.runs[5]
    row = loaded.runs.iloc[5]
    assert row["run_id"] == spec.id
    assert (row["model"], row["prompt"], row["threads"]) == (spec.model, spec.prompt, spec.threads)
    assert row["gen_tok_s"] == rate_of(spec)
    assert row["feeds"] == "headline"
    assert row["twin_scale"] == "thin"
    assert np.isnan(row["load_s"])


def test_doubts_and_absences_are_rows_of_their_own(tmp_path: Path) -> None:
    folder = write_session(
        tmp_path, SMALL, lambda index, _: doubted("other-load", "busy") if index == 3 else {}
    )
    loaded = load_sessions([folder])
    assert list(loaded.doubts.columns) == [column.name for column in DOUBT_COLUMNS]
    assert list(loaded.absent.columns) == [column.name for column in ABSENT_COLUMNS]
    assert list(loaded.doubts["run_id"]) == [loaded.runs["run_id"].iloc[3]]
    assert loaded.runs["doubts"].iloc[3] == "other-load"
    assert loaded.runs["doubt_count"].sum() == 1
    assert set(loaded.absent["reason"]) == {"not on this host"}


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_session(tmp_path, SMALL)
    whole = load_sessions([folder]).runs
    monkeypatch.setattr(frames, "CHUNK_ROWS", 7)
    pd.testing.assert_frame_equal(load_sessions([folder]).runs, whole)


def test_a_frame_without_rows_has_its_columns(tmp_path: Path) -> None:
    runs = load_sessions([write_session(tmp_path, SMALL, unchanged, runs=0)]).runs
    assert len(runs) == 0
    assert list(runs.columns) == [column.name for column in RUN_COLUMNS]


def attempts(*rows: tuple[str, int, str]) -> pd.DataFrame:
    records = [{"session": "s", "run_id": r, "attempt": a, "status": s} for r, a, s in rows]
    frame: pd.DataFrame = pd.DataFrame(records)
    return frame


@pytest.mark.parametrize(
    ("rows", "final", "others"),
    [
        ([("a", 1, "ok"), ("b", 1, "oom")], [("a", 1), ("b", 1)], []),
        ([("a", 1, "interrupted"), ("a", 2, "ok")], [("a", 2)], [("a", 1)]),
        ([("a", 1, "interrupted")], [], [("a", 1)]),
        ([("a", 1, "oom"), ("a", 2, "ok")], [("a", 2)], [("a", 1)]),
        ([("a", 1, "ok"), ("a", 2, "interrupted")], [("a", 1)], [("a", 2)]),
    ],
)
def test_the_last_attempt_with_an_end_is_final(
    rows: list[tuple[str, int, str]], final: list[tuple[str, int]], others: list[tuple[str, int]]
) -> None:
    runs, rest = split_final(attempts(*rows))
    assert list(zip(runs["run_id"], runs["attempt"], strict=True)) == final
    assert list(zip(rest["run_id"], rest["attempt"], strict=True)) == others


def test_feeding_takes_whole_names_only() -> None:
    builder = FrameBuilder(tuple(c for c in RUN_COLUMNS if c.name == "feeds"))
    for feeds in ("headline prompt-length", "headline", "", "memory"):
        builder.add({"feeds": feeds})
    frame = builder.build()
    assert list(feeding(frame, Feeds.HEADLINE).index) == [0, 1]
    assert list(feeding(frame, Feeds.PROMPT_LENGTH).index) == [0]
    assert list(feeding(frame, Feeds.THREADS).index) == []

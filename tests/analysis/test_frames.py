"""Frames: their documented shape, and which attempts count as final."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edgemoe_appliance.analysis import frames, load_sessions
from edgemoe_appliance.analysis.frames import ABSENT, CAVEATS, RUN_COLUMNS
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.records import Status, record_line
from tests.analysis.journals import (
    Synthetic,
    build_end,
    build_header,
    build_period,
    build_plan,
    failed,
    rate_of,
    unchanged,
    with_caveat,
    write_lines,
    write_session,
)

SMALL = Synthetic(models=("llama-3.2-1b", "olmoe-1b-7b"), prompts=("prompt-01", "prompt-02"))


def test_runs_have_the_documented_columns_and_dtypes(tmp_path: Path) -> None:
    runs = load_sessions([write_session(tmp_path, SMALL)]).runs.frame()
    assert list(runs.columns) == [column.name for column in RUN_COLUMNS]
    dtypes = {"text": "string", "integer": "int64", "number": "float64", "flag": "bool"}
    for column in RUN_COLUMNS:
        assert runs[column.name].dtype == dtypes[column.kind], column.name
    assert set(METRICS) <= set(runs.columns)
    assert list(runs.index) == list(range(len(runs)))


def test_a_row_holds_the_spec_the_digests_and_the_metrics(tmp_path: Path) -> None:
    loaded = load_sessions([write_session(tmp_path, SMALL)])
    spec = build_plan(SMALL).runs[5]
    row = loaded.runs.frame().iloc[5]
    assert row["run_id"] == spec.id
    assert (row["model"], row["prompt"], row["threads"]) == (spec.model, spec.prompt, spec.threads)
    assert row["gen_tok_s"] == rate_of(spec)
    assert row["feeds"] == "headline"
    assert row["twin_scale"] == "thin"
    assert np.isnan(row["load_s"])


def test_caveats_and_absences_are_rows_of_their_own(tmp_path: Path) -> None:
    folder = write_session(
        tmp_path, SMALL, lambda index, _: with_caveat("other-load", "busy") if index == 3 else {}
    )
    loaded = load_sessions([folder])
    runs, caveats, absent = loaded.runs.frame(), loaded.caveats.frame(), loaded.absent.frame()
    assert list(caveats.columns) == [column.name for column in CAVEATS.columns]
    assert list(absent.columns) == [column.name for column in ABSENT.columns]
    assert list(caveats["run_id"]) == [runs["run_id"].iloc[3]]
    assert runs["caveats"].iloc[3] == "other-load"
    assert runs["caveat_count"].sum() == 1
    assert set(absent["reason"]) == {"not on this host"}
    assert absent["attempts"].sum() == len(runs)


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_session(tmp_path, SMALL)
    whole = load_sessions([folder]).runs.frame()
    monkeypatch.setattr(frames, "CHUNK_ROWS", 7)
    pd.testing.assert_frame_equal(load_sessions([folder]).runs.frame(), whole)


def test_a_frame_without_rows_has_its_columns(tmp_path: Path) -> None:
    runs = load_sessions([write_session(tmp_path, SMALL, unchanged, runs=0)]).runs.frame()
    assert len(runs) == 0
    assert list(runs.columns) == [column.name for column in RUN_COLUMNS]


ONE = Synthetic(models=("llama-3.2-1b",), prompts=("prompt-01",), length_prompts=())


@pytest.mark.parametrize(
    ("attempts", "final", "others"),
    [
        ([(0, 1, "ok"), (1, 1, "oom")], [(0, 1), (1, 1)], []),
        ([(0, 1, "interrupted"), (0, 2, "ok")], [(0, 2)], [(0, 1)]),
        ([(0, 1, "interrupted")], [], [(0, 1)]),
        ([(0, 1, "oom"), (0, 2, "ok")], [(0, 2)], [(0, 1)]),
        ([(0, 1, "ok"), (0, 2, "interrupted")], [(0, 1)], [(0, 2)]),
        ([(0, 1, "oom"), (1, 1, "ok"), (0, 2, "oom"), (0, 3, "ok")], [(1, 1), (0, 3)], None),
    ],
)
def test_the_last_attempt_with_an_end_is_final(
    tmp_path: Path,
    attempts: list[tuple[int, int, str]],
    final: list[tuple[int, int]],
    others: list[tuple[int, int]] | None,
) -> None:
    plan = build_plan(ONE)
    lines = [record_line(build_period(plan, ONE))]
    for run, attempt, status in attempts:
        header = build_header(plan, plan.runs[run], attempt)
        changes = {} if status == "ok" else failed(Status(status), "for a test")
        lines += [record_line(header), record_line(build_end(header, **changes))]
    loaded = load_sessions([write_lines(tmp_path / "one", plan, lines)])
    ids = [run.id for run in plan.runs]

    def places(frame: pd.DataFrame) -> list[tuple[int, int]]:
        return [(ids.index(r), a) for r, a in zip(frame["run_id"], frame["attempt"], strict=True)]

    assert places(loaded.runs.frame()) == final
    rest = [(run, attempt) for run, attempt, _ in attempts if (run, attempt) not in final]
    assert places(loaded.unfinished.frame()) == (rest if others is None else others)
    assert sum(lot.runs for lot in loaded.lots) == loaded.sessions[0].finished == len(final)

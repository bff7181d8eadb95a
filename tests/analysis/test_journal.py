"""Journals put together: what belongs together, what was cut off, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.journal import Attempt, assemble_attempts
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import TornTail, iterate_journal
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import PeriodRecord, Status, record_line
from tests.analysis.journals import (
    Synthetic,
    build_end,
    build_header,
    build_period,
    build_plan,
    failed,
)

SMALL = Synthetic(models=("llama-3.2-1b",), prompts=("prompt-01",), length_prompts=())
PLAN = build_plan(SMALL)
PERIOD = record_line(build_period(PLAN, SMALL))


def header(run: int, attempt: int = 1) -> bytes:
    return record_line(build_header(PLAN, PLAN.runs[run], attempt))


def end(run: int, attempt: int = 1) -> bytes:
    return record_line(build_end(build_header(PLAN, PLAN.runs[run], attempt)))


def assembled(
    folder: Path, *lines: bytes, plan: Plan = PLAN
) -> list[Attempt | PeriodRecord | TornTail]:
    path = folder / "runs.jsonl"
    path.write_bytes(b"".join(lines))
    return list(assemble_attempts(iterate_journal(path), plan=plan, where=str(path)))


def statuses(items: list[Attempt | PeriodRecord | TornTail]) -> list[str]:
    return [item.status.value for item in items if isinstance(item, Attempt)]


def test_header_and_end_make_an_attempt(tmp_path: Path) -> None:
    items = assembled(tmp_path, PERIOD, header(0), end(0))
    assert isinstance(items[0], PeriodRecord)
    attempt = items[1]
    assert isinstance(attempt, Attempt)
    assert attempt.end is not None
    assert (attempt.header.run_id, attempt.line) == (PLAN.runs[0].id, 2)
    assert len(items) == 2


@pytest.mark.parametrize(
    "after", [(), (header(1), end(1)), (PERIOD, header(0, attempt=2), end(0, attempt=2))]
)
def test_a_header_without_an_end_is_interrupted(tmp_path: Path, after: tuple[bytes, ...]) -> None:
    items = assembled(tmp_path, PERIOD, header(0), *after)
    assert statuses(items) == ["interrupted", *(["ok"] if after else [])]


def test_attempts_know_their_period(tmp_path: Path) -> None:
    items = assembled(tmp_path, PERIOD, header(0), end(0), PERIOD, header(1), end(1))
    attempts = [item for item in items if isinstance(item, Attempt)]
    assert [attempt.period_index for attempt in attempts] == [0, 1]


def test_a_torn_tail_comes_last_and_cuts_off_the_open_run(tmp_path: Path) -> None:
    items = assembled(tmp_path, PERIOD, header(0), end(0)[:-20])
    assert statuses(items) == ["interrupted"]
    assert isinstance(items[-1], TornTail)


def test_every_truncation_is_readable(tmp_path: Path) -> None:
    whole = b"".join([PERIOD, header(0), end(0)])
    seen: set[tuple[str, ...]] = set()
    for length in range(len(whole) + 1):
        items = assembled(tmp_path, whole[:length])
        assert sum(isinstance(item, TornTail) for item in items) <= 1
        seen.add(tuple(statuses(items)))
    assert seen == {(), ("interrupted",), ("ok",)}


def test_a_failed_run_keeps_its_status(tmp_path: Path) -> None:
    first = build_header(PLAN, PLAN.runs[0])
    line = record_line(build_end(first, **failed(Status.OOM, "killed")))
    assert statuses(assembled(tmp_path, PERIOD, header(0), line)) == ["oom"]


def foreign() -> Iterator[tuple[str, tuple[bytes, ...], int]]:
    other_plan = build_plan(Synthetic(session="other", prompts=("prompt-02",), length_prompts=()))
    other = record_line(build_header(other_plan, other_plan.runs[0]))
    stranger = record_line(build_period(other_plan, Synthetic(session="other")))
    yield "an end without its header", (PERIOD, end(0)), 2
    yield "an end without its header", (PERIOD, header(0), end(1)), 3
    yield "an end without its header", (PERIOD, header(0), end(0), end(0)), 4
    yield "an end without its header", (PERIOD, header(0), end(0, attempt=2)), 3
    yield "for the second time", (PERIOD, header(0), end(0), header(0)), 4
    yield "a run before any measuring period", (header(0), end(0)), 1
    yield "is not in the plan", (PERIOD, other), 2
    yield "a measuring period of session other", (stranger,), 1
    yield "not JSON", (PERIOD, b"{]\n", header(0)), 2
    yield "schema 99", (PERIOD.replace(b'"schema_version":2', b'"schema_version":99'), PERIOD), 1


@pytest.mark.parametrize(("what", "lines", "number"), list(foreign()))
def test_what_does_not_belong_is_refused_with_its_line(
    tmp_path: Path, what: str, lines: tuple[bytes, ...], number: int
) -> None:
    with pytest.raises(RecordError) as refused:
        assembled(tmp_path, *lines)
    assert str(tmp_path / "runs.jsonl") + f":{number}" in str(refused.value)
    if what != "not JSON":
        assert what in str(refused.value)


def test_reading_streams(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(PERIOD + header(0) + end(0) + b"damaged\n" + header(1))
    stream = assemble_attempts(iterate_journal(path), plan=PLAN, where=str(path))
    assert isinstance(next(stream), PeriodRecord)
    assert isinstance(next(stream), Attempt)  # given before the damage further on is reached
    with pytest.raises(RecordError):
        next(stream)

"""Sessions read together: what is counted, what is kept apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.sessions import _letters
from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.schema.records import Status, record_line
from tests.analysis.journals import (
    Synthetic,
    build_end,
    build_header,
    build_plan,
    failed,
    journal_lines,
    write_lines,
    write_session,
)

SMALL = Synthetic(models=("llama-3.2-1b",), prompts=("prompt-01",), length_prompts=())


def test_counts_of_a_session(tmp_path: Path) -> None:
    def one_oom(index: int, _: object) -> dict[str, object]:
        return failed(Status.OOM, "killed") if index == 0 else {}

    facts = load_sessions([write_session(tmp_path, SMALL, one_oom, runs=2)]).sessions[0]
    assert (facts.planned, facts.finished, facts.ok, facts.not_started) == (3, 2, 1, 1)
    assert facts.plan_matches
    assert facts.torn_bytes == 0
    assert [command.model for command in facts.commands] == ["llama-3.2-1b"]


def test_a_torn_tail_is_counted_and_its_run_listed_apart(tmp_path: Path) -> None:
    plan = build_plan(SMALL)
    lines = journal_lines(plan, SMALL)
    lines[-1] = lines[-1][:100]
    loaded = load_sessions([write_lines(tmp_path / "torn", plan, lines)])
    assert loaded.sessions[0].torn_bytes == 100
    assert (len(loaded.runs), len(loaded.unfinished)) == (2, 1)
    assert list(loaded.unfinished.frame()["status"]) == ["interrupted"]


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({}, 1),
        ({"host_name": "host-b"}, 2),
        ({"engine": "engine-b"}, 2),
        ({"memory_bytes": 8 * 1024**3}, 2),
        ({"study_device": "m2"}, 2),
        ({"threads": 4}, 2),  # part of the target of a synthetic session
        ({"model_sha256": {"llama-3.2-1b": "e" * 64}}, 1),  # a condition's matter, not a setting's
    ],
)
def test_settings_are_pooled_only_where_all_is_equal(
    tmp_path: Path, change: dict[str, object], settings: int
) -> None:
    other = replace(SMALL, session="other", **change)  # type: ignore[arg-type]
    loaded = load_sessions([write_session(tmp_path, SMALL), write_session(tmp_path, other)])
    assert len(loaded.settings) == settings
    assert set(loaded.runs.frame(["setting"])["setting"]) == {"A", "B"} if settings == 2 else {"A"}


def test_two_sessions_in_containers_are_never_one_machine(tmp_path: Path) -> None:
    first = replace(SMALL, in_container=True)
    second = replace(first, session="other")
    loaded = load_sessions([write_session(tmp_path, first), write_session(tmp_path, second)])
    assert len(loaded.settings) == 2


def test_sessions_of_one_name_from_two_folders_are_told_apart(tmp_path: Path) -> None:
    folders = [write_session(tmp_path / name, SMALL) for name in ("here", "there")]
    loaded = load_sessions(folders)
    assert [session.key for session in loaded.sessions] == ["synthetic", "synthetic~2"]
    assert len(loaded.runs) == 6


def test_a_folder_named_twice_is_refused(tmp_path: Path) -> None:
    folder = write_session(tmp_path, SMALL)
    with pytest.raises(ConfigError, match="named twice"):
        load_sessions([folder, folder / "."])


def test_a_folder_without_a_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such session"):
        load_sessions([tmp_path])


def test_a_plan_edited_afterwards_is_noticed(tmp_path: Path) -> None:
    plan = build_plan(SMALL)
    edited = plan.model_copy(update={"order_seed": 7})
    folder = write_lines(tmp_path / "edited", edited, journal_lines(plan, SMALL))
    assert not load_sessions([folder]).sessions[0].plan_matches


def test_setting_ids_go_on_after_z() -> None:
    assert [_letters(i) for i in (0, 25, 26, 27, 52)] == ["A", "Z", "AA", "AB", "BA"]


def test_runs_that_heat_added_are_told_from_planned_ones(tmp_path: Path) -> None:
    plan = build_plan(SMALL)
    extra = plan.runs[0].model_copy(update={"repetition": 4})  # the target allows five when hot
    header = build_header(plan, extra)
    lines = [*journal_lines(plan, SMALL), record_line(header), record_line(build_end(header))]
    facts = load_sessions([write_lines(tmp_path / "hot", plan, lines)]).sessions[0]
    assert (facts.planned, facts.finished, facts.added, facts.not_started) == (3, 4, 1, 0)

"""The record of a deposit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.deposit import build_deposit
from edgemoe_appliance.archive.results import (
    LevelOutcome,
    LevelResult,
    Verification,
    VerificationLevel,
)
from edgemoe_appliance.errors import ConfigError, VerificationError
from tests.archive.sessions import archive, maker, write_small_session


def verification(path: Path, sha256: str, by: Maker) -> Verification:
    return Verification(
        archive=path.name,
        sha256=sha256,
        archive_bytes=path.stat().st_size,
        session="small",
        files=1,
        recomputed=0,
        made_by=by,
        verified_by=by,
        levels=(
            LevelResult(
                level=VerificationLevel.INTEGRITY, outcome=LevelOutcome.PASSED, why="for a test"
            ),
        ),
        mismatches=(),
    )


def test_a_deposit_says_what_repositories_ask_for(tmp_path: Path) -> None:
    written = archive(write_small_session(tmp_path), tmp_path / "small.tar")
    found = verification(written.path, written.sha256, maker())
    deposit = build_deposit(written.path, found, "A study", ["Doe, Jane", "A Laboratory"])
    metadata = deposit["metadata"]
    assert metadata["resource_type"] == {"id": "dataset"}
    assert metadata["title"] == 'Rerun of "A study": session small'
    assert metadata["publication_date"] == "2026-01-02"
    assert [each["person_or_org"] for each in metadata["creators"]] == [
        {"type": "personal", "family_name": "Doe", "given_name": "Jane"},
        {"type": "organizational", "name": "A Laboratory"},
    ]
    assert metadata["rights"] == [{"title": {"en": "MIT License"}}]
    assert deposit["to_upload"] == [
        {"key": "small.tar", "size": written.archive_bytes, "sha256": written.sha256}
    ]
    with pytest.raises(ConfigError, match="names who made it"):
        build_deposit(written.path, found, "A study", [])
    bad = LevelResult(
        level=VerificationLevel.INTEGRITY, outcome=LevelOutcome.FAILED, why="for a test"
    )
    with pytest.raises(VerificationError, match="does not verify"):
        build_deposit(written.path, replace(found, levels=(bad,)), "A study", ["Doe, Jane"])
    unchecked = LevelResult(
        level=VerificationLevel.NUMBERS, outcome=LevelOutcome.UNCHECKED, why="it is newer"
    )
    levels = (*found.levels, unchecked)
    with pytest.raises(VerificationError, match="is not described: numbers: not checked"):
        build_deposit(written.path, replace(found, levels=levels), None, ["Doe, Jane"])

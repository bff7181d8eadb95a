"""`archive` and `verify` as they are typed: exit codes, one line, one JSON document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app import programme
from tests.app.programme import Ended
from tests.archive.sessions import contents, pack, write_small_session


def run(work: Path, *arguments: str) -> Ended:
    return programme.run(*arguments, EDGEMOE_WORK=str(work))


@pytest.mark.slow
def test_a_session_is_archived_and_verified(tmp_path: Path) -> None:
    write_small_session(tmp_path / "data/raw")
    done = run(tmp_path, "archive", "small")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    path = tmp_path / "results/small.tar"
    assert done.stdout.endswith(f"archive: {path}\n")
    good = run(tmp_path, "verify", str(path))
    assert good.returncode == 0, good.stdout + good.stderr
    assert "bytes: passed" in good.stdout

    files = contents(path)
    files["report/tables/runs.csv"] = files["report/tables/runs.csv"].replace(b"1", b"2", 1)
    changed = pack(files, tmp_path / "changed.tar")
    bad = run(tmp_path, "verify", str(changed), "--json")
    assert bad.returncode == 8
    document = json.loads(bad.stdout)
    assert document["good"] is False
    assert {mismatch["file"] for mismatch in document["mismatches"]} == {"report/tables/runs.csv"}
    assert bad.stderr.count("\n") == 1
    assert "mismatches" in bad.stderr


def test_what_is_no_archive_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"no archive")
    bad = run(tmp_path, "verify", str(path))
    assert (bad.returncode, bad.stdout) == (8, "")
    assert "x.tar: is no archive" in bad.stderr
    assert bad.stderr.startswith("error: ")
    assert bad.stderr.count("\n") == 1
    missing = run(tmp_path, "verify", str(tmp_path / "missing.tar"))
    assert missing.returncode == 3
    assert missing.stderr.count("\n") == 1


def test_a_session_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    missing = run(tmp_path, "archive", "missing")
    assert missing.returncode == 7
    assert missing.stderr.count("\n") == 1

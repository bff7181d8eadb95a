"""`compare` as typed: its lines, its document, its mistakes."""

import json
from pathlib import Path

import pytest

from tests.analysis.journals import Synthetic, write_session
from tests.app.programme import run

MODELS = ("olmoe-1b-7b", "llama-3.2-1b")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    first = write_session(tmp_path, Synthetic(session="first", models=MODELS))
    second = write_session(tmp_path, Synthetic(session="second", models=MODELS, host_name="host-b"))
    return str(first), str(second)


def test_it_says_what_differs_and_what_does_not(pair: tuple[str, str]) -> None:
    done = run("compare", *pair)
    assert done.returncode == 0, done.stderr
    assert "Machine" in done.stdout
    assert "prompts" in done.stdout
    assert "6 same, 0 differs, 0 sessions differ, 0 open, 2 not compared" in done.stdout
    assert "claims: 0 of " in done.stdout


def test_a_result_is_one_line_at_80_columns(pair: tuple[str, str]) -> None:
    lines = run("compare", *pair, columns=80).stdout.splitlines()
    results = [line for line in lines if line.startswith("headline, ")]
    assert len(results) == 3 * len(MODELS)
    assert all(line.endswith("same") and len(line) <= 80 for line in results)
    assert sum("Peak resident memory of the process tree, GiB" in line for line in lines) == 1


def test_the_document_is_all_of_the_output(pair: tuple[str, str]) -> None:
    document = json.loads(run("compare", *pair, "--json").stdout)
    assert [each["fact"] for each in document["differences"]["host"]] == ["Machine"]
    assert document["claims_changed"] == []


def test_a_session_that_is_not_there_is_named(pair: tuple[str, str]) -> None:
    done = run("compare", pair[0], "no-such")
    assert done.returncode == 7
    assert "no such session" in done.stderr


def test_an_archive_stands_for_its_session(pair: tuple[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "first.tar"
    assert run("archive", pair[0], "--out", str(archive)).returncode == 0
    done = run("compare", str(archive), pair[0], "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert not any(document["differences"].values())
    content = bytearray(archive.read_bytes())
    content[content.rindex(b'"gen_tok_s"') + 12] ^= 1
    archive.write_bytes(content)
    damaged = run("compare", str(archive), pair[0])
    assert damaged.returncode == 8
    assert "session/runs.jsonl" in damaged.stderr

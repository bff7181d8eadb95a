"""What a notebook gets: frames with units and reasons, from a name, a folder or an archive."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgemoe_appliance import notebook
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.metrics import METRICS
from tests.analysis.journals import Synthetic, write_session

DOCUMENT = Path(__file__).parents[1] / "docs" / "measuring.md"
MODELS = ("olmoe-1b-7b", "llama-3.2-1b")


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "raw", Synthetic(session="night-1", models=MODELS))


def test_runs_have_units_and_a_reason_for_each_missing_reading(session: Path) -> None:
    runs = notebook.runs(session)
    assert set(runs["model"]) == set(MODELS)
    assert runs.attrs["units"]["gen_tok_s"] == "tok/s"
    missing = {key: int(runs[key].isna().sum()) for key in METRICS}
    told = {key: sum(each.values()) for key, each in runs.attrs["absent"].items()}
    assert any(missing.values())
    assert told == {key: count for key, count in missing.items() if count}


def test_tables_are_those_of_the_report(session: Path) -> None:
    tables = notebook.tables(session)
    throughput = tables["throughput"]
    assert set(throughput["source"]) == {"reader", "study"}
    assert throughput.attrs["units"]["mean_tok_s_low"] == throughput.attrs["units"]["mean_tok_s"]
    for table in tables.values():
        for column, reasons in table.attrs["absent"].items():
            assert sum(reasons.values()) == table[column].isna().sum(), (table.attrs, column)


def test_claims_are_judged_for_the_reader_and_the_study(session: Path) -> None:
    verdicts = notebook.claims(session).groupby("source")["claim"].nunique()
    assert verdicts["reader"] == verdicts["study"] > 0
    assert set(notebook.claims()["source"]) == {"study"}


def test_a_session_is_a_name_a_folder_or_an_archive(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = SimpleNamespace(sessions=session.parent)
    monkeypatch.setattr(notebook, "default_folders", lambda: folders)
    assert notebook.runs("night-1").equals(notebook.runs(str(session)))
    with pytest.raises(RecordError, match="no such session: night-2"):
        notebook.runs("night-2")
    no_archive = tmp_path / "README.md"
    no_archive.write_text("words")
    with pytest.raises(Exception, match="archive"):
        notebook.runs(no_archive)


def test_the_documented_example_works(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"## In a notebook.*?```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    folders = SimpleNamespace(sessions=session.parent)
    monkeypatch.setattr(notebook, "default_folders", lambda: folders)
    found: dict[str, object] = {}
    exec(example, found)
    assert set(found["rates"].index) == set(MODELS)  # type: ignore[attr-defined]
    assert found["unit"] == "tok/s"

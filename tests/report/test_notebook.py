"""The notebook beside a report: it runs, and it finds the report's ratio in the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.report import render_reference_report, write_report
from edgemoe_appliance.studies import read_study
from tests.analysis.journals import Synthetic, write_session

pytestmark = pytest.mark.slow


def read_notebook(folder: Path) -> Any:
    return nbformat.read(folder / "analysis.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def executed(folder: Path) -> str:
    """Run the notebook in a report's folder and return what its last cell showed."""
    notebook = read_notebook(folder)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    (shown,) = notebook.cells[-1].outputs
    return str(shown["data"]["text/plain"])


def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_session: bool) -> Path:
    out = tmp_path / "out"
    monkeypatch.setattr(resampling, "RESAMPLES", 2000)
    if with_session:
        loaded = load_sessions([write_session(tmp_path / "raw", Synthetic())])
        write_report(loaded, out, read_study())
    else:
        render_reference_report(out, read_study())
    return out


def test_it_finds_the_ratio_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = executed(write(tmp_path, monkeypatch, with_session=True))
    shown = dict(line.split() for line in said.splitlines()[1:])
    assert shown["setting"] == "A"
    here, low, high = (float(shown[name]) for name in ("ratio", "low", "high"))
    there, report_low, report_high = (
        float(shown[f"to_baseline{end}"]) for end in ("", "_low", "_high")
    )
    assert here == there
    assert low < here < high
    # Another method, the same uncertainty: neither is half as wide as the other.
    assert 0.5 < (high - low) / (report_high - report_low) < 2


def test_it_runs_on_the_study_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Empty DataFrame" in executed(write(tmp_path, monkeypatch, with_session=False))


def test_it_refuses_a_changed_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write(tmp_path, monkeypatch, with_session=True)
    runs = out / "tables" / "runs.csv"
    lines = runs.read_text().splitlines()
    place = lines[0].split(",").index("gen_tok_s")
    first = lines[1].split(",")
    first[place] = str(float(first[place]) * 2)
    runs.write_text("\n".join([lines[0], ",".join(first), *lines[2:]]) + "\n")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="another ratio"):
        executed(out)


def test_it_is_the_same_file_in_every_report_and_holds_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = write(tmp_path, monkeypatch, with_session=False)
    notebook = read_notebook(out)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert not any(cell.get("execution_count") for cell in notebook.cells)

"""report.yaml: a page as data; a wrong name is one line, and an earlier page still reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.tables.routing import COLUMNS
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.report import render_reference_report
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study
from edgemoe_appliance.studies.report import BUILT_TABLES

PAGE = """
heading: Own
answer:
  figure: ratio
  finding:
    read: {table: throughput, column: to_baseline}
    measured: "{subject}: {here}"
    printed: "{subject}: {study}"
figures:
  ratio:
    draw: dots
    table: throughput
    column: to_baseline
    title: Ratio
    axis: ratio
    reference: cv_threshold_pct
    leave_out: [llama-3.2-1b]
sections:
  throughput: {title: Rates, figure: ratio}
  memory: {title: Memory}
  prompt-length: {title: Length}
  stability: {title: Stability}
  energy: {title: Energy}
  routing: {title: Routing}
  method: {show: method, title: How}
"""
# As it was before pages named figures: a section of that time had a title and a text.
EARLIER = """
heading: Earlier
sections:
  hardware: {title: Hardware}
  throughput: {title: Rates, text: How fast.}
  memory: {title: Memory}
  prompt-length: {title: Length}
  stability: {title: Stability}
  energy: {title: Energy}
  routing: {title: Routing}
  method: {title: Method}
  claims: {title: Claims}
"""


def written(root: Path, text: str) -> Path:
    """Return the shipped study with another page."""
    own = shutil.copytree(resource_folder("configs") / "studies" / "moe-edge", root / "own")
    (Path(own) / "report.yaml").write_text(text)
    return Path(own)


@pytest.mark.parametrize("text", [PAGE, EARLIER])
def test_a_page_of_its_own_is_read_and_rendered(tmp_path: Path, text: str) -> None:
    study = read_study(str(written(tmp_path, text)))
    html = render_reference_report(tmp_path / "out", study).html.read_text(encoding="utf-8")
    assert study.report.heading in html
    assert ">Rates" in html.replace("</span> ", ">")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("figure: ratio\n  finding", "figure: rato\n  finding", "did you mean ratio?"),
        ("draw: dots", "draw: pie", "figures.ratio"),
        ("column: to_baseline\n    title", "column: to_base\n    title", "'throughput/to_base'"),
        ("{table: throughput, c", "{table: throughputs, c", "did you mean throughput?"),
        ("[llama-3.2-1b]", "[llama-3.2]", "did you mean llama-3.2-1b?"),
        ("reference: cv_threshold_pct", "reference: cv_threshold", "did you mean cv_threshold_pct"),
        ("{here}", "{her}", "{her} is none of subject, baseline, here, study"),
        ("show: method", "show: methods", "sections.method.show"),
        ("title: Memory", "titel: Memory", "did you mean title?"),
        ("  energy: {title: Energy}\n", "", "there is no section of report.yaml 'energy'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in PAGE
    folder = written(tmp_path, PAGE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_study(str(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tables_that_code_builds_are_named_with_columns_that_they_have() -> None:
    assert set(BUILT_TABLES) == {"routing"}
    assert set(BUILT_TABLES["routing"]) <= {column.key for column in COLUMNS}

"""tables.yaml: a mistake is one line that names file, line, key and what is allowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import Study, read_study
from edgemoe_appliance.studies.tables import ColumnSpec, RowAttribute, Statistic

SMALL = """\
tables:
  small:
    title: A small table
    section: memory
    feeds: headline
    printed: memory
    reading: [gen_tok_s]
    only_with: [peak_rss_bytes]
    columns:
      model: {}
      rate: {title: Rate, quantity: gen_tok_s}
      peak_gib: {title: Peak, quantity: peak_rss_bytes, unit: GiB, printed: peak_rss_gib}
      file_gb: {}
      over_file: {title: Over, compare: quotient, of: peak_gib, to: file_gb, unit: B/B}
      to_study: {title: To study, compare: over-printed, of: peak_gib}
      below: {title: Below, compare: below, of: rate, limit: cv_threshold_pct}
    notes: ["At {setting_id} {cv_threshold_pct:g} % are the limit."]
  swept:
    title: A sweep
    section: memory
    feeds: threads
    axis: {by: threads, baseline: best}
    columns:
      model: {}
      rate: {title: Rate, quantity: gen_tok_s}
      loss: {title: Loss, compare: fall, of: rate, printed: stated/headline_threads_below_best_pct}
      name: {title: Name, compare: named-step, of: loss}
    printed_device: m2
    printed_rows: [{model: all, loss: stated/headline_threads_below_best_pct}]
  parts:
    title: By part
    section: energy
    feeds: headline
    reading: ["energy_{part}_j"]
    parts: {load: loading, process: whole}
    columns:
      window: {quantity: part}
      energy: {title: Energy, quantity: "energy_{part}_j"}
      second: {title: Second, quantity: energy_cross_diff_pct, only_part: process}
"""


REPORT = """
heading: Own
sections:
  memory: {title: Memory}
  energy: {title: Energy}
"""


def copied(root: Path) -> Path:
    """Return the shipped study with a page that shows nothing of its tables."""
    folder = Path(
        shutil.copytree(resource_folder("configs") / "studies" / "moe-edge", root / "own")
    )
    (folder / "report.yaml").write_text(REPORT)
    return folder


def read(root: Path, text: str) -> Study:
    """Read the shipped study with other tables."""
    folder = copied(root)
    (folder / "tables.yaml").write_text(text)
    return read_study(str(folder))


def test_tables_are_read_in_their_order(tmp_path: Path) -> None:
    specs = read(tmp_path, SMALL).table_specs
    assert list(specs) == ["small", "swept", "parts"]
    assert list(specs["small"].columns)[:2] == ["model", "rate"]
    assert specs["small"].columns["model"].fact_of("model") is RowAttribute.MODEL


def test_a_study_may_have_none(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "tables.yaml").unlink()
    assert read_study(str(folder)).table_specs == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: A small", "titel: A small", "small.titel: unknown key; did you mean title?"),
        ("memory\n    feeds: head", "memroy\n    feeds: head", "did you mean memory?"),
        ("feeds: threads", "feeds: thread", "swept.feeds: Input should be 'headline'"),
        ("printed: memory", "printed: memoy", "'memoy'; did you mean memory?"),
        ("[gen_tok_s]", "[gen_toks]", "reading.0: there is no metric 'gen_toks'"),
        ("[peak_rss_bytes]", "[rss]", "only_with.0: there is no metric 'rss'"),
        (
            "quantity: gen_tok_s}\n      peak",
            "quantity: gen_tok}\n      peak",
            "small.columns.rate.quantity: there is no quantity 'gen_tok'; did you mean gen_tok_s?",
        ),
        ("gen_tok_s}\n      peak", "gen_tok_s, category: shrt}\n      peak", "did you mean short?"),
        ("file_gb: {}", "step: {}", "columns.step: there is no quantity 'step'"),
        ("file_gb: {}", "file_gib: {}", "small.columns.file_gib: there is no quantity 'file_gib'"),
        ("unit: GiB,", "unit: KiB,", "small.columns.peak_gib.unit: there is no unit of it 'KiB'"),
        ("unit: B/B", "unit: B", "the unit of a quotient is two of B, GB, GiB"),
        ("to: file_gb,", "", "quotient needs to"),
        ("to: file_gb", "to: to_study", "over_file.to: there is no column before"),
        ("over-printed, of: peak_gib", "over-printed, of: rate", "no comparison here"),
        ("compare: over-printed", "compare: over-prints", "'over-printed'"),
        ("limit: cv_threshold_pct", "limit: cv_threshold", "did you mean cv_threshold_pct?"),
        ("of: rate, limit", "limit", "below needs of"),
        ("printed: peak_rss_gib", "printed: peak_gib", "there is no printed figure 'peak_gib'"),
        ("printed: peak_rss_gib", "printed: time/x", "there is no printed figure 'time/x'"),
        ("{setting_id}", "{seting_id}", "notes.0: there is no value 'seting_id'"),
        ("    axis: {by: threads, baseline: best}\n", "", "loss.compare: there is no comparison"),
        ("by: threads", "by: thread", "axis.by: Input should be 'threads', 'pin' or 'arm'"),
        ("by: threads,", "by: arm,", "arms are the steps of the axis arm, and of no other"),
        ("baseline: best}", "difference: less}", "a difference is of two arms"),
        ("printed_device: m2", "printed_device: m3", "no device 'm3'; allowed: m2, jetson"),
        ("{model: all", "{modle: all", "there is no column 'modle'; did you mean model?"),
        ("loss: stated/h", "loss: stated/n", "printed_rows.0.loss: there is no printed figure"),
        ('quantity: "energy_{part}_j"}', 'quantity: "energy_{part}_w"}', "there is no quantity"),
        ("only_part: process", "only_part: unload", "there is no part 'unload'"),
        ("second: {", "second: {of: energy, ", "of, to and limit need compare"),
        ("name: {", "name: {quantity: n, ", "reads nothing of its own"),
        ("{title: Name, ", "{", "named-step needs title"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SMALL
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, SMALL.replace(old, new, 1))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert words in message
    line = int(message.partition("tables.yaml:")[2].partition(":")[0])
    start = SMALL[: SMALL.index(old)].count("\n") + 1
    # What lacks a key is told at the column or table, what uses a missing axis where it is used.
    assert start <= line <= start + 5 or SMALL.splitlines()[line - 1].endswith(":")


def test_a_registered_quantity_brings_its_metric_statistic_and_printed_figure() -> None:
    column = ColumnSpec.model_validate({"quantity": "peak-power"})
    assert column.quantity == "power_study_peak_w"
    assert column.statistic is Statistic.HIGHEST
    assert column.printed == ("energy/peak_power_w",)
    own = ColumnSpec.model_validate({"quantity": "peak-power", "statistic": "mean"})
    assert own.statistic is Statistic.MEAN
    short = ColumnSpec.model_validate({"quantity": "length-rate", "category": "short"})
    assert short.printed == ("prompt-length/short_tok_s",)
    with pytest.raises(ValueError, match="length-rate needs category"):
        ColumnSpec.model_validate({"quantity": "length-rate"})

"""The engine of declared tables: each statistic and comparison by hand, on tables of its own."""

from __future__ import annotations

import statistics as plain
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.csvfile import table_csv
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Cell, Row, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.analysis.tables.quantities import FACTS
from edgemoe_appliance.report.material import build_material
from edgemoe_appliance.report.render import render_page
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.studies import Study, read_study
from edgemoe_appliance.studies.tables import ColumnComparison, RowAttribute, TableSpec
from tests.analysis.arms import DENSE, HEADLINE, MOE, THREADS, outcome, rate, session
from tests.analysis.journals import (
    FILE_BYTES,
    Synthetic,
    build_plan,
    metrics_of,
    write_session,
)

CHOSEN = session(experiments={"headline": HEADLINE, "threads": THREADS})
RATES = [
    rate(run) for run in build_plan(CHOSEN).runs if (run.model, run.experiment) == (MOE, "headline")
]
BASE = [
    rate(run)
    for run in build_plan(CHOSEN).runs
    if (run.model, run.experiment) == (DENSE, "headline")
]
MEAN = plain.fmean(RATES)
RATE: dict[str, Any] = {"title": "Rate", "quantity": "gen_tok_s"}


def declared(columns: Mapping[str, Any], **changes: Any) -> Study:
    """Return the shipped study with one table of its own."""
    values = {"title": "Own", "section": "throughput", "feeds": "headline", "columns": columns}
    return replace(read_study(), table_specs={"own": TableSpec(**(values | changes))})


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedSessions:
    return load_sessions([write_session(tmp_path_factory.mktemp("own"), CHOSEN, outcome)])


def table_of(loaded: LoadedSessions | None, columns: Mapping[str, Any], **changes: Any) -> Table:
    return build_tables(loaded, declared(columns, **changes))["own"]


def cells_of(table: Table, model: str = MOE) -> Mapping[str, Cell]:
    found: Row = next(row for row in table.rows("reader") if row.model == model)
    return found.cells


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ({}, MEAN),
        ({"statistic": "median"}, plain.median(RATES)),
        ({"statistic": "sd"}, plain.stdev(RATES)),
        ({"statistic": "cv"}, 100 * plain.stdev(RATES) / MEAN),
        ({"statistic": "range"}, 100 * (max(RATES) - min(RATES)) / MEAN),
        ({"statistic": "highest"}, max(RATES)),
        ({"statistic": "sum"}, sum(RATES)),
        ({"quantity": "peak_rss_bytes", "unit": "GiB"}, (FILE_BYTES[MOE] + 4e8) / 2**30),
        ({"quantity": "peak_rss_bytes", "unit": "GB"}, (FILE_BYTES[MOE] + 4e8) / 1e9),
        ({"quantity": "reclaimable_pct"}, 100 * FILE_BYTES[MOE] / (FILE_BYTES[MOE] + 4e8)),
        ({"quantity": "temp_peak_c", "statistic": "runs-above-threshold"}, 3),
        ({"quantity": "n"}, 9),
        ({"quantity": "file_gb"}, FILE_BYTES[MOE] / 1e9),
    ],
)
def test_each_statistic_by_hand(
    loaded: LoadedSessions, column: dict[str, Any], value: float
) -> None:
    table = table_of(loaded, {"x": RATE | column})
    assert cells_of(table)["x"].number == pytest.approx(value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ({"compare": "to-baseline", "of": "rate"}, MEAN / plain.fmean(BASE)),
        ({"compare": "ratio", "of": "rate", "to": "rate"}, 1),
        ({"compare": "fall", "of": "rate", "to": "prompt"}, 75),  # prompts run at 4 times the rate
        ({"compare": "quotient", "of": "peak", "to": "file", "unit": "B/B"}, 1 + 4e8 / 4e9),
    ],
)
def test_each_comparison_by_hand(
    loaded: LoadedSessions, column: dict[str, Any], value: float
) -> None:
    columns = {
        "rate": RATE,
        "prompt": {"quantity": "prompt_tok_s"},
        "peak": {"quantity": "peak_rss_bytes", "unit": "GiB"},
        "file": {"quantity": "file_gb"},
        "x": {"title": "X"} | column,
    }
    assert cells_of(table_of(loaded, columns))["x"].number == pytest.approx(value)


@pytest.mark.parametrize(
    ("compare", "value"),
    [("printed", 114.5), ("over-printed", MEAN / 114.5), ("less-printed", MEAN - 114.5)],
)
def test_on_the_study_s_device_its_figure_is_compared(
    tmp_path: Path, compare: str, value: float
) -> None:
    like = replace(CHOSEN, study_device="m2", twin_scale=None)
    columns = {
        "rate": RATE | {"printed": "mean_tok_s"},
        "x": {"title": "X", "compare": compare, "of": "rate"},
    }
    here = load_sessions([write_session(tmp_path / "m2", like, outcome)])
    table = table_of(here, columns, printed="throughput")
    assert cells_of(table)["x"].number == pytest.approx(value)
    study = next(row for row in table.rows("study") if row.model == MOE)
    assert study.cells["rate"].value == 114.5
    assert "this row is the study's own" in study.cells["x"].absent
    elsewhere = load_sessions([write_session(tmp_path / "host", CHOSEN, outcome)])
    cells = cells_of(table_of(elsewhere, columns, printed="throughput"))
    assert "neither of the study's devices" in cells["x"].absent


@pytest.mark.parametrize(
    ("baseline", "compare", "losses"),
    [
        ("best", "fall", [10, 2, 0]),
        ("best", "ratio", [0.9, 0.98, 1]),
        ("first", "ratio", [None, 0.98 / 0.9, 1 / 0.9]),
    ],
)
def test_an_axis_is_compared_with_its_first_or_best_step(
    loaded: LoadedSessions, baseline: str, compare: str, losses: list[float | None]
) -> None:
    columns = {
        "model": {},
        "threads": {"quantity": "step"},
        "rate": RATE,
        "x": {"title": "X", "compare": compare, "of": "rate"},
    }
    axis = {"by": "threads", "baseline": baseline}
    table = table_of(loaded, columns, feeds="threads", axis=axis)
    rows = [row.cells for row in table.rows("reader") if row.model == MOE]
    assert [cells["threads"].value for cells in rows] == [4, 6, 8]
    for cells, loss in zip(rows, losses, strict=True):
        if loss is None:
            assert cells["x"].absent == "the others are compared with this number of threads"
        else:
            assert cells["x"].number == pytest.approx(loss)


def test_parts_make_a_row_each(loaded: LoadedSessions) -> None:
    columns = {
        "part": {},
        "power": {"quantity": "power_{part}_w", "interval": False},
        "energy": {"quantity": "energy_{part}_j", "only_part": "load"},
    }
    table = table_of(loaded, columns, parts={"load": "loading", "idle": "before"})
    rows = [row.cells for row in table.rows() if row.model == MOE]
    assert [cells["part"].value for cells in rows] == ["loading", "before"]
    assert [cells["power"].number for cells in rows] == [4, 2]
    assert rows[1]["energy"].absent == "not recorded for this window"


def test_heads_follow_from_the_quantity_and_the_comparison(loaded: LoadedSessions) -> None:
    columns = {
        "start": {"quantity": "temp_peak_c", "digits": 1, "printed": "peak_soc_c"},
        "less": {"title": "Less", "compare": "less-printed", "of": "start"},
        "beside": {"title": "Beside", "compare": "printed", "of": "start"},
        "to": {"title": "To", "compare": "over-printed", "of": "start"},
        "median": {"title": "Median", "quantity": "gen_tok_s", "statistic": "median"},
    }
    table = table_of(loaded, columns, printed="energy")
    assert [column.unit for column in table.columns] == ["°C", "K", "°C", "ratio", "tok/s"]
    assert [column.digits for column in table.columns] == [1, 1, 1, 3, 0]
    assert [column.has_interval for column in table.columns] == [True, True, False, True, False]
    assert {column.metric for column in table.columns} == {"temp_peak_c", "gen_tok_s"}


def test_a_condition_without_a_needed_reading_is_left_out(loaded: LoadedSessions) -> None:
    assert table_of(loaded, {"x": RATE}, only_with=("nvmap_peak_bytes",)).groups == ()
    assert len(table_of(loaded, {"x": RATE}, only_with=("gen_tok_s",)).groups) == 1


def test_notes_name_values_of_the_study_and_of_each_condition(loaded: LoadedSessions) -> None:
    notes = ("{setting}: {threshold_c:g} °C.", "The study: {thermal_threshold_c:g} °C.")
    table = table_of(loaded, {"x": RATE}, notes=notes)
    label = table.groups[0].label.split(",")[0]
    assert table.notes[0].startswith(label)
    assert table.notes == (table.notes[0], "The study: 60 °C.")


def test_every_fact_has_a_head_and_every_comparison_is_built(loaded: LoadedSessions) -> None:
    assert set(FACTS) == set(RowAttribute)
    with_axis = {"compare": "named-step", "of": "loss", "title": "Name"}
    columns = {
        "rate": RATE | {"printed": "stated/headline_threads_below_best_pct"},
        "loss": {"title": "Loss", "compare": "fall", "of": "rate"},
        **{
            each.value.replace("-", "_"): {"title": "X", "compare": each.value}
            | ({} if each is ColumnComparison.SAME_TEXT else {"of": "rate"})
            | ({"limit": "cv_threshold_pct"} if each is ColumnComparison.BELOW else {})
            for each in ColumnComparison
            if each is not ColumnComparison.QUOTIENT
        },
        "name": with_axis,
    }
    axis = {"by": "threads", "baseline": "best"}
    table = table_of(loaded, columns, feeds="threads", axis=axis)
    assert all(len(row.cells) == len(columns) for row in table.rows())


def test_a_new_entry_stands_on_the_page_and_in_csv_by_itself(loaded: LoadedSessions) -> None:
    shipped = read_study()
    entry = TableSpec(
        title="Swap of the engine",
        section="memory",
        feeds="headline",
        columns={"model": {}, "swap": {"title": "Swap", "quantity": "peak_process_swap_bytes"}},
    )
    study = replace(shipped, table_specs={**shipped.table_specs, "swap": entry})
    material = build_material(loaded, study)
    page = render_page(material)
    assert (
        page.index('id="memory"') < page.index("Swap of the engine") < page.index('id="stability"')
    )
    assert b"\nreader," in table_csv(material.full_tables["swap"])


def test_intervals_are_those_of_the_readings(loaded: LoadedSessions) -> None:
    cell = cells_of(table_of(loaded, {"x": RATE}))["x"]
    assert isinstance(cell.interval, Interval)
    assert cell.interval.low < MEAN < cell.interval.high
    assert cells_of(table_of(loaded, {"x": RATE | {"interval": False}}))["x"].interval is None


@pytest.mark.parametrize(("per_repetition", "told"), [(0.0, 0), (0.03, 1)])
def test_drift_within_a_session_is_told_where_it_matters(
    tmp_path: Path, per_repetition: float, told: int
) -> None:
    def drifting(_: int, spec: RunSpec) -> Mapping[str, Any]:
        factor = 1 - per_repetition * (spec.repetition - 1) if spec.model == MOE else 1.0
        return {"metrics": metrics_of(spec) | {"gen_tok_s": 30.0 * factor}}

    folder = write_session(tmp_path, Synthetic(length_prompts=()), drifting)
    notes = build_tables(load_sessions([folder]), read_study())["stability"].notes
    found = [note for note in notes if "drift within the session" in note]
    assert len(found) == told
    if told:
        assert "-6.2 %" in found[0]

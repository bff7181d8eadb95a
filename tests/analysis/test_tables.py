"""The study's tables: figures by hand, the study's as printed, nothing pooled that must not be."""

from __future__ import annotations

import csv
import io
import os
import statistics as plain
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.conditions import added_by_heat, pools, why_not_comparable
from edgemoe_appliance.analysis.csvfile import rows_csv, table_csv
from edgemoe_appliance.analysis.statistics import Interval, resampling
from edgemoe_appliance.analysis.store import Rows
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table
from edgemoe_appliance.analysis.tables import Tables, build_tables
from edgemoe_appliance.analysis.tables.runs import runs_table
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.plan import PrecisionRule, RunSpec
from edgemoe_appliance.schema.records import Status, record_line
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.journals import (
    FILE_BYTES,
    LENGTH_PROMPTS,
    Synthetic,
    build_end,
    build_header,
    build_plan,
    failed,
    journal_lines,
    metrics_of,
    rate_of,
    with_caveat,
    write_lines,
    write_session,
)

GOLDEN = Path(__file__).parent / "golden"
SMALL_MATRIX = Synthetic(models=("olmoe-1b-7b", "llama-3.2-1b"))
# Hardware, models and procedure of the study, so that figures may stand beside it.
LIKE_THE_STUDY = Synthetic(study_device="m2", twin_scale=None)


@pytest.fixture(autouse=True)
def _few_resamples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save time where no test looks at the last digit of an interval."""
    if "kept_here" not in request.node.name:
        monkeypatch.setattr(resampling, "RESAMPLES", 500)


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def load(root: Path, *synthetics: Synthetic) -> LoadedSessions:
    return load_sessions([write_session(root, synthetic) for synthetic in synthetics])


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Tables:
    """Return the tables of the usual session; tests leave them as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 500)
        return build_tables(load(tmp_path_factory.mktemp("usual"), Synthetic()), study)


def rows_of(table: Table, group: int = 0) -> Mapping[str, Row]:
    return {str(row.model): row for row in table.groups[group].rows}


def rates(synthetic: Synthetic, model: str) -> list[float]:
    return [rate_of(run) for run in build_plan(synthetic).runs if run.model == model]


def test_throughput_by_hand(usual: Tables) -> None:
    table = usual["throughput"]
    for model, row in rows_of(table).items():
        expected = rates(Synthetic(), model)
        assert len(expected) == 45
        assert row.cells["mean_tok_s"].number == pytest.approx(plain.fmean(expected))
        assert row.cells["median_tok_s"].number == pytest.approx(plain.median(expected))
        assert row.cells["sd_tok_s"].number == pytest.approx(plain.stdev(expected))
        assert row.cells["n"].value == 45
        interval = row.cells["mean_tok_s"].interval
        assert isinstance(interval, Interval)
        assert interval.low < plain.fmean(expected) < interval.high


def test_the_ratio_to_the_baseline_is_within_the_condition(usual: Tables) -> None:
    rows = rows_of(usual["throughput"])
    expected = plain.fmean(rates(Synthetic(), "olmoe-1b-7b")) / plain.fmean(
        rates(Synthetic(), "llama-3.2-1b")
    )
    assert rows["olmoe-1b-7b"].cells["to_baseline"].number == pytest.approx(expected)
    assert rows["llama-3.2-1b"].cells["to_baseline"].value == 1.0


def test_memory_has_like_units_and_the_study_s_way(usual: Tables) -> None:
    row = rows_of(usual["memory"])["olmoe-1b-7b"]
    size = FILE_BYTES["olmoe-1b-7b"]
    peak = size + 400_000_000
    assert row.cells["peak_rss_gib"].number == pytest.approx(peak / GIB)
    assert row.cells["peak_over_file"].number == pytest.approx(peak / size)
    assert row.cells["peak_over_file_as_study"].number == pytest.approx((peak / GIB) / (size / GB))
    assert row.cells["anon_gib"].number == pytest.approx(400_000_000 / GIB)


def test_the_study_s_own_ratio_is_recomputed_in_like_units(study: Study) -> None:
    row = rows_of(build_tables(None, study)["memory"])["olmoe-1b-7b"]
    assert row.cells["peak_over_file_as_study"].value == 1.07
    assert row.cells["peak_over_file"].number == pytest.approx(4.49 * GIB / (4.21 * GB))


def test_prompt_length_by_hand(usual: Tables) -> None:
    row = rows_of(usual["prompt-length"])["gemma-2-2b"]
    assert row.cells["short_tok_s"].number == pytest.approx(10.04)
    assert row.cells["long_tok_s"].number == pytest.approx(8.04)
    assert row.cells["fall_pct"].number == pytest.approx(100 * (1 - 8.04 / 10.04))
    # Three repetitions of one prompt each: Student's t.
    assert isinstance(row.cells["fall_pct"].interval, Interval)


def test_the_fall_has_an_interval_where_there_are_repetitions_enough(
    tmp_path: Path, study: Study
) -> None:
    loaded = load(tmp_path, Synthetic(repetitions=6, prompts=()))
    cell = rows_of(build_tables(loaded, study)["prompt-length"])["gemma-2-2b"].cells["fall_pct"]
    assert isinstance(cell.interval, Interval)
    assert cell.interval.low < (cell.number or 0) < cell.interval.high


def test_stability_tells_prompts_from_repetitions(usual: Tables) -> None:
    row = rows_of(usual["stability"])["llama-3.2-1b"]
    expected = rates(Synthetic(), "llama-3.2-1b")
    mean = plain.fmean(expected)
    assert row.cells["cv_pct"].number == pytest.approx(100 * plain.stdev(expected) / mean)
    assert row.cells["cv_within_pct"].number == pytest.approx(100 * 0.02 / mean)
    assert row.cells["below_limit"].value == "yes"


def test_runs_that_failed_are_counted_and_never_pooled(tmp_path: Path, study: Study) -> None:
    def one_bad(index: int, spec: RunSpec) -> dict[str, object]:
        # A failed run that has metrics, as one that was ended late has.
        return {"status": Status.TIMEOUT, "detail": "too slow"} if index == 0 else {}

    loaded = load_sessions([write_session(tmp_path, Synthetic(), one_bad)])
    model = build_plan(Synthetic()).runs[0].model
    row = rows_of(build_tables(loaded, study)["throughput"])[model]
    assert (row.cells["n"].value, row.cells["not_ok"].value) == (44, 1)
    expected = rates(Synthetic(), model)[1:]
    assert row.cells["mean_tok_s"].number == pytest.approx(plain.fmean(expected))


def test_a_model_that_always_fails_is_shown_with_the_reason(tmp_path: Path, study: Study) -> None:
    def no_olmoe(_: int, spec: RunSpec) -> dict[str, object]:
        return failed(Status.OOM, "killed") if spec.model == "olmoe-1b-7b" else {}

    tables = build_tables(load_sessions([write_session(tmp_path, Synthetic(), no_olmoe)]), study)
    row = rows_of(tables["throughput"])["olmoe-1b-7b"]
    assert row.cells["mean_tok_s"].absent == "no run with this reading"
    assert (row.cells["n"].value, row.cells["not_ok"].value) == (0, 45)
    assert rows_of(tables["memory"])["olmoe-1b-7b"].cells["peak_rss_gib"].absent
    assert rows_of(tables["stability"])["olmoe-1b-7b"].cells["cv_pct"].absent
    assert rows_of(tables["prompt-length"])["olmoe-1b-7b"].cells["fall_pct"].absent
    assert sum(len(group.rows) for group in tables["failures"].groups) == 45


def test_two_files_of_one_model_are_two_rows(tmp_path: Path, study: Study) -> None:
    other = Synthetic(session="other", model_sha256={"llama-3.2-1b": "e" * 64})
    table = build_tables(load(tmp_path, Synthetic(), other), study)["throughput"]
    own = [row for row in table.groups[0].rows if row.model == "llama-3.2-1b"]
    assert [row.cells["n"].value for row in own] == [45, 45]
    assert len({row.cells["model"].value for row in own}) == 2
    olmoe = rows_of(table)["olmoe-1b-7b"]
    assert olmoe.cells["n"].value == 90  # the same file on the same host: pooled
    assert "not exactly one file" in olmoe.cells["to_baseline"].absent


@pytest.mark.parametrize(
    "change", [{"host_name": "b"}, {"engine": "b"}, {"n_predict": 64}, {"prompt_scale": 0.5}]
)
def test_different_conditions_are_different_groups(
    tmp_path: Path, study: Study, change: dict[str, object]
) -> None:
    other = replace(Synthetic(session="other"), **change)  # type: ignore[arg-type]
    table = build_tables(load(tmp_path, Synthetic(), other), study)["throughput"]
    own = [group for group in table.groups if group.source == "reader"]
    assert [row.cells["n"].value for group in own for row in group.rows] == [45] * 8


def test_equal_conditions_of_two_sessions_are_pooled(tmp_path: Path, study: Study) -> None:
    table = build_tables(load(tmp_path, Synthetic(), Synthetic(session="other")), study)[
        "throughput"
    ]
    own = [group for group in table.groups if group.source == "reader"]
    assert [row.cells["n"].value for group in own for row in group.rows] == [90] * 4


def test_on_the_study_s_hardware_figures_stand_beside_it(tmp_path: Path, study: Study) -> None:
    tables = build_tables(load(tmp_path, LIKE_THE_STUDY), study)
    cells = rows_of(tables["throughput"])["llama-3.2-1b"].cells
    assert cells["study_mean_tok_s"].value == 127.4
    mean = cells["mean_tok_s"]
    assert cells["to_study"].number == pytest.approx((mean.number or 0) / 127.4)
    assert isinstance(cells["to_study"].interval, Interval)
    assert isinstance(mean.interval, Interval)
    assert cells["to_study"].interval.low == pytest.approx(mean.interval.low / 127.4)
    assert rows_of(tables["memory"])["olmoe-1b-7b"].cells["study_peak_rss_gib"].value == 4.49
    assert rows_of(tables["prompt-length"])["gemma-2-2b"].cells["study_fall_pct"].value == 5.4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"study_device": None}, "neither of the study's devices"),
        ({"twin_scale": "thin"}, "reduced twins"),
        ({"n_predict": 12}, "runs generate 12 tokens, the study's 256"),
        ({"prompt_scale": 0.06}, "cut to 6 % of their words"),
        ({"memory_bytes": 64 * 10**9}, "this host has 64.0 GB of memory"),
    ],
)
def test_elsewhere_they_do_not_and_the_reason_is_given(
    tmp_path: Path, study: Study, change: dict[str, object], reason: str
) -> None:
    synthetic = replace(LIKE_THE_STUDY, **change)  # type: ignore[arg-type]
    loaded = load(tmp_path, synthetic)
    (pool,) = pools(loaded, study, Feeds.HEADLINE)
    assert any(reason in given for given in why_not_comparable(pool, study))
    cells = rows_of(build_tables(loaded, study)["throughput"])["llama-3.2-1b"].cells
    assert reason in cells["to_study"].absent
    assert reason in cells["study_mean_tok_s"].absent


def test_full_twins_on_the_study_s_hardware_may_stand_beside_it(
    tmp_path: Path, study: Study
) -> None:
    loaded = load(tmp_path, replace(LIKE_THE_STUDY, twin_scale="full"))
    (pool,) = pools(loaded, study, Feeds.HEADLINE)
    assert why_not_comparable(pool, study) == ()


def test_the_study_s_rows_are_as_printed(study: Study) -> None:
    tables = build_tables(None, study)
    assert [group.label for group in tables["throughput"].groups] == [
        "Study: M2",
        "Study: Jetson 15 W",
    ]
    jetson = rows_of(tables["throughput"], group=1)["olmoe-1b-7b"].cells
    assert (jetson["mean_tok_s"].value, jetson["median_tok_s"].value) == (22.9, 23.0)
    assert jetson["to_baseline"].number == pytest.approx(22.9 / 33.4)
    assert rows_of(tables["prompt-length"])["llama-3.2-1b"].cells["fall_pct"].value == 19.7
    assert rows_of(tables["stability"])["llama-3.2-1b"].cells["cv_pct"].value == 8.1
    assert rows_of(tables["stability"])["olmoe-1b-7b"].cells["cv_pct"].value == "at most 5.2"
    assert rows_of(tables["energy"])["olmoe-1b-7b"].cells["avg_power_w"].value == 8.49
    assert next(tables["routing"].rows()).cells["counted_share_pct"].value == 33.5


def test_the_per_run_table_keeps_what_matters_where_it_is_cut(tmp_path: Path) -> None:
    def some(index: int, spec: RunSpec) -> dict[str, object]:
        if index == 170:
            return failed(Status.CRASHED, "signal 11")
        return with_caveat("other-load", "busy") if index == 175 else {}

    loaded = load_sessions([write_session(tmp_path, Synthetic(), some)])
    assert sum(1 for _ in runs_table(loaded).rows()) == 180
    cut = runs_table(loaded, max_rows=10)
    rows = list(cut.rows())
    assert len(rows) == 10
    assert rows[0].cells["status"].value == "crashed"
    assert rows[1].cells["caveats"].value == "other-load"
    assert "10 of 180 runs" in cut.notes[0]


def test_caveats_are_counted_by_code(tmp_path: Path, study: Study) -> None:
    loaded = load_sessions(
        [
            write_session(
                tmp_path, Synthetic(), lambda i, _: with_caveat("x", "busy") if i < 3 else {}
            )
        ]
    )
    (row,) = build_tables(loaded, study)["caveats"].rows()
    assert (row.cells["runs"].value, row.cells["of"].value) == (3, 180)
    assert "busy (other_cpu_pct 31)" in str(row.cells["example"].value)


def test_repetitions_by_need_are_said_and_are_not_put_down_to_heat(
    tmp_path: Path, study: Study
) -> None:
    fixed = build_plan(SMALL_MATRIX)
    rule = PrecisionRule(within=0.02, at_most=10)
    plan = fixed.model_copy(update={"precision": rule})
    further = build_header(plan, plan.runs[0].model_copy(update={"repetition": 9}))
    added = [record_line(further), record_line(build_end(further))]
    lines = [*journal_lines(plan, SMALL_MATRIX), *added]
    loaded = load_sessions([write_lines(tmp_path / "by-need", plan, lines)])
    tables = build_tables(loaded, study)
    (note,) = tables["procedure"].notes
    assert note.startswith(f"Session {plan.session}: repetitions were not fixed but went by need")
    assert "within 2 %" in note
    assert "2 to 10 times" in note
    row = next(iter(tables["experiments"].rows()))
    assert row.cells["repetitions"].value == "2 to 10, by need"
    pool = pools(loaded, study, Feeds.HEADLINE)[0]
    assert sum(added_by_heat(models) for models in pool.models) == 0
    assert build_tables(load(tmp_path, SMALL_MATRIX), study)["procedure"].notes == ()


def test_experiments_say_how_far_they_came(tmp_path: Path, study: Study) -> None:
    loaded = load_sessions([write_session(tmp_path, Synthetic(), runs=100)])
    efficiency, length = build_tables(loaded, study)["experiments"].rows()
    assert (efficiency.cells["planned"].value, efficiency.cells["missing"].value) == (144, 44)
    assert (length.cells["ok"].value, length.cells["missing"].value) == (0, 36)


def test_a_session_without_runs_has_tables(tmp_path: Path, study: Study) -> None:
    loaded = load_sessions([write_session(tmp_path, Synthetic(), runs=0)])
    tables = build_tables(loaded, study)
    assert all(group.source == "study" for group in tables["throughput"].groups)


def without_empty_columns(runs: Rows) -> bytes:
    header, *rows = csv.reader(io.StringIO(rows_csv(runs).decode(), newline=""))
    kept = [place for place, name in enumerate(header) if runs.has_any([name])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([row[place] for place in kept] for row in [header, *rows])
    return buffer.getvalue().encode()


def golden_files(tables: Tables, loaded: LoadedSessions) -> dict[str, bytes]:
    wanted = (tables["throughput"], tables["memory"], tables["prompt-length"], tables["stability"])
    files = {f"{table.id}.csv": table_csv(table) for table in wanted}
    # Without the columns that are empty here, so that a new metric does not change the file.
    return {**files, "runs.csv": without_empty_columns(loaded.runs)}


def test_tables_of_a_fixed_journal_are_those_kept_here(tmp_path: Path, study: Study) -> None:
    """Set ACCEPT_GOLDEN=1 to take the present output as right, then read the difference."""
    small = Synthetic(
        models=("olmoe-1b-7b", "llama-3.2-1b"),
        prompts=("prompt-01", "prompt-02", "prompt-03"),
        length_prompts=tuple(LENGTH_PROMPTS),
    )

    def some(index: int, spec: RunSpec) -> dict[str, object]:
        return failed(Status.OOM, "=HYPERLINK(1)") if index == 4 else {}

    loaded = load_sessions([write_session(tmp_path, small, some)])
    files = golden_files(build_tables(loaded, study), loaded)
    for name, content in files.items():
        if os.environ.get("ACCEPT_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / name).write_bytes(content)
        assert content.decode() == (GOLDEN / name).read_text(encoding="utf-8"), name


def test_a_cell_has_a_value_or_a_reason() -> None:
    with pytest.raises(ValueError, match="either"):
        Cell()
    with pytest.raises(ValueError, match="either"):
        Cell(value=1.0, absent="but why")


def test_a_table_refuses_rows_of_other_columns() -> None:
    with pytest.raises(ValueError, match="a row has"):
        Table(
            id="t",
            title="t",
            columns=(Column(key="a", title="A"),),
            groups=(RowGroup(label="", source="reader", rows=(Row(cells={"b": Cell(value=1)}),)),),
        )


def test_energy_has_the_reader_s_rows_where_there_are_readings(
    tmp_path: Path, study: Study
) -> None:
    per_token = {"llama-3.2-1b": 0.5, "olmoe-1b-7b": 1.5, "qwen2.5-1.5b": 0.6, "gemma-2-2b": 0.9}

    def with_energy(_: int, spec: RunSpec) -> dict[str, object]:
        metrics = {"j_per_token_study": per_token[spec.model], "temp_peak_c": 50 + spec.repetition}
        return {"metrics": {**metrics_of(spec), **metrics}}

    folder = write_session(tmp_path, Synthetic(), with_energy)
    rows = rows_of(build_tables(load_sessions([folder]), study)["energy"])
    cells = rows["olmoe-1b-7b"].cells
    assert cells["mean_j_per_tok"].number == pytest.approx(1.5)
    assert cells["to_baseline"].number == pytest.approx(3.0)
    assert cells["peak_soc_c"].value == 53
    assert cells["net_j_per_tok"].absent == "no run with this reading"


def test_energy_has_the_study_s_rows_alone_where_there_are_none(usual: Tables) -> None:
    table = usual["energy"]
    assert [group.source for group in table.groups] == ["study"]

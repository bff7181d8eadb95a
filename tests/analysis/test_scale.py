"""Many runs: the numbers of plain pandas, refusals with their line, memory bounded by chunks."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from edgemoe_appliance.analysis import frames, load_sessions, store
from edgemoe_appliance.analysis.conditions import pools, sample_of, sums_sample
from edgemoe_appliance.analysis.csvfile import rows_csv
from edgemoe_appliance.analysis.row_limits import choose_runs, limit_groups, spread_out
from edgemoe_appliance.analysis.store import MEMORY_LIMIT, ColumnKind, Store, StoredValue
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.journal import JOURNAL_NAME
from edgemoe_appliance.studies import read_study
from tests.analysis.stored import stored
from tests.bench.fleets import plan_fleet, write_fleet

RUNS = 3_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_fleet(tmp_path_factory.mktemp("fleet"), RUNS)


def plain(folders: list[Path]) -> pd.DataFrame:
    """Read the journals without any of this appliance's readers."""
    rows = []
    for folder in folders:
        host, header = "", {}
        for line in (folder / JOURNAL_NAME).read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["kind"] == "period":
                host = record["host"]["hostname_sha256"]
            elif record["kind"] == "header":
                header = record
            else:
                spec = {key: header["spec"][key] for key in ("model", "prompt", "repetition")}
                with_caveat = bool(record["caveats"])
                status = {"host": host, "status": record["status"], "with_caveat": with_caveat}
                rows.append({**status, **spec, **record["metrics"]})
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame


def test_samples_counts_and_order_are_those_of_plain_pandas(folders: list[Path]) -> None:
    loaded, oracle = load_sessions(folders), plain(folders)
    assert len(loaded.runs) == len(oracle) == plan_fleet(RUNS).runs
    found = pools(loaded, read_study(), Feeds.HEADLINE)
    assert len(found) == len(loaded.settings) == oracle["host"].nunique() > 1
    for pool in found:
        for models in pool.models:
            own = oracle[oracle["host"] == pool.condition.setting.host.hostname_sha256]
            own = own[own["model"] == models.model]
            ok = own[own["status"] == "ok"].sort_values(["prompt", "repetition"], kind="stable")
            assert (len(models.runs), len(models.ok)) == (len(own), len(ok))
            for metric in ("gen_tok_s", "peak_rss_bytes", "prompt_tok_s"):
                values = sample_of(models.ok, metric).values
                np.testing.assert_array_equal(values, ok[metric].to_numpy())
            quotient = sums_sample(models.ok, ("gen_tok_s", "ttft_s"), ("prompt_tok_s",))
            expected = (ok["gen_tok_s"] + ok["ttft_s"]) / ok["prompt_tok_s"]
            np.testing.assert_allclose(quotient.values, expected.to_numpy(), rtol=1e-15)


def test_few_and_many_runs_are_read_to_the_same_sample(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_sessions(folders)
    models = pools(loaded, read_study(), Feeds.HEADLINE)[0].models[0]
    whole = sample_of(models.ok, "gen_tok_s").digest()
    monkeypatch.setattr("edgemoe_appliance.analysis.conditions._FEW_RUNS", 0)
    assert sample_of(models.ok, "gen_tok_s").digest() == whole


def test_the_runs_shown_hold_every_kind_and_are_the_same_each_time(folders: list[Path]) -> None:
    runs, oracle = load_sessions(folders).runs, plain(folders)
    shown = choose_runs(runs, 100)
    bad = int((oracle["status"] != "ok").sum())
    with_caveat = int(((oracle["status"] == "ok") & oracle["with_caveat"]).sum())
    assert (len(shown.frame), shown.total, shown.bad, shown.with_caveat) == (
        100,
        RUNS,
        bad,
        with_caveat,
    )
    assert shown.frame["status"].ne("ok").sum() == min(bad, 50)
    assert not shown.frame.duplicated(["session", "run_id"]).any()
    assert f"100 of {RUNS} runs" in shown.in_words
    pd.testing.assert_frame_equal(shown.frame, choose_runs(runs, 100).frame)
    every = spread_out(runs, RUNS)
    assert len(every.frame) == every.total == RUNS
    assert set(choose_runs(runs, 100).frame["session"]) == set(every.frame["session"])


def without_prompt(line: dict[str, object]) -> object:
    del line["prompt_sha256"]
    return line


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda line: {**line, "attempt": 1.0}, "attempt"),
        (lambda line: {**line, "extra": 1}, "extra"),
        (lambda line: {**line, "schema_version": 3}, "schema 3"),
        (lambda line: {**line, "run_id": "another-run"}, "not in the plan"),
        (lambda line: {**line, "spec": {**line["spec"], "threads": 99}}, "not in the plan"),
        (without_prompt, "prompt_sha256"),
        (lambda line: [], "record"),
    ],
)
def test_a_bad_line_among_thousands_is_named(
    tmp_path: Path, edit: Callable[[dict[str, object]], object], what: str
) -> None:
    (folder,) = write_fleet(tmp_path, 1_200)
    lines = (folder / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
    place = next(i for i in range(1_501, len(lines)) if b'"kind":"header"' in lines[i])
    lines[place] = json.dumps(edit(json.loads(lines[place]))).encode() + b"\n"
    (folder / JOURNAL_NAME).write_bytes(b"".join(lines))
    with pytest.raises(RecordError, match=what) as refused:
        load_sessions([folder])
    assert f"{JOURNAL_NAME}:{place + 1}" in str(refused.value)
    assert refused.value.exit_code == 7


def test_no_more_than_a_chunk_is_held(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    add = Store.add

    def watched(self: Store, shape: object, columns: dict[str, list[object]]) -> None:
        sizes.append(len(next(iter(columns.values()))) if shape is frames.RUNS else 0)
        add(self, shape, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "add", watched)
    monkeypatch.setattr(frames, "CHUNK_ROWS", 256)
    loaded = load_sessions(folders)
    assert max(sizes) == 256
    assert sum(sizes) == len(loaded.runs)


def test_no_chunk_stays_in_memory_once_it_is_stored(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[object]] = []

    def watched(values: Sequence[StoredValue], kind: ColumnKind) -> NDArray[Any]:
        array = make(values, kind)
        kept.append(weakref.ref(array))
        return array

    def closing(self: Store) -> None:
        counts.append(alive(kept))
        close(self)

    make, close, counts = store._array, Store.close_loading, list[int]()
    monkeypatch.setattr(store, "_array", watched)
    monkeypatch.setattr(frames, "CHUNK_ROWS", 256)
    monkeypatch.setattr(Store, "close_loading", closing)
    load_sessions(folders)
    assert len(kept) > RUNS / 256
    assert counts == [0]


def alive(kept: list[weakref.ref[object]]) -> int:
    gc.collect()
    return sum(each() is not None for each in kept)


def test_the_engine_is_kept_to_its_memory_and_its_folder(tmp_path: Path) -> None:
    own = Store([frames.ABSENT_SETS])
    own.close_loading()
    (limit,) = own.execute("SELECT current_setting('memory_limit')").fetchall()[0]
    assert MEMORY_LIMIT == "512MB"
    assert limit.startswith("488")  # MiB
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(Exception, match=r"(?i)disabled|locked|access"):
            own.execute(statement)


def group(index: int, *, source: str = "reader", notes: tuple[str, ...] = ()) -> RowGroup:
    row = Row(cells={"n": Cell(value=index)})
    return RowGroup(label=f"{source} {index}", source=source, rows=(row,), notes=notes)  # type: ignore[arg-type]


def test_of_many_conditions_the_comparable_and_the_largest_are_shown() -> None:
    own = [group(n, notes=() if n == 3 else ("another device",)) for n in range(1, 9)]
    study = group(45, source="study")
    table = Table(id="t", title="T", columns=(Column(key="n", title="N"),), groups=(*own, study))
    assert limit_groups(table, 8) is table
    shown = limit_groups(table, 3)
    assert [g.label for g in shown.groups] == ["reader 3", "reader 7", "reader 8", "study 45"]
    assert "3 of 8 groups" in shown.notes[0]
    assert "t.csv" in shown.notes[0]


def test_a_temporary_folder_of_any_name_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "it's [odd] 'here"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    rows = stored({"x": "integer"}, {"x": [1, 2]})
    assert rows_csv(rows) == b"x\n1\n2\n"


def test_what_the_host_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with pytest.raises(HostError, match="no folder for the runs"):
        Store([frames.RUNS])


def test_an_engine_that_runs_out_is_a_fault_of_the_host() -> None:
    own = Store([frames.ABSENT_SETS])
    own.close_loading()
    with pytest.raises(HostError, match="not enough memory for the runs"):
        own.execute("SELECT list(i) FROM range(1000000000) AS t(i)")

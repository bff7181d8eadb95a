"""The table of caveats: by code, with its first run as an example, and of bounded length."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.store import Store
from edgemoe_appliance.analysis.tables.runs import caveats_table
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Caveat
from tests.analysis.journals import Synthetic, write_session

SMALL = Synthetic(prompts=("prompt-01",), length_prompts=(), repetitions=2)


def caveat(code: str, text: str) -> Caveat:
    return Caveat(code=code, text=text, numbers={"pct": 31.0})


def test_a_caveat_stands_once_with_its_runs_models_and_first_example(tmp_path: Path) -> None:
    def changes(index: int, spec: RunSpec) -> Mapping[str, Any]:
        found = [caveat("b-late", f"late {index}")] if index in (1, 2) else []
        return {"caveats": (*found, caveat("a-all", f"all {index}"), caveat("a-all", "again"))}

    folder = write_session(tmp_path, SMALL, changes)
    table = caveats_table(load_sessions([folder]))
    first, second = table.groups[0].rows
    shown = [{key: str(cell.value) for key, cell in row.cells.items()} for row in (first, second)]
    numbers = [row.cells["runs"].value for row in (first, second)]
    assert [each["code"] for each in shown] == ["a-all", "b-late"]
    assert numbers == [8, 2]
    assert "all 0 (pct 31)" in shown[0]["example"]
    assert "late 1 (pct 31)" in shown[1]["example"]
    assert "olmoe-1b-7b" in shown[0]["models"]
    assert table.notes == ()


def test_any_number_of_caveats_costs_a_few_questions_and_a_bounded_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(index: int, spec: RunSpec) -> Mapping[str, Any]:
        many = [caveat(f"c{number}", "one of many") for number in range(3000 if index == 1 else 0)]
        return {"caveats": (caveat("zz-common", "everywhere"), *many)}

    loaded = load_sessions([write_session(tmp_path, SMALL, changes)])
    asked: list[str] = []
    execute = Store.execute

    def counted(store: Store, sql: str, values: Any = ()) -> Any:
        asked.append(sql)
        return execute(store, sql, values)

    monkeypatch.setattr(Store, "execute", counted)
    table = caveats_table(loaded)
    codes = [str(row.cells["code"].value) for row in table.groups[0].rows]
    assert (len(codes), codes[-1]) == (200, "zz-common")
    assert table.notes == ("200 of 3001 caveats: those of most runs. All are in run-caveats.csv.",)
    assert len(asked) < 10

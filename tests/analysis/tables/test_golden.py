"""All tables of one fixed session with arms, pins, threads, energy and heat, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.csvfile import table_csv
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import everything, outcome
from tests.analysis.journals import write_session

GOLDEN = Path(__file__).parents[1] / "golden" / "arms"


def test_tables_of_arms_are_those_kept_here(tmp_path: Path) -> None:
    """Set ACCEPT_GOLDEN=1 to take the present output as right, then read the difference."""
    loaded = load_sessions([write_session(tmp_path, everything(), outcome)])
    tables = build_tables(loaded, read_study())
    for table in (
        tables["threads"],
        tables["time"],
        tables["memory-arms"],
        tables["energy"],
        tables["energy-windows"],
        tables["heat"],
        tables["routing"],
        tables["engine-arm"],
    ):
        content, path = table_csv(table), GOLDEN / f"{table.id}.csv"
        if os.environ.get("ACCEPT_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            path.write_bytes(content)
        assert content.decode() == path.read_text(encoding="utf-8"), table.id

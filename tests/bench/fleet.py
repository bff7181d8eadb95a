"""What a fleet of journals costs from journals to report: time and peak memory.

`python -m tests.bench.fleet [RUNS ...]` (default 180 10000; a million is 5 GB of journals below
the folder in FLEET_JOURNALS, by default one that is removed at the end) runs each way in a
process of its own and prints them side by side:

    report        journals read and checked line by line, all tables, the page, CSV files
    tables        journals read and checked, all tables
    read          journals read and checked into the store
    pandas        one table (mean and runs by host and model), a loop over lines into a frame
    engine        the same table by the engine's own reading of JSON, nothing checked

The last two know nothing of plans, settings, attempts or damage: they are what the same numbers
cost without any of that.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pandas as pd

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.report import write_report
from edgemoe_appliance.schema.journal import JOURNAL_NAME
from edgemoe_appliance.studies import read_study
from tests.bench.fleets import write_fleet

SIZES = (180, 10_000)
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one way took: seconds, and the highest resident memory of its process."""

    wall_s: float
    peak_bytes: int


def report(folders: Sequence[Path]) -> None:
    """Write the whole report."""
    with tempfile.TemporaryDirectory() as out:
        write_report(load_sessions(folders), Path(out), read_study())


def tables(folders: Sequence[Path]) -> None:
    """Build all tables."""
    build_tables(load_sessions(folders), read_study())


def read(folders: Sequence[Path]) -> None:
    """Read and check the journals."""
    load_sessions(folders)


def by_pandas(folders: Sequence[Path]) -> pd.DataFrame:
    """Return mean rate and number of runs by host and model, from a loop over lines."""
    rows = []
    for folder in folders:
        host = model = ""
        with (folder / JOURNAL_NAME).open("rb") as journal:
            for line in journal:
                record = json.loads(line)
                if record["kind"] == "period":
                    host = record["host"]["hostname_sha256"]
                elif record["kind"] == "header":
                    model = record["spec"]["model"]
                elif record["status"] == "ok":
                    rows.append((host, model, record["metrics"]["gen_tok_s"]))
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["host", "model", "gen_tok_s"])
    groups = frame.groupby(["host", "model"])["gen_tok_s"]
    found: pd.DataFrame = groups.agg(["mean", "count"]).reset_index()
    return found


def by_engine(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the same by the engine's own reading of JSON lines."""
    engine = duckdb.connect()
    engine.execute("SET memory_limit = '1GB'")
    found: pd.DataFrame = engine.execute(
        """
        WITH lines AS (
            SELECT filename, kind, status, run_id, host.hostname_sha256 AS host,
                   spec.model AS model, metrics.gen_tok_s AS gen_tok_s
            FROM read_json($journals, format = 'newline_delimited', filename = true, columns = {
                kind: 'VARCHAR', status: 'VARCHAR', run_id: 'VARCHAR',
                host: 'STRUCT(hostname_sha256 VARCHAR)', spec: 'STRUCT(model VARCHAR)',
                metrics: 'STRUCT(gen_tok_s DOUBLE)'})
        )
        SELECT periods.host, headers.model, avg(ends.gen_tok_s) AS mean, count(*) AS count
        FROM lines AS ends
        JOIN lines AS headers USING (filename, run_id)
        JOIN lines AS periods USING (filename)
        WHERE ends.kind = 'end' AND ends.status = 'ok' AND headers.kind = 'header'
          AND periods.kind = 'period'
        GROUP BY ALL ORDER BY ALL
        """,
        {"journals": [str(folder / JOURNAL_NAME) for folder in folders]},
    ).df()
    return found


WAYS: dict[str, Callable[[Sequence[Path]], object]] = {
    "report": report,
    "tables": tables,
    "read": read,
    "pandas": by_pandas,
    "engine": by_engine,
}


def measure(way: str, folders: Sequence[Path]) -> Cost:
    """Run one way in a fresh process and return what it took."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(way, [str(f) for f in folders], sender))
    process.start()
    sender.close()
    try:
        wall_s, peak_bytes = receiver.recv()
    except EOFError as error:
        raise RuntimeError(f"{way}: ended without a result") from error
    process.join()
    return Cost(wall_s=wall_s, peak_bytes=peak_bytes)


def _child(way: str, folders: Sequence[str], sender: Connection) -> None:
    start = time.perf_counter()
    WAYS[way]([Path(folder) for folder in folders])
    wall_s = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((wall_s, peak if sys.platform == "darwin" else peak * 1024))


def main() -> None:
    """Print the costs of each size, and each way's time over that of the whole report."""
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    kept = os.environ.get("FLEET_JOURNALS")
    print(f"{'runs':>9} {'GB':>6}  {'way':8} {'wall s':>8} {'peak MiB':>9} {'of report':>10}")
    with tempfile.TemporaryDirectory() as temporary:
        for runs in sizes:
            folders = write_fleet(Path(kept or temporary) / str(runs), runs)
            size = sum((folder / JOURNAL_NAME).stat().st_size for folder in folders)
            costs = {way: measure(way, folders) for way in WAYS}
            for way, cost in costs.items():
                print(
                    f"{runs:9,} {size / 1e9:6.2f}  {way:8} {cost.wall_s:8.2f} "
                    f"{cost.peak_bytes / _MIB:9.0f} {cost.wall_s / costs['report'].wall_s:10.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""What a thousand boards of 600 runs each cost, from journals to ledger and report.

    python -m tests.bench.many_boards [BOARDS] [RUNS]

Each board's journal is made up, read line by line, judged and removed again, as a fleet judges an
archive when it arrives; then all entries become one ledger with its pages, and as many are admitted
again from what was kept. Each step runs in a process of its own, which tells its seconds, its
processor seconds and its highest resident memory. Verifying an archive, which comes before in a
fleet and on each board's own driver, is in `tests.bench.verify_archive`. With --report all journals
are kept (5 MB each) and one report of all runs is written as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.results import (
    LevelOutcome,
    LevelResult,
    Verification,
    VerificationLevel,
)
from edgemoe_appliance.archive.verify import VerifiedSession
from edgemoe_appliance.ledger.build import build_ledger
from edgemoe_appliance.ledger.cells import build_cells
from edgemoe_appliance.ledger.entries import LedgerEntry, judge_entry, write_entry
from edgemoe_appliance.report import write_report
from edgemoe_appliance.schema.files import file_sha256
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.studies import read_study
from tests.archive.sessions import maker
from tests.bench.fleets import RUNS_A_ROUND, write_session

_MIB = 1024 * 1024
_ENDED_UTC = "2026-01-02T03:04:05.000Z"


def judge(root: Path, boards: int, runs: int, *, is_kept: bool) -> None:
    """Write, read and judge the journal of each board, and keep its entry."""
    by = maker()
    study = read_study("moe-edge")
    for index in range(boards):
        folder = root / "journals" / f"board-{index:04d}"
        write_session(folder, index, runs // RUNS_A_ROUND, host=index)
        archive = root / "archives" / folder.name / "session.tar"
        archive.parent.mkdir(parents=True)
        # What stands for the archive: its bytes only have to have a digest.
        archive.write_text(folder.name)
        session = VerifiedSession(
            folder=folder, plan=read_plan(folder / PLAN_NAME), study=study, ended_utc=_ENDED_UTC
        )
        entry = judge_entry(_verification(archive, by), session, by)
        assert isinstance(entry, LedgerEntry), entry
        assert build_cells([entry]), "no claim was judged"
        write_entry(root / "entries", entry)
        if not is_kept:
            shutil.rmtree(folder)


def _verification(archive: Path, by: Maker) -> Verification:
    level = LevelResult(
        level=VerificationLevel.INTEGRITY, outcome=LevelOutcome.PASSED, why="made up"
    )
    return Verification(
        archive=archive.name,
        sha256=file_sha256(archive),
        archive_bytes=archive.stat().st_size,
        session="session",
        files=1,
        recomputed=0,
        made_by=by,
        verified_by=by,
        levels=(level,),
        mismatches=(),
    )


def ledger(root: Path) -> None:
    """Build the ledger of all boards from the kept entries."""
    found = build_ledger(
        root / "archives",
        root / "ledger",
        maker(),
        lambda _: None,
        has_board_folders=True,
        kept=root / "entries",
    )
    assert found.verified == 0 and not found.refusals, found.refusals[:1]


def report(root: Path) -> None:
    """Write one report of all journals."""
    folders = sorted((root / "journals").iterdir())
    write_report(load_sessions(folders), root / "report", read_study("moe-edge"))


def measure(name: str, step: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Run a step in a process of its own and print what it took."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(step, arguments, named, sender))
    process.start()
    sender.close()
    wall_s, cpu_s, peak_bytes = receiver.recv()
    process.join()
    print(f"{name:30} {wall_s:8.1f} {cpu_s:12.1f} {peak_bytes / _MIB:9.0f}", flush=True)


def _child(step: Callable[..., None], arguments: Any, named: Any, sender: Any) -> None:
    begun_s = time.monotonic()
    step(*arguments, **named)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sender.send((time.monotonic() - begun_s, time.process_time(), peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("boards", type=int, nargs="?", default=1000)
    parser.add_argument("runs", type=int, nargs="?", default=600)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    boards, runs = options.boards, options.runs
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print(f"{boards:,} boards, {runs} runs each: {boards * runs:,} runs")
        print(f"{'':30} {'wall s':>8} {'processor s':>12} {'peak MiB':>9}")
        measure("each journal read and judged", judge, root, boards, runs, is_kept=options.report)
        measure("ledger of all", ledger, root)
        size = sum(path.stat().st_size for path in (root / "ledger").rglob("*") if path.is_file())
        print(f"the ledger's files: {size / 1e6:.1f} MB")
        if options.report:
            size = sum(path.stat().st_size for path in root.rglob(JOURNAL_NAME))
            print(f"journals: {size / 1e9:.2f} GB")
            measure("one report of all runs", report, root)


if __name__ == "__main__":
    main()

"""Kills a session at random moments, resumes it each time, and counts what is in its journal.

`python -m tests.bench.kill_session [--kills 50]` does so on the demo's matrix with tiny twins and
prints a table. `--bench FOLDER` is the bench that gets killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.engine.build import engine_build
from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    PLAN_NAME,
    JournalLine,
    JournalProgress,
    find_kept_plan,
    iterate_journal,
)
from edgemoe_appliance.schema.plan import Plan, expand_prompts, expand_runs, read_plan
from edgemoe_appliance.schema.records import EndRecord
from edgemoe_appliance.studies import read_study

# A few lives end while starting, most within the first runs after it.
_STARTING_SHARE = 0.2
_STARTING_S = 0.8
_MEASURING_S = 0.25


def bench_folder(folder: Path) -> int:
    """Bench the plan that lies in a folder, as the command line would."""
    try:
        plan = read_plan(find_kept_plan(folder) or folder / PLAN_NAME)
        run_bench(plan, folder, NativeLauncher(), lambda _: None)
    except ApplianceError as error:
        print(error)
        return error.exit_code
    return 0


def start_bench(folder: Path) -> subprocess.Popen[bytes]:
    """Start `bench_folder` as a process of its own."""
    command = [sys.executable, "-m", "tests.bench.kill_session", "--bench", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def measuring_pid(bench_pid: int) -> int | None:
    """Return the measuring child of a bench, or None while there is none."""
    children = Path(f"/proc/{bench_pid}/task/{bench_pid}/children")
    try:
        pids = children.read_text().split()
    except OSError:
        return None
    return int(pids[0]) if pids else None


def wait_for_growth(bench: subprocess.Popen[bytes], journal: Path) -> None:
    """Wait until a bench has written to its journal, or has ended."""
    before = journal.stat().st_size if journal.exists() else 0
    while bench.poll() is None and (not journal.exists() or journal.stat().st_size <= before):
        time.sleep(0.01)


def kill_and_resume(folder: Path, *, kills: int, seed: int) -> int:
    """Kill bench or measure at random until enough, let the session finish, return the kills."""
    chance = random.Random(seed)
    done = 0
    while done < kills:
        bench = start_bench(folder)
        try:
            if chance.random() < _STARTING_SHARE:
                bench.wait(chance.uniform(0, _STARTING_S))
            else:
                wait_for_growth(bench, folder / JOURNAL_NAME)
                bench.wait(chance.uniform(0, _MEASURING_S))
        except subprocess.TimeoutExpired:
            victim = measuring_pid(bench.pid) if chance.random() < 0.5 else bench.pid
            os.kill(victim or bench.pid, signal.SIGKILL)
            bench.wait()
            done += 1
        else:
            if bench.returncode == 0:
                break
    last = start_bench(folder)
    if last.wait() != 0:
        raise RuntimeError(f"the last bench ended with {last.returncode}")
    return done


def write_demo_plan(folder: Path) -> Plan:
    """Write the demo's matrix on tiny twins and one thread into a session folder."""
    study = read_study()
    configs = study.configs
    cache = default_folders().cache
    build = engine_build(
        configs.engines,
        cache,
        cmake=configs.target("host").cmake,
        asked=configs.engines.fallback,
    )
    models = {}
    shaped = {name: e for name, e in configs.models.models.items() if e.shape}
    for name, entry in shaped.items():
        path = write_twin(entry, name, TwinScale.TINY, folder.parent).path
        models[name] = planned_model(name, entry, read_model_file(path))
    experiments = {name: study.experiment(name) for name in study.suites.demo}
    plan = Plan(
        session=folder.name,
        target_id="host",
        target=configs.target("host"),
        threads=1,
        runtime="native",
        appliance=read_identity(),
        engines={build.pin: build},
        models=models,
        prompts=expand_prompts(experiments, study.prompts),
        experiments=experiments,
        order_seed=study.order_seed,
        runs=expand_runs(
            experiments,
            target="host",
            pin=build.pin,
            threads=1,
            seed=study.order_seed,
        ),
    )
    folder.mkdir()
    (folder / PLAN_NAME).write_text(json.dumps(plan.model_dump(mode="json")))
    return plan


def describe(plan: Plan, folder: Path) -> dict[str, int]:
    """Count what the journal of a finished session holds."""
    progress, finals, records = JournalProgress(), Counter[str](), 0
    for line in iterate_journal(folder / JOURNAL_NAME):
        if not isinstance(line, JournalLine):
            raise TypeError("a finished journal has no torn tail")
        records += 1
        progress.add(line.record)
        if isinstance(line.record, EndRecord) and line.record.status.is_final:
            finals[line.record.run_id] += 1
    return {
        "runs planned": len(plan.runs),
        "runs with exactly one final record": sum(finals[run.id] == 1 for run in plan.runs),
        "runs with more": sum(count > 1 for count in finals.values()),
        "attempts cut short": sum(progress.attempts.values()) - finals.total(),
        "records": records,
        "torn lines set aside": len(list(folder.glob(f"{JOURNAL_NAME}.torn-*"))),
    }


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.bench:
        sys.exit(bench_folder(options.bench))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "session"
        plan = write_demo_plan(folder)
        start = time.monotonic()
        kills = kill_and_resume(folder, kills=options.kills, seed=options.seed)
        print(f"{kills} kills (SIGKILL to bench or measure), {time.monotonic() - start:.0f} s")
        for what, count in describe(plan, folder).items():
            print(f"{count:6d}  {what}")


if __name__ == "__main__":
    main()

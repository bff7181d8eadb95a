"""Sessions that judge answers with the real engine: ended at every step, and answers of no number.

The models are tiny twins that the plan takes for real ones: what their answers are worth is not
asked here.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.claims import SessionEvidence, Verdict, judge_claims
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.analysis.threats import find_threats
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.bench.launcher import NativeLauncher, log_tail
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.engine.build import build_engine
from edgemoe_appliance.engine.source import prepare_source
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.report.render import render_files
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.files import file_sha256
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import (
    PERPLEXITY_TOOL,
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    expand_prompts,
    expand_runs,
)
from edgemoe_appliance.schema.records import EndRecord, Status
from edgemoe_appliance.studies import read_study
from tests.archive.sessions import archive, maker
from tests.bench.kill_session import measuring_pid, start_bench

pytestmark = pytest.mark.engine

STUDY = read_study("quantisation")
SIXTEEN, EIGHT, TERNARY = "smollm2-135m-f16", "smollm2-135m-q8_0", "smollm2-135m-tq2_0"


@pytest.fixture(scope="module")
def judging(configs: Configs) -> EngineBuild:
    """Return the real engine with its tools."""
    cache, name = default_folders().cache, configs.engines.fallback
    source = prepare_source(name, configs.pin(name), cache, why="the tests ask for it")
    return build_engine(source, cache, cmake=configs.target("host").cmake, with_tools=True)


def a_plan(engine: EngineBuild, models: Mapping[str, PlannedModel]) -> Plan:
    """Return a plan that judges models against the first of them, over a short text."""
    reference = next(iter(models))
    wanted = {name: STUDY.experiment(name) for name in ("demo_divergence", "demo_items")}
    experiments = {
        name: each.model_copy(
            update={
                "models": tuple(models),
                "prompts": each.prompts[:1],
                "prompt_scale": 0.1,
                "context": 128,
            }
        )
        for name, each in wanted.items()
    }
    return Plan(
        session="answers",
        target_id="host",
        target=STUDY.configs.target("host"),
        threads=1,
        runtime="native",
        appliance=ApplianceIdentity(version="0", git_head=None, git_dirty=None),
        study=STUDY.identity,
        engines={engine.pin: engine},
        models=dict(models),
        prompts=expand_prompts(experiments, STUDY.prompts),
        experiments=experiments,
        order_seed=1,
        runs=expand_runs(
            experiments,
            target="host",
            pin=engine.pin,
            threads=1,
            seed=1,
            references=dict.fromkeys(models, reference),
        ),
    )


def as_real(twin: PlannedModel, name: str, path: Path) -> PlannedModel:
    """Return a copy of a twin's file as a real model of the study."""
    return twin.model_copy(
        update={
            "id": name,
            "name": STUDY.configs.models.models[name].name,
            "path": str(path),
            "sha256": file_sha256(path),
            "twin_scale": None,
        }
    )


def with_nan(source: Path, target: Path, tensor: str, block: int) -> Path:
    """Copy a model, the scales of one block of which are then no numbers.

    A norm would not do: cut to 8 bits for a product, a NaN among activations is lost.
    """
    shutil.copyfile(source, target)
    header = read_header(target)
    (found,) = (each for each in header.tensors if each.name == tensor)
    with target.open("r+b") as file:
        file.seek(header.data_offset + found.offset + block * found.type.block_bytes)
        file.write(b"\xff" * found.type.block_bytes)
    return target


def ends(folder: Path) -> list[EndRecord]:
    lines = iterate_journal(folder / JOURNAL_NAME)
    records = [line.record for line in lines if isinstance(line, JournalLine)]
    return [record for record in records if isinstance(record, EndRecord)]


@pytest.fixture(scope="module")
def not_finite(
    judging: EngineBuild,
    tiny_models: dict[str, PlannedModel],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Measure a whole file and two with a weight that is no number; return the session."""
    folder, twin = tmp_path_factory.mktemp("nan"), tiny_models["llama-3.2-1b"]
    whole = Path(twin.path)
    paths = {SIXTEEN: whole}
    for block, name in enumerate((EIGHT, TERNARY)):
        paths[name] = with_nan(whole, folder / f"{name}.gguf", "token_embd.weight", block)
    plan = a_plan(judging, {name: as_real(twin, name, path) for name, path in paths.items()})
    session = folder / "answers"
    outcome = run_bench(plan, session, NativeLauncher(), lambda _progress: None)
    assert (outcome.progress.done, outcome.progress.not_ok) == (6, 0), log_tail(session)
    return session


@pytest.fixture(scope="module")
def loaded(not_finite: Path) -> LoadedSessions:
    return load_sessions([not_finite])


def test_answers_that_are_no_numbers_are_recorded_as_a_result(not_finite: Path) -> None:
    found = ends(not_finite)
    assert {end.status for end in found} == {Status.OK}
    broken = [end for end in found if any(each.code == "non-finite" for each in end.caveats)]
    assert len(broken) == 4, "two files, by text and by items"
    for end in broken:
        (metric, values), *_ = end.series.items()
        assert values and set(values) == {None}
        assert end.absent[metric].startswith("not a finite number")
    assert sum("choice_correct_pct" in end.metrics for end in found) == 1, "the whole one alone"


def test_answers_that_are_no_numbers_hold_no_limit(loaded: LoadedSessions) -> None:
    judged = {each.id: each for each in judge_claims(SessionEvidence(loaded, STUDY))}
    lossless, by_chance = judged["q1"], judged["q4"]
    assert lossless.verdict is Verdict.OPPOSITE_DIRECTION
    told = "rise of ln perplexity over 16 bits of SmolLM2 Q8_0 (of Q4_1): no finite number"
    assert told in lossless.reading
    # One answer in four is right by the tool's own choice, and near chance is what q4 asks.
    assert by_chance.verdict is Verdict.OPPOSITE_DIRECTION
    told = "items answered rightly of SmolLM2 TQ2_0 (of Q4_1): no finite number"
    assert told in by_chance.reading


def test_the_page_says_that_answers_are_no_numbers(loaded: LoadedSessions) -> None:
    page = render_files(loaded, STUDY)["report.html"].decode()
    assert "Answers that are no finite numbers" in page
    assert "no finite number" in page
    (threat,) = (each for each in find_threats(loaded, STUDY) if each.code == "non-finite")
    assert "4 runs gave answers that are no finite numbers" in threat.text
    rows = {row.model: row for row in build_tables(loaded, STUDY)["items"].rows()}
    assert rows[TERNARY].cells["less_reference"].absent.startswith("not a finite number")
    # A twin's answers are by chance at 16 bits too.
    assert rows[SIXTEEN].cells["choice_correct_pct"].absent.startswith("no task for this model")
    rows = {row.model: row for row in build_tables(loaded, STUDY)["quality"].rows()}
    for column in ("kl_divergence_nat", "same_top_pct"):
        assert rows[TERNARY].cells[column].absent.startswith("not a finite number")
        assert rows[SIXTEEN].cells[column].number is not None


def test_an_archive_of_such_a_session_verifies(not_finite: Path, tmp_path: Path) -> None:
    receipt = archive(not_finite, tmp_path / "answers.tar", study=STUDY)
    found = verify_archive(receipt.path, maker())
    assert found.is_good, found.mismatches


# What the real tool is asked, held before it begins or when it has told all, until it is killed.
GATE = """#!/bin/sh
PATH=/usr/bin:/bin
folder=$(dirname "$0")
case " $* " in
  *" --hellaswag "*) step=choice;;
  *" --chunks "*) step=check;;
  *" --kl-divergence "*) step=divergence;;
  *) step=base;;
esac
hold() {{
  [ "$(cat "$folder/hold" 2>/dev/null)" = "$1 $step $(basename "$2")" ] || return 0
  echo $$ > "$folder/held.new"; mv "$folder/held.new" "$folder/held"
  while [ -f "$folder/hold" ]; do sleep 0.02; done
}}
hold before "$2"
{tool} "$@" || exit
hold after "$2"
"""
STEPS = {"check": "b.gguf", "base": "a.gguf", "divergence": "b.gguf", "choice": "b.gguf"}


@pytest.fixture
def gated(judging: EngineBuild, tmp_path: Path) -> EngineBuild:
    """Return the real engine whose tool waits where a file says so."""
    bin_folder, real = tmp_path / "bin", Path(judging.binary).parent
    bin_folder.mkdir()
    for path in real.iterdir():
        (bin_folder / path.name).symlink_to(path)
    tool = bin_folder / PERPLEXITY_TOOL
    tool.unlink()
    tool.write_text(GATE.format(tool=real / PERPLEXITY_TOOL))
    tool.chmod(0o755)
    digests = {**judging.tools_sha256, PERPLEXITY_TOOL: file_sha256(tool)}
    binary = str(bin_folder / Path(judging.binary).name)
    return judging.model_copy(update={"binary": binary, "tools_sha256": digests})


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill_at(session: Path, engine: EngineBuild, where: str, *, whole: bool) -> None:
    """Start a bench and kill it, or what measures, while the tool is held at a step."""
    folder = Path(engine.binary).parent
    hold, held = folder / "hold", folder / "held"
    hold.write_text(where)
    bench = start_bench(session)
    while not held.exists():
        assert bench.poll() is None, log_tail(session)
        time.sleep(0.02)
    tool = int(held.read_text())
    measuring = measuring_pid(bench.pid)
    assert measuring is not None
    os.kill(bench.pid if whole else measuring, signal.SIGKILL)
    bench.wait()
    while is_alive(tool) or is_alive(measuring):
        time.sleep(0.02)
    hold.unlink()
    held.unlink()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_session_killed_at_any_step_goes_on_and_measures_nothing_twice(
    step: str,
    moment: str,
    gated: EngineBuild,
    tiny_models: dict[str, PlannedModel],
    tmp_path: Path,
) -> None:
    twin, models = tiny_models["llama-3.2-1b"], {}
    for name, file in ((SIXTEEN, "a.gguf"), (EIGHT, "b.gguf")):
        path = Path(shutil.copyfile(twin.path, tmp_path / file))
        models[name] = as_real(twin, name, path)
    plan = a_plan(gated, models)
    # One run is done before the probabilities are made, and one is left after each step.
    order = [("demo_items", SIXTEEN), ("demo_divergence", EIGHT), ("demo_items", EIGHT)]
    runs = {(run.experiment, run.model): run for run in plan.runs}
    session = tmp_path / "answers"
    session.mkdir()
    plan = plan.model_copy(
        update={"runs": (*(runs[key] for key in order), runs["demo_divergence", SIXTEEN])}
    )
    (session / PLAN_NAME).write_text(plan.model_dump_json())
    kill_at(session, gated, f"{moment} {step} {STEPS[step]}", whole=moment == "before")
    kept = (session / JOURNAL_NAME).read_bytes()
    last = start_bench(session)
    assert last.wait() == 0, log_tail(session)

    assert (session / JOURNAL_NAME).read_bytes().startswith(kept), "what was measured stays"
    # What measures may still say that it was interrupted, when its parent is gone.
    found = [end for end in ends(session) if end.status is not Status.INTERRUPTED]
    assert [end.run_id for end in found] == [run.id for run in plan.runs], "each run ends once"
    assert {end.status for end in found} == {Status.OK}
    begun = step in ("divergence", "choice")
    assert sum(end.attempt for end in found) == len(plan.runs) + begun
    by_items = [end.series["choice_correct_pct"] for end in found if "_items_" in end.run_id]
    assert by_items[0] == by_items[1], "both files are the same model"
    assert not [path for path in session.rglob("*") if ".base" in path.name]

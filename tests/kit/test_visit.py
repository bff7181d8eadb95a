"""Visits on this machine with tiny twins: whole, short of time, stopped, killed, gone on with."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pip
import psutil
import pytest

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.prepare import obtain_model
from edgemoe_appliance.engine.build import build_engine
from edgemoe_appliance.engine.source import PreparedSource, prepare_source
from edgemoe_appliance.errors import ConfigError, HostError, InterruptedByUserError
from edgemoe_appliance.kit import visit as visit_module
from edgemoe_appliance.kit.contents import REST_LOCK, WHEELS, read_kit
from edgemoe_appliance.kit.parcel import LOGS, SESSIONS, take_parcel
from edgemoe_appliance.kit.workplace import pack_visit
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.files import file_sha256
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import EngineBuild
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, Status
from tests.conftest import RealEngine
from tests.engine.processes import is_running, wait_until
from tests.kit.visits import short_study, visit, write_small_kit

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
RUNS = 6  # of the short study, with one pin


@pytest.fixture(scope="module")
def kit(
    engine: RealEngine, configs: Configs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A kit of the pin that is built for the tests anyway; its build is found in the cache."""
    cache = default_folders().cache
    source = prepare_source(engine.build.pin, configs.pin(engine.build.pin), cache, why="a test")
    patch = pytest.MonkeyPatch()
    patch.setenv("EDGEMOE_CACHE", str(cache))
    patch.setattr("edgemoe_appliance.doctor.host._LOAD_SAMPLE_S", 0.01)
    yield write_small_kit(tmp_path_factory.mktemp("kit") / "kit", [source])
    patch.undo()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twins and unpacked sources, shared by the visits of these tests."""
    return tmp_path_factory.mktemp("work")


def started(
    kit: Path, out: Path, work: Path, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a visit as a process that imports only what the kit brings."""
    command = [sys.executable, "-m", "tests.kit.visits", *map(str, (kit, out, work)), "5"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout)


def sessions(out: Path) -> list[Path]:
    """Return the sessions that were begun: a kill before the journal leaves a folder without."""
    return sorted(path.parent for path in (out / SESSIONS).glob(f"kit-*/{JOURNAL_NAME}"))


def headers(session: Path) -> list[HeaderRecord]:
    return [
        line.record
        for line in iterate_journal(session / JOURNAL_NAME)
        if isinstance(line, JournalLine) and isinstance(line.record, HeaderRecord)
    ]


def ends(out: Path) -> list[EndRecord]:
    return [
        line.record
        for session in sessions(out)
        for line in iterate_journal(session / JOURNAL_NAME)
        if isinstance(line, JournalLine) and isinstance(line.record, EndRecord)
    ]


def test_a_whole_visit_measures_says_and_packs_with_what_the_kit_brings_alone(
    kit: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(kit, out, work, subprocess.PIPE) as visiting:
        lines = visiting.communicate()[0].decode().splitlines()
    assert visiting.returncode == 0
    said = [line for line in lines if re.match(r"[ \d]\d:\d\d ", line)]
    table = lines[len(said) :]
    assert [end.status for end in ends(out)] == [Status.OK] * RUNS
    text = "\n".join(said)
    for told in ("machine: ", "plan: 5 min;", "plan: measures from", "build of b4447: done"):
        assert told in text
    seconds = [int(line[:2]) * 60 + int(line[3:5]) for line in said]
    assert seconds == sorted(seconds)
    assert max(map(len, table)) <= 80
    assert table[1].startswith("olmoe-1b-7b      ")
    assert any(line.startswith("no-mmap over plain, generation: ") for line in table)
    assert f"{RUNS} runs" in table
    assert table[-1].startswith(("energy: ", "no energy: "))
    (parcel,) = out.glob("kit-*.tar")
    taken = take_parcel(parcel, tmp_path / "raw")
    assert [path.name for path in taken.sessions] == [path.name for path in sessions(out)]
    facts = json.loads((taken.sessions[0] / "visit" / "visit.json").read_text())
    assert facts["twin_scale"] == "tiny" and facts["findings"]
    assert str(tmp_path) not in parcel.read_bytes().decode(errors="replace")


def test_a_visit_without_time_says_so_and_packs_what_there_is(
    kit: Path, work: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    outcome = visit(kit, tmp_path / "out", work, 0.1, say=said.append)
    assert outcome.error is None
    assert outcome.parcel.sessions == ()
    assert outcome.table == ("no run was finished",)
    assert any("the time is over" in line for line in said)


def test_it_ends_within_its_time_with_a_run_that_was_not_cut(
    kit: Path, work: Path, tmp_path: Path
) -> None:
    out, start_s = tmp_path / "out", time.monotonic()
    outcome = visit(kit, out, work, 1.0)
    assert time.monotonic() - start_s < 60
    assert outcome.error is None
    again = visit(kit, out, work)
    assert again.error is None
    done = [end for end in ends(out) if end.status is Status.OK]
    assert len({end.run_id for end in done}) == len(done) == RUNS


def test_stopping_packs_and_the_same_command_goes_on(kit: Path, work: Path, tmp_path: Path) -> None:
    out, interruption = tmp_path / "out", Interruption()

    def say(text: str) -> None:
        if "0 of" in text:
            interruption.request()

    outcome = visit(kit, out, work, say=say, interruption=interruption)
    assert isinstance(outcome.error, InterruptedByUserError)
    assert outcome.parcel.path.exists()
    assert visit(kit, out, work).error is None
    assert sum(end.status is Status.OK for end in ends(out)) == RUNS


@pytest.mark.parametrize("after_s", [1.5, 4.0])
def test_a_kill_loses_at_most_one_run(
    kit: Path, work: Path, tmp_path: Path, after_s: float
) -> None:
    """Killed at some moment, packed, taken, and gone on with."""
    out = tmp_path / "out"
    with started(kit, out, work) as visiting:
        time.sleep(after_s)
        measuring = psutil.Process(visiting.pid).children(recursive=True)
        visiting.kill()
    # What was measuring notices, and writes no more: a file that grows is not packed.
    psutil.wait_procs(measuring, timeout=60)
    if (out / "visit.json").exists():
        take_parcel(pack_visit(out).path, tmp_path / "raw")
    before = {end.run_id for end in ends(out) if end.status is Status.OK}
    outcome = visit(kit, out, work)
    assert outcome.error is None
    counts = Counter(end.run_id for end in ends(out) if end.status is Status.OK)
    assert set(counts.values()) == {1} and len(counts) == RUNS and before <= set(counts)
    assert len(unfinished(out)) <= 1
    take_parcel(outcome.parcel.path, tmp_path / "raw")


def unfinished(out: Path) -> list[str]:
    """Return the attempts that were begun and have no end."""
    open_: set[str] = set()
    for session in sessions(out):
        for line in iterate_journal(session / JOURNAL_NAME):
            record = line.record if isinstance(line, JournalLine) else None
            if isinstance(record, HeaderRecord):
                open_.add(f"{record.run_id}.a{record.attempt}")
            elif isinstance(record, EndRecord):
                open_.discard(f"{record.run_id}.a{record.attempt}")
    return sorted(open_)


def test_sigterm_packs_at_once_and_leaves_no_process(kit: Path, work: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(kit, out, work) as visiting:
        assert wait_until(lambda: bool(list(out.glob(f"{SESSIONS}/kit-*/{JOURNAL_NAME}"))), 60)
        visiting.send_signal(signal.SIGTERM)
        assert visiting.wait(timeout=120) == 130
    assert not is_running(visiting.pid)
    (parcel,) = out.glob("kit-*.tar")
    take_parcel(parcel, tmp_path / "raw")


def test_a_fault_of_ours_is_packed_too(
    kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("edgemoe_appliance.kit.visit.twin_sizes", fail)
    with pytest.raises(ZeroDivisionError):
        visit(kit, tmp_path / "out", work)
    assert list((tmp_path / "out").glob("kit-host-*.tar"))


def write_wheel(folder: Path, name: str) -> str:
    """Write a wheel of one module that holds nothing, and return its line of a lock."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in files.items():
            wheel.writestr(member, text)
    return f"{name}==1.0 --hash=sha256:{file_sha256(path)}\n"


@pytest.mark.parametrize("is_right", [True, False])
def test_wheels_are_unpacked_by_digest_and_can_be_imported_at_once(
    is_right: bool, kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copytree(kit, tmp_path / "kit"))
    wheels, environment = own / WHEELS, tmp_path / "environment"
    wheels.mkdir()
    name = f"carried_{is_right}".lower()
    line = write_wheel(wheels, name)
    (wheels / REST_LOCK).write_text(line if is_right else f"{line[:-9]}00000000\n")
    # The pip of this environment stands for the one that a kit carries.
    (wheels / "pip-1-py3-none-any.whl").symlink_to(Path(pip.__file__).parent.parent)
    monkeypatch.syspath_prepend(str(environment))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
    few = short_study(())
    outcome = visit(own, tmp_path / "out", work, environment=environment, study=few)
    if is_right:
        assert outcome.error is None
        assert importlib.import_module(name)
        assert (environment / ".whole").exists()
    else:
        assert isinstance(outcome.error, HostError)
        assert "the wheels could not be unpacked" in outcome.error.what


def test_a_machine_that_will_not_do_is_packed_with_its_facts(
    kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding(check="GPU", level=Level.FAIL, seen="none", hint="borrow another")
    monkeypatch.setattr(visit_module, "check_machine", lambda *_: [finding])
    said: list[str] = []
    outcome = visit(kit, tmp_path / "out", work, say=said.append)
    assert isinstance(outcome.error, HostError) and outcome.error.exit_code == 3
    assert [line[6:] for line in said if "fail" in line] == ["fail: GPU: none; borrow another"]
    assert b'"borrow another"' in outcome.parcel.path.read_bytes()


def test_a_build_that_fails_is_one_line_and_its_log_is_kept(
    kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise HostError("compile of the engine failed (no space)", where="a.log")

    monkeypatch.setattr(visit_module, "build_engine", fail)
    said: list[str] = []
    outcome = visit(kit, tmp_path / "out", work, say=said.append)
    assert isinstance(outcome.error, HostError)
    assert any("ended: a.log: compile of the engine failed" in line for line in said)
    assert (tmp_path / "out" / LOGS / "table.txt").exists()


def test_a_twin_that_cannot_be_written_leaves_its_model_out(
    kit: Path, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(*arguments: object) -> object:
        if arguments[1] == "llama-3.2-1b":
            raise HostError("no room for it")
        return obtain_model(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("edgemoe_appliance.kit.visit.obtain_model", obtain)
    said: list[str] = []
    outcome = visit(kit, tmp_path / "out", work, say=said.append)
    assert outcome.error is None
    assert any("left out: llama-3.2-1b: no room for it" in line for line in said)
    assert len(ends(tmp_path / "out")) == RUNS // 2


def test_another_plan_is_another_session_of_the_same_visit(
    kit: Path, work: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for rest in ((), ("arms",)):
        assert visit(kit, out, work, study=short_study(rest)).error is None
    assert len(sessions(out)) == 2
    assert sessions(out)[1].name == f"{sessions(out)[0].name}-2"
    assert len(ends(out)) == 2 + RUNS


def test_the_second_pin_has_its_turn_in_a_session_of_its_own(
    kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configs: Configs
) -> None:
    facts = read_kit(kit)
    source = prepare_source(
        facts.pins[0].pin, configs.pin(facts.pins[0].pin), default_folders().cache, why="a test"
    )
    two = write_small_kit(tmp_path / "kit", [source, replace(source, pin="b5763")])

    def build(source: PreparedSource, *rest: Path, **options: Any) -> EngineBuild:
        """Build the first pin, and give it out as the second one too."""
        made = build_engine(replace(source, pin=facts.pins[0].pin), *rest, **options)
        return made.model_copy(update={"pin": source.pin})

    monkeypatch.setattr("edgemoe_appliance.kit.visit.build_engine", build)
    said: list[str] = []
    out = tmp_path / "out"
    outcome = visit(two, out, work, say=said.append)
    assert outcome.error is None
    first, second = sessions(out)
    assert second.name == f"{first.name}-engines"
    pins = Counter(header.spec.pin for header in headers(second))
    assert pins == {facts.pins[0].pin: 2, "b5763": 2}
    assert len(ends(out)) == RUNS + 4
    assert any(line.startswith("b5763 over b4447, generation: ") for line in outcome.table), (
        outcome.table
    )
    places = [line for line in said if "build of b5763" in line or f"{RUNS} of {RUNS}" in line]
    assert "build of b5763: begun" in places[0]
    taken = take_parcel(outcome.parcel.path, tmp_path / "raw")
    assert [path.name for path in taken.sessions] == [first.name, second.name]


def test_a_second_pin_that_does_not_fit_is_left_out_in_one_line(
    kit: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = read_kit(kit)
    two = Path(shutil.copytree(kit, tmp_path / "kit"))
    pins = (facts.pins[0], facts.pins[0].model_copy(update={"pin": "b5763"}))
    (two / "kit.json").write_text(facts.model_copy(update={"pins": pins}).model_dump_json())
    monkeypatch.setattr("edgemoe_appliance.kit.visit._LEAST_AFTER_BUILD_S", 3600.0)
    said: list[str] = []
    few = short_study(())
    assert visit(two, tmp_path / "out", work, say=said.append, study=few).error is None
    assert len(ends(tmp_path / "out")) == 2
    assert sum("second pin b5763: left out" in line for line in said) == 1


def test_two_visits_do_not_work_in_one_folder(kit: Path, work: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused: list[HostError] = []

    def say(_text: str) -> None:
        if not refused:
            with pytest.raises(HostError, match="another visit works there") as caught:
                visit(kit, out, work)
            refused.append(caught.value)

    visit(kit, out, work, 0.1, say=say)
    assert refused


@pytest.mark.parametrize(
    ("target", "told"),
    [("cuda", "a visit for target host was begun there"), ("toaster", "unknown target 'toaster'")],
)
def test_a_visit_for_another_target(
    kit: Path, work: Path, tmp_path: Path, target: str, told: str
) -> None:
    visit(kit, tmp_path / "out", work, 0.1)
    with pytest.raises(ConfigError, match=told):
        visit(kit, tmp_path / "out", work, 0.1, target=target)


def test_there_is_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no visit was made there"):
        pack_visit(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        pack_visit(tmp_path / "nothing")

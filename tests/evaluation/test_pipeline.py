"""The steps with stand-ins for the engine: order, resuming, failures, what comes out."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.archive.about import read_maker
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.errors import HostError, MeasureError, RunFailedError
from edgemoe_appliance.evaluation.config import EvaluationConfig, StepId
from edgemoe_appliance.evaluation.pipeline import Performance
from edgemoe_appliance.evaluation.request import Evaluation, EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.evaluation.summary import ending_lines
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import Study
from tests.analysis.journals import failed
from tests.evaluation.standins import StandInAudience, StandInLauncher, StandInRuntime
from tests.evaluation.states import outline_of
from tests.report.pictures import drawing_once

ASKED = EvaluationOptions(kick_the_tires=True, twins=TwinScale.TINY)


@pytest.fixture(autouse=True)
def _less_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An archive is verified in the same process, so with as many resamples."""
    monkeypatch.setattr(resampling, "RESAMPLES", 200)
    with drawing_once():
        yield


@pytest.fixture
def evaluation(study: Study, config: EvaluationConfig) -> Evaluation:
    few = study.suites.model_copy(update={"kick_the_tires": ("demo_length",)})
    return resolve(ASKED, replace(study, suites=few), config)


@pytest.fixture
def performance(evaluation: Evaluation, study: Study, folders: Folders) -> Performance:
    return Performance(
        evaluation=evaluation,
        study=study,
        folders=folders,
        audience=StandInAudience(),
    )


def audience_of(performance: Performance) -> StandInAudience:
    assert isinstance(performance.audience, StandInAudience)
    return performance.audience


def test_every_step_is_made_in_order_and_the_archive_verifies(
    performance: Performance, study: Study, folders: Folders
) -> None:
    findings = performance.check(None, force=True)
    done = performance.run(StandInRuntime(StandInLauncher()), findings)
    assert audience_of(performance).begun == list(StepId)
    assert audience_of(performance).found == findings
    assert list(done.took_s) == list(StepId)
    assert done.failure is None
    assert done.report.is_file()
    assert [verdict.id for verdict in done.verdicts] == list(study.claims)
    assert done.archived[0].path == folders.archive_of("kick-the-tires-tiny-twins")
    found = verify_archive(done.archived[0].path, read_maker(read_identity()))
    assert found.is_good, found.mismatches
    assert found.sha256 == done.archived[0].sha256


def test_the_end_says_what_came_out_and_how_to_verify_it(
    performance: Performance, evaluation: Evaluation, study: Study, folders: Folders
) -> None:
    outline = outline_of(ASKED, study, folders)
    done = performance.run(StandInRuntime(StandInLauncher()), performance.check(None, force=True))
    lines = list(ending_lines(evaluation, outline, done, 80))
    told = "\n".join(lines)
    assert max(len(line) for line in lines[: len(done.verdicts)]) <= 80
    assert [line.split()[0] for line in lines[: len(done.verdicts)]] == [
        verdict.id for verdict in done.verdicts
    ]
    assert "say nothing about the models" in told
    assert f"sha256: {done.archived[0].sha256}" in told
    assert lines[-1] == f"verify: edgemoe-appliance verify {done.archived[0].path}"


def test_it_goes_on_where_it_was(performance: Performance, folders: Folders) -> None:
    broken = StandInLauncher(most=5, code=6)
    with pytest.raises(MeasureError):
        performance.run(StandInRuntime(broken), ())
    launcher = StandInLauncher()
    done = performance.run(StandInRuntime(launcher), ())
    again = performance.run(StandInRuntime(launcher), ())
    journal = folders.sessions / "kick-the-tires-tiny-twins" / "runs.jsonl"
    ends = [line for line in journal.read_bytes().splitlines() if b'"kind":"end"' in line]
    assert len(ends) == 36
    assert launcher.launches == 2
    assert again.verdicts == done.verdicts


def test_several_sessions_are_measured_judged_together_and_archived_each(
    performance: Performance, study: Study, folders: Folders
) -> None:
    performance.evaluation = replace(performance.evaluation, sessions=2)
    names = performance.evaluation.session_names
    before = read_present(performance.evaluation, study, folders, cores=2)
    launcher = StandInLauncher()
    done = performance.run(StandInRuntime(launcher), ())
    assert launcher.launches == 2
    assert [receipt.path for receipt in done.archived] == [folders.archive_of(n) for n in names]
    after = read_present(performance.evaluation, study, folders, cores=2)
    assert (len(before.runs_left), before.runs_done) == (72, 0)
    assert (len(after.runs_left), after.runs_done) == (0, 72)


def test_runs_that_ended_badly_are_archived_all_the_same(performance: Performance) -> None:
    launcher = StandInLauncher(lambda _: failed(Status.OOM, "out of memory"), code=5)
    done = performance.run(StandInRuntime(launcher), ())
    assert isinstance(done.failure, RunFailedError)
    assert done.archived[0].path.is_file()


def test_a_host_that_fails_is_refused_unless_forced(
    performance: Performance, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Finding(check="disk", level=Level.FAIL, seen="full")
    monkeypatch.setattr(
        "edgemoe_appliance.bench.preflight.check_target", lambda *_, **__: iter([bad])
    )
    monkeypatch.setattr("edgemoe_appliance.bench.preflight.check_engines", lambda *_: iter(()))
    with pytest.raises(HostError) as caught:
        performance.check(None, force=False)
    assert "this host fails: disk" in str(caught.value)
    assert audience_of(performance).found == (bad,)
    assert performance.check(None, force=True) == (bad,)


def test_a_step_that_fails_ends_it(performance: Performance) -> None:
    with pytest.raises(HostError):
        performance.run(StandInRuntime(StandInLauncher(), broken=True), ())
    assert audience_of(performance).begun == [StepId.BUILD]


def test_a_model_that_cannot_be_had_points_to_twins(
    performance: Performance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_hub(*_: object, **__: object) -> None:
        raise HostError("the hub does not answer")

    monkeypatch.setattr("edgemoe_appliance.evaluation.pipeline.fetch_model", no_hub)
    real = replace(performance.evaluation.bench, twins=None)
    performance.evaluation = replace(performance.evaluation, bench=real)
    with pytest.raises(HostError) as caught:
        performance.run(StandInRuntime(StandInLauncher()), ())
    assert "--twins full" in str(caught.value)
    assert "the hub does not answer" in str(caught.value)

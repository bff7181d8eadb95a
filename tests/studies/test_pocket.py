"""A second study joins as a folder: it loads, plans, is measured, reported, judged and archived."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.audit import AuditVerdict, audit
from edgemoe_appliance.analysis.claims import (
    SessionEvidence,
    StudyEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.archive.about import read_maker
from edgemoe_appliance.archive.bundle import ArchiveRequest, write_archive
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.bench.launcher import NativeLauncher
from edgemoe_appliance.bench.prepare import BenchRequest, build_plan
from edgemoe_appliance.bench.runtime import Supply
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.report import render_reference_report
from edgemoe_appliance.report.render import render_files
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.plan import PlannedModel
from edgemoe_appliance.studies import Study, read_study
from tests.conftest import RealEngine
from tests.studies.pockets import NAME, write_root


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return read_study(None, write_root(tmp_path_factory.mktemp("pocket") / "configs"))


def test_it_loads_with_what_it_has(study: Study) -> None:
    assert study.id == NAME
    assert study.has_experts(study.subject) and not study.has_experts(study.baseline)
    assert study.device_of("jetson") == "board"
    assert study.graph is None and not study.energy_devices


def test_its_own_figures_are_judged(study: Study) -> None:
    verdicts = {v.id: v.verdict for v in judge_claims(StudyEvidence(study))}
    assert verdicts == {
        "c1": Verdict.CONSISTENT,
        "c2": Verdict.CONSISTENT,
        "c3": Verdict.CONSISTENT,
        "c4": Verdict.CONSISTENT,
        "c5": Verdict.NOT_TESTED,
    }


def test_audits_that_it_gives_nothing_to_are_absent_with_a_reason(study: Study) -> None:
    findings = audit(StudyEvidence(study))
    tested = Counter(f.test for f in findings if f.verdict is not AuditVerdict.NOT_TESTED)
    assert set(tested) == {
        "resident against physical memory",
        "reclaimable part of the peak",
        "figure and its parts",
    }
    assert all(f.missing for f in findings if f.verdict is AuditVerdict.NOT_TESTED)
    assert {"counts of nodes", "observer effect of the routing measurement"} <= {
        f.test for f in findings
    }


def test_its_report_has_its_words_and_no_others(study: Study, tmp_path: Path) -> None:
    paths = render_reference_report(tmp_path / "out", study)
    page = paths.html.read_text(encoding="utf-8")
    assert "Rates" in page and "How fast each model generates." in page
    for word in ("OLMoE", "Llama", "Jetson 15 W", "MoE on edge hardware"):
        assert word not in page, word
    assert (paths.tables / "throughput.csv").is_file()
    assert not (paths.tables / "energy.csv").exists()


@pytest.fixture(scope="module")
def twins(study: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[str, PlannedModel]:
    folder = tmp_path_factory.mktemp("pocket-twins")
    models = {}
    for name in study.models:
        entry = study.configs.model(name)
        path = write_twin(entry, name, TwinScale.TINY, folder).path
        models[name] = planned_model(name, entry, read_model_file(path))
    return models


@pytest.mark.engine
def test_it_is_measured_reported_judged_archived_and_verified(
    study: Study, engine: RealEngine, twins: dict[str, PlannedModel], tmp_path: Path
) -> None:
    request = BenchRequest(
        target="host",
        experiments=study.suites.bench,
        session="pocket",
        pin=None,
        twins=TwinScale.TINY,
    )
    launcher = NativeLauncher()
    supply = Supply(
        kind="native", engines={engine.build.pin: engine.build}, image=None, launcher=launcher
    )
    plan = build_plan(study, request, supply, twins)
    assert plan.study == study.identity
    folder = tmp_path / "pocket"
    run_bench(plan, folder, launcher, lambda _: None)
    loaded = load_sessions([folder])
    assert [session.studies for session in loaded.sessions] == [(study.identity,)]
    files = render_files(loaded, study)
    assert study.report.heading in files["report.html"].decode()
    assert files["tables/throughput.csv"].count(b"reader,") == 3
    verdicts = judge_claims(SessionEvidence(loaded, study))
    assert [verdict.id for verdict in verdicts] == list(study.claims)
    assert json.loads((folder / "session.json").read_text())["study"]["id"] == NAME
    maker = read_maker(read_identity())
    archived = write_archive(
        ArchiveRequest(
            folder=folder,
            study=study,
            images=tmp_path,
            out=tmp_path / "pocket.tar",
            maker=maker,
        )
    )
    found = verify_archive(archived.path, maker)
    assert not [m for m in found.mismatches if "report" in m.file or "claims" in m.file]

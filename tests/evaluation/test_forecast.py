"""What is said before an evaluation: golden texts, and figures worked out by hand."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import EvaluationConfig, StepId
from edgemoe_appliance.evaluation.estimates import Estimator
from edgemoe_appliance.evaluation.forecast import outline_lines
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.models.store import twin_path
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies import Study
from tests.evaluation.states import outline_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("host", EvaluationOptions()),
        ("kick-the-tires", EvaluationOptions(kick_the_tires=True)),
        ("jetson", EvaluationOptions(target="jetson", runtime=RuntimeKind.CONTAINER)),
        ("m2-twins", EvaluationOptions(target="m2", twins=TwinScale.FULL)),
    ],
)
def test_the_outline_of_an_empty_checkout(
    name: str, asked: EvaluationOptions, study: Study, folders: Folders
) -> None:
    """Set ACCEPT_GOLDEN=1 to take the present output as right, then read the difference."""
    text = "\n".join(outline_lines(outline_of(asked, study, folders))) + "\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("ACCEPT_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_a_dry_run_writes_nothing(study: Study, folders: Folders, tmp_path: Path) -> None:
    outline_of(EvaluationOptions(kick_the_tires=True), study, folders)
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_of_a_run_is_the_sum_of_its_parts(
    study: Study, config: EvaluationConfig, folders: Folders
) -> None:
    evaluation = resolve(EvaluationOptions(target="jetson"), study, config)
    present = read_present(evaluation, study, folders, cores=2)
    estimator = Estimator(
        evaluation=evaluation,
        study=study,
        paces=config.paces,
        present=present,
    )
    run = next(r for r in present.runs_left if r.prompt == "qa-tides" and "llama" in r.model)
    words = len(study.prompts["qa-tides"].text.split())
    rate = 33.4  # the study's, Llama-3.2-1B on the Jetson
    loading_s = 807694464 / (config.paces.load_gb_s * GB)
    prompt_s = 1.4 * words / (10 * rate)
    assert estimator.rate(run) == pytest.approx(rate)
    assert estimator.run_s(run) == pytest.approx(30 + 0.5 + loading_s + prompt_s + 256 / rate)
    probed = run.model_copy(update={"model": "olmoe-1b-7b", "arm": Arm.PROBE_PER_NODE})
    plain = probed.model_copy(update={"arm": Arm.PLAIN})
    assert (estimator.run_s(probed) or 0) > (estimator.run_s(plain) or 0)


def test_nothing_is_counted_for_what_is_there(study: Study, folders: Folders) -> None:
    asked = EvaluationOptions(kick_the_tires=True, twins=TwinScale.TINY)
    before = outline_of(asked, study, folders).cost_of(StepId.MODELS)
    folders.models.mkdir(parents=True)
    for name in study.models:
        twin_path(name, TwinScale.TINY, folders.models).touch()
    after = outline_of(asked, study, folders).cost_of(StepId.MODELS)
    assert before.disk_bytes > 0
    assert (after.machine_s, after.disk_bytes) == (0, 0)


def test_what_cannot_be_known_is_not_counted_as_nothing(study: Study, folders: Folders) -> None:
    asked = EvaluationOptions(target="jetson", runtime=RuntimeKind.CONTAINER)
    outline = outline_of(asked, study, folders)
    assert outline.cost_of(StepId.BUILD).machine_s is None
    lines = list(outline_lines(outline))
    assert next(line for line in lines if line.startswith("all")).count("over ") == 2


def test_more_cores_build_faster(study: Study, folders: Folders) -> None:
    two, eight = (
        outline_of(EvaluationOptions(), study, folders, cores=cores).cost_of(StepId.BUILD).machine_s
        for cores in (2, 8)
    )
    assert two is not None
    assert eight is not None
    assert two == pytest.approx(4 * eight)


def test_a_target_without_a_pace_has_no_estimate(
    study: Study, config: EvaluationConfig, folders: Folders
) -> None:
    evaluation = resolve(EvaluationOptions(), study, config)
    present = read_present(evaluation, study, folders, cores=2)
    estimator = Estimator(
        evaluation=evaluation,
        study=study,
        paces=config.paces.model_copy(update={"weights_gb_s": {}}),
        present=present,
    )
    assert estimator.cost(StepId.BENCH).machine_s is None
    (first, *_) = present.runs_left
    gone = first.model_copy(update={"experiment": "gone"})
    assert estimator.run_s(gone) is None
    none_left = replace(estimator, present=replace(present, runs_left=()))
    assert none_left.cost(StepId.BENCH).machine_s == 0

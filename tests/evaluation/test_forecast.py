"""What is said before an evaluation: golden texts, and figures worked out by hand."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.doctor import why_not_target
from edgemoe_appliance.evaluation.config import EvaluationConfig, StepId
from edgemoe_appliance.evaluation.estimates import Estimator
from edgemoe_appliance.evaluation.forecast import outline_lines
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import nominal_bits, read_present
from edgemoe_appliance.models.store import twin_path
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies import Study, read_study
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


@pytest.mark.parametrize("name", ["host", "kick-the-tires", "jetson", "m2-twins"])
def test_the_outline_fits_a_terminal(name: str) -> None:
    lines = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("target", "system", "why"),
    [
        ("host", "linux", None),
        ("jetson", "linux", "it is no Jetson"),
        ("m2", "linux", "it is no Mac"),
        ("m2", "darwin", None),
    ],
)
def test_a_host_that_is_not_the_target(
    target: str, system: str, why: str | None, study: Study, folders: Folders, tmp_path: Path
) -> None:
    found = why_not_target(study.configs.target(target), tmp_path, system)
    assert found == why
    outline = outline_of(EvaluationOptions(target=target), study, folders, not_target=found)
    told = any(note.startswith(f"This host is not target {target}") for note in outline.notes)
    assert told is (why is not None)


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
    assert next(line for line in lines if line.startswith("total")).count("over ") == 2


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


def quantisation_estimator(
    asked: EvaluationOptions, config: EvaluationConfig, folders: Folders
) -> Estimator:
    quantisation = read_study("quantisation")
    evaluation = resolve(asked, quantisation, config)
    present = read_present(evaluation, quantisation, folders, cores=2)
    return Estimator(evaluation=evaluation, study=quantisation, paces=config.paces, present=present)


def test_runs_that_judge_answers_are_counted_as_prompts(
    config: EvaluationConfig, folders: Folders
) -> None:
    asked = EvaluationOptions(experiments=("bits_divergence", "bits_items"))
    estimator = quantisation_estimator(asked, config, folders)
    seconds = {
        (run.experiment, run.prompt, run.model): estimator.run_s(run)
        for run in estimator.present.runs_left
    }
    items = seconds["bits_items", "items-recall", "smollm2-135m-f16"]
    words = len(estimator.study.prompts["items-recall"].text.split())
    size = 2 * 134515008
    assert items == pytest.approx(0.5 + size / GB + 1.4 * words / (2.4 * 9 * GB / size))
    # The 16-bit file also writes the probabilities that the others are held against.
    text = len(estimator.study.prompts["passages"].text.split())
    assert seconds["bits_divergence", "passages", "smollm2-135m-f16"] == pytest.approx(
        0.5 + size / GB + 2 * 1.4 * text / (2.4 * 9 * GB / size)
    )


def test_files_that_are_made_here_are_not_fetched(
    config: EvaluationConfig, folders: Folders
) -> None:
    estimator = quantisation_estimator(EvaluationOptions(), config, folders)
    cost = estimator.cost(StepId.MODELS)
    assert cost.download_bytes == 98362432  # what they are made of
    assert cost.disk_bytes > 1e9
    name = f"quantised-smollm2-135m-f16-{'a' * 16}.gguf"
    folders.models.mkdir(parents=True)
    (folders.models / name).touch()
    after = quantisation_estimator(EvaluationOptions(), config, folders).cost(StepId.MODELS)
    assert cost.disk_bytes - after.disk_bytes == 2 * 134515008


def test_a_size_that_nobody_can_tell_has_no_time(
    config: EvaluationConfig, folders: Folders
) -> None:
    estimator = quantisation_estimator(EvaluationOptions(), config, folders)
    untold = tuple(
        replace(each, file_bytes=0, bytes_per_token=0, whole_bytes_per_token=0)
        for each in estimator.present.models
    )
    blind = replace(estimator, present=replace(estimator.present, models=untold))
    assert blind.cost(StepId.BENCH).machine_s is None
    assert blind.cost(StepId.MODELS).machine_s is None
    assert blind.cost(StepId.MODELS).download_bytes is None


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("F16", 16), ("Q8_0", 8.5), ("Q4_K_M", 4.5), ("Q4_0", 4.5), ("TQ2_0", 2.0625), ("W4A4", None)],
)
def test_the_bits_of_a_type_are_those_of_the_tensors_it_is_named_after(
    kind: str, bits: float | None
) -> None:
    assert nominal_bits(kind) == bits


def test_a_forecast_reaches_from_a_quiet_machine_to_a_busy_one(
    study: Study, folders: Folders
) -> None:
    full = EvaluationOptions(kick_the_tires=True, twins=TwinScale.FULL)
    outline = outline_of(full, study, folders)
    assert outline.quiet_s is not None
    assert outline.machine_s is not None
    built_s = outline.cost_of(StepId.BUILD).machine_s or 0
    # What it took with nothing beside: 156 s.
    assert 140 < outline.quiet_s - built_s < 175
    assert outline.machine_s - built_s > 3 * 156
    (total,) = (line for line in outline_lines(outline) if line.startswith("total"))
    assert total.split()[1:5] == ["4", "to", "10", "min"]
    jetson = outline_of(EvaluationOptions(target="jetson"), study, folders)
    (total,) = (line for line in outline_lines(jetson) if line.startswith("total"))
    assert "to" not in total.split()

"""What a run that judges answers records: series, what is no finite number, and a full disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgemoe_appliance.engine.stream import EngineResult
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.measure import assessment
from edgemoe_appliance.measure.assessment import BaseStore, put_answers, tell_origin
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import Assessment
from edgemoe_appliance.schema.plan import Plan, QuantisedFile, RunSpec
from edgemoe_appliance.schema.records import Status
from tests.engine.test_assessment import CHUNKS, NOT_FINITE
from tests.schema.builders import a_model, a_plan

RIGHT = "1\t0.00000000\n2\t50.00000000\n3\t66.66666667\n"


def assessed(plan: Plan, assesses: Assessment = Assessment.DIVERGENCE) -> RunSpec:
    run = plan.runs[0]
    return run.model_copy(update={"assesses": assesses, "reference": run.model, "n_predict": 0})


def an_assessing_plan() -> Plan:
    plan = a_plan()
    engines = {
        pin: engine.model_copy(update={"tools_sha256": {"llama-perplexity": "a" * 64}})
        for pin, engine in plan.engines.items()
    }
    models = {
        name: model.model_copy(update={"twin_scale": None, "vocabulary": 50_000})
        for name, model in plan.models.items()
    }
    return plan.model_copy(update={"engines": engines, "models": models, "runs": (assessed(plan),)})


def test_chunks_become_a_series_and_its_mean() -> None:
    readings = Readings()
    found = put_answers(readings, assessed(a_plan()), CHUNKS, items=None, chunks=2)
    assert found.status is Status.OK
    assert len(found.series["kl_divergence_nat"]) == 2
    assert readings.metrics["kl_divergence_nat"] == pytest.approx(0.33924)
    assert readings.metrics["ln_perplexity_ratio"] == pytest.approx(0.20039)
    assert found.caveats == ()


def test_what_is_no_finite_number_is_a_result() -> None:
    readings = Readings()
    found = put_answers(readings, assessed(a_plan()), NOT_FINITE, items=None, chunks=2)
    assert found.status is Status.OK
    assert found.series["kl_divergence_nat"][1] is None
    assert readings.absent["kl_divergence_nat"] == "not a finite number from chunk 2 of 2 on"
    assert "perplexity" in readings.absent
    assert [caveat.code for caveat in found.caveats] == ["non-finite"]


@pytest.mark.parametrize(("output", "chunks"), [(CHUNKS, 3), ("", 2), ("main: error", None)])
def test_chunks_that_were_not_told_spoil_the_run(output: str, chunks: int | None) -> None:
    found = put_answers(Readings(), assessed(a_plan()), output, items=None, chunks=chunks)
    assert found.status is Status.INVALID
    assert found.series == {}


@pytest.mark.parametrize(("items", "status"), [(3, Status.OK), (4, Status.INVALID)])
def test_items_are_all_answered_or_the_run_is_none(items: int, status: Status) -> None:
    readings = Readings()
    run = assessed(a_plan(), Assessment.CHOICE)
    found = put_answers(readings, run, RIGHT, items=items, chunks=None)
    assert found.status is status
    if status is Status.OK:
        assert found.series == {"choice_correct_pct": (0.0, 100.0, 100.0)}
        assert readings.metrics["choice_correct_pct"] == pytest.approx(66.667, abs=0.01)


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "_SPARE_BYTES", 10**18)
    plan = an_assessing_plan()

    def start(_argv: Sequence[str], _most_bytes: int) -> EngineResult:
        raise AssertionError("nothing is started")

    with pytest.raises(HostError, match="needed"):
        BaseStore(plan=plan, folder=tmp_path).require(plan.runs[0], tmp_path / "p.txt", start)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("origin", "codes"), [("Q4_1", ["requantised"]), ("F16", [])])
def test_a_file_of_few_bits_says_where_its_16_bits_come_from(origin: str, codes: list[str]) -> None:
    made = QuantisedFile(
        of="small-f16",
        of_sha256="a" * 64,
        origin=origin,
        type="Q8_0",
        pin="b4447",
        tool_sha256="c" * 64,
        imatrix_sha256=None,
        bits_per_weight=8.5,
        tensors={"Q8_0": 1},
        fallbacks={},
    )
    model = a_model().model_copy(update={"quantised": made})
    assert [caveat.code for caveat in tell_origin(model)] == codes


def test_a_plan_refuses_to_ask_twins_how_good_their_answers_are() -> None:
    plan = an_assessing_plan()
    Plan.model_validate(plan.model_dump(mode="json"))
    twins = {name: m.model_copy(update={"twin_scale": "full"}) for name, m in plan.models.items()}
    mixed = plan.model_copy(update={"models": twins})
    with pytest.raises(ValidationError, match="a twin has none"):
        Plan.model_validate(mixed.model_dump(mode="json"))

"""Threats: each cause is found where it is, and none where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.threats import Weight, find_threats
from edgemoe_appliance.schema.configs import OutsideMeter
from edgemoe_appliance.schema.hardware import Accelerator
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import read_study
from tests.analysis.claims.sessions import ROUTING
from tests.analysis.journals import (
    Synthetic,
    build_hardware,
    build_plan,
    failed,
    journal_lines,
    sha256,
    write_lines,
    write_session,
)

CLEAN = Synthetic(
    study_device="m2", twin_scale=None, prompts=("prompt-01",), length_prompts=("length-short",)
)


ROUTED = replace(CLEAN, prompts=(), length_prompts=(), experiments={"routing": ROUTING})


def codes(*folders: Path) -> list[str]:
    return [threat.code for threat in find_threats(load_sessions(folders), read_study())]


def test_a_clean_session_is_with_caveat_for_its_engine_alone(tmp_path: Path) -> None:
    # A local directory as the source: nobody can say that it is the study's commit.
    assert codes(write_session(tmp_path, CLEAN)) == ["engine"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"twin_scale": "tiny"}, "twins"),
        ({"study_device": None}, "not-comparable"),
        ({"threads": 2}, "threads"),
    ],
)
def test_a_cause_in_the_plan_is_found(tmp_path: Path, change: dict[str, object], code: str) -> None:
    assert code in codes(write_session(tmp_path, replace(CLEAN, **change)))  # type: ignore[arg-type]


def oom(index: int, spec: RunSpec) -> dict[str, object]:
    return failed(Status.OOM, "killed") if index == 0 else {}


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda root: write_session(root, CLEAN, oom), "not-ok"),
        (lambda root: write_session(root, CLEAN, runs=3), "incomplete"),
    ],
)
def test_a_cause_in_the_runs_is_found(
    tmp_path: Path, write: Callable[[Path], Path], code: str
) -> None:
    assert code in codes(write(tmp_path))


def test_a_cause_in_the_journal_is_found(tmp_path: Path) -> None:
    plan = build_plan(CLEAN)
    lines = journal_lines(plan, CLEAN)
    torn = write_lines(tmp_path / "torn", plan, [*lines[:-1], lines[-1][:50]])
    assert {"torn-journal", "incomplete"} <= set(codes(torn))
    edited = plan.model_copy(update={"order_seed": 7})
    assert "plan-differs" in codes(write_lines(tmp_path / "edited", edited, lines))


def test_what_is_kept_apart_is_said(tmp_path: Path) -> None:
    first = write_session(tmp_path, CLEAN)
    host = write_session(tmp_path, replace(CLEAN, session="host", host_name="b"))
    assert "several-settings" in codes(first, host)
    file = replace(CLEAN, session="file", model_sha256={"gemma-2-2b": "e" * 64})
    assert "several-model-files" in codes(first, write_session(tmp_path, file))


def test_the_weightiest_come_first(tmp_path: Path) -> None:
    folder = write_session(tmp_path, replace(CLEAN, twin_scale="thin"), runs=2)
    found = find_threats(load_sessions([folder]), read_study())
    weights = [list(Weight).index(threat.weight) for threat in found]
    assert weights == sorted(weights)
    assert len(weights) >= 3


def test_many_conditions_repeat_a_threat_a_few_times_only(tmp_path: Path) -> None:
    folders = [
        write_session(
            tmp_path,
            Synthetic(
                session=f"s{index}",
                host_name=f"host-{index}",
                models=("llama-3.2-1b",),
                prompts=("prompt-01",),
                length_prompts=(),
            ),
        )
        for index in range(9)
    ]
    found = [t for t in find_threats(load_sessions(folders), read_study()) if t.code == "engine"]
    assert len(found) == 7
    assert "Setting F" in found[5].text
    assert "3 times more" in found[6].text


def test_a_software_device_is_a_threat(tmp_path: Path) -> None:
    hardware = build_hardware(replace(CLEAN, like_the_study=True))
    assert hardware is not None
    driver = Accelerator(name="Vulkan0", description="llvmpipe", is_software=True)
    on_driver = hardware.model_copy(update={"accelerators": (driver,)})
    assert "software-device" in codes(write_session(tmp_path, replace(CLEAN, hardware=on_driver)))


def test_a_pretended_meter_is_a_threat(tmp_path: Path) -> None:
    meter = OutsideMeter(command=("played",), pretended=True)
    assert "pretended-meter" in codes(write_session(tmp_path, replace(CLEAN, meter=meter)))
    real = OutsideMeter(command=("read",))
    assert "pretended-meter" not in codes(
        write_session(tmp_path / "real", replace(CLEAN, meter=real))
    )


@pytest.mark.parametrize(("odd", "expected"), [(2, True), (None, False)])
def test_a_backend_that_does_not_repeat_itself_is_found(
    tmp_path: Path, odd: int | None, expected: bool
) -> None:
    def texts(_index: int, spec: RunSpec) -> dict[str, object]:
        is_odd = spec.repetition == odd and spec.model == "olmoe-1b-7b"
        return {"text_sha256": sha256("odd" if is_odd else "same")}

    found = find_threats(load_sessions([write_session(tmp_path, CLEAN, texts)]), read_study())
    told = [threat.text for threat in found if threat.code == "text-not-repeated"]
    assert bool(told) is expected
    if told:
        cases = len(CLEAN.prompts) + len(CLEAN.length_prompts)
        assert f"{cases} of {4 * cases} repeated cases" in told[0]


@pytest.mark.parametrize(("other", "expected"), [("probe-boundary", True), (None, False)])
def test_a_probe_that_changes_texts_is_found(
    tmp_path: Path, other: str | None, expected: bool
) -> None:
    def texts(_index: int, spec: RunSpec) -> dict[str, object]:
        return {"text_sha256": sha256("other" if spec.arm.value == other else "same")}

    session = write_session(tmp_path, ROUTED, texts)
    assert ("probe-changes-text" in codes(session)) is expected

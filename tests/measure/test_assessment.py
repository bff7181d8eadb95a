"""What a run that judges answers records: series, what is no finite number, and a full disk."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from edgemoe_appliance.engine.assessment import BaseHeader
from edgemoe_appliance.engine.stream import EngineEvent, EngineResult, EventKind, run_engine
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.measure import assessment
from edgemoe_appliance.measure.assessment import (
    Awaited,
    BaseStore,
    FiniteCheck,
    put_answers,
    tell_origin,
)
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.run import _limit_files
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
    found = put_answers(readings, assessed(a_plan()), CHUNKS, Awaited(chunks=2))
    assert found.status is Status.OK
    assert len(found.series["kl_divergence_nat"]) == 2
    assert readings.metrics["kl_divergence_nat"] == pytest.approx(0.33924)
    assert readings.metrics["ln_perplexity_ratio"] == pytest.approx(0.20039)
    assert found.caveats == ()


def test_what_is_no_finite_number_is_a_result() -> None:
    readings = Readings()
    found = put_answers(readings, assessed(a_plan()), NOT_FINITE, Awaited(chunks=2))
    assert found.status is Status.OK
    assert found.series["kl_divergence_nat"][1] is None
    assert readings.absent["kl_divergence_nat"] == "not a finite number from chunk 2 of 2 on"
    assert "perplexity" in readings.absent
    assert [caveat.code for caveat in found.caveats] == ["non-finite"]


@pytest.mark.parametrize(("output", "chunks"), [(CHUNKS, 3), ("", 2), ("main: error", None)])
def test_chunks_that_were_not_told_spoil_the_run(output: str, chunks: int | None) -> None:
    found = put_answers(Readings(), assessed(a_plan()), output, Awaited(chunks=chunks))
    assert found.status is Status.INVALID
    assert found.series == {}


@pytest.mark.parametrize(("items", "status"), [(3, Status.OK), (4, Status.INVALID)])
def test_items_are_all_answered_or_the_run_is_none(items: int, status: Status) -> None:
    readings = Readings()
    run = assessed(a_plan(), Assessment.CHOICE)
    found = put_answers(readings, run, RIGHT, Awaited(items=items, is_finite=True))
    assert found.status is status
    if status is Status.OK:
        assert found.series == {"choice_correct_pct": (0.0, 100.0, 100.0)}
        assert readings.metrics["choice_correct_pct"] == pytest.approx(66.667, abs=0.01)


@pytest.mark.parametrize(
    ("is_finite", "code"), [(True, None), (False, "non-finite"), (None, "finiteness-not-asked")]
)
def test_items_answered_by_what_is_no_number_are_no_score(
    is_finite: bool | None, code: str | None
) -> None:
    readings = Readings()
    run = assessed(a_plan(), Assessment.CHOICE)
    found = put_answers(readings, run, RIGHT, Awaited(items=3, is_finite=is_finite))
    assert found.status is Status.OK, "it is a result"
    assert [caveat.code for caveat in found.caveats] == ([code] if code else [])
    if is_finite is False:
        assert found.series == {"choice_correct_pct": (None, None, None)}
        assert readings.absent["choice_correct_pct"].startswith("not a finite number")


def test_a_reference_that_is_no_number_is_no_fault_of_what_is_held_against_it() -> None:
    readings = Readings()
    run = assessed(a_plan()).model_copy(update={"reference": "another"})
    output = NOT_FINITE.replace("53.791960", "nan")
    found = put_answers(readings, run, output, Awaited(chunks=2))
    assert (found.series, [each.code for each in found.caveats]) == ({}, ["reference-non-finite"])
    assert "16-bit file" in readings.absent["kl_divergence_nat"]


def test_each_model_is_asked_once_whether_its_answers_are_numbers(tmp_path: Path) -> None:
    plan = an_assessing_plan()
    run = assessed(plan, Assessment.CHOICE)
    asked: list[Sequence[str]] = []

    def start(argv: Sequence[str]) -> EngineResult:
        asked.append(argv)
        told = "print('perplexity: 0.1 minutes\\n[1]nan,')"
        return run_engine([sys.executable, "-c", told], {}, timeout_s=60)

    check = FiniteCheck(plan=plan)
    for each in (run, run, plan.runs[0]):
        check.require(each, tmp_path / "p.txt", start)
    assert len(asked) == 1
    assert check.of(run) is False
    assert asked[0][-4:] == ("-f", str(tmp_path / "p.txt"), "--chunks", "1")


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


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("engines", {"build_key": "9" * 64}),
        ("models", {"sha256": "9" * 64}),
        ("prompts", {"sha256": "9" * 64}),
        ("runs", {"context": 512}),
    ],
    ids=["pin", "model", "text", "context"],
)
def test_probabilities_of_anything_else_are_another_file(
    part: str, change: dict[str, object], tmp_path: Path
) -> None:
    plan = an_assessing_plan()
    known = getattr(plan, part)
    changed: object = tuple(each.model_copy(update=change) for each in plan.runs)
    if part != "runs":
        changed = {name: each.model_copy(update=change) for name, each in known.items()}
    other = plan.model_copy(update={part: changed})
    paths = {BaseStore(plan=p, folder=tmp_path).path_of(p.runs[0]) for p in (plan, other)}
    assert len(paths) == 2


def written(path: str, chunks: int, *, short_bytes: int = 0) -> None:
    header = BaseHeader(context=256, vocabulary=50_000, chunks=chunks)
    start = struct.pack("<8sIii", b"_logits_", 256, 50_000, chunks)
    Path(path).write_bytes(start)
    os.truncate(path, header.file_bytes - short_bytes)


def a_result() -> EngineResult:
    return run_engine([sys.executable, "-c", "pass"], {}, timeout_s=60)


@pytest.mark.parametrize(("short_bytes", "is_refused"), [(0, False), (1, True), (10_000_000, True)])
def test_a_disk_that_became_full_meanwhile_ends_the_session_and_not_the_run(
    short_bytes: int, is_refused: bool, tmp_path: Path
) -> None:
    plan = an_assessing_plan()
    started: list[int] = []

    def start(argv: Sequence[str], most_bytes: int) -> EngineResult:
        started.append(most_bytes)
        base = argv[argv.index("--kl-divergence-base") + 1]
        written(base, 2, short_bytes=short_bytes)  # the tool ends well even so
        return a_result()

    store = BaseStore(plan=plan, folder=tmp_path)
    if is_refused:
        with pytest.raises(HostError, match=r"the disk took .* and no more"):
            store.require(plan.runs[0], tmp_path / "p.txt", start)
        assert list(tmp_path.iterdir()) == [], "nothing torn is left to be taken for whole"
        return
    assert store.require(plan.runs[0], tmp_path / "p.txt", start) is None
    assert store.require(plan.runs[0], tmp_path / "p.txt", start) is None
    assert len(started) == 1, "written once"
    assert started[0] > store.path_of(plan.runs[0]).stat().st_size


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are Linux's")
def test_the_kernel_ends_a_tool_that_writes_more_than_was_asked_of_the_disk(tmp_path: Path) -> None:
    go, file = tmp_path / "go", tmp_path / "file"
    script = (
        f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"open({str(file)!r}, 'wb', buffering=0).write(bytes(9_000_000))\n"
        # What the first write could not take the second one ends with.
        f"open({str(file)!r}, 'ab', buffering=0).write(b'x')\n"
    )

    def on_event(event: EngineEvent) -> None:
        _limit_files(event, 1_000_000)
        if event.kind is EventKind.SPAWNED:
            go.touch()

    result = run_engine([sys.executable, "-c", script], {}, timeout_s=60, on_event=on_event)
    assert result.exit_code != 0
    assert file.stat().st_size == 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 8 MB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount one")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_small_disk_is_asked_before_the_tool_is_started(small_disk: Path) -> None:
    plan = an_assessing_plan()

    def start(_argv: Sequence[str], _most_bytes: int) -> EngineResult:
        raise AssertionError("nothing is started")

    with pytest.raises(HostError, match=r"8\.4 MB free, .* needed") as caught:
        BaseStore(plan=plan, folder=small_disk).require(plan.runs[0], small_disk / "p", start)
    assert caught.value.exit_code == 3


def test_a_disk_that_takes_no_more_is_told_with_how_much_it_took(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "check_disk_space", lambda *_: None)  # as it was when asked
    plan = an_assessing_plan()

    def start(argv: Sequence[str], _most_bytes: int) -> EngineResult:
        base = argv[argv.index("--kl-divergence-base") + 1]
        # As the tool, which looks at no error of its stream.
        script = (
            "import contextlib\n"
            f"with contextlib.suppress(OSError), open({base!r}, 'wb', buffering=0) as file:\n"
            "    while True: file.write(bytes(1 << 20))\n"
        )
        return run_engine([sys.executable, "-c", script], {}, timeout_s=60)

    with pytest.raises(HostError, match=r"the disk took 8\.4 MB of the probabilities"):
        BaseStore(plan=plan, folder=small_disk).require(plan.runs[0], small_disk / "p", start)
    assert list(small_disk.iterdir()) == []

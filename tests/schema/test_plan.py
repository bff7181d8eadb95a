from __future__ import annotations

import copy
import pickle
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import Arm, ContainerProfile, Experiment, OutsideMeter, Prompt
from edgemoe_appliance.schema.plan import (
    Plan,
    PrecisionRule,
    ProbeFacts,
    RunSpec,
    expand_runs,
    ordered,
    prompt_key,
    read_plan,
    scaled_prompt,
    williams_rows,
)

from .builders import DIGEST, a_plan, a_prompt, a_spec, an_engine, an_experiment

MODELS = ("c-model", "a-model", "b-model")


def test_ids_are_the_same_on_every_machine_and_for_ever() -> None:
    assert a_spec().id == "smoke_olmoe-1b-7b_qa-tides_r1_8f60727283"
    assert a_spec(repetition=2).id == "smoke_olmoe-1b-7b_qa-tides_r2_fc7ae59df4"


@pytest.mark.parametrize(
    "change",
    [
        {"target": "jetson"},
        {"pin": "b4447"},
        {"model": "gemma-2-2b"},
        {"prompt": "qa-bread"},
        {"experiment": "efficiency"},
        {"repetition": 2},
        {"threads": 4},
        {"arm": Arm.NO_MMAP},
        {"n_predict": 255},
        {"ignore_eos": True},
        {"context": 2048},
    ],
)
def test_whatever_differs_between_runs_is_in_their_ids(change: dict[str, object]) -> None:
    spec = a_spec()
    assert set(change) <= set(RunSpec.model_fields)
    assert RunSpec(**{**spec.model_dump(), **change}).id != spec.id


def test_the_id_is_that_of_the_values_after_any_kind_of_copy() -> None:
    spec = a_spec()
    first = spec.id
    assert pickle.loads(pickle.dumps(spec)).id == first
    assert copy.deepcopy(spec).id == first
    assert spec.model_copy(update={"repetition": 2}).id == a_spec(repetition=2).id
    assert RunSpec.model_validate_json(spec.model_dump_json()).id == first


def test_the_longest_id_is_still_a_file_name() -> None:
    name = "x" * 64
    spec = RunSpec(
        target=name,
        pin=name,
        model=name,
        prompt=name,
        experiment=name,
        repetition=1000,
        threads=1,
        n_predict=2,
    )
    assert len(f"{spec.id}.json.gz") <= 240


def test_repetitions_and_prompts_share_a_cell_and_arms_do_not() -> None:
    assert a_spec(1).cell == a_spec(2).cell
    assert a_spec(1).cell == a_spec(1).model_copy(update={"prompt": "qa-bread"}).cell
    assert a_spec(1).cell != a_spec(1).model_copy(update={"arm": Arm.NO_MMAP}).cell


def test_a_plan_survives_the_disk(tmp_path: Path) -> None:
    plan = a_plan()
    path = tmp_path / "session.json"
    path.write_text(plan.model_dump_json())
    again = read_plan(path)
    assert again == plan
    assert again.digest == plan.digest
    assert again.prompt_of(again.runs[0]) == a_prompt()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such session"),
        (b"", "plan: Invalid JSON"),
        (b"\xff\xfe", "plan: Invalid JSON"),
        (b"[]", "plan: Input should be an object"),
        (b'{"schema_version": 3}', "plan of schema 3, newest known: 2; use a newer"),
        (b'{"schema_version": 0}', "schema_version: Input should be 2"),
        (b'{"a\\nb\\u001b": 1}', "session: Field required"),
        (b"[" * 100_000, "plan: Invalid JSON"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "session.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_plan(path)
    where = path if content is not None else tmp_path
    assert str(caught.value).startswith(f"{where}: {message}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"pin": "b1"}, "engine b1"),
        ({"model": "a-model"}, "model a-model"),
        ({"prompt": "qa-bread"}, "prompt smoke/qa-bread"),
        ({"experiment": "other"}, "prompt other/qa-tides, experiment other"),
    ],
)
def test_a_plan_holds_all_that_its_runs_name(change: dict[str, str], lacking: str) -> None:
    with pytest.raises(ValidationError, match=f"needs {lacking}, not in the plan"):
        a_plan(runs=(RunSpec(**{**a_spec().model_dump(), **change}),))


def test_a_plan_holds_no_run_twice_and_at_least_one() -> None:
    with pytest.raises(ValidationError, match="twice"):
        a_plan(runs=(a_spec(), a_spec()))
    with pytest.raises(ValidationError, match="at least 1"):
        a_plan(runs=())


def test_a_build_without_its_program_is_no_build() -> None:
    data = an_engine().model_dump()
    data["files_sha256"] = {"libggml.so": "0" * 64}
    with pytest.raises(ValidationError, match="lacks llama-completion or llama-cli"):
        type(an_engine()).model_validate(data)


def test_the_digest_is_of_what_is_measured_not_of_where_it_lies() -> None:
    assert a_plan(folder="/here").digest == a_plan(folder="/there").digest
    assert a_plan(prompt="Why?").digest != a_plan(prompt="Why not?").digest
    assert a_plan(runs=(a_spec(1),)).digest != a_plan(runs=(a_spec(2),)).digest


def test_a_field_that_came_later_leaves_the_digests_of_before() -> None:
    # Archives hold it: whatever is added to a plan must leave it where the new thing is not used.
    container = ContainerProfile(dockerfile="docker/jetson/Dockerfile", runtime="nvidia")
    plan = a_plan()
    target = plan.target.model_copy(update={"container": container})
    known = "c0756f2e0bb36577a3e71387461656f51b1b5863f548bf30b9637ee1fe9db8e9"
    assert plan.model_copy(update={"target": target}).digest == known


def test_the_digest_of_a_changed_copy_is_its_own() -> None:
    plan = a_plan()
    digest = plan.digest
    assert plan.model_copy(update={"threads": 1}).digest != digest


def test_a_real_meter_without_a_name_has_the_digest_of_before_there_were_names() -> None:
    plan = a_plan()

    def digest_with(meter: OutsideMeter) -> str:
        target = plan.target.model_copy(update={"meter": meter})
        return plan.model_copy(update={"target": target}).digest

    plain = OutsideMeter(command=("read",))
    target = plan.target.model_copy(update={"meter": plain})
    kept = plan.model_copy(update={"target": target}).digested["target"]["meter"]
    assert not {"name", "pretended"} & set(kept)
    named = OutsideMeter(command=("read",), name="PM3")
    played = OutsideMeter(command=("read",), pretended=True)
    assert len({digest_with(plain), digest_with(named), digest_with(played), plan.digest}) == 4


def test_the_digest_sees_the_engine_and_the_model() -> None:
    plan = a_plan()
    data = plan.model_dump(mode="json")
    data["engines"]["b4404"]["files_sha256"]["llama-cli"] = "1" * 64
    other_engine = Plan.model_validate(data)
    data = plan.model_dump(mode="json")
    data["models"]["olmoe-1b-7b"]["sha256"] = "1" * 64
    other_model = Plan.model_validate(data)
    assert len({plan.digest, other_engine.digest, other_model.digest}) == 3


def runs_of(experiment: Experiment, seed: int = 1) -> tuple[RunSpec, ...]:
    return expand_runs({"e": experiment}, target="host", pin="b4404", threads=2, seed=seed)


def an_ordered_experiment(order: Order) -> Experiment:
    return Experiment(
        title="A test",
        models=MODELS,
        prompts=("p", "q"),
        repetitions=2,
        n_predict=16,
        order=order,
    )


def test_models_alternate_inside_each_prompt_and_repetition() -> None:
    runs = runs_of(an_ordered_experiment(Order.INTERLEAVED))
    assert [(run.repetition, run.prompt, run.model) for run in runs] == [
        (repetition, prompt, model)
        for repetition in (1, 2)
        for prompt in ("p", "q")
        for model in MODELS
    ]


@pytest.mark.parametrize("count", range(1, 9))
def test_williams_rows_are_balanced(count: int) -> None:
    rows = williams_rows(count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    places = Counter((place, thing) for row in rows for place, thing in enumerate(row))
    followers = Counter(pair for row in rows for pair in pairwise(row))
    assert len(places) == count**2
    assert len(followers) == count * (count - 1)
    assert len(set(places.values())) == 1
    assert len(set(followers.values())) <= 1


def test_models_are_counterbalanced_inside_each_prompt_and_repetition() -> None:
    runs = runs_of(an_ordered_experiment(Order.COUNTERBALANCED))
    assert [(run.repetition, run.prompt) for run in runs] == [
        (repetition, prompt) for repetition in (1, 2) for prompt in ("p", "q") for _ in MODELS
    ]
    blocks = [tuple(run.model for run in runs[at : at + 3]) for at in range(0, len(runs), 3)]
    assert len(set(blocks)) == len(blocks) == 4


def test_blocked_runs_of_a_model_stand_together_in_their_old_order() -> None:
    runs = runs_of(an_ordered_experiment(Order.BLOCKED))
    assert [run.model for run in runs] == ["c-model"] * 4 + ["a-model"] * 4 + ["b-model"] * 4
    assert [(r.repetition, r.prompt) for r in runs[:4]] == [(1, "p"), (1, "q"), (2, "p"), (2, "q")]


def test_a_randomised_order_can_be_had_again_from_its_seed() -> None:
    experiment = an_ordered_experiment(Order.RANDOMISED)
    runs = runs_of(experiment, seed=42)
    assert [(r.model[0], r.prompt, r.repetition) for r in runs[:4]] == [
        ("a", "p", 2),
        ("b", "q", 1),
        ("b", "p", 1),
        ("b", "p", 2),
    ]
    assert runs == runs_of(experiment, seed=42)
    assert runs != runs_of(experiment, seed=43)


@given(seed=st.integers(0, 1000), order=st.sampled_from(Order))
def test_no_order_loses_or_doubles_a_run(seed: int, order: Order) -> None:
    specs = runs_of(an_ordered_experiment(Order.INTERLEAVED))
    assert sorted(run.id for run in ordered(specs, order, seed)) == sorted(run.id for run in specs)


def test_the_session_stands_in_where_an_experiment_names_nothing() -> None:
    (run,) = runs_of(an_experiment())
    assert (run.pin, run.threads, run.arm) == ("b4404", 2, Arm.PLAIN)


def test_an_experiment_multiplies_threads_arms_and_pins() -> None:
    experiment = Experiment(
        title="A test",
        models=("a-model",),
        prompts=("p",),
        repetitions=1,
        n_predict=16,
        threads=(4, 6),
        arms=(Arm.PLAIN, Arm.NO_MMAP),
        pins=("b1", "b2"),
        order=Order.INTERLEAVED,
    )
    runs = runs_of(experiment)
    assert [(run.threads, run.arm, run.pin) for run in runs] == [
        (threads, arm, pin)
        for threads in (4, 6)
        for arm in (Arm.PLAIN, Arm.NO_MMAP)
        for pin in ("b1", "b2")
    ]


def test_experiments_follow_one_another() -> None:
    runs = expand_runs(
        {"b": an_experiment(repetitions=2), "a": an_experiment()},
        target="host",
        pin="b4404",
        threads=2,
        seed=1,
    )
    assert [run.experiment for run in runs] == ["b", "b", "a"]


def a_long_prompt(n_words: int) -> Prompt:
    text = " ".join(f"word{n}" for n in range(n_words))
    return Prompt(set="length", category="long", text=text)


def test_a_whole_prompt_is_sent_as_it_stands() -> None:
    text = "  First line.\n\nSecond  line?  \n"
    planned = scaled_prompt("p", Prompt(set="length", category="short", text=text), 1.0)
    assert planned.text == "First line.\n\nSecond  line?"
    assert planned.words == 4
    assert planned.sha256 == "1306a0634f861105defc12c9d6f9d5e1ee00d0a07bac9e9b2e49a849fb51c243"


def test_a_scaled_prompt_is_the_beginning_of_the_whole() -> None:
    planned = scaled_prompt("p", a_long_prompt(1000), 0.06)
    assert planned.words == 60
    assert planned.text.split() == [f"word{n}" for n in range(60)]


@given(n_words=st.integers(1, 300), scale=st.floats(0.001, 1))
def test_a_scaled_prompt_is_never_empty(n_words: int, scale: float) -> None:
    planned = scaled_prompt("p", a_long_prompt(n_words), scale)
    assert min(4, n_words) <= planned.words <= n_words
    assert planned.words == len(planned.text.split())


def test_prompts_of_two_experiments_are_kept_apart() -> None:
    assert prompt_key("smoke", "p") != prompt_key("efficiency", "p")


PROBED = a_spec().model_copy(update={"arm": Arm.PROBE_ROTATE})


def with_probe(path: str) -> Plan:
    facts = ProbeFacts(path=path, sha256="1" * 64, build_key=DIGEST)
    engine = an_engine().model_copy(update={"probe": facts})
    data = a_plan().model_dump() | {"engines": {"b4404": engine}, "runs": (PROBED,)}
    return Plan.model_validate(data)


def test_a_run_that_needs_a_probe_has_one_or_there_is_no_plan() -> None:
    assert with_probe("/here/libprobe.so").runs == (PROBED,)
    with pytest.raises(ValidationError, match=f"{PROBED.id} needs the routing probe of engine"):
        a_plan(runs=(PROBED,))


def test_the_digest_sees_the_probe_and_not_where_it_lies() -> None:
    here, there = with_probe("/here/libprobe.so"), with_probe("/there/libprobe.so")
    bare = a_plan(runs=(a_spec(),)).model_copy(update={"runs": (PROBED,)})
    assert here.digest == there.digest
    assert here.digest != bare.digest


def test_a_plan_has_room_for_the_repetitions_that_heat_adds_and_no_others() -> None:
    plan = a_plan()
    assert all(plan.has_room_for(a_spec(repetition)) for repetition in range(1, 6))
    assert not plan.has_room_for(a_spec(6))
    assert not plan.has_room_for(a_spec(2).model_copy(update={"threads": 1}))


def by_need(at_most: int) -> Plan:
    return a_plan().model_copy(update={"precision": PrecisionRule(within=0.02, at_most=at_most)})


def test_a_rule_of_precision_gives_room_up_to_its_cap() -> None:
    plan = by_need(at_most=8)
    assert all(plan.has_room_for(a_spec(repetition)) for repetition in range(1, 9))
    assert not plan.has_room_for(a_spec(9))
    assert by_need(at_most=2).has_room_for(a_spec(5))  # heat may still raise it to five


def test_the_digest_sees_a_rule_of_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({a_plan().digest, by_need(8).digest, by_need(9).digest}) == 3
    # Without one it is the digest of before there were any: older sessions still resume.
    monkeypatch.setattr("edgemoe_appliance.schema.plan.digest_of", sorted)
    assert "precision" in by_need(8).digest
    assert "precision" not in a_plan().digest


@pytest.mark.parametrize("change", [{"within": 0}, {"within": 0.6}, {"at_most": 1}])
def test_a_rule_of_precision_that_could_not_end_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PrecisionRule.model_validate({"within": 0.02, "at_most": 10} | change)

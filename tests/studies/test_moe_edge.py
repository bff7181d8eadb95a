"""The shipped study's experiments and prompts: they are those of the paper."""

from __future__ import annotations

from collections import Counter

import pytest

from edgemoe_appliance.models.layout import build_tensors
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.plan import expand_prompts, expand_runs
from edgemoe_appliance.studies import Study, read_study


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.mark.parametrize(
    ("name", "n_runs", "n_predict", "feeds"),
    [
        ("smoke", 4, 32, ()),
        ("efficiency", 144, 256, (Feeds.HEADLINE,)),
        ("prompt_length", 36, 256, (Feeds.HEADLINE, Feeds.PROMPT_LENGTH)),
        ("thread_sweep", 144, 256, (Feeds.THREADS,)),
        ("router_overhead", 156, 256, (Feeds.ROUTING,)),
        ("memory_arms", 24, 64, (Feeds.MEMORY,)),
        ("engine_arm", 72, 256, (Feeds.ENGINE,)),
    ],
)
def test_experiments_have_the_runs_of_the_study(
    study: Study, name: str, n_runs: int, n_predict: int, feeds: tuple[Feeds, ...]
) -> None:
    experiment = study.experiment(name)
    runs = expand_runs({name: experiment}, target="host", pin="b4447", threads=6, seed=1)
    assert len(runs) == n_runs
    assert experiment.n_predict == n_predict
    assert experiment.feeds == feeds
    assert experiment.order is Order.COUNTERBALANCED
    assert experiment.prompt_scale == 1


def test_the_headline_pools_45_runs_per_model(study: Study) -> None:
    pooled = {
        name: experiment
        for name, experiment in study.experiments.items()
        if Feeds.HEADLINE in experiment.feeds and not name.startswith("demo_")
    }
    runs = expand_runs(pooled, target="jetson", pin="b4404", threads=6, seed=1)
    assert Counter(run.model for run in runs) == dict.fromkeys(
        study.tables.throughput.rows("m2"), 45
    )
    assert len({run.id for run in runs}) == 180


def test_the_demo_is_the_study_in_miniature(study: Study) -> None:
    for small, full in (("demo_efficiency", "efficiency"), ("demo_length", "prompt_length")):
        miniature, original = study.experiment(small), study.experiment(full)
        for key in ("models", "prompts", "repetitions", "feeds", "ignore_eos", "order", "arms"):
            assert getattr(miniature, key) == getattr(original, key), key
        assert miniature.n_predict < original.n_predict
        assert miniature.prompt_scale < 0.2
    words = {
        prompt.category: prompt.words
        for prompt in expand_prompts(
            {"demo_length": study.experiment("demo_length")}, study.prompts
        ).values()
    }
    assert words["short"] < words["medium"] < words["long"]


def test_only_the_prompt_length_runs_hold_the_number_of_tokens(study: Study) -> None:
    held = {n for n, e in study.experiments.items() if e.ignore_eos}
    assert held == {"prompt_length", "demo_length"}


def test_arms_differ_from_the_study_in_one_thing_only(study: Study) -> None:
    assert study.experiment("memory_arms").arms == (Arm.PLAIN, Arm.NO_MMAP)
    assert set(study.experiment("router_overhead").arms) == {
        Arm.PLAIN,
        Arm.PROBE_BOUNDARY,
        Arm.PROBE_PER_NODE,
        Arm.PROBE_ROTATE,
    }
    assert study.experiment("router_overhead").models == ("olmoe-1b-7b",)
    pins = study.experiment("engine_arm").pins
    assert len(pins) == 2
    assert study.experiment("thread_sweep").threads == (4, 6, 8, 10)


def test_the_sizes_of_the_experts_are_those_that_the_quantiser_makes(study: Study) -> None:
    entry = study.configs.model(study.subject)
    assert study.experts is not None
    for file_type, size in study.experts.bytes_by_file_type.items():
        tensors = build_tensors(entry.architecture, entry.shape_of(study.subject), file_type)
        assert sum(each.n_bytes for each in tensors if "_exps" in each.name) == size, file_type


# Prompts


def test_there_are_twelve_prompts_in_six_categories_and_three_lengths(study: Study) -> None:
    prompts = study.prompts
    efficiency = [p.category for p in prompts.values() if p.set == "efficiency"]
    assert Counter(efficiency) == {
        "general-qa": 2,
        "reasoning": 2,
        "coding": 2,
        "summarisation": 2,
        "instruction-following": 2,
        "long-context": 2,
    }
    length = [p.category for p in prompts.values() if p.set == "length"]
    assert length == ["short", "medium", "long"]
    used = study.experiment("efficiency").prompts + study.experiment("prompt_length").prompts
    assert sorted(used) == sorted(prompts)


def test_prompts_have_the_lengths_of_the_study(study: Study) -> None:
    bounds = {
        "long-context": (1000, 1500),
        "short": (50, 100),
        "medium": (300, 500),
        "long": (1000, 1500),
    }
    for name, prompt in study.prompts.items():
        low, high = bounds.get(prompt.category, (20, 90))
        assert low <= prompt.words <= high, name


def test_prompts_fit_the_strata_of_the_study(study: Study) -> None:
    # Section 4.6: at most 200 tokens, or at least 500. English has between one and 2.2 tokens
    # per word: the real tokenizers near the lower end, those of the twins near the upper.
    for name in study.experiment("router_overhead").prompts:
        words = study.prompts[name].words
        assert words * 2.2 <= 200 or words >= 500, name


def test_prompts_are_plain_text_that_ends_with_a_question(study: Study) -> None:
    texts = [prompt.text for prompt in study.prompts.values()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text.endswith("?")
        assert text.isascii()
        assert "\\" not in text
        assert "  " not in text

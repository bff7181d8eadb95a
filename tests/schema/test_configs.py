from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import (
    Arm,
    Backend,
    Configs,
    CooldownRule,
    Feeds,
    Order,
    PowerSource,
    PromptSet,
    read_configs,
)
from edgemoe_appliance.schema.plan import expand_prompts, expand_runs
from edgemoe_appliance.schema.resources import resource_folder

ENGINES = """\
default: b4404
fallback: b4404
pins:
  b4404:
    source: {kind: git, repository: "https://example.org/x", commit: "COMMIT"}
    note: a pin
""".replace("COMMIT", "0" * 40)
DEVICES = """\
targets:
  host:
    label: A machine
    backend: cpu
    cmake: {GGML_NATIVE: "ON"}
    threads: 2
    power_sources: []
    cooldown: {rule: none}
    thermal: {threshold_c: 60, repetitions: 5}
    sample_hz: 10
    run_timeout_s: 60
"""
MODELS = """\
models:
  a-model:
    name: A
    role: moe
    architecture: olmoe
    quantization: Q4_K_M
    licence: Apache-2.0
    gated: false
    repository: a/b
    revision: null
    file: a.gguf
    bytes: null
    sha256: "DIGEST"
    published_parameters_total: 7
    published_parameters_active: 1
    shape:
      block_count: 1
      embedding_length: 256
      feed_forward_length: 256
      head_count: 1
      head_count_kv: 1
      key_length: 256
      value_length: 256
      vocab_size: 256
      context_length: 256
      rope_freq_base: 10000
      rms_epsilon: 1.0e-5
      tied_embeddings: false
      tokenizer: olmo
""".replace("DIGEST", "0" * 64)
PROMPTS = """\
prompts:
  a-prompt:
    set: efficiency
    category: general-qa
    text: Why?
"""
EXPERIMENTS = """\
order_seed: 1
experiments:
  smoke:
    title: A test
    models: [a-model]
    prompts: [a-prompt]
    repetitions: 1
    n_predict: 16
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (
        ("engines", ENGINES),
        ("devices", DEVICES),
        ("models", MODELS),
        ("prompts", PROMPTS),
        ("experiments", EXPERIMENTS),
    ):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def configs() -> Configs:
    return read_configs(resource_folder("configs"))


def complaint(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_configs(folder)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{folder}/")


def test_a_minimal_folder_is_read(folder: Path) -> None:
    configs = read_configs(folder)
    assert configs.target("host").backend is Backend.CPU
    assert configs.model("a-model").shape_of("a-model").expert_count == 0
    assert configs.pin("b4404").note == "a pin"
    assert configs.experiment("smoke").arms == (Arm.PLAIN,)


@pytest.mark.parametrize("name", ["engines", "devices", "models", "prompts", "experiments"])
def test_each_file_must_be_there(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").unlink()
    assert complaint(folder) == f"{name}.yaml: no such file; restore it"


def test_a_folder_that_is_not_there(folder: Path) -> None:
    shutil.rmtree(folder)
    assert complaint(folder) == "experiments.yaml: no such file; restore it"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "engines",
            "default: b4404",
            "default: b1",
            "engines.yaml:1: the file: default: b1 is not among the pins b4404",
        ),
        (
            "engines",
            "kind: git",
            "kind: git, branch: main",
            "engines.yaml:5: pins.b4404.source.branch: unknown key; "
            "allowed: kind, repository, commit",
        ),
        (
            "engines",
            "kind: git",
            "kind: sdist",
            "engines.yaml:5: pins.b4404.source.repository: unknown key; "
            "allowed: kind, package, version, sha256, subdirectory; and 5 more to mend",
        ),
        (
            "engines",
            "0" * 40,
            "main",
            "engines.yaml:5: pins.b4404.source.commit: String should match pattern "
            "'^[0-9a-f]{40}$' (got 'main')",
        ),
        (
            "engines",
            f'kind: git, repository: "https://example.org/x", commit: "{"0" * 40}"',
            "kind: sdist, package: a, version: '1', subdirectory: ../x, sha256: '" + "0" * 64 + "'",
            "engines.yaml:5: pins.b4404.source.subdirectory: "
            "must be a relative path without '..' (got '../x')",
        ),
        (
            "engines",
            "  b4404:\n",
            "  b4404: {}\n  b4404:\n",
            "engines.yaml:5: pins.b4404: named twice (first on line 4); remove one",
        ),
        (
            "devices",
            "backend: cpu",
            "backend: vulkan",
            "devices.yaml:4: targets.host.backend: "
            "Input should be 'cpu', 'metal' or 'cuda' (got 'vulkan')",
        ),
        (
            "devices",
            "threads: 2",
            "threads: 0",
            "devices.yaml:6: targets.host.threads: "
            "must be between 1 and 1024, or physical-cores (got 0)",
        ),
        (
            "devices",
            "sample_hz: 10",
            "sample_hz: 0",
            "devices.yaml:10: targets.host.sample_hz: Input should be greater than 0 (got 0)",
        ),
        (
            "devices",
            '"ON"',
            "ON",
            "devices.yaml:5: targets.host.cmake.GGML_NATIVE: "
            "Input should be a valid string (got True); put it in quotes",
        ),
        (
            "devices",
            "GGML_NATIVE",
            "-DGGML_NATIVE",
            "devices.yaml:5: targets.host.cmake.-DGGML_NATIVE: "
            "String should match pattern '^[A-Z][A-Z0-9_]*$' (got '-DGGML_NATIVE')",
        ),
        (
            "models",
            "file: a.gguf",
            "file: ../a.gguf",
            "models.yaml:11: models.a-model.file: String should match pattern "
            r"'^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$' (got '../a.gguf')",
        ),
        (
            "models",
            "block_count: 1",
            "blok_count: 1",
            "models.yaml:17: models.a-model.shape.blok_count: unknown key; did you mean "
            "block_count? allowed: block_count, embedding_length, feed_forward_length, head_count, "
            "head_count_kv, key_length, value_length, vocab_size, context_length, rope_freq_base, "
            "rope_scaling, rms_epsilon, tied_embeddings, tokenizer, expert_count, "
            "expert_used_count; and 1 more to mend",
        ),
        (
            "models",
            "  a-model:",
            "  A/Model:",
            "models.yaml:2: models.A/Model: String should match pattern "
            "'^[a-z0-9][a-z0-9._-]{0,63}$' (got 'A/Model')",
        ),
        (
            "prompts",
            "text: Why?",
            "text: ''",
            "prompts.yaml:5: prompts.a-prompt.text: String should have at least 1 character "
            "(got '')",
        ),
        (
            "experiments",
            "models: [a-model]",
            "models: [b-model]",
            "experiments.yaml:5: experiments.smoke.models: 'b-model' is not known; "
            "allowed: a-model",
        ),
        (
            "experiments",
            "prompts: [a-prompt]",
            "prompts:\n      - a-prompt\n      - b-prompt",
            "experiments.yaml:8: experiments.smoke.prompts: 'b-prompt' is not known; "
            "allowed: a-prompt",
        ),
        (
            "experiments",
            "n_predict: 16",
            "n_predict: 16\n    pins: [b9]",
            "experiments.yaml:9: experiments.smoke.pins: 'b9' is not known; allowed: b4404",
        ),
        (
            "experiments",
            "prompts: [a-prompt]",
            "prompts: [a-prompt, a-prompt]",
            "experiments.yaml:6: experiments.smoke.prompts: names something twice",
        ),
        (
            "experiments",
            "n_predict: 16",
            "n_predict: 4096",
            "experiments.yaml:3: experiments.smoke: n_predict must be below context (4096)",
        ),
        (
            "experiments",
            "n_predict: 16",
            "n_predict: 16\n    threads: [4, 0]",
            "experiments.yaml:9: experiments.smoke.threads.1: "
            "Input should be greater than or equal to 1 (got 0)",
        ),
        (
            "experiments",
            "n_predict: 16",
            "n_predict: 16\n    feeds: [headlines]",
            "experiments.yaml:9: experiments.smoke.feeds.0: Input should be 'headline', "
            "'prompt-length', 'threads', 'routing', 'memory' or 'engine' (got 'headlines')",
        ),
        (
            "experiments",
            "models: [a-model]",
            "models: []",
            "experiments.yaml:5: experiments.smoke.models: "
            "Tuple should have at least 1 item after validation, not 0",
        ),
    ],
)
def test_what_is_wrong_stands_on_one_line(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    path = folder / f"{name}.yaml"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))
    assert complaint(folder) == message


def test_an_unknown_name_is_answered_with_the_known_ones(folder: Path) -> None:
    configs = read_configs(folder)
    for pick, kind, known in (
        (configs.target, "target", "devices.yaml has: host"),
        (configs.model, "model", "models.yaml has: a-model"),
        (configs.pin, "pin", "engines.yaml has: b4404"),
        (configs.experiment, "experiment", "experiments.yaml has: smoke"),
    ):
        with pytest.raises(ConfigError) as caught:
            pick("nothing")
        assert str(caught.value) == f"unknown {kind} 'nothing'; {known}"


# The appliance's own files


def test_the_engine_of_the_study_is_the_default(configs: Configs) -> None:
    pin = configs.pin(configs.engines.default)
    assert pin.source.kind == "git"
    assert pin.source.commit == "0827b2c1da299805288abbd556d869318f2b121e"
    assert configs.pin(configs.engines.fallback).source.kind == "sdist"


def test_the_targets_are_built_and_run_as_in_the_study(configs: Configs) -> None:
    jetson, m2 = configs.target("jetson"), configs.target("m2")
    assert jetson.cmake == {
        "GGML_CUDA": "ON",
        "CMAKE_CUDA_ARCHITECTURES": "87",
        "GGML_NATIVE": "OFF",
        "CMAKE_EXE_LINKER_FLAGS": "-Wl,--allow-shlib-undefined",
    }
    assert m2.cmake == {"GGML_METAL": "ON", "GGML_METAL_EMBED_LIBRARY": "ON"}
    for name in ("jetson", "m2"):
        target = configs.target(name)
        assert (target.n_gpu_layers, target.threads, target.study_device) == (99, 6, name)
        assert (target.thermal.threshold_c, target.thermal.repetitions) == (60, 5)
    assert (jetson.cooldown.rule, jetson.cooldown.seconds) == (CooldownRule.FIXED, 30)
    assert jetson.power_sources == (PowerSource.INA3221, PowerSource.TEGRASTATS)
    assert jetson.sample_hz >= 10
    assert (jetson.bandwidth_gb_s, m2.bandwidth_gb_s) == (68.3, 200)
    assert m2.power_sources == ()
    assert m2.container is None


def test_the_host_builds_for_itself_and_its_image_for_others(configs: Configs) -> None:
    host = configs.target("host")
    assert host.cmake == {"GGML_NATIVE": "ON"}
    assert (host.n_gpu_layers, host.threads) == (None, "physical-cores")
    assert host.cooldown.rule is CooldownRule.NONE
    assert host.container is not None
    assert host.container.cmake["GGML_NATIVE"] == "OFF"
    assert host.container.cmake["GGML_AVX2"] == "ON"


def test_a_discrete_gpu_is_built_for_what_is_found(configs: Configs) -> None:
    cuda = configs.target("cuda")
    assert cuda.cmake == {"GGML_CUDA": "ON", "CMAKE_CUDA_ARCHITECTURES": "native"}
    assert (cuda.n_gpu_layers, cuda.power_sources) == (99, (PowerSource.NVML,))
    assert cuda.study_device is None


def test_recipes_of_containers_lie_where_the_profiles_say(configs: Configs) -> None:
    recipes = {
        name: target.container.dockerfile
        for name, target in configs.devices.targets.items()
        if target.container
    }
    assert recipes == {
        "host": "docker/host/Dockerfile",
        "jetson": "docker/jetson/Dockerfile",
    }


@pytest.mark.parametrize(
    ("name", "n_runs", "n_predict", "feeds"),
    [
        ("smoke", 4, 32, ()),
        ("efficiency", 144, 256, (Feeds.HEADLINE,)),
        ("prompt_length", 36, 256, (Feeds.HEADLINE, Feeds.PROMPT_LENGTH)),
        ("thread_sweep", 144, 256, (Feeds.THREADS,)),
        ("router_overhead", 144, 256, (Feeds.ROUTING,)),
        ("memory_arms", 24, 64, (Feeds.MEMORY,)),
        ("engine_arm", 72, 256, (Feeds.ENGINE,)),
    ],
)
def test_experiments_have_the_runs_of_the_study(
    configs: Configs, name: str, n_runs: int, n_predict: int, feeds: tuple[Feeds, ...]
) -> None:
    experiment = configs.experiment(name)
    runs = expand_runs({name: experiment}, target="host", pin="b4447", threads=6, seed=1)
    assert len(runs) == n_runs
    assert experiment.n_predict == n_predict
    assert experiment.feeds == feeds
    assert experiment.order is Order.INTERLEAVED
    assert experiment.prompt_scale == 1


def test_the_headline_pools_45_runs_per_model(configs: Configs) -> None:
    pooled = {
        name: experiment
        for name, experiment in configs.experiments.experiments.items()
        if Feeds.HEADLINE in experiment.feeds and not name.startswith("demo_")
    }
    runs = expand_runs(pooled, target="jetson", pin="b4404", threads=6, seed=1)
    assert Counter(run.model for run in runs) == dict.fromkeys(configs.models.models, 45)
    assert len({run.id for run in runs}) == 180


def test_the_demo_is_the_study_in_miniature(configs: Configs) -> None:
    for small, full in (("demo_efficiency", "efficiency"), ("demo_length", "prompt_length")):
        miniature, original = configs.experiment(small), configs.experiment(full)
        for key in ("models", "prompts", "repetitions", "feeds", "ignore_eos", "order", "arms"):
            assert getattr(miniature, key) == getattr(original, key), key
        assert miniature.n_predict < original.n_predict
        assert miniature.prompt_scale < 0.2
    words = {
        prompt.category: prompt.words
        for prompt in expand_prompts(configs, ["demo_length"]).values()
    }
    assert words["short"] < words["medium"] < words["long"]


def test_only_the_prompt_length_runs_hold_the_number_of_tokens(configs: Configs) -> None:
    held = {n for n, e in configs.experiments.experiments.items() if e.ignore_eos}
    assert held == {"prompt_length", "demo_length"}


def test_arms_differ_from_the_study_in_one_thing_only(configs: Configs) -> None:
    assert configs.experiment("memory_arms").arms == (Arm.PLAIN, Arm.NO_MMAP)
    assert set(configs.experiment("router_overhead").arms) == {
        Arm.PLAIN,
        Arm.PROBE_BOUNDARY,
        Arm.PROBE_PER_NODE,
        Arm.PROBE_ROTATE,
    }
    assert configs.experiment("router_overhead").models == ("olmoe-1b-7b",)
    pins = configs.experiment("engine_arm").pins
    assert len(pins) == 2
    assert configs.experiment("thread_sweep").threads == (4, 6, 8, 10)


# Prompts


def test_there_are_twelve_prompts_in_six_categories_and_three_lengths(configs: Configs) -> None:
    prompts = configs.prompts.prompts
    efficiency = [p.category for p in prompts.values() if p.set is PromptSet.EFFICIENCY]
    assert Counter(efficiency) == {
        "general-qa": 2,
        "reasoning": 2,
        "coding": 2,
        "summarisation": 2,
        "instruction-following": 2,
        "long-context": 2,
    }
    length = [p.category for p in prompts.values() if p.set is PromptSet.LENGTH]
    assert length == ["short", "medium", "long"]
    used = configs.experiment("efficiency").prompts + configs.experiment("prompt_length").prompts
    assert sorted(used) == sorted(prompts)


def test_prompts_have_the_lengths_of_the_study(configs: Configs) -> None:
    bounds = {
        "long-context": (1000, 1500),
        "short": (50, 100),
        "medium": (300, 500),
        "long": (1000, 1500),
    }
    for name, prompt in configs.prompts.prompts.items():
        low, high = bounds.get(prompt.category, (20, 90))
        assert low <= prompt.words <= high, name


def test_prompts_fit_the_strata_of_the_study(configs: Configs) -> None:
    # Section 4.6: at most 200 tokens, or at least 500. English has between one and 2.2 tokens
    # per word: the real tokenizers near the lower end, those of the twins near the upper.
    for name in configs.experiment("router_overhead").prompts:
        words = configs.prompts.prompts[name].words
        assert words * 2.2 <= 200 or words >= 500, name


def test_prompts_are_plain_text_that_ends_with_a_question(configs: Configs) -> None:
    texts = [prompt.text for prompt in configs.prompts.prompts.values()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text.endswith("?")
        assert text.isascii()
        assert "\\" not in text
        assert "  " not in text

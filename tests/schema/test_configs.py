from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import (
    NO_CATALOGUE,
    Backend,
    Catalogue,
    Configs,
    CooldownRule,
    PowerSource,
    find_catalogue,
    read_configs,
)
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
    # nothing more is known of it
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (
        ("engines", ENGINES),
        ("devices", DEVICES),
        ("models", MODELS),
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


@pytest.mark.parametrize("name", ["engines", "devices", "models"])
def test_each_file_must_be_there(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").unlink()
    assert complaint(folder) == f"{name}.yaml: no such file; check its name, or restore it"


def test_a_folder_that_is_not_there(folder: Path) -> None:
    shutil.rmtree(folder)
    assert complaint(folder) == "engines.yaml: no such file; check its name, or restore it"


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
            "-main",
            "engines.yaml:5: pins.b4404.source.commit: String should match pattern "
            "'^[0-9A-Za-z][0-9A-Za-z._/+-]{1,99}$' (got '-main')",
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
            "backend: opencl",
            "devices.yaml:4: targets.host.backend: "
            "Input should be 'cpu', 'metal', 'cuda', 'vulkan' or 'cann' (got 'opencl')",
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
        assert (target.n_gpu_layers, target.threads) == (99, 6)
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


def test_recipes_of_containers_lie_where_the_profiles_say(configs: Configs) -> None:
    recipes = {
        name: target.container.dockerfile
        for name, target in configs.devices.targets.items()
        if target.container
    }
    assert recipes == {
        "host": "docker/host/Dockerfile",
        "jetson": "docker/jetson/Dockerfile",
        "vulkan": "docker/vulkan/Dockerfile",
    }


def catalogue(folder: Path, **files: str) -> Catalogue:
    """Write files of the user's own beside the folder and return them."""
    own = folder / "own"
    own.mkdir()
    for name, text in files.items():
        (own / f"{name}.yaml").write_text(text)
    paths = {name: (own / f"{name}.yaml",) for name in files}
    return Catalogue(**paths)


OWN_MODEL = """\
models:
  mine:
    name: Mine
    architecture: granitemoe
    quantization: MXFP4_MOE
    licence: mine
    path: files/mine.gguf
    file: mine.gguf
"""


OWN_PINS = """\
pins:
  PIN:
    source: {kind: directory, path: /home/me/llama.cpp}
    note: mine alone
"""


def test_models_and_targets_of_the_users_own_are_added(folder: Path) -> None:
    added = catalogue(folder, models=OWN_MODEL, devices=DEVICES.replace("host", "orin"))
    configs = read_configs(folder, added)
    assert list(configs.models.models) == ["a-model", "mine"]
    assert list(configs.devices.targets) == ["host", "orin"]
    assert configs.model("mine").path == str(folder / "own/files/mine.gguf")
    assert configs.model("mine").sha256 is None


def test_pins_of_the_users_own_are_added(folder: Path) -> None:
    own = OWN_PINS.replace("PIN", "mine")
    configs = read_configs(folder, catalogue(folder, engines=own))
    assert list(configs.engines.pins)[-1] == "mine"
    assert configs.engines.default == read_configs(folder).engines.default
    assert configs.pin("mine").note == "mine alone"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"models": MODELS}, "own/models.yaml:2: models.a-model is there already; give yours"),
        ({"devices": DEVICES}, "own/devices.yaml:2: targets.host is there already; give yours"),
        ({"engines": OWN_PINS.replace("PIN", "b4404")}, "pins.b4404 is there already; give yours"),
        (
            {"models": OWN_MODEL.replace("path", "pth")},
            "own/models.yaml:7: models.mine.pth: unknown key; did you mean path?",
        ),
        (
            {"models": OWN_MODEL + "    repository: a/b\n"},
            "needs one of repository, url, package, path, quantised; repository and path given",
        ),
        (
            {"models": OWN_MODEL.replace("    path: files/mine.gguf\n", "")},
            "needs one of repository, url, package, path, quantised; none given",
        ),
    ],
)
def test_what_is_wrong_with_them_is_told(folder: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_configs(folder, catalogue(folder, **files))
    assert message in str(caught.value)


def test_the_users_folder_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEMOE_CATALOGUE", str(folder / "own"))
    assert find_catalogue() == NO_CATALOGUE
    kept = catalogue(folder, models=OWN_MODEL).models
    assert find_catalogue().models == kept
    named = folder / "models.yaml"
    assert find_catalogue(named).models == (named, *kept)
    assert find_catalogue(kept[0]).models == kept

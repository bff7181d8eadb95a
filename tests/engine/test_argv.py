from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine.argv import (
    build_argv,
    device_variables,
    prompt_file_bytes,
    scrubbed_environment,
)
from edgemoe_appliance.schema.configs import Arm, Target
from edgemoe_appliance.schema.plan import EngineBuild, RunSpec
from tests.schema.builders import a_model, a_spec, a_target, an_engine

STUDY = ("--temp", "0", "--top-p", "1", "--seed", "42", "--no-display-prompt", "--no-escape")


def argv(
    *, run: RunSpec | None = None, engine: EngineBuild | None = None, target: Target | None = None
) -> tuple[str, ...]:
    return build_argv(
        run or a_spec(),
        engine=engine or an_engine(),
        model=a_model(),
        target=target or a_target(),
        prompt_file=Path("/prompts/one.txt"),
    )


def test_the_study_s_call() -> None:
    assert argv() == (
        "/here/bin/llama-cli",
        *("-m", "/here/olmoe.gguf", "-f", "/prompts/one.txt"),
        *("-n", "256", "-t", "6", "-c", "4096"),
        *STUDY,
    )


def test_layers_go_to_an_accelerator_only_where_the_target_has_one() -> None:
    assert "-ngl" not in argv()
    with_gpu = argv(target=a_target().model_copy(update={"n_gpu_layers": 99}))
    assert with_gpu[with_gpu.index("-ngl") + 1] == "99"


def test_what_a_run_asks_for_is_added() -> None:
    held = a_spec().model_copy(update={"ignore_eos": True, "arm": Arm.NO_MMAP})
    assert argv(run=held)[-2:] == ("--ignore-eos", "--no-mmap")


def test_engines_of_another_age_are_told_of_mmap_in_their_own_way() -> None:
    newer = an_engine().model_copy(update={"no_mmap_args": ("--load-mode", "none")})
    run = a_spec().model_copy(update={"arm": Arm.NO_MMAP})
    assert argv(run=run, engine=newer)[-2:] == ("--load-mode", "none")


def test_probe_arms_change_the_environment_and_not_the_command() -> None:
    probed = a_spec().model_copy(update={"arm": Arm.PROBE_PER_NODE})
    assert argv(run=probed) == argv()


def test_later_builds_bring_their_own_arguments() -> None:
    later = an_engine().model_copy(update={"extra_args": ("-no-cnv",)})
    assert argv(engine=later) == (*argv(), "-no-cnv")


def test_a_prompt_file_ends_with_the_newline_that_the_engine_takes_off() -> None:
    assert prompt_file_bytes("Zwei Wörter\\n") == "Zwei Wörter\\n".encode() + b"\n"


def test_variables_that_change_the_engine_are_removed_and_named() -> None:
    base = {
        "HOME": "/root",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        "CUDA_VISIBLE_DEVICES": "0",
        "LLAMA_ARG_CTX_SIZE": "512",
        "LLAMA_LOG_PREFIX": "1",
        "GGML_CUDA_ENABLE_UNIFIED_MEMORY": "",
        "OMP_NUM_THREADS": "1",
        "LD_PRELOAD": "/tmp/other.so",
        "DYLD_INSERT_LIBRARIES": "/tmp/other.dylib",
        "MALLOC_ARENA_MAX": "1",
    }
    environment, removed = scrubbed_environment(base)
    kept = {"HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"}
    assert set(removed) == set(base) - kept
    assert list(removed) == sorted(removed)
    assert set(environment) == kept | {"LC_ALL"}


def test_variables_that_choose_a_device_stay_and_are_told() -> None:
    base = {
        "CUDA_VISIBLE_DEVICES": "-1",
        "HIP_VISIBLE_DEVICES": "",
        "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
        "VK_ICD_FILENAMES": "/etc/icd.json",
        "VK_LOADER_DRIVERS_SELECT": "radeon*",
        "GGML_VK_VISIBLE_DEVICES": "1",  # the engine's own choice among Vulkan devices
    }
    others = {
        "CUDA_HOME": "/usr/local/cuda",
        "CUDA_LAUNCH_BLOCKING": "1",
        "VK_LOADER_LAYERS_ENABLE": "*",
        "GGML_VK_DISABLE_F16": "1",
        "MTL_DEBUG_LAYER": "1",
    }
    environment, removed = scrubbed_environment({**base, **others})
    assert device_variables({**base, **others}) == base
    assert set(removed) == set(others) - {"CUDA_HOME"}
    assert base.items() <= environment.items()


@pytest.mark.parametrize("value", ["x" * 5000, "a\nb"])
def test_a_told_value_is_one_short_line(value: str) -> None:
    (told,) = device_variables({"CUDA_VISIBLE_DEVICES": value}).values()
    assert len(told) < 250
    assert "\n" not in told


def test_the_engine_prints_numbers_with_a_point() -> None:
    environment, removed = scrubbed_environment({"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"})
    assert environment == {"LANG": "de_DE.UTF-8", "LC_ALL": "C"}
    assert removed == ()


def test_an_arm_loads_its_probe_through_the_extra_environment() -> None:
    base = {"LD_PRELOAD": "/tmp/other.so"}
    environment, removed = scrubbed_environment(base, {"LD_PRELOAD": "/probe.so"})
    assert environment["LD_PRELOAD"] == "/probe.so"
    assert removed == ("LD_PRELOAD",)

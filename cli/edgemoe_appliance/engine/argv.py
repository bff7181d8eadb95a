"""The command line and the environment of one engine run, exactly as in the study.

Builds values only; starting the process is the business of `stream`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgemoe_appliance.schema.configs import Arm, Target
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel, RunSpec
from edgemoe_appliance.schema.text import on_one_line

# The study's sampling: greedy, so that equal work gives equal text.
_SAMPLING: Final = ("--temp", "0", "--top-p", "1", "--seed", "42")
# Not in the study's call, and without influence on its speed: the prompt is not echoed (it would
# come before the prompt pass and spoil the time to first token), and backslashes in it are kept.
_PLAIN_OUTPUT: Final = ("--no-display-prompt", "--no-escape")

# Variables that change what the engine does, loads or prints. LLAMA_ARG_* are command-line
# options by another way; the mere presence of GGML_CUDA_ENABLE_UNIFIED_MEMORY switches it on.
_REMOVED: Final = re.compile(
    r"""
    (?: LLAMA_ | GGML_ (?! VK_VISIBLE_DEVICES )      # the engine's own
      | OMP_ | GOMP_ | KMP_     # thread counts and placement of OpenMP
      | OPENBLAS_ | BLIS_ | MKL_ | GOTO_      # and of libraries for matrices
      | DYLD_ | MALLOC_         # loader and allocator
      | CUDA_ (?: LAUNCH | MODULE | FORCE | DISABLE | DEVICE_MAX | AUTO_BOOST | SCALE )
      | CUBLAS_ | CUDNN_ | NVIDIA_TF32 | MTL_ | METAL_
      | HIP_LAUNCH | HSA_ENABLE | AMD_LOG | AMD_SERIALIZE | HIPBLASLT_ | ROCBLAS_
      | VK_INSTANCE_LAYERS | VK_LAYER_ | VK_ADD_LAYER | VK_LOADER_DEBUG | VK_LOADER_LAYERS
    ) .*
    | LD_PRELOAD | LD_AUDIT | LD_DEBUG | LD_PROFILE | LD_BIND_NOW | GLIBC_TUNABLES
    """,
    re.VERBOSE,
)
# Variables that choose a device or its driver: an owner of several means what they say, so they
# stay, and a record names them with their values.
_CHOOSES_DEVICE: Final = re.compile(
    r"(?:CUDA|NVIDIA|HIP|ROCR|HSA|GPU|(?:GGML_)?VK|MESA|RADV|ONEAPI|SYCL|ZE|ASCEND)_"
    r"\w*(?:VISIBLE|DEVICE|ICD|DRIVER|GFX|SELECT|AFFINITY|MPS)\w*"
)
# Long enough for some device ids; a value is evidence and no place for anything else.
_MAX_VALUE_CHARS: Final = 200
# llama-cli calls setlocale(LC_ALL, ""): a comma as decimal sign would make its footer unreadable.
_REPLACED: Final = {"LC_ALL": "C"}


def build_argv(
    run: RunSpec, *, engine: EngineBuild, model: PlannedModel, target: Target, prompt_file: Path
) -> tuple[str, ...]:
    """Return the command of a run; `prompt_file` holds `prompt_file_bytes` of its prompt."""
    arguments = [engine.binary, "-m", model.path, "-f", str(prompt_file)]
    arguments += ["-n", str(run.n_predict), "-t", str(run.threads), "-c", str(run.context)]
    if target.n_gpu_layers is not None:
        arguments += ["-ngl", str(target.n_gpu_layers)]
    arguments += [*_SAMPLING, *_PLAIN_OUTPUT]
    if run.ignore_eos:
        arguments.append("--ignore-eos")
    if run.arm is Arm.NO_MMAP:
        arguments += engine.no_mmap_args
    return (*arguments, *engine.extra_args)


def prompt_file_bytes(text: str) -> bytes:
    """Return the prompt file that makes the engine read exactly `text`.

    The engine takes one newline off the end of the file.
    """
    return text.encode() + b"\n"


def device_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a device is chosen, as far as an engine gets them."""
    return {
        name: on_one_line(value, _MAX_VALUE_CHARS)
        for name, value in sorted(scrubbed_environment(environment)[0].items())
        if _CHOOSES_DEVICE.fullmatch(name)
    }


def scrubbed_environment(
    base: Mapping[str, str], extra_env: Mapping[str, str] | None = None
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment for the engine and the sorted names that were taken out of `base`.

    `extra_env` is added last, as it is: it is how an arm loads its probe.
    """
    removed = tuple(sorted(name for name in base if _REMOVED.fullmatch(name)))
    kept = {name: value for name, value in base.items() if name not in removed}
    return {**kept, **_REPLACED, **(extra_env or {})}, removed

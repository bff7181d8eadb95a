"""A built engine is run once, on a twin of a few MB, before anything is measured with it.

A build for "this processor" holds every instruction that the processor announces. On a virtual
machine that announces some it does not let through, such a program is killed at its first use of
one, in the middle of a session; here it is told beforehand, with the build that would run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.engine.account import parse_account
from edgemoe_appliance.engine.argv import build_argv, prompt_file_bytes, scrubbed_environment
from edgemoe_appliance.engine.build import read_build
from edgemoe_appliance.engine.devices import has_no_driver
from edgemoe_appliance.engine.failure import classify_failure, library_hint, missing_library
from edgemoe_appliance.engine.stream import EndedBy, EngineResult, run_engine
from edgemoe_appliance.engine.toolchain import is_on
from edgemoe_appliance.errors import ApplianceError, ConfigError, HostError
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Configs, Target
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel, RunSpec

# Every engine since 2023 loads it.
_ARCHITECTURE: Final = "llama"
_PROMPT: Final = "The tide rises"
# Two tokens: the second goes through the code for single tokens, which is another.
_TOKENS: Final = 2
_CONTEXT: Final = 256
# A GPU's first kernels are compiled then.
_ANSWER_S: Final = 300.0
_PORTABLE_HINT: Final = (
    "this processor does not run all that it announces; --portable builds without what is only "
    "announced (GGML_NATIVE=OFF)"
)
_BUILD_HINT: Final = "remove its folder from the cache and build it again"


def require_run(build: EngineBuild, configs: Configs, target: Target, folders: Folders) -> str:
    """Run an engine on a tiny twin, and return what a person should know of it, else nothing.

    Raises HostError where it does not come to its end; without a model that a twin can be written
    of, nothing is tried.
    """
    model = _tiny_model(configs, folders)
    if model is None:
        return "the engine was not tried: models.yaml has no twin for it"
    result = _run(build, model, target)
    if result.ended_by is not EndedBy.ITSELF:
        raise HostError(
            f"the engine did not end within {_ANSWER_S:.0f} s on a model of a few MB",
            where=build.binary,
            hint=_BUILD_HINT,
        )
    if has_no_driver(result.stderr_text):
        raise HostError(
            "the engine finds no device on this machine",
            where=build.binary,
            hint="doctor with the same --target says what is missing",
        )
    if result.exit_code != 0:
        failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
        is_native = result.signal is not None and is_on(build.cmake.get("GGML_NATIVE", "ON"))
        library = missing_library(result.stderr_text)
        hint = library_hint(library) if library else _BUILD_HINT
        raise HostError(
            f"the engine was built and does not run here ({failure.reason})",
            where=build.binary,
            hint=_PORTABLE_HINT if is_native else hint,
        )
    account = parse_account(result.stderr_text)
    if target.n_gpu_layers and account.no_gpu:
        return f"NO GPU: nothing can be measured here, the engine says {account.lines['no_gpu']!r}"
    return ""


def check_engines(configs: Configs, target: Target, folders: Folders) -> Iterator[Finding]:
    """Try the builds of a target that the cache holds; those not yet built are tried then."""
    builds = [
        build
        for folder in sorted(folders.cache.glob("builds/*/"))
        if (build := _read(folder)) is not None and target.cmake.items() <= build.cmake.items()
    ]
    if not builds:
        yield Finding(check="engine", level=Level.UNKNOWN, seen="none is built for this target yet")
    for build in builds:
        try:
            note = require_run(build, configs, target, folders)
        except HostError as error:
            yield Finding(
                check="engine",
                level=Level.WARN,
                seen=f"{build.pin}: {error.what}",
                hint=error.hint or "",
            )
        else:
            level = Level.WARN if note else Level.OK
            yield Finding(check="engine", level=level, seen=f"{build.pin}: {note or 'it runs'}")


def _read(folder: Path) -> EngineBuild | None:
    try:
        return read_build(folder)
    except ApplianceError:  # a build that is refused is made again
        return None


def _tiny_model(configs: Configs, folders: Folders) -> PlannedModel | None:
    for name, entry in configs.models.models.items():
        if entry.architecture != _ARCHITECTURE:
            continue
        try:
            written = write_twin(entry, name, TwinScale.TINY, folders.cache / "trial")
        except ConfigError:  # no shape, or not one that a twin can have
            continue
        return planned_model(name, entry, read_model_file(written.path))
    return None


def _run(build: EngineBuild, model: PlannedModel, target: Target) -> EngineResult:
    spec = RunSpec(
        target="trial",
        pin=build.pin,
        model=model.id,
        prompt="trial",
        experiment="trial",
        repetition=1,
        threads=1,
        n_predict=_TOKENS,
        ignore_eos=True,
        context=_CONTEXT,
    )
    with scratch_folder("edgemoe-trial-") as scratch:
        prompt = scratch / "prompt.txt"
        prompt.write_bytes(prompt_file_bytes(_PROMPT))
        argv = build_argv(spec, engine=build, model=model, target=target, prompt_file=prompt)
        environment = scrubbed_environment(os.environ)[0]
        return run_engine(argv, environment, timeout_s=_ANSWER_S)

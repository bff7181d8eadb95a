"""Built engines run once before anything is measured: real ones, and scripts that die like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.bench import trial
from edgemoe_appliance.bench.paths import Folders, default_folders
from edgemoe_appliance.bench.trial import check_engines, require_run
from edgemoe_appliance.engine import toolchain
from edgemoe_appliance.engine.toolchain import portable_flags
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import Backend, Configs
from edgemoe_appliance.schema.findings import Level
from edgemoe_appliance.schema.plan import EngineBuild
from tests.conftest import RealEngine


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return replace(default_folders(), cache=tmp_path / "cache")


def script(build: EngineBuild, folder: Path, behaviour: str, native: str = "ON") -> EngineBuild:
    program = folder / "llama-cli"
    program.write_text(f"#!/bin/sh\nexport PATH=/usr/bin:/bin\n{behaviour}\n")
    program.chmod(0o755)
    return build.model_copy(update={"binary": str(program), "cmake": {"GGML_NATIVE": native}})


@pytest.mark.engine
def test_an_engine_that_runs_says_nothing(
    engine: RealEngine, configs: Configs, folders: Folders
) -> None:
    assert require_run(engine.build, configs, configs.target("host"), folders) == ""


@pytest.mark.engine
def test_a_gpu_that_is_not_there_is_told_beforehand(
    engine: RealEngine, configs: Configs, folders: Folders
) -> None:
    gpu = configs.target("host").model_copy(update={"backend": Backend.CUDA, "n_gpu_layers": 99})
    note = require_run(engine.build, configs, gpu, folders)
    assert "NO GPU" in note
    assert "'warning: no usable GPU found" in note


LOADER = (
    "llama-cli: error while loading shared libraries: libcuda.so.1: cannot open shared object "
    "file: No such file or directory"
)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("behaviour", "native", "told", "hint"),
    [
        ("kill -ILL $$", "ON", "SIGILL", "--portable"),
        ("kill -SEGV $$", "ON", "SIGSEGV", "--portable"),
        ("kill -ILL $$", "OFF", "SIGILL", "build it again"),
        ("echo libgomp.so.1: cannot open >&2; exit 127", "ON", "libgomp.so.1", "build it again"),
        (f"echo '{LOADER}' >&2; exit 127", "ON", "libcuda.so.1", "install the driver"),
        (
            "echo '  what():  vk::createInstance: ErrorIncompatibleDriver' >&2; kill -ABRT $$",
            *("ON", "finds no device on this machine", "doctor"),
        ),
        ("sleep 60", "ON", "did not end within 0 s", "build it again"),
    ],
)
def test_an_engine_that_dies_is_told_with_what_to_do(
    engine: RealEngine,
    configs: Configs,
    folders: Folders,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    behaviour: str,
    native: str,
    told: str,
    hint: str,
) -> None:
    monkeypatch.setattr(trial, "_ANSWER_S", 0.3)
    broken = script(engine.build, tmp_path, behaviour, native)
    with pytest.raises(HostError) as caught:
        require_run(broken, configs, configs.target("host"), folders)
    assert told in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.engine
def test_doctor_tries_what_the_cache_holds(
    engine: RealEngine, configs: Configs, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = configs.target("host")
    (none,) = check_engines(configs, target, folders)
    assert (none.level, none.seen) == (Level.UNKNOWN, "none is built for this target yet")
    (folders.cache / "builds" / "one").mkdir(parents=True)
    found = {"build": engine.build}
    monkeypatch.setattr(trial, "_read", lambda _: found["build"])
    (fine,) = check_engines(configs, target, folders)
    assert (fine.level, fine.seen) == (Level.OK, "b4447: it runs")
    broken = script(engine.build, folders.cache, "kill -ILL $$")
    found["build"] = broken.model_copy(update={"cmake": engine.build.cmake})
    (bad,) = check_engines(configs, target, folders)
    assert bad.level is Level.WARN
    assert "SIGILL" in bad.seen
    assert "--portable" in bad.hint


def test_without_a_twin_nothing_is_tried(
    configs: Configs, folders: Folders, engine: RealEngine
) -> None:
    none = configs.models.model_copy(update={"models": {}})
    empty = configs.model_copy(update={"models": none})
    assert "not tried" in require_run(engine.build, empty, configs.target("host"), folders)


@pytest.mark.parametrize(
    ("cpu", "on"),
    [
        ("flags\t: fpu sse4_2 avx avx2 fma f16c bmi2 avx512f amx_int8", 6),
        ("flags\t: fpu sse4_2 avx", 2),
        ("Features\t: fp asimd", 0),
    ],
)
def test_a_portable_build_names_what_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, cpu: str, on: int
) -> None:
    monkeypatch.setattr(toolchain, "read_native_cpu", lambda: cpu)
    flags = portable_flags({"GGML_CUDA": "ON", "GGML_NATIVE": "ON"})
    assert (flags["GGML_CUDA"], flags["GGML_NATIVE"]) == ("ON", "OFF")
    assert sum(value == "ON" for value in flags.values()) == on + 1
    assert not any("AVX512" in name or "AMX" in name for name in flags)

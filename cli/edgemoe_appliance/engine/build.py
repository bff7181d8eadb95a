"""Builds of llama.cpp: one per source, flags and compiler, whole and checked, or not at all.

A build is a folder with bin/ (the program, llama-bench, shared libraries), build.log and
build.json, which is written last. Where they are asked for, the engine's tools that quantise
models and judge their answers lie in bin/ too, with a record of their own (tools.json): a build
made before they were wanted stays what it was. Runs nothing that it built.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import takewhile
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import Field, ValidationError

from edgemoe_appliance.engine.dialect import Dialect, read_dialect
from edgemoe_appliance.engine.nvidia import with_gpu_of_this_host
from edgemoe_appliance.engine.source import PreparedSource, choose_pin, partial_folder
from edgemoe_appliance.engine.toolchain import (
    Toolchain,
    build_environment,
    is_on,
    read_native_cpu,
    read_toolchain,
)
from edgemoe_appliance.engine.tools import ToolResult, run_tool
from edgemoe_appliance.engine.tree import is_work
from edgemoe_appliance.errors import DigestError, HostError, RecordError
from edgemoe_appliance.schema.base import Frozen, canonical_json, digest_of
from edgemoe_appliance.schema.configs import (
    EnginesConfig,
    EngineSource,
    GitSource,
    Identifier,
    SdistSource,
    Sha256,
)
from edgemoe_appliance.schema.files import cache_lock, file_sha256, write_atomically
from edgemoe_appliance.schema.plan import (
    ENGINE_PROGRAMS,
    ENGINE_TOOLS,
    NO_MMAP_ARGS,
    EngineBuild,
)
from edgemoe_appliance.schema.text import on_one_line

# Raised when the same inputs would be built in another way.
_RECIPE: Final = 1
_BENCH: Final = "llama-bench"
_LIBRARIES: Final = ("*.so", "*.so.*", "*.dylib", "*.metallib")
_RECORD: Final = "build.json"
_TOOLS_RECORD: Final = "tools.json"
_LOG: Final = "build.log"
_BEGUN: Final = "source.whole"  # written when a tree to build from has been copied
_SPACE_BYTES: Final = 1_000_000_000
# CUDA kernels take over an hour on a Jetson.
_BUILD_S: Final = 4 * 3600.0
# `[12/345]` of ninja, `[ 12%]` of make.
_PROGRESS: Final = re.compile(
    r"^\[\s*(?:(?P<done>\d+)/(?P<all>\d+)|(?P<percent>\d+)%)\]\s*(?P<what>.*)"
)
_SHIPPED_COMMIT: Final = re.compile(r'LLAMA_COMMIT = "([0-9a-f]{7,40})"')


class BuildStage(str, Enum):
    """What is going on."""

    SOURCE = "source"
    WAIT = "wait"  # another process builds the same
    CONFIGURE = "configure"
    COMPILE = "compile"


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """One step of a build for a progress bar; `percent` is None where it is not known."""

    stage: BuildStage
    percent: float | None
    text: str


OnProgress = Callable[[BuildProgress], None]
RecordT = TypeVar("RecordT", bound=Frozen)


class _BuildRecord(Frozen):
    """build.json: what was built from what, with what, and the digests of the results.

    `duration_s` is None in an image, where equal builds are to be equal files.
    """

    schema_version: Literal[1] = 1
    pin: Identifier
    source: EngineSource
    source_sha256: Sha256
    build_key: Sha256
    version: str = Field(pattern=r"^\d{1,9} \(.*\)$")
    cmake: dict[str, str]
    compiler: str
    generator: str
    duration_s: float | None = Field(default=None, ge=0)
    files_sha256: dict[str, Sha256]
    extra_args: tuple[str, ...]
    no_mmap_args: tuple[str, ...] = NO_MMAP_ARGS
    why: str

    @property
    def build_number(self) -> int | None:
        """Return the build number that the engine prints, None where it prints none."""
        number, _, _ = self.version.partition(" ")
        return int(number) or None

    @property
    def program(self) -> str:
        """Return the name of the program in bin/."""
        return next(name for name in ENGINE_PROGRAMS if name in self.files_sha256)


class _ToolsRecord(Frozen):
    """tools.json: what lies in bin/ for the tools alone, and the build that it belongs to."""

    schema_version: Literal[1] = 1
    build_key: Sha256
    files_sha256: dict[str, Sha256]


def engine_build(
    engines: EnginesConfig,
    cache: Path,
    *,
    cmake: Mapping[str, str],
    asked: str | None = None,
    with_tools: bool = False,
    on_progress: OnProgress = lambda _progress: None,
) -> EngineBuild:
    """Return a build of the asked-for pin, else of the default or the fallback.

    `cmake` holds the target's flags. Raises ConfigError, HostError, DigestError.
    """
    name = asked or engines.default
    on_progress(BuildProgress(stage=BuildStage.SOURCE, percent=None, text=f"source of {name}"))
    source = choose_pin(engines, cache, asked)
    return build_engine(source, cache, cmake=cmake, with_tools=with_tools, on_progress=on_progress)


def build_engine(
    source: PreparedSource,
    cache: Path,
    *,
    cmake: Mapping[str, str],
    with_tools: bool = False,
    on_progress: OnProgress = lambda _progress: None,
) -> EngineBuild:
    """Return the build of a source with a target's flags, made now or found in the cache.

    `with_tools` adds the tools of ENGINE_TOOLS to it, in the same compilation where nothing is
    built yet. Raises ConfigError where the source lacks what a run needs, HostError where tools
    are missing or the build fails, DigestError where a build in the cache is not what was built.
    """
    dialect = read_dialect(source.folder)
    recipe = _Recipe(
        source=source,
        dialect=dialect,
        target_flags=with_gpu_of_this_host(cmake),
        tools=read_toolchain(cmake),
    )
    # Resolved, as compilers are told to cut this path out of what they compile.
    entry = cache.resolve() / "builds" / f"{source.pin}-{recipe.key[:16]}"

    def on_wait() -> None:
        text = "another process builds the same engine"
        on_progress(BuildProgress(stage=BuildStage.WAIT, percent=None, text=text))

    with cache_lock(entry, on_wait):
        if not entry.is_dir():
            _make(recipe, entry, on_progress, with_tools=with_tools)
        elif with_tools and not (entry / _TOOLS_RECORD).is_file():
            _add_tools(recipe, entry, on_progress)
        return read_build(entry, with_tools=with_tools).model_copy(update={"why": source.why})


def read_build(folder: Path, *, with_tools: bool = False) -> EngineBuild:
    """Return the build in a folder after checking every file of it, those of the tools if asked.

    Raises HostError where there is none, RecordError where its record is foreign or newer,
    DigestError where a file is missing or not the one that was built.
    """
    record = _read_record(folder, _RECORD, _BuildRecord)
    tools = _read_record(folder, _TOOLS_RECORD, _ToolsRecord).files_sha256 if with_tools else {}
    for name, expected in {**record.files_sha256, **tools}.items():
        path = folder / "bin" / name
        found = file_sha256(path) if path.is_file() else "missing"
        if found != expected:
            raise DigestError(
                f"sha256 is {found}, was {expected} when it was built",
                where=str(path),
                hint=f"remove {folder} and build again",
            )
    kept = record.model_dump(exclude={"schema_version", "version", "generator", "duration_s"})
    binary = str((folder / "bin" / record.program).absolute())
    number = record.build_number
    return EngineBuild(**kept, binary=binary, tools_sha256=tools, build_number=number)


def has_tools(folder: Path) -> bool:
    """Return whether the build in a folder has the engine's tools."""
    return (folder / _TOOLS_RECORD).is_file()


def _read_record(folder: Path, name: str, kind: type[RecordT]) -> RecordT:
    path = folder / name
    try:
        text = path.read_bytes()
    except OSError as error:
        raise HostError(
            f"no engine is built there ({error.strerror})",
            where=str(folder),
            hint="edgemoe-appliance build",
        ) from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "record"
        raise RecordError(
            f"{key}: {first['msg']}", where=str(path), hint=f"remove {folder} and build again"
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """All that decides what comes out of a build."""

    source: PreparedSource
    dialect: Dialect
    target_flags: dict[str, str]
    tools: Toolchain

    @property
    def programs(self) -> tuple[str, ...]:
        """Return what is built; libraries follow from it."""
        return (self.dialect.program, _BENCH)

    @property
    def flags(self) -> dict[str, str]:
        """Return the cmake variables that hold on every machine, the target's among them."""
        on_mac = sys.platform == "darwin"
        fixed = {
            "CMAKE_BUILD_TYPE": "Release",
            "BUILD_SHARED_LIBS": "ON",  # the routing probe interposes calls between them
            "LLAMA_CURL": "OFF",
            "LLAMA_BUILD_TESTS": "OFF",
            "LLAMA_BUILD_SERVER": "OFF",
            "GGML_CCACHE": "OFF",
            # The libraries lie beside the programs, wherever the folder is moved to.
            "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
            "CMAKE_INSTALL_RPATH": "@loader_path" if on_mac else "$ORIGIN",
        }
        if on_mac and is_on(self.target_flags.get("GGML_METAL", "OFF")):
            # Under a Python for x86 compilers build for x86, which Rosetta would then run.
            fixed["CMAKE_OSX_ARCHITECTURES"] = "arm64"
        flags = {**self.target_flags, **fixed, **self.dialect.cmake}
        if not on_mac:
            # DT_RPATH comes before LD_LIBRARY_PATH, where another libllama.so might lie.
            for name in ("CMAKE_EXE_LINKER_FLAGS", "CMAKE_SHARED_LINKER_FLAGS"):
                flags[name] = f"{flags.get(name, '')} -Wl,--disable-new-dtags".strip()
        return flags

    @property
    def version(self) -> str:
        """Return what the program's `--version` shall say: build number and commit."""
        number, commit = _build_info(self.source)
        return f"{number} ({commit})"

    @property
    def key(self) -> str:
        """Return the digest of everything that decides about the result."""
        is_native = is_on(self.flags.get("GGML_NATIVE", "ON"))
        parts = {
            "recipe": _RECIPE,
            "source": self.source.sha256,
            "version": self.version,
            "cmake": self.flags,
            "compiler": self.tools.compiler,
            "machine": self.tools.machine,
            "native": read_native_cpu() if is_native else None,
        }
        return digest_of(parts)


def _build_info(source: PreparedSource) -> tuple[int, str]:
    """Return build number, 0 where it is not known, and commit, as the engine is to print them.

    A source distribution ships a generated file whose commit is right, while its number (of a
    shallow clone) and its compiler are not.
    """
    number = source.build_number or 0
    if isinstance(source.source, GitSource):
        return number, source.source.commit[:7]
    if isinstance(source.source, SdistSource):
        shipped = source.folder / "common" / "build-info.cpp"
        text = shipped.read_text(encoding="utf-8") if shipped.is_file() else ""
        commit = _SHIPPED_COMMIT.search(text)
        return number, commit[1] if commit else f"sdist-{source.source.sha256[:12]}"
    return number, f"tree-{source.sha256[:12]}"


def _make(
    recipe: _Recipe, entry: Path, on_progress: OnProgress, *, with_tools: bool = False
) -> None:
    """Build under a temporary name and rename the result into place.

    Compiling takes place in a folder of its own that outlives a kill: on a board it takes over an
    hour, which a power cut must not take away.
    """
    begin_s = time.monotonic()
    log = entry.with_name(f"{entry.name}.log")
    work = entry.with_name(f".{entry.name}.work")
    with partial_folder(entry, _SPACE_BYTES) as partial:
        tools = ENGINE_TOOLS if with_tools else ()
        job = _Job(recipe=recipe, targets=(*recipe.programs, *tools), work=work, log=log)
        _compile_or_continue(job, on_progress)
        files = _install(job.targets, work / "build", partial / "bin")
        shutil.rmtree(work)
        log.rename(partial / _LOG)
        own = {name: sha256 for name, sha256 in files.items() if not is_of_tools(name)}
        _write_record(partial / _RECORD, _record(recipe, own, time.monotonic() - begin_s))
        if with_tools:
            _write_tools_record(recipe, partial, files)
        partial.rename(entry)


def _add_tools(recipe: _Recipe, entry: Path, on_progress: OnProgress) -> None:
    """Compile the tools for a build that is there, and put them beside its libraries.

    They load those very libraries: what judges a model computes with what runs it.
    """
    work, log = entry.with_name(f".{entry.name}.tools.work"), entry / "tools.log"
    job = _Job(recipe=recipe, targets=ENGINE_TOOLS, work=work, log=log)
    with partial_folder(entry.with_name(f"{entry.name}.tools"), _SPACE_BYTES) as partial:
        _compile_or_continue(job, on_progress)
        files = _install(job.targets, work / "build", partial / "bin")
        for name in filter(is_of_tools, files):
            (partial / "bin" / name).replace(entry / "bin" / name)
        shutil.rmtree(work)
        _write_tools_record(recipe, entry, files)


def is_of_tools(name: str) -> bool:
    """Return whether a file of bin/ belongs to the tools alone: a program, or its own library."""
    return any(name == tool or name.startswith(f"lib{tool}-impl.") for tool in ENGINE_TOOLS)


def _write_tools_record(recipe: _Recipe, folder: Path, files: Mapping[str, str]) -> None:
    tools = {name: sha256 for name, sha256 in files.items() if is_of_tools(name)}
    record = _ToolsRecord(build_key=recipe.key, files_sha256=tools)
    _write_record(folder / _TOOLS_RECORD, record)


def _write_record(path: Path, record: Frozen) -> None:
    write_atomically(path, (canonical_json(record.model_dump(mode="json")) + "\n").encode())


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One compilation: of what, in which folder, and where its output is kept."""

    recipe: _Recipe
    targets: tuple[str, ...]
    work: Path
    log: Path


def _compile_or_continue(job: _Job, on_progress: OnProgress) -> None:
    """Compile from the beginning, or from where a killed build of the same recipe was.

    Ninja alone knows by its log which files were being written; after make, half a file would pass
    for a whole one. A continued build that fails is made from the beginning: after a power cut a
    file that was logged may be empty. One that fails from the beginning leaves nothing.
    """
    begun = job.work / _BEGUN
    continues = begun.exists() and job.recipe.tools.generator == "Ninja"
    if not continues:
        shutil.rmtree(job.work, ignore_errors=True)
        job.log.unlink(missing_ok=True)
        _copy_source(job.recipe, job.work / "source")
        write_atomically(begun, b"")
    try:
        _compile(job, on_progress)
    except HostError:
        shutil.rmtree(job.work, ignore_errors=True)
        if not continues:
            raise
        _compile_or_continue(job, on_progress)


def _record(recipe: _Recipe, files: dict[str, str], duration_s: float) -> _BuildRecord:
    source = recipe.source
    return _BuildRecord(
        pin=source.pin,
        source=source.source,
        source_sha256=source.sha256,
        build_key=recipe.key,
        version=recipe.version,
        cmake=recipe.flags,
        compiler=f"{recipe.tools.compiler}, {recipe.tools.machine}",
        generator=recipe.tools.generator,
        duration_s=round(duration_s, 3),
        files_sha256=files,
        extra_args=recipe.dialect.extra_args,
        no_mmap_args=recipe.dialect.no_mmap_args,
        why=source.why,
    )


def _copy_source(recipe: _Recipe, copied: Path) -> None:
    """Copy a tree to build from, as llama.cpp writes into it, with a truthful build info.

    Left alone, its cmake files would ask git, which would answer for whatever repository the
    cache lies in, or would keep the file that a source distribution ships.
    """
    root = recipe.source.folder
    shutil.copytree(root, copied, symlinks=True, ignore=_left_out(root))
    number, commit = _build_info(recipe.source)
    values = {
        "BUILD_NUMBER": str(number),
        "BUILD_COMMIT": commit,
        "BUILD_COMPILER": recipe.tools.compiler,
        "BUILD_TARGET": recipe.tools.machine,
    }
    lines = [f'set({name} "{_harmless(value)}")\n' for name, value in values.items()]
    (copied / "cmake" / "build-info.cmake").write_text("".join(lines), encoding="utf-8")
    (copied / "common" / "build-info.cpp").unlink(missing_ok=True)


def _left_out(root: Path) -> Callable[[str, list[str]], set[str]]:
    """Return what tells which names of a folder are not copied: what no build reads."""
    work = is_work(root)

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name == ".git" or work(Path(folder) / name)}

    return ignored


def _harmless(text: str) -> str:
    """Return text without what cmake or C would read inside quotes as more than text."""
    return re.sub(r"[^A-Za-z0-9 ()+,./:_~-]", "_", text)


def _compile(job: _Job, on_progress: OnProgress) -> None:
    tools, log = job.recipe.tools, job.log
    source, build = job.work / "source", job.work / "build"
    flags = {**job.recipe.flags, **tools.flags}
    # Messages of failed assertions name files: as in the source, not as on this machine.
    for name in ("CMAKE_C_FLAGS", "CMAKE_CXX_FLAGS"):
        flags[name] = f"{flags.get(name, '')} -ffile-prefix-map={source}=llama.cpp".strip()
    configure = [str(tools.cmake), "-S", str(source), "-B", str(build), "-G", tools.generator]
    configure += [f"-D{name}={value}" for name, value in sorted(flags.items())]
    _step(configure, BuildStage.CONFIGURE, log, on_progress)
    compile_ = [str(tools.cmake), "--build", str(build), "--config", "Release"]
    compile_ += ["--parallel", str(_jobs()), "--target", *job.targets]
    _step(compile_, BuildStage.COMPILE, log, on_progress)


def _jobs() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _step(argv: list[str], stage: BuildStage, log: Path, on_progress: OnProgress) -> None:
    """Run one cmake command, its output going to the log, line by line, and to the progress."""
    highest = 0.0
    with log.open("a", encoding="utf-8", buffering=1) as file:
        file.write(f"$ {' '.join(argv)}\n")

        def on_line(line: str) -> None:
            nonlocal highest
            file.write(line + "\n")
            progress = parse_progress(stage, line)
            if progress.percent is not None:
                # make counts each of the two targets from nothing
                highest = max(highest, progress.percent)
                progress = replace(progress, percent=highest)
            on_progress(progress)

        result = run_tool(
            argv, env=build_environment(os.environ), timeout_s=_BUILD_S, on_line=on_line
        )
    if result.exit_code != 0:
        raise HostError(
            f"{stage.value} of the engine failed ({_told(result)})",
            where=str(log),
            hint="the log has the whole output",
        )


def _told(result: ToolResult) -> str:
    if result.timed_out:
        return "no end in time"
    return first_cmake_error(result.lines) or result.last_error


def first_cmake_error(lines: Sequence[str]) -> str | None:
    """Return the first error that cmake tells, with its text, on one line; None without one.

    It names a place, then says in indented lines what is wrong there; what comes later follows
    from it, or says only that something was wrong.
    """
    start = next((n for n, line in enumerate(lines) if line.startswith("CMake Error")), None)
    if start is None:
        return None
    text = takewhile(lambda line: not line or line[0].isspace(), lines[start + 1 :])
    told = (lines[start], *text)
    return on_one_line(" ".join(line.strip() for line in told if line.strip()), 240)


def parse_progress(stage: BuildStage, line: str) -> BuildProgress:
    """Return what a line of cmake, make or ninja says about progress."""
    match = _PROGRESS.match(line)
    if match is None:
        return BuildProgress(stage=stage, percent=None, text=line.strip())
    if match["percent"]:
        percent = float(match["percent"])
    else:
        percent = 100 * int(match["done"]) / max(1, int(match["all"]))
    return BuildProgress(stage=stage, percent=min(100.0, percent), text=match["what"].strip())


def _install(names: tuple[str, ...], build: Path, target: Path) -> dict[str, str]:
    """Copy programs and libraries into one folder and return their digests by name."""
    target.mkdir()
    programs = [build / "bin" / name for name in names]
    libraries = [path for pattern in _LIBRARIES for path in sorted(build.rglob(pattern))]
    for path in (*programs, *libraries):
        if "CMakeFiles" not in path.relative_to(build).parts:
            shutil.copy(path, target / path.name)
    return {path.name: file_sha256(path) for path in sorted(target.iterdir())}

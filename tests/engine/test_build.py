"""Builds of a small project of llama.cpp's shape, with the real cmake and compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemoe_appliance.engine import build as build_module
from edgemoe_appliance.engine import toolchain
from edgemoe_appliance.engine.build import (
    BuildProgress,
    BuildStage,
    build_engine,
    engine_build,
    first_cmake_error,
    parse_progress,
    read_build,
)
from edgemoe_appliance.engine.dialect import read_dialect
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tools import find_tool
from edgemoe_appliance.engine.tree import tree_digest
from edgemoe_appliance.errors import ConfigError, DigestError, HostError, RecordError
from edgemoe_appliance.schema.configs import (
    DirectorySource,
    EnginesConfig,
    GitSource,
    Pin,
    SdistSource,
    number_in_name,
)
from edgemoe_appliance.schema.plan import EngineBuild
from tests.engine.processes import start_python
from tests.engine.small_source import write_small_source

pytestmark = pytest.mark.skipif(
    not (find_tool("cmake") and find_tool("cc") and find_tool("c++")), reason="no compiler here"
)

FLAGS = {"GGML_NATIVE": "OFF"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_source(tmp_path_factory.mktemp("upstream"))


def a_source(tree: Path, pin: str = "b4404") -> PreparedSource:
    return PreparedSource(
        pin=pin,
        source=GitSource(kind="git", repository="https://host/x", commit="0827b2c1" + "d" * 32),
        folder=tree,
        sha256=tree_digest(tree),
        build_number=number_in_name(pin),
        why="a test",
    )


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> EngineBuild:
    """One build that tests look at and do not change."""
    return build_engine(a_source(tree), tmp_path_factory.mktemp("cache"), cmake=FLAGS)


@pytest.fixture
def own(built: EngineBuild, tmp_path: Path) -> Path:
    """A copy of the build's folder to do harm to."""
    return Path(shutil.copytree(Path(built.binary).parent.parent, tmp_path / "own"))


def version(binary: str | Path) -> list[str]:
    result = subprocess.run([str(binary)], capture_output=True, text=True, check=True, env={})
    return result.stdout.splitlines()


def test_a_build_has_its_programs_and_libraries_in_one_folder(built: EngineBuild) -> None:
    folder = Path(built.binary).parent
    library = "libggml.dylib" if sys.platform == "darwin" else "libggml.so"
    assert {path.name for path in folder.iterdir()} == {"llama-cli", "llama-bench", library}
    assert set(built.files_sha256) == {"llama-cli", "llama-bench", library}
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "bin",
        "build.json",
        "build.log",
    ]


def test_a_build_says_who_it_is_whatever_the_source_ships(built: EngineBuild) -> None:
    first, _ = version(built.binary)
    assert first.startswith("version: 4404 (0827b2c) ")
    assert built.compiler.startswith(first.removeprefix("version: 4404 (0827b2c) "))


def test_messages_of_a_build_do_not_name_this_machine_s_folders(built: EngineBuild) -> None:
    assert version(built.binary)[1] == "llama.cpp/ggml/ggml.c"


def test_a_cache_may_be_named_from_here(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build = build_engine(a_source(tree), Path("cache"), cmake=FLAGS)
    assert Path(build.binary).is_absolute()
    assert version(build.binary)[1] == "llama.cpp/ggml/ggml.c"


def test_a_build_can_be_moved(own: Path) -> None:
    moved = own.rename(own.with_name("moved"))
    assert version(moved / "bin" / "llama-cli")
    assert read_build(moved).binary == str(moved / "bin" / "llama-cli")


@pytest.mark.skipif(sys.platform != "linux", reason="about the Linux loader")
def test_a_build_takes_its_own_libraries_before_others(own: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "libggml.so").write_bytes(b"not even a library")
    environment = {"LD_LIBRARY_PATH": str(other)}
    subprocess.run([str(own / "bin" / "llama-cli")], check=True, env=environment)


def test_the_source_is_not_written_to(built: EngineBuild, tree: Path) -> None:
    assert built.source_sha256 == tree_digest(tree)


def test_a_build_is_made_once(
    tree: Path, built: EngineBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_make", lambda *_: pytest.fail("built again"))
    cache = Path(built.binary).parents[3]
    again = build_engine(a_source(tree), cache, cmake=FLAGS)
    assert again == built
    assert again.why == "a test"


def test_the_record_is_the_whole_story(built: EngineBuild) -> None:
    folder = Path(built.binary).parent.parent
    record = json.loads((folder / "build.json").read_text())
    assert record["version"] == "4404 (0827b2c)"
    assert built.build_number == 4404
    assert record["cmake"]["GGML_NATIVE"] == "OFF"
    assert record["cmake"]["CMAKE_BUILD_TYPE"] == "Release"
    assert record["duration_s"] > 0
    assert str(folder.parent) not in (folder / "build.json").read_text()
    assert "Building" in (folder / "build.log").read_text()


@pytest.mark.parametrize("name", ["llama-cli", "libggml.so"])
def test_a_changed_file_is_refused(own: Path, name: str) -> None:
    with (own / "bin" / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DigestError, match="when it was built") as caught:
        read_build(own)
    assert caught.value.hint == f"remove {own} and build again"
    assert caught.value.exit_code == 4


def test_a_missing_file_is_refused(own: Path) -> None:
    (own / "bin" / "llama-bench").unlink()
    with pytest.raises(DigestError, match="sha256 is missing"):
        read_build(own)


def test_a_half_done_build_is_no_build(own: Path) -> None:
    (own / "build.json").unlink()
    with pytest.raises(HostError, match="no engine is built there"):
        read_build(own)


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"surprise": 1}, {"build_key": "x"}])
def test_a_foreign_record_is_refused(own: Path, change: Mapping[str, object]) -> None:
    record = json.loads((own / "build.json").read_text())
    (own / "build.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(RecordError, match=next(iter(change))):
        read_build(own)


def test_a_damaged_record_is_refused(own: Path) -> None:
    (own / "build.json").write_bytes(b"{\xff")
    with pytest.raises(RecordError):
        read_build(own)


def key_of(source: PreparedSource, cmake: Mapping[str, str], cache: Path) -> str:
    """Return the key under which a build would be made, without making it."""
    entries: list[str] = []

    def note(_recipe: object, entry: Path, _on_progress: object, *, with_tools: bool) -> None:
        entries.append(entry.name)
        raise HostError("not built here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "_make", note)
        with pytest.raises(HostError, match="not built here"):
            build_engine(source, cache, cmake=cmake)
    return entries[0]


def test_all_that_decides_about_a_build_is_in_its_key(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = a_source(tree)
    keys = [
        key_of(source, FLAGS, tmp_path),
        key_of(source, {"GGML_NATIVE": "ON"}, tmp_path),
        key_of(source, {**FLAGS, "GGML_OPENMP": "OFF"}, tmp_path),
        key_of(a_source(tree, "b4405"), FLAGS, tmp_path),
    ]
    assert keys[0] == key_of(source, dict(FLAGS), tmp_path)
    monkeypatch.setattr(toolchain, "_first_line", lambda *_: "cc 99.0")
    keys.append(key_of(source, FLAGS, tmp_path))
    assert len(set(keys)) == 5


def test_a_native_build_is_of_one_processor(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, native = a_source(tree), {"GGML_NATIVE": "ON"}
    portable, here = key_of(source, FLAGS, tmp_path), key_of(source, native, tmp_path)
    monkeypatch.setattr(build_module, "read_native_cpu", lambda: "another processor")
    assert key_of(source, FLAGS, tmp_path) == portable
    assert key_of(source, native, tmp_path) != here


def test_a_caller_s_flags_do_not_leak_into_a_build(tree: Path, tmp_path: Path) -> None:
    """As when `make` calls us, or a distribution's build environment is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", "-not-a-flag")
        patch.setenv("CXXFLAGS", "-not-a-flag")
        patch.setenv("LDFLAGS", "-not-a-flag")
        patch.setenv("MAKEFLAGS", "n")
        patch.setenv("CMAKE_GENERATOR", "No Such Generator")
        assert build_engine(a_source(tree), tmp_path, cmake=FLAGS).files_sha256


def test_linker_flags_of_a_target_are_kept(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_make", lambda *_: None)
    cmake = {**FLAGS, "CMAKE_EXE_LINKER_FLAGS": "-Wl,--allow-shlib-undefined"}
    tools = toolchain.read_toolchain(cmake)
    recipe = build_module._Recipe(
        source=a_source(tree), dialect=read_dialect(tree), target_flags=cmake, tools=tools
    )
    assert recipe.flags["CMAKE_EXE_LINKER_FLAGS"].startswith("-Wl,--allow-shlib-undefined")


@pytest.mark.parametrize(
    ("platform", "metal", "architecture"),
    [("darwin", "ON", "arm64"), ("darwin", "OFF", None), ("linux", "ON", None)],
)
def test_metal_is_built_for_arm64_under_a_translated_python(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    metal: str,
    architecture: str | None,
) -> None:
    tools = toolchain.read_toolchain(FLAGS)
    monkeypatch.setattr(sys, "platform", platform)
    recipe = build_module._Recipe(
        source=a_source(tree),
        dialect=read_dialect(tree),
        target_flags={"GGML_METAL": metal},
        tools=tools,
    )
    assert recipe.flags.get("CMAKE_OSX_ARCHITECTURES") == architecture


def test_a_source_that_does_not_compile(tree: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tree, tmp_path / "broken"))
    (broken / "main.cpp").write_text("int main() { return nonsense; }")
    with pytest.raises(HostError, match=r"compile of the engine failed .*nonsense") as caught:
        build_engine(a_source(broken), tmp_path / "cache", cmake=FLAGS)
    assert caught.value.exit_code == 3
    assert "nonsense" in Path(str(caught.value.where)).read_text()
    left = [path for path in (tmp_path / "cache" / "builds").iterdir() if path.is_dir()]
    assert left == []


def test_a_source_that_cannot_be_configured(tree: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tree, tmp_path / "broken"))
    (broken / "CMakeLists.txt").write_text("message(FATAL_ERROR no-such-thing)")
    with pytest.raises(HostError, match="configure of the engine failed"):
        build_engine(a_source(broken), tmp_path / "cache", cmake=FLAGS)


def test_no_space(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "_SPACE_BYTES", 10**18)
    with pytest.raises(HostError, match=r"free, .* needed"):
        build_engine(a_source(tree), tmp_path, cmake=FLAGS)


def test_two_builders_of_one_engine_make_it_once(tree: Path, tmp_path: Path) -> None:
    stages: list[BuildStage] = []
    found: list[EngineBuild] = []

    def build() -> None:
        found.append(
            build_engine(
                a_source(tree), tmp_path, cmake=FLAGS, on_progress=lambda p: stages.append(p.stage)
            )
        )

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert BuildStage.WAIT in stages


def test_a_killed_build_leaves_nothing_that_could_be_used(tree: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path;"
        "from edgemoe_appliance.engine.build import build_engine;"
        "from tests.engine.test_build import FLAGS, a_source;"
        "build_engine(a_source(Path(sys.argv[1])), Path(sys.argv[2]), cmake=FLAGS,"
        " on_progress=lambda p: print(p.stage.value, flush=True))"
    )
    with start_python(script, [tree, tmp_path]) as process:
        assert process.stdout
        next(line for line in process.stdout if line == b"compile\n")
        process.kill()
    visible = [p for p in (tmp_path / "builds").iterdir() if not p.name.startswith(".")]
    assert [path.suffix for path in visible] == [".log"]
    assert build_engine(a_source(tree), tmp_path, cmake=FLAGS).files_sha256
    partial = [p for p in (tmp_path / "builds").iterdir() if ".partial-" in p.name]
    assert partial == []


def killed_build(tree: Path, folder: Path) -> Path:
    """Leave what a build leaves that is killed once it has compiled something, and return it."""
    script = (
        "import os, sys; from pathlib import Path;"
        "from edgemoe_appliance.engine.build import build_engine;"
        "from tests.engine.test_build import FLAGS, a_source;"
        "build_engine(a_source(Path(sys.argv[1])), Path(sys.argv[2]), cmake=FLAGS,"
        " on_progress=lambda p: p.percent and os.kill(os.getpid(), 9))"
    )
    with start_python(script, [tree, folder]) as process:
        assert process.wait() == -9
    (work,) = (folder / "builds").glob(".*.work")
    return work


def refuse_to_copy(*_: object) -> None:
    raise AssertionError("the source was copied again")


@pytest.mark.skipif(find_tool("ninja") is None, reason="make does not know half files")
def test_a_killed_build_is_continued(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = killed_build(tree, tmp_path)
    monkeypatch.setattr(build_module, "_copy_source", refuse_to_copy)
    assert build_engine(a_source(tree), tmp_path, cmake=FLAGS).files_sha256
    assert not work.exists()


@pytest.mark.skipif(find_tool("ninja") is None, reason="make does not know half files")
def test_a_build_that_cannot_be_continued_is_made_anew(tree: Path, tmp_path: Path) -> None:
    work = killed_build(tree, tmp_path)
    for compiled in (work / "source").rglob("*.c*"):
        compiled.write_text("what a power cut leaves of a file")
    assert build_engine(a_source(tree), tmp_path, cmake=FLAGS).files_sha256


def test_a_copy_that_was_cut_is_made_anew(tree: Path, tmp_path: Path) -> None:
    work = killed_build(tree, tmp_path)
    (work / build_module._BEGUN).unlink()
    (work / "source" / "main.cpp").unlink()
    assert build_engine(a_source(tree), tmp_path, cmake=FLAGS).files_sha256


def test_progress_goes_up_to_the_whole(tree: Path, tmp_path: Path) -> None:
    seen: list[BuildProgress] = []
    engines = EnginesConfig(
        default="here",
        fallback="here",
        pins={"here": Pin(source=DirectorySource(kind="directory", path=str(tree)), note="")},
    )
    build = engine_build(engines, tmp_path, cmake=FLAGS, on_progress=seen.append)
    assert build.why == "here is the default"
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert stages == [BuildStage.SOURCE, BuildStage.CONFIGURE, BuildStage.COMPILE]
    percents = [progress.percent for progress in seen if progress.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert version(build.binary)[0].startswith(f"version: 0 (tree-{build.source_sha256[:12]})")
    assert build.build_number is None
    assert "build_number" not in build.model_dump(), "plans of before are told as they were"


@pytest.mark.parametrize(
    ("line", "percent", "text"),
    [
        ("[12/48] Building C object x.c.o", 25.0, "Building C object x.c.o"),
        ("[ 12%] Building C object x.c.o", 12.0, "Building C object x.c.o"),
        ("[100%] Built target llama-cli", 100.0, "Built target llama-cli"),
        ("[0/0] Re-checking", 0.0, "Re-checking"),
        ("warning: [12/48] is unused", None, "warning: [12/48] is unused"),
        ("", None, ""),
    ],
)
def test_progress_lines(line: str, percent: float | None, text: str) -> None:
    progress = parse_progress(BuildStage.COMPILE, line)
    assert (progress.percent, progress.text) == (percent, text)


def sdist_source(tree: Path) -> PreparedSource:
    source = SdistSource(kind="sdist", package="x", version="1", sha256="a" * 64, subdirectory="v")
    return PreparedSource(
        pin="b4447", source=source, folder=tree, sha256="b" * 64, build_number=4447, why=""
    )


def test_a_source_distribution_names_its_commit_but_not_its_number(
    tree: Path, tmp_path: Path
) -> None:
    assert build_module._build_info(sdist_source(tree)) == (4447, "f7cd133")
    assert build_module._build_info(sdist_source(tmp_path)) == (4447, "sdist-aaaaaaaaaaaa")


def test_a_newer_source_has_its_own_program(tree: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(tree, tmp_path / "newer"))
    for path in (newer / "CMakeLists.txt", newer / "examples/main/CMakeLists.txt"):
        path.write_text(path.read_text().replace("llama-cli", "llama-completion"))
    built = build_engine(a_source(newer, "b11312"), tmp_path / "cache", cmake=FLAGS)
    assert Path(built.binary).name == built.program == "llama-completion"
    assert built.binary_sha256 == built.files_sha256["llama-completion"]
    assert read_build(Path(built.binary).parent.parent) == built


def test_a_source_that_lacks_an_option_is_refused_before_it_is_built(
    tree: Path, tmp_path: Path
) -> None:
    older = Path(shutil.copytree(tree, tmp_path / "older"))
    options = older / "common" / "arg.cpp"
    options.write_text(options.read_text().replace("--ignore-eos", "--other"))
    with pytest.raises(ConfigError, match=r"llama-cli .* has no option --ignore-eos"):
        build_engine(a_source(older), tmp_path / "cache", cmake=FLAGS)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            """-- Found Git
CMake Error at ggml/src/ggml-metal/CMakeLists.txt:1 (find_library):
  Could not find FOUNDATION_LIBRARY using the following names: Foundation


-- Configuring incomplete, errors occurred!
See also "build/CMakeFiles/CMakeError.log".""",
            "CMake Error at ggml/src/ggml-metal/CMakeLists.txt:1 (find_library): "
            "Could not find FOUNDATION_LIBRARY using the following names: Foundation",
        ),
        ("CMake Error: first\nCMake Error: second", "CMake Error: first"),
        ("x.c:1: error: no such type", None),
    ],
)
def test_the_first_error_of_cmake_is_told(log: str, told: str | None) -> None:
    assert first_cmake_error(log.splitlines()) == told

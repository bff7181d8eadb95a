from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgemoe_appliance.engine import toolchain, tools
from edgemoe_appliance.engine.toolchain import build_environment, is_on, read_toolchain
from edgemoe_appliance.engine.tools import ToolResult, find_tool, run_tool
from edgemoe_appliance.errors import HostError
from tests.engine.processes import survives_its_parent

ON_LINUX = sys.platform == "linux"


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let a host have these programs and no others."""

    def find(name: str) -> Path | None:
        return Path("/usr/bin") / name if name in names else None

    monkeypatch.setattr(tools, "find_tool", find)
    monkeypatch.setattr(toolchain, "find_tool", find)
    monkeypatch.setattr(toolchain, "_first_line", lambda program, *_: f"{program.name} 1.0")


def test_a_whole_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "cmake", "make", "cc", "c++")
    found = read_toolchain({})
    assert (found.generator, found.make_program) == ("Unix Makefiles", Path("/usr/bin/make"))
    assert found.compiler == "cc 1.0"
    assert found.flags["CMAKE_CXX_COMPILER"] == "/usr/bin/c++"


def test_ninja_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "cmake", "make", "ninja", "cc", "c++")
    assert read_toolchain({}).generator == "Ninja"


@pytest.mark.parametrize(
    ("present", "missing", "package"),
    [
        (("make", "cc", "c++"), "cmake is not installed", "cmake"),
        (("cmake", "cc", "c++"), "make is not installed", "build-essential"),
        (("cmake", "make"), "no compiler .cc, gcc, clang. is", "build-essential"),
        (("cmake", "make", "cc"), r"no compiler .c\+\+, g\+\+, clang\+\+. is", "build-essential"),
    ],
)
def test_what_is_missing_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], missing: str, package: str
) -> None:
    only(monkeypatch, *present)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(HostError, match=missing) as caught:
        read_toolchain({})
    assert caught.value.exit_code == 3
    if ON_LINUX:
        assert caught.value.hint == f"install it with: sudo apt-get install {package}"


def test_a_compiler_that_is_named_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "cmake", "make", "cc", "c++")
    monkeypatch.setenv("CXX", "g++-99")
    with pytest.raises(HostError, match=r"CXX compiler 'g\+\+-99' is not a program"):
        read_toolchain({})


def test_a_compiler_that_does_not_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As /usr/bin/cc on macOS without the command line tools."""
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'error: no developer tools were found' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(HostError, match=r"does not work .error: no developer tools"):
        read_toolchain({})


def test_cuda_is_asked_for_only_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "cmake", "make", "cc", "c++")
    monkeypatch.delenv("CUDACXX", raising=False)
    assert read_toolchain({"GGML_CUDA": "OFF"}).cuda is None
    with pytest.raises(HostError, match="nvcc is not installed"):
        read_toolchain({"GGML_CUDA": "ON"})
    only(monkeypatch, "cmake", "make", "cc", "c++", "nvcc")
    release = "Cuda compilation tools, release 12.6, V12.6.77"
    answer = ToolResult(exit_code=0, timed_out=False, lines=("nvcc: NVIDIA (R)", release))
    monkeypatch.setattr(toolchain, "run_tool", lambda *_, **__: answer)
    found = read_toolchain({"GGML_CUDA": "ON"})
    assert found.compiler == f"cc 1.0 + nvcc {release}"
    assert found.flags["CMAKE_CUDA_COMPILER"] == "/usr/bin/nvcc"


def test_two_compilers_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "cmake", "make", "cc", "c++")
    lines = {"cc": "cc (Debian) 12.2.0", "c++": "Debian clang version 14"}
    monkeypatch.setattr(toolchain, "_first_line", lambda program, *_: lines[program.name])
    assert read_toolchain({}).compiler == "cc (Debian) 12.2.0 + Debian clang version 14"


def test_the_build_environment_is_not_the_caller_s() -> None:
    base = {"CFLAGS": "-O0", "MAKEFLAGS": "n", "CMAKE_GENERATOR": "X", "SOURCE_DATE_EPOCH": "0"}
    kept = {"PATH": "/usr/bin", "CPATH": "/opt/include"}
    found = build_environment({**base, **kept})
    assert found == {**kept, "LC_ALL": "C", "NINJA_STATUS": "[%f/%t] "}


@pytest.mark.parametrize(
    ("value", "expected"), [("ON", True), ("1", True), ("Off", False), ("0", False), ("no", False)]
)
def test_cmake_booleans(value: str, expected: bool) -> None:
    assert is_on(value) is expected


def test_a_tool_beside_the_interpreter_is_found_without_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    name = Path(sys.executable).name
    found = find_tool(name)
    assert found is not None
    assert found.name == name


def test_a_tool_that_hangs_is_ended_with_all_it_started() -> None:
    result = run_tool(["/bin/sh", "-c", "sleep 60 & sleep 60"], env={}, timeout_s=0.3)
    assert (result.timed_out, result.exit_code) == (True, -9)


def test_a_killed_builder_takes_its_tools_along(tmp_path: Path) -> None:
    # The builder, and not the tool, writes the file: from then on the guard knows of the tool.
    build = (
        "import sys; from pathlib import Path; from edgemoe_appliance.engine.tools import run_tool;"
        "run_tool(['/bin/sh', '-c', sys.argv[1]], env={}, timeout_s=600,"
        " on_line=Path(sys.argv[2]).write_text)"
    )
    pid_file = tmp_path / "pid"
    tool = "trap '' TERM HUP PIPE; echo $$; /bin/sleep 600; exit"
    assert not survives_its_parent(build, [tool, pid_file], pid_file)


def test_a_tool_that_is_not_there() -> None:
    with pytest.raises(HostError, match="cannot be started"):
        run_tool(["/nonexistent/tool"], env={}, timeout_s=1)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("a", "x.c:1: error: no such type", "ninja: stopped", ""), "x.c:1: error: no such type"),
        (("only this", ""), "only this"),
        ((), "it printed nothing"),
        (("fatal: \x1b[31mred",), "fatal: \\x1b[31mred"),
    ],
)
def test_the_line_that_tells_most(lines: tuple[str, ...], told: str) -> None:
    assert ToolResult(exit_code=1, timed_out=False, lines=lines).last_error == told

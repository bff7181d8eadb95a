"""What source trees of several ages ask for, from small stand-ins of the places that tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine.dialect import read_dialect
from edgemoe_appliance.errors import ConfigError
from tests.engine.small_source import OPTIONS

OLD = {
    "examples/main/CMakeLists.txt": "set(TARGET llama-cli)\nadd_executable(${TARGET} main.cpp)\n",
    "common/common.cpp": "".join(f'if (arg == "{name}") {{}}\n' for name in OPTIONS),
}
STUDY = {
    "examples/main/CMakeLists.txt": OLD["examples/main/CMakeLists.txt"],
    "common/arg.cpp": "".join(f'add_opt({{"{name}"}});\n' for name in OPTIONS),
    "common/log.h": "#define LOG_DEFAULT_LLAMA 0\n",
}
AUGUST = {
    "tools/main/CMakeLists.txt": "set(TARGET llama-cli)\n",
    "common/arg.cpp": STUDY["common/arg.cpp"] + '{"-no-cnv", "--no-conversation"}\n',
}
NEWEST = {
    "CMakeLists.txt": "set(LLAMA_VERSION_MAJOR 0)\n"
    'option(LLAMA_BUILD_APP       "llama: build the unified binary" ON)\n'
    'option(LLAMA_OPENSSL    "llama: use openssl" ON)\n',
    "tools/completion/CMakeLists.txt": "set(TARGET llama-completion-impl)\n"
    "set(TARGET llama-completion)\n",
    "tools/cli/CMakeLists.txt": "set(TARGET llama-cli)\n",
    "common/arg.cpp": AUGUST["common/arg.cpp"].replace("--no-mmap", "--load-mode")
    + '{"-fa", "--flash-attn"}, "[on|off|auto]"\n{"-fit", "--fit"}\n',
    "common/log.h": "#define LOG_LEVEL_TRACE  4\n",
}


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "program", "extra_args", "no_mmap_args"),
    [
        (OLD, "llama-cli", (), ("--no-mmap",)),
        (STUDY, "llama-cli", (), ("--no-mmap",)),
        (AUGUST, "llama-cli", ("-no-cnv",), ("--no-mmap",)),
        (
            NEWEST,
            "llama-completion",
            ("-no-cnv", "-fa", "off", "--fit", "off", "--verbosity", "4"),
            ("--load-mode", "none"),
        ),
    ],
    ids=["2024-08", "2024-12", "2025-08", "2026-10"],
)
def test_each_age_is_called_in_its_own_way(
    tmp_path: Path,
    files: dict[str, str],
    program: str,
    extra_args: tuple[str, ...],
    no_mmap_args: tuple[str, ...],
) -> None:
    dialect = read_dialect(tree(tmp_path, files))
    assert (dialect.program, dialect.extra_args) == (program, extra_args)
    assert dialect.no_mmap_args == no_mmap_args


def test_options_of_cmake_are_set_only_where_a_tree_has_them(tmp_path: Path) -> None:
    """Others would change the keys of builds that are there."""
    assert read_dialect(tree(tmp_path / "study", STUDY)).cmake == {}
    assert set(read_dialect(tree(tmp_path / "newest", NEWEST)).cmake) == {
        "LLAMA_BUILD_APP",
        "LLAMA_OPENSSL",
        "CMAKE_PLATFORM_NO_VERSIONED_SONAME",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"examples/main/CMakeLists.txt": "set(TARGET main)"}, "builds none of llama-completion"),
        ({"examples/main/CMakeLists.txt": "set(TARGET llama-cli-2)"}, "builds none of"),
        ({"common/arg.cpp": '"-m"'}, "no option -f, -n, -t, .*, --no-mmap"),
    ],
)
def test_a_tree_that_lacks_something_is_told_what(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read_dialect(tree(tmp_path, {**STUDY, **change}))


def test_a_folder_without_options_is_no_llama_cpp(tmp_path: Path) -> None:
    files = {"examples/main/CMakeLists.txt": STUDY["examples/main/CMakeLists.txt"]}
    with pytest.raises(ConfigError, match=r"neither common/arg\.cpp nor common/common\.cpp"):
        read_dialect(tree(tmp_path, files))

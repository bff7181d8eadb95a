"""A stand-in for llama.cpp: its headers, and programs that do nothing, built in a second.

It lets the Dockerfiles be built whole in tests; what comes out is never run as an engine.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tree import tree_digest
from edgemoe_appliance.schema.configs import DirectorySource
from edgemoe_appliance.schema.plan import ENGINE_TOOLS
from tests.engine import small_source

_CMAKE = f"""\
cmake_minimum_required(VERSION 3.14)
project(standin C CXX)
add_library(ggml SHARED common/empty.c)
add_library(llama SHARED common/empty.c)
target_link_libraries(llama PRIVATE ggml)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${{CMAKE_BINARY_DIR}}/bin)
foreach(name llama-cli llama-bench {" ".join(ENGINE_TOOLS)})
  add_executable(${{name}} common/main.c)
  target_link_libraries(${{name}} PRIVATE llama)
endforeach()
"""
_FILES = {
    "CMakeLists.txt": _CMAKE,
    "common/CMakeLists.txt": "",
    "common/arg.cpp": small_source.FILES["common/arg.cpp"],
    "examples/main/CMakeLists.txt": small_source.FILES["examples/main/CMakeLists.txt"],
    "common/empty.c": "int standin_value(void) { return 0; }\n",
    "common/main.c": "int standin_value(void);\nint main(void) { return standin_value(); }\n",
    "ggml/CMakeLists.txt": "",
    "cmake/README": "",
}


def write_standin(folder: Path, real: Path) -> PreparedSource:
    """Write a stand-in with the headers of a real source."""
    for headers in ("include", "ggml/include"):
        shutil.copytree(real / headers, folder / headers)
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return PreparedSource(
        pin="standin",
        source=DirectorySource(kind="directory", path="standin"),
        folder=folder,
        sha256=tree_digest(folder),
        build_number=None,
        why="for tests",
    )

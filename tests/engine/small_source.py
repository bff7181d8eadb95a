"""A cmake project of the same shape as llama.cpp's that builds in a second.

Its llama-cli prints the generated build info, as the real one does for --version.
"""

from __future__ import annotations

from pathlib import Path

OPTIONS = (
    *("-m", "-f", "-n", "-t", "-c", "-ngl", "--temp", "--top-p", "--seed"),
    *("--no-display-prompt", "--no-escape", "--ignore-eos", "--no-mmap"),
)
FILES = {
    "CMakeLists.txt": """\
cmake_minimum_required(VERSION 3.14)
project(small C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
include(cmake/build-info.cmake)
add_subdirectory(ggml)
add_subdirectory(common)
add_executable(llama-cli main.cpp)
target_link_libraries(llama-cli common ggml)
add_executable(llama-bench main.cpp)
target_link_libraries(llama-bench common ggml)
""",
    "cmake/build-info.cmake": 'set(BUILD_NUMBER 9)\nset(BUILD_COMMIT "asked-git")\n',
    "common/CMakeLists.txt": """\
configure_file(build-info.cpp.in ${CMAKE_CURRENT_SOURCE_DIR}/build-info.cpp)
add_library(common STATIC build-info.cpp)
""",
    "common/arg.cpp": "".join(f'add_opt({{"{name}"}});\n' for name in OPTIONS),
    "examples/main/CMakeLists.txt": "# set(TARGET llama-cli), where llama.cpp has it\n",
    "common/build-info.cpp.in": """\
extern const char * const BUILD = "@BUILD_NUMBER@ (@BUILD_COMMIT@) @BUILD_COMPILER@";
""",
    "common/build-info.cpp": 'char const *LLAMA_COMMIT = "f7cd133"; // stale\n',
    "ggml/CMakeLists.txt": "add_library(ggml ggml.c)\n",
    "ggml/ggml.c": "const char * where(void) { return __FILE__; }\n",
    "main.cpp": """\
#include <cstdio>
extern const char * const BUILD;
extern "C" const char * where(void);
int main() { std::printf("version: %s\\n%s\\n", BUILD, where()); }
""",
    "models/vocab.gguf": "not needed to build",
}


def write_small_source(folder: Path) -> Path:
    """Write the project and return its folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder

"""How llama.cpp of one age is built and called: its program, its cmake options, its arguments.

Read from the source tree before anything is compiled, so that a tree which lacks what a run needs
is refused in a second and by name. Compiles and runs nothing.

Ages met so far: `llama-cli` in examples/main, later tools/main; since the end of 2025
`llama-completion` in tools/completion does that work, and `llama-cli` is another program. Options
stood in common/common.cpp until September 2024, in common/arg.cpp since.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.plan import ENGINE_PROGRAMS, NO_MMAP_ARGS

_PROGRAM_FOLDERS: Final = ("tools/completion", "tools/main", "examples/main")
_OPTION_FILES: Final = ("common/arg.cpp", "common/common.cpp")
# Every option of a run's command line, see `argv`; that of mmap has two spellings.
_NEEDED: Final = (
    *("-m", "-f", "-n", "-t", "-c", "-ngl", "--temp", "--top-p", "--seed"),
    *("--no-display-prompt", "--no-escape", "--ignore-eos"),
)
_HINT: Final = "name another --pin: llama.cpp from June 2024 on is known to do"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What one source tree asks for.

    `cmake` are options that only some ages have; `extra_args` make the program behave as the
    study's did, and tell of itself what the study's told unasked.
    """

    program: str
    cmake: dict[str, str]
    extra_args: tuple[str, ...]
    no_mmap_args: tuple[str, ...]


def read_dialect(tree: Path) -> Dialect:
    """Return how a source tree is built and called.

    Raises ConfigError where it has no program that generates from a prompt, or that program
    lacks an option of a run.
    """
    program = _program(tree)
    options = _options(tree)
    missing = [name for name in _NEEDED if not _has(options, name)]
    no_mmap = next((args for args in _no_mmap_spellings(options)), None)
    if no_mmap is None:
        missing.append("--no-mmap")
    if missing or no_mmap is None:
        raise ConfigError(
            f"{program} of this llama.cpp has no option {', '.join(missing)}",
            where=str(tree),
            hint=_HINT,
        )
    return Dialect(
        program=program,
        cmake=dict(_cmake(tree)),
        extra_args=tuple(_extra_args(tree, options)),
        no_mmap_args=no_mmap,
    )


def _program(tree: Path) -> str:
    for folder in _PROGRAM_FOLDERS:
        recipe = _read(tree / folder / "CMakeLists.txt")
        for program in ENGINE_PROGRAMS:
            if re.search(rf"\b{program}(?![\w-])", recipe):
                return program
    raise ConfigError(
        f"this llama.cpp builds none of {', '.join(ENGINE_PROGRAMS)}", where=str(tree), hint=_HINT
    )


def _options(tree: Path) -> str:
    for name in _OPTION_FILES:
        if (tree / name).is_file():
            return _read(tree / name)
    raise ConfigError(
        f"not a llama.cpp source tree: neither {' nor '.join(_OPTION_FILES)}", where=str(tree)
    )


def _has(options: str, name: str) -> bool:
    return f'"{name}"' in options


def _no_mmap_spellings(options: str) -> Iterator[tuple[str, ...]]:
    if _has(options, "--no-mmap"):
        yield NO_MMAP_ARGS
    if _has(options, "--load-mode"):
        yield ("--load-mode", "none")


def _extra_args(tree: Path, options: str) -> Iterator[str]:
    if _has(options, "-no-cnv"):
        # Since January 2025 a conversation begins by itself where the model has a chat template.
        yield "-no-cnv"
    if "[on|off|auto]" in options:
        # Since the end of August 2025 the backend decides; the study's engine never used it.
        yield from ("-fa", "off")
    if _has(options, "--fit"):
        # Since the end of 2025 what is not named is fitted to the device's memory.
        yield from ("--fit", "off")
    if "LOG_LEVEL_TRACE" in _read(tree / "common" / "log.h"):
        # Where levels have names, what the library tells of buffers and layers needs the fourth.
        yield from ("--verbosity", "4")


def _cmake(tree: Path) -> Iterator[tuple[str, str]]:
    recipe = _read(tree / "CMakeLists.txt")
    if re.search(r"option\(LLAMA_BUILD_APP\b", recipe):
        yield "LLAMA_BUILD_APP", "OFF"  # one program for all tools; needs the server
    if re.search(r"option\(LLAMA_OPENSSL\b", recipe):
        yield "LLAMA_OPENSSL", "OFF"
    if "LLAMA_VERSION_MAJOR" in recipe:
        # Libraries there have versions in their names, each behind two links: one plain file each.
        yield "CMAKE_PLATFORM_NO_VERSIONED_SONAME", "ON"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

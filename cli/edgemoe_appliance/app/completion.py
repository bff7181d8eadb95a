"""Completion: what a shell asks while a command is being typed, and how it learns to ask.

The shell runs this program with the words so far in the environment, and is given one completion
a line, or nothing. Nothing is also what it is given on any error: the answer stands in the middle
of somebody's command line. Where nothing fits, the shells offer files.
"""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.files import write_atomically
from edgemoe_appliance.schema.text import on_one_line

_PROGRAM: Final = "edgemoe-appliance"
_ASKED: Final = "_EDGEMOE_APPLIANCE_COMPLETE"
# Each asks with the words so far, one a line, and the number of the one that is typed. What comes
# back needs no quoting, and is never evaluated.
_BASH: Final = """\
_edgemoe_appliance() {
    local IFS=$'\\n' line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _EDGEMOE_APPLIANCE_COMPLETE=complete_bash "${1/#\\~/$HOME}" 2>/dev/null)
}
complete -o bashdefault -o default -F _edgemoe_appliance edgemoe-appliance
"""
_ZSH: Final = """\
_edgemoe_appliance() {
    local -a found
    found=("${(@f)$(COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT - 1)) \\
        _EDGEMOE_APPLIANCE_COMPLETE=complete_bash ${~${(Q)words[1]}} 2>/dev/null)}")
    [[ $words[CURRENT] == --*=* ]] && compset -P '*='
    if [[ -n $found[1] ]]; then
        compadd -- $found
    else
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _edgemoe_appliance edgemoe-appliance
"""
_FISH: Final = """\
function __edgemoe_appliance
    set -l words (commandline -opc) (commandline -ct)
    set -l before (string match -r -- '^--[^=]+=' $words[-1])
    set -l found (COMP_WORDS=(string join \\n -- $words | string collect) \\
        COMP_CWORD=(math (count $words) - 1) \\
        _EDGEMOE_APPLIANCE_COMPLETE=complete_bash $words[1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' "$before"$found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c edgemoe-appliance -f -a '(__edgemoe_appliance)'
"""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A shell that can be taught: the script, its place, and the file that reads it if need be."""

    script: str
    place: Callable[[], Path]
    startup: Callable[[], Path] | None = None


def _home() -> Path:
    return Path(os.environ.get("HOME") or Path.home())


def _below(variable: str, default: str, *parts: str) -> Path:
    return Path(os.environ.get(variable) or _home() / default).joinpath(*parts)


SHELLS: Final = {
    "bash": Shell(
        script=_BASH,
        place=lambda: _below("XDG_DATA_HOME", ".local/share", _PROGRAM, "completion.bash"),
        startup=lambda: _home() / ".bashrc",
    ),
    "zsh": Shell(
        script=_ZSH,
        place=lambda: _below("XDG_DATA_HOME", ".local/share", _PROGRAM, "completion.zsh"),
        startup=lambda: _below("ZDOTDIR", "", ".zshrc"),
    ),
    "fish": Shell(
        script=_FISH,
        place=lambda: _below("XDG_CONFIG_HOME", ".config", "fish/completions", f"{_PROGRAM}.fish"),
    ),
}


def answer(load: Callable[[], typer.Typer]) -> None:
    """Print what of a program fits at the place of the cursor, a line each; nothing on any error.

    Loading the program may be what fails.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    with suppress(Exception):
        # Bash's form is the value alone; the others would load what renders help.
        engine: Any = importlib.import_module("typer.completion")
        _join_values()
        engine.completion_init()
        engine.shell_complete(typer.main.get_command(load()), {}, _PROGRAM, _ASKED, "complete_bash")


def _join_values() -> None:
    """Take out the signs by which bash parts `--target=host` into three words."""
    words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    before = [word for word in words[:at] if word != "="]
    os.environ["COMP_WORDS"] = "\n".join([*before, *words[at : at + 1]])
    os.environ["COMP_CWORD"] = str(len(before))


def detect_shell() -> str:
    """Return the shell that this program was started from.

    Raises ConfigError for one that cannot be taught.
    """
    shellingham: Any = importlib.import_module("shellingham")  # it has no types
    try:
        name = str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        known = ", ".join(SHELLS)
        raise ConfigError(
            f"no completion for {on_one_line(name) or 'this shell'}", hint=f"known are {known}"
        )
    return name


def install(name: str) -> list[Path]:
    """Write the script of a shell, and have the shell read it at its start; return the files.

    Done again, it brings the script up to date and adds nothing.
    """
    shell = SHELLS[name]
    place = shell.place()
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, shell.script.encode())
    if shell.startup is None:
        return [place]
    startup, line = shell.startup(), f"source {shlex.quote(str(place))}".encode()
    there = startup.read_bytes() if startup.exists() else b""
    if line not in there.splitlines():
        with startup.open("ab") as file:
            file.write((b"" if there.endswith(b"\n") or not there else b"\n") + line + b"\n")
    return [place, startup]

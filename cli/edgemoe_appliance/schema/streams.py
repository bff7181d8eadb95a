"""The standard streams of programs that do without the terminal of the command line.

Two lines of code print for them, here: what is not printable in a text is escaped, and a line that
nobody can take (a reader that has gone, a full disk) ends no measurement.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Final, TypeAlias

from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.schema.text import printable

# What takes one line for whoever watches.
Say: TypeAlias = Callable[[str], None]

_OUT: Final = 1
_ERR: Final = 2


def print_line(text: str) -> None:
    """Print one line on standard output."""
    _write(_OUT, text)


def print_error(error: ApplianceError) -> int:
    """Print one line that tells an error on standard error; return its exit code."""
    _write(_ERR, f"error: {error}")
    return error.exit_code


def _write(descriptor: int, text: str) -> None:
    line = f"{printable(text)}\n".encode(errors="replace")
    with contextlib.suppress(OSError):
        while line:
            line = line[os.write(descriptor, line) :]

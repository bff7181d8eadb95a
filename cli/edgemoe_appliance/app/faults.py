"""Faults: what the system and libraries raise, as errors of ours with one line and an exit code.

Library code turns what it expects into errors that know more. This is for the rest: a disk, a
permission or a memory limit can be met anywhere, and none of them is a bug of this program.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator

from edgemoe_appliance.errors import (
    ApplianceError,
    ConfigError,
    HostError,
    RecordError,
    host_error,
)
from edgemoe_appliance.schema.text import first_line, on_one_line

_MOST_CHARACTERS = 300
# Roots of what libraries raise, the more particular first. A library that was never loaded has
# raised nothing, so none is imported for this. Those of HTTP libraries are OSErrors too.
_LIBRARIES: tuple[tuple[str, str, type[ApplianceError], str, str], ...] = (
    (
        "duckdb",
        "OutOfMemoryException",
        HostError,
        "not enough memory or room for the runs",
        "end other programs, and set TMPDIR to a folder with free space",
    ),
    (
        "duckdb",
        "Error",
        HostError,
        "the runs cannot be kept",
        "set TMPDIR to a folder with free space",
    ),
    ("docker.errors", "DockerException", HostError, "the Docker engine failed", "see its log"),
    ("requests", "RequestException", HostError, "the connection failed", "repeat the command"),
    ("urllib3.exceptions", "HTTPError", HostError, "the connection failed", "repeat the command"),
    ("httpx", "HTTPError", HostError, "the connection failed", "repeat the command"),
    ("yaml", "YAMLError", ConfigError, "not valid YAML", "mend the file"),
    ("pydantic", "ValidationError", RecordError, "a document has another form", ""),
)
_PYTHON: tuple[tuple[tuple[type[Exception], ...], type[ApplianceError], str, str], ...] = (
    (
        (MemoryError,),
        HostError,
        "not enough memory",
        "end other programs, or raise the limit (ulimit -v)",
    ),
    ((subprocess.SubprocessError,), HostError, "another program failed", "run it by hand"),
    ((RecursionError,), RecordError, "a document is nested too deeply", "not one of ours?"),
    ((UnicodeDecodeError,), RecordError, "a document is not UTF-8", "save it as UTF-8"),
    (
        (tarfile.TarError, zlib.error, EOFError),
        RecordError,
        "a damaged archive",
        "fetch it again",
    ),
)


def as_ours(error: BaseException) -> ApplianceError | None:
    """Return the error of ours that stands for another one; None where it may be a bug of ours."""
    if isinstance(error, ApplianceError):
        return error
    return _of_library(error) or _of_python(error)


def _of_library(error: BaseException) -> ApplianceError | None:
    for module, name, ours, what, hint in _LIBRARIES:
        root = getattr(sys.modules.get(module), name, None)
        if root is not None and isinstance(error, root):
            return ours(f"{what} ({first_line(_said(error), _MOST_CHARACTERS)})", hint=hint)
    return None


def _said(error: BaseException) -> str:
    """Return what a library says; of all that pydantic says of a document the first fault."""
    faults = getattr(error, "errors", None)
    if not callable(faults):
        return str(error)
    first = faults()[0]
    return ": ".join((".".join(map(str, first["loc"])), first["msg"])).removeprefix(": ")


def _of_python(error: BaseException) -> ApplianceError | None:
    if isinstance(error, OSError):
        return host_error(error)
    for kinds, ours, what, hint in _PYTHON:
        if isinstance(error, kinds):
            said = first_line(error, _MOST_CHARACTERS)
            return ours(f"{what} ({said})" if said else what, hint=hint)
    return None


def usage_error(error: BaseException) -> ConfigError | None:
    """Return a mistake in the command line as one of ours, None for anything else."""
    if "ClickException" not in _names(error):
        return None
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "edgemoe-appliance")
    said = getattr(error, "format_message", error.__str__)().strip().rstrip(".")
    what = on_one_line(said, _MOST_CHARACTERS) or "a command is missing"
    return ConfigError(what, hint=f"see {command} --help")


def _names(error: BaseException) -> Iterator[str]:
    # The framework carries its own copy of click, under a private name.
    return (kind.__name__ for kind in type(error).__mro__)

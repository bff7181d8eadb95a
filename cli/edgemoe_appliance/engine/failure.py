"""What the end of an engine process and its messages say about why it failed. Pure.

Only the messages decide: whether a kill by the kernel was for want of memory is for the caller,
who can ask the control group.
"""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.schema.text import on_one_line

_MAX_REASON_CHARS: Final = 240

# The engine prints the model's own strings in such lines: they say nothing about the run.
_QUOTED: Final = re.compile(r"llama_model_loader: - kv|print_meta:|print_info:")
# Want of memory comes first: it is also told as a model that cannot be loaded.
_MEMORY: Final = re.compile(
    r"Cannot allocate memory|out of memory|insufficient memory|failed to allocate"
    r"|unable to allocate|std::bad_alloc|OutOfMemory|NvMapMemAlloc",
    re.IGNORECASE,
)
_INPUT: Final = re.compile(
    r"prompt is too long|input is empty|invalid argument:|error while handling argument"
    r"|gguf_init_from_file|error loading model|failed to load model"
)
_NO_INSTRUCTION: Final = (
    "this processor, or the virtual machine it is in, does not run an instruction that the engine "
    "was built for"
)
# What the loaders of glibc, musl and macOS print where a library is not there.
_NO_LIBRARY: Final = re.compile(
    r"error while loading shared libraries: (?P<glibc>[^\s:]+):"
    r"|Error loading shared library (?P<musl>[^\s:]+):"
    r"|Library not loaded: (?:\S*/)?(?P<mac>[^\s/]+)"
)
_DRIVER_LIBRARIES: Final = ("libcuda.", "libnvidia-")
_ASSERTION: Final = re.compile(r"GGML_ASSERT|CUDA error|GGML_ABORT|terminate called|what\(\):")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an engine failed: the status it hints at and one line for a person.

    `maybe_out_of_memory` marks a kill that the kernel's want of memory may have been behind.
    """

    status: Status
    reason: str
    maybe_out_of_memory: bool = False

    @property
    def out_of_memory(self) -> bool:
        """Return whether the engine itself said that memory was wanting."""
        return self.status is Status.OOM


def missing_library(text: str) -> str | None:
    """Return the shared library for want of which a program could not start, or None.

    >>> missing_library("x: error while loading shared libraries: libcuda.so.1: cannot open ...")
    'libcuda.so.1'
    """
    found = _NO_LIBRARY.search(text)
    return next(filter(None, found.groups()), None) if found else None


def library_hint(name: str) -> str:
    """Return what to do about a library that is missing on the machine that runs an engine."""
    if name.startswith(_DRIVER_LIBRARIES):
        return (
            "NVIDIA's driver brings it: install the driver; into a container it is brought by the "
            "engine's nvidia runtime (nvidia-container-toolkit)"
        )
    return "install the package that brings it, or build the engine on this machine"


def own_lines(stderr: str) -> list[str]:
    """Return the lines in which an engine speaks for itself and does not print a model's string."""
    return [line for line in stderr.splitlines() if line.strip() and not _QUOTED.search(line)]


def classify_failure(exit_code: int | None, signal: int | None, stderr: str) -> Failure:
    """Return why an engine failed that did not end with exit code 0."""
    ending = f"ended by {_signal_name(signal)}" if signal else f"exit code {exit_code}"
    lines = own_lines(stderr)
    for pattern, status in ((_MEMORY, Status.OOM), (_INPUT, Status.INVALID)):
        line = _first(lines, pattern)
        if line is not None:
            return _failure(status, ending, line)
    if exit_code == 128 + signals.SIGINT:
        return Failure(status=Status.INTERRUPTED, reason=f"{ending}: interrupted")
    if signal == signals.SIGKILL:
        reason = f"{ending}, perhaps by the kernel for want of memory"
        return Failure(status=Status.CRASHED, reason=reason, maybe_out_of_memory=True)
    if signal == signals.SIGILL:
        return Failure(status=Status.CRASHED, reason=f"{ending}: {_NO_INSTRUCTION}")
    told = _first(lines, _ASSERTION) or (lines[-1] if lines else "it printed nothing")
    return _failure(Status.CRASHED, ending, told)


def _first(lines: list[str], pattern: re.Pattern[str]) -> str | None:
    return next((line for line in lines if pattern.search(line)), None)


def _failure(status: Status, ending: str, line: str) -> Failure:
    told = on_one_line(line.strip(), _MAX_REASON_CHARS)
    return Failure(status=status, reason=f"{ending}: {told}")


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"

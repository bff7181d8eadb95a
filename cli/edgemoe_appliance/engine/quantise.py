"""Running the engine's own tools on model files: a file of fewer bits made from a larger one.

The tools write where they are told to; names, digests and records of what comes out are not of
their room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgemoe_appliance.engine.argv import scrubbed_environment
from edgemoe_appliance.engine.tools import run_tool
from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.schema.plan import IMATRIX_TOOL, QUANTISE_TOOL, EngineBuild
from edgemoe_appliance.schema.text import on_one_line

# A model of 7 billion weights takes some minutes; those of importance take a pass over a text.
_QUANTISE_S: Final = 3 * 3600.0
# `  10  or  Q2_K    :  2.96G, ...` and `        COPY    : ...` of `llama-quantize --help`.
_TYPE_LINE: Final = re.compile(r"^\s*(?:\d+\s+or\s+)?([A-Z][A-Z0-9_]*)\s*:")
# The name under which a matrix is given to the quantiser: it ends up in the file.
IMATRIX_NAME: Final = "imatrix.dat"
_TEXT: Final = "calibration.txt"
_NOT_FINITE: Final = re.compile(r"found (?:nan|inf)|invalid float|failed validation", re.IGNORECASE)


def read_quantise_types(engine: EngineBuild) -> tuple[str, ...]:
    """Return the names of the types that an engine's own tool can make, as it tells them.

    Raises HostError where the tool does not run.
    """
    # Without arguments it prints its usage and ends with 1.
    environment = scrubbed_environment(os.environ)[0]
    result = run_tool([engine.tool(QUANTISE_TOOL), "--help"], env=environment, timeout_s=60)
    found = [match[1] for line in result.lines if (match := _TYPE_LINE.match(line))]
    if not found:
        raise HostError(
            f"{QUANTISE_TOOL} names no types ({result.last_error})",
            where=engine.tool(QUANTISE_TOOL),
            hint="build the engine again",
        )
    return tuple(found)


def require_quantise_type(engine: EngineBuild, name: str) -> None:
    """Raise ConfigError where an engine's own tool cannot make files of a type."""
    known = read_quantise_types(engine)
    if name not in known:
        raise ConfigError(
            f"llama.cpp {engine.pin} cannot quantise to {name}",
            hint=f"name a newer --pin, or one of {', '.join(known)}",
        )


def quantise(
    engine: EngineBuild,
    source: Path,
    target: Path,
    kind: str,
    *,
    imatrix: Path | None,
    threads: int,
) -> None:
    """Write `target`, the model of `source` as a type; `imatrix` weighs what matters.

    Both paths of names end up in the file, so the matrix is named from its own folder. Raises
    HostError where the tool fails, RecordError where the source holds values that are no numbers.
    """
    options = [] if imatrix is None else ["--imatrix", imatrix.name]
    folder = target.parent if imatrix is None else imatrix.parent
    command = [engine.tool(QUANTISE_TOOL), "--allow-requantize", *options]
    _run([*command, str(source), str(target), kind, str(threads)], folder, source)


def count_importance(
    engine: EngineBuild, model: Path, text: str, matrix: Path, *, context: int, threads: int
) -> None:
    """Write the importance matrix of a model over a text, beside the text.

    Raises HostError where the tool fails.
    """
    (matrix.parent / _TEXT).write_text(text, encoding="utf-8")
    command = [engine.tool(IMATRIX_TOOL), "-m", str(model), "-f", _TEXT, "-o", matrix.name]
    _run([*command, "-c", str(context), "-t", str(threads)], matrix.parent, model)
    if not matrix.is_file():
        raise HostError(
            f"{IMATRIX_TOOL} ended well and wrote no matrix",
            where=str(model),
            hint="the text may be shorter than two contexts",
        )


def _run(command: Sequence[str], folder: Path, model: Path) -> None:
    environment = scrubbed_environment(os.environ)[0]
    result = run_tool(command, env=environment, cwd=folder, timeout_s=_QUANTISE_S)
    if result.exit_code == 0:
        return
    program = Path(command[0]).name
    told = "no end in time" if result.timed_out else on_one_line(result.last_error, 200)
    if any(_NOT_FINITE.search(line) for line in result.lines):
        raise RecordError(
            f"{program} finds weights that are no numbers ({told})",
            where=str(model),
            hint="this model cannot be quantised; its own answers can be measured",
        )
    raise HostError(
        f"{program} failed ({told})", where=str(model), hint="see its message; is the disk full?"
    )

"""The program as it is typed, run in this process: most commands take less than a start of Python.

Where the process itself matters (streams, signals, limits), tests start one.
"""

from __future__ import annotations

import io
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgemoe_appliance.app import console
from edgemoe_appliance.app.main import main
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies.study import find_study
from tests.report.pictures import drawing_once

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the program ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, columns: int = 200, **environment: str) -> Ended:
    """Run the program on a terminal so wide, with more in its environment."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, _own_signals(), drawing_once():
        for name, value in environment.items():
            patch.setenv(name, value)
        for terminal, stream in ((console._OUT, out), (console._ERR, err)):
            patch.setattr(terminal, "_width", columns)
            patch.setattr(terminal, "_file", stream)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(sys, "argv", ["edgemoe-appliance", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return Ended(returncode=ended.value.code, stdout=out.getvalue(), stderr=err.getvalue())


def write_smaller_study(folder: Path, words: str, fewer: str) -> Path:
    """Write the study with fewer runs, by other words in its experiments; return its folder."""
    study = find_study(None, resource_folder("configs"))
    own = folder / study.name
    shutil.copytree(study, own)
    text = (own / "experiments.yaml").read_text()
    assert words in text
    (own / "experiments.yaml").write_text(text.replace(words, fewer))
    return own


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back the handlers that the program sets for itself."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Pictures that are drawn once in a process, for tests of what is done with them.

That equal charts give equal bytes is tested where they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgemoe_appliance.report.drawing import FileKind
from edgemoe_appliance.report.figures import Panel

_draw = Panel.as_file
_drawn: dict[tuple[bytes, FileKind], bytes] = {}


def _remembered(panel: Panel, kind: FileKind) -> bytes:
    key = (panel.svg, kind)
    if key not in _drawn:
        _drawn[key] = _draw(panel, kind)
    return _drawn[key]


@contextmanager
def drawing_once() -> Iterator[None]:
    """Give the file that was drawn before for a chart with the same svg."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Panel, "as_file", _remembered)
        yield

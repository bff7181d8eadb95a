from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.box import Box, open_box
from tests.hostile.folders import make_template


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    with open_box() as opened:
        yield opened


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.box import Box, open_box
from tests.hostile.folders import make_template, remove_tree


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    with open_box() as opened:
        yield opened


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder that any user can reach, and leave nothing of what was laid there.

    In memory where it can be: thousands of small files are synced.
    """
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="hostile-", dir=memory if memory.is_dir() else None))
    folder.chmod(0o755)
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))

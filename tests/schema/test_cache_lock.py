from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import cache_lock


def test_the_second_waits_and_says_so(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with cache_lock(tmp_path / "entry", waiting.set):
            order.append("second")

    with cache_lock(tmp_path / "entry"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_other_entries_are_free_and_the_entry_itself_is_not_made(tmp_path: Path) -> None:
    def fail() -> None:
        pytest.fail("had to wait")

    with cache_lock(tmp_path / "one", fail), cache_lock(tmp_path / "two", fail):
        assert not (tmp_path / "one").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HostError, match="Permission denied"), cache_lock(tmp_path / "entry"):
        pass


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(HostError, match="cannot be written"), cache_lock(tmp_path / "cache/entry"):
        pass

"""What a machine lacks is said in one line, with the tests that it costs and what brings it."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.needs import NEEDS, lacking_line


@pytest.mark.parametrize(
    ("absent", "deselected", "platform", "told"),
    [
        ((), (), "linux", "needs: nothing is lacking"),
        (("chromium",), (), "darwin", "chromium (the page in a browser); brew install chromium"),
        (("chromium",), ("browser",), "linux", "needs: nothing is lacking"),
        (("docker-registry",), ("container",), "linux", "needs: nothing is lacking"),
        (("shellcheck", "chromium"), (), "darwin", "; brew install chromium shellcheck"),
    ],
)
def test_a_line_tells_what_is_lacking(
    absent: tuple[str, ...], deselected: tuple[str, ...], platform: str, told: str
) -> None:
    def find(names: Collection[str]) -> str | None:
        return None if set(names) & set(absent) else "/usr/bin/it"

    line = lacking_line(deselected, find, platform)
    assert line.endswith(told)
    assert "\n" not in line


def test_every_need_has_a_package_and_says_which_tests_it_is_for() -> None:
    assert all(need.package and need.tests and need.names for need in NEEDS)

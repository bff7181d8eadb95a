from __future__ import annotations

import pytest

from edgemoe_appliance.schema.l4t import parse_release


@pytest.mark.parametrize(
    ("line", "text", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1", "36.4.3", "6.2"),
        ("# R36 (release), REVISION: 4.0, GCID: 1", "36.4.0", "6.1"),
        ("# R36 (release), REVISION: 3.0, GCID: 1", "36.3.0", "6.0"),
        ("# R35 (release), REVISION: 4.1, GCID: 1", "35.4.1", "5.1.2"),
        ("# R36 (release), REVISION: 4.7, GCID: 1", "36.4.7", None),
        ("# R99 (release), REVISION: 1", "99.1", None),
    ],
)
def test_a_release_and_its_jetpack(line: str, text: str, jetpack: str | None) -> None:
    release = parse_release(line)
    assert release is not None
    assert (release.text, release.jetpack) == (text, jetpack)


@pytest.mark.parametrize("line", ["", "Debian", "# R (release), REVISION: x"])
def test_other_text_is_no_release(line: str) -> None:
    assert parse_release(line) is None

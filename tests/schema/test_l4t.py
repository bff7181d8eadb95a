from __future__ import annotations

import pytest

from edgemoe_appliance.schema.l4t import FRAGMENTS_MEMORY, parse_release


@pytest.mark.parametrize(
    ("line", "text", "jetpack"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1", "36.4.3", "6.2"),
        ("# R36 (release), REVISION: 4.0, GCID: 1", "36.4.0", "6.1"),
        ("# R36 (release), REVISION: 3.0, GCID: 1", "36.3.0", "6.0"),
        ("# R35 (release), REVISION: 4.1, GCID: 1", "35.4.1", "5.1.2"),
        ("# R36 (release), REVISION: 4.7, GCID: 1", "36.4.7", "6.2.1"),
        ("# R36 (release), REVISION: 5.0, GCID: 1", "36.5.0", "6.2.2"),
        ("# R36 (release), REVISION: 5.2, GCID: 1", "36.5.2", "6.2.2"),
        ("# R35 (release), REVISION: 6.0, GCID: 1", "35.6.0", "5.1.4"),
        ("# R35 (release), REVISION: 6.2, GCID: 1", "35.6.2", "5.1.5"),
        ("# R38 (release), REVISION: 2.0, GCID: 1", "38.2.0", "7.0"),
        ("# R38 (release), REVISION: 4.0, GCID: 1", "38.4.0", "7.1"),
        ("# R39 (release), REVISION: 2.0, GCID: 1", "39.2.0", "7.2"),
        ("# R32 (release), REVISION: 7.4, GCID: 1", "32.7.4", "4.6.4"),
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


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        ("R36 (release), REVISION: 6.0", "R36.6.0 is newer than the R36 releases known here"),
        ("R40 (release), REVISION: 1.0", "R40.1.0 is newer than the releases known here"),
        ("R37 (release), REVISION: 1.0", "R37.1.0 is no release of NVIDIA's JetPack archive"),
        ("R36 (release), REVISION: 4.3", None),
    ],
)
def test_why_no_jetpack_is_known(revision: str, why: str | None) -> None:
    release = parse_release(f"# {revision}, GCID: 1")
    assert release is not None
    told = release.why_no_jetpack
    assert (told is None) == (why is None)
    assert why is None or (told or "").startswith(why)


@pytest.mark.parametrize(
    ("version", "fragments"),
    [((36, 4, 4), False), ((36, 4, 7), True), ((36, 5, 0), False), ((38, 2, 0), False)],
)
def test_memory_is_fragmented_by_some_releases_only(
    version: tuple[int, ...], fragments: bool
) -> None:
    assert FRAGMENTS_MEMORY.holds_for(version) is fragments

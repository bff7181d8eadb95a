from __future__ import annotations

import pytest

from edgemoe_appliance.schema import units


def test_binary_and_decimal_bytes_are_not_the_same() -> None:
    assert units.gib(4.49 * units.GIB) == pytest.approx(4.49)
    assert units.gb(4_213_512_672) == pytest.approx(4.2135, abs=1e-4)
    assert units.gib(units.GB) == pytest.approx(0.9313, abs=1e-4)
    assert units.seconds(1_500_000_000) == 1.5


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (12_000_000, "12.0 MB"),
        (999_990_000, "1.00 GB"),
        (4_213_512_672, "4.21 GB"),
        (-2_000_000, "-2.0 MB"),
    ],
)
def test_bytes_for_a_person(n_bytes: float, shown: str) -> None:
    assert units.human_bytes(n_bytes) == shown


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_for_a_person(duration_s: float, shown: str) -> None:
    assert units.human_duration(duration_s) == shown

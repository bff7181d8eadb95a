"""How the parts of an uncertainty are put together."""

from __future__ import annotations

import math

import pytest

from edgemoe_appliance.measure.uncertainty import (
    Uncertainty,
    add_uncertainties,
    coverage_factor,
    rectangular,
)


def parts(**given: float | None) -> Uncertainty:
    values: dict[str, float | None] = {
        "sampling_j": 0.0,
        "edges_j": 0.0,
        "gaps_j": 0.0,
        "quantisation_j": 0.0,
        "offset_j": 0.0,
        "gain_j": 0.0,
        "sampling_dof": 10.0,
        **given,
    }
    return Uncertainty(**values)  # type: ignore[arg-type]


def student_probability(factor: float, dof: float) -> float:
    """Integrate Student's density from -factor to factor."""
    scale = math.exp(math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)) / math.sqrt(dof * math.pi)
    n = 4000
    step = 2 * factor / n
    moments = (-factor + (index + 0.5) * step for index in range(n))
    return step * math.fsum(scale * (1 + t * t / dof) ** (-(dof + 1) / 2) for t in moments)


@pytest.mark.parametrize("dof", [1, 2, 3, 5, 8, 12, 20, 40, 100])
def test_factors_are_students(dof: int) -> None:
    assert student_probability(coverage_factor(dof), dof) == pytest.approx(0.9545, abs=0.001)


def test_factor_never_falls_below_the_exact_one_between_two_rows() -> None:
    assert coverage_factor(11.9) == coverage_factor(10)
    assert coverage_factor(0.5) == coverage_factor(1)
    assert coverage_factor(math.inf) == 2.0
    assert coverage_factor(1e9) == 2.025


def test_parts_add_in_quadrature() -> None:
    both = parts(sampling_j=3.0, offset_j=4.0)
    assert both.standard_j == pytest.approx(5.0)
    # Welch-Satterthwaite: 10 degrees of freedom, times (5/3)^4.
    assert both.effective_dof == pytest.approx(10 * (5 / 3) ** 4)
    assert both.expanded_j == pytest.approx(coverage_factor(77) * 5.0)


def test_what_has_no_bound_is_named_and_not_taken_for_zero() -> None:
    assert parts(offset_j=None, gain_j=None).not_covered == ("sensor offset", "sensor gain")
    assert parts().not_covered == ()


def test_sensors_add_up_and_chance_does_not() -> None:
    one = parts(sampling_j=3.0, offset_j=1.0)
    both = add_uncertainties([one, parts(sampling_j=4.0, offset_j=2.0, gain_j=None)])
    assert both.sampling_j == pytest.approx(5.0)
    assert both.offset_j == pytest.approx(3.0)
    assert both.gain_j is None


def test_a_rectangle() -> None:
    assert rectangular(0.080) == pytest.approx(0.0461880)

"""Numbers of verdicts and findings as views, in the words that the verdicts use."""

from __future__ import annotations

from edgemoe_appliance.analysis.claims import Number
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.formatting import bounds_in_words, with_unit
from edgemoe_appliance.report.judged_context import NumberView
from edgemoe_appliance.report.views import printable


def number_view(number: Number) -> NumberView:
    """Return a number in words; one without bounds of its own is shown as it is."""
    has_bounds = number.low is not None or bool(number.why_unbound)
    return NumberView(
        label=printable(number.label),
        text=with_unit(number.value, number.unit),
        bounds=printable(bounds_in_words(number)) if has_bounds else "",
    )


def bounds_of(number: Number) -> tuple[float, float] | None:
    """Return what a number is known within; None for an exact one and for one without bounds."""
    if number.low is None or number.high is None or number.basis is Basis.EXACT:
        return None
    return number.low, number.high

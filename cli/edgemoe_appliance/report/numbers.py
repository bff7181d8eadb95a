"""Numbers as a reader sees them. Rounding never turns a value into 0.

What would read as 0 has up to two digits more; what is smaller still is said to be below them.
"""

from __future__ import annotations

import math

from edgemoe_appliance.analysis.statistics import Interval

_MINUS = "\N{MINUS SIGN}"
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
_EN_DASH = "\N{EN DASH}"
_MORE_DIGITS = 2


def format_number(value: float, digits: int) -> str:
    """Return a number with `digits` after the point, more where it would read as 0."""
    if value and round(value, digits) == 0:
        needed = -math.floor(math.log10(abs(value)))
        if needed > digits + _MORE_DIGITS:
            least = f"{10.0 ** -(digits + _MORE_DIGITS):.{digits + _MORE_DIGITS}f}"
            return f"<{least}" if value > 0 else f">{_MINUS}{least}"
        digits = needed
    grouped = f"{abs(value):,.{digits}f}"
    if abs(value) < 10_000:
        grouped = grouped.replace(",", "")
    sign = _MINUS if value < 0 and float(grouped.replace(",", "")) else ""
    return sign + grouped.replace(",", _THIN_SPACE)


def format_interval(interval: Interval, digits: int) -> str:
    """Return an interval as `low-high`, with `to` where a sign would be misread."""
    low, high = format_number(interval.low, digits), format_number(interval.high, digits)
    between = " to " if interval.low < 0 else _EN_DASH
    return f"{low}{between}{high}"

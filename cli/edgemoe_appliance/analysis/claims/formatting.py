"""Numbers in sentences: four significant digits or more, large sizes in their usual units."""

from __future__ import annotations

import math
import re

from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies.claims import Limits

_LARGE = {"B": (GB, "GB"), "B/s": (GB, "GB/s"), "FLOP/s": (1e12, "TFLOP/s")}
_WITHOUT_UNIT = ("1", "ratio")
_BOUNDS = {
    Basis.ROUNDING: " by rounding",
    Basis.INTERVAL: ", 90 % interval",
    Basis.TOLERANCE: " allowed",
}


def in_words(value: float) -> str:
    """Return a number without exponent: four significant digits, six of those above a thousand."""
    digits = 4 if abs(value) < 1000 else 6
    text = f"{value:.{digits}g}"
    if abs(value) >= 1_000_000:
        return f"{value:.0f}"
    return f"{value:.9f}".rstrip("0").rstrip(".") if "e" in text else text


def with_unit(value: float, unit: str) -> str:
    """Return a number with its unit, sizes in GB; NaN stands for a result that is no number."""
    if math.isnan(value):
        return "no finite number"
    factor, shown = _LARGE.get(unit, (1.0, unit))
    text = in_words(value / factor)
    return text if shown in _WITHOUT_UNIT else f"{text} {shown}"


def number_in_words(number: Number) -> str:
    """Return a number with its bounds: `0.899 (0.8982 to 0.8993 by rounding)`."""
    text, bounds = with_unit(number.value, number.unit), bounds_in_words(number)
    return f"{text} ({bounds})" if bounds else text


def bounds_in_words(number: Number) -> str:
    """Return what a number is known within or why that is not known, nothing for an exact one."""
    if not number.is_finite:
        return number.why_unbound
    if number.low is None or number.high is None:
        return f"no interval: {number.why_unbound}"
    if number.basis is None or number.basis is Basis.EXACT:
        return ""
    factor, _ = _LARGE.get(number.unit, (1.0, number.unit))
    low, high = in_words(number.low / factor), in_words(number.high / factor)
    doubts = "".join(f"; {doubt}" for doubt in number.doubts)
    return f"{low} to {high}{_BOUNDS[number.basis]}{doubts}"


def limits_in_words(limits: Limits, unit: str) -> str:
    """Return limits in the unit of a number: `0.85 to 0.95`, `below 9 %`."""
    factor, shown = _LARGE.get(unit, (1.0, unit))
    low, high = (in_words(end / factor) for end in (limits.low, limits.high))
    if limits.holds is not None:
        text = (
            f"an interval that holds {in_words(limits.holds / factor)} and lies in {low} to {high}"
        )
    elif limits.about is not None or None not in (limits.at_least, limits.at_most):
        text = f"{low} to {high}"
    else:
        ends = (
            ("above", limits.above, low),
            ("at least", limits.at_least, low),
            ("below", limits.below, high),
            ("at most", limits.at_most, high),
        )
        text = " and ".join(f"{word} {told}" for word, end, told in ends if end is not None)
    return text if shown in _WITHOUT_UNIT else f"{text} {shown}"


def joined(texts: tuple[str, ...] | list[str]) -> str:
    """Return different texts joined as parts of one sentence."""
    return "; ".join(dict.fromkeys(text for text in texts if text))


def capitalised(text: str) -> str:
    """Return a text with its first letter large, unless it begins with a name of small letters.

    >>> capitalised("no runs"), capitalised("llama.cpp keeps them"), capitalised("no_map is on")
    ('No runs', 'llama.cpp keeps them', 'no_map is on')
    """
    first = text.split(maxsplit=1)[:1]
    is_name = any(re.search(r"[\w)][._/][\w(]", word) for word in first)
    return text if is_name else text[:1].upper() + text[1:]

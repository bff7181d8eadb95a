"""Small plots of numbers against what they were asked to be, in rows on a common axis.

The band is the range asked, the bar the interval, the dot the value. Places are in per cent of the
width and height, so that letters and dots keep their size and the band runs through all rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_PADDING = 0.16
# Two names of limits closer than this, in per cent of the width, would overlap.
_NAMES_APART = 24.0


@dataclass(frozen=True, kw_only=True)
class LimitBand:
    """The range asked; an end may be infinite. `line` is a value to compare with instead."""

    low: float = -math.inf
    high: float = math.inf
    line: float | None = None

    @property
    def ends(self) -> tuple[float, ...]:
        """Return the ends that are numbers, or the line."""
        if self.line is not None:
            return (self.line,)
        return tuple(end for end in (self.low, self.high) if math.isfinite(end))


@dataclass(frozen=True, kw_only=True)
class ValueAxis:
    """A linear axis from `low` at 0 % to `high` at 100 %."""

    low: float
    high: float
    asked: LimitBand

    @classmethod
    def around(cls, asked: LimitBand, values: Sequence[float]) -> ValueAxis | None:
        """Return an axis that holds the limits and all values; None where one is not finite."""
        drawn = [*values, *asked.ends]
        if not drawn or not all(map(math.isfinite, drawn)):
            return None
        low, high = min(drawn), max(drawn)
        room = _PADDING * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low=low - room, high=high + room, asked=asked)

    def at(self, value: float) -> float:
        """Return the place of a value in per cent; infinite ones stand at the ends."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


def draw_row(axis: ValueAxis, value: float, bounds: tuple[float, float] | None) -> Markup:
    """Return one row as an svg: the band, the interval, the value."""
    parts = [*_band(axis), '<line class="r-axis" x1="0" x2="100%" y1="50%" y2="50%"/>']
    parts += [_upright("r-edge", axis.at(end)) for end in axis.asked.ends]
    if bounds is not None:
        low, high = map(axis.at, bounds)
        parts.append(f'<line class="r-bar" x1="{low}%" x2="{high}%" y1="50%" y2="50%"/>')
    parts.append(f'<circle class="r-dot" cx="{axis.at(value)}%" cy="50%" r="5"/>')
    return _svg("range", parts)


def draw_names(axis: ValueAxis, name: Callable[[float], str]) -> Markup:
    """Return the limits in words as an svg to stand below the rows."""
    ends = axis.asked.ends
    places = [axis.at(end) for end in ends]
    if len(places) == 2 and places[1] - places[0] < _NAMES_APART:
        both = "\N{EN DASH}".join(map(name, ends))
        return _svg("range-names", [_name(sum(places) / 2, both)])
    return _svg("range-names", [_name(at, name(end)) for at, end in zip(places, ends, strict=True)])


def _band(axis: ValueAxis) -> list[str]:
    if axis.asked.line is not None:
        return []
    left, right = axis.at(axis.asked.low), axis.at(axis.asked.high)
    width = round(right - left, 2)
    return [f'<rect class="r-band" x="{left}%" y="0" width="{width}%" height="100%"/>']


def _upright(kind: str, x: float) -> str:
    return f'<line class="{kind}" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>'


def _name(at: float, text: str) -> str:
    anchor = "start" if at < 12 else "end" if at > 88 else "middle"
    return f'<text x="{round(at, 2)}%" y="12" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(kind: str, parts: list[str]) -> Markup:
    # Numbers and escaped names only; the words beside it say the same.
    return Markup(f'<svg class="{kind}" aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S704

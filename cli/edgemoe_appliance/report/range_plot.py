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


# The scaled band reaches from -1 to 1, the plot so far to both sides of it.
_REACH = 3.0


@dataclass(frozen=True, kw_only=True)
class PlotMark:
    """A number on the common band; a hollow one is the study's."""

    value: float
    bounds: tuple[float, float] | None
    is_hollow: bool


def draw_scaled(asked: LimitBand, marks: Sequence[PlotMark]) -> Markup | None:
    """Return numbers on a band of one width for all limits, None where a number is not finite.

    A band of two ends is scaled to reach from -1 to 1. One of a single end stands there with it,
    and a unit is the limit itself, or the largest number where the limit is 0. What lies beyond
    the plot stands at its edge as an arrow.
    """
    numbers = [end for mark in marks for end in (mark.value, *(mark.bounds or ()))]
    if not all(map(math.isfinite, numbers)):
        return None
    scale = _Scale.of(asked, max(map(abs, numbers), default=1.0))
    left, right = scale.band
    band = (
        f'<rect class="r-band" x="{left}%" y="0" width="{round(right - left, 2)}%" height="100%"/>'
    )
    parts = [band, '<line class="r-axis" x1="0" x2="100%" y1="50%" y2="50%"/>']
    parts += [_upright("r-edge", scale.at(end)) for end in asked.ends]
    for mark in marks:
        kind = "own" if not mark.is_hollow else "study"
        if mark.bounds is not None:
            low, high = map(scale.at, mark.bounds)
            parts.append(f'<line class="r-bar {kind}" x1="{low}%" x2="{high}%" y1="50%" y2="50%"/>')
        parts.append(_scaled_mark(scale, mark.value, kind))
    return _svg("range", parts)


def _scaled_mark(scale: _Scale, value: float, kind: str) -> str:
    at = scale.at(value)
    if 0 < at < 100:
        return f'<circle class="r-dot {kind}" cx="{at}%" cy="50%" r="5"/>'
    # A nested svg places the arrow at a share of the width in units of its own.
    points = "0,6 10,0 10,12" if at <= 0 else "10,6 0,0 0,12"
    return (
        f'<svg x="{at}%" y="50%" overflow="visible"><polygon class="r-dot {kind}" '
        f'transform="translate({0 if at <= 0 else -10},-6)" points="{points}"/></svg>'
    )


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """A linear scale on which the limits asked for lie at -1 and 1."""

    middle: float
    unit: float
    asked: LimitBand

    @classmethod
    def of(cls, asked: LimitBand, largest: float) -> _Scale:
        ends = asked.ends
        if len(ends) == 2:
            return cls(middle=sum(ends) / 2, unit=(ends[1] - ends[0]) / 2, asked=asked)
        limit = ends[0]
        unit = abs(limit) or largest or 1.0
        side = 0.0 if asked.line is not None else -1.0 if limit == asked.low else 1.0
        return cls(middle=limit - side * unit, unit=unit, asked=asked)

    def at(self, value: float) -> float:
        """Return the place of a value in per cent, at most that of an edge."""
        place = (value - self.middle) / self.unit / _REACH
        return round(50 * (1 + min(1.0, max(-1.0, place))), 2)

    @property
    def band(self) -> tuple[float, float]:
        """Return the ends of the band in per cent; a line has none."""
        if self.asked.line is not None:
            return (50.0, 50.0)
        low, high = self.asked.low, self.asked.high
        return (
            self.at(low) if math.isfinite(low) else 0.0,
            self.at(high) if math.isfinite(high) else 100.0,
        )


def _band(axis: ValueAxis) -> list[str]:
    if axis.asked.line is not None:
        return []
    return [_band_rect(axis.at(axis.asked.low), axis.at(axis.asked.high))]


def _band_rect(left: float, right: float) -> str:
    width = round(right - left, 2)
    return f'<rect class="r-band" x="{left}%" y="0" width="{width}%" height="100%"/>'


def _upright(kind: str, x: float) -> str:
    return f'<line class="{kind}" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>'


def _name(at: float, text: str) -> str:
    anchor = "start" if at < 12 else "end" if at > 88 else "middle"
    return f'<text x="{round(at, 2)}%" y="12" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(kind: str, parts: list[str]) -> Markup:
    # Numbers and escaped names only; the words beside it say the same.
    return Markup(f'<svg class="{kind}" aria-hidden="true">{"".join(parts)}</svg>')  # noqa: S704

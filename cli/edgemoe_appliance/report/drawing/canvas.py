"""What all panels are put together from: strokes, boxes, signs and words on a sheet.

A sheet says where everything stands, in units from its upper left corner; how it becomes a file is
no business of a chart. Text stays text and is never read as a formula, as names can come from
strangers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from edgemoe_appliance.report.drawing.scales import Scale
from edgemoe_appliance.report.palette import SHADES

# One unit is one CSS pixel at the width that a phone gives a figure.
WIDTH = 360
LINE_HEIGHT = 17
MARGIN = 8
# What a letter of the type takes on average; names in capitals take more and are wrapped earlier.
LETTER_WIDTH = 7.4
_TITLE_LETTERS = 40
_WORD_LETTERS = 52
_MOST_LINES = 3
_AXIS_HEIGHT = 40
# From the middle of a line of text, and from its top, down to where letters stand, in its size.
_MIDDLE, _ASCENT = 0.26, 0.76
_TICK_GAP, _NAME_GAP = 4, 7

INK, MUTED = SHADES["ink"].light, SHADES["muted"].light
RULE, GROUND = SHADES["rule"].light, SHADES["ground"].light

Point: TypeAlias = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
# The first is that of the reader's marks, the others those of a study's devices in their order.
MarkShape = Literal["circle", "triangle", "square", "diamond", "cross"]


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A line through some points; `dashes` are lengths drawn and left out in turn."""

    points: tuple[Point, ...]
    colour: str
    width: float
    opacity: float = 1.0
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Box:
    """A filled rectangle by its upper left corner; `edge` is the colour of its outline, if any."""

    left: float
    top: float
    width: float
    height: float
    colour: str
    opacity: float = 1.0
    edge: str = ""


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A small shape around a point; without `fill` what is below it shows through."""

    at: Point
    shape: MarkShape
    size: float
    edge: str
    edge_width: float
    fill: str = ""


@dataclass(frozen=True, kw_only=True)
class Words:
    """One line of text; `at` is where its letters stand, at its start, middle or end."""

    at: Point
    text: str
    size: float = 12.5
    colour: str = INK
    anchor: Anchor = "start"
    is_bold: bool = False


Piece: TypeAlias = Stroke | Box | Sign | Words


@dataclass(kw_only=True)
class Sheet:
    """A figure of the common width: its pieces in the order in which they are drawn."""

    height: float
    pieces: list[Piece] = field(default_factory=list)

    def write(
        self, lines: Sequence[str], x: float, middle: float, *, size: float = 12,
        colour: str = MUTED, anchor: Anchor = "start", is_bold: bool = False,
    ) -> None:  # fmt: skip
        """Write lines one below another; `middle` is that of all of them."""
        first = middle - LINE_HEIGHT * (len(lines) - 1) / 2 + _MIDDLE * size
        for place, line in enumerate(lines):
            at = (x, first + LINE_HEIGHT * place)
            self.pieces.append(
                Words(at=at, text=line, size=size, colour=colour, anchor=anchor, is_bold=is_bold)
            )

    def draw(
        self, *points: Point, colour: str, width: float, opacity: float = 1.0,
        dashes: tuple[float, ...] = (),
    ) -> None:  # fmt: skip
        """Draw a line through some points; one point alone gives none."""
        if len(points) > 1:
            self.pieces.append(
                Stroke(points=points, colour=colour, width=width, opacity=opacity, dashes=dashes)
            )


@dataclass(frozen=True, kw_only=True)
class PanelWords:
    """The words around a panel's plot, each wrapped where it is longer than a line."""

    title: str
    axis: str
    subtitle: str = ""
    legend: str = ""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The part of a sheet that values are drawn in, `x` to the right and `y` upwards."""

    sheet: Sheet
    left: float
    top: float
    width: float
    height: float
    x: Scale
    y: Scale

    @property
    def right(self) -> float:
        """Return where it ends on the right, in units of the sheet."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Return where it ends below, in units of the sheet."""
        return self.top + self.height

    def at(self, x: float, y: float) -> Point:
        """Return the place of a value on the sheet."""
        return self.across(x), self.up(y)

    def across(self, x: float) -> float:
        """Return how far from the left of the sheet a value stands."""
        return self.left + self.width * self.x.at(x)

    def up(self, y: float) -> float:
        """Return how far from the top of the sheet a value stands."""
        return self.bottom - self.height * self.y.at(y)

    def name_across(self, values: Sequence[float] | None = None) -> None:
        """Write the values of the axis below the plot."""
        for value in self.x.ticks() if values is None else values:
            self.write_below(self.across(value), format(value, "g"))

    def write_below(self, x: float, text: str) -> None:
        """Write a name of the axis below a place."""
        self.sheet.write([text], x, self.bottom + _TICK_GAP + 6, anchor="middle")

    def name_up(self) -> None:
        """Write the values of the axis on the left, each with a line through the plot."""
        for value in self.y.ticks():
            y = self.up(value)
            self.sheet.draw((self.left, y), (self.right, y), colour=RULE, width=0.8)
            self.sheet.write([format(value, "g")], self.left - _TICK_GAP, y, anchor="end")

    def name_beside(self, point: Point, name: Sequence[str], height: float, colour: str) -> None:
        """Write a name right of the plot at a height above its bottom, a line to its point."""
        y = self.bottom - height
        ends = point, (self.right + _NAME_GAP - 1, y)
        self.sheet.draw(*ends, colour=colour, width=0.8)
        self.sheet.write(name, self.right + _NAME_GAP, y)

    def grid_across(self) -> None:
        """Draw an upright line at each value of the axis that is named."""
        for value in self.x.ticks():
            x = self.across(value)
            self.sheet.draw((x, self.top), (x, self.bottom), colour=RULE, width=0.8)


def wrapped(text: str, letters: int, most: int = _MOST_LINES) -> list[str]:
    """Return a text in lines of so many letters, cut only where it has more than `most` lines."""
    return textwrap.wrap(
        " ".join(text.split()), letters, max_lines=most, placeholder="…", break_on_hyphens=False
    ) or [""]


def new_plot(
    words: PanelWords, height: float, x: Scale, y: Scale, *, left: int, right: int
) -> Plot:
    """Return a sheet with its words, and an empty plot of `height` units on it."""
    title = wrapped(words.title, _TITLE_LETTERS)
    beside = [wrapped(text, _WORD_LETTERS) for text in (words.subtitle, words.legend) if text]
    below = [line for lines in beside for line in lines]
    top = MARGIN + LINE_HEIGHT * (len(title) + len(below)) + 6
    sheet = Sheet(height=top + height + _AXIS_HEIGHT)
    for place, line in enumerate((*title, *below)):
        is_title = place < len(title)
        size = 13.5 if is_title else 12.0
        sheet.pieces.append(
            Words(
                at=(MARGIN, MARGIN + LINE_HEIGHT * place + _ASCENT * size),
                text=line,
                size=size,
                colour=INK if is_title else MUTED,
                is_bold=is_title,
            )
        )
    sheet.write([words.axis], WIDTH - MARGIN, sheet.height - 10, anchor="end")
    return Plot(
        sheet=sheet, left=left, top=top, width=WIDTH - left - right, height=height, x=x, y=y
    )


def spread_apart(heights: Sequence[float], distance: float, room: float) -> list[float]:
    """Return ascending heights at least `distance` apart, moved as little as a block allows.

    Blocks stay between 0 and `room` where they fit into it.
    """
    blocks: list[list[float]] = []
    for height in heights:
        blocks.append([height])
        while len(blocks) > 1 and _overlap(blocks[-2], blocks[-1], distance, room):
            upper = blocks.pop()
            blocks[-1] = blocks[-1] + upper
    return [at for block in blocks for at in _stacked(block, distance, room)]


def _stacked(block: Sequence[float], distance: float, room: float) -> list[float]:
    tall = distance * (len(block) - 1)
    start = sum(block) / len(block) - tall / 2
    start = max(0.0, min(start, room - tall))
    return [start + distance * place for place in range(len(block))]


def _overlap(lower: Sequence[float], upper: Sequence[float], distance: float, room: float) -> bool:
    gap = _stacked(upper, distance, room)[0] - _stacked(lower, distance, room)[-1]
    return gap < distance

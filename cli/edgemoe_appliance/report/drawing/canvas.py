"""What all panels share: size, type, colours, and files with stable bytes.

Equal data give equal bytes: no date, no version, no random ids, no settings of the user's. Text
stays text and is never read as a formula, as names can come from strangers.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from edgemoe_appliance.report.palette import SHADES

FileKind = Literal["svg", "png", "pdf"]
FILE_KINDS: tuple[FileKind, ...] = ("svg", "png", "pdf")
# One unit is one CSS pixel at the width that a phone gives a figure.
WIDTH = 360
LINE_HEIGHT = 17
MARGIN = 8
# What a letter of the type takes on average; names in capitals take more and are wrapped earlier.
LETTER_WIDTH = 7.4
_UNITS_PER_INCH = 72
_TITLE_LETTERS = 40
_WORD_LETTERS = 52
_MOST_LINES = 3
_AXIS_HEIGHT = 40
_PNG_DPI = 200

INK, MUTED = SHADES["ink"].light, SHADES["muted"].light
RULE, GROUND = SHADES["rule"].light, SHADES["ground"].light
SETTINGS: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12.5,
    "svg.fonttype": "none",
    # Type 3 keeps text selectable; Type 42 takes seconds per panel to cut the fonts down.
    "pdf.fonttype": 3,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": GROUND,
    "savefig.facecolor": "auto",
    "path.simplify": False,
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words around a panel's axes, each wrapped where it is longer than a line."""

    title: str
    axis: str
    subtitle: str = ""
    legend: str = ""


def wrapped(text: str, letters: int, most: int = _MOST_LINES) -> list[str]:
    """Return a text in lines of so many letters, cut only where it has more than `most` lines."""
    return textwrap.wrap(
        " ".join(text.split()), letters, max_lines=most, placeholder="…", break_on_hyphens=False
    ) or [""]


def new_panel(words: Words, plot_height: float, *, left: int, right: int) -> tuple[Figure, Axes]:
    """Return a figure with its words, and empty axes of `plot_height` units."""
    title = wrapped(words.title, _TITLE_LETTERS)
    beside = [wrapped(text, _WORD_LETTERS) for text in (words.subtitle, words.legend) if text]
    below = [line for lines in beside for line in lines]
    above = MARGIN + LINE_HEIGHT * (len(title) + len(below)) + 6
    height = above + plot_height + _AXIS_HEIGHT
    figure = Figure(figsize=(WIDTH / _UNITS_PER_INCH, height / _UNITS_PER_INCH))
    margin = MARGIN / WIDTH
    for place, line in enumerate((*title, *below)):
        is_title = place < len(title)
        figure.text(
            margin,
            1 - (MARGIN + LINE_HEIGHT * place) / height,
            line,
            va="top",
            fontsize=13.5 if is_title else 12,
            fontweight="bold" if is_title else "normal",
            color=INK if is_title else MUTED,
        )
    figure.text(1 - margin, 7 / height, words.axis, ha="right", fontsize=12, color=MUTED)
    box = (left / WIDTH, _AXIS_HEIGHT / height, 1 - (left + right) / WIDTH, plot_height / height)
    axes = figure.add_axes(box)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=12)
    axes.set_axisbelow(True)
    return figure, axes


def file_of(figure: Figure, kind: FileKind) -> bytes:
    """Return a figure as a file of a kind."""
    dated = {"svg": ("Date", "Creator", "Format", "Type"), "png": ("Software",)}
    names = dated.get(kind, ("CreationDate", "Producer", "Creator"))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata=dict.fromkeys(names))
    content = buffer.getvalue()
    return _clean_svg(content) if kind == "svg" else content


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


def _clean_svg(svg: bytes) -> bytes:
    """Return the svg element alone, scalable, with only the ids that it refers to.

    The style sheet that matplotlib puts in would apply to the whole page.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))

    def keep(match: re.Match[str]) -> str:
        return f' id="{match[1]}"' if match[1] in used else ""

    text = re.sub(r' id="([^"]*)"', keep, text)
    return text.strip().encode() + b"\n"


def themed(svg: bytes) -> str:
    """Return an svg for the page: colours named, so that they follow its theme, and no ballast."""
    text = _slim(svg.decode())
    for role, shade in SHADES.items():
        text = text.replace(shade.light, f"var(--{role})")
    return text


def _slim(text: str) -> str:
    """Return an svg that looks the same in half the bytes; words between tags stay as they are."""
    text = re.sub(r"<[^>]+>", lambda tag: _slim_tag(tag[0]), text)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r'<path d="[^"]*" style="fill: none"/>|<g/>|<defs></defs>', "", text)
    return _without_plain_groups(text)


def _slim_tag(tag: str) -> str:
    tag = re.sub(r"\s+", " ", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"| font-family: [^;]*;', "", tag)
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag)


def _without_plain_groups(text: str) -> str:
    """Return markup without the groups that have no attribute, their content kept."""
    kept: list[bool] = []
    parts = []
    for part in re.split(r"(<g(?: [^>]*)?>|</g>)", text):
        if part.startswith("<g"):
            kept.append(part != "<g>")
        if part != "<g>" and (part != "</g>" or kept.pop()):
            parts.append(part)
    return "".join(parts)

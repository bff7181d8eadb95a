"""Sheets as files with stable bytes: svg for the page, png and pdf for print.

Equal sheets give equal bytes: no date, no version, no random ids, no settings of the user's. An
svg is written here, piece by piece; the other two are drawn by matplotlib, whose loading takes as
long as a page of svg, so that it is loaded for them alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    WIDTH,
    Anchor,
    Box,
    MarkShape,
    Piece,
    Point,
    Sheet,
    Sign,
    Stroke,
    Words,
)
from edgemoe_appliance.report.palette import SHADES

if TYPE_CHECKING:
    from matplotlib.backend_bases import GraphicsContextBase, RendererBase

FileKind = Literal["svg", "png", "pdf"]
FILE_KINDS: tuple[FileKind, ...] = ("svg", "png", "pdf")
_SVG = "http://www.w3.org/2000/svg"
_TYPEFACE = "DejaVu Sans"
_FONTS = f' font-family="{_TYPEFACE}, sans-serif"'
_UNITS_PER_INCH = 72
_PNG_DPI = 200
# A tenth larger than the smallest file, in a third of the time.
_PNG_EFFORT = 2
# The corners of shapes of size 2 around 0; a circle has none.
_CORNERS: dict[MarkShape, tuple[Point, ...]] = {
    "triangle": ((0, -1), (-1, 1), (1, 1)),
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.41), (1.41, 0), (0, 1.41), (-1.41, 0)),
    "cross": (
        *((-0.5, -1), (0, -0.5), (0.5, -1), (1, -0.5), (0.5, 0), (1, 0.5)),
        *((0.5, 1), (0, 0.5), (-0.5, 1), (-1, 0.5), (-0.5, 0), (-1, -0.5)),
    ),
}
_ALIGNED: dict[Anchor, float] = {"start": 0.0, "middle": 0.5, "end": 1.0}
_SETTINGS: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": [_TYPEFACE],
    # Type 3 keeps text selectable; Type 42 takes seconds per panel to cut the fonts down.
    "pdf.fonttype": 3,
    "text.parse_math": False,
    "text.usetex": False,
    "path.simplify": False,
}


def file_of(sheet: Sheet, kind: FileKind) -> bytes:
    """Return a sheet as a file of a kind."""
    if kind == "svg":
        return render_svg(sheet)
    with _own_settings():
        return _png(sheet) if kind == "png" else _pdf(sheet)


# -- svg


def render_svg(sheet: Sheet) -> bytes:
    """Return a sheet as one svg element that scales, with all its colours in styles."""
    parts = (
        f'<svg xmlns="{_SVG}" viewBox="0 0 {WIDTH} {_n(sheet.height)}"{_FONTS}>',
        f'<path d="M0 0H{WIDTH}V{_n(sheet.height)}H0Z" style="fill: {GROUND}"/>',
        *map(_svg_piece, sheet.pieces),
        "</svg>\n",
    )
    return "\n".join(parts).encode()


def themed(svg: bytes) -> str:
    """Return an svg for the page: in its type, colours named so that they follow its theme."""
    text = svg.decode().replace(_FONTS, "", 1).replace("\n", "")
    for role, shade in SHADES.items():
        text = text.replace(shade.light, f"var(--{role})")
    return text


def _svg_piece(piece: Piece) -> str:
    if isinstance(piece, Words):
        return _svg_words(piece)
    if isinstance(piece, Stroke):
        dashes = " ".join(map(_n, piece.dashes))
        style = _style(
            fill="none", stroke=piece.colour, stroke_width=_n(piece.width),
            stroke_opacity=_share(piece.opacity), stroke_dasharray=dashes,
        )  # fmt: skip
        return f'<path d="{_through(piece.points)}" style="{style}"/>'
    if isinstance(piece, Box):
        corners = _box_corners(piece)
        style = _style(fill=piece.colour, fill_opacity=_share(piece.opacity), stroke=piece.edge)
        return f'<path d="{_through(corners)}Z" style="{style}"/>'
    return _svg_sign(piece)


def _svg_words(piece: Words) -> str:
    x, y = piece.at
    style = _style(
        fill=piece.colour,
        font_size=f"{_n(piece.size)}px",
        font_weight="700" if piece.is_bold else "",
        text_anchor="" if piece.anchor == "start" else piece.anchor,
    )
    return f'<text x="{_n(x)}" y="{_n(y)}" style="{style}">{escape(piece.text)}</text>'


def _svg_sign(piece: Sign) -> str:
    style = _style(fill=piece.fill or "none", stroke=piece.edge, stroke_width=_n(piece.edge_width))
    if piece.shape == "circle":
        x, y = map(_n, piece.at)
        return f'<circle cx="{x}" cy="{y}" r="{_n(piece.size / 2)}" style="{style}"/>'
    return f'<path d="{_through(_sign_corners(piece))}Z" style="{style}"/>'


def _style(**values: str) -> str:
    """Return the properties that have a value as a style."""
    return "; ".join(f"{key.replace('_', '-')}: {value}" for key, value in values.items() if value)


def _through(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _share(opacity: float) -> str:
    return "" if opacity == 1 else _n(opacity)


def _n(value: float) -> str:
    """Return a number of units, to a hundredth of a pixel."""
    return re.sub(r"\.?0+$", "", f"{value:.2f}") if value % 1 else f"{value:.0f}"


# -- png and pdf


@contextmanager
def _own_settings() -> Iterator[None]:
    """Draw by the settings of matplotlib's authors and these, not by those of the user."""
    import matplotlib as mpl  # noqa: PLC0415  (svg alone is drawn without)

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def _png(sheet: Sheet) -> bytes:
    from matplotlib.backends import backend_agg  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    untyped: Any = backend_agg
    scale = _PNG_DPI / _UNITS_PER_INCH
    size = round(WIDTH * scale), round(sheet.height * scale)
    renderer = untyped.RendererAgg(*size, _PNG_DPI)
    _Painter(renderer, sheet, scale).paint()
    buffer = io.BytesIO()
    image = Image.frombuffer("RGBA", size, renderer.buffer_rgba(), "raw", "RGBA", 0, 1)
    image.convert("RGB").save(buffer, "png", dpi=(_PNG_DPI, _PNG_DPI), compress_level=_PNG_EFFORT)
    return buffer.getvalue()


def _pdf(sheet: Sheet) -> bytes:
    from matplotlib.backends import backend_pdf  # noqa: PLC0415

    untyped: Any = backend_pdf
    buffer = io.BytesIO()
    undated = dict.fromkeys(("CreationDate", "Producer", "Creator"))
    file = untyped.PdfFile(buffer, metadata=undated)
    inches = WIDTH / _UNITS_PER_INCH, sheet.height / _UNITS_PER_INCH
    file.newPage(*inches)
    renderer = untyped.RendererPdf(file, _UNITS_PER_INCH, inches[1], inches[0])
    _Painter(renderer, sheet, 1.0).paint()
    renderer.finalize()
    file.finalize()
    file.close()
    return buffer.getvalue()


class _Painter:
    """Paints a sheet by a renderer of matplotlib, which measures in dots from below."""

    def __init__(self, renderer: RendererBase, sheet: Sheet, scale: float) -> None:
        from matplotlib.path import Path  # noqa: PLC0415
        from matplotlib.transforms import Affine2D  # noqa: PLC0415

        self._renderer = renderer
        self._sheet = sheet
        self._scale = scale
        self._path = Path
        self._to_dots = Affine2D().scale(scale, -scale).translate(0, sheet.height * scale)

    def paint(self) -> None:
        """Paint the ground and every piece."""
        self._paint_box(Box(left=0, top=0, width=WIDTH, height=self._sheet.height, colour=GROUND))
        for piece in self._sheet.pieces:
            if isinstance(piece, Words):
                self._paint_words(piece)
            elif isinstance(piece, Stroke):
                context = self._context(piece.colour, piece.width, piece.opacity)
                if piece.dashes:
                    context.set_dashes(0, list(piece.dashes))
                self._renderer.draw_path(context, self._path(piece.points), self._to_dots)
            elif isinstance(piece, Box):
                self._paint_box(piece)
            else:
                self._paint_sign(piece)

    def _context(self, colour: str, width: float, opacity: float = 1.0) -> GraphicsContextBase:
        """Return how lines are drawn."""
        context = self._renderer.new_gc()
        context.set_alpha(opacity)
        context.set_foreground(colour)
        context.set_linewidth(width)
        context.set_joinstyle("miter")
        return context

    def _paint_box(self, piece: Box) -> None:
        context = self._context(piece.edge or piece.colour, 1 if piece.edge else 0, piece.opacity)
        self._fill(context, _box_corners(piece), piece.colour)

    def _paint_sign(self, piece: Sign) -> None:
        context = self._context(piece.edge, piece.edge_width)
        if piece.shape != "circle":
            self._fill(context, _sign_corners(piece), piece.fill)
            return
        circle = self._path.circle(piece.at, piece.size / 2)
        self._renderer.draw_path(context, circle, self._to_dots, self._rgb(piece.fill))

    def _fill(self, context: GraphicsContextBase, corners: Sequence[Point], colour: str) -> None:
        closed = self._path([*corners, corners[0]], closed=True)
        self._renderer.draw_path(context, closed, self._to_dots, self._rgb(colour))

    def _rgb(self, colour: str) -> tuple[float, float, float] | None:
        from matplotlib.colors import to_rgb  # noqa: PLC0415

        return to_rgb(colour) if colour else None

    def _paint_words(self, piece: Words) -> None:
        from matplotlib.font_manager import FontProperties  # noqa: PLC0415

        weight = "bold" if piece.is_bold else "normal"
        type_ = FontProperties(family=_TYPEFACE, size=piece.size, weight=weight)
        long, _, _ = self._renderer.get_text_width_height_descent(piece.text, type_, False)
        x, y = piece.at
        left = x * self._scale - _ALIGNED[piece.anchor] * long
        up = (self._sheet.height - y) * self._scale
        dots = self._sheet.height * self._scale - up if self._renderer.flipy() else up
        self._renderer.draw_text(self._context(piece.colour, 0), left, dots, piece.text, type_, 0)


def _box_corners(piece: Box) -> tuple[Point, ...]:
    right, bottom = piece.left + piece.width, piece.top + piece.height
    return (
        (piece.left, piece.top),
        (right, piece.top),
        (right, bottom),
        (piece.left, bottom),
    )


def _sign_corners(piece: Sign) -> tuple[Point, ...]:
    (x, y), half = piece.at, piece.size / 2
    return tuple((x + half * across, y + half * down) for across, down in _CORNERS[piece.shape])

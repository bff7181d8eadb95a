"""Sheets as files with stable bytes: svg for the page, pdf and png for print.

Equal sheets give equal bytes: no date, no random ids, no settings of the user's. An svg is written
here, piece by piece; a pdf is drawn by ReportLab, and a png is the picture that PDFium shows of it.
Both are loaded for figures in print alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import distribution
from typing import Any, Literal
from xml.sax.saxutils import escape

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    WIDTH,
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
# Bytes as they are, and no remarks: ReportLab takes both from a user's settings.
_SETTINGS = {"useA85": 0, "pdfComments": 0}
# The typeface by the names that its two weights have in a pdf.
_REGULAR, _BOLD = "regular", "bold"
_FONT_FILES = {_REGULAR: "DejaVuSans.ttf", _BOLD: "DejaVuSans-Bold.ttf"}


def file_of(sheet: Sheet, kind: FileKind) -> bytes:
    """Return a sheet as a file of a kind."""
    if kind == "svg":
        return render_svg(sheet)
    pdf = render_pdf(sheet)
    return pdf if kind == "pdf" else render_png(pdf)


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


# -- pdf and png


def render_pdf(sheet: Sheet) -> bytes:
    """Return a sheet as a page with text that can be selected, its fonts cut down to that text."""
    from reportlab import rl_config  # noqa: PLC0415  (svg alone is drawn without)
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415

    _load_fonts()
    vars(rl_config).update(_SETTINGS)
    buffer = io.BytesIO()
    size = WIDTH, sheet.height
    canvas = Canvas(buffer, pagesize=size, pageCompression=1, invariant=1, initialFontName=_REGULAR)
    _Painter(canvas, sheet.height).paint(sheet.pieces)
    canvas.save()
    return buffer.getvalue()


def render_png(pdf: bytes) -> bytes:
    """Return the picture of a page."""
    from pypdfium2 import PdfDocument  # noqa: PLC0415

    with PdfDocument(pdf) as document:
        image = document[0].render(scale=_PNG_DPI / _UNITS_PER_INCH).to_pil()
    buffer = io.BytesIO()
    image.save(buffer, "png", dpi=(_PNG_DPI, _PNG_DPI), compress_level=_PNG_EFFORT)
    return buffer.getvalue()


@cache
def _load_fonts() -> None:
    """Make known the fonts, which lie in the folder of matplotlib; it is not loaded for them."""
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415

    fonts = distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf")
    for name, file in _FONT_FILES.items():
        registerFont(TTFont(name, str(fonts / file)))


class _Painter:
    """Paints pieces on the canvas of a pdf, which measures from below."""

    def __init__(self, canvas: Any, height: float) -> None:
        self._canvas = canvas
        self._height = height

    def paint(self, pieces: Iterable[Piece]) -> None:
        """Paint the ground and every piece."""
        self._paint(Box(left=0, top=0, width=WIDTH, height=self._height, colour=GROUND))
        for piece in pieces:
            self._paint(piece)

    def _paint(self, piece: Piece) -> None:
        if isinstance(piece, Words):
            self._paint_words(piece)
        elif isinstance(piece, Stroke):
            self._pen(piece.colour, piece.width, piece.opacity, piece.dashes)
            self._path(piece.points, is_closed=False)
        elif isinstance(piece, Box):
            self._brush(piece.colour, piece.opacity)
            if piece.edge:
                self._pen(piece.edge, 1, piece.opacity)
            self._path(_box_corners(piece), is_filled=True, is_edged=bool(piece.edge))
        else:
            self._paint_sign(piece)

    def _paint_sign(self, piece: Sign) -> None:
        is_filled = bool(piece.fill)
        self._pen(piece.edge, piece.edge_width)
        if is_filled:
            self._brush(piece.fill)
        if piece.shape == "circle":
            x, y = piece.at
            self._canvas.circle(x, self._height - y, piece.size / 2, fill=is_filled)
        else:
            self._path(_sign_corners(piece), is_filled=is_filled)

    def _paint_words(self, piece: Words) -> None:
        x, y = piece.at
        self._brush(piece.colour)
        self._canvas.setFont(_BOLD if piece.is_bold else _REGULAR, piece.size)
        write = {
            "start": self._canvas.drawString,
            "middle": self._canvas.drawCentredString,
            "end": self._canvas.drawRightString,
        }[piece.anchor]
        write(x, self._height - y, piece.text)

    def _path(
        self,
        points: Sequence[Point],
        *,
        is_closed: bool = True,
        is_filled: bool = False,
        is_edged: bool = True,
    ) -> None:
        path = self._canvas.beginPath()
        (x, y), *rest = points
        path.moveTo(x, self._height - y)
        for x, y in rest:
            path.lineTo(x, self._height - y)
        if is_closed:
            path.close()
        self._canvas.drawPath(path, stroke=is_edged, fill=is_filled)

    def _pen(
        self, colour: str, width: float, opacity: float = 1.0, dashes: Sequence[float] = ()
    ) -> None:
        self._canvas.setStrokeColor(colour)
        self._canvas.setStrokeAlpha(opacity)
        self._canvas.setLineWidth(width)
        self._canvas.setDash(list(dashes))

    def _brush(self, colour: str, opacity: float = 1.0) -> None:
        self._canvas.setFillColor(colour)
        self._canvas.setFillAlpha(opacity)


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

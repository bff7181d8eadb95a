"""Drawings: equal bytes for equal data, text as text, nothing of a stranger's name is run."""

from __future__ import annotations

import io
import itertools
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader
from reportlab import rl_config

from edgemoe_appliance.report.drawing import (
    FILE_KINDS,
    Chart,
    FileKind,
    FrontierChart,
    FrontierPoint,
    Line,
    LineChart,
    Mark,
    MarkRow,
    RoofChart,
    RoofPoint,
    RowChart,
    draw,
    file_of,
    spread_apart,
    themed,
)
from edgemoe_appliance.report.drawing.canvas import LETTER_WIDTH, LINE_HEIGHT, Words
from edgemoe_appliance.report.drawing.rows import draw_rows
from edgemoe_appliance.report.drawing.scales import (
    LinearScale,
    LogFromZeroScale,
    LogScale,
    Scale,
)
from edgemoe_appliance.report.palette import SHADES, model_colour

HOSTILE = r'<script>alert(1)</script> $\frac{1}{0}$ & "quoted" %s'


MODELS = ("olmoe-1b-7b", "llama-3.2-1b")


def row_chart(label: str = "OLMoE") -> RowChart:
    mark = Mark(value=3.0, shape="circle", low=2.5, high=3.5)
    study = Mark(value=4.0, shape="triangle")
    rows = (
        MarkRow(label=label, model="olmoe-1b-7b", values=("3.0", "4.0"), marks=(mark, study)),
        MarkRow(label="Llama", model="llama-3.2-1b", values=("2", ""), bar=2.0, inner_bar=1.0,
                bounds=(1.9, 2.1), tick=1.5),
    )  # fmt: skip
    return RowChart(
        title="A title",
        axis="tok/s",
        heads=("here", "board"),
        rows=rows,
        low=0,
        high=4,
        legend="a legend",
    )


def line_chart(label: str = "OLMoE") -> LineChart:
    lines = (
        Line(label=label, model="olmoe-1b-7b", values=(100.0, 98.0, 90.0), bounds=(None,) * 3),
        Line(
            label="Llama",
            model="llama-3.2-1b",
            values=(100.0, None, 90.1),
            bounds=((99.0, 101.0), None, None),
        ),
    )
    return LineChart(
        title="A title",
        subtitle="a subtitle",
        axis="prompt length",
        classes=("short", "medium", "long"),
        lines=lines,
        low=85,
        high=105,
    )


def frontier_chart(label: str = "OLMoE") -> FrontierChart:
    points = (
        FrontierPoint(label=label, model="olmoe-1b-7b", gain=(20.0, 19.0, 21.0),
                      loss=(0.0, 0.0, 0.0), is_beaten=False),
        FrontierPoint(label="Llama", model="llama-3.2-1b", gain=(15.0, 14.0, 16.0),
                      loss=(0.4, 0.3, 0.5), is_beaten=True),
    )  # fmt: skip
    return FrontierChart(
        title="A title", subtitle="a subtitle", axis="tok/s", points=points, legend="a legend"
    )


def roof_chart(label: str = "OLMoE") -> RoofChart:
    points = (
        RoofPoint(label=label, model="olmoe-1b-7b", rate_tok_s=20, active_gb=0.7, total_gb=4.2),
        RoofPoint(label="Llama", model="llama-3.2-1b", rate_tok_s=30, active_gb=0.8),
    )
    return RoofChart(
        title="A title",
        subtitle="a subtitle",
        bandwidth_gb_s=68.3,
        points=points,
        legend="a legend",
    )


CHARTS = (row_chart(), line_chart(), frontier_chart(), roof_chart())


def file_in(chart: Chart, kind: FileKind) -> bytes:
    return file_of(draw(chart, MODELS), kind)


@pytest.mark.parametrize("chart", CHARTS)
def test_equal_data_give_equal_bytes(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: tuple[FileKind, ...] = ("svg", "png", "pdf")
    first = [file_in(chart, kind) for kind in kinds]
    own = {"useA85": 1, "pdfComments": 1, "pageCompression": 0, "invariant": 0}
    for name, value in own.items():  # a user's own settings
        monkeypatch.setattr(rl_config, name, value)
    assert [file_in(chart, kind) for kind in kinds] == first


@pytest.mark.parametrize("chart", CHARTS)
def test_a_picture_in_print_holds_its_words_and_is_as_large_as_the_page(chart: Chart) -> None:
    words = ET.fromstring(file_in(chart, "svg")).itertext()
    page = PdfReader(io.BytesIO(file_in(chart, "pdf"))).pages[0]
    picture = Image.open(io.BytesIO(file_in(chart, "png")))
    assert all(word in page.extract_text() for word in words)
    assert picture.size == tuple(math.ceil(float(side) * 200 / 72) for side in page.mediabox[2:])
    assert len(picture.getcolors(1 << 24) or ()) > 10


@pytest.mark.parametrize(
    "name", ["名前 שם اسم", "e\u0301 \U0001f600", "\u25a1 \u25b3 \u25cf \u2265"]
)
def test_a_name_in_any_script_is_drawn(name: str) -> None:
    assert file_in(row_chart(name), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("chart", CHARTS)
def test_an_svg_is_alone_scalable_and_undated(chart: Chart) -> None:
    svg = file_in(chart, "svg")
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.get("viewBox")
    assert root.get("width") is None
    text = svg.decode()
    assert "<style" not in text
    assert "metadata" not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_text_stays_text() -> None:
    root = ET.fromstring(file_in(row_chart(), "svg"))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"OLMoE", "3.0", "here", "board", "A title", "a legend", "tok/s"} <= texts


def test_a_file_that_another_one_beats_is_hollow() -> None:
    def filled(chart: FrontierChart) -> int:
        svg = file_in(chart, "svg").decode()
        colours = [model_colour(model, MODELS) for model in MODELS]
        return sum(len(re.findall(f"fill: {colour}", svg)) for colour in colours)

    chart = frontier_chart()
    best = replace(chart, points=tuple(replace(p, is_beaten=False) for p in chart.points))
    worst = replace(chart, points=tuple(replace(p, is_beaten=True) for p in chart.points))
    assert (filled(worst), filled(chart), filled(best)) == (0, 1, 2)


@pytest.mark.parametrize("losses", [(0.0, 0.0), (0.0, 1e-9), (10.0, 0.004)])
def test_a_frontier_is_drawn_whatever_is_lost(losses: tuple[float, float]) -> None:
    """The 16-bit file loses nothing, which a logarithm cannot show."""
    chart = frontier_chart()
    points = tuple(
        replace(point, gain=(5.0, 5.0, 5.0), loss=(loss, loss, loss))
        for point, loss in zip(chart.points, losses, strict=True)
    )
    root = ET.fromstring(file_in(replace(chart, points=points), "svg"))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"OLMoE", "Llama", "a subtitle", "a legend", "tok/s"} <= texts


@pytest.mark.parametrize("chart", CHARTS)
def test_panels_of_one_page_share_no_id(chart: Chart) -> None:
    assert not re.search(r' id="', file_in(chart, "svg").decode())


@pytest.mark.parametrize(
    "chart",
    [row_chart(HOSTILE), line_chart(HOSTILE), frontier_chart(HOSTILE), roof_chart(HOSTILE)],
)
def test_a_hostile_name_is_drawn_as_it_is(chart: Chart) -> None:
    root = ET.fromstring(file_in(chart, "svg"))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE.replace(" ", "") in "".join(texts).replace(" ", "")
    assert file_in(chart, "png").startswith(b"\x89PNG")
    assert file_in(chart, "pdf").startswith(b"%PDF")


@pytest.mark.parametrize("kinds", [*itertools.permutations(FILE_KINDS)])
def test_a_drawing_is_the_same_file_whatever_was_saved_of_it_before(
    kinds: tuple[FileKind, ...],
) -> None:
    sheet = draw(row_chart(), MODELS)
    for kind in kinds:
        assert file_of(sheet, kind) == file_in(row_chart(), kind)


def test_a_themed_svg_has_no_colour_of_its_own() -> None:
    text = themed(file_in(row_chart(), "svg"))
    assert "var(--ink)" in text
    assert "var(--model-1)" in text
    assert not set(re.findall(r"#[0-9a-f]{6}\b", text)) & {s.light for s in SHADES.values()}
    assert not re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", text)


@given(st.lists(st.floats(min_value=0, max_value=190), min_size=1, max_size=8))
def test_labels_are_spread_apart_in_order(heights: list[float]) -> None:
    spread = spread_apart(sorted(heights), 17, 190)
    assert len(spread) == len(heights)
    for lower, upper in itertools.pairwise(spread):
        assert upper - lower >= 17 - 1e-6
    assert spread[0] >= -1e-6
    assert spread[-1] <= 190 + 1e-6


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread_apart([10, 60, 120], 17, 190) == [10, 60, 120]


def texts_of(chart: RowChart) -> dict[str, ET.Element]:
    root = ET.fromstring(file_in(chart, "svg"))
    return {str(each.text): each for each in root.iter("{http://www.w3.org/2000/svg}text")}


def test_long_words_are_wrapped_and_only_cut_where_they_have_no_end() -> None:
    label = "A model with a name that is longer than a line of a chart"
    texts = texts_of(row_chart(label))
    assert label not in texts
    assert label in " ".join(texts)
    assert not any("…" in text for text in texts)
    assert any("…" in text for text in texts_of(row_chart("W" * 3000)))


def test_values_stand_in_columns_below_whose_they_are() -> None:
    texts = texts_of(row_chart())
    for head, values in (("here", ("3.0", "2")), ("board", ("4.0",))):
        assert {texts[value].get("x") for value in values} == {texts[head].get("x")}


@pytest.mark.parametrize("label", ["OLMoE", "at most 200 tokens, every node", "W" * 44])
@pytest.mark.parametrize("head", ["here", "here, full twins of the models", "h" * 36])
def test_no_name_runs_into_the_values_beside_it(label: str, head: str) -> None:
    chart = replace(row_chart(label), heads=(head, "△ M2"))
    words = [piece for piece in draw_rows(chart, ()).pieces if isinstance(piece, Words)]
    names = [word for word in words if word.anchor == "start" and word.text in label]
    values = [word for word in words if word.text in ("3.0", "4.0")]
    assert names and len(values) == 2
    beside = [(n, v) for n in names for v in values if abs(n.at[1] - v.at[1]) < LINE_HEIGHT / 2]
    for name, value in beside:
        name_end = name.at[0] + len(name.text) * LETTER_WIDTH
        assert name_end <= value.at[0] - len(value.text) * LETTER_WIDTH, name.text


def test_no_line_of_the_axis_runs_through_words() -> None:
    root = ET.fromstring(file_in(row_chart(), "svg"))
    names = [float(texts_of(row_chart())[name].get("y", 0)) for name in ("OLMoE", "Llama")]
    uprights = [
        [float(number) for number in re.findall(r"[\d.]+", path.get("d", ""))]
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        if SHADES["rule"].light in path.get("style", "")
    ]
    drawn = [line for line in uprights if len(line) == 4 and line[0] == line[2]]
    assert len(drawn) >= 2 * len(names)
    for _, top, _, bottom in drawn:
        assert not any(min(top, bottom) < name < max(top, bottom) for name in names)


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (LinearScale(low=0, high=1), (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (LinearScale(low=0, high=1.03), (0, 0.25, 0.5, 0.75, 1)),
        (LinearScale(low=-3, high=7.1), (-2.5, 0, 2.5, 5)),
        (LinearScale(low=78, high=102), (80, 85, 90, 95, 100)),
        (
            LinearScale(low=0.0123, high=0.0124),
            (0.0123, 0.01232, 0.01234, 0.01236, 0.01238, 0.0124),
        ),
        (LogScale(low=0.45, high=6.7), (0.5, 1, 2, 5)),
        (LogScale(low=0.02, high=5e4), (0.1, 1, 10, 100, 1000, 1e4)),
        (LogFromZeroScale(low=-0.0015, high=9, smallest=0.003), (0, 0.01, 0.1, 1)),
        (LogFromZeroScale(low=-0.02, high=0.6, smallest=0.04), (0, 0.05, 0.1, 0.2, 0.5)),
    ],
)
def test_ticks_are_few_and_round(scale: Scale, ticks: tuple[float, ...]) -> None:
    assert tuple(scale.ticks()) == ticks


@given(
    st.sampled_from((LinearScale, LogScale)),
    st.floats(min_value=1e-9, max_value=1e9),
    st.floats(min_value=1.001, max_value=1e6),
)
def test_ticks_lie_on_the_axis(
    kind: type[LinearScale | LogScale], low: float, times: float
) -> None:
    scale = kind(low=low, high=low * times)
    places = [scale.at(tick) for tick in scale.ticks()]
    assert len(places) <= 7
    assert places == sorted(places)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    assert (scale.at(low), scale.at(low * times)) == pytest.approx((0, 1))

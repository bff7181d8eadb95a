"""The page in a real browser: silent, without a request, at every width, in both themes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from edgemoe_appliance.analysis import load_sessions, statistics
from edgemoe_appliance.report import write_report
from edgemoe_appliance.study.reference import read_study
from tests.analysis.journals import Synthetic, write_session

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    loaded = load_sessions([write_session(folder / "raw", Synthetic())])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 200)
        return write_report(loaded, folder / "out", read_study()).html


@dataclass(kw_only=True)
class Opened:
    """A page and all that it said and asked for."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def opened(
    browser: Browser, html: Path, width: int, scheme: Literal["light", "dark"] = "light"
) -> Opened:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    found = Opened(page=context.new_page())
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(html.as_uri())
    return found


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1600])
def test_it_is_silent_asks_for_nothing_and_never_scrolls_sideways(
    browser: Browser, html: Path, width: int
) -> None:
    found = opened(browser, html, width)
    assert found.messages == []
    assert found.requests == [html.as_uri()]
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert found.page.evaluate(overflow) <= 0


def test_tables_scroll_inside_their_boxes_on_a_phone(browser: Browser, html: Path) -> None:
    page = opened(browser, html, 390).page
    box = "document.querySelector('#table-throughput .scroll')"
    assert page.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    assert page.evaluate(f"{box}.tabIndex") == 0


def test_the_theme_follows_the_reader_and_figures_follow_the_theme(
    browser: Browser, html: Path
) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page = opened(browser, html, 1280, "dark" if scheme == "dark" else "light").page
        colours.append(
            page.evaluate(
                "[getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('.chart svg text')).fill]"
            )
        )
    assert all(light != dark for light, dark in zip(*colours, strict=True))


def test_text_in_figures_is_in_the_page_s_font(browser: Browser, html: Path) -> None:
    page = opened(browser, html, 1280).page
    assert page.evaluate(
        "getComputedStyle(document.querySelector('.chart svg text')).fontFamily"
        " === getComputedStyle(document.body).fontFamily"
    )


def test_the_banner_of_twins_stays_in_sight(browser: Browser, html: Path) -> None:
    page = opened(browser, html, 390).page
    page.evaluate("document.querySelector('#runs').scrollIntoView()")
    assert page.evaluate("document.querySelector('.banner').getBoundingClientRect().top") == 0


def test_it_prints(browser: Browser, html: Path) -> None:
    pdf = opened(browser, html, 1280).page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000

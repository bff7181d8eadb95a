"""The page in a real browser: silent, without a request, at every width, in both themes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pypdf
import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.ledger.entries import Refusal
from edgemoe_appliance.ledger.site import render_site
from edgemoe_appliance.report import render_reference_report, write_report
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import read_study
from tests.analysis import arms
from tests.analysis.journals import Synthetic, failed, with_caveat, write_session
from tests.ledger.entries import ledger_entry

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path"),
]
Scheme = Literal["light", "dark"]
# What strangers may write into a journal.
HOSTILE = (
    "</script></style></svg><script>window.hit=1</script>",
    '"><img src=x onerror="window.hit=1">',
    "javascript:window.hit=1",
    "\u202egnp.exe\u2066\x00\x1b[31m",
    "{{ 7*7 }}${7*7}<%= 7*7 %>",
    r"\input{/etc/passwd}\end{table} $x$ % &",
    "=cmd|' /C calc'!A0",
    "W" * 3000,
)


def trouble(index: int, spec: RunSpec) -> Mapping[str, Any]:
    if index in (5, 6):
        return failed(Status.OOM, "killed by the kernel", 137)
    return with_caveat("other-load", "another process was busy") if index == 9 else {}


def hostile(index: int, spec: RunSpec) -> Mapping[str, Any]:
    text = HOSTILE[index % len(HOSTILE)]
    return failed(Status.CRASHED, text) if index % 5 == 1 else with_caveat("odd", text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def written(folder: Path, *sessions: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 200)
        return write_report(load_sessions(sessions), folder / "out", read_study()).html


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a session like the study's: 180 runs, two failures, a caveat."""
    folder = tmp_path_factory.mktemp("browser")
    return written(folder, write_session(folder / "raw", Synthetic(), trouble))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of two sessions, one of them with every experiment, energy and routing."""
    folder = tmp_path_factory.mktemp("full")
    board = write_session(folder / "raw", arms.everything(), arms.outcome)
    other = write_session(folder / "raw", Synthetic(session="other", host_name="b"), trouble)
    return written(folder, board, other)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_reference_report(tmp_path_factory.mktemp("reference"), read_study()).html


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a session whose every name and text is hostile."""
    folder = tmp_path_factory.mktemp("attacked")
    models = tuple(Synthetic().models)
    session = Synthetic(
        names=dict(zip(models, HOSTILE[:4], strict=True)),
        prompt_text=" ".join(HOSTILE),
        twin_scale=None,
    )
    return written(folder, write_session(folder / "raw", session, hostile))


@dataclass(kw_only=True)
class Opened:
    """A page and all that it said and asked for."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def opened(
    browser: Browser, html: Path, width: int, scheme: Scheme = "light", *, script: bool = True
) -> Opened:
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
        offline=True,
        java_script_enabled=script,
    )
    found = Opened(page=context.new_page())
    found.page.on("console", lambda message: found.messages.append(message.text))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(html.as_uri())
    return found


def unfolded(page: Page) -> Page:
    """Open everything that is folded away."""
    page.locator(".unfold").click()
    return page


OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", ["html", "full", "reference", "attacked"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_is_silent_asks_for_nothing_and_never_scrolls_sideways(
    browser: Browser, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    html: Path = request.getfixturevalue(name)
    found = opened(browser, html, width)
    assert found.page.evaluate(OVERFLOW) <= 0
    unfolded(found.page)
    assert found.page.evaluate(OVERFLOW) <= 0
    assert found.messages == []
    assert found.requests == [html.as_uri()]


@pytest.mark.parametrize("name", ["html", "full", "reference", "attacked"])
def test_it_is_small(request: pytest.FixtureRequest, name: str) -> None:
    html: Path = request.getfixturevalue(name)
    assert html.stat().st_size < 1_000_000


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
@pytest.mark.parametrize("name", ["full", "reference"])
def test_axe_finds_nothing(
    browser: Browser, request: pytest.FixtureRequest, name: str, width: int, scheme: Scheme
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = unfolded(opened(browser, request.getfixturevalue(name), width, scheme).page)
    found = axe.Axe().run(page).response["violations"]
    told = [(e["id"], e["help"], [n["html"][:160] for n in e["nodes"][:3]]) for e in found]
    assert not told


def test_tables_scroll_inside_their_boxes_on_a_phone(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 390).page)
    box = "document.querySelector('#table-throughput .scroll')"
    assert page.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    assert page.evaluate(f"{box}.tabIndex") == 0
    # A shadow at the end of the box says so.
    assert "local" in page.evaluate(f"getComputedStyle({box}).backgroundAttachment")


def test_the_theme_follows_the_reader_and_figures_follow_the_theme(
    browser: Browser, html: Path
) -> None:
    colours = []
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for scheme in schemes:
        page = opened(browser, html, 1280, scheme).page
        colours.append(
            page.evaluate(
                "[getComputedStyle(document.body).backgroundColor,"
                " getComputedStyle(document.querySelector('.chart svg text')).fill,"
                " getComputedStyle(document.querySelector('.r-band')).fill]"
            )
        )
    assert all(light != dark for light, dark in zip(*colours, strict=True))


def test_text_in_figures_is_in_the_page_s_font(browser: Browser, html: Path) -> None:
    page = opened(browser, html, 1280).page
    assert page.evaluate(
        "getComputedStyle(document.querySelector('.chart svg text')).fontFamily"
        " === getComputedStyle(document.body).fontFamily"
    )


def test_the_banner_of_twins_stays_in_sight_and_covers_no_head_of_a_table(
    browser: Browser, html: Path
) -> None:
    page = unfolded(opened(browser, html, 390).page)
    box = "document.querySelector('#table-runs .scroll')"
    page.evaluate(f"{box}.scrollIntoView(); {box}.scrollTop = 400")
    rectangle = "document.querySelector('{}').getBoundingClientRect()"
    banner = rectangle.format(".banner")
    assert page.evaluate(f"{banner}.bottom") == 844
    assert page.evaluate(f"{rectangle.format('#table-runs thead th')}.bottom < {banner}.top")


FIRST = ".sentence, .first .tally, .first .chart, .facts-line"


@pytest.mark.parametrize("name", ["html", "reference"])
def test_the_answer_is_the_first_screen(
    browser: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    page = opened(browser, request.getfixturevalue(name), 1280).page
    bottoms = page.locator(FIRST).evaluate_all(
        "(parts) => parts.map((part) => part.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) >= 4
    assert max(bottoms) < 844


WORDS = r"document.body.innerText.split(/\s+/).filter(Boolean).length"


@pytest.mark.parametrize("name", ["html", "full", "reference"])
def test_what_is_in_sight_is_read_in_minutes(
    browser: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    page = opened(browser, request.getfixturevalue(name), 1280).page
    assert page.evaluate("document.documentElement.scrollHeight") <= 6000
    assert page.evaluate(WORDS) < 5000
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4", prefer_css_page_size=True)))
    assert len(printed.pages) <= 8
    unfolded(page)
    assert page.evaluate(WORDS) > 5000


@pytest.mark.parametrize("width", [390, 1280])
def test_no_type_is_too_small_to_read(browser: Browser, html: Path, width: int) -> None:
    page = unfolded(opened(browser, html, width).page)
    small = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((each) => {
          if (!each.checkVisibility() || !each.getClientRects().length) return false;
          const own = [...each.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
          if (!own || each.closest("script, style")) return false;
          const svg = each.ownerSVGElement;
          const scale = svg && svg.viewBox.baseVal && svg.viewBox.baseVal.width
            ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
          return parseFloat(getComputedStyle(each).fontSize) * scale < 11;
        }).map((each) => each.outerHTML.slice(0, 120))"""
    )
    assert small == []


RUNS = "#table-runs"


def column(page: Page, key: str) -> list[str]:
    """Return a column of the runs as shown, rows that are hidden left out."""
    place = page.evaluate(
        f"[...document.querySelectorAll('{RUNS} thead th')]"
        f".findIndex((head) => head.dataset.key === '{key}')"
    )
    rows = page.locator(f"{RUNS} tbody tr:not(.group):visible")
    texts: list[str] = rows.evaluate_all(
        f"(rows) => rows.map((row) => row.cells[{place}].firstChild.textContent)"
    )
    return texts


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text != "\N{EN DASH}"]


def test_runs_sort_by_a_column_both_ways_and_say_so(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 1280).page)
    before = numbers(column(page, "gen_tok_s"))
    head = page.locator(f"{RUNS} th[data-key=gen_tok_s]")
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(column(page, "gen_tok_s")) == sorted(before) != before
    # What has no number comes last.
    assert column(page, "gen_tok_s")[-2:] == ["\N{EN DASH}"] * 2
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(column(page, "gen_tok_s")) == sorted(before, reverse=True)
    page.locator(f"{RUNS} th[data-key=prompt]").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert column(page, "prompt") == sorted(column(page, "prompt"))


def test_runs_are_filtered_by_words_and_by_status(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 1280).page)
    bar = page.locator(f"{RUNS} .filter")
    assert bar.locator("output").inner_text() == "180 of 180 rows"
    bar.get_by_label("Filter").fill("olmoe LENGTH-long")
    assert bar.locator("output").inner_text() == "3 of 180 rows"
    assert set(column(page, "prompt")) == {"length-long"}
    bar.get_by_label("Filter").fill("")
    bar.get_by_label("Status").select_option("oom")
    assert column(page, "status") == ["oom", "oom"]
    bar.get_by_label("Filter").fill("no such run")
    assert bar.locator("output").inner_text() == "0 of 180 rows"


def test_a_cell_is_cited_with_a_mouse(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 1280).page)
    page.locator("#table-throughput tbody tr:not(.group) td").nth(2).click()
    panel = page.locator("#cite")
    assert panel.is_visible()
    quote = panel.locator("textarea").input_value()
    assert "\n" not in quote
    for part in (
        "tok/s (90 % interval",
        "Mean, olmoe-1b-7b (synthetic)",
        "twins, thin",
        "Generation rate",
        "A: Synthetic machine, b4447, 6 threads, 256 tokens",
        "session synthetic (journal sha256 ",
        "edgemoe-appliance ",
    ):
        assert part in quote, part
    panel.get_by_role("button", name="Close").click()
    assert not panel.is_visible()


def test_a_cell_is_cited_with_the_keyboard(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 1280).page)
    page.locator("#table-throughput .scroll").focus()
    page.keyboard.press("Tab")
    while page.evaluate("!document.activeElement.matches('td, tbody th')"):
        page.keyboard.press("Tab")
    for key in ("ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "End", "Home", "ArrowDown"):
        page.keyboard.press(key)
    cell = page.evaluate("document.activeElement.textContent")
    assert cell.startswith("llama-3.2-1b")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Copy"
    page.keyboard.press("Enter")
    page.locator("#cite output", has_text="Cop").or_(
        page.locator("#cite output", has_text="Selected")
    ).wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == cell


def test_the_link_to_a_cell_leads_to_it(browser: Browser, html: Path) -> None:
    page = unfolded(opened(browser, html, 1280).page)
    page.locator(f"{RUNS} tbody tr:not(.group) td").nth(40).click()
    link = page.locator("#cite a").get_attribute("href")
    quote = page.locator("#cite textarea").input_value()
    page.goto("about:blank")
    page.goto(html.as_uri() + str(link))
    assert page.locator("#cite textarea").input_value() == quote
    assert page.locator(".chosen").is_visible()


@pytest.mark.parametrize("name", ["html", "reference"])
def test_it_works_without_a_script(
    browser: Browser, request: pytest.FixtureRequest, name: str
) -> None:
    page = opened(browser, request.getfixturevalue(name), 1280, script=False).page
    assert page.locator(".tally").first.is_visible()
    assert not page.locator("button:visible, .filter:visible, #cite:visible, .hint:visible").count()
    page.locator("a[href='#claim-c16']").first.click()
    assert page.url.endswith("#claim-c16")
    assert page.locator("#claim-c16").is_visible()  # what a link leads to is unfolded


def test_links_to_claims_audits_and_metrics_lead_somewhere(browser: Browser, full: Path) -> None:
    page = unfolded(opened(browser, full, 1280).page)
    page.locator("#table-throughput thead a").first.click()
    assert page.evaluate("document.querySelector(location.hash).checkVisibility()")


def test_nothing_of_a_journal_is_executed(browser: Browser, attacked: Path) -> None:
    found = opened(browser, attacked, 1280)
    page = found.page
    assert page.evaluate("window.hit") is None
    assert page.locator("script").count() == 1
    assert page.locator("img, iframe, object, embed, form, base, [onerror]").count() == 0
    links = page.evaluate("[...document.links].map((link) => link.getAttribute('href'))")
    assert all(link.startswith(("#", "tables/", "figures/")) for link in links)
    text = page.locator("body").text_content() or ""
    for shown in ("<img src=x onerror=", "{{ 7*7 }}", r"\input{/etc/passwd}", "javascript:window"):
        assert shown in text, shown
    assert not set("\u202e\u2066\x00\x1b") & set(text)
    bar = unfolded(page).locator(f"{RUNS} .filter")
    bar.get_by_label("Filter").fill("<img src=x")
    page.locator(f"{RUNS} tbody tr:not(.group) th:visible").first.click()
    page.locator(f"{RUNS} th[data-key=model] button").click()
    assert page.evaluate("window.hit") is None
    assert found.messages == []


def test_it_prints_without_cut_tables(browser: Browser, full: Path) -> None:
    found = unfolded(opened(browser, full, 1280).page)
    pdf = found.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    found.emulate_media(media="print")
    found.set_viewport_size({"width": 1040, "height": 1400})  # A4 landscape in CSS pixels
    wide = found.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth >"
        " box.clientWidth + 1).map((box) => box.parentElement.id)"
    )
    assert wide == []


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger: three engines, twins, a second board, refusals."""
    values = {"b4447 (1)": 0.69, "b5763 (2)": 0.72, "b11312 (3)": 0.5}
    entries = [ledger_entry("a", value, engine=engine) for engine, value in values.items()]
    entries += [ledger_entry("b", 0.70, session="2"), ledger_entry("c", 0.7, twins="full")]
    other = {"id": "other", "sha256": "e" * 64}
    many = ", ".join(f"IQ{bits}_XXS" for bits in range(20))
    entries += [ledger_entry("d", 0.7, study=other, quantization=many, device="W" * 60)]
    refused = [Refusal(archive=each, sha256=None, why=each) for each in HOSTILE]
    folder = tmp_path_factory.mktemp("ledger")
    for name, content in render_site(entries, refused).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("pages", ["index.html", "claims/*.html", "engines/*.html"])
def test_the_pages_of_a_ledger_are_silent_clean_and_never_scroll_sideways(
    browser: Browser, ledger: Path, pages: str, width: int, scheme: Scheme
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    found = opened(browser, next(ledger.glob(pages)), width, scheme)
    assert found.page.evaluate(OVERFLOW) <= 0
    assert found.messages == []
    told = axe.Axe().run(found.page).response["violations"]
    assert not [(e["id"], e["help"], [n["html"][:160] for n in e["nodes"][:3]]) for e in told]

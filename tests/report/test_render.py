"""Whole reports: stable bytes, one file without a network, twins and failures in plain sight."""

from __future__ import annotations

import base64
import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.report import (
    ReportPaths,
    check_report_place,
    render,
    render_reference_report,
    write_report,
)
from edgemoe_appliance.report.drawing import FILE_KINDS
from edgemoe_appliance.report.filters import with_whole_options
from edgemoe_appliance.report.material import build_material
from edgemoe_appliance.report.render import render_files, render_page
from edgemoe_appliance.schema.configs import OutsideMeter
from edgemoe_appliance.schema.hardware import Accelerator
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import Study, read_study
from tests.analysis import arms
from tests.analysis.journals import (
    Synthetic,
    build_hardware,
    failed,
    with_caveat,
    write_session,
)

HOSTILE = '</style></svg><script>alert("x")</script><img src=x onerror=alert(1)>{{ 7*7 }}${x}$'
VOID = {"meta", "link", "br", "img", "input", "hr", "col", "wbr", "base"}


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 200)


class Page(HTMLParser):
    """What a test wants to know of a page: elements, ids, links, text, balance of tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.unbalanced += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def values(self, attribute: str) -> Iterator[str]:
        for _, attrs in self.elements:
            if attrs.get(attribute) is not None:
                yield str(attrs[attribute])

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def only_our_script(page: Page, html: str) -> bool:
    """Return whether the page has one script, whose digest its policy names, and no handlers."""
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in page.elements if "http-equiv" in a)
    handlers = [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    tags = [tag for tag, _ in page.elements if tag == "script"]
    return len(tags) == len(scripts) == 1 and f"'sha256-{digest}'" in str(policy) and not handlers


def read(paths: ReportPaths) -> str:
    return paths.html.read_text(encoding="utf-8")


def some_trouble(index: int, spec: RunSpec) -> Mapping[str, Any]:
    if index == 5:
        return failed(Status.OOM, "killed by the kernel", 137)
    return with_caveat("other-load", "another process was busy") if index == 9 else {}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, study: Study) -> ReportPaths:
    """Return a report with a failure and a caveat; tests read it and leave it as it is."""
    folder = tmp_path_factory.mktemp("report")
    loaded = load_sessions([write_session(folder / "raw", Synthetic(), some_trouble)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "RESAMPLES", 200)
        return write_report(loaded, folder / "out", study, FILE_KINDS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, study: Study) -> ReportPaths:
    return render_reference_report(tmp_path_factory.mktemp("reference"), study)


def page_of(study: Study, *folders: Path) -> str:
    """Return the page of some sessions, without the files beside it."""
    return render_page(build_material(load_sessions(folders), study))


def test_the_same_journal_gives_the_same_bytes(tmp_path: Path, study: Study) -> None:
    folder = write_session(tmp_path / "raw", Synthetic(), some_trouble)
    first = render_files(load_sessions([folder]), study)
    elsewhere = folder.rename(tmp_path / "moved")
    assert render_files(load_sessions([elsewhere]), study) == first


def test_the_files(report: ReportPaths) -> None:
    tables = {path.name for path in report.tables.iterdir()}
    assert {"throughput.csv", "memory.csv", "prompt-length.csv", "stability.csv"} <= tables
    assert {"runs.csv", "unfinished.csv", "run-caveats.csv", "absent.csv", "failures.csv"} <= tables
    stems = {path.stem for path in report.figures.iterdir()}
    assert {"answer-1", "throughput-1", "memory-1", "prompt-length-3"} <= stems
    assert {path.suffix for path in report.figures.iterdir()} == {".svg", ".png", ".pdf"}
    written = {f"figures/{path.name}" for path in report.figures.iterdir()}
    linked = set(re.findall(r'href="(figures/[^"]+)"', report.html.read_text()))
    assert {Path(link).suffix for link in linked} == {".svg", ".png", ".pdf"}
    assert linked <= written
    assert len((report.tables / "runs.csv").read_text().splitlines()) == 181


def test_figures_are_written_in_the_forms_asked_for(tmp_path: Path, study: Study) -> None:
    paths = render_reference_report(tmp_path, study, FILE_KINDS)
    every = {path.name for path in paths.figures.iterdir()}
    svgs = {name: (paths.figures / name).read_bytes() for name in every if name.endswith(".svg")}
    render_reference_report(tmp_path, study)
    assert {path.name: path.read_bytes() for path in paths.figures.iterdir()} == svgs
    links = re.findall(r'href="(figures/[^"]+)"', paths.html.read_text())
    assert links
    assert {Path(link).name for link in links} <= set(svgs)


@pytest.mark.parametrize("name", ["report", "reference"])
def test_the_page_is_whole_and_refers_to_nothing_outside(
    request: pytest.FixtureRequest, name: str
) -> None:
    paths: ReportPaths = request.getfixturevalue(name)
    html = read(paths)
    page = Page(html)
    assert not page.unbalanced
    assert not page.tags() & {"link", "img", "iframe", "object", "embed", "form", "base"}
    assert only_our_script(page, html)
    assert not list(page.values("src"))
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    ids = list(page.values("id"))
    assert len(ids) == len(set(ids))
    for link in page.values("href"):
        if link.startswith("#"):
            assert link[1:] in ids, link
        else:
            assert (paths.html.parent / link).is_file(), link
    assert set(page.values("aria-labelledby")) <= set(ids)
    policy = [attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs]
    assert len(policy) == 1
    assert str(policy[0]).startswith("default-src 'none'")
    assert len(html) < 1_000_000
    assert "None" not in page.text
    assert not any(re.fullmatch(r"\s*(nan|inf|<NA>)\s*", text) for text in page.text)


@pytest.mark.parametrize("name", ["report", "reference"])
def test_tables_and_figures_are_numbered_without_gaps(
    request: pytest.FixtureRequest, name: str
) -> None:
    html = read(request.getfixturevalue(name))
    for kind in ("Table", "Figure"):
        numbers = [int(n) for n in re.findall(rf"<strong>{kind} (\d+)\.", html)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 3


@pytest.mark.parametrize(
    ("name", "left_out"), [("report", {"energy", "routing"}), ("reference", set[str]())]
)
def test_sections_come_in_the_order_of_the_study(
    request: pytest.FixtureRequest, study: Study, name: str, left_out: set[str]
) -> None:
    headings = re.findall(r'<section id="([^"]+)"', read(request.getfixturevalue(name)))
    assert headings == [each for each in study.report.sections if each not in left_out]


def test_twins_are_announced_once_in_sight_and_in_every_file(report: ReportPaths) -> None:
    html = read(report)
    assert '<aside class="banner"' in html
    assert html.count("random weights in the tensor shapes") == 1
    drawn = [path.read_text() for path in report.figures.glob("*.svg")]
    measured = [svg for svg in drawn if "Study: " not in svg and "A: " in svg]
    assert measured
    assert all("thin twins" in svg for svg in measured)


def test_reduced_twins_find_nothing(report: ReportPaths, study: Study) -> None:
    html = read(report)
    first = html.split('id="answer"')[1].split("</section>")[0]
    assert "179 of 180 runs ended well, 1 failed." in first
    assert "edgemoe-appliance demo --twins full" in re.sub(r"</?span[^>]*>", "", first)
    assert "here" not in re.sub(r"<[^>]+>", " ", first.split("<figure")[1].split("</figure")[0])
    for name, section in study.report.sections.items():
        if section.finding and f'id="{name}-title"' in html:
            heading = html.split(f'id="{name}-title"')[1].split("</h2>")[0]
            assert heading.endswith(f"</span> {section.title}"), name


@pytest.mark.parametrize("scale", [None, "full"])
def test_what_was_found_is_the_heading_and_the_answer(
    tmp_path: Path, study: Study, scale: Literal["full"] | None
) -> None:
    html = page_of(study, write_session(tmp_path, Synthetic(twin_scale=scale)))
    first = html.split('id="answer"')[1].split("</section>")[0]
    figure = re.search(r"generates at ([\d.]+) times", first)
    assert figure
    assert "% interval" in first
    assert first.count(figure[1]) >= 2  # in the sentence and in the figure
    heading = html.split('id="throughput-title"')[1].split("</h2>")[0]
    assert figure[1] in heading
    assert "(M2)" in heading


def test_what_stood_in_for_a_device_or_a_meter_is_told_at_once(
    tmp_path: Path, study: Study
) -> None:
    hardware = build_hardware(Synthetic(like_the_study=True))
    assert hardware is not None
    driver = Accelerator(name="Vulkan0", description="llvmpipe (LLVM 15)", is_software=True)
    session = Synthetic(
        twin_scale="full",
        hardware=hardware.model_copy(update={"accelerators": (driver,)}),
        meter=OutsideMeter(command=("played",), name="a player", pretended=True),
    )
    html = page_of(study, write_session(tmp_path, session))
    first = html.split('id="answer"')[1].split("</section>")[0]
    assert "llvmpipe (LLVM 15) computes on the processor in place of a GPU" in first
    assert "a player is a program that plays a meter" in first
    assert "generates at" not in first
    banner = html.split('<aside class="banner"')[1].split("</aside>")[0]
    assert "A software device, no GPU; A pretended meter" in banner


def test_real_models_have_no_banner(tmp_path: Path, study: Study) -> None:
    html = page_of(study, write_session(tmp_path, Synthetic(twin_scale=None)))
    assert "banner" not in html.split("</style>")[1]
    assert "Twins" not in html.split("</style>")[1]


def test_failures_and_caveats_are_shown(report: ReportPaths) -> None:
    text = " ".join(Page(read(report)).text)
    assert "179 of 180 runs ended well, 1 failed" in text
    assert "killed by the kernel" in text
    assert "another process was busy" in text


def test_what_was_not_measured_says_so_and_shows_the_study(report: ReportPaths) -> None:
    html = read(report)
    assert 'id="energy"' not in html
    appendix = html.split('<section id="appendix"')[1]
    line = appendix.split("</p>")[0]
    assert "Not measured here: Energy (the target names no source of power readings" in line
    assert "Routing inside the MoE blocks (no run of these sessions goes into its tables)" in line
    for table, figure in (("energy", "11.31"), ("routing", "33.5")):
        assert figure in appendix.split(f'id="table-{table}"')[1].split("</table>")[0]


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path, study: Study) -> None:
    hostile = Synthetic(
        names={"olmoe-1b-7b": HOSTILE, "llama-3.2-1b": "\u202eevil\x00name"},
        prompt_text=HOSTILE,
        pin="b4447",
    )

    def trouble(index: int, spec: RunSpec) -> Mapping[str, Any]:
        return failed(Status.CRASHED, HOSTILE) if index == 1 else with_caveat("odd", HOSTILE)

    loaded = load_sessions([write_session(tmp_path / "raw", hostile, trouble)])
    paths = write_report(loaded, tmp_path / "out", study)
    page = Page(read(paths))
    assert not page.unbalanced
    assert "img" not in page.tags()
    assert only_our_script(page, read(paths))
    text = "".join(page.text)
    assert text.count(HOSTILE) >= 4  # name, prompt, detail, caveat
    assert "49" not in re.findall(r"<img src=x onerror=alert\(1\)>(\S+)", text)
    assert not set("\u202e\x00") & set(read(paths))
    for path in paths.figures.glob("*.svg"):
        assert not Page(path.read_text()).tags() & {"script", "img"}


def dump(study: Study, *names: str) -> dict[str, Any]:
    """Return parts of a study as plain values."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(each) for key, each in value.items()}
        return value.model_dump()

    return {name: plain(getattr(study, name)) for name in names}


def test_every_figure_of_the_study_is_in_the_reference_report(tmp_path: Path, study: Study) -> None:
    paths = render_reference_report(tmp_path / "out", study)
    page = " ".join(Page(read(paths)).text).replace("\N{NARROW NO-BREAK SPACE}", "")
    shown = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", page)}
    printed = dict(numbers_of(dump(study, "devices", "procedure", "models")))
    printed |= dict(numbers_of(dump(study, "tables", "stated")))
    missing = {name: value for name, value in printed.items() if abs(value) not in shown}
    assert not missing


def test_every_printed_figure_is_there_in_its_printed_digits(reference: ReportPaths) -> None:
    yaml = read_study().files["study.yaml"].decode()
    lines = (line.partition("#")[0] for line in yaml.splitlines())
    body = "\n".join(lines).partition("\ntables:")[2].partition("\npeaks:")[0]
    # Where a figure stands in the study is not one of its figures.
    body = re.sub(r"where: \{[^}]*\}|section: \S+", "", body)
    printed = re.findall(r"\w+: (\d+(?:\.\d+)?)(?=[,}\s])", body)
    assert len(printed) > 150
    page = " ".join(Page(read(reference)).text).replace("\N{NARROW NO-BREAK SPACE}", "")
    assert not set(printed) - set(re.findall(r"\d+(?:\.\d+)?", page))


def test_every_section_of_measured_figures_draws_them(tmp_path: Path, study: Study) -> None:
    loaded = load_sessions([write_session(tmp_path, arms.everything(), arms.outcome)])
    files = render_files(loaded, study)
    drawn = {name.split("/")[1].rpartition("-")[0] for name in files if name.endswith(".svg")}
    assert drawn == {"answer", *study.report.figures}
    page = Page(files["report.html"].decode())
    assert not page.unbalanced
    for table in page.values("data-name"):
        assert re.match(r"Table \d+, ", table)


def test_tables_come_as_latex_too(report: ReportPaths) -> None:
    html = read(report)
    linked = set(re.findall(r'href="tables/([\w-]+)\.tex"', html))
    assert linked == {path.stem for path in report.tables.glob("*.tex")}
    assert {"throughput", "runs", "hardware"} <= linked
    for path in report.tables.glob("*.tex"):
        text = path.read_text()
        assert text.count(r"\begin") == text.count(r"\end"), path
        assert r"\toprule" in text


def test_verdicts_and_findings_have_their_numbers_in_files(
    report: ReportPaths, reference: ReportPaths
) -> None:
    for paths, sources in ((report, {"reader", "study"}), (reference, {"study"})):
        claims = pd.read_csv(paths.tables / "claims.csv")
        assert set(claims["source"]) == sources
        assert set(claims["claim"]) == {*read_study().claims}
        assert claims.loc[claims["verdict"] == "reproduced", "value"].notna().all()
        audits = pd.read_csv(paths.tables / "audits.csv")
        assert set(audits["source"]) == sources


def test_a_table_larger_than_a_page_holds_says_what_is_left_out(
    tmp_path: Path, study: Study
) -> None:
    folder = write_session(tmp_path, Synthetic(repetitions=9))
    html = page_of(study, folder)
    assert "500 of 540 runs" in html
    rows = html.split('id="table-runs"')[1].split("</table>")[0].count("<tr")
    assert rows <= 502


def numbers_of(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_of(item, f"{name}.{key}")
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            yield from numbers_of(item, f"{name}.{place}")


def test_a_later_report_removes_what_is_stale_and_nothing_of_the_user_s(
    tmp_path: Path, study: Study, report: ReportPaths
) -> None:
    out = tmp_path / "out"
    shutil.copytree(report.html.parent, out)
    mine = [out / "tables" / "my-notes.csv", out / "figures" / "throughput.svg"]
    for path in mine:
        path.write_text("mine")
    assert (out / "tables" / "runs.csv").exists()
    render_reference_report(out, study)
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert not (out / "tables" / "runs.csv").exists()
    assert not [path for path in out.rglob("*") if path.name.endswith(".partial")]


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_host(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(render, "write_atomically", refuse)
    with pytest.raises(HostError, match=r"cannot be written \(Read-only"):
        render_reference_report(tmp_path / "out", study)


def test_a_folder_that_cannot_be_is_a_wrong_flag(tmp_path: Path, study: Study) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written \(Not a directory\).*--out"):
        render_reference_report(tmp_path / "file" / "out", study)


def test_several_settings_stand_side_by_side(tmp_path: Path, study: Study) -> None:
    folders = [
        write_session(tmp_path / "raw", Synthetic()),
        write_session(tmp_path / "raw", Synthetic(session="b", host_name="b", twin_scale=None)),
    ]
    html = page_of(study, *folders)
    assert "A: Synthetic machine, b4447" in html
    assert "B: Synthetic machine, b4447" in html
    assert "Several settings, kept apart" in html


@pytest.mark.parametrize("runs", [0, 1, 7])
def test_a_session_that_hardly_began_has_a_report(tmp_path: Path, study: Study, runs: int) -> None:
    folder = write_session(tmp_path / "raw", Synthetic(), runs=runs)
    html = page_of(study, folder)
    assert f"{runs} of 180 runs ended well, {180 - runs} without an end" in html
    assert not Page(html).unbalanced


def test_a_session_in_which_all_failed_has_a_report(tmp_path: Path, study: Study) -> None:
    folder = write_session(
        tmp_path / "raw", Synthetic(), lambda _, __: failed(Status.TIMEOUT, "too slow")
    )
    html = page_of(study, folder)
    assert "0 of 180 runs ended well, 180 failed" in html
    assert not Page(html).unbalanced


def test_a_report_may_be_made_anew_over_an_older_one_alone(
    reference: ReportPaths, tmp_path: Path
) -> None:
    check_report_place(reference.html.parent, is_forced=False)
    page = tmp_path / "report.html"
    page.write_text("<p>my own page</p>")
    with pytest.raises(ConfigError, match="was not made by this command"):
        check_report_place(tmp_path, is_forced=False)
    check_report_place(tmp_path, is_forced=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tables").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="is a symbolic link"):
        check_report_place(tmp_path / "other", is_forced=True)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>demo --twins full</p>", '<p>demo <span class="option">--twins</span> full</p>'),
        ("<p>(--at-most)</p>", '<p>(<span class="option">--at-most</span>)</p>'),
        ("<style>:root{--ink:#000}</style>", None),
        ("<svg><text>--twins</text></svg>", None),
        ('<a title="--twins">x</a><!-- a --b -->', None),
        ("<pre>run --twins\nfull</pre><textarea>--x</textarea>", None),
        ("<p>a--b, - - and 1 -- 2</p>", None),
    ],
)
def test_a_line_breaks_before_an_option_and_not_within(page: str, expected: str | None) -> None:
    assert with_whole_options(page) == (expected or page)

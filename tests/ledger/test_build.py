"""A folder of archives, some of them hostile, as a ledger."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.ledger.build import Admission, admit, build_ledger
from edgemoe_appliance.ledger.entries import Refusal
from edgemoe_appliance.ledger.site import render_site
from tests.archive.sessions import (
    SMALL,
    archive,
    contents,
    maker,
    pack,
    with_digests,
    write_small_session,
)
from tests.ledger.entries import digest, ledger_entry
from tests.report.pictures import drawing_once


@pytest.fixture(scope="module", autouse=True)
def _less_work() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, drawing_once():
        patch.setattr(resampling, "RESAMPLES", 200)
        yield


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive of full-scale twins, whose directions count."""
    root = tmp_path_factory.mktemp("honest")
    session = replace(
        SMALL, session="lab", twin_scale="full", prompts=("prompt-01", "prompt-02", "prompt-03")
    )
    out = root / "lab.tar"
    archive(write_small_session(root, session), out)
    return out


@pytest.fixture(scope="module")
def shelf(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the archive, a copy, one that lies, and things that are none."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "more").mkdir()
    shutil.copy(honest, folder / "lab.tar")
    shutil.copy(honest, folder / "more" / "again.tar")
    files = contents(honest)
    verdicts = files["report/claims.json"].replace(b'"not_tested"', b'"reproduced"')
    assert verdicts != files["report/claims.json"]
    lie = with_digests(files | {"report/claims.json": verdicts})
    pack(lie, folder / "liar.tar", root="lab")
    (folder / "not-one.tar").write_bytes(b"\x00" * 2048)
    (folder / "empty.tar").touch()
    (folder / "link.tar").symlink_to(honest)
    os.mkfifo(folder / "pipe.tar")
    (folder / "README").write_text("a shelf")
    return folder


@pytest.fixture(scope="module")
def built(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Admission, Path]:
    out = tmp_path_factory.mktemp("ledger") / "ledger"
    return build_ledger(shelf, out, maker(), lambda _: None), out


def test_only_what_verifies_is_in_it_and_the_rest_is_told(built: tuple[Admission, Path]) -> None:
    found, out = built
    assert [entry.session for entry in found.entries] == ["lab"]
    assert sorted(each.archive for each in found.refusals) == [
        "empty.tar",
        "liar.tar",
        "not-one.tar",
    ]
    index = (out / "index.html").read_text()
    assert "liar.tar" in index
    (lie,) = [each.why for each in found.refusals if each.archive == "liar.tar"]
    assert lie.startswith("numbers: failed")


def test_pages_json_and_csv_say_the_same(built: tuple[Admission, Path]) -> None:
    found, out = built
    document = json.loads((out / "ledger.json").read_text())
    (sha256,) = document["archives"]
    assert (out / "entries" / f"{sha256}.json").is_file()
    cells = {cell["claim"]: cell for cell in document["cells"]}
    assert cells
    assert all(cell["family"] == "elsewhere" for cell in cells.values())
    rows = list(csv.DictReader((out / "ledger.csv").open()))
    assert {row["claim"] for row in rows} == set(cells)
    assert {(row["claim"], row["verdict"]) for row in rows} <= {
        (claim, part["verdict"]) for claim, cell in cells.items() for part in cell["parts"]
    }
    index = (out / "index.html").read_text()
    assert all(cell["verdict"].replace("_", " ") in index for cell in cells.values())
    assert found.verified == 4  # a copy is not verified again


def test_built_again_it_verifies_only_what_is_new(
    built: tuple[Admission, Path], shelf: Path
) -> None:
    _, out = built
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = build_ledger(shelf, out, maker(), lambda _: None)
    assert (again.known, again.verified) == (1, 3)  # what was refused is looked at again
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_an_entry_that_was_touched_is_not_believed(
    built: tuple[Admission, Path],
    honest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (entry,) = built[0].entries
    # What is not believed is read from the archive, which takes long.
    monkeypatch.setattr("edgemoe_appliance.ledger.build.read_entry", lambda *_: entry)
    kept = tmp_path / f"{entry.sha256}.json"
    for content in (b"{", b"[]", entry.model_copy(update={"sha256": "0" * 64}).model_dump_json()):
        kept.write_bytes(content if isinstance(content, bytes) else content.encode())
        admission = admit([honest], maker(), lambda _: None, tmp_path)
        assert (admission.known, admission.verified, admission.entries) == (0, 1, (entry,))


def test_a_folder_of_something_else_is_not_written_over(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("somebody's page")
    with pytest.raises(ConfigError, match="was not made by this command"):
        build_ledger(shelf, tmp_path, maker(), lambda _: None)


def test_what_is_too_large_for_an_archive_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.tar"
    with huge.open("wb") as file:
        file.truncate(1 << 40)  # of holes: to read it would take an hour
    (refusal,) = admit([huge], maker(), lambda _: None).refusals
    assert refusal.why == "is larger than 34.36 GB, the most that an archive here may have"


def test_a_folder_without_archives_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no archive"):
        build_ledger(tmp_path, tmp_path / "out", maker(), lambda _: None)


def test_two_states_of_a_session_are_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    early = ledger_entry("a", 0.69, runs_ok=5, session_key="5" * 64)
    late = ledger_entry("a", 0.70, session="2", runs_ok=9, session_key="5" * 64)
    found = {"early.tar": early, "late.tar": late}
    monkeypatch.setattr(
        "edgemoe_appliance.ledger.build.read_entry", lambda path, _: found[path.name]
    )
    monkeypatch.setattr("edgemoe_appliance.ledger.build._sha256", lambda path: digest(path.name))
    admission = admit([Path(name) for name in found], maker(), lambda _: None)
    assert admission.entries == (late,)
    assert "another state of the session" in admission.refusals[0].why


def test_text_of_strangers_is_shown_as_text() -> None:
    hostile = "<script>alert(1)</script>\x1b[2J\u202e"
    entry = ledger_entry("a", 0.69, device=hostile, archive=hostile)
    files = render_site([entry], [Refusal(archive=hostile, sha256=None, why=hostile)])
    pages = {name: content.decode() for name, content in files.items() if name.endswith("html")}
    assert len(pages) == 4
    for page in pages.values():
        assert "<script" not in page
        assert not {"\x1b", "\u202e"} & set(page)
    assert all(name.isascii() and ".." not in name and "<" not in name for name in files)


def test_a_thousand_boards_are_one_table() -> None:
    entries = [ledger_entry(f"b{n}", 0.69 + 0.0001 * (n % 7)) for n in range(1000)]
    document = json.loads(render_site(entries, [])["ledger.json"])
    (cell,) = document["cells"]
    assert (cell["boards"], cell["sessions"], cell["verdict"]) == (1000, 1000, "reproduced")


def test_boards_are_told_apart_by_folder_even_where_archives_have_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {}
    for board in ("left", "right"):
        path = tmp_path / "archives" / board / "same.tar"
        path.parent.mkdir(parents=True)
        path.write_text(board)
        entries[path] = ledger_entry("one machine", 0.69, session=board, archive="same.tar")
    monkeypatch.setattr("edgemoe_appliance.ledger.build.read_entry", lambda path, _: entries[path])
    found = build_ledger(
        tmp_path / "archives", tmp_path / "out", maker(), lambda _: None, has_board_folders=True
    )
    assert len({entry.board for entry in found.entries}) == 2


def test_the_page_of_a_claim_tells_with_which_engine_it_died() -> None:
    engines = {"b4447 (1)": 0.69, "b5763 (2)": 0.69, "b11312 (3)": 0.5}
    entries = [ledger_entry("a", value, engine=engine) for engine, value in engines.items()]
    files = render_site(entries, [])
    (page,) = [body.decode() for name, body in files.items() if name.startswith("claims/")]
    assert "reproduced with b5763 (2), cpu, not reproduced with b11312 (3), cpu" in page
    rows = page.partition('<ul class="rows">')[2]
    places = [rows.index(engine) for engine in engines]
    assert places == sorted(places)
    others = [body.decode() for name, body in files.items() if name.startswith("engines/")]
    assert not any("From engine to engine" in body for body in others)


def test_studies_share_no_table_and_untested_claims_are_named() -> None:
    first = ledger_entry("a", 0.69)
    untested = first.claims["c1"].model_copy(update={"verdict": Verdict.NOT_TESTED})
    first = first.model_copy(update={"claims": {**first.claims, "c2": untested}})
    identity = {"id": "other", "sha256": "f" * 64}
    other = ledger_entry("b", 0.5, study=identity, study_title="Another study")
    silent = ledger_entry("c", 0.5, engine="b2 (x)", claims={"c1": untested})
    index = render_site([first, other, silent], [])["index.html"].decode()
    ours, theirs = index.index('<h2 id="study-1">Another study'), index.index("A study")
    assert "Tested by no archive: c2." in index[theirs:]
    assert "Tested by no archive" not in index[ours:theirs]
    assert index.count("<table>") == 3  # one for each study, one of archives
    assert "2 engine builds" in index
    assert "1 of them tests no claim" in index

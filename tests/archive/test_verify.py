"""Whatever is changed in an archive, verification fails and names the file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.results import MismatchKind, Verification
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.errors import HostError
from tests.archive.sessions import archive, maker, pack, with_digests, write_small_session

Files = dict[str, bytes]


def check(files: Files, tmp_path: Path) -> Verification:
    return verify_archive(pack(files, tmp_path / "changed.tar"), maker())


def named(found: Verification) -> set[str]:
    return {mismatch.file for mismatch in found.mismatches}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def portions(files: Files) -> list[set[str]]:
    """Return the files to spoil together: many at once, where none can hide what ails another.

    A document that cannot be read does, so each is spoiled alone. Of the rest, every second.
    """
    alike = (layout.SAMPLES, "report/figures/", "report/tables/")
    rest = sorted(name for name in files if name.startswith(alike))
    return [*({name} for name in files if name not in rest), set(rest[::2]), set(rest[1::2])]


def spoilt(files: Files, names: set[str]) -> Files:
    """Return files of which some have a flipped byte."""
    return {
        name: flipped(data, len(data) // 2) if name in names else data
        for name, data in files.items()
    }


def first_digit_changed(text: bytes, after: bytes) -> bytes:
    """Return a text with another digit at the first place after a mark."""
    start = text.index(after) + len(after)
    found = re.search(rb"[0-8]", text[start:])
    assert found is not None
    at = start + found.start()
    return text[:at] + bytes([text[at] + 1]) + text[at + 1 :]


def test_an_archive_of_ours_is_good(small_archive: Path, small_files: Files) -> None:
    found = verify_archive(small_archive, maker())
    assert found.mismatches == ()
    assert found.is_good
    assert found.session == "small"
    assert found.files == len(small_files)
    assert found.recomputed > 40
    assert found.document()["good"] is True


def test_packing_again_changes_nothing(
    small_archive: Path, small_files: Files, tmp_path: Path
) -> None:
    assert pack(small_files, tmp_path / "again.tar").read_bytes() == small_archive.read_bytes()
    assert with_digests(small_files) == small_files


def test_a_flipped_byte_in_any_file_is_found(small_files: Files, tmp_path: Path) -> None:
    for names in portions(small_files):
        found = check(spoilt(small_files, names), tmp_path)
        told = " ".join(map(str, found.mismatches))
        assert [name for name in names if name not in told] == []
        assert len(names) == 1 or named(found) == names


@pytest.mark.parametrize(
    "name", [layout.ABOUT, layout.PLAN, layout.JOURNAL, layout.CRATE, layout.MANIFEST]
)
def test_a_flipped_byte_anywhere_in_a_document_is_found(
    name: str, small_files: Files, tmp_path: Path
) -> None:
    data = small_files[name]
    for at in range(0, len(data), len(data) // 12):
        found = check({**small_files, name: flipped(data, at)}, tmp_path)
        assert name in " ".join(map(str, found.mismatches)), at


def test_a_file_that_is_left_out_is_named(small_files: Files, tmp_path: Path) -> None:
    for names in portions(small_files):
        rest = {key: data for key, data in small_files.items() if key not in names}
        assert names <= named(check(rest, tmp_path))
        if names.isdisjoint({layout.CRATE, layout.MANIFEST}):
            told = " ".join(map(str, check(with_digests(rest), tmp_path).mismatches))
            # A study has files that it may lack: its digest tells.
            words = {
                name: Path(name).parent if layout.is_of_study(name) else name for name in names
            }
            assert [name for name, word in words.items() if str(word) not in told] == []


@pytest.mark.parametrize("name", ["report/tables/more.csv", "session/samples/x.gz", "notes.txt"])
def test_a_file_too_many_is_named(name: str, small_files: Files, tmp_path: Path) -> None:
    more = {**small_files, name: b"more"}
    assert name in named(check(more, tmp_path))
    assert name in named(check(with_digests(more), tmp_path))


def test_a_renamed_file_is_named_under_both_names(small_files: Files, tmp_path: Path) -> None:
    for names in portions(small_files):
        olds = {name: f"{name}.old" for name in names}
        renamed = {olds.get(name, name): data for name, data in small_files.items()}
        assert names | set(olds.values()) <= named(check(renamed, tmp_path))


def result_files(small_files: Files) -> Files:
    results = (layout.REPORT, layout.AS_RUN)
    return {name: data for name, data in small_files.items() if name.startswith(results)}


def test_a_changed_result_is_found_though_its_digests_were_brought_into_line(
    small_files: Files, tmp_path: Path
) -> None:
    for names in portions(result_files(small_files)):
        found = check(with_digests(spoilt(small_files, names)), tmp_path)
        assert named(found) == names
        made_again = {m.file for m in found.mismatches if m.kind is MismatchKind.RECOMPUTED}
        assert made_again == names


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("report/tables/throughput.csv", b"\n"),
        ("report/tables/runs.csv", b"\n"),
        (layout.CLAIMS, b'"numbers"'),
        ("report/report.html", b"<td"),
    ],
)
def test_one_number_of_a_result_is_found(
    name: str, after: bytes, small_files: Files, tmp_path: Path
) -> None:
    changed = {**small_files, name: first_digit_changed(small_files[name], after)}
    found = check(with_digests(changed), tmp_path)
    assert named(found) == {name}
    assert not found.is_good


@pytest.mark.parametrize("metric", [b'"gen_tok_s":', b'"peak_rss_bytes":', b'"ttft_s":'])
def test_one_number_of_a_run_is_found_in_everything_that_follows_from_it(
    metric: bytes, small_files: Files, tmp_path: Path
) -> None:
    journal = first_digit_changed(small_files[layout.JOURNAL], metric)
    found = check(with_digests({**small_files, layout.JOURNAL: journal}), tmp_path)
    assert {"report/tables/runs.csv", "report/report.html"} <= named(found)
    made_again = [m for m in found.mismatches if m.kind is MismatchKind.RECOMPUTED]
    assert all(layout.JOURNAL in str(mismatch) for mismatch in made_again)


def test_a_verdict_that_was_turned_is_found(small_files: Files, tmp_path: Path) -> None:
    document = json.loads(small_files[layout.CLAIMS])
    claim = document["claims"][0]
    claim["verdict"] = "inconclusive" if claim["verdict"] == "not_tested" else "not_tested"
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert text.encode() != small_files[layout.CLAIMS]
    found = check(with_digests({**small_files, layout.CLAIMS: text.encode()}), tmp_path)
    assert named(found) == {layout.CLAIMS}


def test_raw_readings_must_be_those_that_the_journal_recorded(
    small_files: Files, tmp_path: Path
) -> None:
    name = next(name for name in small_files if name.startswith(layout.SAMPLES))
    found = check(with_digests({**small_files, name: b"other readings"}), tmp_path)
    assert [(m.file, m.kind) for m in found.mismatches] == [(name, MismatchKind.CONTENT)]


def test_another_plan_is_not_the_one_of_the_journal(small_files: Files, tmp_path: Path) -> None:
    plan = json.loads(small_files[layout.PLAN])
    plan["order_seed"] += 1
    found = check(with_digests({**small_files, layout.PLAN: json.dumps(plan).encode()}), tmp_path)
    assert layout.PLAN in named(found)


def test_another_version_is_named_beside_its_differences(
    small_files: Files, tmp_path: Path
) -> None:
    about = json.loads(small_files[layout.ABOUT])
    about["maker"]["appliance"]["version"] = "9.9.9"
    about["maker"]["code_sha256"] = "0" * 64
    name = "report/tables/throughput.csv"
    changed = {
        **{key: data for key, data in small_files.items() if not layout.is_wheel(key)},
        layout.ABOUT: json.dumps(about).encode(),
        name: first_digit_changed(small_files[name], b"\n"),
    }
    found = check(with_digests(changed), tmp_path)
    assert named(found) == {name}
    assert "9.9.9" in str(found.levels)
    assert found.document()["made_by"]["appliance"]["version"] == "9.9.9"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (layout.PLAN, b"{}"),
        (layout.JOURNAL, b"not a record\n"),
        (layout.ABOUT, b'{"schema_version": 2}'),
        (layout.SBOM, b"[]"),
        (layout.CRATE, b"[" * 100_000),
        (layout.MANIFEST, b"no digest\n"),
        (f"{layout.CONFIGS}models.yaml", b"a: &a [1]\nb: *a\n"),
    ],
)
def test_a_document_of_another_schema_is_named(
    name: str, content: bytes, small_files: Files, tmp_path: Path
) -> None:
    found = check({**small_files, name: content}, tmp_path)
    told = [str(m) for m in found.mismatches if m.kind is MismatchKind.SCHEMA]
    assert any(name in text for text in told)
    assert not any(tempfile.gettempdir() in text for text in told)


@pytest.mark.parametrize(
    ("name", "content"),
    [(layout.MANIFEST, b""), (layout.CRATE, b'{"@context": [], "@graph": []}')],
)
def test_a_document_that_states_nothing_is_named(
    name: str, content: bytes, small_files: Files, tmp_path: Path
) -> None:
    found = check({**small_files, name: content}, tmp_path)
    assert {m.what for m in found.mismatches} >= {f"is not listed in {name}"}


def test_a_manifest_in_another_order_is_named(small_files: Files, tmp_path: Path) -> None:
    lines = small_files[layout.MANIFEST].splitlines(keepends=True)
    changed = {**small_files, layout.MANIFEST: b"".join(reversed(lines))}
    assert named(check(changed, tmp_path)) == {layout.MANIFEST}


def test_nothing_is_left_behind(
    small_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    verify_archive(small_archive, maker())
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_read_is_a_fault_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        verify_archive(tmp_path / "missing.tar", maker())
    with pytest.raises(HostError):
        verify_archive(tmp_path, maker())


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that archives an equal session in another folder and time zone."""

    def make(zone: str) -> Path:
        monkeypatch.setenv("TZ", zone)
        folder = write_small_session(tmp_path / zone.replace("/", "-"))
        return archive(folder, folder.parent / "out.tar").path

    return make


def test_equal_content_gives_equal_bytes(
    small_archive: Path, elsewhere: Callable[[str], Path]
) -> None:
    for zone in ("Pacific/Auckland", "America/Lima"):
        assert elsewhere(zone).read_bytes() == small_archive.read_bytes()

"""An archive outlives the appliance: what is asked of one that other code made."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.analysis import semantics
from edgemoe_appliance.archive import layout, verify
from edgemoe_appliance.archive.derived import derive_files
from edgemoe_appliance.archive.results import (
    LevelOutcome,
    MismatchKind,
    Verification,
    VerificationLevel,
)
from edgemoe_appliance.archive.values import compare_values
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.schema.plan import read_plan
from edgemoe_appliance.studies import read_study
from tests.archive.sessions import contents, maker, pack, with_digests
from tests.archive.values import SEMANTICS_HINT, VALUES, read_values, recompute

Files = dict[str, bytes]
FIRST = Path(__file__).parent / "data" / "first-records.tar.xz"
TABLE = "report/tables/throughput.csv"
INTEGRITY, NUMBERS, BYTES = (
    VerificationLevel.INTEGRITY,
    VerificationLevel.NUMBERS,
    VerificationLevel.BYTES,
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive that the last commit before levels made: two sittings, four models."""
    path = tmp_path_factory.mktemp("first") / "first-records.tar"
    path.write_bytes(lzma.decompress(FIRST.read_bytes()))
    return path


@pytest.fixture
def whole_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "derive_files", derive_files)


@pytest.mark.usefixtures("whole_work")
def test_an_archive_of_the_first_records_passes_for_ever(first: Path) -> None:
    found = verify_archive(first, maker())
    assert found.is_good
    assert found.mismatches == ()
    assert found.session == "first-records"
    assert found.outcome_of(INTEGRITY) is LevelOutcome.PASSED
    assert found.outcome_of(BYTES) is LevelOutcome.UNCHECKED
    numbers = found.outcome_of(NUMBERS)
    assert numbers is LevelOutcome.PASSED or (
        numbers is LevelOutcome.REDEFINED and semantics.SEMANTICS > 1
    )
    assert found.recomputed > 30


def test_a_session_of_the_first_records_is_still_of_its_plan(first: Path, tmp_path: Path) -> None:
    files = contents(first)
    (tmp_path / "session.json").write_bytes(files[layout.PLAN])
    lines = files[layout.JOURNAL].splitlines()
    stated = {json.loads(line).get("plan_digest") for line in lines if b'"sitting"' in line}
    assert stated == {read_plan(tmp_path / "session.json").digest}


def test_values_change_with_their_number_alone(first: Path, tmp_path: Path) -> None:
    number, values = read_values()
    assert number == semantics.SEMANTICS, SEMANTICS_HINT
    changed = [
        difference.what
        for name, content in recompute(contents(first), tmp_path).items()
        if name in values
        for difference in compare_values(name, values[name], content)
        if not difference.is_wording
    ]
    assert changed == [], f"raise SEMANTICS where this is meant; {SEMANTICS_HINT}"
    assert len(values) > 30
    assert VALUES.stat().st_size < 100_000


def by_other_code(files: Files, **about: object) -> Files:
    """Return an archive's files as another version would have made them that carried no wheel."""
    files = {name: content for name, content in files.items() if not layout.is_wheel(name)}
    document = json.loads(files[layout.ABOUT])
    document["maker"]["code_sha256"] = "0" * 64
    return {**files, layout.ABOUT: json.dumps({**document, **about}).encode()}


def check(files: Files, tmp_path: Path) -> Verification:
    return verify_archive(pack(with_digests(files), tmp_path / "changed.tar"), maker())


def outcomes(found: Verification) -> tuple[LevelOutcome, ...]:
    return tuple(found.outcome_of(level) for level in VerificationLevel)


def another_number(content: bytes) -> bytes:
    """Return a table with another digit in the first number of its second line."""
    lines = content.split(b"\n")
    lines[1] = re.sub(rb"(?<=,)(\d+\.\d+)(?=,)", rb"7\1", lines[1], count=1)
    return b"\n".join(lines)


def a_column_more(content: bytes) -> bytes:
    return b"\n".join(line + b",1" for line in content.rstrip(b"\n").split(b"\n")) + b"\n"


PASSED, FAILED = LevelOutcome.PASSED, LevelOutcome.FAILED
UNCHECKED, REDEFINED = LevelOutcome.UNCHECKED, LevelOutcome.REDEFINED


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (TABLE, lambda content: content, (PASSED, PASSED, UNCHECKED)),
        (TABLE, another_number, (PASSED, FAILED, UNCHECKED)),
        (TABLE, a_column_more, (PASSED, PASSED, UNCHECKED)),
        (TABLE, lambda content: content.split(b"\n")[0] + b"\n", (PASSED, FAILED, UNCHECKED)),
        (TABLE, lambda content: b"\xff" + content, (FAILED, PASSED, UNCHECKED)),
        ("report/report.html", lambda content: content + b"<!--", (PASSED, PASSED, UNCHECKED)),
        ("as-run/host.json", lambda content: b"{", (FAILED, PASSED, UNCHECKED)),
        (
            "as-run/prompts/efficiency/prompt-01.txt",
            lambda c: c + b"x",
            (PASSED, FAILED, UNCHECKED),
        ),
    ],
)
def test_of_other_code_numbers_are_asked_and_bytes_are_not(
    name: str,
    change: Callable[[bytes], bytes],
    expected: tuple[LevelOutcome, ...],
    small_files: Files,
    tmp_path: Path,
) -> None:
    files = by_other_code(small_files)
    found = check({**files, name: change(files[name])}, tmp_path)
    assert outcomes(found) == expected
    assert found.is_good is (FAILED not in expected)
    assert {mismatch.file for mismatch in found.mismatches} <= {name}


def test_a_number_by_another_definition_is_no_damage(small_files: Files, tmp_path: Path) -> None:
    files = by_other_code(small_files, semantics=semantics.SEMANTICS + 7)
    assert outcomes(check(files, tmp_path)) == (PASSED, PASSED, UNCHECKED)
    found = check({**files, TABLE: another_number(files[TABLE])}, tmp_path)
    assert outcomes(found) == (PASSED, REDEFINED, UNCHECKED)
    assert found.is_good
    assert [note.file for note in found.differences] == [TABLE]
    assert "in the archive" in found.differences[0].what
    assert found.document()["levels"]["numbers"]["outcome"] == "redefined"


def test_a_changed_value_is_told_where_the_same_code_made_it(
    small_files: Files, tmp_path: Path
) -> None:
    found = check({**small_files, TABLE: another_number(small_files[TABLE])}, tmp_path)
    assert outcomes(found) == (PASSED, FAILED, FAILED)
    kinds = {mismatch.kind for mismatch in found.mismatches}
    assert kinds == {MismatchKind.VALUE, MismatchKind.RECOMPUTED}


def test_a_verdict_that_was_turned_is_found_by_other_code(
    small_files: Files, tmp_path: Path
) -> None:
    document = json.loads(small_files[layout.CLAIMS])
    claim = next(each for each in document["claims"] if each["verdict"] != "reproduced")
    claim["verdict"] = "reproduced"
    claim["reading"] = "It holds."
    files = by_other_code(small_files) | {layout.CLAIMS: json.dumps(document).encode()}
    found = check(files, tmp_path)
    (mismatch,) = found.mismatches
    assert mismatch.kind is MismatchKind.VALUE
    assert f"claims.{claim['id']}.verdict: reproduced in the archive" in mismatch.what


def test_files_of_another_version_are_neither_missed_nor_too_many(
    small_files: Files, tmp_path: Path
) -> None:
    files = by_other_code(small_files)
    del files["report/tables/heat.csv"]
    found = check({**files, "report/tables/of-later.csv": b"a\n1\n"}, tmp_path)
    assert outcomes(found) == (PASSED, PASSED, UNCHECKED)
    assert "report/tables/of-later.csv" in {note.file for note in found.notes}
    raw = next(name for name in files if name.startswith(layout.SAMPLES))
    missing = {name: content for name, content in files.items() if name != raw}
    assert not check(missing, tmp_path).is_good


@pytest.mark.parametrize("same_code", [True, False])
def test_another_study_judges_and_is_said_to(
    small_files: Files, tmp_path: Path, same_code: bool
) -> None:
    name = f"{layout.STUDIES}moe-edge/claims.yaml"
    files = small_files if same_code else by_other_code(small_files)
    changed = {**files, name: files[name] + b"# looser\n"}
    found = check(changed, tmp_path)
    assert {mismatch.file for mismatch in found.mismatches} == {f"{layout.STUDIES}moe-edge"}
    about = json.loads(changed[layout.ABOUT])
    study = read_study(
        str(_unpacked(changed, tmp_path) / "configs/studies/moe-edge"), tmp_path / "configs"
    )
    about["study"]["sha256"] = study.sha256
    found = check({**changed, layout.ABOUT: json.dumps(about).encode()}, tmp_path)
    assert found.outcome_of(NUMBERS) is PASSED
    told = [note for note in found.notes if note.file == f"{layout.STUDIES}moe-edge"]
    assert len(told) == 1
    assert study.identity.label in told[0].what


def _unpacked(files: Files, folder: Path) -> Path:
    for name, content in files.items():
        if name.startswith(layout.CONFIGS):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def test_a_study_in_a_form_that_is_not_read_here_leaves_the_installed_one_to_judge(
    small_files: Files, tmp_path: Path
) -> None:
    name = f"{layout.STUDIES}moe-edge/claims.yaml"
    files = by_other_code(small_files, study=None)
    found = check({**files, name: b"claims_of_2031: []\n"}, tmp_path)
    assert outcomes(found) == (PASSED, PASSED, UNCHECKED)
    assert any("does not read" in note.what for note in found.notes)
    same = check({**small_files, name: b"claims_of_2031: []\n"}, tmp_path)
    assert same.outcome_of(INTEGRITY) is FAILED


@pytest.mark.parametrize(
    ("name", "newer"),
    [
        (layout.ABOUT, lambda content: json.dumps({**json.loads(content), "schema_version": 3})),
        (layout.PLAN, lambda content: json.dumps({**json.loads(content), "schema_version": 3})),
        (
            layout.JOURNAL,
            lambda content: content.decode().replace('"schema_version":2', '"schema_version":3'),
        ),
    ],
)
def test_of_an_archive_that_is_newer_integrity_alone_is_asked(
    name: str, newer: Callable[[bytes], str], small_files: Files, tmp_path: Path
) -> None:
    files = by_other_code(small_files)
    found = check({**files, name: newer(files[name]).encode()}, tmp_path)
    assert outcomes(found) == (PASSED, UNCHECKED, UNCHECKED)
    assert f"{name} is newer than this appliance" in str(found.levels[0])

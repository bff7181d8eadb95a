"""claims.yaml: what is wrong in it is told with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.claims import read_claims, read_reference
from edgemoe_appliance.analysis.claims.config import CLAIMS_FILE
from edgemoe_appliance.analysis.claims.study_statements import printed_statements
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies.reference import Study, read_study


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(resource_folder("configs"), folder)
    text = (folder / CLAIMS_FILE).read_text(encoding="utf-8")
    assert old in text
    (folder / CLAIMS_FILE).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def test_every_claim_of_the_study_has_its_test(study: Study) -> None:
    tests = read_claims(resource_folder("configs"), study).claims
    assert set(tests) == {claim.id for claim in study.claims}
    assert all(test.why for test in tests.values())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  c2:\n", "  c99:\n", "no test for c2"),
        (
            '  c1:\n    section: "4.1"',
            '  c1:\n    section: "4.2"',
            "the claim stands in section 4.1",
        ),
        ("model: llama-3.2-1b}", "model: llama-9}", "the study has no model 'llama-9'"),
        ("asked: {about: 0.90, tolerance: 0.05}", "asked: {about: 0.90}", "go together"),
        ("of: generation-rate", "of: happiness", "generation-rate"),
        ("kind: ratio", "kind: guess", "kind"),
        ("said: stated/olmoe_below_llama_m2_pct", "said: stated/nothing", "no such figure"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    folder = changed(tmp_path, old, new)
    with pytest.raises(ConfigError) as caught:
        read_reference(configs=folder)
    assert words in str(caught.value)
    assert CLAIMS_FILE in str(caught.value)


def test_a_claim_of_its_own_is_refused(tmp_path: Path, study: Study) -> None:
    own = '  c99:\n    section: "9"\n    why: x\n    untestable: y\n\npeaks:'
    with pytest.raises(ConfigError, match="the study makes no such claim"):
        read_claims(changed(tmp_path, "\npeaks:", own), study)


def test_a_part_that_is_no_figure_is_refused(tmp_path: Path) -> None:
    folder = changed(tmp_path, "parts: [long_tok_s, short_tok_s]", "parts: [long_tok_s, tall]")
    with pytest.raises(ConfigError, match="tall: no such figure"):
        list(printed_statements(read_reference(configs=folder)))

"""Files of fewer bits as they are made: what is weighed, over which text, what is written down."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.quantising import Workshop
from edgemoe_appliance.models.ggml_types import TYPE_BY_NAME
from edgemoe_appliance.models.quantised import read_quantised
from edgemoe_appliance.schema.configs import Quantisation
from edgemoe_appliance.schema.plan import ENGINE_TOOLS, EngineBuild
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study
from tests.evaluation.standins import StandInAudience
from tests.models.files import gguf_bytes, tensor
from tests.schema.builders import a_model, an_engine

SOURCE = a_model().model_copy(update={"id": "small-f16", "twin_scale": None})
CALIBRATION = resource_folder("configs") / "calibration.txt"
# A matrix that names its text, and a file that holds its matrix: what went in can be seen.
IMATRIX = """#!/bin/sh
echo counted >> "$(dirname "$0")/log"
while [ $# -gt 1 ]; do
  case "$1" in -f) text="$2";; -o) out="$2";; esac
  shift
done
sha256sum < "$text" > "$out"
"""
QUANTISE = """#!/bin/sh
case "$1" in --help) printf '  20  or  IQ2_XS  : x\\n  15  or  Q4_K_M  : x\\n'; exit 1;; esac
echo "$@" >> "$(dirname "$0")/log"
for each in "$@"; do case "$each" in */quantised-*) cp "$(dirname "$0")/made" "$each";; esac; done
"""


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (("llama-imatrix", IMATRIX), ("llama-quantize", QUANTISE)):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    kind = TYPE_BY_NAME["Q4_K"]
    (tools / "made").write_bytes(gguf_bytes(tensors=(tensor("a.weight", (256, 4), kind=kind),)))
    models = tmp_path / "models"
    models.mkdir()

    def build() -> EngineBuild:
        engine = an_engine()
        known = dict.fromkeys(ENGINE_TOOLS, "a" * 64)
        return engine.model_copy(
            update={"binary": str(tools / engine.program), "tools_sha256": known}
        )

    folders = Folders(
        cache=tmp_path, models=models, sessions=tmp_path, results=tmp_path, images=tmp_path
    )
    return Workshop(
        pin="b4447",
        pin_sha256="b" * 64,
        build=build,
        folders=folders,
        steps=StandInAudience(),
    )


def made(workshop: Workshop, kind: str, *, is_weighed: bool = False) -> Path:
    wanted = Quantisation(of="small-f16", type=kind, origin="F16", is_weighed=is_weighed)
    return workshop.obtain(f"small-{kind.lower()}", wanted, SOURCE)


def calls(workshop: Workshop) -> list[str]:
    return (Path(workshop.engine.binary).parent / "log").read_text().splitlines()


@pytest.mark.parametrize(
    ("kind", "asked", "is_weighed"),
    [("IQ2_XS", False, True), ("Q4_K_M", False, False), ("Q4_K_M", True, True)],
)
def test_what_was_weighed_says_over_which_text(
    workshop: Workshop, kind: str, asked: bool, is_weighed: bool
) -> None:
    record = read_quantised(made(workshop, kind, is_weighed=asked))
    text_sha256 = hashlib.sha256(CALIBRATION.read_bytes()).hexdigest()
    matrix_sha256 = hashlib.sha256(f"{text_sha256}  -\n".encode()).hexdigest()
    expected = (text_sha256, matrix_sha256) if is_weighed else (None, None)
    assert (record.facts.calibration_sha256, record.facts.imatrix_sha256) == expected
    assert record.derivation.calibration_sha256 == expected[0], "it is part of the key"
    assert any("--imatrix imatrix.dat" in call for call in calls(workshop)) == is_weighed


def test_one_matrix_serves_all_types_of_a_source(workshop: Workshop) -> None:
    paths = {made(workshop, "IQ2_XS"), made(workshop, "Q4_K_M", is_weighed=True)}
    paths |= {made(workshop, "Q4_K_M")}
    assert len(paths) == 3
    assert calls(workshop).count("counted") == 1
    assert [path for path in workshop.folders.models.iterdir() if path.is_dir()] == []


def passages(words: str, length: int = 8) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", words.lower())
    return {tuple(found[start : start + length]) for start in range(len(found) - length + 1)}


def evaluated() -> Iterator[tuple[str, str]]:
    study = read_study("quantisation")
    for name, prompt in study.prompts.items():
        yield name, prompt.text


@pytest.mark.parametrize(
    ("name", "text"), [pytest.param(*each, id=each[0]) for each in evaluated()]
)
def test_no_passage_that_is_evaluated_was_weighed_over(name: str, text: str) -> None:
    assert not passages(text) & passages(CALIBRATION.read_text(encoding="utf-8")), name

"""Code knows no study: no string of the package is an identifier of a shipped one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgemoe_appliance
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import Study, read_study
from edgemoe_appliance.studies.paper import Procedure

PACKAGE = Path(edgemoe_appliance.__file__).parent
STUDIES = sorted(path.parent.name for path in resource_folder("configs").glob("studies/*/*.yaml"))
# Words of the field that a study uses as identifiers too: code may mean the thing itself.
COMMON = {
    "reasoning",
    "length",
    "medium",
    *(arm.value for arm in Arm),
    *(feeds.value for feeds in Feeds),
    *Procedure.model_fields,
}
# Here a board is meant when it is named, not a device of a paper.
HARDWARE = {"bench", "container", "doctor", "engine", "measure", "models", "schema"}


def identifiers(study: Study) -> set[str]:
    """Return what names something of this study alone."""
    procedure = study.procedure
    named = {
        study.id,
        *study.models,
        *study.devices,
        *study.stated,
        *study.claims,
        *study.experiments,
        *study.prompts,
        *procedure.prompt_length_words,
        *procedure.routing_strata_tokens,
        *(model.role for model in study.models.values()),
        *(model.name for model in study.models.values()),
        *(device.label for device in study.devices.values()),
        *(prompt.category for prompt in study.prompts.values()),
    }
    return named - COMMON


def families(study: Study) -> re.Pattern[str]:
    """Return what finds the names of a study's models in prose."""
    words = {re.split(r"[-\d]", model.name)[0] for model in study.models.values()}
    return re.compile(rf"\b({'|'.join(sorted(words))})\b")


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their lines, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def found_in(path: Path, study: Study) -> list[str]:
    """Return where a module holds an identifier, a section, a table or a model of a study."""
    names, prose = identifiers(study), families(study)
    if HARDWARE & set(path.parts):
        names -= set(study.configs.devices.targets)
    places = re.compile(r"\b(?:section|Section|Table|Fig\.|Figure) \d")
    return [
        f"{path.name}:{line}: {text!r}"
        for line, text in literals(path)
        if text in names or prose.search(text) or places.search(text)
    ]


@pytest.fixture(scope="module", params=sorted(set(STUDIES)))
def study(request: pytest.FixtureRequest) -> Study:
    return read_study(request.param)


def test_no_string_of_the_package_is_an_identifier_of_a_study(study: Study) -> None:
    found = [each for path in sorted(PACKAGE.rglob("*.py")) for each in found_in(path, study)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        'BASELINE = "llama-3.2-1b"',
        'title = "To Llama-3.2-1B"',
        'where = "section 4.6"',
        'claims = {"c1"}',
        'shape = "square" if device == "jetson" else "triangle"',
    ],
)
def test_one_that_is_put_into_a_module_is_found(tmp_path: Path, code: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(f'"""Llama-3.2-1B in a docstring is prose."""\n{code}\n')
    assert len(found_in(path, read_study("moe-edge"))) == 1

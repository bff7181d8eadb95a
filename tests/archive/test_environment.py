"""The bill of materials: of its schema, complete, and the same for the same environment."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgemoe_appliance.archive.environment import (
    build_sbom,
    check_sbom,
    parse_dpkg,
    read_environment,
)
from edgemoe_appliance.errors import RecordError

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def components(content: bytes) -> dict[str, str]:
    return {part["name"]: part["version"] for part in json.loads(content)["components"]}


@pytest.fixture(scope="module")
def content() -> bytes:
    """Return the bill of this environment."""
    return build_sbom(read_environment(), THEN)


def test_this_environment(content: bytes) -> None:
    check_sbom(content)
    found = components(content)
    assert found["pandas"] == version("pandas")
    pandas = next(p for p in json.loads(content)["components"] if p["name"] == "pandas")
    assert pandas["purl"] == f"pkg:pypi/pandas@{version('pandas')}"
    (digest,) = pandas["properties"]
    assert len(digest["value"]) == 64


def test_it_is_of_the_published_schema(content: bytes) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None


def test_it_is_the_same_again_and_has_no_clock(content: bytes) -> None:
    assert build_sbom(read_environment(), THEN) == content
    assert json.loads(content)["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
    assert json.loads(content)["serialNumber"].startswith("urn:uuid:")


def test_installed_packages_of_dpkg() -> None:
    text = "installed\tlibc6\t2.36-9\tamd64\nconfig-files\told\t1\tall\ninstalled\tbad\n\n"
    (package,) = parse_dpkg(text)
    assert (package.name, package.version, package.architecture) == ("libc6", "2.36-9", "amd64")


def test_without_dpkg_the_reason_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = read_environment()
    assert found.system == ()
    content = build_sbom(found, THEN)
    assert "no dpkg-query on this system" in content.decode()


def test_a_dpkg_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(2, "dpkg-query")

    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/dpkg-query")
    monkeypatch.setattr(subprocess, "run", fail)
    assert "dpkg-query failed" in str(read_environment().system_reason)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{}",
        b"[]",
        b'{"bomFormat": "SPDX", "components": []}',
        b'{"bomFormat": "CycloneDX", "components": [{"name": "a"}]}',
        b'{"bomFormat": "CycloneDX", "components": [{"name": "a", "version": ""}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_bill_of_materials(wrong: bytes) -> None:
    with pytest.raises(RecordError):
        check_sbom(wrong)

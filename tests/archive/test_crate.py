"""The description of an archive passes the validator of its profile, without a network."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from rocrate_validator import services  # type: ignore[import-untyped]
from rocrate_validator.models import Severity, ValidationSettings  # type: ignore[import-untyped]
from rocrate_validator.utils.http import HttpRequester  # type: ignore[import-untyped]

from edgemoe_appliance.archive import layout
from tests.archive.contexts import CONTEXTS
from tests.archive.sessions import IDENTITY
from tests.tools.untar import unpack


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Answer requests for the two contexts; any other is noted and refused."""
    asked: list[str] = []

    def get(self: HttpRequester, url: str, **_: Any) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code = url, 200
        response.headers["Content-Type"] = "application/ld+json"
        if url not in CONTEXTS:
            asked.append(url)
            response.status_code = 404
        response._content = json.dumps(CONTEXTS.get(url)).encode()
        return response

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)
    monkeypatch.setattr(HttpRequester, "head", get, raising=False)
    yield asked
    assert asked == []


def validate(folder: Path, profile: str, severity: Severity = Severity.REQUIRED) -> list[str]:
    settings = ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier=profile,
        requirement_severity=severity,
        offline=True,
        cache_path=folder.parent / "cache",
        skip_availability_check=True,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


@pytest.fixture
def unpacked(small_archive: Path, tmp_path: Path) -> Path:
    with tarfile.open(small_archive) as archive:
        unpack(archive, tmp_path)
    return tmp_path / "small"


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "process-run-crate"])
def test_the_description_passes_the_validator(profile: str, unpacked: Path) -> None:
    assert validate(unpacked, profile) == []


def test_the_validator_finds_what_is_wrong(unpacked: Path) -> None:
    path = unpacked / layout.CRATE
    crate = json.loads(path.read_text())
    for entity in crate["@graph"]:
        entity.pop("instrument", None)
    path.write_text(json.dumps(crate))
    assert any("instrument" in issue for issue in validate(unpacked, "process-run-crate"))


def test_what_is_recommended_and_not_there_is_known(unpacked: Path) -> None:
    """Nobody is named who ran it, and the appliance has no address: neither is recorded."""
    assert set(validate(unpacked, "process-run-crate", Severity.RECOMMENDED)) == {
        "The Action SHOULD have an agent that is a Person or Organization",
        "The Action SHOULD have an endTime in ISO 8601 format",  # of the rendering: no clock
        "The Application SHOULD have a url",
        "The Root Data Entity SHOULD have a link to a Contextual Entity representing the "
        "`author` of the RO-Crate",
        "The SoftwareApplication id SHOULD be an absolute URI",
        "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    }


def graph(small_files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads(small_files[layout.CRATE])["@graph"]}


def test_every_file_is_described_by_size_and_digest(small_files: dict[str, bytes]) -> None:
    described = graph(small_files)
    for name in set(small_files) - {layout.CRATE, layout.MANIFEST}:
        assert described[name]["contentSize"] == str(len(small_files[name]))
        assert len(described[name]["sha256"]) == 64
        assert described[name]["encodingFormat"] != "application/octet-stream", name


def test_a_period_is_an_action_with_its_instruments(small_files: dict[str, bytes]) -> None:
    described = graph(small_files)
    action = described["#period-1"]
    assert {item["@id"] for item in action["instrument"]} == {
        "#edgemoe-appliance",
        "#engine-b4447",
    }
    assert {"@id": "#model-olmoe-1b-7b"} in action["object"]
    assert {"@id": layout.JOURNAL} in action["result"]
    assert action["startTime"] == "2026-01-02T03:04:05.000+00:00"
    assert action["endTime"] == "2026-01-02T03:04:15.000+00:00"
    assert len(described["#model-olmoe-1b-7b"]["sha256"]) == 64
    assert described["#edgemoe-appliance-rendering"]["identifier"] == IDENTITY.git_head

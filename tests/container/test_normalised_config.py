from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest

from edgemoe_appliance.container.normalised_config import (
    build_config,
    config_archive,
    settings_digest,
)

EMPTY = f"sha256:{hashlib.sha256(bytes(1024)).hexdigest()}"


def described(**config: Any) -> dict[str, Any]:
    return {
        "Id": "sha256:x",
        "Architecture": "amd64",
        "Os": "linux",
        "Created": "2026-11-25T12:00:00Z",
        "Container": "c0ffee",
        "DockerVersion": "20.10.24",
        "Config": {
            "Hostname": "c0ffee",
            "User": "10001:10001",
            "Env": ["A=b"],
            "Entrypoint": ["python3"],
            "Labels": {"k": "v"},
            **config,
        },
        "RootFS": {"Type": "layers", "Layers": ["sha256:1", "sha256:2"]},
    }


def test_config_keeps_what_runs_and_drops_when_and_where_it_was_built() -> None:
    config = json.loads(build_config(described()))
    assert config["config"] == {
        "User": "10001:10001",
        "Env": ["A=b"],
        "Entrypoint": ["python3"],
        "Labels": {"k": "v"},
    }
    assert config["rootfs"]["diff_ids"] == ["sha256:1", "sha256:2"]
    assert len(config["history"]) == 2
    assert "c0ffee" not in json.dumps(config) and "2026" not in json.dumps(config)


@pytest.mark.parametrize(
    "change",
    [
        {"Created": "2030-01-01T00:00:00Z"},
        {"Container": "other"},
        {"DockerVersion": "28.0"},
        {"RootFS": {"Layers": ["sha256:1", "sha256:2", EMPTY]}},
    ],
)
def test_equal_images_of_other_builders_and_days_have_one_config(change: dict[str, Any]) -> None:
    assert build_config(described() | change) == build_config(described())


@pytest.mark.parametrize(
    "other",
    [
        described(User="0"),
        described(Labels={}),
        described() | {"Architecture": "arm64", "Variant": "v8"},
        described() | {"RootFS": {"Layers": ["sha256:1"]}},
        described() | {"RootFS": {"Layers": ["sha256:1", EMPTY, "sha256:2"]}},
    ],
)
def test_other_images_have_another_config(other: dict[str, Any]) -> None:
    assert build_config(other) != build_config(described())


def test_labels_are_no_settings() -> None:
    assert settings_digest(described()) == settings_digest(described(Labels={}))
    assert settings_digest(described()) != settings_digest(described(WorkingDir="/x"))


def test_archive_of_a_config_names_layers_without_holding_them() -> None:
    config = build_config(described())
    archive = config_archive(config, ["sha256:1", "sha256:2"], "a:1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        names = opened.getnames()
        file = opened.extractfile("manifest.json")
        assert file is not None
        (image,) = json.load(file)
    assert names == [f"{hashlib.sha256(config).hexdigest()}.json", "manifest.json"]
    assert image == {
        "Config": names[0],
        "RepoTags": ["a:1"],
        "Layers": ["1/layer.tar", "2/layer.tar"],
    }

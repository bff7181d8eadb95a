"""The image of a session is found by what it is, and never another one in its place."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.export import exported_image, find_image
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.image import image_tag
from edgemoe_appliance.errors import ConfigError, DigestError
from edgemoe_appliance.schema.journal import PLAN_NAME
from edgemoe_appliance.schema.plan import Plan
from tests.container.plans import plan

pytestmark = pytest.mark.container


def plan_with(image: str | None) -> Plan:
    return plan().model_copy(update={"image": image})


def test_image_of_a_session_becomes_a_file_and_goes_again(
    docker_engine: DockerEngine, base_image: str, tmp_path: Path
) -> None:
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    session = tmp_path / "session"
    session.mkdir()
    (session / PLAN_NAME).write_text(plan_with(identity.config_sha256).model_dump_json())
    with exported_image(session, tmp_path / "out", docker_engine.host) as path:
        with tarfile.open(path) as archive:
            names = archive.getnames()
        assert f"blobs/sha256/{identity.config_sha256.removeprefix('sha256:')}" in names
    assert not any((tmp_path / "out").iterdir())


def test_image_is_called_by_its_usual_name(docker_engine: DockerEngine, base_image: str) -> None:
    identity = read_identity(docker_engine, base_image)
    assert identity is not None
    found = find_image(docker_engine, plan_with(identity.config_sha256))
    assert (found.config_sha256, found.reference) == (identity.config_sha256, image_tag("host"))


def test_image_that_is_gone_is_told(docker_engine: DockerEngine) -> None:
    with pytest.raises(DigestError, match="not on this engine") as caught:
        find_image(docker_engine, plan_with("sha256:" + "7" * 64))
    assert caught.value.exit_code == 4
    assert "--locked" in caught.value.hint


def test_session_without_a_container_has_none(docker_engine: DockerEngine) -> None:
    with pytest.raises(ConfigError, match="without a container"):
        find_image(docker_engine, plan_with(None))

"""The image that a session was measured in, out of a Docker engine into a file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.client import DockerEngine, open_engine
from edgemoe_appliance.container.export import export_image
from edgemoe_appliance.container.identity import ImageIdentity, read_identity
from edgemoe_appliance.container.image import image_tag
from edgemoe_appliance.errors import ConfigError, DigestError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.journal import PLAN_NAME
from edgemoe_appliance.schema.plan import Plan, read_plan

_FILE_NAME: Final = "image.tar"


@contextlib.contextmanager
def exported_image(session: Path, scratch: Path, docker_host: str | None) -> Iterator[Path]:
    """Give the image of a session as a file below `scratch` for as long as the context is open.

    Raises ConfigError for a session without a container, HostError where no engine answers or the
    disk is too small, DigestError where the engine does not have that image any more.
    """
    plan = read_plan(session / PLAN_NAME)
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        open_engine(docker_host) as engine,
        scratch_folder(".image-", scratch) as folder,
    ):
        yield export_image(engine, find_image(engine, plan), folder / _FILE_NAME).path


def find_image(engine: DockerEngine, plan: Plan) -> ImageIdentity:
    """Return the image of a plan under its usual name, by the digest of its config.

    Raises ConfigError for a plan without one, DigestError where the engine does not have it.
    """
    if plan.image is None:
        raise ConfigError(
            f"session {plan.session} ran without a container: no image belongs to it",
            hint="leave out --with-image",
        )
    usual = image_tag(plan.target_id)
    # By its id where images are named by their config; else by what the usual tag stands for.
    for reference in (plan.image, usual):
        identity = read_identity(engine, reference)
        if identity is not None and identity.config_sha256 == plan.image:
            return dataclasses.replace(identity, reference=usual)
    raise DigestError(
        f"the image {plan.image[:19]}... of session {plan.session} is not on this engine",
        where=engine.host,
        hint="bring it back with `build --locked` or `build --pull`, or archive without it",
    )

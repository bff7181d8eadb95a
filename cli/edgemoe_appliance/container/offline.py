"""A program of somebody else's run on a few files, in a container that reaches nothing.

No network, no capability, nothing of the host but the files that are given, all of them read-only,
and nobody's user. What the program prints comes from a stranger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import (
    read_state,
    remove_container,
    start_container,
)
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.launch import IMAGE_USER, LaunchSpec, MountSpec, User
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.units import MIB

_MEMORY_BYTES: Final = 4096 * MIB
_SCRATCH_BYTES: Final = 1024 * MIB
_MOST_PROCESSES: Final = 256
# A large session takes minutes on a board.
_TIMEOUT_S: Final = 3600.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class OfflineRun:
    """What a program left: its exit code, and both of its outputs in full."""

    exit_code: int
    output: bytes
    errors: bytes


def run_offline(
    engine: DockerEngine, image: str, command: Sequence[str], files: Mapping[PurePosixPath, Path]
) -> OfflineRun:
    """Run a command of an image on files of this machine.

    Raises HostError where the engine or the image is not there, does not share files with this
    machine, or the command does not end within an hour.
    """
    identity = read_identity(engine, image)
    if identity is None:
        raise HostError(f"the image {image} is not on this engine", where=engine.host)
    if not engine.shares_files:
        raise HostError("the engine does not see the files of this machine", where=engine.host)
    created = start_container(engine, _specify(identity.image_id, command, files))
    try:
        exit_code = _wait(engine, created.container_id)
        with engine.errors("read what the program printed"):
            logs = engine.api.logs
            output = bytes(logs(created.container_id, stdout=True, stderr=False))
            errors = bytes(logs(created.container_id, stdout=False, stderr=True))
    finally:
        remove_container(engine, created.container_id)
    return OfflineRun(exit_code=exit_code, output=output, errors=errors)


def _specify(
    image_id: str, command: Sequence[str], files: Mapping[PurePosixPath, Path]
) -> LaunchSpec:
    mounts = (
        MountSpec(
            kind="bind",
            source=str(path.absolute()),
            target=target,
            read_only=True,
            purpose="what the program is run on",
        )
        for target, path in files.items()
    )
    return LaunchSpec(
        name=f"edgemoe-offline-{os.getpid()}-{time.monotonic_ns()}",
        image_id=image_id,
        entrypoint=(command[0],),
        command=tuple(command[1:]),
        user=User(uid=IMAGE_USER, gid=IMAGE_USER),
        groups=(),
        environment={"HOME": "/tmp", "EDGEMOE_WORK": "/tmp"},  # noqa: S108
        labels={},
        mounts=tuple(mounts),
        runtime="runc",
        memory_limit_bytes=_MEMORY_BYTES,
        pids_limit=_MOST_PROCESSES,
        tmpfs={"/tmp": f"rw,nosuid,nodev,noexec,size={_SCRATCH_BYTES}"},  # noqa: S108
    )


def _wait(engine: DockerEngine, container_id: str) -> int:
    end_s = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end_s:
        state = read_state(engine, container_id)
        if state is None:
            raise HostError("the container was removed by somebody else", where=engine.host)
        if state.exit_code is not None:
            return state.exit_code
        time.sleep(_POLL_S)
    raise HostError("the program did not end within an hour", where=engine.host)

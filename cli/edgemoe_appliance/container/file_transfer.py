"""How a session's files get to its container and back: shared folders, or the engine's volumes.

A remote engine sees none of our folders, so plan and models are sent into volumes and results
fetched out of them through its API. Results never travel by logs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from edgemoe_appliance.container.client import Engine
from edgemoe_appliance.container.containers import created_container
from edgemoe_appliance.container.launch import (
    IMAGE_USER,
    PLAN_IN_CONTAINER_NAME,
    SESSION_FOLDER,
    LaunchSpec,
    User,
    containerised_plan,
    model_path,
)
from edgemoe_appliance.container.tarstream import (
    build_tar,
    open_chunks,
    open_members,
    path_below_top,
)
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.files import write_atomically
from edgemoe_appliance.schema.journal import JOURNAL_NAME, LIVE_NAME
from edgemoe_appliance.schema.plan import Plan, PlannedModel
from edgemoe_appliance.schema.units import human_bytes

_BLOCK_BYTES: Final = 1 << 20
# How often a remote journal is fetched while it grows.
_REFRESH_S: Final = 2.0
_COMPLETE_NAME: Final = ".complete"
# A session is some megabytes of gzip; more is not ours and must not fill this disk.
_MAX_SESSION_BYTES: Final = 8 * 10**9


class FileExchange(Protocol):
    """The way of a session's files."""

    def prepare(self) -> None:
        """Bring what the container needs, before it is started."""

    def refresh(self, container_id: str) -> None:
        """Bring the journal here, while the container runs."""

    def collect(self, container_id: str) -> None:
        """Bring everything here, after the container has ended and before it is removed."""

    def release(self) -> None:
        """Remove what is not needed any more, after the container has been removed."""


class BindExchange:
    """Folders of this machine: nothing is copied; who owns and who may read is what matters."""

    def __init__(self, plan: Plan, folder: Path, user: User) -> None:
        """Name the session folder and the user inside."""
        self._plan = plan
        self._folder = folder
        self._user = user

    def prepare(self) -> None:
        """Write the plan with the container's paths and give the folder to its user.

        Raises HostError where the user could not read a model.
        """
        for model in self._plan.models.values():
            _check_readable(Path(model.path), self._user)
        write_atomically(self._folder / PLAN_IN_CONTAINER_NAME, plan_bytes(self._plan))
        if os.geteuid() == 0:
            _give_folder(self._folder, self._user.uid, self._user.gid)

    def refresh(self, container_id: str) -> None:
        """Do nothing: the journal is here."""

    def collect(self, container_id: str) -> None:
        """Give the folder back to whom the folder above it belongs."""
        if os.geteuid() == 0:
            owner = self._folder.absolute().parent.stat()
            _give_folder(self._folder, owner.st_uid, owner.st_gid)

    def release(self) -> None:
        """Do nothing: nothing was made."""


def plan_bytes(plan: Plan) -> bytes:
    """Return the file of a plan as the container reads it."""
    document = containerised_plan(plan).model_dump(mode="json")
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _check_readable(path: Path, user: User) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise HostError(f"the model cannot be read ({error.strerror})", where=str(path)) from error
    is_readable = (
        status.st_mode & stat.S_IROTH
        or (status.st_uid == user.uid and status.st_mode & stat.S_IRUSR)
        or (status.st_gid == user.gid and status.st_mode & stat.S_IRGRP)
    )
    if not is_readable:
        raise HostError(
            f"user {user.uid} inside the container may not read the model",
            where=str(path),
            hint=f"chmod a+r {path}",
        )


def _give_folder(folder: Path, uid: int, gid: int) -> None:
    """Change the owner of a folder and all in it; links are not followed."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)


class VolumeExchange:
    """Volumes of the engine, filled and emptied through its API."""

    def __init__(
        self, engine: Engine, plan: Plan, folder: Path, spec: LaunchSpec, say: Callable[[str], None]
    ) -> None:
        """Take what a launch is specified to mount."""
        self._engine = engine
        self._plan = plan
        self._folder = folder
        self._spec = spec
        self._say = say
        self._due_s = 0.0

    def prepare(self) -> None:
        """Send the models that the engine does not have yet, the plan, and the journal so far."""
        with created_container(self._engine, self._loader()) as loader:
            for model in self._plan.models.values():
                self._send_model(loader.container_id, model)
            write_atomically(self._folder / PLAN_IN_CONTAINER_NAME, plan_bytes(self._plan))
            files = [self._folder / name for name in (PLAN_IN_CONTAINER_NAME, JOURNAL_NAME)]
            present = [(path, path.name) for path in files if path.exists()]
            self._put(loader.container_id, SESSION_FOLDER, present)

    def _loader(self) -> LaunchSpec:
        """Return a container that is never started, with the same volumes, all writable."""
        mounts = tuple(
            dataclasses.replace(mount, read_only=False)
            for mount in self._spec.mounts
            if mount.kind == "volume"
        )
        return dataclasses.replace(
            self._spec, name=f"{self._spec.name}-files", labels={}, mounts=mounts, runtime="runc"
        )

    def _send_model(self, container_id: str, model: PlannedModel) -> None:
        folder = model_path(model).parent
        if self._fetch(container_id, folder / _COMPLETE_NAME) is not None:
            return
        self._say(f"sending {model.file_name} ({human_bytes(model.file_bytes)}) to the engine")
        self._put(container_id, folder, [(Path(model.path), model.file_name)])
        with tempfile.NamedTemporaryFile() as mark:
            self._put(container_id, folder, [(Path(mark.name), _COMPLETE_NAME)])

    def _put(self, container_id: str, folder: PurePosixPath, files: list[tuple[Path, str]]) -> None:
        with self._engine.errors(f"send files to {folder}"):
            content = build_tar(files, IMAGE_USER)
            self._engine.api.put_archive(container_id, str(folder), content)

    def _fetch(self, container_id: str, path: PurePosixPath) -> bytes | None:
        """Return one file from a container, or None where it is not there."""
        from docker.errors import NotFound  # noqa: PLC0415

        with self._engine.errors(f"fetch {path}"):
            try:
                chunks, _ = self._engine.api.get_archive(container_id, str(path))
            except NotFound:
                return None
            with open_members(open_chunks(chunks)) as members:
                _, content = next(members, (None, None))
                return content.read() if content is not None else None

    def refresh(self, container_id: str) -> None:
        """Fetch the journal and the live file every few seconds."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + _REFRESH_S
        for name in (JOURNAL_NAME, LIVE_NAME):
            content = self._fetch(container_id, SESSION_FOLDER / name)
            if content is not None:
                write_atomically(self._folder / name, content)

    def collect(self, container_id: str) -> None:
        """Fetch the whole session."""
        with self._engine.errors("fetch the session"):
            chunks, _ = self._engine.api.get_archive(container_id, str(SESSION_FOLDER))
            unpack_session(open_chunks(chunks), self._folder)
        (self._folder / LIVE_NAME).unlink(missing_ok=True)

    def release(self) -> None:
        """Remove the session's volume; models stay for the next session."""
        from docker.errors import NotFound  # noqa: PLC0415

        volumes = (mount.source for mount in self._spec.mounts if mount.target == SESSION_FOLDER)
        with self._engine.errors("remove the session's volume"), contextlib.suppress(NotFound):
            for volume in volumes:
                self._engine.api.remove_volume(volume)


def unpack_session(archive: IO[bytes], folder: Path) -> None:
    """Unpack what an engine gives for the session folder; each file is there whole or not at all.

    Raises RecordError for anything but plain files inside the folder and for absurd sizes,
    HostError where the archive is cut off.
    """
    total_bytes = 0
    with open_members(archive) as members:
        for member, content in members:
            if member.isdir():
                continue
            inside = path_below_top(member.name)
            total_bytes += member.size
            if content is None or inside is None or total_bytes > _MAX_SESSION_BYTES:
                raise RecordError(
                    f"the container's session holds {member.name!r}, which is not a file of ours",
                    where=str(folder),
                )
            _write_stream(content, folder / inside)


def _write_stream(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            shutil.copyfileobj(content, file, _BLOCK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

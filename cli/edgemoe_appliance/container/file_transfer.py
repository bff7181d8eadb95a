"""How a session's files get to its container and back: shared folders, or the engine's volumes.

A remote engine sees none of our folders, so plan and models are sent into volumes and results
fetched out of them through its API. Results never travel by logs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import stat
import time
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import created_container
from edgemoe_appliance.container.launch import (
    IMAGE_USER,
    PLAN_FOLDER,
    SESSION_FOLDER,
    LaunchSpec,
    User,
    containerised_plan,
    model_path,
)
from edgemoe_appliance.container.tarstream import (
    Outgoing,
    build_tar,
    open_chunks,
    open_members,
    path_below_top,
)
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    LIVE_NAME,
    MAX_JOURNAL_BYTES,
    PLAN_INSIDE_NAME,
    PLAN_NAME,
    SAMPLES_FOLDER,
)
from edgemoe_appliance.schema.plan import Plan, PlannedModel
from edgemoe_appliance.schema.sessionfolder import (
    MAX_ENTRIES,
    SessionFolder,
    holds,
    host_folder,
)
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.text import on_one_line
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

    def collect(self, container_id: str) -> RecordError | None:
        """Bring everything here, after the container has ended and before it is removed.

        Returns the refusal of what is no file of a session; all else has been brought.
        """

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
        """Write the plan with the container's paths and lend the folder to its user.

        Raises HostError where the user could not read a model, RecordError where the folder holds
        something else than files under a name that is needed.
        """
        for model in self._plan.models.values():
            _check_readable(Path(model.path), self._user)
        with (
            SessionFolder(host_folder(self._folder), is_made=True) as own,
            own.open_new(PLAN_INSIDE_NAME) as file,
        ):
            # The user inside may be another one, whatever new files are like here.
            os.fchmod(file.fileno(), 0o644)
            file.write(plan_bytes(self._plan))
        if os.geteuid() == 0:
            with SessionFolder(self._folder) as session:
                session.lend(self._user.uid, self._user.gid, (JOURNAL_NAME, SAMPLES_FOLDER))

    def refresh(self, container_id: str) -> None:
        """Do nothing: the journal is here."""

    def collect(self, container_id: str) -> RecordError | None:
        """Give the folder back to whom the folder above it belongs."""
        with SessionFolder(self._folder.absolute().parent) as above:
            uid, gid = above.owner
        try:
            with SessionFolder(self._folder) as session:
                session.take_back(uid, gid, (SAMPLES_FOLDER,), writer=self._user.uid)
                return session.find_foreign((SAMPLES_FOLDER,))
        except RecordError as error:
            return error

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


class VolumeExchange:
    """Volumes of the engine, filled and emptied through its API."""

    def __init__(
        self, engine: DockerEngine, plan: Plan, folder: Path, spec: LaunchSpec, say: Say
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
            plan = outgoing(PLAN_NAME, plan_bytes(self._plan))
            self._put(loader.container_id, PLAN_FOLDER, plan)
            if holds(self._folder, JOURNAL_NAME):
                self._put_journal(loader.container_id)

    def _loader(self) -> LaunchSpec:
        """Return a container that is never started, with the same volumes, all writable."""
        mounts = tuple(
            dataclasses.replace(mount, read_only=False)
            for mount in self._spec.mounts
            if mount.kind == "volume" and mount.source is not None
        )
        return dataclasses.replace(
            self._spec, name=f"{self._spec.name}-files", labels={}, mounts=mounts, runtime="runc"
        )

    def _send_model(self, container_id: str, model: PlannedModel) -> None:
        folder = model_path(model).parent
        if self._fetch(container_id, folder / _COMPLETE_NAME) is not None:
            return
        self._say(f"sending {model.file_name} ({human_bytes(model.file_bytes)}) to the engine")
        path = Path(model.path)
        with path.open("rb") as file:
            content = Outgoing(name=model.file_name, size_bytes=path.stat().st_size, file=file)
            self._put(container_id, folder, content)
        self._put(container_id, folder, outgoing(_COMPLETE_NAME, b""))

    def _put_journal(self, container_id: str) -> None:
        with (
            SessionFolder(self._folder) as session,
            session.open_file(JOURNAL_NAME, MAX_JOURNAL_BYTES) as file,
        ):
            content = Outgoing(name=JOURNAL_NAME, size_bytes=file.size_bytes, file=file)
            self._put(container_id, SESSION_FOLDER, content)

    def _put(self, container_id: str, folder: PurePosixPath, file: Outgoing) -> None:
        with self._engine.errors(f"send {file.name} to {folder}"):
            content = build_tar([file], IMAGE_USER)
            self._engine.api.put_archive(container_id, str(folder), content)

    def _fetch(
        self, container_id: str, path: PurePosixPath, most_bytes: int = MAX_JOURNAL_BYTES
    ) -> bytes | None:
        """Return one plain file from a container, or None where there is none.

        Raises RecordError where it is longer than ours are.
        """
        from docker.errors import NotFound  # noqa: PLC0415

        with self._engine.errors(f"fetch {path}"):
            try:
                chunks, _ = self._engine.api.get_archive(container_id, str(path))
            except NotFound:
                return None
            with contextlib.closing(chunks), open_members(open_chunks(chunks)) as members:
                member, content = next(members, (None, None))
                if member is None or content is None:
                    return None
                if member.size > most_bytes:
                    raise RecordError(
                        f"has {member.size} bytes; at most {most_bytes} are read",
                        where=f"{path} in the container",
                    )
                return content.read()

    def refresh(self, container_id: str) -> None:
        """Fetch the journal and the live file every few seconds."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + _REFRESH_S
        with SessionFolder(self._folder) as session:
            for name in (JOURNAL_NAME, LIVE_NAME):
                content = self._fetch(container_id, SESSION_FOLDER / name)
                if content is not None:
                    session.write(name, content, is_synced=False)

    def collect(self, container_id: str) -> RecordError | None:
        """Fetch the whole session."""
        with self._engine.errors("fetch the session"), SessionFolder(self._folder) as session:
            chunks, _ = self._engine.api.get_archive(container_id, str(SESSION_FOLDER))
            # An engine that nobody listens to any more would keep the container locked.
            with contextlib.closing(chunks):
                foreign = unpack_session(open_chunks(chunks), session)
            session.remove(LIVE_NAME)
        return foreign

    def release(self) -> None:
        """Remove the session's volumes; models stay for the next session."""
        from docker.errors import NotFound  # noqa: PLC0415

        own = (SESSION_FOLDER, PLAN_FOLDER)
        for volume in (str(mount.source) for mount in self._spec.mounts if mount.target in own):
            with self._engine.errors("remove the session's volume"), contextlib.suppress(NotFound):
                self._engine.api.remove_volume(volume)


def outgoing(name: str, content: bytes) -> Outgoing:
    """Return some bytes as a file to be sent."""
    return Outgoing(name=name, size_bytes=len(content), file=io.BytesIO(content))


def unpack_session(archive: IO[bytes], session: SessionFolder) -> RecordError | None:
    """Unpack what an engine gives for the session folder; each file is there whole or not at all.

    Returns the refusal of the first thing that is no file of a session; all others are unpacked.
    Raises RecordError for absurd sizes and numbers, HostError where the archive is cut off.
    """
    refused: RecordError | None = None
    total_bytes = 0
    with open_members(archive) as members:
        for count, (member, content) in enumerate(members):
            total_bytes += member.size
            if total_bytes > _MAX_SESSION_BYTES or count > MAX_ENTRIES:
                raise _refusal(member.name, session, "too much for a session")
            inside = path_below_top(member.name)
            if member.isdir() or (inside is not None and is_passing(inside)):
                continue
            if content is None or inside is None or not is_result(inside):
                refused = refused or _refusal(member.name, session, "which is no file of a session")
                continue
            with session.open_new(str(inside)) as file:
                shutil.copyfileobj(content, file, _BLOCK_BYTES)
    return refused


def is_passing(inside: PurePosixPath) -> bool:
    """Return whether a name is one that measuring itself leaves, and that nobody needs later."""
    return inside.name.startswith(".") or str(inside) == LIVE_NAME


def is_result(inside: PurePosixPath) -> bool:
    """Return whether a file is one that measuring gives: the journal, what was torn, raw data."""
    if inside.parts[:-1] == (SAMPLES_FOLDER,):
        return True
    return str(inside) == JOURNAL_NAME or str(inside).startswith(f"{JOURNAL_NAME}.torn-")


def _refusal(name: str, session: SessionFolder, what: str) -> RecordError:
    return RecordError(
        f"the container's session holds {on_one_line(name)!r}, {what}",
        where=str(session.path),
        hint="what was measured is kept",
    )

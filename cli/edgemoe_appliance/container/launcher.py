"""Measuring in a container: started or found running, followed, its results brought home.

The container outlives the program that started it: whoever comes next finds it by its labels.
It reads no figure; progress is read from the journal, as everywhere.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import (
    ContainerState,
    find_containers,
    read_log,
    read_state,
    remove_container,
    start_container,
    stop_container,
)
from edgemoe_appliance.container.file_transfer import BindExchange, FileExchange, VolumeExchange
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import (
    FOLDER_LABEL,
    PLAN_LABEL,
    SESSION_LABEL,
    BoardFiles,
    Exchange,
    LaunchSpec,
    RenderNode,
    choose_user,
    launch_arguments,
)
from edgemoe_appliance.errors import HostError, MeasureError
from edgemoe_appliance.schema.journal import LOG_NAME
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder
from edgemoe_appliance.schema.streams import Say

# As long as the native launcher waits: two signals may have to reach the engine.
_STOP_GRACE_S: Final = 30
# Asking costs the board little, but it is the board that is being measured.
_ASK_S: Final = 1.0
# A restarted engine answers again within seconds; an upgrade may take a minute or two.
_PATIENCE_S: Final = 180.0
_KILLED: Final = 137  # 128 + SIGKILL


@dataclass(frozen=True, kw_only=True)
class ContainerLauncher:
    """Starts `measure` in a container of an image that has been checked against its lock."""

    engine: DockerEngine
    image: ImageIdentity
    say: Say
    exchange: Exchange | None = None  # None: bind mounts where the engine shares our files
    board: BoardFiles | None = None
    render_nodes: tuple[RenderNode, ...] = ()
    may_emulate: bool = False  # to try an image out; no figure of an emulated processor means much

    def launch(self, plan: Plan, folder: Path) -> ContainerMeasuring:
        """Start measuring a plan, or go on following the container that measures it.

        What lies in the session folder decides nothing: a container may have put it there.

        Raises HostError where the engine cannot, or lacks something that is to be mounted, or has
        another processor than the image is for.
        """
        self._require_own_processor()
        spec = self._specify(plan, folder)
        files = self._file_exchange(plan, folder, spec)
        running = self._take_over(spec, folder, files)
        if running is not None:
            self.say(f"following {spec.name}, which is still measuring")
            return ContainerMeasuring(self.engine, running.container_id, folder, files)
        files.prepare()
        created = start_container(self.engine, spec)
        for warning in created.warnings:
            self.say(f"{self.engine.host}: {warning}")
        return ContainerMeasuring(self.engine, created.container_id, folder, files)

    def _require_own_processor(self) -> None:
        own, built = self.engine.facts.image_architecture, self.image.architecture
        if own != built and not self.may_emulate:
            raise HostError(
                f"the image is for {built}, and this machine would only emulate it "
                f"({self.engine.facts.architecture}): nothing measured so would mean anything",
                where=self.engine.host,
                hint="run it on the board: build --push, there build --pull with the same lock",
            )

    def _chosen_exchange(self) -> Exchange:
        shared = Exchange.BIND if self.engine.shares_files else Exchange.VOLUME
        return self.exchange or shared

    def _specify(self, plan: Plan, folder: Path) -> LaunchSpec:
        exchange = self._chosen_exchange()
        return launch_arguments(
            plan,
            folder,
            image_id=self.image.image_id,
            user=choose_user(exchange, os.geteuid(), os.getegid()),
            exchange=exchange,
            board=self.board,
            render_nodes=self.render_nodes,
        )

    def _file_exchange(self, plan: Plan, folder: Path, spec: LaunchSpec) -> FileExchange:
        if self._chosen_exchange() is Exchange.VOLUME:
            return VolumeExchange(self.engine, plan, folder, spec, self.say)
        return BindExchange(plan, folder, spec.user)

    def _take_over(
        self, spec: LaunchSpec, folder: Path, files: FileExchange
    ) -> ContainerState | None:
        """Return this session's container where it still runs; bring home one that has ended."""
        labels = {name: spec.labels[name] for name in (SESSION_LABEL, FOLDER_LABEL)}
        for state in find_containers(self.engine, labels):
            if not state.is_over and state.status != "created":
                _check_plan(state, spec)
                return state
            if state.is_over:
                self.say(f"{spec.name} has ended meanwhile")
                measuring = ContainerMeasuring(self.engine, state.container_id, folder, files)
                measuring.bring_home(state)
            else:
                remove_container(self.engine, state.container_id)
        return None


def _check_plan(state: ContainerState, spec: LaunchSpec) -> None:
    if state.labels.get(PLAN_LABEL) != spec.labels[PLAN_LABEL]:
        raise HostError(
            f"the container {spec.name} still measures another plan",
            hint="wait for it, or give this one another --session name",
        )


class ContainerMeasuring:
    """A measuring process in a container; when it is over, nothing of it is left there."""

    def __init__(
        self, engine: DockerEngine, container_id: str, folder: Path, files: FileExchange
    ) -> None:
        """Take over a container that has been started."""
        self._engine = engine
        self._container_id = container_id
        self._folder = folder
        self._files = files
        self._exit_code: int | None = None
        self._ask_due_s = 0.0
        self._lost_s: float | None = None

    def poll(self) -> int | None:
        """Return the exit code once the container is over and its results are here, else None.

        An engine that does not answer is waited for: the container may well go on without it.
        """
        if self._exit_code is not None or time.monotonic() < self._ask_due_s:
            return self._exit_code
        self._ask_due_s = time.monotonic() + _ASK_S
        try:
            self._look()
        except HostError as error:
            self._wait_for_engine(error)
        else:
            self._lost_s = None
        return self._exit_code

    def _look(self) -> None:
        state = read_state(self._engine, self._container_id)
        if state is None:
            raise _GoneError("the measuring container was removed by somebody else")
        if state.is_over:
            self.bring_home(state)
        else:
            self._files.refresh(self._container_id)

    def _wait_for_engine(self, error: HostError) -> None:
        now_s = time.monotonic()
        self._lost_s = self._lost_s or now_s
        if isinstance(error, _GoneError) or now_s - self._lost_s > _PATIENCE_S:
            raise error

    def stop(self) -> int:
        """Ask it to close its journal, wait, bring the results here and return the exit code."""
        if self._exit_code is None:
            stop_container(self._engine, self._container_id, _STOP_GRACE_S)
            self._look()
        if self._exit_code is None:
            raise HostError("the measuring container does not end", where=self._engine.host)
        return self._exit_code

    def bring_home(self, state: ContainerState) -> None:
        """Keep the results and the log of a container that is over, then remove it.

        Raises MeasureError where this disk cannot take them; the container is left with them.
        Raises RecordError for what no session holds, after everything else is here.
        """
        log = read_log(self._engine, self._container_id) + describe_end(state)
        try:
            with SessionFolder(host_folder(self._folder), is_made=True) as own:
                own.append(LOG_NAME, log)
            foreign = self._files.collect(self._container_id)
        except OSError as error:
            said = log.decode(errors="replace").strip().rpartition("\n")[2]
            raise MeasureError(
                f"what was measured cannot be kept ({error.strerror}); last said: {said}",
                where=str(self._folder),
                hint="mend that; the same command goes on from there",
            ) from error
        remove_container(self._engine, self._container_id)
        self._files.release()
        self._exit_code = state.exit_code
        if foreign is not None:
            raise foreign


class _GoneError(HostError):
    """The container is not there any more: waiting is of no use."""


def describe_end(state: ContainerState) -> bytes:
    """Return the line that says how a container ended, where its own output cannot."""
    if state.exit_code == _KILLED and state.oom_killed:
        what = "the kernel ended the measuring container for want of memory"
    elif state.exit_code == _KILLED:
        what = "the measuring container was killed"
    elif state.error:
        what = f"the measuring container failed: {state.error}"
    else:
        return b""
    return f"error: {what}\n".encode()

"""Containers on an engine: made as specified, started, asked for their state, removed.

Whatever fails half-way leaves no container behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.launch import LaunchSpec, MountSpec
from edgemoe_appliance.errors import HostError

_HTTP_NOT_FOUND: Final = 404
_HTTP_CONFLICT: Final = 409
# Enough of the measuring process's own output to see why it ended; figures never go there.
_LOG_LINES: Final = 200


@dataclass(frozen=True, kw_only=True)
class CreatedContainer:
    """A container that exists, and what the engine said it would not do."""

    container_id: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """How a container is; `exit_code` is None while it runs or waits to be started."""

    container_id: str
    status: str
    exit_code: int | None
    oom_killed: bool
    error: str
    labels: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        """Return whether its process has ended."""
        return self.status in ("exited", "dead")


@contextlib.contextmanager
def created_container(engine: DockerEngine, spec: LaunchSpec) -> Iterator[CreatedContainer]:
    """Make a container without starting it, and remove it when the context is left."""
    created = create_container(engine, spec)
    try:
        yield created
    finally:
        remove_container(engine, created.container_id)


def start_container(engine: DockerEngine, spec: LaunchSpec) -> CreatedContainer:
    """Make and start a container; where it cannot be started, none is left behind."""
    created = create_container(engine, spec)
    try:
        with engine.errors(f"start the container {spec.name}"):
            engine.api.start(created.container_id)
    except BaseException:
        remove_container(engine, created.container_id)
        raise
    return created


def create_container(engine: DockerEngine, spec: LaunchSpec) -> CreatedContainer:
    """Make a container. Raises HostError that says what the engine or the image lacks."""
    from docker.errors import APIError, ImageNotFound  # noqa: PLC0415

    _check_runtime(engine, spec)
    with engine.errors(f"make the container {spec.name}"):
        try:
            answer = engine.api.create_container(
                spec.image_id,
                list(spec.command),
                name=spec.name,
                user=str(spec.user),
                environment=dict(spec.environment),
                labels=dict(spec.labels),
                entrypoint=None if spec.entrypoint is None else list(spec.entrypoint),
                host_config=_host_config(engine, spec),
                network_disabled=spec.network == "none",
            )
        except ImageNotFound as error:
            raise HostError(
                f"the image {spec.image_id[:19]} is not on this engine",
                where=engine.host,
                hint="make it: edgemoe-appliance build",
            ) from error
        except APIError as error:
            if error.status_code != _HTTP_CONFLICT:
                raise
            raise HostError(
                f"a container {spec.name} is there already",
                where=engine.host,
                hint="another bench measures this session; wait for it",
            ) from error
    return CreatedContainer(
        container_id=str(answer["Id"]),
        warnings=(*(answer.get("Warnings") or ()), *_unkept_limits(engine, spec)),
    )


def _check_runtime(engine: DockerEngine, spec: LaunchSpec) -> None:
    known = engine.facts.runtimes
    if known and spec.runtime not in known:
        raise HostError(
            f"the Docker engine has no runtime {spec.runtime} (it has: {', '.join(known)})",
            where=engine.host,
            hint="install nvidia-container-toolkit and restart the engine"
            if spec.runtime == "nvidia"
            else "",
        )


def _unkept_limits(engine: DockerEngine, spec: LaunchSpec) -> Iterator[str]:
    """Yield the limits that this engine cannot keep; its answer is silent about some."""
    if spec.memory_limit_bytes is not None and not engine.facts.limits_memory:
        yield "the engine cannot limit memory here"
    if spec.memory_limit_bytes is not None and not engine.facts.limits_swap:
        yield "the engine cannot limit swap here: the memory limit does not hold for swap"
    if not engine.facts.limits_pids:
        yield "the engine cannot limit the number of processes here"


def _host_config(engine: DockerEngine, spec: LaunchSpec) -> Any:
    from docker.types import LogConfig, Ulimit  # noqa: PLC0415

    limit = spec.memory_limit_bytes
    return engine.api.create_host_config(
        read_only=spec.read_only_root,
        cap_drop=list(spec.dropped_capabilities),
        security_opt=list(spec.security_options),
        network_mode=spec.network,
        cgroupns=spec.cgroup_namespace,
        init=spec.init,
        ipc_mode="private",
        group_add=list(spec.groups),
        devices=[f"{device}:{device}:rw" for device in spec.devices],
        tmpfs=dict(spec.tmpfs),
        mounts=[_mount(mount) for mount in spec.mounts],
        runtime=spec.runtime,
        mem_limit=limit,
        # Memory and swap together: a limit that swap could exceed would not be one.
        memswap_limit=limit if engine.facts.limits_swap else None,
        pids_limit=spec.pids_limit,
        ulimits=[Ulimit(name="core", soft=spec.core_dump_bytes, hard=spec.core_dump_bytes)],
        log_config=LogConfig(type="json-file", config={"max-size": "8m", "max-file": "1"}),
    )


def _mount(spec: MountSpec) -> Any:
    from docker.types import Mount  # noqa: PLC0415

    return Mount(
        target=str(spec.target), source=spec.source, type=spec.kind, read_only=spec.read_only
    )


def find_containers(engine: DockerEngine, labels: Mapping[str, str]) -> list[ContainerState]:
    """Return the containers, running or not, that carry all the labels."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    with engine.errors("look for containers"):
        found = engine.api.containers(all=True, filters={"label": wanted})
    states = [read_state(engine, str(entry["Id"])) for entry in found]
    return [state for state in states if state is not None]


def read_state(engine: DockerEngine, container_id: str) -> ContainerState | None:
    """Return how a container is, or None where it is gone."""
    from docker.errors import NotFound  # noqa: PLC0415

    with engine.errors("look at the container"):
        try:
            return parse_state(engine.api.inspect_container(container_id))
        except NotFound:
            return None


def parse_state(found: Mapping[str, Any]) -> ContainerState:
    """Return the state out of an engine's description of a container."""
    state = found["State"]
    status = str(state["Status"])
    is_over = status in ("exited", "dead")
    return ContainerState(
        container_id=str(found["Id"]),
        status=status,
        exit_code=int(state["ExitCode"]) if is_over else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        labels=dict((found.get("Config") or {}).get("Labels") or {}),
    )


def read_log(engine: DockerEngine, container_id: str) -> bytes:
    """Return the end of what a container printed."""
    with engine.errors("read the container's log"):
        content: bytes = engine.api.logs(container_id, tail=_LOG_LINES)
    return content


def stop_container(engine: DockerEngine, container_id: str, grace_s: int) -> None:
    """Ask a container's process to end and kill it after a while. One that is gone is fine."""
    from docker.errors import NotFound  # noqa: PLC0415

    with engine.errors("stop the container"), contextlib.suppress(NotFound):
        engine.api.stop(container_id, timeout=grace_s)


def remove_container(engine: DockerEngine, container_id: str) -> None:
    """Remove a container and its own volumes, ending it where it runs. One that is gone is fine."""
    from docker.errors import APIError  # noqa: PLC0415

    with engine.errors("remove the container"):
        try:
            engine.api.remove_container(container_id, force=True, v=True)
        except APIError as error:
            # Conflict: somebody else is removing it at this moment.
            if error.status_code not in (_HTTP_NOT_FOUND, _HTTP_CONFLICT):
                raise

"""The connection to a Docker engine, and the one place where its errors become ours.

The SDK raises errors of three families, most of which do not derive from its own; what went wrong
is in the chain of causes only. Nothing is built or launched here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from edgemoe_appliance.errors import ConfigError, HostError

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
# Creating a container from a large image can take most of a minute on a board's SD card.
_TIMEOUT_S: Final = 120
# The kernel's names of processors, which /info answers, to those of images.
_IMAGE_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageStore(str, Enum):
    """Where an engine keeps images; it decides what an image id is the digest of."""

    CONFIG_ADDRESSED = "config"  # graph drivers (overlay2): id = sha256 of the config
    MANIFEST_ADDRESSED = "manifest"  # containerd: id = sha256 of the manifest or index


@dataclass(frozen=True, kw_only=True)
class DockerFacts:
    """What an engine says about itself; None where it does not."""

    version: str
    api_version: str
    operating_system: str
    kernel: str
    architecture: str
    image_store: ImageStore
    cgroup_version: int | None
    runtimes: tuple[str, ...]
    limits_memory: bool
    limits_swap: bool
    limits_pids: bool
    maps_users: bool  # rootless or user-namespace remapping: user ids inside are others outside
    cores: int
    memory_bytes: int
    warnings: tuple[str, ...]

    @property
    def image_architecture(self) -> str:
        """Return the processor of the engine's machine as images name it (Go's GOARCH)."""
        return _IMAGE_ARCHITECTURES.get(self.architecture, self.architecture)


@dataclass(frozen=True, kw_only=True)
class DockerEngine:
    """An open connection: the SDK's client, the address it talks to, and what answers there."""

    client: DockerClient
    host: str
    facts: DockerFacts

    @property
    def api(self) -> Any:
        """Return the low-level client; its type stubs are incomplete, so answers are untyped."""
        return self.client.api

    @property
    def shares_files(self) -> bool:
        """Return whether a folder of this machine can be given to a container as it is."""
        return self.host.startswith("unix://") and not self.facts.maps_users

    def errors(self, doing: str) -> AbstractContextManager[None]:
        """Return a context in which the SDK's errors become HostError."""
        return engine_errors(doing, self.host)


def chosen_host(docker_host: str | None) -> str:
    """Return the address of the engine: the given one, else DOCKER_HOST, else the usual socket."""
    return docker_host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST


@contextlib.contextmanager
def open_engine(
    docker_host: str | None = None, *, timeout_s: float = _TIMEOUT_S
) -> Iterator[DockerEngine]:
    """Connect to an engine for as long as the context is open.

    Raises HostError that says why none answers and what to do, ConfigError for a wrong address.
    """
    import docker  # noqa: PLC0415 (a quarter of a second, needed for containers only)

    host = chosen_host(docker_host)
    _check_host(host)
    with engine_errors("connect", host):
        client = docker.DockerClient(
            base_url=host,
            timeout=round(timeout_s),
            use_ssh_client=host.startswith("ssh://"),
        )
    try:
        yield DockerEngine(client=client, host=host, facts=read_engine_facts(client, host))
    finally:
        client.close()


def _check_host(host: str) -> None:
    schemes = ("unix://", "ssh://", "tcp://", "http://", "https://")
    if not host.startswith(schemes):
        raise ConfigError(
            f"{host!r} is not the address of an engine",
            hint=f"it begins with one of {', '.join(schemes)}",
        )
    try:
        _ = urlsplit(host).port
    except ValueError as error:
        raise ConfigError(
            f"{host!r} is not the address of an engine ({error})", hint="as tcp://board:2375"
        ) from error


@contextlib.contextmanager
def engine_errors(doing: str, host: str) -> Iterator[None]:
    """Turn every error of the SDK and of what it stands on into a HostError with its cause."""
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    try:
        yield
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    ) as error:
        raise describe_failure(error, doing, host) from error


def describe_failure(error: BaseException, doing: str, host: str) -> HostError:
    """Return the HostError for a failure: what was being done, why it failed, what to do."""
    explanation = getattr(error, "explanation", None)
    if explanation:
        return HostError(f"the Docker engine refused to {doing}: {explanation}", where=host)
    for cause in _causes(error):
        for kind, (what, hint) in _KNOWN_CAUSES.items():
            if isinstance(cause, kind):
                return HostError(f"cannot {doing}: {what}", where=host, hint=hint)
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    hint = "pip install 'docker[ssh]'" if "paramiko" in text else ""
    return HostError(f"cannot {doing}: {text}", where=host, hint=hint)


# In this order: some of the classes derive from others.
_KNOWN_CAUSES: Final[Mapping[type[BaseException], tuple[str, str]]] = {
    FileNotFoundError: (
        "no Docker engine is running there (no such socket)",
        "start it (`sudo systemctl start docker`) or name another with --docker-host",
    ),
    PermissionError: (
        "no permission to talk to the Docker engine",
        "add this user to the group docker and log in again, or use sudo",
    ),
    ConnectionRefusedError: (
        "the Docker engine's socket is there, but nothing answers on it",
        "start the engine again (`sudo systemctl restart docker`)",
    ),
    BrokenPipeError: (
        "the Docker engine went away, or the ssh connection to it failed",
        "check `ssh` to the board and that its engine is running; the same command goes on",
    ),
    ConnectionResetError: (
        "the Docker engine went away in the middle of it",
        "wait until it is back; the same command goes on",
    ),
    TimeoutError: (
        "the Docker engine does not answer in time",
        "look at its log (`journalctl -u docker`) and restart it",
    ),
    ConnectionError: (
        "the Docker engine closed the connection",
        "wait until it is back; the same command goes on",
    ),
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything it was raised from, each once."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending += [current.__cause__, current.__context__]
        pending += [value for value in current.args if isinstance(value, BaseException)]


def read_engine_facts(client: DockerClient, host: str) -> DockerFacts:
    """Ask an engine about itself."""
    with engine_errors("ask the engine about itself", host):
        info: Mapping[str, Any] = client.api.info()
        version: Mapping[str, Any] = client.api.version()
    return parse_engine_facts(info, version)


def parse_engine_facts(info: Mapping[str, Any], version: Mapping[str, Any]) -> DockerFacts:
    """Return the facts out of an engine's answers to /info and /version."""
    options = " ".join(info.get("SecurityOptions") or ())
    cgroup_version = str(info.get("CgroupVersion", ""))
    return DockerFacts(
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        operating_system=str(info.get("OperatingSystem", "")),
        kernel=str(info.get("KernelVersion", "")),
        architecture=str(info.get("Architecture", "")),
        image_store=_parse_image_store(info),
        cgroup_version=int(cgroup_version) if cgroup_version.isdigit() else None,
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        limits_memory=bool(info.get("MemoryLimit")),
        limits_swap=bool(info.get("SwapLimit")),
        limits_pids=bool(info.get("PidsLimit")),
        maps_users="name=rootless" in options or "name=userns" in options,
        cores=int(info.get("NCPU") or 1),
        memory_bytes=int(info.get("MemTotal") or 0),
        warnings=tuple(info.get("Warnings") or ()),
    )


def _parse_image_store(info: Mapping[str, Any]) -> ImageStore:
    for name, value in info.get("DriverStatus") or ():
        if name == "driver-type" and str(value).startswith("io.containerd.snapshotter"):
            return ImageStore.MANIFEST_ADDRESSED
    return ImageStore.CONFIG_ADDRESSED

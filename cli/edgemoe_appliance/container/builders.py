"""The two ways an engine builds an image: its own classic builder, and BuildKit through a client.

The SDK speaks to the classic one only. Both get the same files and arguments.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.context import ContextEntry, write_context, write_folder
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.streams import Say

# What an engine from 28 on says where the kernel has no raw table of iptables (JetPack 6).
_NO_BRIDGE: Final = re.compile(
    r"table .?raw|iptables.*\braw\b|DIRECT ACCESS FILTERING", re.IGNORECASE
)
_ANSWER_S: Final = 30
# The engine's own builder, not one in a container of its own, which would not see local images;
# and no attestations, which would give every build another digest.
_BUILDKIT_ENVIRONMENT: Final = {
    "DOCKER_BUILDKIT": "1",
    "BUILDX_BUILDER": "default",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}


class Builder(str, Enum):
    """Which of the engine's builders makes the image."""

    AUTO = "auto"  # BuildKit where a client offers it, else the classic one
    BUILDKIT = "buildkit"
    CLASSIC = "classic"


@dataclass(frozen=True, kw_only=True)
class BuildJob:
    """What a builder is given."""

    entries: list[ContextEntry]
    tag: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    anew: bool = False  # no step is taken from the builder's cache
    network: str | None = None  # of the steps; None: the engine's bridge
    architecture: str | None = None  # as GOARCH; None: that of the machine

    @property
    def platform(self) -> str | None:
        """Return the platform of the image as builders name it, where it has to be named."""
        return f"linux/{self.architecture}" if self.architecture else None


def run_builder(
    engine: DockerEngine, builder: Builder, job: BuildJob, say: Say, on_output: Say
) -> str:
    """Build an image and return who built it; `on_output` gets every line.

    Raises HostError where it fails.
    """
    client = None if builder is Builder.CLASSIC else find_buildkit_client()
    if client is not None:
        say(f"building with BuildKit through {client}")
        _build_with_buildkit(engine, client, job, on_output)
        return f"BuildKit, {_output([client, '--version']).strip()}"
    if builder is Builder.BUILDKIT:
        raise HostError(
            "no docker client with BuildKit on PATH",
            hint="install docker-buildx, or build with the classic builder",
        )
    say("building with the engine's classic builder")
    _build_classic(engine, job, on_output)
    return "classic"


def _build_classic(engine: DockerEngine, job: BuildJob, on_output: Say) -> None:
    with tempfile.TemporaryFile() as context, engine.errors(f"build {job.tag}"):
        write_context(job.entries, context)
        context.seek(0)
        stream = engine.api.build(
            fileobj=context,
            custom_context=True,
            tag=job.tag,
            buildargs=dict(job.arguments),
            labels=dict(job.labels),
            nocache=job.anew,
            network_mode=job.network,
            platform=job.platform,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for entry in stream:
            for line in str(entry.get("stream", "")).splitlines():
                on_output(line)
            if "error" in entry:
                raise build_error(engine, job, str(entry["error"]))


def _build_with_buildkit(engine: DockerEngine, client: str, job: BuildJob, on_output: Say) -> None:
    """Build from a folder: clients cannot send a tar to every engine newer than themselves."""
    command = [client, "build", "--progress=plain", "--tag", job.tag]
    command += ["--no-cache"] if job.anew else []
    command += ["--network", job.network] if job.network else []
    command += ["--platform", job.platform] if job.platform else []
    for name, value in job.arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in job.labels.items():
        command += ["--label", f"{name}={value}"]
    with scratch_folder("edgemoe-build-") as folder:
        write_folder(job.entries, folder)
        exit_code, last = _run(
            [*command, str(folder)],
            {**_BUILDKIT_ENVIRONMENT, "DOCKER_HOST": engine.host},
            on_output,
        )
    if exit_code != 0:
        raise build_error(engine, job, last)


def build_error(engine: DockerEngine, job: BuildJob, said: str) -> HostError:
    """Return the error of a build; where the bridge cannot be made, what to do without it."""
    what = f"cannot build {job.tag}: {said}"
    if _NO_BRIDGE.search(said) and job.network is None:
        hint = (
            "this kernel lacks what the engine's bridge needs: build with --build-network host, "
            "so that the build's steps use the machine's own network"
        )
        return HostError(what, where=engine.host, hint=hint)
    return HostError(what, where=engine.host)


def _run(command: list[str], variables: Mapping[str, str], on_output: Say) -> tuple[int, str]:
    """Run a client and return its exit code and the last line that says something."""
    last = ""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **variables},
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            on_output(line.rstrip("\n"))
    return process.returncode, last


def find_buildkit_client(path: str | None = None) -> str | None:
    """Return a docker client on PATH that can use BuildKit, or None.

    Before 23.0 it is built in; since then the client needs its buildx plugin.
    """
    for folder in (path or os.environ.get("PATH", "")).split(os.pathsep):
        client = shutil.which("docker", path=folder)
        if client is not None and _has_buildkit(client):
            return client
    return None


def _has_buildkit(client: str) -> bool:
    major = re.search(r"version (\d+)\.", _output([client, "--version"]))
    if major is not None and int(major[1]) < 23:
        return True
    return bool(_output([client, "buildx", "version"]))


def _output(command: list[str]) -> str:
    """Return what a short command prints, or nothing where it fails."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""

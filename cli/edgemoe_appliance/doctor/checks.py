"""Which checks a target gets, in the order in which they are shown."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.doctor import ascend, host, jetson, mac, nvidia, vulkan
from edgemoe_appliance.doctor.docker import check_docker
from edgemoe_appliance.doctor.sources import check_sources
from edgemoe_appliance.schema.configs import Backend, Target
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.l4t import parse_release


@dataclass(frozen=True, kw_only=True)
class DockerCheck:
    """That a Docker engine is to be asked, and at which address (None: the usual one)."""

    host: str | None

    @property
    def is_elsewhere(self) -> bool:
        """Return whether the engine is on another machine, by its address."""
        return self.host is not None and not self.host.startswith("unix://")


def why_not_target(
    target: Target, root: Path = Path("/"), system: str = sys.platform
) -> str | None:
    """Return why this host cannot be a target, from what costs nothing to look at, else None."""
    if target.is_jetson:
        line = host.read_line(root / "etc/nv_tegra_release")
        return None if parse_release(line or "") else "it is no Jetson"
    if target.backend is Backend.METAL:
        return None if system == "darwin" else "it is no Mac"
    if target.backend is Backend.CUDA and shutil.which("nvidia-smi") is None:
        return "it has no NVIDIA driver (nvidia-smi is not there)"
    return None


def check_target(
    target: Target,
    *,
    folder: Path,
    model_bytes: tuple[int, ...],
    docker: DockerCheck | None = None,
    root: Path = Path("/"),
) -> Iterator[Finding]:
    """Check a host for a target.

    `folder` is where models and builds will lie, `model_bytes` the sizes of the model files.
    """
    yield from host.check_tools()
    yield from host.check_disk(folder, sum(model_bytes))
    yield from host.check_memory(max(model_bytes, default=0))
    yield from host.check_swap(root)
    yield from host.check_governor(root)
    yield from host.check_virtual(root)
    yield from host.check_cgroup(root)
    yield from host.check_environment(os.environ)
    if docker is not None and docker.is_elsewhere:
        yield Finding(
            check="sources",
            level=Level.UNKNOWN,
            seen=f"those of the machine behind {docker.host} are read there",
            hint="run doctor on that machine",
        )
    else:
        yield from check_sources(target, root, is_container=docker is not None)
    if target.is_jetson:
        yield from jetson.check_jetson(root)
    elif target.backend is Backend.CUDA:
        yield from nvidia.check_nvidia()
    elif target.backend is Backend.METAL:
        yield from mac.check_mac(Path(os.environ.get("EDGEMOE_CACHE") or folder))
    elif target.backend is Backend.VULKAN and not (docker is not None and docker.is_elsewhere):
        yield from vulkan.check_vulkan(root, in_container=docker is not None)
    elif target.backend is Backend.CANN:
        yield from ascend.check_ascend(os.environ)
    if docker is not None and target.container is None:
        yield Finding(
            check="container",
            level=Level.FAIL,
            seen="this target cannot be measured in a container",
            hint="use --runtime native",
        )
    elif docker is not None:
        yield from check_docker(target, docker.host)
    yield from host.check_other_load()

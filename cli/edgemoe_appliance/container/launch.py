"""What a measurement container may see and do: a pure function of plan, folder and user.

Least privilege, and each thing that is let in says what it is for. Nothing here talks to an
engine; `containers` does what the specification says.

Without a mount, because every engine gives them to every container read-only: its own cgroup
below /sys/fs/cgroup, /proc of the host's counters, and /sys with the thermal zones, the INA3221
(/sys/bus/i2c/drivers/ina3221) and the GPU load.
Hidden by every engine (moby, `DefaultSpec`): /sys/firmware, of which the board's model is shown by
a mount; /sys/devices/virtual/powercap since 2023, which costs RAPL and so the energy of a PC; the
folders thermal_throttle of x86 cores since 28.0.2, which costs their throttling. Both are then
absent with that reason, and neither is asked back: an unprivileged reader of power is a side
channel. `doctor --runtime container` tells it before; a native run sees them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import Assessment, ContainerProfile, PowerSource
from edgemoe_appliance.schema.hardware import (
    DEVICE_TREE_MODEL,
    POWER_MODE_FILE,
    POWER_MODES_FILE,
)
from edgemoe_appliance.schema.journal import PLAN_INSIDE_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import (
    EngineBuild,
    Plan,
    PlannedModel,
    ProbeFacts,
)
from edgemoe_appliance.schema.resources import CACHE, MODELS
from edgemoe_appliance.schema.sessionfolder import host_folder

SESSION_FOLDER: Final = PurePosixPath("/session")
MODELS_FOLDER: Final = PurePosixPath("/models")
ENGINES_FOLDER: Final = PurePosixPath("/opt/edgemoe/engine")
PLAN_FOLDER: Final = PurePosixPath("/plan")
BASES_FOLDER: Final = PurePosixPath("/bases")
# What records of a container name in place of its paths.
_ROOTS: Final = {CACHE: ENGINES_FOLDER, MODELS: MODELS_FOLDER}

SESSION_LABEL: Final = "edgemoe-appliance.session"
FOLDER_LABEL: Final = "edgemoe-appliance.folder"
PLAN_LABEL: Final = "edgemoe-appliance.plan"

# The user of the image; nobody on any machine. Used where the caller is root, and in volumes.
IMAGE_USER: Final = 10001
_TMP_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class User:
    """The user and group that a container runs as, as numbers."""

    uid: int
    gid: int

    def __str__(self) -> str:
        """Return it as Docker writes it."""
        return f"{self.uid}:{self.gid}"


class Exchange(str, Enum):
    """How files get in and out."""

    BIND = "bind"  # folders of this machine
    VOLUME = "volume"  # the engine's own, for engines that do not share our files


@dataclass(frozen=True, kw_only=True)
class MountSpec:
    """One thing from outside that is seen inside, and what it is for.

    A volume without a source is the container's own and goes with it.
    """

    kind: Literal["bind", "volume"]
    source: str | None
    target: PurePosixPath
    read_only: bool
    purpose: str


@dataclass(frozen=True, kw_only=True)
class BoardFiles:
    """Files of a Jetson that tell its power and identity, as paths on the engine's machine."""

    tegrastats: str = "/usr/bin/tegrastats"
    release: str = "/etc/nv_tegra_release"
    # Behind /proc/device-tree/model; /sys/firmware is hidden from containers.
    device_tree_model: str = "/sys/firmware/devicetree/base/model"
    # Shown where they are known to be there: a missing source would keep a container from starting.
    power_mode: str | None = None
    power_modes: str | None = None


# Where the kernel shows the GPUs that it has a driver for, from the root on.
RENDER_NODES: Final = "dev/dri/renderD*"


@dataclass(frozen=True, kw_only=True)
class RenderNode:
    """A device node of a GPU on the engine's machine, and the number of the group it is for."""

    path: str
    gid: int


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """A measurement container before it is made. What stands here as a default never varies."""

    name: str
    image_id: str
    command: tuple[str, ...]
    user: User
    groups: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: tuple[MountSpec, ...]
    runtime: str
    memory_limit_bytes: int | None
    pids_limit: int
    devices: tuple[str, ...] = ()
    read_only_root: bool = True
    dropped_capabilities: tuple[str, ...] = ("ALL",)
    security_options: tuple[str, ...] = ("no-new-privileges:true",)
    network: str = "none"
    # Its own view of the cgroup tree: the path of the cgroup is the same on every host.
    cgroup_namespace: str = "private"
    # A first process that passes signals on and reaps what a crashed engine leaves behind.
    init: bool = True
    # A crashing engine must not write its gigabytes of memory to disk.
    core_dump_bytes: int = 0
    # In place of the image's own, where another program of it is run.
    entrypoint: tuple[str, ...] | None = None
    tmpfs: Mapping[str, str] = field(
        default_factory=lambda: {"/tmp": f"rw,nosuid,nodev,noexec,size={_TMP_BYTES}"}  # noqa: S108
    )


def choose_user(exchange: Exchange, uid: int, gid: int) -> User:
    """Return the user for a container: the caller, so that results are theirs, but never root.

    Volumes belong to the image's own user, as user ids of this machine mean nothing there.
    """
    if exchange is Exchange.VOLUME or uid == 0:
        return User(uid=IMAGE_USER, gid=IMAGE_USER)
    return User(uid=uid, gid=gid)


def container_name(session: str, folder: Path) -> str:
    """Return the name of a session's container: one at a time for each folder."""
    key = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]
    return f"edgemoe-{session}-{key}"


def containerised_plan(plan: Plan) -> Plan:
    """Return a plan whose engines and models lie where the container has them.

    Its digest is the same: paths do not count.
    """
    return plan.model_copy(
        update={
            "engines": {pin: engine_inside(build) for pin, build in plan.engines.items()},
            "models": {
                model_id: model.model_copy(update={"path": str(model_path(model))})
                for model_id, model in plan.models.items()
            },
        }
    )


def engine_inside(build: EngineBuild) -> EngineBuild:
    """Return a build, and its routing probe where it has one, with the paths in the image."""
    probe = build.probe
    if probe is not None:
        probe = probe.model_copy(update={"path": str(probe_path(build.pin, probe))})
    return build.model_copy(update={"binary": str(engine_path(build)), "probe": probe})


def engine_path(build: EngineBuild) -> PurePosixPath:
    """Return where the program of a build lies inside."""
    return ENGINES_FOLDER / build.pin / "bin" / build.program


def probe_path(pin: str, probe: ProbeFacts) -> PurePosixPath:
    """Return where the routing probe of a pin lies inside."""
    return ENGINES_FOLDER / pin / "probe" / PurePosixPath(probe.path).name


def model_path(model: PlannedModel) -> PurePosixPath:
    """Return where a model lies inside: a folder for each, as two may have the same file name."""
    return MODELS_FOLDER / model.id / model.file_name


def model_volume(model: PlannedModel) -> str:
    """Return the name of the volume that holds a model on an engine that does not share files."""
    return f"edgemoe-model-{model.sha256[:16]}"


def launch_arguments(
    plan: Plan,
    folder: Path,
    *,
    image_id: str,
    user: User,
    exchange: Exchange,
    board: BoardFiles | None = None,
    render_nodes: Sequence[RenderNode] = (),
) -> LaunchSpec:
    """Return how the measuring process of a session is launched.

    `folder` is the session's folder on this machine; `board` moves the files of a board (tests);
    `render_nodes` are let in, for the groups that they belong to.
    Raises ConfigError where the target has no container.
    """
    profile = container_profile(plan)
    name = container_name(plan.session, folder)
    mounts = [
        _session_mount(folder, name, exchange),
        _plan_mount(folder, name, exchange),
        *_model_mounts(plan, exchange),
    ]
    keeps_bases = any(run.assesses is Assessment.DIVERGENCE for run in plan.runs)
    if keeps_bases:
        mounts.append(_bases_mount())
    if PowerSource.TEGRASTATS in plan.target.power_sources:
        mounts += _board_mounts(board or BoardFiles())
    is_nvidia = profile.runtime == "nvidia"
    return LaunchSpec(
        name=name,
        image_id=image_id,
        command=(
            "--plan",
            str(PLAN_FOLDER / PLAN_NAME),
            "--out",
            str(SESSION_FOLDER),
            *(("--bases", str(BASES_FOLDER)) if keeps_bases else ()),
            *(f"--root={name}={folder}" for name, folder in _ROOTS.items()),
        ),
        user=user,
        # The device nodes of a Jetson's GPU are for the group video only.
        groups=(
            *(("video",) if is_nvidia else ()),
            *dict.fromkeys(str(node.gid) for node in render_nodes),
        ),
        environment={"HOME": "/tmp", **(_NVIDIA_ENVIRONMENT if is_nvidia else {})},  # noqa: S108
        labels={
            SESSION_LABEL: plan.session,
            FOLDER_LABEL: str(folder.absolute()),
            PLAN_LABEL: plan.digest,
        },
        mounts=tuple(mounts),
        runtime=profile.runtime,
        devices=tuple(node.path for node in render_nodes),
        memory_limit_bytes=profile.memory_limit_bytes,
        pids_limit=profile.pids_limit,
    )


# Driver libraries to compute with; no display, no video.
_NVIDIA_ENVIRONMENT: Final = {
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
}


def container_profile(plan: Plan) -> ContainerProfile:
    """Return how the container of a plan's target is made. Raises ConfigError without one."""
    if plan.target.container is None:
        raise ConfigError(f"target {plan.target_id} has no container", hint="use --runtime native")
    return plan.target.container


def _session_mount(folder: Path, name: str, exchange: Exchange) -> MountSpec:
    return MountSpec(
        kind=exchange.value,
        source=str(folder.absolute()) if exchange is Exchange.BIND else name,
        target=SESSION_FOLDER,
        read_only=False,
        purpose="journal and samples: all that is kept of what is written inside",
    )


def _plan_mount(folder: Path, name: str, exchange: Exchange) -> MountSpec:
    """Return the mount of the plan: one file out of a folder that itself is never mounted."""
    is_bind = exchange is Exchange.BIND
    return MountSpec(
        kind=exchange.value,
        source=str(host_folder(folder) / PLAN_INSIDE_NAME) if is_bind else f"{name}-plan",
        target=PLAN_FOLDER / PLAN_NAME if is_bind else PLAN_FOLDER,
        read_only=True,
        purpose="what is to be measured",
    )


def _bases_mount() -> MountSpec:
    """Return the mount of what answers are held against; never memory, which is measured."""
    return MountSpec(
        kind="volume",
        source=None,
        target=BASES_FOLDER,
        read_only=False,
        purpose="probabilities of the 16-bit model: hundreds of megabytes that nobody keeps",
    )


def _model_mounts(plan: Plan, exchange: Exchange) -> list[MountSpec]:
    """Return a mount for each model: the one file, not the folder it lies in."""
    is_bind = exchange is Exchange.BIND
    return [
        MountSpec(
            kind=exchange.value,
            source=model.path if is_bind else model_volume(model),
            target=model_path(model) if is_bind else model_path(model).parent,
            read_only=True,
            purpose=f"weights of {model.id}",
        )
        for model in plan.models.values()
    ]


def _board_mounts(board: BoardFiles) -> list[MountSpec]:
    return [
        _board_mount(
            board.tegrastats,
            PurePosixPath("/usr/bin/tegrastats"),
            "power, load and heat as the board's own tool prints them, to check the INA3221",
        ),
        _board_mount(
            board.release,
            PurePosixPath("/etc/nv_tegra_release"),
            "which L4T release the figures belong to",
        ),
        _board_mount(
            board.device_tree_model,
            PurePosixPath(DEVICE_TREE_MODEL),
            "which board the figures belong to",
        ),
        *(
            _board_mount(source, PurePosixPath(target), "the power mode of the figures, by name")
            for source, target in (
                (board.power_mode, POWER_MODE_FILE),
                (board.power_modes, POWER_MODES_FILE),
            )
            if source is not None
        ),
    ]


def _board_mount(source: str, target: PurePosixPath, purpose: str) -> MountSpec:
    return MountSpec(kind="bind", source=source, target=target, read_only=True, purpose=purpose)

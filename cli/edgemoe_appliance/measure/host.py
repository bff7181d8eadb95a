"""Facts about the machine that a session is measured on."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from edgemoe_appliance.schema.records import HostFacts

_TOOL_S = 10


def read_host_facts(
    removed_variables: Sequence[str],
    kept_variables: Mapping[str, str],
    root: Path = Path("/"),
) -> HostFacts:
    """Read the facts; what this system does not tell is None. The host's name is only digested."""
    return HostFacts(
        system=platform.system(),
        release=platform.release(),
        machine=platform.machine(),
        hostname_sha256=hashlib.sha256(platform.node().encode()).hexdigest(),
        cpu_model=_cpu_model(root),
        cores_physical=psutil.cpu_count(logical=False),
        cores_logical=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        swap_bytes=psutil.swap_memory().total,
        python=platform.python_version(),
        boot_id=_first_line(root / "proc/sys/kernel/random/boot_id"),
        governor=_first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        cgroup=_first_line(root / "proc/self/cgroup"),
        in_container=(root / ".dockerenv").exists() or (root / "run/.containerenv").exists(),
        environment_removed=tuple(removed_variables),
        environment_kept=dict(kept_variables),
    )


def _cpu_model(root: Path) -> str | None:
    """Return the processor's name as the kernel prints it, x86 and Arm spelling."""
    try:
        text = (root / "proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return _mac_chip() or platform.processor() or None
    names = [
        line.partition(":")[2].strip()
        for line in text.splitlines()
        if line.partition(":")[0].strip() in ("model name", "Model", "Processor")
    ]
    return names[0] if names else None


def _mac_chip() -> str | None:
    """Return what a Mac calls its chip, "Apple M2 Pro"; None on other systems."""
    if platform.system() != "Darwin":
        return None
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            timeout=_TOOL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() or None


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").split("\n", 1)[0].strip() or None
    except OSError:
        return None


def usable_cores() -> int:
    """Return the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Memory of the process's own cgroup, versions 1 and 2: what a container is charged for.

Page cache is charged to the cgroup that touches it first, and may have been charged elsewhere
before: anonymous, file and kernel memory are kept apart and never added up here. Says why where
there is nothing to read; writes nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path, PurePosixPath

from edgemoe_appliance.measure.procfs import ProcFile, Unparsed


class CgroupVersion(int, Enum):
    """The two interfaces of the kernel."""

    V1 = 1
    V2 = 2


@dataclass(frozen=True, kw_only=True)
class Cgroup:
    """The folder with the memory files of the cgroup this process is in."""

    version: CgroupVersion
    folder: Path


@dataclass(frozen=True, kw_only=True)
class NoCgroup:
    """Why there is no cgroup to read."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class CgroupMemory:
    """What the cgroup holds at one moment; None where the kernel does not tell.

    `file_bytes` is page cache and includes `shmem_bytes`; only the rest of it is reclaimable.
    """

    current_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    shmem_bytes: int | None
    kernel_bytes: int | None
    swap_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CgroupCounters:
    """What the kernel counts since the cgroup was made; None where it does not.

    `peak_bytes` holds page cache too. `limit_bytes` is None without a limit.
    """

    peak_bytes: int | None
    oom_kills: int | None
    limit_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CgroupPeak:
    """The highest charge during a run; a sampled one can have missed a higher moment."""

    peak_bytes: int
    is_kernels: bool


@dataclass(frozen=True, kw_only=True)
class _Files:
    """The file names of one version; `beside` is what its memory.stat leaves out."""

    current: str
    beside: str
    peak: str
    events: str
    limit: str


_FILES = {
    CgroupVersion.V1: _Files(
        current="memory.usage_in_bytes",
        beside="memory.kmem.usage_in_bytes",
        peak="memory.max_usage_in_bytes",
        events="memory.oom_control",
        limit="memory.limit_in_bytes",
    ),
    CgroupVersion.V2: _Files(
        current="memory.current",
        beside="memory.swap.current",
        peak="memory.peak",
        events="memory.events",
        limit="memory.max",
    ),
}
# Version 1 prints the largest page-aligned long for "no limit". Source: page_counter.h.
_V1_NO_LIMIT = 2**62
# What Linux 5.18 sums up as `kernel`; older ones print the parts. Source: cgroup-v2.rst.
_V2_KERNEL_PARTS = ("kernel_stack", "pagetables", "percpu", "slab")


def locate_cgroup(root: Path = Path("/")) -> Cgroup | NoCgroup:
    """Find the memory cgroup of this process.

    Maps the path that the kernel names to a mount, so that it works on a host and in a container
    with or without a cgroup namespace. Source: cgroups(7), proc_pid_mountinfo(5).
    """
    try:
        membership = (root / "proc/self/cgroup").read_text()
        mounts = (root / "proc/self/mountinfo").read_text()
    except OSError as error:
        return NoCgroup(reason=f"{error.filename}: {error.strerror}")
    found = parse_membership(membership)
    if found is None:
        return NoCgroup(reason="the kernel names no memory cgroup for this process")
    version, path = found
    inside = parse_mounted_folder(mounts, version, path)
    if inside is None:
        return NoCgroup(reason=f"cgroup {path} (version {version.value}) is not mounted here")
    folder = root / inside.relative_to("/")
    return _checked(Cgroup(version=version, folder=folder))


def _checked(cgroup: Cgroup) -> Cgroup | NoCgroup:
    current = cgroup.folder / _FILES[cgroup.version].current
    # Only a root cgroup has a release_agent; its figures are those of the whole machine.
    if (cgroup.folder / "release_agent").exists():
        return NoCgroup(reason="this process is in the root cgroup: its memory is the machine's")
    if not os.access(current, os.R_OK):
        return NoCgroup(reason=f"{current} cannot be read: no memory controller here")
    return cgroup


def parse_membership(content: str) -> tuple[CgroupVersion, PurePosixPath] | None:
    """Parse /proc/self/cgroup; version 1 comes first because memory is in one version only."""
    unified = None
    for line in content.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            return CgroupVersion.V1, PurePosixPath(path)
        if line.startswith("0::"):
            unified = CgroupVersion.V2, PurePosixPath(path)
    return unified


def parse_mounted_folder(
    mountinfo: str, version: CgroupVersion, path: PurePosixPath
) -> PurePosixPath | None:
    """Return where a cgroup's folder is mounted according to mountinfo, or None."""
    for line in mountinfo.splitlines():
        words = line.split()
        if "-" not in words or len(words) < 5:
            continue
        kind, *rest = words[words.index("-") + 1 :]
        mount_root, mount_point = (PurePosixPath(_unescape(word)) for word in words[3:5])
        is_memory = (
            kind == "cgroup2"
            if version is CgroupVersion.V2
            else kind == "cgroup" and "memory" in rest[-1].split(",")
        )
        if is_memory and path.is_relative_to(mount_root):
            return mount_point / path.relative_to(mount_root)
    return None


def _unescape(word: str) -> str:
    """Undo the octal escapes of mountinfo (a backslash and three digits)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


class CgroupReader:
    """Reads one cgroup again and again; its files stay open."""

    def __init__(self, cgroup: Cgroup) -> None:
        """Open what is there. Raises OSError where the cgroup has gone."""
        names = _FILES[cgroup.version]
        self._cgroup = cgroup
        self._names = names
        self._current = ProcFile(cgroup.folder / names.current)
        self._stat = ProcFile(cgroup.folder / "memory.stat")
        self._beside: ProcFile | None = None
        if (cgroup.folder / names.beside).exists():
            self._beside = ProcFile(cgroup.folder / names.beside)

    def take(self) -> Unparsed[CgroupMemory]:
        """Read what is charged now; what is returned gives it."""
        parse = parse_v1_memory if self._cgroup.version is CgroupVersion.V1 else parse_v2_memory
        beside = self._beside.read() if self._beside is not None else b""
        return partial(parse, self._current.read(), self._stat.read(), beside)

    def read(self) -> CgroupMemory:
        """Return what is charged now."""
        return self.take()()

    def read_counters(self) -> CgroupCounters:
        """Return the kernel's counters since the cgroup was made."""
        limit = _number(self._content(self._names.limit))
        return CgroupCounters(
            peak_bytes=_number(self._content(self._names.peak)),
            oom_kills=_fields(self._content(self._names.events)).get("oom_kill"),
            limit_bytes=None if limit is None or limit >= _V1_NO_LIMIT else limit,
        )

    def close(self) -> None:
        """Close the files."""
        for file in (self._current, self._stat, self._beside):
            if file is not None:
                file.close()

    def _content(self, name: str) -> bytes:
        try:
            return (self._cgroup.folder / name).read_bytes()
        except OSError:
            return b""


def parse_v1_memory(current: bytes, stat: bytes, kernel: bytes) -> CgroupMemory:
    """Parse version 1; the `total_` lines include child cgroups. Source: memory.txt.

    `rss` there is anonymous memory only, and `swap` is missing where swap is not accounted.
    """
    fields = _fields(stat)
    return CgroupMemory(
        current_bytes=_number(current),
        anon_bytes=fields.get("total_rss"),
        file_bytes=fields.get("total_cache"),
        shmem_bytes=fields.get("total_shmem"),
        kernel_bytes=_number(kernel),
        swap_bytes=fields.get("total_swap"),
    )


def parse_v2_memory(current: bytes, stat: bytes, swap: bytes) -> CgroupMemory:
    """Parse version 2. Source: cgroup-v2.rst."""
    fields = _fields(stat)
    parts = [fields[name] for name in _V2_KERNEL_PARTS if name in fields]
    return CgroupMemory(
        current_bytes=_number(current),
        anon_bytes=fields.get("anon"),
        file_bytes=fields.get("file"),
        shmem_bytes=fields.get("shmem"),
        kernel_bytes=fields.get("kernel", sum(parts) if parts else None),
        swap_bytes=_number(swap),
    )


def peak_of_run(
    before: CgroupCounters, after: CgroupCounters, sampled_bytes: int | None
) -> CgroupPeak | NoCgroup:
    """Return the highest charge between two readings of the counters.

    The kernel's peak is that of the whole life of the cgroup, which may hold many runs: it is
    this run's only where it rose during the run. Else the highest sample stands.
    """
    peak_bytes = after.peak_bytes
    if peak_bytes is not None and before.peak_bytes is not None and peak_bytes > before.peak_bytes:
        return CgroupPeak(peak_bytes=peak_bytes, is_kernels=True)
    if sampled_bytes is not None:
        return CgroupPeak(peak_bytes=sampled_bytes, is_kernels=False)
    return NoCgroup(reason="the kernel's peak did not rise during the run, and no sample was taken")


def _number(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None


def _fields(content: bytes) -> dict[str, int]:
    """Parse lines of a name and a number."""
    fields: dict[str, int] = {}
    for line in content.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            fields[words[0]] = int(words[1])
    return fields

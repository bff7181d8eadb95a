"""Runs as the only program of the small machine: uses memory in known ways and reads it back."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from edgemoe_appliance.measure.cgroup import (
    Cgroup,
    CgroupMemory,
    CgroupPeak,
    CgroupReader,
    locate_cgroup,
    peak_of_run,
)

MIB = 2**20
BOX = Path("/sys/fs/cgroup/box")


def allocate(n_bytes: int) -> bytearray:
    """Return memory whose pages have all been touched and do not compress to nothing."""
    block = bytearray(n_bytes)
    for offset in range(0, n_bytes, 4096):
        block[offset : offset + 64] = os.urandom(64)
    return block


def grown(after: CgroupMemory, before: CgroupMemory) -> dict[str, int]:
    """Return by how much each figure grew, in MiB."""
    old = asdict(before)
    return {name: round((value - old[name]) / MIB) for name, value in asdict(after).items()}


def main() -> None:
    cgroup = locate_cgroup()
    assert isinstance(cgroup, Cgroup), cgroup
    reader = CgroupReader(cgroup)
    found: dict[str, object] = {
        "kernel": platform.release(),
        "version": cgroup.version.value,
        "folder": str(cgroup.folder),
        "has_peak": (BOX / "memory.peak").exists(),
    }
    begin, counters = reader.read(), reader.read_counters()
    block = allocate(48 * MIB)
    with_anon = reader.read()
    found["anon"] = grown(with_anon, begin)
    del block
    found["after_release"] = grown(reader.read(), begin)
    peak = peak_of_run(counters, reader.read_counters(), with_anon.current_bytes)
    assert isinstance(peak, CgroupPeak), peak
    found["peak"] = {"mib": round(peak.peak_bytes / MIB), "is_kernels": peak.is_kernels}
    # A second, smaller run: the kernel's mark is still that of the first.
    counters = reader.read_counters()
    smaller = allocate(8 * MIB)
    sampled = reader.read().current_bytes
    del smaller
    second = peak_of_run(counters, reader.read_counters(), sampled)
    assert isinstance(second, CgroupPeak), second
    found["second_peak"] = {
        "below_first": second.peak_bytes < peak.peak_bytes,
        "is_kernels": second.is_kernels,
    }
    Path("/shm").mkdir()
    subprocess.run(["/bin/busybox", "mount", "-t", "tmpfs", "none", "/shm"], check=True)
    begin = reader.read()
    Path("/shm/file").write_bytes(os.urandom(16 * MIB))
    found["shmem"] = grown(reader.read(), begin)
    Path("/shm/file").unlink()
    begin = reader.read()
    current_mib = (begin.current_bytes or 0) // MIB
    (BOX / "memory.max").write_text(str((current_mib + 24) * MIB))
    block = allocate(64 * MIB)
    found["swapped"] = grown(reader.read(), begin)
    del block
    (BOX / "memory.swap.max").write_text("0")
    before = reader.read_counters()
    code = "import os; b = bytearray(200 * 2**20)"
    child = subprocess.run([sys.executable, "-c", code], check=False)
    after = reader.read_counters()
    found["killed"] = {
        "signal": -child.returncode,
        "oom_kills": [before.oom_kills, after.oom_kills],
    }
    found["limit_is_told"] = after.limit_bytes == (current_mib + 24) * MIB
    sys.stdout.write(f"RESULT {json.dumps(found)}\n")


main()

"""The cgroup reader on real version 2 kernels with zram swap: `make test-cgroup-v2`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup_v2.machine import PACKAGE, SmallMachine, has_emulator, run_check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("EDGEMOE_VM_TESTS"), reason="set EDGEMOE_VM_TESTS=1: boots two machines"
    ),
]
CHECK = Path(__file__).with_name("check.py")
PREPARE = """\
for name in zsmalloc lzo-rle zram; do insert $name; done
echo 192M > /sys/block/zram0/disksize
/bin/busybox mkswap /dev/zram0 > /dev/null
/bin/busybox swapon /dev/zram0
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
/bin/busybox mkdir /sys/fs/cgroup/box
echo $$ > /sys/fs/cgroup/box/cgroup.procs
"""


@pytest.fixture(scope="module", params=["bookworm", "bullseye"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Boot Linux 6.1, which has memory.peak, and 5.10, which has not, like a Jetson's 5.15."""
    assert has_emulator(), "install qemu-system-x86"
    machine = SmallMachine(
        release=request.param,
        kernel="linux-image-cloud-amd64",
        modules=("zsmalloc", "lzo-rle", "zram"),
        prepare=PREPARE,
        files=dict(reader_files()),
        check=CHECK,
    )
    return run_check(machine)


def reader_files() -> Iterator[tuple[str, bytes]]:
    """Yield the cgroup reader and what it imports, without the packages around them."""
    for name in ("__init__.py", "schema/units.py", "measure/procfs.py", "measure/cgroup.py"):
        yield f"app/edgemoe_appliance/{name}", (PACKAGE / name).read_bytes()
    for name in ("schema", "measure"):
        yield f"app/edgemoe_appliance/{name}/__init__.py", b""


def test_reader_finds_its_own_cgroup(found: dict[str, Any]) -> None:
    assert found["version"] == 2
    assert found["folder"] == "/sys/fs/cgroup/box"


def test_anonymous_memory_is_seen_and_not_as_page_cache(found: dict[str, Any]) -> None:
    assert 47 <= found["anon"]["anon_bytes"] <= 50
    assert found["anon"]["file_bytes"] <= 1
    assert found["after_release"]["anon_bytes"] <= 2


def test_peak_is_the_kernels_where_there_is_one_and_else_sampled(found: dict[str, Any]) -> None:
    has_peak = found["kernel"].startswith("6.")
    assert found["has_peak"] is has_peak
    assert found["peak"]["is_kernels"] is has_peak
    assert found["peak"]["mib"] >= 48


def test_kernels_peak_of_an_earlier_run_is_not_taken_for_a_later_one(
    found: dict[str, Any],
) -> None:
    assert found["second_peak"] == {"below_first": True, "is_kernels": False}


def test_shared_memory_counts_as_file_and_apart(found: dict[str, Any]) -> None:
    assert found["shmem"]["shmem_bytes"] == 16
    assert 16 <= found["shmem"]["file_bytes"] <= 17
    assert found["shmem"]["anon_bytes"] <= 1


def test_swap_to_zram_is_seen_and_leaves_anonymous_memory(found: dict[str, Any]) -> None:
    assert found["swapped"]["swap_bytes"] >= 30
    assert found["swapped"]["anon_bytes"] <= 30


def test_kill_for_want_of_memory_is_counted(found: dict[str, Any]) -> None:
    assert found["killed"] == {"signal": 9, "oom_kills": [0, 1]}
    assert found["limit_is_told"]

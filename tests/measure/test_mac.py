"""What is measured and kept in another way on a Mac: footprint, chip, sleep, durable writes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edgemoe_appliance.bench.launcher import keep_awake
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.measure.host import read_host_facts
from edgemoe_appliance.measure.load import ProcessCost, put_memory
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.runsamples import RunSamples
from edgemoe_appliance.measure.sampler import SystemSample
from edgemoe_appliance.measure.tree import (
    PsutilTree,
    RusageInfoV4,
    TreeReading,
    open_libproc,
    open_tree,
    read_footprint,
)
from edgemoe_appliance.schema.files import sync
from edgemoe_appliance.schema.units import MIB
from tests.engine.compilers import found_compiler

# What macOS' header declares, written out field by field, and a function that fills it by name.
STAND_IN = """
#include <stdint.h>
#include <string.h>
struct rusage_info_v4 {
    uint8_t ri_uuid[16];
    uint64_t ri_user_time, ri_system_time, ri_pkg_idle_wkups, ri_interrupt_wkups, ri_pageins;
    uint64_t ri_wired_size, ri_resident_size, ri_phys_footprint;
    uint64_t ri_proc_start_abstime, ri_proc_exit_abstime;
    uint64_t ri_child_user_time, ri_child_system_time, ri_child_pkg_idle_wkups;
    uint64_t ri_child_interrupt_wkups, ri_child_pageins, ri_child_elapsed_abstime;
    uint64_t ri_diskio_bytesread, ri_diskio_byteswritten;
    uint64_t ri_cpu_time_qos_default, ri_cpu_time_qos_maintenance, ri_cpu_time_qos_background;
    uint64_t ri_cpu_time_qos_utility, ri_cpu_time_qos_legacy;
    uint64_t ri_cpu_time_qos_user_initiated, ri_cpu_time_qos_user_interactive;
    uint64_t ri_billed_system_time, ri_serviced_system_time, ri_logical_writes;
    uint64_t ri_lifetime_max_phys_footprint;
    uint64_t ri_instructions, ri_cycles, ri_billed_energy, ri_serviced_energy;
    uint64_t ri_interval_max_phys_footprint, ri_runnable_time;
};
int proc_pid_rusage(int pid, int flavor, void *buffer) {
    struct rusage_info_v4 *info = buffer;
    if (flavor != 4 || pid == GONE) return -1;
    memset(info, 0xff, sizeof *info);
    info->ri_phys_footprint = 100 * 1048576ull + pid;
    info->ri_lifetime_max_phys_footprint = 300 * 1048576ull + pid;
    return 0;
}
"""
LAYOUT = """
#include <stddef.h>
#include <libproc.h>
#include <sys/resource.h>
#define SAME(a, b) _Static_assert((a) == (b), #a)
"""
GONE = 1


@pytest.fixture(scope="module")
def libproc(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("libproc")
    (folder / "libproc.c").write_text(STAND_IN)
    library = folder / "libproc.so"
    compile_it = [found_compiler(), "-x", "c", "-shared", "-fPIC", f"-DGONE={GONE}"]
    subprocess.run([*compile_it, str(folder / "libproc.c"), "-o", str(library)], check=True)
    opened = open_libproc(str(library))
    assert opened is not None
    return opened


def test_the_record_is_read_by_its_layout(libproc: ctypes.CDLL) -> None:
    info = read_footprint(libproc, 7)
    assert info is not None
    assert info.ri_phys_footprint == 100 * MIB + 7
    assert info.ri_lifetime_max_phys_footprint == 300 * MIB + 7
    assert read_footprint(libproc, GONE) is None


def test_the_layout_is_that_of_macos_own_header(tmp_path: Path) -> None:
    zig = default_folders().cache / "zig/ziglang/zig"
    if not zig.exists():
        pytest.skip("no compiler for macOS in the cache: make probe-macos")
    fields = [name for name, _ in RusageInfoV4._fields_ if name.startswith("ri_")]
    assert len(fields) == 5
    lines = [
        *(
            f"SAME(offsetof(struct rusage_info_v4, {name}), {getattr(RusageInfoV4, name).offset});"
            for name in fields
        ),
        f"SAME(sizeof(struct rusage_info_v4), {ctypes.sizeof(RusageInfoV4)});",
        "SAME(RUSAGE_INFO_V4, 4);",
        "int (*asked)(int, int, rusage_info_t *) = proc_pid_rusage;",
    ]
    source = tmp_path / "layout.c"
    source.write_text("\n".join((LAYOUT, *lines)) + "\n")
    command = [str(zig), "cc", "-target", "aarch64-macos.13.0", "-Werror", "-c", str(source)]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(default_folders().cache / "zig-cache")}
    subprocess.run([*command, "-o", str(tmp_path / "layout.o")], env=environment, check=True)


def test_a_tree_sums_footprints_and_keeps_the_kernel_s_peak(libproc: ctypes.CDLL) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'input()'],"
            " stdin=subprocess.PIPE); print(c.pid, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    reading = PsutilTree(child.pid, libproc).take()()
    child.kill()
    child.communicate()
    assert reading is not None
    assert reading.footprint_bytes == 200 * MIB + child.pid + grandchild
    assert reading.high_water_footprint_bytes == 300 * MIB + child.pid


def test_no_library_is_no_footprint(tmp_path: Path) -> None:
    assert open_libproc(str(tmp_path / "none.dylib")) is None
    reading = PsutilTree(os.getpid()).take()()
    assert reading is not None
    assert (reading.footprint_bytes, reading.high_water_footprint_bytes) == (None, None)
    here = open_tree(os.getpid())
    shown = here.take()()
    here.close()
    assert shown is not None
    if sys.platform != "darwin":
        assert shown.footprint_bytes is None


def reading_of(footprint: int | None, peak: int | None) -> TreeReading:
    return TreeReading(
        processes=1,
        rss_bytes=10,
        anon_bytes=None,
        file_bytes=None,
        shmem_bytes=None,
        swap_bytes=None,
        high_water_bytes=None,
        cpu_s=0.0,
        footprint_bytes=footprint,
        high_water_footprint_bytes=peak,
    )


@pytest.mark.parametrize(
    ("read", "peak"),
    [([(50, 90), (70, 90)], 90), ([(120, 90)], 120), ([(50, None)], 50), ([(None, None)], None)],
)
def test_the_highest_of_peaks_and_sums_is_put(
    read: list[tuple[int | None, int | None]], peak: int | None
) -> None:
    trees = [reading_of(*one) for one in read]
    samples = tuple(SystemSample(t_mono_ns=i, tree=tree) for i, tree in enumerate(trees))
    readings = Readings()
    cost = ProcessCost(
        wall_s=1.0, engine_cpu_s=1.0, own_cpu_s=0.0, max_rss_bytes=0, own_peak_rss_bytes=1
    )
    put_memory(readings, RunSamples(samples=samples, spawn_ns=-1, full_ns=None), cost)
    assert readings.metrics.get("peak_footprint_bytes") == peak
    if peak is None:
        assert "macOS" in readings.absent["peak_footprint_bytes"]


def test_descendants_are_looked_for_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    # psutil asks for the parents of all processes to find children: half of a sampler's time.
    looks: list[bool] = []

    def children(_: psutil.Process, *, recursive: bool) -> list[psutil.Process]:
        looks.append(recursive)
        return []

    monkeypatch.setattr(psutil.Process, "children", children)
    clock = iter([0, 0, *(tenth * 100_000_000 for tenth in range(1, 40))])
    monkeypatch.setattr("edgemoe_appliance.measure.tree.time.monotonic_ns", lambda: next(clock))
    tree = PsutilTree(os.getpid())
    for _ in range(20):
        assert tree.take()() is not None
    assert looks == [True, True]


def test_a_mac_is_kept_awake_until_the_measuring_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **_: started.append(argv))
    keep_awake(4711, system="Darwin")
    assert started == [["/usr/bin/caffeinate", "-ims", "-w", "4711"]]


def test_writes_are_durable_in_the_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)  # fcntl.h of macOS
    monkeypatch.setattr(fcntl, "fcntl", lambda _, command: asked.append(command))
    monkeypatch.setattr(os, "fsync", lambda _: asked.append(-1))
    with (tmp_path / "journal").open("wb") as file:
        sync(file.fileno())
    assert asked == [51]

    def refuse(_: int, command: int) -> None:
        raise OSError(45, "Operation not supported")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with (tmp_path / "journal").open("wb") as file:
        sync(file.fileno())
    assert asked == [51, -1]


def test_the_chip_has_its_maker_s_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def sysctl(argv: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        assert argv[1:] == ["-n", "machdep.cpu.brand_string"]
        return subprocess.CompletedProcess(argv, 0, b"Apple M2 Pro\n")

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", sysctl)
    assert read_host_facts((), {}, tmp_path).cpu_model == "Apple M2 Pro"

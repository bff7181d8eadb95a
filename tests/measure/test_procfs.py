import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemoe_appliance.measure.hostload import open_host
from edgemoe_appliance.measure.procfs import (
    parse_cpu_totals,
    parse_meminfo,
    parse_process_cpu_s,
    parse_status,
)
from edgemoe_appliance.measure.tree import ProcTree, PsutilTree, TreeReader
from edgemoe_appliance.schema.units import MIB

STATUS = b"""Name:\tllama-cli
VmHWM:\t    2048 kB
VmRSS:\t    1024 kB
RssAnon:\t     512 kB
RssFile:\t     500 kB
RssShmem:\t      12 kB
VmSwap:\t       0 kB
Threads:\t6
"""


def test_status_is_read_in_bytes() -> None:
    memory = parse_status(STATUS)
    assert memory.rss_bytes == 1024 * 1024
    assert (memory.anon_bytes, memory.file_bytes, memory.shmem_bytes) == (524288, 512000, 12288)
    assert memory.swap_bytes == 0
    assert memory.high_water_bytes == 2048 * 1024


def test_a_zombie_has_no_memory_rather_than_none_at_all() -> None:
    memory = parse_status(b"Name:\tllama-cli\nState:\tZ (zombie)\nThreads:\t1\n")
    assert memory.rss_bytes is None
    assert memory.high_water_bytes is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"VmRSS: many kB\n", b"VmRSS:\t12 MB\n"])
def test_odd_status_lines_are_absent(content: bytes) -> None:
    assert parse_status(content).rss_bytes is None


def test_meminfo_knows_jetson_memory_where_it_is() -> None:
    plain = b"MemTotal: 100 kB\nMemAvailable: 60 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n"
    assert parse_meminfo(plain).nvmap_bytes is None
    assert parse_meminfo(plain).swap_used_bytes == 6 * 1024
    assert parse_meminfo(plain + b"NvMapMemUsed: 7 kB\n").nvmap_bytes == 7 * 1024


def test_cpu_totals_leave_out_idle_and_keep_steal_apart() -> None:
    totals = parse_cpu_totals(b"cpu  100 20 30 9999 888 5 5 40 7 7\ncpu0 1\n", 100)
    assert totals is not None
    assert totals.busy_s == pytest.approx(1.6)
    assert totals.steal_s == pytest.approx(0.4)
    assert parse_cpu_totals(b"intr 1 2 3", 100) is None


def test_a_program_name_with_parentheses_does_not_shift_the_fields() -> None:
    line = b"42 (a) b (c)) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 1 1 1"
    assert parse_process_cpu_s(line, 100) == pytest.approx(3.0)
    assert parse_process_cpu_s(b"nonsense", 100) is None


def child(code: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


ALLOCATE = "x = bytearray(b'1') * (64 << 20); print('ready', flush=True); input()"


def test_a_known_allocation_is_anonymous_memory() -> None:
    process = child(ALLOCATE)
    tree = ProcTree(process.pid, Path("/proc"))
    reading = tree.take()()
    process.kill()
    process.wait()
    assert reading is not None
    assert reading.anon_bytes is not None
    assert reading.rss_bytes is not None
    assert 64 * MIB <= reading.anon_bytes <= 90 * MIB
    assert reading.high_water_bytes is not None
    assert reading.high_water_bytes >= reading.rss_bytes
    tree.close()


def test_a_mapped_file_is_file_memory_and_not_anonymous(tmp_path: Path) -> None:
    file = tmp_path / "mapped"
    file.write_bytes(os.urandom(32 << 20))
    process = child(
        f"import mmap; f = open({str(file)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=1);"
        "sum(m[i] for i in range(0, len(m), 4096)); print('ready', flush=True); input()"
    )
    tree = ProcTree(process.pid, Path("/proc"))
    reading = tree.take()()
    process.kill()
    process.wait()
    tree.close()
    assert reading is not None
    assert reading.file_bytes is not None
    assert reading.anon_bytes is not None
    assert 32 * MIB <= reading.file_bytes <= 60 * MIB
    assert reading.anon_bytes < 24 * MIB


@pytest.mark.parametrize("kind", ["proc", "psutil"])
def test_a_tree_counts_children_and_ends_with_its_root(kind: str) -> None:
    process = child(
        "import subprocess, sys;"
        f"c = subprocess.Popen([sys.executable, '-c', {ALLOCATE!r}], stdin=subprocess.PIPE);"
        "c.wait()"
    )
    reader: TreeReader = (
        ProcTree(process.pid, Path("/proc")) if kind == "proc" else PsutilTree(process.pid)
    )
    reading = reader.take()()
    assert reading is not None
    assert reading.processes == 2
    assert reading.rss_bytes is not None
    assert reading.rss_bytes > 70 * MIB
    process.kill()
    process.wait()
    assert reader.take()() is None
    reader.close()


def test_one_busy_core_is_seen_as_one_busy_core() -> None:
    process = child(
        "import time; print('ready', flush=True); e = time.monotonic() + 5;"
        "\nwhile time.monotonic() < e: pass"
    )
    tree = ProcTree(process.pid, Path("/proc"))
    first, started = tree.take()(), time.thread_time()
    time.sleep(0.5)
    last, own = tree.take()(), time.thread_time() - started
    rusage = os.wait4(process.pid, os.WNOHANG)
    process.kill()
    process.wait()
    tree.close()
    assert rusage[0] == 0
    assert first is not None
    assert last is not None
    assert first.cpu_s is not None
    assert last.cpu_s is not None
    # A shared machine may give it less than a core; never more, and never next to nothing.
    assert 0.05 <= last.cpu_s - first.cpu_s <= 0.75
    assert own < 0.1


def test_the_host_is_read() -> None:
    host = open_host()
    reading = host.take()()
    host.close()
    assert reading.mem_available_bytes is not None
    assert reading.mem_available_bytes > 100 * MIB
    assert reading.cpu is not None
    assert reading.cpu.busy_s > 0

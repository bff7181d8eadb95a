from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edgemoe_appliance.measure.cgroup import (
    Cgroup,
    CgroupCounters,
    CgroupMemory,
    CgroupPeak,
    CgroupReader,
    CgroupVersion,
    NoCgroup,
    locate_cgroup,
    parse_membership,
    parse_mounted_folder,
    peak_of_run,
)

V1_STAT = """\
cache 100
rss 200
swap 1
total_cache 4096
total_rss 8192
total_shmem 512
total_swap 16
"""
V2_STAT = """\
anon 8192
file 4096
kernel_stack 10
pagetables 20
percpu 30
sock 5
shmem 512
slab 40
"""
MEMBERSHIP_V1 = "12:devices:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def mount(root: str, point: str, kind: str, options: str) -> str:
    return f"82 78 0:32 {root} {point} ro,nosuid - {kind} {kind} rw,{options}\n"


def v1_tree(tmp_path: Path, mount_root: str = "/docker/abc", path: str = "/docker/abc") -> Path:
    folder = str(PurePosixPath("sys/fs/cgroup/memory", PurePosixPath(path).relative_to(mount_root)))
    return write(
        tmp_path,
        {
            "proc/self/cgroup": MEMBERSHIP_V1.replace("/docker/abc", path),
            "proc/self/mountinfo": mount("/", "/proc", "proc", "x")
            + mount(mount_root, "/sys/fs/cgroup/cpu", "cgroup", "cpu")
            + mount(mount_root, "/sys/fs/cgroup/memory", "cgroup", "memory"),
            f"{folder}/memory.usage_in_bytes": "12400\n",
            f"{folder}/memory.max_usage_in_bytes": "20000\n",
            f"{folder}/memory.limit_in_bytes": "9223372036854771712\n",
            f"{folder}/memory.kmem.usage_in_bytes": "112\n",
            f"{folder}/memory.stat": V1_STAT,
            f"{folder}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        },
    )


def v2_tree(tmp_path: Path, *, with_peak: bool) -> Path:
    folder = "sys/fs/cgroup"
    peak = {f"{folder}/memory.peak": "20000\n"} if with_peak else {}
    return write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "nsdelegate"),
            f"{folder}/memory.current": "12400\n",
            f"{folder}/memory.swap.current": "16\n",
            f"{folder}/memory.max": "1048576\n",
            f"{folder}/memory.stat": V2_STAT,
            f"{folder}/memory.events": "low 0\noom 3\noom_kill 2\n",
            **peak,
        },
    )


def reader(root: Path) -> CgroupReader:
    cgroup = locate_cgroup(root)
    assert isinstance(cgroup, Cgroup), cgroup
    return CgroupReader(cgroup)


EXPECTED = CgroupMemory(
    current_bytes=12400,
    anon_bytes=8192,
    file_bytes=4096,
    shmem_bytes=512,
    kernel_bytes=112,
    swap_bytes=16,
)


def test_version_1(tmp_path: Path) -> None:
    found = reader(v1_tree(tmp_path))
    assert found.read() == EXPECTED
    assert found.read_counters() == CgroupCounters(peak_bytes=20000, oom_kills=2, limit_bytes=None)
    found.close()


def test_version_1_below_the_mount_and_in_a_namespace(tmp_path: Path) -> None:
    on_host = locate_cgroup(v1_tree(tmp_path / "host", mount_root="/", path="/docker/abc"))
    assert isinstance(on_host, Cgroup)
    assert on_host.folder == tmp_path / "host/sys/fs/cgroup/memory/docker/abc"
    private = locate_cgroup(v1_tree(tmp_path / "private", mount_root="/", path="/"))
    assert isinstance(private, Cgroup)
    assert private.folder == tmp_path / "private/sys/fs/cgroup/memory"


def test_version_2(tmp_path: Path) -> None:
    found = reader(v2_tree(tmp_path, with_peak=True))
    assert found.read() == CgroupMemory(**{**vars(EXPECTED), "kernel_bytes": 100})
    assert found.read_counters() == CgroupCounters(
        peak_bytes=20000, oom_kills=2, limit_bytes=1048576
    )
    found.close()


def test_version_2_of_a_kernel_that_sums_up_its_own_memory(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, with_peak=True)
    (root / "sys/fs/cgroup/memory.stat").write_text(V2_STAT + "kernel 999\n")
    assert reader(root).read().kernel_bytes == 999


def test_version_2_without_peak_and_without_swap_accounting(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, with_peak=False)
    (root / "sys/fs/cgroup/memory.swap.current").unlink()
    (root / "sys/fs/cgroup/memory.max").write_text("max\n")
    found = reader(root)
    assert found.read_counters() == CgroupCounters(peak_bytes=None, oom_kills=2, limit_bytes=None)
    assert found.read().swap_bytes is None


def test_what_is_not_told_is_none_and_not_zero(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, with_peak=False)
    (root / "sys/fs/cgroup/memory.stat").write_text("unknown 1\nanon many\n")
    (root / "sys/fs/cgroup/memory.events").write_text("")
    found = reader(root)
    reading = found.read()
    assert (reading.anon_bytes, reading.file_bytes, reading.kernel_bytes) == (None, None, None)
    assert found.read_counters().oom_kills is None


def test_values_are_read_anew(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, with_peak=True)
    found = reader(root)
    found.read()
    (root / "sys/fs/cgroup/memory.current").write_text("7\n")
    assert found.read().current_bytes == 7


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "proc/self/cgroup: No such file"),
        ({"proc/self/cgroup": "", "proc/self/mountinfo": ""}, "names no memory cgroup"),
        ({"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": ""}, "/a (version 2) is not"),
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "proc/self/mountinfo": mount("/", "/sys/fs/cgroup", "cgroup2", "x"),
            },
            "no memory controller",
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "proc/self/mountinfo": mount("/", "/m", "cgroup", "memory"),
                "m/memory.usage_in_bytes": "1",
                "m/release_agent": "",
            },
            "the machine's",
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/elsewhere\n",
                "proc/self/mountinfo": mount("/docker/abc", "/m", "cgroup", "memory"),
            },
            "not mounted here",
        ),
        ({"proc/self/cgroup": "nonsense\n::\n", "proc/self/mountinfo": "- -\n"}, "names no"),
    ],
)
def test_no_cgroup_has_a_reason(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    found = locate_cgroup(write(tmp_path, files))
    assert isinstance(found, NoCgroup)
    assert reason in found.reason


def test_memory_in_version_1_wins_over_the_empty_unified_tree() -> None:
    assert parse_membership("0::/x\n4:cpu,memory:/y\n") == (CgroupVersion.V1, PurePosixPath("/y"))


def test_mount_points_with_spaces_are_unescaped() -> None:
    line = mount("/", r"/mnt/c\040g", "cgroup2", "x")
    found = parse_mounted_folder(line, CgroupVersion.V2, PurePosixPath("/a"))
    assert found == PurePosixPath("/mnt/c g/a")


def counters(peak_bytes: int | None) -> CgroupCounters:
    return CgroupCounters(peak_bytes=peak_bytes, oom_kills=0, limit_bytes=None)


@pytest.mark.parametrize(
    ("before", "after", "sampled", "expected"),
    [
        (100, 300, 250, CgroupPeak(peak_bytes=300, is_kernels=True)),
        # An earlier run went higher: the kernel's mark says nothing about this one.
        (300, 300, 250, CgroupPeak(peak_bytes=250, is_kernels=False)),
        (None, None, 250, CgroupPeak(peak_bytes=250, is_kernels=False)),
        (0, 0, 0, CgroupPeak(peak_bytes=0, is_kernels=False)),
    ],
)
def test_peak_of_a_run(
    before: int | None, after: int | None, sampled: int, expected: CgroupPeak
) -> None:
    assert peak_of_run(counters(before), counters(after), sampled) == expected


def test_peak_without_any_reading_has_a_reason() -> None:
    found = peak_of_run(counters(300), counters(300), None)
    assert isinstance(found, NoCgroup) and "no sample" in found.reason

"""A small machine of its own kernel, for what this one cannot show: cgroup version 2 and zram swap.

A Debian cloud kernel under emulation with Python, our reader and a check in its initial RAM disk.
Packages come through apt and are kept in the cache folder; nothing is installed but the emulator.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("EDGEMOE_CACHE", TOP / ".cache")) / "cgroup-v2"
# What Python needs beside itself for json, dataclasses, pathlib and re.
_PACKAGES = (
    "busybox-static",
    "libc6",
    "libexpat1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-minimal",
    "zlib1g",
)
_MODULES = ("zsmalloc", "lzo-rle", "zram")
_CONSOLE_DEVICE = (5, 1)
_MARK = "RESULT "
_BOOT_S = 240
_INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t cgroup2 none /sys/fs/cgroup
for name in {modules}; do
  [ ! -e /modules/$name.ko ] || /bin/busybox insmod /modules/$name.ko
done
echo 192M > /sys/block/zram0/disksize
/bin/busybox mkswap /dev/zram0 > /dev/null
/bin/busybox swapon /dev/zram0
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
/bin/busybox mkdir /sys/fs/cgroup/box
echo $$ > /sys/fs/cgroup/box/cgroup.procs
PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3.11 /check.py
/bin/busybox poweroff -f
"""


def run_check(release: str, check: Path) -> dict[str, Any]:
    """Boot the cloud kernel of a Debian release, run a check in it and return what it found."""
    kernel = _kernel(release)
    image = CACHE / release / "initrd.gz"
    image.write_bytes(gzip.compress(b"".join(_archive(kernel, check)), compresslevel=1))
    vmlinuz = next((kernel / "boot").glob("vmlinuz-*"))
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nographic", "-no-reboot"]
    command += ["-kernel", str(vmlinuz), "-initrd", str(image)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    shown = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BOOT_S, check=True
    ).stdout.decode(errors="replace")
    results = [line.partition(_MARK)[2] for line in shown.splitlines() if _MARK in line]
    assert results, shown[-3000:]
    found: dict[str, Any] = json.loads(results[-1])
    return found


def _kernel(release: str) -> Path:
    """Return the unpacked kernel package of a release."""
    folder = CACHE / release / "kernel"
    if not (folder / "boot").is_dir():
        apt = _apt(release)
        depends = _output([*apt("apt-cache"), "depends", "linux-image-cloud-amd64"])
        name = re.search(r"Depends: (linux-image-\S+)", depends)
        assert name, depends
        _unpack([*apt("apt-get"), "download", name[1]], folder)
    return folder


def _system() -> Path:
    """Return a folder with Python and busybox, out of packages of this release."""
    folder = CACHE / "system"
    if not (folder / "usr/bin/python3.11").is_file():
        _unpack(["apt-get", "download", *_PACKAGES], folder)
    return folder


def _apt(release: str) -> Any:
    """Return a function that gives an apt command which sees one release only."""
    folder = CACHE / release / "apt"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(_sources(release))
    options = [
        f"Dir::Etc::SourceList={folder}/sources.list",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={folder}/lists",
        f"Dir::Cache={folder}/cache",
        "Acquire::Check-Valid-Until=false",  # an old release is not renewed any more
    ]
    flags = [flag for option in options for flag in ("-o", option)]
    subprocess.run(["apt-get", *flags, "update", "-qq"], check=True)
    return lambda program: [program, *flags]


def _sources(release: str) -> str:
    """Return this machine's own Debian sources, for another release."""
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    own = _output(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    lines = {line for line in own.splitlines() if line.endswith(" main")}
    kept = (line for line in sorted(lines) if f" {codename}-updates " not in line)
    return "".join(f"deb {line.replace(codename, release)}\n" for line in kept if codename in line)


def _unpack(download: list[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(download, cwd=folder, check=True, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        package.unlink()


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _archive(kernel: Path, check: Path) -> Iterator[bytes]:
    """Yield a cpio archive (newc) of the machine's root. Source: buffer-format.rst of Linux."""
    number = 0
    for name, mode, content in _entries(kernel, check):
        number += 1
        yield _member(name, mode, content, number)
    yield _member("TRAILER!!!", 0, b"", number + 1)


def _member(name: str, mode: int, content: bytes, number: int) -> bytes:
    encoded = name.encode() + b"\0"
    device = _CONSOLE_DEVICE if stat.S_ISCHR(mode) else (0, 0)
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(f"{field:08x}".encode() for field in fields) + encoded
    out = io.BytesIO()
    for part in (head, content):
        out.write(part)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


def _entries(kernel: Path, check: Path) -> Iterator[tuple[str, int, bytes]]:
    folders: set[str] = set()
    files = dict(_files(kernel, check))
    for name in files:
        folders.update(str(parent) for parent in Path(name).parents if str(parent) != ".")
    for folder in sorted(folders):
        yield folder, stat.S_IFDIR | 0o755, b""
    for name, (mode, content) in files.items():
        yield name, mode, content


def _files(kernel: Path, check: Path) -> Iterator[tuple[str, tuple[int, bytes]]]:
    system = _system()
    for path in sorted(system.rglob("*")):
        name = str(path.relative_to(system))
        if path.is_symlink():
            yield name, (stat.S_IFLNK | 0o777, os.fsencode(path.readlink()))
        elif path.is_file() and not name.startswith("usr/share/"):
            yield name, (stat.S_IFREG | (path.stat().st_mode & 0o777), path.read_bytes())
    for module in _MODULES:
        for path in (kernel / "lib/modules").rglob(f"{module}.ko"):
            yield f"modules/{module}.ko", (stat.S_IFREG | 0o644, path.read_bytes())
    package = TOP / "cli" / "edgemoe_appliance"
    for name in ("__init__.py", "study/units.py", "measure/procfs.py", "measure/cgroup.py"):
        content = (package / name).read_bytes()
        yield f"app/edgemoe_appliance/{name}", (stat.S_IFREG | 0o644, content)
    for name in ("study", "measure"):
        yield f"app/edgemoe_appliance/{name}/__init__.py", (stat.S_IFREG | 0o644, b"")
    init = _INIT.format(modules=" ".join(_MODULES)).encode()
    yield "init", (stat.S_IFREG | 0o755, init)
    yield "check.py", (stat.S_IFREG | 0o644, check.read_bytes())
    # What the first process prints goes there; the kernel opens it before /dev is mounted.
    yield "dev/console", (stat.S_IFCHR | 0o600, b"")


def has_emulator() -> bool:
    """Return whether the emulator and apt are here."""
    return all(shutil.which(name) for name in ("qemu-system-x86_64", "apt-get", "dpkg-deb"))

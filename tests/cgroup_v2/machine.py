"""A small machine of its own kernel, for what this one cannot show: cgroup version 2, a sensor.

A Debian kernel under emulation with Python, our readers and a check in its initial RAM disk.
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("EDGEMOE_CACHE", TOP / ".cache")) / "cgroup-v2"
# What Python needs beside itself for json, dataclasses, pathlib and re, and pydantic for its core.
_PACKAGES = (
    "busybox-static",
    "libc6",
    "libexpat1",
    "libgcc-s1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3.11-minimal",
    "zlib1g",
)
_LAST = ("usr/bin/python3.11", "lib/x86_64-linux-gnu/libgcc_s.so.1")
_CONSOLE_DEVICE = (5, 1)
_MARK = "RESULT "
_BOOT_S = 480  # on a busy machine; 60 s on a quiet one
_INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /tmp
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t cgroup2 none /sys/fs/cgroup
insert() {{ [ ! -e /modules/$1.ko ] || /bin/busybox insmod /modules/$1.ko $2; }}
{prepare}
PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3.11 /check.py
/bin/busybox poweroff -f
"""


@dataclass(frozen=True, kw_only=True)
class SmallMachine:
    """What one is made of: a kernel package of a Debian release, modules, and what is run.

    `prepare` are lines of its first script, `files` what else lies in it, by name.
    """

    release: str
    kernel: str
    modules: tuple[str, ...]
    prepare: str
    files: Mapping[str, bytes]
    check: Path


def run_check(machine: SmallMachine) -> dict[str, Any]:
    """Boot a machine, run its check in it and return what that found."""
    kernel = kernel_folder(machine.release, machine.kernel)
    image = CACHE / machine.release / f"{machine.check.parent.name}.gz"
    image.write_bytes(gzip.compress(b"".join(_archive(kernel, machine)), compresslevel=1))
    vmlinuz = next((kernel / "boot").glob("vmlinuz-*"))
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "768", "-nographic", "-no-reboot"]
    command += ["-kernel", str(vmlinuz), "-initrd", str(image)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    shown = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_BOOT_S, check=True
    ).stdout.decode(errors="replace")
    results = [line.partition(_MARK)[2] for line in shown.splitlines() if _MARK in line]
    assert results, shown[-3000:]
    found: dict[str, Any] = json.loads(results[-1])
    return found


def kernel_folder(release: str, package: str) -> Path:
    """Return the unpacked kernel that a package of a release stands for."""
    folder = CACHE / release / package
    if not (folder / "boot").is_dir():
        apt = _apt(release)
        depends = _output([*apt("apt-cache"), "depends", package])
        name = re.search(r"Depends: (linux-image-\S+)", depends)
        assert name, depends
        unpack([*apt("apt-get"), "download", name[1]], folder)
    return folder


def _system() -> Path:
    """Return a folder with Python and busybox, out of packages of this release."""
    folder = CACHE / "system"
    if not all((folder / name).is_file() for name in _LAST):
        unpack(["apt-get", "download", *_PACKAGES], folder)
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


def unpack(download: list[str], folder: Path) -> None:
    """Download packages and unpack them into a folder; nothing is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(download, cwd=folder, check=True, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        package.unlink()


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _archive(kernel: Path, machine: SmallMachine) -> Iterator[bytes]:
    """Yield a cpio archive (newc) of the machine's root. Source: buffer-format.rst of Linux."""
    number = 0
    for name, mode, content in _entries(kernel, machine):
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


def _entries(kernel: Path, machine: SmallMachine) -> Iterator[tuple[str, int, bytes]]:
    folders: set[str] = set()
    files = dict(_files(kernel, machine))
    for name in files:
        folders.update(str(parent) for parent in Path(name).parents if str(parent) != ".")
    for folder in sorted(folders):
        yield folder, stat.S_IFDIR | 0o755, b""
    for name, (mode, content) in files.items():
        yield name, mode, content


def _files(kernel: Path, machine: SmallMachine) -> Iterator[tuple[str, tuple[int, bytes]]]:
    system = _system()
    for path in sorted(system.rglob("*")):
        name = str(path.relative_to(system))
        if path.is_symlink():
            yield name, (stat.S_IFLNK | 0o777, os.fsencode(path.readlink()))
        elif path.is_file() and not name.startswith("usr/share/"):
            yield name, (stat.S_IFREG | (path.stat().st_mode & 0o777), path.read_bytes())
    for module in machine.modules:
        for path in (kernel / "lib/modules").rglob(f"{module}.ko"):
            yield f"modules/{module}.ko", (stat.S_IFREG | 0o644, path.read_bytes())
    for name, content in machine.files.items():
        yield name, (stat.S_IFREG | 0o644, content)
    yield "init", (stat.S_IFREG | 0o755, _INIT.format(prepare=machine.prepare).encode())
    yield "check.py", (stat.S_IFREG | 0o644, machine.check.read_bytes())
    # What the first process prints goes there; the kernel opens it before /dev is mounted.
    yield "dev/console", (stat.S_IFCHR | 0o600, b"")


PACKAGE = TOP / "cli" / "edgemoe_appliance"


def has_emulator() -> bool:
    """Return whether the emulator and apt are here."""
    return all(shutil.which(name) for name in ("qemu-system-x86_64", "apt-get", "dpkg-deb"))

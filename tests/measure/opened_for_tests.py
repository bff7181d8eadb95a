"""Which files this process opens and holds open: a proof of what is never read."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# Files of /proc that make the kernel walk the page tables of a process. Source: proc(5).
_WALKS = re.compile(r"/(smaps|smaps_rollup|pagemap|numa_maps|clear_refs)$")
_collectors: list[set[str]] = []
_hooked: list[bool] = []


def _note_open(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _collectors and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.fsdecode(arguments[0])
        for paths in _collectors:
            paths.add(path)


@contextlib.contextmanager
def opened_paths() -> Iterator[set[str]]:
    """Give the paths opened in this process, by whichever thread, while the context is open."""
    if not _hooked:
        # A hook cannot be taken away again, so there is one, which does nothing between uses.
        sys.addaudithook(_note_open)
        _hooked.append(True)
    paths: set[str] = set()
    _collectors.append(paths)
    try:
        yield paths
    finally:
        _collectors.remove(paths)


def held_paths() -> set[str]:
    """Return what the open descriptors of this process point to (Linux)."""
    paths: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            paths.add(str(descriptor.readlink()))
    return paths


def page_table_walks(paths: set[str]) -> set[str]:
    """Return those of some paths whose reading walks page tables."""
    return {path for path in paths if _WALKS.search(path)}

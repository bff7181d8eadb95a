"""Unpacking tars that the tests made themselves, on every Python that is supported."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Unpack everything; the filter came to 3.10 and 3.11 with security releases only."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter="data")
    else:
        tar.extractall(folder)

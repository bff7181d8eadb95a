"""The C++ compiler of this host, for tests that compile something small."""

from __future__ import annotations

import shutil

import pytest


def found_compiler() -> str:
    """Return g++ or c++; skips the test where there is neither."""
    found = shutil.which("g++") or shutil.which("c++")
    if not found:
        pytest.skip("no C++ compiler")
    return found

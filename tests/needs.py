"""What the tests need of a machine besides Python, and what brings what is lacking.

python -m tests.needs [MARKER...]    say it in one line; tests of these markers do not run anyway
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Need:
    """A tool under any of its names, and the tests that are skipped without it."""

    names: tuple[str, ...]
    package: str
    tests: str
    marker: str | None = None


NEEDS = (
    Need(names=("g++", "c++"), package="g++", tests="engine builds"),
    Need(names=("git",), package="git", tests="sources by commit"),
    Need(
        names=("chromium", "chromium-browser"),
        package="chromium",
        tests="the page in a browser",
        marker="browser",
    ),
    Need(names=("shellcheck",), package="shellcheck", tests="shell scripts"),
    Need(names=("zsh",), package="zsh", tests="completion in zsh"),
    Need(names=("fish",), package="fish", tests="completion in fish"),
    Need(
        names=("docker-registry",),
        package="docker-registry",
        tests="pushing and pulling",
        marker="container",
    ),
    Need(
        names=("sshd", "/usr/sbin/sshd"),
        package="openssh-server",
        tests="boards over ssh",
    ),
    Need(names=("ip",), package="iproute2", tests="boards over ssh"),
)


def find_program(names: Collection[str]) -> str | None:
    """Return the first program that is there under one of these names."""
    return next(filter(None, map(shutil.which, names)), None)


def lacking_line(
    deselected: Collection[str] = (),
    find: Callable[[Collection[str]], str | None] = find_program,
    platform: str = sys.platform,
) -> str:
    """Return one line: what is lacking, which tests are skipped for it, the command that brings it.

    `deselected` are markers whose tests do not run anyway.
    """
    lacking = [n for n in NEEDS if n.marker not in deselected and find(n.names) is None]
    if not lacking:
        return "needs: nothing is lacking"
    told = ", ".join(f"{need.package} ({need.tests})" for need in lacking)
    packages = " ".join(need.package for need in lacking)
    return f"needs: skipped for want of {told}; {_install(platform)} {packages}"


def _install(platform: str) -> str:
    if platform == "darwin":
        return "brew install"
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command = "apt-get install" if Path("/usr/bin/apt-get").exists() else "install"
    return command if is_root or command == "install" else f"sudo {command}"


if __name__ == "__main__":
    print(lacking_line(sys.argv[1:]))

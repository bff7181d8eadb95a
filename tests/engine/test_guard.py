from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgemoe_appliance.engine import guard
from edgemoe_appliance.engine.guard import GroupGuard
from edgemoe_appliance.errors import HostError
from tests.engine.processes import is_running, wait_until


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)


def test_leaving_without_release_kills_the_group(sleeper: subprocess.Popen[bytes]) -> None:
    with pytest.raises(RuntimeError), GroupGuard() as held:
        held.protect(sleeper.pid)
        raise RuntimeError
    assert sleeper.wait(timeout=60) == -9


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only /proc tells sessions")
def test_what_has_a_group_of_its_own_is_killed_with_its_session() -> None:
    # Job control gives what runs in the background a group of its own, as ninja gives compilers.
    script = "set -m; sleep 60 & echo $!; wait"
    with subprocess.Popen(
        ["/bin/bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as shell:
        assert shell.stdout
        child = int(shell.stdout.readline())
        assert os.getpgid(child) == child != shell.pid
        with pytest.raises(RuntimeError), GroupGuard() as held:
            held.protect(shell.pid)
            raise RuntimeError
        assert wait_until(lambda: not is_running(child))


def test_a_released_group_lives_on(sleeper: subprocess.Popen[bytes]) -> None:
    with GroupGuard() as held:
        held.protect(sleeper.pid)
        held.release()
    try:
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_guard_that_was_told_nothing_kills_nothing() -> None:
    with GroupGuard():
        pass


def test_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_SHELL", "/nonexistent/sh")
    with pytest.raises(HostError, match="/nonexistent/sh cannot be started"), GroupGuard():
        pass

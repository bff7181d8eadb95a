from __future__ import annotations

import subprocess

import pytest

from edgemoe_appliance.engine import guard
from edgemoe_appliance.engine.guard import GroupGuard
from edgemoe_appliance.errors import HostError


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)


def test_leaving_without_release_kills_the_group(sleeper: subprocess.Popen[bytes]) -> None:
    with pytest.raises(RuntimeError), GroupGuard() as held:
        held.protect(sleeper.pid)
        raise RuntimeError
    assert sleeper.wait(timeout=5) == -9


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

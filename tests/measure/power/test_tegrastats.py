"""tegrastats as a child process: a script that prints what the real one prints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.ina3221 import UNKNOWN_AVERAGING
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerReading,
    RailRole,
)
from edgemoe_appliance.measure.power.tegrastats import (
    TegrastatsMeter,
    find_tegrastats,
    line_readings,
)
from edgemoe_appliance.measure.sysfs import SystemRoots
from tests.measure.power.test_tegraline import AGX, JETPACK6_ROOT

ENDLESS = f"""
while true; do
  echo '{JETPACK6_ROOT}'
  sleep 0.02
done
"""


def write_program(root: Path, body: str) -> Path:
    program = root / "usr/bin/tegrastats"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


def found(root: Path, body: str = ENDLESS) -> TegrastatsMeter:
    write_program(root, body)
    meter = find_tegrastats(SystemRoots(root=root))
    assert isinstance(meter, TegrastatsMeter)
    return meter


def reason(root: Path) -> str:
    absent = find_tegrastats(SystemRoots(root=root))
    assert isinstance(absent, AbsentSource)
    return absent.reason


def read_until(
    meter: TegrastatsMeter, is_enough: Callable[[list[MeterReading]], bool]
) -> list[MeterReading]:
    readings: list[MeterReading] = []
    deadline = time.monotonic() + 10
    while not is_enough(readings):
        assert time.monotonic() < deadline, readings
        readings += meter.read()
        time.sleep(0.01)
    return readings


def deaths(readings: list[MeterReading]) -> list[DeadReading]:
    return [
        r
        for r in readings
        if isinstance(r, DeadReading) and r.reason.startswith("tegrastats ended")
    ]


def test_rails_are_learned_from_the_first_line(tmp_path: Path) -> None:
    assert {rail.name: rail.role for rail in found(tmp_path).rails} == {
        "VDD_IN": RailRole.TOTAL,
        "VDD_CPU_GPU_CV": RailRole.PART,
        "VDD_SOC": RailRole.PART,
    }


def test_lines_become_readings_in_order_of_time(tmp_path: Path) -> None:
    with found(tmp_path) as meter:
        readings = read_until(meter, lambda known: len(known) >= 9)
    totals = [r for r in readings if isinstance(r, PowerReading) and r.rail == "VDD_IN"]
    assert {reading.power_w for reading in totals} == {6.426}
    times_ns = [reading.t_mono_ns for reading in totals]
    assert times_ns == sorted(set(times_ns))
    assert meter.read() == ()


def test_the_interval_is_asked_for(tmp_path: Path) -> None:
    body = f"echo \"$@\" > '{tmp_path}/asked'\n{ENDLESS}"
    found(tmp_path, body)
    assert (tmp_path / "asked").read_text() == "--interval 100\n"


def test_only_the_first_number_counts() -> None:
    line = "VDD_IN 3462mW/3522mW/3582mW"
    rails = TegrastatsMeter(("tegrastats",), ("VDD_IN",), UNKNOWN_AVERAGING).rails
    reading = line_readings(line, 7, rails)[0]
    assert reading == PowerReading(t_mono_ns=7, rail="VDD_IN", power_w=3.462)


def test_a_line_without_a_rail_is_a_dead_reading() -> None:
    rails = TegrastatsMeter(("tegrastats",), ("VDD_IN", "VDD_SOC"), UNKNOWN_AVERAGING).rails
    good, dead = line_readings("VDD_IN 3462mW/3522mW", 7, rails)
    assert isinstance(good, PowerReading)
    assert isinstance(dead, DeadReading)
    assert dead.reason == "not in the line: VDD_IN 3462mW/3522mW"


def test_death_in_mid_run_is_told_with_the_last_words(tmp_path: Path) -> None:
    meter = found(tmp_path)
    write_program(tmp_path, f"echo '{JETPACK6_ROOT}'\necho 'nvgpu: gone' >&2\nexit 3")
    with meter:
        readings = read_until(meter, lambda known: len(deaths(known)) >= 3)
    last = deaths(readings)
    assert [reading.rail for reading in last] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
    assert last[0].reason == "tegrastats ended with exit code 3; its last line: nvgpu: gone"


def test_stopping_in_order_leaves_no_death_and_no_process(tmp_path: Path) -> None:
    body = f"echo $$ > '{tmp_path}/pid'\n{ENDLESS}"
    with found(tmp_path, body) as meter:
        read_until(meter, lambda known: len(known) >= 3)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert meter.read() == ()


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemoe_appliance.measure.power.child._STOP_S", 0.1)
    body = f"trap '' TERM\necho $$ > '{tmp_path}/pid'\n{ENDLESS}"
    with found(tmp_path, body) as meter:
        read_until(meter, lambda known: len(known) >= 3)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_reasons_for_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgemoe_appliance.measure.power.tegrastats._FIRST_LINE_S", 0.3)
    assert reason(tmp_path) == f"no executable {tmp_path}/usr/bin/tegrastats"
    write_program(tmp_path, "echo 'not a Jetson'; exit 1")
    assert reason(tmp_path) == "tegrastats ended with exit code 1; its last line: not a Jetson"
    write_program(tmp_path, "exec sleep 5")
    assert reason(tmp_path) == "no line with a power rail within 0.3 s"
    write_program(tmp_path, "echo 'RAM 1/2MB'; exec sleep 5")
    assert reason(tmp_path).endswith("it said: RAM 1/2MB")
    write_program(tmp_path, f"echo '{AGX}'; exec sleep 5")
    assert "its rails: VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0" in reason(tmp_path)


def test_a_program_that_cannot_be_started_is_absent(tmp_path: Path) -> None:
    program = write_program(tmp_path, "")
    program.write_bytes(b"\x7fELF nothing of the kind")
    assert "cannot be started" in reason(tmp_path)


def test_a_program_that_has_gone_is_an_error(tmp_path: Path) -> None:
    meter = found(tmp_path)
    (tmp_path / "usr/bin/tegrastats").unlink()
    with pytest.raises(MeasureError, match="cannot be started"):
        meter.__enter__()


def test_a_newer_library_of_the_host_is_named(tmp_path: Path) -> None:
    said = "tegrastats: /lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found"
    write_program(tmp_path, f'echo "{said}" >&2; exit 1'.replace("`", "\\`"))
    assert "GLIBC_2.38" in reason(tmp_path)
    assert "the host's tegrastats needs a newer C library than the image has" in reason(tmp_path)

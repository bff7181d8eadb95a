"""Runs as the only program of the small machine: the kernel's INA3221 driver on a chip of ours.

`i2c-stub` holds the registers. A child process plays the chip: it averages a load that is a known
function of time as the data sheet says, by the configuration that the driver wrote, and puts the
result into the registers. What the appliance's own reader then sees is held against the load.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgemoe_appliance.measure.energy import AbsentEnergy, window_energy
from edgemoe_appliance.measure.power.ina3221 import find_ina3221
from edgemoe_appliance.measure.power.interface import AbsentSource, MeterReading, total_rails
from edgemoe_appliance.measure.railtrace import build_trace
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.records import Phase, Window

ADDRESS = 0x40
I2C_SLAVE_FORCE, I2C_SMBUS, WORD_DATA = 0x0706, 0x0720, 3
CONFIG, MASK = 0x00, 0x0F
READY = 1
# Data sheet (TI SBOS576): averaging by bits 11 to 9 of CONFIG, 40 uV and 8 mV in bits 15 to 3.
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
SHUNT_V, BUS_V = 40e-6, 8e-3
ROUND_S = 3 * 2 * 1.1e-3
SHUNT_OHM, SUPPLY_V = 0.005, 5.0
IDLE_W, BUSY_W = 3.0, 9.0
# Seconds: idle, a short run, idle, a long run, idle.
STEPS_S = (4.0, 1.43, 4.0, 5.0, 3.0)
PERIOD_S = 0.1


class Chip:
    """The registers of the chip, as the stub keeps them: words with their bytes swapped."""

    def __init__(self) -> None:
        names = Path("/sys/bus/i2c/devices").glob("i2c-*")
        adapter = next(p for p in names if "stub" in (p / "name").read_text())
        self.adapter = adapter
        self._file = os.open(f"/dev/{adapter.name}", os.O_RDWR)
        fcntl.ioctl(self._file, I2C_SLAVE_FORCE, ADDRESS)

    def write(self, register: int, value: int) -> None:
        self._transfer(0, register, array.array("B", struct.pack(">H32x", value & 0xFFFF)))

    def read(self, register: int) -> int:
        block = array.array("B", bytes(34))
        self._transfer(1, register, block)
        return int.from_bytes(block[:2], "big")

    def _transfer(self, direction: int, register: int, block: array.array[int]) -> None:
        asked = struct.pack("@BBIP", direction, register, WORD_DATA, block.buffer_info()[0])
        fcntl.ioctl(self._file, I2C_SMBUS, asked)

    def show(self, channel: int, power_w: float) -> None:
        shunt = round(power_w / SUPPLY_V * SHUNT_OHM / SHUNT_V)
        self.write(2 * channel - 1, shunt << 3)
        self.write(2 * channel, round(SUPPLY_V / BUS_V) << 3)


def load_w(elapsed_s: float) -> float:
    """Return the power of the load at a time since it began."""
    end_s = 0.0
    for number, step_s in enumerate(STEPS_S):
        end_s += step_s
        if elapsed_s < end_s:
            return BUSY_W if number % 2 else IDLE_W
    return IDLE_W


@contextmanager
def played(chip: Chip, begin_s: float) -> Iterator[None]:
    """Play the chip in a child process."""
    child = os.fork()
    if child == 0:
        play(chip, begin_s)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def play(chip: Chip, begin_s: float) -> None:
    shown_w, done = IDLE_W, 0
    samples = AVERAGES[chip.read(CONFIG) >> 9 & 7]
    while True:
        rounds = int((time.monotonic() - begin_s) / ROUND_S)
        for number in range(done + 1, rounds + 1):
            shown_w += (load_w(number * ROUND_S) - shown_w) / samples
        done = max(done, rounds)
        chip.show(1, shown_w)
        time.sleep(ROUND_S / 3)


def measured(samples: int, chip: Chip, hwmon: Path) -> dict[str, Any]:
    """Return energies of the runs in one load, read by a chip that averages so many samples."""
    (hwmon / "samples").write_text(str(samples))
    meter = find_ina3221(SystemRoots())
    assert not isinstance(meter, AbsentSource), meter.reason
    rail = total_rails(meter.rails)[0]
    begin_s = time.monotonic()
    readings: list[MeterReading] = []
    with played(chip, begin_s), meter:
        due_s = begin_s
        while due_s < begin_s + sum(STEPS_S):
            due_s += PERIOD_S
            moment_s = due_s - random.uniform(0, PERIOD_S)
            time.sleep(max(0.0, moment_s - time.monotonic()))
            readings += meter.read()
    trace = build_trace(readings, rail)
    unaware = replace(trace, rail=replace(rail, lag_s=0.0, lag_bound_s=0.0))
    runs = {}
    for name, first in (("short", 1), ("long", 3)):
        start_s = begin_s + sum(STEPS_S[:first])
        window = Window(
            phase=Phase.PROCESS,
            start_ns=round(start_s * 1e9),
            end_ns=round((start_s + STEPS_S[first]) * 1e9),
        )
        truth_j = BUSY_W * STEPS_S[first]
        found, plain = window_energy(trace, window), window_energy(unaware, window)
        runs[name] = {
            "truth_j": truth_j,
            "absent": found.reason if isinstance(found, AbsentEnergy) else None,
            "error": None if isinstance(found, AbsentEnergy) else found.energy_j / truth_j - 1,
            "u95": None
            if isinstance(found, AbsentEnergy)
            else found.uncertainty.expanded_j / truth_j,
            "error_without_lag": None
            if isinstance(plain, AbsentEnergy)
            else plain.energy_j / truth_j - 1,
        }
    return {
        "told_samples": int((hwmon / "samples").read_text()),
        "update_interval_ms": int((hwmon / "update_interval").read_text()),
        "lag_s": rail.lag_s,
        "lag_bound_s": rail.lag_bound_s,
        "readings": len(trace.times_ns),
        "rails": [one.name for one in meter.rails],
        "runs": runs,
    }


def folder_of(chip: Chip) -> Path:
    number = chip.adapter.name.removeprefix("i2c-")
    return next(Path(f"/sys/bus/i2c/devices/{number}-0040/hwmon").iterdir())


def attach(chip: Chip, name: str, address: int) -> None:
    (chip.adapter / "new_device").write_text(f"{name} {address:#x}")


def detach(chip: Chip, address: int) -> None:
    (chip.adapter / "delete_device").write_text(f"{address:#x}")


def prepare(chip: Chip) -> Path:
    """Let the chip answer, bind the driver, and set the shunts as on the module."""
    chip.write(CONFIG, 0x7127)  # the value after a reset
    chip.write(MASK, READY)
    for channel in (1, 2, 3):
        chip.show(channel, IDLE_W)
    attach(chip, "ina3221", ADDRESS)
    hwmon = folder_of(chip)
    for channel in (1, 2, 3):
        (hwmon / f"shunt{channel}_resistor").write_text(str(round(SHUNT_OHM * 1e6)))
    return hwmon


def as_user(question: Callable[[], str]) -> str:
    """Return the answer of a child process without root's rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(1000)
        os.setuid(1000)
        os.write(writing, question().encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    return os.read(reading, 4096).decode()


def outcome() -> str:
    found = find_ina3221(SystemRoots())
    return found.reason if isinstance(found, AbsentSource) else "found"


def shut_files(hwmon: Path) -> dict[str, str]:
    answers = {"open": as_user(outcome)}
    (hwmon / "in1_input").chmod(0o400)
    answers["shut"] = as_user(outcome)
    (hwmon / "in1_input").chmod(0o444)
    return answers


def renumbered(chip: Chip) -> dict[str, str]:
    """Give the chip's number to another sensor, and look for the chip again."""
    before = folder_of(chip).name
    detach(chip, ADDRESS)
    gone = outcome()
    attach(chip, "lm75", 0x48)
    hwmon = prepare(chip)
    return {"before": before, "gone": gone, "after": hwmon.name, "again": outcome()}


def unplugged(chip: Chip) -> str:
    """Take the chip away while it is read, and return what the reader says."""
    meter = find_ina3221(SystemRoots())
    assert not isinstance(meter, AbsentSource)
    with meter:
        detach(chip, ADDRESS)
        return "; ".join(sorted({getattr(one, "reason", "a value") for one in meter.read()}))


def main() -> None:
    chip = Chip()
    hwmon = prepare(chip)
    found: dict[str, Any] = {
        "energy": {samples: measured(samples, chip, hwmon) for samples in (1, 16, 64)},
        "permissions": shut_files(hwmon),
        "renumbered": renumbered(chip),
        "unplugged": unplugged(chip),
    }
    print("RESULT " + json.dumps(found))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 (told to whoever booted the machine)
        print("RESULT " + json.dumps({"failed": f"{type(error).__name__}: {error}"}))
        sys.exit(1)

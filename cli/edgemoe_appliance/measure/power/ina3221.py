"""The INA3221 power monitor of a Jetson module, read directly through hwmon.

Channels are found by their label, because the number of a hwmon folder changes between boots.
Channels that only sum others, or that are not connected, are left out.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    check_power,
    describe_failure,
    total_rails,
)
from edgemoe_appliance.measure.sysfs import (
    NumberFile,
    SystemRoots,
    close_all,
    open_all,
    parse_number,
    read_number,
    read_text,
)
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit

# Input of the whole module: VDD_IN on Orin Nano, NX and Xavier NX, POM_5V_IN on the old Nano.
MODULE_INPUT_RAILS: Final = ("VDD_IN", "POM_5V_IN")
SENSOR: Final = "ina3221"
_FOLDERS = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"
_CHANNELS = (1, 2, 3)
# INA3221 data sheet (TI SBOS576), electrical characteristics: step of the shunt voltage 40 uV,
# its offset at most 80 uV, gain error at most 0.25 % on the shunt and on the bus voltage.
# The tolerance of the shunt resistor itself is not published for the module.
_SHUNT_STEP_V = 40e-6
_SHUNT_OFFSET_V = 80e-6
GAIN_BOUND: Final = 0.005
# Device tree of the Orin Nano module: shunt-resistor-micro-ohms = 5000 on all three channels.
_USUAL_SHUNT_OHM = 0.005
# Three channels, two conversions of 1.1 ms each.
REFRESH_S: Final = 0.0066
# Conversion times that the chip can be set to, shortest and longest (SBOS576, table of CONFIG).
_CONVERSION_S = (140e-6, 8.244e-3)
# The driver tells its interval in whole milliseconds.
_ROUNDING_S = 0.5e-3
# What they may be off by: 1.1 ms is typical, 1.21 ms the most (SBOS576).
_CONVERSION_BOUND = 0.1
# Where the driver tells nothing (before Linux 5.2): a log of an Orin Nano under JetPack 6 shows
# 0.40 s, other boards may be set otherwise, down to no averaging at all.
_USUAL_LAG_S = 0.4


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """How the chips average: a new value every `refresh_s`, behind by a first-order lag.

    After each round through its channels the chip adds the difference between new and shown
    value, divided by the number of samples, to what it shows (SBOS576, averaging function): a
    first-order filter whose time constant is the number of samples times the round.
    """

    refresh_s: float
    lag_s: float
    lag_bound_s: float


UNKNOWN_AVERAGING: Final = Averaging(
    refresh_s=REFRESH_S, lag_s=_USUAL_LAG_S, lag_bound_s=_USUAL_LAG_S
)


def read_averaging(roots: SystemRoots) -> Averaging:
    """Return how the chip of the module is set, or what is usual where its driver does not say."""
    found = [_folder_averaging(folder) for folder in roots.found(_FOLDERS)]
    return next((one for one in found if one is not None), UNKNOWN_AVERAGING)


def _folder_averaging(folder: Path) -> Averaging | None:
    try:
        samples = int(read_number(folder / "samples"))
        interval_s = read_number(folder / "update_interval") / 1e3
    except (OSError, ValueError):
        return None
    enabled = [n for n in _CHANNELS if read_text(folder / f"in{n}_enable") != "0"]
    return parse_averaging(samples, interval_s, len(enabled))


def parse_averaging(samples: int, interval_s: float, channels: int) -> Averaging | None:
    """Return the averaging that `samples` and `update_interval` of hwmon stand for.

    The interval is of a round through the channels; before Linux 6.7 it is of all samples. Which
    one is told by what a conversion can take; where both can be, the lag lies between. None for
    numbers that fit neither.
    """
    if samples < 1 or channels < 1 or interval_s < 0:
        return None
    shortest_s, longest_s = (2 * channels * time_s for time_s in _CONVERSION_S)
    readings = ((interval_s, _ROUNDING_S), (interval_s / samples, _ROUNDING_S / samples))
    rounds_s = [
        min(max(end_s, shortest_s), longest_s)
        for round_s, off_s in readings
        if shortest_s - off_s <= round_s <= longest_s + off_s
        for end_s in (round_s - off_s, round_s + off_s)
    ]
    if not rounds_s:
        return None
    if samples == 1:
        return Averaging(refresh_s=max(rounds_s), lag_s=0.0, lag_bound_s=0.0)
    longest_lag_s, shortest_lag_s = samples * max(rounds_s), samples * min(rounds_s)
    lag_s = (longest_lag_s + shortest_lag_s) / 2
    return Averaging(
        refresh_s=max(rounds_s),
        lag_s=lag_s,
        lag_bound_s=(longest_lag_s - shortest_lag_s) / 2 + _CONVERSION_BOUND * lag_s,
    )


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """The files of one channel: power (uW), or voltage (mV) and current (mA)."""

    rail: Rail
    paths: tuple[Path, ...]


# A rail, the moment at which it was read, and the contents of its files or why there are none.
_Taken: TypeAlias = tuple[Rail, int, list[bytes] | str]


class Ina3221Meter:
    """All labelled channels of the chips; reads each of them at every call."""

    source = PowerSource.INA3221
    scope = PowerScope.MODULE

    def __init__(self, channels: tuple[_Channel, ...]) -> None:
        """Keep the channels; nothing is opened yet."""
        self._channels = channels
        self._open: list[tuple[Rail, tuple[NumberFile, ...]]] = []

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rails by label."""
        return tuple(channel.rail for channel in self._channels)

    def __enter__(self) -> Ina3221Meter:
        """Open the files of all channels."""
        try:
            for channel in self._channels:
                self._open.append((channel.rail, open_all(channel.paths)))
        except OSError as error:
            self._close()
            raise MeasureError(
                f"INA3221: {describe_failure(error)}",
                hint=_open_hint(error),
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        self._close()

    def take(self) -> UnparsedReadings:
        """Take one reading of each rail, stamped in the middle of its conversion."""
        taken = [_take_channel(rail, files) for rail, files in self._open]
        return lambda: tuple(map(_parse_channel, taken))

    def read(self) -> tuple[MeterReading, ...]:
        """Return one reading of each rail."""
        return self.take()()

    def _close(self) -> None:
        for _, files in self._open:
            close_all(files)
        self._open = []


def _open_hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            "the kernel shows it to root alone: as root, chmod a+r its in*_input, curr*_input and "
            "power*_input files (until the next boot)"
        )
    return "the sensor has gone since it was found: look at dmesg for ina3221"


def find_ina3221(roots: SystemRoots) -> Ina3221Meter | AbsentSource:
    """Look for channels with labels and try the total once."""
    folders = roots.found(_FOLDERS)
    channels = tuple(
        channel
        for folder in folders
        for number in _CHANNELS
        if (channel := _find_channel(folder, number)) is not None
    )
    meter = Ina3221Meter(channels)
    reason = "no INA3221 is bound to its hwmon driver" if not folders else _why_not(meter)
    return AbsentSource(source=PowerSource.INA3221, reason=reason) if reason else meter


def _why_not(meter: Ina3221Meter) -> str | None:
    names = ", ".join(rail.name for rail in meter.rails) or "none"
    totals = {rail.name for rail in total_rails(meter.rails)}
    if not totals:
        wanted = " or ".join(MODULE_INPUT_RAILS)
        return f"no channel is the input of the module ({wanted}); labelled channels: {names}"
    try:
        with meter:
            failed = [r for r in meter.read() if isinstance(r, DeadReading) and r.rail in totals]
    except MeasureError as error:
        return str(error)
    return f"{failed[0].rail}: {failed[0].reason}" if failed else None


def _find_channel(folder: Path, number: int) -> _Channel | None:
    label = read_text(folder / f"in{number}_label")
    if not label or label == "NC":
        return None
    power = folder / f"power{number}_input"
    voltage, current = folder / f"in{number}_input", folder / f"curr{number}_input"
    paths = (power,) if power.exists() else (voltage, current)
    if not all(path.exists() for path in paths):
        return None
    return _Channel(rail=_build_rail(label, folder, number), paths=paths)


def _build_rail(label: str, folder: Path, number: int) -> Rail:
    try:
        volt = read_number(folder / f"in{number}_input") / 1e3
    except (OSError, ValueError):
        volt = 5.0  # nominal: it only scales the step and the offset bound below
    try:
        shunt_ohm = read_number(folder / f"shunt{number}_resistor") / 1e6
    except (OSError, ValueError):
        shunt_ohm = _USUAL_SHUNT_OHM
    averaging = _folder_averaging(folder) or UNKNOWN_AVERAGING
    ampere_per_volt = 1 / (shunt_ohm if shunt_ohm > 0 else _USUAL_SHUNT_OHM)
    return Rail(
        name=label,
        source=PowerSource.INA3221,
        sensor=SENSOR,
        unit=Unit.WATTS,
        role=RailRole.TOTAL if label in MODULE_INPUT_RAILS else RailRole.PART,
        step=_SHUNT_STEP_V * ampere_per_volt * volt,
        offset_bound_w=_SHUNT_OFFSET_V * ampere_per_volt * volt,
        gain_bound=GAIN_BOUND,
        refresh_s=averaging.refresh_s,
        lag_s=averaging.lag_s,
        lag_bound_s=averaging.lag_bound_s,
    )


def _take_channel(rail: Rail, files: tuple[NumberFile, ...]) -> _Taken:
    before_ns = time.monotonic_ns()
    try:
        contents = [file.content() for file in files]
    except OSError as error:
        return rail, before_ns, describe_failure(error)
    return rail, (before_ns + time.monotonic_ns()) // 2, contents


def _parse_channel(taken: _Taken) -> MeterReading:
    rail, t_mono_ns, contents = taken
    if isinstance(contents, str):
        return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=contents)
    try:
        numbers = list(map(parse_number, contents))
    except ValueError as error:
        return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=describe_failure(error))
    # mV times mA is uW, which is also the unit of power*_input.
    return check_power(rail, t_mono_ns, math.prod(numbers) / 1e6)

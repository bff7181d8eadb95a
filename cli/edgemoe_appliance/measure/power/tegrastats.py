"""tegrastats as a child process whose lines are stamped as they come.

The lines are parsed when they are asked for, so that their cost is the caller's and is counted.
A child that ends on its own leaves dead readings behind, with what it said last.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.ina3221 import (
    GAIN_BOUND,
    MODULE_INPUT_RAILS,
    SENSOR,
    Averaging,
    read_averaging,
)
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    check_power,
    total_rails,
)
from edgemoe_appliance.measure.power.tegraline import parse_tegrastats_line
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.units import NS_PER_S

INTERVAL_MS: Final = 100  # the study's 10 Hz
_PLACES = ("usr/bin/tegrastats", "usr/local/bin/tegrastats", "home/nvidia/tegrastats")
# tegrastats reads the INA3221 of the module: 8 mA steps and at most 16 mA of offset (see
# ina3221.py) at the module's 5 V.
_STEP_W = 0.040
_OFFSET_BOUND_W = 0.080
# A line is stamped as it arrives, after it was made; how long after is not published: at most
# the time to the next one.
_FIRST_LINE_S = 3.0
_STOP_S = 2.0
_MAX_LINE_BYTES = 16 * 1024
_MAX_QUOTE = 120
# The board's own tegrastats is shown to a container whose image brings an older C library.
_NEWER_LIBRARY = (
    " (the host's tegrastats needs a newer C library than the image has; the INA3221 is read "
    "without it)"
)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line and the moment at which it arrived."""

    t_mono_ns: int
    text: str


@dataclass(frozen=True, kw_only=True)
class _End:
    """The end of the output that nobody asked for."""

    t_mono_ns: int
    reason: str


class _Child:
    """One tegrastats process and the thread that stamps its lines."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start both. Raises OSError where the program cannot be started."""
        self.arrived: queue.SimpleQueue[_Line | _End] = queue.SimpleQueue()
        self._stopping = threading.Event()
        # A session of its own: Ctrl-C is for the bench, which stops its children in order.
        self._process = subprocess.Popen(
            [*command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._follow, name="tegrastats", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process, by force if it does not listen, and the thread."""
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(_STOP_S)
        if self._process.stdout is not None and not self._thread.is_alive():
            self._process.stdout.close()

    def _follow(self) -> None:
        stdout = self._process.stdout
        last = ""
        while stdout is not None and (content := stdout.readline(_MAX_LINE_BYTES)):
            last = content.decode(errors="replace").strip()
            self.arrived.put(_Line(t_mono_ns=time.monotonic_ns(), text=last))
        if not self._stopping.is_set():
            self.arrived.put(_End(t_mono_ns=time.monotonic_ns(), reason=self._obituary(last)))

    def _obituary(self, last: str) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        code = self._process.poll()
        how = "closed its output" if code is None else f"ended with exit code {code}"
        why = _NEWER_LIBRARY if "GLIBC_" in last else ""
        return f"tegrastats {how}; its last line: {last[:_MAX_QUOTE] or 'none'}{why}"


class TegrastatsMeter:
    """The rails that tegrastats prints; each line gives one reading of each."""

    source = PowerSource.TEGRASTATS
    scope = PowerScope.MODULE

    def __init__(
        self, command: Sequence[str], rail_names: Sequence[str], averaging: Averaging
    ) -> None:
        """Keep what to start and the rails that its lines hold; nothing is started yet."""
        self._command = tuple(command)
        self._rails = tuple(_build_rail(name, averaging) for name in rail_names)
        self._child: _Child | None = None

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rails by the names that tegrastats prints."""
        return self._rails

    def __enter__(self) -> TegrastatsMeter:
        """Start tegrastats."""
        try:
            self._child = _Child(self._command)
        except OSError as error:
            raise MeasureError(
                f"{self._command[0]} cannot be started ({error.strerror})"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop tegrastats."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def read(self) -> tuple[MeterReading, ...]:
        """Return the readings of all lines that came since the last call."""
        readings: list[MeterReading] = []
        while self._child is not None and not self._child.arrived.empty():
            arrival = self._child.arrived.get_nowait()
            if isinstance(arrival, _Line):
                readings += line_readings(arrival.text, arrival.t_mono_ns, self._rails)
            else:
                readings += [_dead(arrival.t_mono_ns, r, arrival.reason) for r in self._rails]
        return tuple(readings)


def line_readings(line: str, t_mono_ns: int, rails: Sequence[Rail]) -> tuple[MeterReading, ...]:
    """Return the readings of one line: a rail that it does not hold is dead in it."""
    powers = parse_tegrastats_line(line).rails
    readings: list[MeterReading] = []
    for rail in rails:
        power = powers.get(rail.name)
        if power is None:
            readings.append(_dead(t_mono_ns, rail, f"not in the line: {line[:_MAX_QUOTE]}"))
        else:
            readings.append(check_power(rail, t_mono_ns, power.now_mw / 1e3))
    return tuple(readings)


def find_tegrastats(roots: SystemRoots) -> TegrastatsMeter | AbsentSource:
    """Look for tegrastats and start it once to learn its rails (up to 3 s)."""
    places = [roots.below(place) for place in _PLACES]
    program = next((place for place in places if os.access(place, os.X_OK)), None)
    if program is None:
        return _absent(f"no executable {places[0]}")
    command = (str(program), "--interval", str(INTERVAL_MS))
    names = _first_rails(command)
    if isinstance(names, AbsentSource):
        return names
    meter = TegrastatsMeter(command, names, read_averaging(roots))
    if total_rails(meter.rails):
        return meter
    wanted = " or ".join(MODULE_INPUT_RAILS)
    return _absent(f"prints no input of the module ({wanted}); its rails: {', '.join(names)}")


def _first_rails(command: Sequence[str]) -> tuple[str, ...] | AbsentSource:
    try:
        child = _Child(command)
    except OSError as error:
        return _absent(f"{command[0]} cannot be started ({error.strerror})")
    try:
        return _wait_for_rails(child)
    finally:
        child.stop()


def _wait_for_rails(child: _Child) -> tuple[str, ...] | AbsentSource:
    deadline_ns = time.monotonic_ns() + round(_FIRST_LINE_S * NS_PER_S)
    last = ""
    while (left_s := (deadline_ns - time.monotonic_ns()) / NS_PER_S) > 0:
        try:
            arrival = child.arrived.get(timeout=left_s)
        except queue.Empty:
            break
        if isinstance(arrival, _End):
            return _absent(arrival.reason)
        last = arrival.text
        if rails := parse_tegrastats_line(last).rails:
            return tuple(rails)
    said = f"; it said: {last[:_MAX_QUOTE]}" if last else ""
    return _absent(f"no line with a power rail within {_FIRST_LINE_S:g} s{said}")


def _build_rail(name: str, averaging: Averaging) -> Rail:
    return Rail(
        name=name,
        source=PowerSource.TEGRASTATS,
        sensor=SENSOR,
        unit=Unit.WATTS,
        role=RailRole.TOTAL if name in MODULE_INPUT_RAILS else RailRole.PART,
        step=_STEP_W,
        offset_bound_w=_OFFSET_BOUND_W,
        gain_bound=GAIN_BOUND,
        refresh_s=averaging.refresh_s,
        lag_s=averaging.lag_s,
        lag_bound_s=averaging.lag_bound_s,
        late_s=INTERVAL_MS / 1e3,
    )


def _dead(t_mono_ns: int, rail: Rail, reason: str) -> DeadReading:
    return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=reason)


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.TEGRASTATS, reason=reason)

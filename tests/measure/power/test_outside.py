"""An outside meter: a real program as the meter, whose power and clock are known.

Its power follows a file that the load of the test writes, so that nothing rests on how busy the
machine is; its clock is a million seconds off.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest

from edgemoe_appliance.errors import ConfigError, MeasureError
from edgemoe_appliance.measure.energy import WindowEnergy, window_energy
from edgemoe_appliance.measure.power import outside
from edgemoe_appliance.measure.power.alignment import Alignment
from edgemoe_appliance.measure.power.child import ChildLine
from edgemoe_appliance.measure.power.discovery import discover_power_sources
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerReading,
    PowerScope,
)
from edgemoe_appliance.measure.power.outside import (
    BusyCores,
    OutsideMeterSource,
    find_outside,
    parse_reading,
)
from edgemoe_appliance.measure.railtrace import build_trace
from edgemoe_appliance.schema.configs import (
    Catalogue,
    Configs,
    OutsideMeter,
    PowerSource,
    read_configs,
)
from edgemoe_appliance.schema.records import Phase, Window
from edgemoe_appliance.schema.resources import resource_folder

OFFSET_S = 1e6
IDLE_W, BUSY_W = 4.0, 10.0
# Reads the load, the clock and the load again: what it prints was so at the moment it says.
METER = """
import json, sys, time
flag, settings = sys.argv[1], json.loads(sys.argv[2])
held = []
def load():
    try:
        return open(flag).read() == "on"
    except OSError:
        return False
print("time_s;power_w", flush=True)
while True:
    before = load(); now = time.monotonic(); after = load()
    if before == after:
        watts = 10.0 if before and settings["follows"] else 4.0
        watts += 0.05 * (int(now * 977) % 7 - 3)
        held.append((now, f"{now + 1e6};{watts:.3f}"))
    while held and held[0][0] <= now - settings["delay_s"]:
        print(held.pop(0)[1], flush=True)
    time.sleep(settings["period_s"])
"""


class FileLoad:
    """A load that the fake meter sees: the word in a file."""

    def __init__(self, flag: Path) -> None:
        self._flag = flag

    def __enter__(self) -> FileLoad:
        self.switch(on=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.switch(on=False)

    def switch(self, on: bool) -> None:
        fresh = self._flag.with_suffix(".new")
        fresh.write_text("on" if on else "off")
        fresh.replace(self._flag)


@contextmanager
def opened(
    folder: Path, *, delay_s: float = 0.0, period_s: float = 0.05, follows: bool = True
) -> Iterator[tuple[OutsideMeterSource, FileLoad]]:
    settings = {"delay_s": delay_s, "period_s": period_s, "follows": follows}
    meter = OutsideMeter(
        command=(sys.executable, "-c", METER, str(folder / "load"), json.dumps(settings)),
        gain_bound=0.001,
        offset_bound_w=0.001,
    )
    load = FileLoad(folder / "load")
    with OutsideMeterSource(meter, lambda: load) as source:
        yield source, load


@pytest.mark.parametrize("delay_s", [0.0, 1.5])
def test_readings_are_put_on_our_clock_to_within_the_stated_bound(
    tmp_path: Path, delay_s: float
) -> None:
    with opened(tmp_path, delay_s=delay_s) as (source, load):
        (rail,) = source.rails
        assert rail.late_s < 0.6
        assert rail.arrives_s >= delay_s
        found: list[MeterReading] = list(source.read())
        time.sleep(0.5)
        start_ns = time.monotonic_ns()
        load.switch(on=True)
        time.sleep(2.0)
        load.switch(on=False)
        end_ns = time.monotonic_ns()
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s and not covers(found, end_ns + 500_000_000):
            time.sleep(0.05)
            found += source.read()
    high = [r.t_mono_ns for r in found if isinstance(r, PowerReading) and r.power_w > 7]
    tolerance_ns = (rail.late_s + rail.refresh_s) * 1e9
    assert abs(high[0] - start_ns) <= tolerance_ns + gap_ns(found, start_ns)
    assert abs(high[-1] - end_ns) <= tolerance_ns + gap_ns(found, end_ns)
    trace = build_trace(found, rail)
    window = Window(phase=Phase.GENERATE, start_ns=start_ns, end_ns=end_ns)
    energy = window_energy(trace, window)
    assert isinstance(energy, WindowEnergy)
    truth_j = BUSY_W * window.duration_s
    missed_j = (BUSY_W - IDLE_W) * 2 * rail.late_s
    assert abs(energy.energy_j - truth_j) <= missed_j + 0.05 * truth_j


def covers(found: list[MeterReading], moment_ns: int) -> bool:
    return any(isinstance(r, PowerReading) and r.t_mono_ns >= moment_ns for r in found)


def gap_ns(found: list[MeterReading], moment_ns: int) -> float:
    """Return how far from a moment the meter was silent, as it may be on a busy machine."""
    times = [r.t_mono_ns for r in found if isinstance(r, PowerReading)]
    before = max((t for t in times if t <= moment_ns), default=moment_ns)
    after = min((t for t in times if t >= moment_ns), default=moment_ns)
    return float(after - before)


def test_a_meter_of_another_machine_is_absent(tmp_path: Path) -> None:
    said = "do not follow a load of all cores"
    with pytest.raises(MeasureError, match=said), opened(tmp_path, follows=False):
        pass


HOSTILE = [
    ("exit 7", "ended with exit code 7"),
    ("while :; do echo hello; sleep 0.1; done", "0 lines with a time and watts"),
    ("sleep 60", "0 lines with a time and watts"),
    ("while :; do echo 5,3.0; sleep 0.05; done", "clock does not move"),
    ("head -c 400000 /dev/urandom; sleep 60", "0 lines with a time and watts"),
]


@pytest.mark.parametrize(("script", "why"), HOSTILE)
def test_hostile_output_is_absent_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setattr(outside, "_FIRST_LINES_S", 1.0)
    meter = OutsideMeter(command=("/bin/sh", "-c", script))
    source = OutsideMeterSource(meter, lambda: FileLoad(tmp_path / "load"))
    with pytest.raises(MeasureError, match=why), source:
        pass


def clock(meter: OutsideMeterSource, bound_s: float = 0.1) -> None:
    """Give a meter a clock that stands a million seconds off, without waiting for one."""
    seen = [reading(0.1 * n, 5.0) for n in range(10)]
    alignment = Alignment(offset_s=0.0, bound_s=bound_s, correlation=1.0, rise_w=5.0)
    meter._clock = outside._Clock(alignment, -OFFSET_S, seen, 0.1)


def reading(moment_s: float, power_w: float, late_s: float = 0.0) -> outside.RawReading:
    return outside.RawReading(
        time_s=OFFSET_S + moment_s,
        power_w=power_w,
        arrived_ns=round((moment_s + late_s) * 1e9),
    )


def placed(*readings: outside.RawReading) -> list[MeterReading]:
    source = OutsideMeterSource(OutsideMeter(command=("meter",)))
    clock(source)
    assert source._clock is not None
    return [source._clock.place(one, source.rails[0]) for one in readings]


def dead(found: MeterReading) -> str:
    assert isinstance(found, DeadReading)
    return found.reason


def test_a_clock_that_leaves_its_place_is_not_followed() -> None:
    good, ahead = placed(reading(1.0, 5.0), reading(9.0, 5.0, late_s=-2.0))
    assert isinstance(good, PowerReading)
    assert good.t_mono_ns == 1_000_000_000
    assert "2.00 s ahead" in dead(ahead)
    slow = placed(*(reading(0.1 * n, 5.0, late_s=1.0) for n in range(1, 40)))
    assert isinstance(slow[0], PowerReading)  # one may come late
    assert "1.00 s behind" in dead(slow[-1])


def test_a_clock_that_goes_back_and_impossible_powers_are_dead() -> None:
    found = placed(reading(2.0, 5.0), reading(1.0, 5.0), reading(3.0, -1.0), reading(4.0, 0.0))
    assert "went back" in dead(found[1])
    assert "impossible" in dead(found[2])
    assert "impossible" in dead(found[3])


LINES = [
    ({}, "12.5,3.25", (12.5, 3.25)),
    ({}, "12.5; 3.25 ; 20.1", (12.5, 3.25)),
    ({}, "12.5\t3.25", (12.5, 3.25)),
    ({"time_unit_s": 0.001}, "12500 3.25", (12.5, 3.25)),
    ({"time_column": 2, "watts_column": 0}, "3.25,5.1,12.5", (12.5, 3.25)),
    ({}, "1970-01-01T00:00:12.500Z,3.25", (12.5, 3.25)),
    ({}, "time_s,power_w", None),
    ({}, "12.5", None),
    ({}, "12.5,nan", None),
    ({}, "inf,3", None),
    ({}, "", None),
]


@pytest.mark.parametrize(("settings", "text", "expected"), LINES)
def test_lines(settings: dict[str, float], text: str, expected: tuple[float, float] | None) -> None:
    meter = OutsideMeter.model_validate({"command": ["meter"], **settings})
    found = parse_reading(meter, ChildLine(t_mono_ns=1, content=text.encode()))
    assert (None if found is None else (found.time_s, found.power_w)) == expected


def test_a_file_is_followed_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log of a meter.csv"
    assert isinstance(find_outside(OutsideMeter(file=str(log))), AbsentSource)
    log.write_text("old,1\n")
    found = find_outside(OutsideMeter(file=str(log)))
    assert isinstance(found, OutsideMeterSource)
    assert OutsideMeter(file=str(log)).words[-2:] == ("--", str(log))


@pytest.mark.parametrize(
    ("meter", "why"),
    [
        (None, "none is declared"),
        (OutsideMeter(command=("no-such-meter",)), "no program no-such-meter"),
    ],
)
def test_what_is_not_there_is_absent(meter: OutsideMeter | None, why: str) -> None:
    found = find_outside(meter)
    assert isinstance(found, AbsentSource)
    assert why in found.reason


@pytest.mark.parametrize(
    ("rank", "order"),
    [
        ("primary", (PowerSource.METER, PowerSource.INA3221, PowerSource.TEGRASTATS)),
        ("cross-check", (PowerSource.INA3221, PowerSource.TEGRASTATS, PowerSource.METER)),
    ],
)
def test_configuration_gives_it_its_rank(
    configs: Configs, rank: str, order: tuple[PowerSource, ...]
) -> None:
    meter = OutsideMeter.model_validate({"command": ["meter"], "rank": rank, "covers": "module"})
    target = configs.target("jetson").with_meter(meter)
    assert target.power_sources == order
    assert target.with_meter(meter).power_sources == order
    found = discover_power_sources((PowerSource.METER,), meter=target.meter, system="Linux")
    assert "no program meter" in found.absent[PowerSource.METER]
    assert OutsideMeterSource(meter).scope is PowerScope.MODULE


def test_the_load_of_all_cores_is_held_let_go_and_ended() -> None:
    with BusyCores() as load:
        processes = list(load._processes)
        assert processes
        wait_for(lambda: all(state(p.pid) == "T" for p in processes))
        load.switch(on=True)
        wait_for(lambda: all(state(p.pid) == "R" for p in processes))
        load.switch(on=False)
        wait_for(lambda: all(state(p.pid) == "T" for p in processes))
    assert all(process.poll() is not None for process in processes)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("meters: {toaster: {command: [meter]}}", "unknown target 'toaster'"),
        ("meters: {host: {rank: primary}}", "needs a command"),
        ("meters: {host: {command: [m], watts_column: 0}}", "time and watts are in one column"),
        ("{}", "names neither targets nor meters"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, text: str, why: str) -> None:
    own = tmp_path / "devices.yaml"
    own.write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_configs(resource_folder("configs"), Catalogue(models=(), devices=(own,)))


def test_a_declared_meter_belongs_to_its_target(tmp_path: Path) -> None:
    own = tmp_path / "devices.yaml"
    own.write_text("meters: {m2: {command: [meter, --fast]}}")
    configs = read_configs(resource_folder("configs"), Catalogue(models=(), devices=(own,)))
    assert configs.target("m2").power_sources == (PowerSource.METER,)
    assert configs.target("host").meter is None

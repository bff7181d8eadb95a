"""The time before a run, with sleeping that only takes notes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgemoe_appliance.errors import InterruptedByUserError
from edgemoe_appliance.measure.cooldown import CooldownEnd
from edgemoe_appliance.measure.instruments import Instruments
from edgemoe_appliance.measure.pause import IDLE_WINDOW_S, Pause, Pauses, margin_s
from edgemoe_appliance.measure.power.interface import MeterReading
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.schema.configs import Cooldown, CooldownRule, PowerSource
from tests.measure.instruments_for_tests import (
    Meter,
    a_heat,
    a_rail,
    discovery,
    some_instruments,
)

NONE = Cooldown(rule=CooldownRule.NONE)
JUNCTION = Cooldown(rule=CooldownRule.JUNCTION, seconds=0.2, tolerance_c=1.0)


def nothing() -> tuple[MeterReading, ...]:
    return ()


def powered() -> Instruments:
    return some_instruments(power=discovery(Meter(nothing)))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.slept.append(duration_s)

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)


def paused(cooldown: Cooldown, instruments: Instruments, runs: int) -> tuple[Pause, list[float]]:
    """Return the last of several pauses, and how long it slept each time."""
    clock = Clock()
    pauses = Pauses(cooldown, instruments, margin_s=0.25, sleep=clock.sleep, now_ns=clock.now_ns)
    for _ in range(runs):
        clock.slept.clear()
        sampler = Sampler(instruments, period_s=60)
        pause = pauses.before_run(sampler)
        sampler.close()
        assert sampler.report().samples
    return pause, clock.slept


def test_without_power_nothing_is_waited_for() -> None:
    pause, slept = paused(NONE, some_instruments(), runs=1)
    assert (pause.outcome, pause.idle, slept) == (None, None, [])


def test_before_the_first_run_idle_power_is_read_and_nothing_cools() -> None:
    pause, slept = paused(Cooldown(rule=CooldownRule.FIXED, seconds=30), powered(), runs=1)
    assert pause.outcome is None
    assert slept == [0.25, IDLE_WINDOW_S]
    assert pause.idle is not None
    assert pause.paused_s == 0


def test_the_idle_window_follows_a_pause_by_temperature() -> None:
    pause, slept = paused(NONE, powered(), runs=2)
    assert pause.outcome is not None
    assert pause.outcome.end is CooldownEnd.NONE_ASKED
    assert slept == [0.25, IDLE_WINDOW_S]


@pytest.mark.parametrize(
    ("seconds", "idle_s"), [(3.0, IDLE_WINDOW_S), (9.0, 3.0), (30.0, 10.0), (300.0, 10.0)]
)
def test_the_idle_window_is_the_end_of_a_fixed_pause(seconds: float, idle_s: float) -> None:
    cooldown = Cooldown(rule=CooldownRule.FIXED, seconds=seconds)
    pause, slept = paused(cooldown, powered(), runs=2)
    assert pause.idle is not None
    assert pause.idle.duration_s == pytest.approx(idle_s)
    assert sum(slept) == pytest.approx(seconds)
    assert pause.paused_s == pytest.approx(seconds)


def test_a_fixed_pause_without_power_is_as_long() -> None:
    pause, slept = paused(Cooldown(rule=CooldownRule.FIXED, seconds=30), some_instruments(), runs=2)
    assert slept == [30]
    assert (pause.paused_s, pause.idle) == (30, None)


def test_a_rule_without_a_sensor_says_so() -> None:
    pause, _ = paused(JUNCTION, some_instruments(), runs=2)
    assert pause.outcome is not None
    assert pause.outcome.end is CooldownEnd.NO_SENSOR


def test_the_die_cools_to_what_it_was_before_the_first_run(tmp_path: Path) -> None:
    temp = tmp_path / "temp"
    temp.write_text("45000\n")
    instruments = some_instruments(heat=a_heat(temps={"tj-thermal": temp}))
    pauses = Pauses(JUNCTION, instruments, margin_s=0, sleep=lambda _: cool(temp))
    sampler = Sampler(instruments, period_s=60)
    pauses.before_run(sampler)
    sampler.close()
    temp.write_text("60000\n")
    sampler = Sampler(instruments, period_s=60)
    outcome = pauses.before_run(sampler).outcome
    sampler.close()
    assert outcome is not None
    assert (outcome.reference_c, outcome.start_c, outcome.end) == (45.0, 60.0, CooldownEnd.COOL)


def cool(temp: Path) -> None:
    temp.write_text(f"{int(temp.read_text()) - 5000}\n")


def test_a_wish_to_stop_ends_the_pause() -> None:
    def stop(_duration_s: float) -> None:
        raise InterruptedByUserError("stopped")

    instruments = powered()
    sampler = Sampler(instruments, period_s=60)
    with pytest.raises(InterruptedByUserError):
        Pauses(NONE, instruments, margin_s=0.1, sleep=stop).before_run(sampler)
    sampler.close()


@pytest.mark.parametrize(
    ("refresh_s", "period_s", "margin"), [(0.0066, 0.1, 0.25), (0.0066, 0.5, 0.5), (1.0, 0.1, 2.0)]
)
def test_the_margin_holds_readings_beyond_the_edges(
    refresh_s: float, period_s: float, margin: float
) -> None:
    rail = dataclasses.replace(a_rail(source=PowerSource.NVML), refresh_s=refresh_s)
    meter = Meter(nothing, source=PowerSource.NVML, rails=(rail,))
    assert margin_s(some_instruments(power=discovery(meter)), period_s) == margin
    assert margin_s(some_instruments(), period_s) == 0

"""Pauses by rule on a replayed trace of temperatures, with a clock that is passed in."""

from __future__ import annotations

import pytest

from edgemoe_appliance.errors import InterruptedByUserError
from edgemoe_appliance.measure.cooldown import (
    CooldownEnd,
    CooldownOutcome,
    cool_down,
    extra_repetitions,
)
from edgemoe_appliance.schema.configs import Cooldown, CooldownRule, ThermalRule

JUNCTION = Cooldown(rule=CooldownRule.JUNCTION, seconds=60, tolerance_c=1.0)


class Replay:
    """A clock that only sleeping moves, and a die that cools by 0.2 degrees a second."""

    def __init__(self, start_c: float | None, floor_c: float = 40.0) -> None:
        self.now_s = 100.0
        self.start_c = start_c
        self.floor_c = floor_c
        self.looks = 0

    def sleep(self, duration_s: float) -> None:
        assert duration_s > 0
        self.now_s += duration_s

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def read_c(self) -> float | None:
        self.looks += 1
        if self.start_c is None:
            return None
        return max(self.floor_c, self.start_c - 0.2 * (self.now_s - 100.0))

    def run(self, rule: Cooldown, reference_c: float | None) -> CooldownOutcome:
        return cool_down(rule, reference_c, self.read_c, sleep=self.sleep, now_ns=self.now_ns)


def test_no_rule_does_not_wait() -> None:
    outcome = Replay(55.0).run(Cooldown(rule=CooldownRule.NONE), 45.0)
    assert (outcome.end, outcome.waited_s) == (CooldownEnd.NONE_ASKED, 0.0)
    assert outcome.start_c == outcome.end_c == 55.0


def test_fixed_time_is_waited_whatever_the_temperature() -> None:
    replay = Replay(41.0)
    outcome = replay.run(Cooldown(rule=CooldownRule.FIXED, seconds=30), 45.0)
    assert (outcome.end, outcome.waited_s) == (CooldownEnd.TIME, 30.0)
    assert (outcome.start_c, outcome.end_c) == (41.0, 40.0)
    assert replay.looks == 2


def test_fixed_time_needs_no_sensor() -> None:
    outcome = Replay(None).run(Cooldown(rule=CooldownRule.FIXED, seconds=30), None)
    assert (outcome.end, outcome.end_c) == (CooldownEnd.TIME, None)


def test_junction_waits_until_the_die_is_within_the_tolerance() -> None:
    outcome = Replay(52.0).run(JUNCTION, 45.0)
    assert outcome.end is CooldownEnd.COOL
    # 6 degrees at 0.2 a second.
    assert outcome.waited_s == pytest.approx(30.0, abs=0.5)
    assert outcome.end_c == pytest.approx(46.0, abs=0.1)
    assert (outcome.reference_c, outcome.start_c) == (45.0, 52.0)


def test_junction_that_is_cool_already_does_not_wait() -> None:
    assert Replay(45.9).run(JUNCTION, 45.0).waited_s == 0.0


def test_junction_gives_up_at_the_cap() -> None:
    outcome = Replay(70.0, floor_c=60.0).run(JUNCTION, 45.0)
    assert (outcome.end, outcome.waited_s) == (CooldownEnd.CAP, 60.0)
    assert outcome.end_c == 60.0


@pytest.mark.parametrize(("reference_c", "start_c"), [(None, 50.0), (45.0, None)])
def test_junction_without_a_temperature_says_so(
    reference_c: float | None, start_c: float | None
) -> None:
    outcome = Replay(start_c).run(JUNCTION, reference_c)
    assert (outcome.end, outcome.waited_s) == (CooldownEnd.NO_SENSOR, 0.0)


def test_sensor_lost_while_waiting_leads_to_the_cap() -> None:
    replay = Replay(52.0)

    def sleep_and_lose(duration_s: float) -> None:
        replay.sleep(duration_s)
        replay.start_c = None

    outcome = cool_down(JUNCTION, 45.0, replay.read_c, sleep=sleep_and_lose, now_ns=replay.now_ns)
    assert (outcome.end, outcome.end_c) == (CooldownEnd.CAP, None)


def test_stopping_goes_through() -> None:
    def stop(_: float) -> None:
        raise InterruptedByUserError("stopped")

    replay = Replay(52.0)
    with pytest.raises(InterruptedByUserError):
        cool_down(JUNCTION, 45.0, replay.read_c, sleep=stop, now_ns=replay.now_ns)


STUDY_RULE = ThermalRule(threshold_c=60, repetitions=5)


@pytest.mark.parametrize(
    ("peaks_c", "planned", "extra"),
    [
        ([52.1, 55.5], 3, 0),
        ([52.1, 60.0], 3, 0),
        ([52.1, 60.1], 3, 2),
        ([61.0, 62.0], 5, 0),
        ([61.0], 10, 0),
        ([None, None], 3, 0),
        ([None, 61.0], 3, 2),
        ([], 3, 0),
    ],
)
def test_a_hot_run_raises_the_repetitions_of_its_model(
    peaks_c: list[float | None], planned: int, extra: int
) -> None:
    assert extra_repetitions(STUDY_RULE, peaks_c, planned) == extra

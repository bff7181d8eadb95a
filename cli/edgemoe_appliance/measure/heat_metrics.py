"""Temperatures, throttling and the pause of one run as metrics and caveats. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edgemoe_appliance.measure.cooldown import CooldownEnd
from edgemoe_appliance.measure.heat import ThrottleReading, check_throttling, hottest_on_die
from edgemoe_appliance.measure.pause import Pause
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.measure.sampler import SystemSample
from edgemoe_appliance.schema.records import Caveat

_TEMPERATURES = ("temp_start_c", "temp_peak_c", "temp_end_c")


def put_heat(
    readings: Readings, samples: Sequence[SystemSample], throttle: Sequence[ThrottleReading]
) -> tuple[Caveat, ...]:
    """Put the temperatures of the die and what throttling there was; return its caveat."""
    hottest = [hottest_on_die(sample.heat.temps_c) for sample in samples if sample.heat is not None]
    temps_c = [die.temp_c for die in hottest if die is not None]
    if temps_c:
        for key, temp_c in zip(_TEMPERATURES, (temps_c[0], max(temps_c), temps_c[-1]), strict=True):
            readings.put(key, temp_c, "")
    else:
        readings.put_absent(_TEMPERATURES, "this machine shows no temperature of its die")
    caveats = check_throttling(throttle)
    events = sum(sum(caveat.numbers.values()) for caveat in caveats)
    why_not = _why_unseen(throttle)
    # What was seen was seen; that there was nothing is known only where all of it could be read.
    readings.put("throttle_events", None if not events and why_not else events, why_not or "")
    return caveats


def _why_unseen(throttle: Sequence[ThrottleReading]) -> str | None:
    """Return why throttling could have gone unseen, or None where every source of it was read."""
    if not any(reading.states or reading.counts or reading.unread for reading in throttle):
        return "this machine shows no throttling"
    unread = {name: why for reading in throttle for name, why in reading.unread.items()}
    if not unread:
        return None
    name, why = next(iter(unread.items()))
    more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    return f"what would show it cannot be read here: {name}{more} ({why})"


def put_pause(readings: Readings, pause: Pause) -> tuple[Caveat, ...]:
    """Put the length of the pause; return a caveat where there was no temperature to wait for."""
    outcome = pause.outcome
    if outcome is None:
        readings.put_absent(("cooldown_s",), "the first run of its measuring period")
        return ()
    readings.put("cooldown_s", pause.paused_s, "")
    if outcome.end is not CooldownEnd.NO_SENSOR:
        return ()
    text = "the target's rule waits for the junction, and this machine shows no temperature of it"
    return (Caveat(code="cooldown-no-sensor", text=text),)

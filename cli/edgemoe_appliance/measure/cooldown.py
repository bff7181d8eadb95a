"""The pause between runs by rule, and the rule that repeats a model that ran hot.

Clock and thermometer are passed in; what happened is returned, never only waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.schema.configs import Cooldown, CooldownRule, ThermalRule
from edgemoe_appliance.schema.units import NS_PER_S

# Dies cool over tens of seconds; looking more often would only keep the machine awake.
_LOOK_EVERY_S = 0.5


class CooldownEnd(str, Enum):
    """What ended a pause."""

    NONE_ASKED = "no pause asked for"
    TIME = "the fixed time"
    COOL = "back near the start temperature"
    CAP = "the cap"
    NO_SENSOR = "no temperature to wait for"


@dataclass(frozen=True, kw_only=True)
class CooldownOutcome:
    """One pause; a temperature is None where there was no reading."""

    rule: CooldownRule
    end: CooldownEnd
    waited_s: float
    reference_c: float | None
    start_c: float | None
    end_c: float | None


def cool_down(
    cooldown: Cooldown,
    reference_c: float | None,
    read_c: Callable[[], float | None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> CooldownOutcome:
    """Pause by rule and return what happened.

    `reference_c` is the die before the first run. Without it, or without a first reading, the
    junction rule has nothing to wait for and says so. What `sleep` raises goes through.
    """
    started_ns = now_ns()
    start_c = read_c()
    limit_ns = started_ns + round(cooldown.seconds * NS_PER_S)
    end = _first_end(cooldown, reference_c, start_c)
    last_c = start_c
    while end is None:
        left_s = (limit_ns - now_ns()) / NS_PER_S
        if left_s <= 0:
            is_fixed = cooldown.rule is CooldownRule.FIXED
            end = CooldownEnd.TIME if is_fixed else CooldownEnd.CAP
            break
        sleep(left_s if cooldown.rule is CooldownRule.FIXED else min(left_s, _LOOK_EVERY_S))
        last_c = read_c()
        end = _cool_end(cooldown, reference_c, last_c)
    return CooldownOutcome(
        rule=cooldown.rule,
        end=end,
        waited_s=(now_ns() - started_ns) / NS_PER_S,
        reference_c=reference_c,
        start_c=start_c,
        end_c=last_c,
    )


def _first_end(
    cooldown: Cooldown, reference_c: float | None, start_c: float | None
) -> CooldownEnd | None:
    if cooldown.rule is CooldownRule.NONE:
        return CooldownEnd.NONE_ASKED
    if cooldown.rule is CooldownRule.JUNCTION and (reference_c is None or start_c is None):
        return CooldownEnd.NO_SENSOR
    return _cool_end(cooldown, reference_c, start_c)


def _cool_end(
    cooldown: Cooldown, reference_c: float | None, now_c: float | None
) -> CooldownEnd | None:
    if cooldown.rule is not CooldownRule.JUNCTION or reference_c is None or now_c is None:
        return None
    return CooldownEnd.COOL if now_c <= reference_c + cooldown.tolerance_c else None


def extra_repetitions(rule: ThermalRule, peaks_c: Iterable[float | None], planned: int) -> int:
    """Return how many repetitions a model gets on top of the planned ones.

    Any peak above the threshold raises them to those of the rule (study: 60 C, 3 to 5). Runs
    without a temperature raise nothing.
    """
    crossed = any(peak_c is not None and peak_c > rule.threshold_c for peak_c in peaks_c)
    return max(0, rule.repetitions - planned) if crossed else 0

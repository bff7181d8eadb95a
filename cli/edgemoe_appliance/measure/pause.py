"""The time before a run: the target's cool-down, and the window in which idle power is read.

Where nothing reads power there is no idle window, and no time is spent on one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.measure.cooldown import CooldownOutcome, cool_down
from edgemoe_appliance.measure.instruments import Instruments
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.schema.configs import Cooldown, CooldownRule
from edgemoe_appliance.schema.records import Phase, Window

IDLE_WINDOW_S: Final = 2.0
# Of a fixed pause, its last third is the idle window, where that is longer: at most this.
_LONGEST_IDLE_S: Final = 10.0
_IDLE_SHARE: Final = 1 / 3
# tegrastats prints a line every 0.1 s, at its own times: two of them lie beyond each edge.
_LEAST_MARGIN_S: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Pause:
    """What preceded a run: `outcome` is None before the first, `idle` where there is no power.

    `paused_s` is the time of the rule, with the idle window where that is a part of it.
    """

    outcome: CooldownOutcome | None
    paused_s: float
    idle: Window | None


def margin_s(instruments: Instruments, period_s: float) -> float:
    """Return how long power is read beyond the edges of a run; 0 where it is not read."""
    refresh_s = instruments.power_refresh_s
    if refresh_s is None:
        return 0.0
    return max(period_s, 2 * refresh_s, _LEAST_MARGIN_S) + instruments.power_arrives_s


class Pauses:
    """The pauses of one measuring period; remembers how warm the die was before the first run."""

    def __init__(
        self,
        cooldown: Cooldown,
        instruments: Instruments,
        *,
        margin_s: float,
        sleep: Callable[[float], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Take the target's rule; `sleep` may raise to stop."""
        self._cooldown = cooldown
        self._instruments = instruments
        self._margin_s = margin_s
        self._sleep = sleep
        self._now_ns = now_ns
        self._reference_c: float | None = None
        self._is_first = True

    def before_run(self, sampler: Sampler) -> Pause:
        """Pause by rule and start the sampler; it runs when this returns."""
        outcome, idle_s = None, IDLE_WINDOW_S
        if self._is_first:
            self._is_first = False
            self._reference_c = self._instruments.read_die_c()
        else:
            idle_s = self._idle_s()
            outcome = self._cool_down(idle_s)
        idle = self._idle(sampler, idle_s)
        paused_s = 0.0 if outcome is None else outcome.waited_s
        if outcome is not None and self._is_inside and idle is not None:
            paused_s += self._margin_s + idle.duration_s
        return Pause(outcome=outcome, paused_s=paused_s, idle=idle)

    @property
    def _is_inside(self) -> bool:
        """Return whether the idle window is a part of the pause, not after it."""
        return self._cooldown.rule is CooldownRule.FIXED

    def _idle_s(self) -> float:
        if not self._is_inside:
            return IDLE_WINDOW_S
        return max(IDLE_WINDOW_S, min(_LONGEST_IDLE_S, _IDLE_SHARE * self._cooldown.seconds))

    def _cool_down(self, idle_s: float) -> CooldownOutcome:
        rule = self._cooldown
        if self._is_inside and self._instruments.power.primary is not None:
            seconds = max(0.0, rule.seconds - self._margin_s - idle_s)
            rule = rule.model_copy(update={"seconds": seconds})
        read_c = self._instruments.read_die_c
        return cool_down(rule, self._reference_c, read_c, sleep=self._sleep, now_ns=self._now_ns)

    def _idle(self, sampler: Sampler, idle_s: float) -> Window | None:
        sampler.start()
        if self._instruments.power.primary is None:
            return None
        self._sleep(self._margin_s)
        start_ns = self._now_ns()
        self._sleep(idle_s)
        return Window(phase=Phase.IDLE, start_ns=start_ns, end_ns=self._now_ns())

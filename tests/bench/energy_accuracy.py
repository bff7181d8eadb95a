"""Energy error and stated uncertainty on synthetic loads whose integral is known exactly.

`python -m tests.bench.energy_accuracy [CASES]` prints two tables. In the loads of the first above
the line sudden changes add up to at most 0.4 of the base power in 5 s (the study's peaks are 10 to
29 % above its means): a sampled step is uncertain by half a period times its height, whatever the
method. The rows below the line break that rule and show what it costs.

The second table has loads shaped like a run (idle, load, prompt, tokens, idle) and the sensors as
they are: averaging of 1 to 512 samples by the chip, lines of tegrastats that come late, tokens at
a rate near a multiple of the readings'. It has a row for each window of the run, since a sensor
that lags hurts the short ones most.
"""

from __future__ import annotations

import math
import random
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from edgemoe_appliance.measure.energy import (
    StudyEnergy,
    WindowEnergy,
    left_riemann,
    window_energy,
)
from edgemoe_appliance.measure.power.ina3221 import parse_averaging
from edgemoe_appliance.measure.power.interface import PowerReading, Rail, RailRole
from edgemoe_appliance.measure.power.tegrastats import INTERVAL_MS
from edgemoe_appliance.measure.railtrace import RailTrace, build_trace
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.records import Phase, Window
from edgemoe_appliance.schema.units import NS_PER_S

RATES_HZ = (10.0, 100.0)
LONG_WINDOW_S = 5.0
BOUND_PCT = {10.0: 0.5, 100.0: 0.1}
_SEED = 20261
_START_NS = 5_000 * NS_PER_S
_MARGIN_S = 1.0

# A sensor like the INA3221 of the module: 40 mW steps, 80 mW of offset, 0.5 % of gain.
REAL_RAIL = Rail(
    name="VDD_IN",
    source=PowerSource.INA3221,
    sensor="synthetic",
    unit=Unit.WATTS,
    role=RailRole.TOTAL,
    step=0.040,
    offset_bound_w=0.080,
    gain_bound=0.005,
    refresh_s=0.0066,
)
# The same without errors of its own, but for late time stamps: what is left is the integration.
EXACT_RAIL = replace(REAL_RAIL, step=1e-6, offset_bound_w=0.0, gain_bound=0.0, refresh_s=0.002)


@dataclass(frozen=True, kw_only=True)
class Load:
    """Power over time: straight lines between corners (s, W), with jumps, and sine ripples."""

    corners: tuple[tuple[float, float], ...]
    ripples: tuple[tuple[float, float, float], ...] = ()  # W, rad/s, rad

    def power_w(self, t_s: float) -> float:
        """Return the power at a moment."""
        index = bisect_right(self.corners, (t_s, math.inf))
        (t0, p0), (t1, p1) = self.corners[index - 1], self.corners[index]
        base_w = p0 + (p1 - p0) * (t_s - t0) / (t1 - t0)
        if not self.ripples:
            return base_w
        return base_w + sum(a * math.sin(w * t_s + f) for a, w, f in self.ripples)

    def energy_j(self, start_s: float, end_s: float) -> float:
        """Return the exact integral."""
        total_j = 0.0
        for (t0, p0), (t1, p1) in pairwise(self.corners):
            a, b = max(t0, start_s), min(t1, end_s)
            if b > a:
                total_j += (b - a) * (p0 + (p1 - p0) * ((a + b) / 2 - t0) / (t1 - t0))
        for a, w, f in self.ripples:
            total_j += a / w * (math.cos(w * start_s + f) - math.cos(w * end_s + f))
        return total_j


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a load is read: lost readings, jitter, noise, late time stamps."""

    lost_share: float = 0.0
    jitter_share: float = 0.05
    noise_share: float = 0.0
    late_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of load and how it is read; `bounded` where the bounds of the table hold."""

    name: str
    build: Callable[[random.Random, float], Load]
    sampling: Sampling
    bounded: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case: the window, both errors in percent of the true energy, and the coverage."""

    window_s: float
    error_pct: float
    study_error_pct: float
    expanded_pct: float

    @property
    def is_covered(self) -> bool:
        """Return whether the truth lies within the expanded uncertainty."""
        return abs(self.error_pct) <= self.expanded_pct


def build_constant(rng: random.Random, window_s: float) -> Load:
    """Return a load that does not change."""
    base_w = rng.uniform(6, 13)
    return Load(corners=((-_MARGIN_S, base_w), (window_s + _MARGIN_S, base_w)))


def build_steps(rng: random.Random, window_s: float) -> Load:
    """Return a step of 5 to 20 % in every 2.5 s, up and down in turn."""
    moments = sorted(rng.uniform(0, window_s) for _ in range(max(1, int(window_s / 2.5))))
    return _stairs(rng.uniform(6, 13), moments, _two_levels(rng, moments), window_s)


def build_ramps(rng: random.Random, window_s: float) -> Load:
    """Return slopes of up to 30 % with corners anywhere."""
    base_w = rng.uniform(6, 13)
    inner = sorted(rng.uniform(0, window_s) for _ in range(3))
    moments = [-_MARGIN_S, *inner, window_s + _MARGIN_S]
    return Load(corners=tuple((t, base_w * rng.uniform(0.85, 1.15)) for t in moments))


def build_bursts(rng: random.Random, window_s: float) -> Load:
    """Return a burst of 5 to 20 %, 0.2 to 1 s long, in every 5 s."""
    moments: list[float] = []
    for index in range(max(1, int(window_s / 5))):
        start_s = rng.uniform(5 * index, 5 * index + min(3.5, window_s))
        moments += [start_s, start_s + rng.uniform(0.2, 1.0)]
    return _stairs(rng.uniform(6, 13), moments, _two_levels(rng, moments), window_s)


def build_mixture(rng: random.Random, window_s: float) -> Load:
    """Return small steps on a slope with a ripple of single tokens."""
    steps = build_steps(rng, window_s)
    slope = rng.uniform(-0.1, 0.1) / window_s
    corners = tuple((t, p * (1 + slope * t) * 0.9) for t, p in steps.corners)
    return replace(build_ripple(rng, window_s), corners=corners)


def build_ripple(rng: random.Random, window_s: float) -> Load:
    """Return a constant with the ripple of 8 to 40 tokens per second, 5 % high."""
    base = build_constant(rng, window_s)
    rate = 2 * math.pi * rng.uniform(8, 40)
    ripple = (0.05 * base.corners[0][1], rate, rng.uniform(0, 2 * math.pi))
    return replace(base, ripples=(ripple,))


def build_phases(rng: random.Random, window_s: float) -> Load:
    """Return a window that is 40 % above what lies before and after, with edges to the point."""
    return _stairs(rng.uniform(6, 9), [0.0, window_s], [1.0, 1.4, 1.0], window_s)


def build_square(rng: random.Random, window_s: float) -> Load:
    """Return 40 % up and down every 0.3 to 1 s, evenly."""
    half_s = rng.uniform(0.3, 1.0)
    start_s = rng.uniform(-half_s, 0)
    moments = [start_s + half_s * n for n in range(math.ceil((window_s - start_s) / half_s))]
    levels = [1.0 + 0.4 * (index % 2) for index in range(len(moments) + 1)]
    return _stairs(rng.uniform(6, 9), moments, levels, window_s)


def _two_levels(rng: random.Random, moments: Sequence[float]) -> list[float]:
    height = rng.uniform(0.05, 0.20)
    return [1.0 + (height if index % 2 else 0.0) for index in range(len(moments) + 1)]


def _stairs(
    base_w: float, moments: Sequence[float], levels: Sequence[float], window_s: float
) -> Load:
    edges = [-_MARGIN_S, *moments, max(window_s, *moments) + _MARGIN_S]
    corners = [
        (t, base_w * level)
        for level, sides in zip(levels, pairwise(edges), strict=True)
        for t in sides
    ]
    return Load(corners=tuple(corners))


_PLAIN = Sampling()
_NOISY = Sampling(noise_share=0.005)
FAMILIES = (
    Family(name="constant", build=build_constant, sampling=_PLAIN),
    Family(name="steps", build=build_steps, sampling=_PLAIN),
    Family(name="ramps", build=build_ramps, sampling=_PLAIN),
    Family(name="bursts", build=build_bursts, sampling=_PLAIN),
    Family(name="noise 0.5 %", build=build_ramps, sampling=_NOISY),
    Family(name="10 % lost", build=build_ramps, sampling=Sampling(lost_share=0.1)),
    Family(
        name="jitter 40 %", build=build_ramps, sampling=Sampling(jitter_share=0.4, late_s=0.002)
    ),
    Family(
        name="steps, lost, jitter, noise",
        build=build_steps,
        sampling=Sampling(lost_share=0.1, jitter_share=0.4, noise_share=0.005, late_s=0.002),
        bounded=False,
    ),
    Family(name="ripple 8-40 Hz", build=build_ripple, sampling=_PLAIN, bounded=False),
    Family(name="steps, slope, ripple", build=build_mixture, sampling=_PLAIN, bounded=False),
    Family(name="edges at 40 % steps", build=build_phases, sampling=_PLAIN, bounded=False),
    Family(name="square 40 %, 0.3-1 s", build=build_square, sampling=_NOISY, bounded=False),
)


def run_case(
    family: Family, rate_hz: float, rng: random.Random, rail: Rail = EXACT_RAIL
) -> Outcome:
    """Draw a window and a load, read the load and compare with its integral."""
    window_s = math.exp(rng.uniform(math.log(0.5), math.log(30)))
    load = family.build(rng, window_s)
    trace = sample_load(load, window_s, family.sampling, rate_hz=rate_hz, rng=rng, rail=rail)
    window = Window(
        phase=Phase.GENERATE,
        start_ns=_START_NS,
        end_ns=_START_NS + round(window_s * NS_PER_S),
    )
    energy, study = window_energy(trace, window), left_riemann(trace, window)
    if not isinstance(energy, WindowEnergy) or not isinstance(study, StudyEnergy):
        raise RuntimeError(f"{family.name}: no energy over {window_s:.3f} s: {energy} {study}")
    truth_j = load.energy_j(0.0, window_s)
    return Outcome(
        window_s=window_s,
        error_pct=100 * (energy.energy_j - truth_j) / truth_j,
        study_error_pct=100 * (study.energy_j - truth_j) / truth_j,
        expanded_pct=100 * energy.uncertainty.expanded_j / truth_j,
    )


def sample_load(
    load: Load,
    window_s: float,
    sampling: Sampling,
    *,
    rate_hz: float,
    rng: random.Random,
    rail: Rail,
) -> RailTrace:
    """Return what a sensor with the errors of `rail` makes of a load, the margins included."""
    offset_w = rng.uniform(-1, 1) * (rail.offset_bound_w or 0.0)
    gain = 1 + rng.uniform(-1, 1) * (rail.gain_bound or 0.0)

    def read(t_s: float) -> PowerReading:
        t_mono_ns = _START_NS + round((t_s + rng.random() * sampling.late_s) * NS_PER_S)
        power_w = load.power_w(t_s)
        if sampling.noise_share:
            power_w += rng.gauss(0, sampling.noise_share * power_w)
        shown_w = round((gain * power_w + offset_w) / rail.step) * rail.step
        return PowerReading(t_mono_ns=t_mono_ns, rail=rail.name, power_w=shown_w)

    period_s = 1 / rate_hz
    moments = _moments(window_s, period_s, sampling.jitter_share * period_s, rng)
    kept = [t_s for t_s in moments if rng.random() >= sampling.lost_share]
    return build_trace(map(read, kept), rail)


def _moments(
    window_s: float, period_s: float, jitter_s: float, rng: random.Random
) -> Iterator[float]:
    t_s = -0.9 * _MARGIN_S + rng.random() * period_s
    while t_s < window_s + 0.9 * _MARGIN_S:
        yield t_s + rng.uniform(-jitter_s, jitter_s)
        t_s += period_s


def run_family(
    family: Family, rate_hz: float, cases: int, rail: Rail = EXACT_RAIL
) -> list[Outcome]:
    """Run cases of one family, the same ones every time."""
    rng = random.Random(f"{_SEED} {family.name} {rate_hz} {rail.step}")
    return [run_case(family, rate_hz, rng, rail) for _ in range(cases)]


def coverage_pct(outcomes: Sequence[Outcome]) -> float:
    """Return the share of cases whose truth lies within the stated uncertainty, in percent."""
    return 100 * sum(outcome.is_covered for outcome in outcomes) / len(outcomes)


def worst(values: Sequence[float], share: float = 1.0) -> float:
    """Return the largest absolute value, or the one at a share of the sorted ones."""
    ordered = sorted(map(abs, values))
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


# What is read of a run: phase, and its length in s as a share of a scale between 1 and 4 s.
_RUN = ((Phase.LOAD, 1.0), (Phase.PROMPT, 0.4), (Phase.GENERATE, 3.0), (Phase.UNLOAD, 0.15))
# Lengths of idle before and after, in s: the sensor has to come to rest first.
_IDLE_S = 12.0


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """An INA3221 by its registers, and how it is read.

    `samples` are those of its averaging, `cycle_s` is a round through the channels; `clock_off`
    is how far its own clock may be off. `in_step` readings come evenly, else at a random moment
    of each period; each is stamped up to `late_s` after it was taken.
    """

    name: str
    samples: int = 1
    cycle_s: float = 0.0066
    clock_off: float = 0.1
    period_s: float = 0.1
    in_step: bool = False
    late_s: tuple[float, float] = (0.0, 0.0)

    @property
    def rail(self) -> Rail:
        """Return the rail as the driver would describe it."""
        averaging = parse_averaging(self.samples, round(self.cycle_s, 3), channels=3)
        assert averaging is not None
        return replace(
            REAL_RAIL,
            refresh_s=averaging.refresh_s,
            lag_s=averaging.lag_s,
            lag_bound_s=averaging.lag_bound_s,
            late_s=INTERVAL_MS / 1e3 if self.in_step else 0.0,
        )


SENSORS = (
    *(Sensor(name=f"hwmon, {n} averaged", samples=n) for n in (1, 4, 16, 64, 128, 512)),
    Sensor(name="tegrastats, 64 averaged", samples=64, in_step=True, late_s=(0.0, 0.02)),
    Sensor(name="tegrastats, 20-80 ms late", samples=64, in_step=True, late_s=(0.02, 0.08)),
    Sensor(name="tegrastats, 1 averaged", samples=1, in_step=True, late_s=(0.0, 0.02)),
)
TOKEN_RATES_HZ = (None, 10.0, 20.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class RunCase:
    """A run: its windows, its load, and how often a token comes."""

    load: Load
    ripple: Load
    windows: tuple[Window, ...]
    token_hz: float

    def power_w(self, t_s: float) -> float:
        """Return the power at a moment."""
        (start_s, _), (end_s, _) = self.ripple.corners
        return self.load.power_w(t_s) + (self.ripple.power_w(t_s) if start_s <= t_s < end_s else 0)

    def energy_j(self, start_s: float, end_s: float) -> float:
        """Return the exact integral."""
        (from_s, _), (to_s, _) = self.ripple.corners
        inside_s = max(start_s, from_s), min(end_s, to_s)
        ripple_j = self.ripple.energy_j(*inside_s) if inside_s[1] > inside_s[0] else 0.0
        return self.load.energy_j(start_s, end_s) + ripple_j


def build_run(rng: random.Random, token_hz: float | None) -> RunCase:
    """Return a run of one load, a burst of the prompt, tokens with a ripple, and its end.

    `token_hz` None draws a rate between 5 and 40; else it is within 0.2 % of the given one.
    """
    scale_s = math.exp(rng.uniform(math.log(1), math.log(4)))
    idle_w = rng.uniform(4, 6)
    levels_w = [idle_w * rng.uniform(1.1, 1.8), idle_w * rng.uniform(1.8, 3.2)]
    levels_w += [levels_w[1] * rng.uniform(0.7, 1.0), idle_w * rng.uniform(1.0, 1.5)]
    corners, windows, at_s = [(-_IDLE_S, idle_w), (0.0, idle_w)], [], 0.0
    for (phase, share), level_w in zip(_RUN, levels_w, strict=True):
        end_s = at_s + share * scale_s * rng.uniform(0.8, 1.2)
        corners += [(at_s, level_w), (end_s, level_w * rng.uniform(0.97, 1.03))]
        windows.append(_window(phase, at_s, end_s))
        at_s = end_s
    corners += [(at_s, idle_w), (at_s + 3.0, idle_w)]
    token_hz = rng.uniform(5, 40) if token_hz is None else token_hz * rng.uniform(0.998, 1.002)
    swing_w = 0.3 * levels_w[2] * rng.uniform(0.1, 1.0)
    ripple = (swing_w, 2 * math.pi * token_hz, rng.uniform(0, 2 * math.pi))
    start_s, end_s = ((t_ns - _START_NS) / NS_PER_S for t_ns in _generation(windows))
    return RunCase(
        load=Load(corners=tuple(corners)),
        ripple=Load(corners=((start_s, 0.0), (end_s, 0.0)), ripples=(ripple,)),
        windows=(*windows, _window(Phase.PROCESS, 0.0, at_s)),
        token_hz=token_hz,
    )


def _generation(windows: Sequence[Window]) -> tuple[int, int]:
    generate = next(window for window in windows if window.phase is Phase.GENERATE)
    return generate.start_ns, generate.end_ns


def _window(phase: Phase, start_s: float, end_s: float) -> Window:
    start_ns, end_ns = (_START_NS + round(t_s * NS_PER_S) for t_s in (start_s, end_s))
    return Window(phase=phase, start_ns=start_ns, end_ns=end_ns)


def read_run(run: RunCase, sensor: Sensor, rng: random.Random) -> RailTrace:
    """Return what a sensor shows of a run: its register after each round, read now and then."""
    rail = sensor.rail
    offset_w, gain = rng.uniform(-0.08, 0.08), 1 + rng.uniform(-1, 1) * (rail.gain_bound or 0.0)
    cycle_s = sensor.cycle_s * (1 + rng.uniform(-1, 1) * sensor.clock_off)
    end_s = run.load.corners[-1][0] - 1.0
    readings: list[PowerReading] = []
    shown_w, round_s = run.power_w(-_IDLE_S), -_IDLE_S
    for t_s in _reading_times(sensor, -2.0, end_s, rng):
        while round_s <= t_s:
            shown_w += (run.power_w(round_s) - shown_w) / sensor.samples
            round_s += cycle_s
        value_w = round((gain * shown_w + offset_w) / rail.step) * rail.step
        t_ns = _START_NS + round((t_s + rng.uniform(*sensor.late_s)) * NS_PER_S)
        readings.append(PowerReading(t_mono_ns=t_ns, rail=rail.name, power_w=value_w))
    return build_trace(readings, rail)


def _reading_times(
    sensor: Sensor, start_s: float, end_s: float, rng: random.Random
) -> Iterator[float]:
    phase_s = rng.random() * sensor.period_s
    for number in range(int((end_s - start_s) / sensor.period_s)):
        shift_s = phase_s if sensor.in_step else rng.random() * sensor.period_s
        yield start_s + number * sensor.period_s + shift_s


@dataclass(frozen=True, kw_only=True)
class RunOutcomes:
    """The cases of one sensor, rate and phase: those with a figure, and the number without."""

    outcomes: tuple[Outcome, ...]
    absent: int


def run_cases(sensor: Sensor, token_hz: float | None, cases: int) -> dict[Phase, RunOutcomes]:
    """Read runs with a sensor and hold the energy of each window against its integral."""
    rng = random.Random(f"{_SEED} {sensor.name} {token_hz}")
    found: dict[Phase, list[Outcome]] = {}
    absent: Counter[Phase] = Counter()
    for _ in range(cases):
        run = build_run(rng, token_hz)
        trace = read_run(run, sensor, rng)
        for window in run.windows:
            has_tokens = window.phase in (Phase.GENERATE, Phase.PROCESS)
            ripple_hz = run.token_hz if has_tokens else None
            energy = window_energy(trace, window, ripple_hz=ripple_hz)
            study = left_riemann(trace, window)
            if not isinstance(energy, WindowEnergy):
                absent[window.phase] += 1
                continue
            start_s = (window.start_ns - _START_NS) / NS_PER_S
            truth_j = run.energy_j(start_s, start_s + window.duration_s)
            study_j = study.energy_j if isinstance(study, StudyEnergy) else math.nan
            found.setdefault(window.phase, []).append(
                Outcome(
                    window_s=window.duration_s,
                    error_pct=100 * (energy.energy_j - truth_j) / truth_j,
                    study_error_pct=100 * (study_j - truth_j) / truth_j,
                    expanded_pct=100 * energy.uncertainty.expanded_j / truth_j,
                )
            )
    phases = [phase for phase, _ in _RUN] + [Phase.PROCESS]
    return {
        phase: RunOutcomes(outcomes=tuple(found.get(phase, ())), absent=absent[phase])
        for phase in phases
    }


RUN_HEADER = (
    "error in % of the true energy      tokens/s  window      absent    p95     max  U 95%  cover\n"
    "sensor                                                       %           median      %"
)


def render_sensor(sensor: Sensor, token_hz: float | None, cases: int) -> Iterator[str]:
    """Yield a line for each window of a run."""
    for phase, of_phase in run_cases(sensor, token_hz, cases).items():
        outcomes = of_phase.outcomes
        absent_pct = 100 * of_phase.absent / cases
        rate = "5 to 40" if token_hz is None else f"{token_hz:g}"
        line = f"{sensor.name:34} {rate:>8}  {phase.value:10} {absent_pct:6.1f}"
        if not outcomes:
            yield f"{line}    no figure"
            continue
        errors = [outcome.error_pct for outcome in outcomes]
        expanded = worst([outcome.expanded_pct for outcome in outcomes], 0.5)
        yield (
            f"{line} {worst(errors, 0.95):7.2f} {worst(errors):7.2f} {expanded:6.2f}"
            f" {coverage_pct(outcomes):6.1f}"
        )


def render_row(family: Family, rate_hz: float, cases: int) -> Iterator[str]:
    """Yield the lines of the table for one family and rate, short and long windows apart."""
    exact = run_family(family, rate_hz, cases)
    real = run_family(family, rate_hz, cases, REAL_RAIL)
    for title, is_long in (("0.5-5 s", False), ("5-30 s", True)):
        part = [o for o in exact if (o.window_s > LONG_WINDOW_S) is is_long]
        sensor = [o for o in real if (o.window_s > LONG_WINDOW_S) is is_long]
        errors, study = [o.error_pct for o in part], [o.study_error_pct for o in part]
        yield (
            f"{family.name:27} {rate_hz:4.0f} Hz {title:>8}"
            f" {worst(errors):7.3f} {worst(errors, 0.95):7.3f}"
            f" {worst(study):8.3f} {worst(study, 0.95):8.3f}"
            f" {worst([o.expanded_pct for o in part], 0.5):7.3f} {coverage_pct(part):6.1f}"
            f" {worst([o.error_pct for o in sensor]):7.3f} {coverage_pct(sensor):6.1f}"
        )


HEADER = (
    "error in % of the true energy       window   trapezoid      left-Riemann    U 95%  cover"
    "  with sensor\n"
    "load                       rate                max     p95      max      p95  median"
    "      %     max  cover"
)


def main(cases: int) -> None:
    """Print the table."""
    sys.stdout.write(HEADER + "\n")
    for bounded in (True, False):
        for family in (family for family in FAMILIES if family.bounded is bounded):
            for rate_hz in RATES_HZ:
                for line in render_row(family, rate_hz, cases):
                    sys.stdout.write(line + "\n")
        sys.stdout.write("-" * 112 + "\n")
    sys.stdout.write(
        "above the line, windows over 5 s: at most 0.5 % at 10 Hz and 0.1 % at 100 Hz\n\n"
    )
    sys.stdout.write(RUN_HEADER + "\n")
    for sensor in SENSORS:
        for token_hz in TOKEN_RATES_HZ:
            for line in render_sensor(sensor, token_hz, cases):
                sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

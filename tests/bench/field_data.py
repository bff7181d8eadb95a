"""What the correction for a sensor's lag does to logs of a real Jetson Orin Nano 8 GB.

`python -m tests.bench.field_data [FOLDER]` prints three tables from the logs of tegrastats below
FOLDER (default: shared/field-data beside the checkout), which are not part of it: what lines say,
the lag that steps of the load show by themselves, and power before and after the correction. The
module drew the same in warm-up and runs: what a window reads less is the sensor's.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from edgemoe_appliance.measure.energy import WindowEnergy, window_energy
from edgemoe_appliance.measure.power.ina3221 import UNKNOWN_AVERAGING, parse_averaging
from edgemoe_appliance.measure.power.interface import PowerReading, Rail
from edgemoe_appliance.measure.power.tegraline import TegrastatsSample, parse_tegrastats_line
from edgemoe_appliance.measure.railtrace import build_trace
from edgemoe_appliance.schema.records import Phase, Window
from tests.bench.energy_accuracy import REAL_RAIL

FIELD_DATA: Final = Path(__file__).parents[3] / "shared/field-data"
RAIL: Final = "VDD_IN"
# Of the log of 100 ms, from its source's own log of phases: seconds of the minute 01:31.
STEPPED: Final = "orin-nano-trt-100ms"
PHASES: Final = {
    "warm-up 1": (48.324, 49.755),
    "warm-up 2": (49.755, 51.118),
    "five runs": (51.118, 57.934),
}
# Around an edge of the load: nothing else changes in these seconds.
EDGES: Final = {"idle to load": (47.0, 49.6), "load to idle": (57.0, 60.0)}
# Its driver's: 64 samples, three channels at 1.1 ms for each of two conversions.
DRIVER_AVERAGING: Final = parse_averaging(64, 0.422, channels=3)


@dataclass(frozen=True, kw_only=True)
class BoardLog:
    """A log of tegrastats: when its lines came (s, from any zero), and what they say."""

    name: str
    times_s: tuple[float, ...]
    samples: tuple[TegrastatsSample, ...]

    @property
    def period_s(self) -> float:
        """Return the median distance of two lines."""
        return median(later - earlier for earlier, later in pairwise(self.times_s))

    @property
    def powers_w(self) -> tuple[float, ...]:
        """Return the power of the module's input; empty where the board has no such rail."""
        return tuple(one.rails[RAIL].now_mw / 1e3 for one in self.samples if RAIL in one.rails)


def read_log(folder: Path) -> BoardLog:
    """Read a log: a tab after the epoch second that a line came, or the lines alone."""
    stamped = folder / "tegrastats.tsv"
    if stamped.exists():
        rows = [line.split("\t", 1) for line in stamped.read_text().splitlines()]
        times_s, lines = [float(row[0]) for row in rows], [row[1] for row in rows]
    else:
        lines = (folder / "tegrastats.log").read_text().splitlines()
        times_s = stamp_times_s(lines)
    samples = tuple(parse_tegrastats_line(line) for line in lines)
    return BoardLog(name=folder.name, times_s=tuple(times_s), samples=samples)


def stamp_times_s(lines: Sequence[str]) -> list[float]:
    """Return when lines came, in seconds of the first one's minute.

    A line carries whole seconds. Lines at a steady distance show it by the numbers of those at
    which the second changes; the least first moment that agrees with all of them is taken, and the
    largest is no more than a distance later.
    """
    stamps = [_second(line) for line in lines]
    changes = [number for number, (a, b) in enumerate(pairwise(stamps), start=1) if a != b]
    if len(changes) < 2:
        return [float(stamp - stamps[0] + stamps[0] % 60) for stamp in stamps]
    first, last = changes[0], changes[-1]
    period_s = (stamps[last] - stamps[first]) / (last - first)
    begin_s = max(stamps[number] - number * period_s for number in changes)
    minute = stamps[0] - stamps[0] % 60
    return [begin_s - minute + number * period_s for number in range(len(lines))]


def _second(line: str) -> int:
    stamp = parse_tegrastats_line(line).stamp or ""
    told = datetime.strptime(stamp, "%m-%d-%Y %H:%M:%S").replace(tzinfo=timezone.utc)
    return int(told.timestamp())


@dataclass(frozen=True, kw_only=True)
class Step:
    """A first-order answer to a step of the load: its lag, and what the fit leaves (W, rms)."""

    lag_s: float
    at_s: float
    from_w: float
    to_w: float
    residual_w: float


def fit_step(times_s: Sequence[float], powers_w: Sequence[float]) -> Step:
    """Return the first-order answer nearest to readings (least squares over lag and moment)."""
    t, p = np.array(times_s), np.array(powers_w)
    fits = (
        _fit(t, p, float(at_s), float(lag_s))
        for at_s in np.arange(t[0], t[-1], 0.01)
        for lag_s in np.arange(0.02, 1.2, 0.01)
    )
    return min(fits, key=lambda fit: fit.residual_w)


def _fit(t: np.ndarray, p: np.ndarray, at_s: float, lag_s: float) -> Step:
    shape = 1 - np.exp(-np.clip(t - at_s, 0, None) / lag_s)
    basis = np.stack([1 - shape, shape])
    (from_w, to_w), *_ = np.linalg.lstsq(basis.T, p, rcond=None)
    left = p - from_w * basis[0] - to_w * basis[1]
    return Step(
        lag_s=lag_s,
        at_s=at_s,
        from_w=float(from_w),
        to_w=float(to_w),
        residual_w=math.sqrt(float(left @ left) / len(t)),
    )


def log_energy(log: BoardLog, rail: Rail, start_s: float, end_s: float) -> WindowEnergy:
    """Return the energy of a window of a log, by the appliance's own method."""
    readings = [
        PowerReading(t_mono_ns=round(t_s * 1e9), rail=rail.name, power_w=power_w)
        for t_s, power_w in zip(log.times_s, log.powers_w, strict=True)
    ]
    window = Window(phase=Phase.GENERATE, start_ns=round(start_s * 1e9), end_ns=round(end_s * 1e9))
    energy = window_energy(build_trace(readings, rail), window)
    if not isinstance(energy, WindowEnergy):
        raise TypeError(energy.reason)
    return energy


def rails_of_methods(log: BoardLog) -> dict[str, Rail]:
    """Return the sensor taken as prompt, by its driver, and where the driver says nothing."""
    plain = replace(REAL_RAIL, late_s=log.period_s)
    assert DRIVER_AVERAGING is not None
    by_driver, unknown = DRIVER_AVERAGING, UNKNOWN_AVERAGING
    return {
        "as read": plain,
        "lag of driver": replace(plain, lag_s=by_driver.lag_s, lag_bound_s=by_driver.lag_bound_s),
        "lag as usual": replace(plain, lag_s=unknown.lag_s, lag_bound_s=unknown.lag_bound_s),
    }


def lines_table(logs: Sequence[BoardLog]) -> Iterator[str]:
    """Yield what the lines of each log say."""
    yield f"{'log':<26}{'lines':>6}{'period ms':>11}{'cores on':>10}{'off':>5}{'rails':>7}"
    for log in logs:
        cores = log.samples[0].cores
        on = sum(core is not None for core in cores)
        yield (
            f"{log.name:<26}{len(log.samples):>6}{1e3 * log.period_s:>11.1f}{on:>10}"
            f"{len(cores) - on:>5}{len(log.samples[0].rails):>7}"
        )


def stated_table(folder: Path, logs: Sequence[BoardLog]) -> Iterator[str]:
    """Yield energies over whole logs beside those that their source states."""
    yield f"{'log':<26}{'energy J':>10}{'stated J':>10}{'mean W':>9}{'stated W':>10}"
    for log in logs:
        stated = folder / log.name / "stated.json"
        if not stated.exists():
            continue
        told = json.loads(stated.read_text())["power_summary"][RAIL.lower()]
        energy = log_energy(log, REAL_RAIL, log.times_s[0], log.times_s[-1])
        mean_w = sum(log.powers_w) / len(log.powers_w)
        yield (
            f"{log.name:<26}{energy.energy_j:>10.3f}{told['energy_j']:>10.3f}"
            f"{mean_w:>9.4f}{told['mean_mw'] / 1e3:>10.4f}"
        )


def steps_table(log: BoardLog) -> Iterator[str]:
    """Yield the lag that the edges of the load show by themselves."""
    yield f"{'edge of the load':<18}{'lag s':>7}{'from W':>9}{'to W':>8}{'left W':>8}"
    for name, (start_s, end_s) in EDGES.items():
        inside = [
            (t_s, w)
            for t_s, w in zip(log.times_s, log.powers_w, strict=True)
            if start_s <= t_s <= end_s
        ]
        step = fit_step(*zip(*inside, strict=True))
        yield (
            f"{name:<18}{step.lag_s:>7.2f}{step.from_w:>9.2f}{step.to_w:>8.2f}"
            f"{step.residual_w:>8.3f}"
        )
    assert DRIVER_AVERAGING is not None
    by_driver = DRIVER_AVERAGING
    yield f"{'by its driver':<18}{by_driver.lag_s:>7.2f}   bound +-{by_driver.lag_bound_s:.2f}"


def power_table(log: BoardLog) -> Iterator[str]:
    """Yield the mean power of each phase before and after the correction, with u95."""
    methods = rails_of_methods(log)
    yield f"{'phase':<12}{'s':>6}" + "".join(f"{name:>24}" for name in methods)
    runs_w = {
        name: log_energy(log, rail, *PHASES["five runs"]).mean_w for name, rail in methods.items()
    }
    for phase, (start_s, end_s) in PHASES.items():
        cells = []
        for name, rail in methods.items():
            energy = log_energy(log, rail, start_s, end_s)
            u95_w = energy.uncertainty.expanded_j / energy.window.duration_s
            to_runs_pct = 100 * (energy.mean_w / runs_w[name] - 1)
            cells.append(f"{energy.mean_w:.2f} +-{u95_w:.2f} W {to_runs_pct:+.1f} %")
        yield f"{phase:<12}{end_s - start_s:>6.2f}" + "".join(f"{cell:>24}" for cell in cells)


def main(folder: Path) -> int:
    """Print the tables; 3 where the logs are not there."""
    if not folder.is_dir():
        print(f"{folder}: no logs there; name the folder that holds {STEPPED}/", file=sys.stderr)
        return 3
    logs = [read_log(one) for one in sorted(folder.iterdir()) if one.is_dir()]
    stepped = next(log for log in logs if log.name == STEPPED)
    for table in (
        lines_table(logs),
        stated_table(folder, logs),
        steps_table(stepped),
        power_table(stepped),
    ):
        print("\n".join((*table, "")))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FIELD_DATA))

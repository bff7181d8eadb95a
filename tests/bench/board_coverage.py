"""How often an interval over boards holds the mean of all boards: two methods, few boards to many.

    python -m tests.bench.board_coverage [SIMULATIONS]

Boards differ by 3 %, sessions of a board by 1 %, and the mean of a session is known to 0.5 %, as
standard deviations. Each board has three sessions. `t` is Student's t between the boards' means, as
the ledger has it; `levels` draws boards, then sessions of each, again and again, and takes the
percentiles of their means. Both ask for 90 %. With two boards the ledger has no interval between
boards: the figure is what one would hold.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.statistics import CONFIDENCE, student_t

BOARDS = (2, 3, 5, 10, 20)
SESSIONS = 3
RESAMPLES = 1000
_SD_BOARD, _SD_SESSION, _SD_RUNS = 0.03, 0.01, 0.005
_TAIL = (1 - CONFIDENCE) / 2

Values = NDArray[np.float64]


def simulated(draws: np.random.Generator, boards: int) -> Values:
    """Return the means of sessions, boards by sessions, about a true mean of 0."""
    board = _SD_BOARD * draws.standard_normal((boards, 1))
    session = _SD_SESSION * draws.standard_normal((boards, SESSIONS))
    return board + session + _SD_RUNS * draws.standard_normal((boards, SESSIONS))


def by_t(values: Values) -> tuple[float, float]:
    """Return the interval by Student's t between the means of boards."""
    means = values.mean(axis=1)
    swing = student_t(1 - _TAIL, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean() - swing), float(means.mean() + swing)


def by_levels(draws: np.random.Generator, values: Values) -> tuple[float, float]:
    """Return the interval by drawing boards, and sessions of each that was drawn."""
    boards, sessions = values.shape
    board = draws.integers(boards, size=(RESAMPLES, boards, 1))
    session = draws.integers(sessions, size=(RESAMPLES, boards, sessions))
    means = values[board, session].mean(axis=(1, 2))
    low, high = np.quantile(means, (_TAIL, 1 - _TAIL))
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("simulations", type=int, nargs="?", default=2000)
    simulations = parser.parse_args().simulations
    draws = np.random.default_rng(1)
    print(f"{simulations} simulations, {SESSIONS} sessions a board, {CONFIDENCE:.0%} asked for")
    print(f"{'boards':>6} {'t holds':>8} {'levels hold':>12} {'width, t / levels':>18}")
    for boards in BOARDS:
        held, widths = np.zeros(2), np.zeros(2)
        for _ in range(simulations):
            values = simulated(draws, boards)
            for method, (low, high) in enumerate((by_t(values), by_levels(draws, values))):
                held[method] += low <= 0 <= high
                widths[method] += high - low
        t, levels = 100 * held / simulations
        print(f"{boards:6} {t:6.1f} % {levels:10.1f} % {widths[0] / widths[1]:18.2f}", flush=True)


if __name__ == "__main__":
    main()

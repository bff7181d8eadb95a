"""How often verdicts are wrong, on simulated studies whose truth is known.

`python -m tests.bench.verdict_rates [STUDIES]` prints, for true ratios inside, at the edge of and
outside the limits, how often each verdict is given, and how often following the advice on more
runs settles an open one. Wrong is: reproduced with the truth outside, not reproduced with the
truth inside.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from edgemoe_appliance.analysis.claims.estimates import Estimate
from edgemoe_appliance.analysis.claims.judging import verdict_of
from edgemoe_appliance.analysis.claims.repetitions import MoreRuns, more_runs
from edgemoe_appliance.analysis.claims.sample_estimates import ratio_estimate
from edgemoe_appliance.analysis.claims.verdicts import Verdict
from edgemoe_appliance.studies.claims import Limits
from tests.bench.simulated import SEED, Setup, SimulatedStudy, fewer_resamples, simulate

RESAMPLES = 1000
LIMITS: Mapping[str, Limits] = {
    "0.90 +- 0.05": Limits(about=0.90, tolerance=0.05),
    "0.90 +- 0.02": Limits(about=0.90, tolerance=0.02),
    "below 1": Limits(below=1),
}
TRUTHS = (0.85, 0.88, 0.90, 0.92, 0.94, 0.95, 0.97, 0.99, 1.00, 1.01, 1.03)
_MOST_PROMPTS = 200


def judged(study: SimulatedStudy, limits: Limits) -> tuple[Verdict, Estimate]:
    """Return the verdict on a study, by the same functions that judge claims."""
    estimate = ratio_estimate(*study.samples)
    assert isinstance(estimate, Estimate)
    return verdict_of(estimate.bounds, limits), estimate


def rates(studies: int, truth: float, limits: Limits, setup: Setup) -> dict[Verdict, float]:
    """Return the share of each verdict."""
    counts = Counter(judged(study, limits)[0] for study in simulate(studies, truth, setup))
    return {verdict: counts[verdict] / studies for verdict in Verdict}


def wrong_share(truth: float, limits: Limits, found: Mapping[Verdict, float]) -> float:
    """Return the share of wrong verdicts; a truth on the edge makes each decided one wrong."""
    inside = limits.low < truth < limits.high
    outside = truth < limits.low or truth > limits.high
    wrong = 0.0 if inside else found[Verdict.REPRODUCED]
    return wrong if outside else wrong + found[Verdict.NOT_REPRODUCED]


def settled_share(studies: int, truth: float, limits: Limits, setup: Setup) -> tuple[int, float]:
    """Return how many open verdicts got advice, and the share that following it settles."""
    advised = settled = 0
    for place, study in enumerate(simulate(studies, truth, setup)):
        verdict, estimate = judged(study, limits)
        more = more_runs(estimate, limits) if verdict is Verdict.INCONCLUSIVE else None
        larger = None if more is None else _larger(setup, more)
        if larger is None:
            continue
        advised += 1
        again = next(simulate(1, truth, larger, SEED + 1 + place))
        settled += judged(again, limits)[0] is not Verdict.INCONCLUSIVE
    return advised, settled / advised if advised else 0.0


def _larger(setup: Setup, more: MoreRuns) -> Setup | None:
    if more.repetitions is not None:
        return replace(setup, repetitions=setup.repetitions + more.repetitions)
    if more.prompts is not None and more.prompts <= _MOST_PROMPTS:
        return replace(setup, prompts=setup.prompts + more.prompts)
    return None


def main(studies: int) -> None:
    """Print the tables."""
    setup = Setup()
    out = sys.stdout.write
    out(f"{studies} studies of {setup.prompts} prompts x {setup.repetitions} repetitions\n")
    out("limits        truth  reproduced  not reproduced  inconclusive  wrong\n")
    with fewer_resamples(RESAMPLES):
        for name, limits in LIMITS.items():
            for truth in TRUTHS:
                found = rates(studies, truth, limits, setup)
                out(
                    f"{name:13} {truth:5.2f}  {100 * found[Verdict.REPRODUCED]:8.1f} %"
                    f"  {100 * found[Verdict.NOT_REPRODUCED]:12.1f} %"
                    f"  {100 * found[Verdict.INCONCLUSIVE]:10.1f} %"
                    f"  {100 * wrong_share(truth, limits, found):4.1f} %\n"
                )
        out("after as many more runs as advised (up to 200 prompts)\n")
        for truth in (0.91, 0.94, 0.96):
            limits = LIMITS["0.90 +- 0.05"]
            advised, share = settled_share(studies // 10, truth, limits, Setup(noise=0.08))
            out(f"0.90 +- 0.05  {truth:5.2f}  {advised:4} open, {100 * share:.0f} % settled\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)

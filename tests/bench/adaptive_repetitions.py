"""What repetitions by need save, and whether verdicts stay: a simulation over recorded spreads.

`python -m tests.bench.adaptive_repetitions [SESSION_FOLDER ...]` takes the spreads of OLMoE and
Llama out of the journals of sessions (of the newest demo where none is named), beside those that
the study prints (coefficients of variation over all runs, which do not tell prompts from
repetitions: once all of it is taken for the one, once for the other, once half and half). For
each it draws studies of twelve prompts and stops their cells by the very function that stops a
real session. Device time is that of the generated tokens. Verdicts are those of the analysis on a
claim about the ratio of both models; how often three and five fixed repetitions agree is printed
beside them, as no verdict is surer than that.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.claims.verdicts import Verdict
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.measure.precision import relative_half_width, settle
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    PLAN_NAME,
    read_progress,
)
from edgemoe_appliance.schema.plan import LEAST_REPETITIONS, PrecisionRule, read_plan
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import read_study
from edgemoe_appliance.studies.claims import Limits
from tests.bench.simulated import Setup, SimulatedStudy, fewer_resamples, simulate
from tests.bench.verdict_rates import RESAMPLES, judged

RULE = PrecisionRule(within=0.02, at_most=10)
PROMPTS = 12
FIXED = (3, 5)
_MODELS = ("olmoe-1b-7b", "llama-3.2-1b")
# On the study's laptop OLMoE has 0.90 of Llama's rate, on its board 0.69.
_CLAIMS: Mapping[float, Limits] = {
    0.90: Limits(about=0.90, tolerance=0.05),
    0.69: Limits(about=0.69, tolerance=0.05),
    0.96: Limits(about=0.90, tolerance=0.05),
}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Standard deviations of the logarithm of rates, as shares: of a run, and between prompts.

    `shared` is what a prompt does to both models, `own` what it does to one of them.
    """

    source: str
    shared: float
    own: float
    noise: float

    def setup(self) -> Setup:
        """Return a study with as many repetitions as any cell can get."""
        return Setup(
            prompts=PROMPTS,
            repetitions=max(RULE.at_most, *FIXED),
            shared=self.shared,
            own=self.own,
            noise=self.noise,
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One simulated study: repetitions of both cells, device time in s, verdict, half width."""

    repetitions: tuple[int, int]
    time_s: float
    verdict: Verdict
    half_width: float


def read_spread(folder: Path) -> Spread:
    """Return the spreads of two models in a session.

    Raises ValueError where the session does not hold both, repeated.
    """
    logs = {model: _log_rates(folder, model) for model in _MODELS}
    common = sorted(set(logs[_MODELS[0]]) & set(logs[_MODELS[1]]))
    if len(common) < 3:
        raise ValueError(f"{folder}: fewer than three prompts that both models ran")
    noise = math.sqrt(
        statistics.fmean(statistics.variance(logs[m][p]) for m in _MODELS for p in common)
    )
    repetitions = statistics.fmean(len(logs[m][p]) for m in _MODELS for p in common)
    means = [[statistics.fmean(logs[model][p]) for p in common] for model in _MODELS]
    shared = max(0.0, statistics.covariance(*means))
    between = statistics.fmean(map(statistics.variance, means)) - noise**2 / repetitions
    return Spread(
        source=folder.name,
        shared=math.sqrt(shared),
        own=math.sqrt(max(0.0, between - shared)),
        noise=noise,
    )


def newest_demo() -> list[Path]:
    """Return the folder of the newest finished demo of this machine; none where there is none."""
    folders = sorted(default_folders().sessions.glob("demo-*"), reverse=True)
    return [folder for folder in folders if _is_finished(folder)][:1]


def _is_finished(folder: Path) -> bool:
    plan, progress = read_plan(folder / PLAN_NAME), read_progress(folder / JOURNAL_NAME)
    return all(progress.is_done(run.id) for run in plan.runs)


def _log_rates(folder: Path, model: str) -> dict[str, list[float]]:
    """Return logarithms of generation rates by prompt, of prompts with two good runs or more."""
    plan, progress = read_plan(folder / PLAN_NAME), read_progress(folder / JOURNAL_NAME)
    found: dict[str, list[float]] = {}
    for run in plan.runs:
        end = progress.ends.get(run.id)
        if run.model == model and end is not None and end.status is Status.OK:
            found.setdefault(run.prompt, []).append(math.log(end.metrics["gen_tok_s"]))
    return {prompt: values for prompt, values in found.items() if len(values) > 1}


def printed_spreads() -> Iterator[Spread]:
    """Yield the study's coefficients of variation as spreads, each once for a device."""
    for device, models in read_study().tables.stability.cells.items():
        cells = [models[model] for model in _MODELS]
        for cv_pct in sorted({cell.cv_pct or cell.cv_at_most_pct or 0.0 for cell in cells}):
            cv = cv_pct / 100
            for share, words in ((0.0, "prompts"), (0.5, "half"), (1.0, "repetitions")):
                yield Spread(
                    source=f"study, {device}, {cv_pct:.1f} %: {words}",
                    shared=0.0,
                    own=cv * math.sqrt(1 - share),
                    noise=cv * math.sqrt(share),
                )


def needed(rates: NDArray[np.float64]) -> int:
    """Return after how many repetitions a cell (prompts x repetitions) is settled."""
    repetitions = LEAST_REPETITIONS
    while settle(RULE, by_prompt(rates, repetitions), repetitions) is None:
        repetitions += 1
    return repetitions


def by_prompt(rates: NDArray[np.float64], repetitions: int) -> dict[str, list[float]]:
    """Return the first repetitions of a cell by prompt."""
    return {f"p{place:02d}": row[:repetitions].tolist() for place, row in enumerate(rates)}


def judge(study: SimulatedStudy, repetitions: tuple[int, int], limits: Limits) -> Outcome:
    """Return what comes out where the models get so many repetitions."""
    cells = (study.top[:, : repetitions[0]], study.bottom[:, : repetitions[1]])
    verdict, _ = judged(SimulatedStudy(top=cells[0], bottom=cells[1]), limits)
    widths = [relative_half_width(by_prompt(c, n)) for c, n in zip(cells, repetitions, strict=True)]
    return Outcome(
        repetitions=repetitions,
        time_s=float(sum((1 / cell).sum() for cell in cells)),
        verdict=verdict,
        half_width=max(width or math.inf for width in widths),
    )


def row(spread: Spread, ratio: float, limits: Limits, studies: int) -> str:
    """Return the line of a spread and a claim."""
    adaptive: list[Outcome] = []
    fixed: dict[int, list[Outcome]] = {number: [] for number in FIXED}
    for study in simulate(studies, ratio, spread.setup()):
        adaptive.append(judge(study, (needed(study.top), needed(study.bottom)), limits))
        for number, outcomes in fixed.items():
            outcomes.append(judge(study, (number, number), limits))
    made = statistics.fmean(n for outcome in adaptive for n in outcome.repetitions)
    return (
        f"{spread.source:32s} {ratio:4.2f} {made:5.2f}  {_widths(adaptive)}  {_widths(fixed[3])}"
        + "".join(f"  {_compared(adaptive, fixed[number])}" for number in FIXED)
        + f"  {_compared(fixed[3], fixed[5])}"
    )


def _widths(outcomes: Sequence[Outcome]) -> str:
    return f"{100 * statistics.median(outcome.half_width for outcome in outcomes):5.2f} %"


def _compared(adaptive: Sequence[Outcome], fixed: Sequence[Outcome]) -> str:
    """Return device time to that of fixed repetitions, and the shares of verdicts."""
    time = sum(o.time_s for o in adaptive) / sum(o.time_s for o in fixed)
    pairs = [(one.verdict, other.verdict) for one, other in zip(adaptive, fixed, strict=True)]
    same = sum(one is other for one, other in pairs) / len(pairs)
    opposite = sum(
        one is not other and Verdict.INCONCLUSIVE not in (one, other) for one, other in pairs
    )
    return f"{time:5.2f} {100 * same:5.1f} % {100 * opposite / len(pairs):4.1f} %"


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sessions", type=Path, nargs="*")
    parser.add_argument("--studies", type=int, default=300)
    options = parser.parse_args()
    spreads = [*map(read_spread, options.sessions or newest_demo()), *printed_spreads()]
    print(
        f"{options.studies} studies of {PROMPTS} prompts a line; within "
        f"{100 * RULE.within:g} %, at most {RULE.at_most} repetitions\n"
        "time: device time to that of fixed repetitions; same, opposite: verdicts\n"
        f"{'':45s}half width       by need against 3      by need against 5      3 against 5\n"
        f"{'spread':32s} true  reps  by need  3 fixed" + "   time    same  oppos." * 3
    )
    with fewer_resamples(RESAMPLES):
        for spread in spreads:
            for ratio, limits in _CLAIMS.items():
                print(row(spread, ratio, limits, options.studies), flush=True)


if __name__ == "__main__":
    main()

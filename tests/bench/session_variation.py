"""What `compare` says of sessions that differ by chance alone, and of a true difference.

`python -m tests.bench.session_variation [COMPARISONS]` prints, for several sizes of the variation
between sessions and for one, three and five sessions on each side, how many comparisons of eight
results (four models, two rates) hold at least one wrong "differs", and how often a true
difference of 5 % in every result is found. A simulation: nothing here was measured.

`python -m tests.bench.session_variation --real NAME` measures six tiny sessions NAME-1 to NAME-6 on
this machine, or goes on with them, and compares all 15 pairs: there is no difference to be found.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.comparison import Side, compare_sides
from edgemoe_appliance.analysis.comparison.results import ComparisonOutcome, outcome_of
from edgemoe_appliance.analysis.statistics import CONFIDENCE, Absent, Sample, ratio_of_means
from edgemoe_appliance.bench.paths import default_folders, several_sessions
from edgemoe_appliance.studies import read_study
from tests.bench.simulated import BASE_TOK_S, SEED, fewer_resamples

RESULTS = 8
PROMPTS, REPETITIONS = 15, 3
# Standard deviations of the logarithm: between prompts and between runs as the demo shows them.
PROMPT_SD, RUN_SD = 0.036, 0.02
SESSION_SDS = (0.0, 0.005, 0.01, 0.02)
SESSIONS = (1, 3, 5)
TRUE_DIFFERENCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Of comparisons: with any result of an outcome; of results: with each outcome."""

    any_differs: float
    any_sessions_differ: float
    found: float
    same: float


def draw_sample(
    rng: np.random.Generator, prompts: np.ndarray, sessions: int, session_sd: float, factor: float
) -> Sample:
    """Return the rates of one model over several sessions of the same prompts."""
    moved = rng.normal(0, session_sd, (1, sessions, 1))
    noise = rng.normal(0, RUN_SD, (PROMPTS, sessions, REPETITIONS))
    rates = factor * BASE_TOK_S * np.exp(prompts[:, None, None] + moved + noise)
    numbers = np.repeat(np.arange(1, sessions + 1), REPETITIONS) if sessions > 1 else None
    names = [f"p{place:02d}" for place in range(PROMPTS)]
    return Sample(
        {name: row.ravel() for name, row in zip(names, rates, strict=True)},
        None if numbers is None else dict.fromkeys(names, numbers),
    )


def outcomes(
    rng: np.random.Generator, sessions: int, session_sd: float, factor: float
) -> Iterator[ComparisonOutcome]:
    """Yield what one comparison says of each of its results."""
    confidence = 1 - (1 - CONFIDENCE) / RESULTS
    for _ in range(RESULTS):
        prompts = rng.normal(0, PROMPT_SD, PROMPTS)
        a = draw_sample(rng, prompts, sessions, session_sd, 1.0)
        # The sessions of the other side are others.
        b = draw_sample(rng, prompts, sessions, session_sd, factor)
        b = Sample(b.by_prompt, {key: numbers + 100 for key, numbers in b.sessions.items()})
        ratio = ratio_of_means(b, a, confidence)
        assert not isinstance(ratio, Absent)
        yield outcome_of(ratio.interval)


def measure(comparisons: int, sessions: int, session_sd: float, factor: float) -> Rates:
    """Return how often comparisons say what."""
    rng = np.random.default_rng([SEED, sessions, round(1e4 * session_sd), round(1e4 * factor)])
    found: Counter[ComparisonOutcome] = Counter()
    with_any: Counter[ComparisonOutcome] = Counter()
    for _ in range(comparisons):
        said = Counter(outcomes(rng, sessions, session_sd, factor))
        found += said
        with_any += Counter(said.keys())
    results = comparisons * RESULTS
    return Rates(
        any_differs=with_any[ComparisonOutcome.DIFFERS] / comparisons,
        any_sessions_differ=with_any[ComparisonOutcome.SESSIONS_DIFFER] / comparisons,
        found=(found[ComparisonOutcome.DIFFERS] + found[ComparisonOutcome.SESSIONS_DIFFER])
        / results,
        same=found[ComparisonOutcome.SAME] / results,
    )


HEADER = (
    "between    sessions   no difference: comparisons with any     results   5 % faster:\n"
    'sessions   a side     "differs"   "sessions differ"        "same"    results found'
)


def main(comparisons: int) -> None:
    """Print the table."""
    sys.stdout.write(HEADER + "\n")
    with fewer_resamples(1000):
        for session_sd in SESSION_SDS:
            for sessions in SESSIONS:
                alike = measure(comparisons, sessions, session_sd, 1.0)
                apart = measure(comparisons, sessions, session_sd, 1 + TRUE_DIFFERENCE)
                cells = (
                    f"{100 * session_sd:5.1f} %   {sessions:6d}",
                    f"{100 * alike.any_differs:12.1f} %",
                    f"{100 * alike.any_sessions_differ:9.1f} %",
                    f"{100 * alike.same:22.1f} %",
                    f"{100 * apart.found:9.1f} %",
                )
                sys.stdout.write("".join(cells) + "\n")


REAL_SESSIONS = 6
_BENCH = (
    *("bench", "--experiment", "demo_length", "--twins", "tiny", "--force"),
    *("--model", "olmoe-1b-7b", "--model", "llama-3.2-1b"),
    *("--sessions", str(REAL_SESSIONS)),
)


def real(name: str) -> None:
    """Measure sessions of this machine and print how many of their pairs hold which outcome."""
    command = [str(Path(sys.executable).with_name("edgemoe-appliance")), *_BENCH, "--session", name]
    subprocess.run(command, check=True)
    sessions = [
        Side(name=each, loaded=load_sessions([default_folders().sessions / each]))
        for each in several_sessions(name, REAL_SESSIONS)
    ]
    study = read_study()
    pairs = list(combinations(sessions, 2))
    counts: Counter[ComparisonOutcome] = Counter()
    for one, other in pairs:
        rows = compare_sides(one, other, study).results.rows
        found = {row.outcome for row in rows}
        counts.update(found)
        ratios = ", ".join(f"{row.ratio:.3f}" for row in rows if row.ratio is not None)
        told = ", ".join(sorted(outcome.value for outcome in found))
        sys.stdout.write(f"{one.name} {other.name}: {told}; ratios {ratios}\n")
    for outcome in ComparisonOutcome:
        sys.stdout.write(f"{counts[outcome]} of {len(pairs)} pairs hold any {outcome.value}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--real"]:
        real(sys.argv[2] if len(sys.argv) > 2 else "variation")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

"""What the routing probe costs and what it tells: `python -m tests.bench.probe_cost`.

On a twin of OLMoE, full size unless `--scale` says otherwise (4 GB on disk, removed afterwards).
Generation: bare, boundary and per-node decodes in turn within one process, so that a mode is
compared with its bare neighbours. The prompt pass is one call of each process: there the modes
take turns run by run, and each round compares the three of it with one another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edgemoe_appliance.engine.probe import (
    CallMode,
    Median,
    PassFigures,
    PassKind,
    ProbeMode,
    ProbeReport,
)
from edgemoe_appliance.schema.choices import TwinScale
from tests.bench.intervals import MedianInterval, bootstrap_median
from tests.bench.rig import Rig, add_options, open_rig

_TIMED = {ProbeMode.BOUNDARY: CallMode.BOUNDARY, ProbeMode.PER_NODE: CallMode.PER_NODE}
_PROMPT_TOKENS_GENERATED = 2
_CONTEXT = 4096


def share_line(figures: PassFigures | None) -> str:
    """Return routing's share of the MoE blocks, as a ratio of sums and as a median of calls."""
    median = None if figures is None else figures.median_routing_share
    if figures is None or figures.routing_share is None or median is None:
        return "no routing was timed"
    return f"share {100 * figures.routing_share:.3f} %, median {_bounded(median, 100, '%')}"


def _bounded(median: Median, scale: float, unit: str) -> str:
    value = f"{scale * median.value:.3f}"
    if median.low is None or median.high is None:
        return f"{value} {unit} (too few for an interval), n = {median.n}"
    low, high = scale * median.low, scale * median.high
    return f"{value} {unit} ({low:.3f} to {high:.3f}), n = {median.n}"


def print_decoding(report: ProbeReport) -> None:
    """Print cost and share of each mode while generating."""
    print("generating, modes in turn decode by decode (95 % intervals of medians)")
    for mode in _TIMED.values():
        ratio = report.slowdown(mode)
        cost = "too few decodes" if ratio is None else _bounded(ratio, 1, "of a bare decode")
        print(f"  {mode.value:9s} {cost}")
        print(f"  {'':9s} {share_line(report.figures(PassKind.DECODE, mode))}")


def prompt_wall_ns(report: ProbeReport) -> int:
    """Return the time of the prompt pass."""
    return sum(call.wall_ns for call in report.calls if call.kind is PassKind.PROMPT)


def print_prompt(rig: Rig, prompt: str, rounds: int) -> None:
    """Run a prompt in each mode, round by round, and print cost and share of its pass."""
    ratios: dict[ProbeMode, list[float]] = {mode: [] for mode in _TIMED}
    shares: dict[ProbeMode, list[float]] = {mode: [] for mode in _TIMED}
    tokens = 0
    for number in range(rounds):
        order = (ProbeMode.OFF, *_TIMED)[:: 1 if number % 2 else -1]
        reports = {mode: _prompt_pass(rig, mode, prompt) for mode in order}
        bare_ns = prompt_wall_ns(reports[ProbeMode.OFF])
        for mode in _TIMED:
            figures = reports[mode].prompt
            if figures is None or figures.routing_share is None:
                raise RuntimeError(f"no routing was timed: {reports[mode].routing_absence}")
            tokens = figures.tokens
            ratios[mode].append(prompt_wall_ns(reports[mode]) / bare_ns)
            shares[mode].append(100 * figures.routing_share)
    print(f"prompt pass of {tokens} tokens ({prompt}), {rounds} rounds")
    for mode in _TIMED:
        print(f"  {mode.value:9s} {_spread(ratios[mode])} of an unprobed pass")
        print(f"  {'':9s} share in % {_spread(shares[mode])}")


def _prompt_pass(rig: Rig, mode: ProbeMode, prompt: str) -> ProbeReport:
    return rig.run(
        mode, n_predict=_PROMPT_TOKENS_GENERATED, prompts=[prompt], context=_CONTEXT
    ).report


def _spread(values: Sequence[float]) -> MedianInterval | str:
    try:
        return bootstrap_median(values)
    except ValueError:
        return f"{min(values):.4f} to {max(values):.4f}, n = {len(values)}"


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, model="olmoe-1b-7b", scale=TwinScale.FULL)
    parser.add_argument("--tokens", type=int, default=289, help="a third of them in each mode")
    parser.add_argument("--rounds", type=int, default=6, help="of prompt passes; 0 leaves them out")
    parser.add_argument("--prompts", nargs="+", default=["qa-tides", "length-medium"])
    options = parser.parse_args()
    with open_rig(options) as rig:
        print(f"{rig.threads} threads", flush=True)
        turning = rig.run(ProbeMode.ROTATE, n_predict=options.tokens, context=_CONTEXT)
        print_decoding(turning.report)
        for prompt in options.prompts if options.rounds else ():
            print_prompt(rig, prompt, options.rounds)


if __name__ == "__main__":
    main()

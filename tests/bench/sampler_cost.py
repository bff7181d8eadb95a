"""What full sampling costs a run: `python -m tests.bench.sampler_cost [--seconds 60]`.

One long generation of a real llama-cli. The appliance's own sampler, with every source of a board
on (sensors replayed as files, so without the wait for a real bus), is switched on and off in
blocks within it, and the rates of neighbouring blocks are compared: slow drift of the machine
touches both alike. The moment of each token is that at which its decode began, from the probe's
log of calls (its mode `off`: two clock readings a token). Reads of the text would not do: several
tokens can come in one, and the more so the busier the reading process is.

Printed beside the ratio is what noise cannot hide: the processor time of the sampling threads as
the scheduler counts it, and every path that was opened while tokens were generated.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.engine.probe import MAX_CALLS, PassKind, ProbeMode, ProbeReport
from edgemoe_appliance.engine.stream import EngineEvent, EventKind
from edgemoe_appliance.measure.cgroup import NoCgroup
from edgemoe_appliance.measure.instruments import Instruments, open_instruments
from edgemoe_appliance.measure.sampler import Sampler
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.measure.tree import open_tree
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.units import NS_PER_S
from tests.bench.intervals import bootstrap_median
from tests.bench.rig import Rig, add_options, open_rig
from tests.measure.board_for_tests import write_board
from tests.measure.opened_for_tests import held_paths, opened_paths, page_table_walks

RATE_GOAL = 0.995
CPU_GOAL_PCT = 1.0
_RATE_HZ = 10.0
_SOURCES = (PowerSource.INA3221, PowerSource.TEGRASTATS)
# Files are opened and closed at the edges of a block; a run does so once.
_EDGE_NS = NS_PER_S // 10
_TRIAL_TOKENS = 64
# The first calls are the prompt and the warm-up; a few are left out to stay below the log's end.
_MOST_TOKENS = MAX_CALLS - 64
_SAMPLING_THREADS = ("sampler", "tegrastats")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of the generation; `cpu_ns` is that of the sampling threads, 0 while off."""

    is_on: bool
    start_ns: int
    end_ns: int
    samples: int = 0
    cpu_ns: int = 0

    @property
    def length_ns(self) -> int:
        """Return how long it was."""
        return self.end_ns - self.start_ns


def thread_cpu_ns() -> int:
    """Return the processor time of the sampling threads of this process, from the scheduler."""
    numbers = [t.native_id for t in threading.enumerate() if t.name in _SAMPLING_THREADS]
    files = [Path(f"/proc/self/task/{number}/schedstat") for number in numbers]
    return sum(int(file.read_text().split()[0]) for file in files)


class Switch:
    """Switches sampling on and off in a thread of its own, until the engine ends."""

    def __init__(self, instruments: Instruments, block_s: float) -> None:
        """Keep the instruments, whose meters are closed while sampling is off."""
        self._instruments = instruments
        self._block_s = block_s
        self._ended = threading.Event()
        self._pid = 0
        self._thread = threading.Thread(target=self._run, name="switch", daemon=True)
        self.blocks: list[Block] = []
        self.held: set[str] = set()

    def on_event(self, event: EngineEvent) -> None:
        """Begin with the first text, end with the engine."""
        if event.kind is EventKind.FIRST_TEXT:
            self._pid = event.pid
            self._thread.start()
        elif event.kind is EventKind.EXITED:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        for number in range(10**6):
            # on off, off on, on off ...: within two pairs, a steady drift cancels.
            is_on = number % 4 in (0, 3)
            block = self._on() if is_on else self._off()
            if self._ended.is_set():
                return  # the block in which the engine ended is no block
            self.blocks.append(block)

    def _off(self) -> Block:
        start_ns = time.monotonic_ns()
        self._ended.wait(self._block_s)
        return Block(is_on=False, start_ns=start_ns, end_ns=time.monotonic_ns())

    def _on(self) -> Block:
        with contextlib.ExitStack() as stack:
            for meter in self._instruments.power.meters:
                stack.enter_context(meter)
            sampler = Sampler(self._instruments, period_s=1 / _RATE_HZ)
            stack.callback(sampler.close)
            sampler.start()
            sampler.attach(open_tree(self._pid))
            start_ns, start_cpu_ns = time.monotonic_ns(), thread_cpu_ns()
            self._ended.wait(self._block_s)
            cpu_ns, end_ns = thread_cpu_ns() - start_cpu_ns, time.monotonic_ns()
            self.held |= held_paths()
        report = sampler.report()
        if report.failure is not None:
            raise RuntimeError(f"the sampler failed: {report.failure}")
        in_step = [sample for sample in report.samples if sample.late_ns is not None]
        return Block(
            is_on=True, start_ns=start_ns, end_ns=end_ns, samples=len(in_step), cpu_ns=cpu_ns
        )


@contextlib.contextmanager
def board_instruments(root: Path) -> Iterator[Instruments]:
    """Open the instruments of a replayed board, with the meters closed again."""
    root.mkdir()
    write_board(root)
    with open_instruments(_SOURCES, SystemRoots(root=root)) as instruments:
        if len(instruments.power.meters) != len(_SOURCES):
            raise RuntimeError(f"a source of the board is missing: {instruments.power.absent}")
        for meter in instruments.power.meters:
            meter.__exit__(None, None, None)
        yield instruments


def decode_starts_ns(report: ProbeReport) -> list[int]:
    """Return when each decode of one token began."""
    return [call.start_ns for call in report.calls if call.kind is PassKind.DECODE]


def block_rate(starts_ns: Sequence[int], block: Block) -> float | None:
    """Return tokens a second inside a block, without its edges; None where too few."""
    first = bisect_left(starts_ns, block.start_ns + _EDGE_NS)
    last = bisect_right(starts_ns, block.end_ns - _EDGE_NS) - 1
    if last - first < 2:
        return None
    return (last - first) * NS_PER_S / (starts_ns[last] - starts_ns[first])


def pair_ratios(starts_ns: Sequence[int], blocks: Sequence[Block]) -> list[float]:
    """Return rate with sampling / without, of each two neighbouring blocks."""
    ratios: list[float] = []
    for first, second in zip(blocks[::2], blocks[1::2], strict=False):
        on, off = (first, second) if first.is_on else (second, first)
        rates = block_rate(starts_ns, on), block_rate(starts_ns, off)
        if rates[0] is not None and rates[1] is not None:
            ratios.append(rates[0] / rates[1])
    return ratios


def token_count(rig: Rig, seconds: float) -> int:
    """Return how many tokens take about `seconds`, after a short trial."""
    trial = rig.run(ProbeMode.OFF, n_predict=_TRIAL_TOKENS)
    starts_ns = decode_starts_ns(trial.report)
    rate = (len(starts_ns) - 1) * NS_PER_S / (starts_ns[-1] - starts_ns[0])
    return max(2, min(_MOST_TOKENS, round(rate * seconds)))


def describe_sources(instruments: Instruments) -> str:
    """Return what a sample is made of."""
    cgroup = instruments.cgroup
    return ", ".join(
        (
            "process tree",
            "host",
            cgroup.reason if isinstance(cgroup, NoCgroup) else f"cgroup v{cgroup.version.value}",
            f"{len(instruments.heat.read().temps_c)} temperatures",
            *(f"{len(m.rails)} rails of {m.source.value}" for m in instruments.power.meters),
        )
    )


def describe_walks(paths: set[str]) -> str:
    """Return which of the opened paths walk page tables."""
    walks = page_table_walks(paths)
    return ", ".join(sorted(walks)) if walks else f"none in {len(paths)} paths opened or held open"


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, model="llama-3.2-1b", scale=TwinScale.THIN)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--block-s", type=float, default=1.0)
    options = parser.parse_args()
    with open_rig(options) as rig, board_instruments(rig.scratch / "board") as instruments:
        tokens = token_count(rig, options.seconds)
        switch = Switch(instruments, options.block_s)
        with opened_paths() as opened:
            ran = rig.run(ProbeMode.OFF, switch.on_event, n_predict=tokens, context=tokens + 512)
        on = [block for block in switch.blocks if block.is_on]
        ratio = bootstrap_median(pair_ratios(decode_starts_ns(ran.report), switch.blocks))
        sources = describe_sources(instruments)
    cpu_pct = 100 * sum(b.cpu_ns for b in on) / sum(b.length_ns for b in on)
    cpu_ms = sum(b.cpu_ns for b in on) / max(1, sum(b.samples for b in on)) / 1e6
    print(
        f"{tokens} tokens on {rig.threads} threads, sampler at {_RATE_HZ:g} Hz on and off every "
        f"{options.block_s:g} s: {sources}"
    )
    print(f"tokens/s, sampled / not (goal: at least {RATE_GOAL})  {ratio}")
    print(
        f"sampling threads (goal: at most {CPU_GOAL_PCT:g} % of one core)  {cpu_pct:.2f} %, "
        f"{cpu_ms:.2f} ms a sample"
    )
    print(f"page-table walks while generating  {describe_walks(opened | switch.held)}")


if __name__ == "__main__":
    main()

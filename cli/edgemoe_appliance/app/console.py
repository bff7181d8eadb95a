"""What a person sees on the terminal: messages, tables and progress bars."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edgemoe_appliance.bench.progress import BenchProgress
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.units import human_duration

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)
# Where nobody watches (a log, CI), progress is a line now and then instead of a moving bar.
_PLAIN_STEPS = 10


def say(text: str) -> None:
    """Print a line for a person, markup taken literally."""
    OUT.print(text, markup=False, soft_wrap=True)


def print_json(data: object) -> None:
    """Print one JSON document and nothing else."""
    OUT.print(json.dumps(data, indent=1), markup=False, soft_wrap=True)


class BenchBoard:
    """The moving picture of a bench: what runs, what is left, tokens/s so far."""

    def __init__(self) -> None:
        """Prepare the bar."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("runs", total=None)
        self._live: Live | None = None
        self._printed = 0

    @contextmanager
    def shown(self) -> Iterator[BenchBoard]:
        """Show the board while the context is open."""
        if not OUT.is_terminal:
            yield self
            return
        with Live(console=OUT, refresh_per_second=4, transient=True) as self._live:
            yield self

    def update(self, progress: BenchProgress) -> None:
        """Show where the bench is now."""
        if self._live is None:
            self._print_step(progress)
            return
        self._bar.update(self._task, completed=progress.done, total=progress.total)
        self._live.update(_board(self._bar, progress))

    def _print_step(self, progress: BenchProgress) -> None:
        step = _PLAIN_STEPS * progress.done // max(1, progress.total)
        if step > self._printed:
            self._printed = step
            sure = "at least " if progress.by_need else ""
            say(f"  {progress.done} of {sure}{progress.total} runs")


@contextmanager
def shown_measuring(plan: Plan) -> Iterator[Callable[[BenchProgress], None]]:
    """Say what is measured and show its runs as they end."""
    sure = "at least " if plan.precision else ""
    say(f"measuring {sure}{len(plan.runs)} runs, {plan.threads} threads, session {plan.session}")
    with BenchBoard().shown() as board:
        yield board.update


def _board(bar: Progress, progress: BenchProgress) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(bar)
    if progress.current is not None:
        run = progress.current
        grid.add_row(
            f"now: {run.model}, {run.prompt}, repetition {run.repetition} ({progress.state})"
        )
    rates = [
        f"{name} {model.median_gen_tok_s:.1f}"
        for name, model in progress.models.items()
        if model.median_gen_tok_s is not None
    ]
    if rates:
        grid.add_row("tokens/s so far: " + "   ".join(rates))
    if progress.not_ok:
        grid.add_row(f"{progress.not_ok} runs did not end well (recorded)")
    return grid


@contextmanager
def percent_bar(title: str) -> Iterator[PercentBar]:
    """Show a bar for one piece of work of known share."""
    bar = PercentBar(title)
    if not OUT.is_terminal:
        yield bar
        return
    with bar.progress:
        yield bar


class PercentBar:
    """A bar from 0 to 1."""

    def __init__(self, title: str) -> None:
        """Prepare the bar."""
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=OUT,
            transient=True,
        )
        self._task = self.progress.add_task(title, total=1.0)

    def update(self, share: float) -> None:
        """Show a share between 0 and 1."""
        self.progress.update(self._task, completed=share)


class TerminalSteps:
    """Shows steps as bars; see `bench.prepare.Steps`."""

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[float], None]]:
        """Show a bar for one step and leave a line with its duration behind."""
        start = time.monotonic()
        with percent_bar(title) as bar:
            yield bar.update
        say(f"{title}: {human_duration(time.monotonic() - start)}")

    def note(self, text: str) -> None:
        """Print a line."""
        say(text)

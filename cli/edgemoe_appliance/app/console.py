"""What a person sees on the terminal: messages, tables and progress bars.

Nothing else in the package prints. Text may come from journals, archives, engines and servers, so
whatever is shown is escaped here, where it is written: callers need not think of it, and cannot
get past it.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.text import counted, printable
from edgemoe_appliance.schema.units import human_duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress
    from rich.table import Table

    from edgemoe_appliance.bench.progress import BenchProgress
    from edgemoe_appliance.schema.plan import Plan

# Where nobody watches (a log, CI), progress is a line now and then instead of a moving bar.
_PLAIN_STEPS = 10
_LEAST_WIDTH, _USUAL_WIDTH = 20, 80
# The reader has gone: of a pipe, of a terminal, or there never was one.
_NOBODY = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})


class _Terminal(Console):
    """Escapes whatever it is given to show; the marks for cursor and colours are its own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces of what is to be shown."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, kept="\n"), segment.style)

    @property
    def width(self) -> int:
        """Return the characters of a line; one that holds no word is none that anybody reads."""
        told = super().width
        return told if told >= _LEAST_WIDTH else _USUAL_WIDTH

    @width.setter
    def width(self, width: int) -> None:
        self._width = width


_OUT = _Terminal(highlight=False, markup=False, emoji=False)
_ERR = _Terminal(stderr=True, highlight=False, markup=False, emoji=False)


class _Stream(io.TextIOBase):
    """A standard stream whose reader may go, or whose disk may fill, at any moment.

    Without a reader the work goes on and nothing more is written.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        """Write; after a failure what is left goes nowhere, so that ending does not fail again."""
        try:
            act()
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if error.errno not in _NOBODY:
                raise HostError(
                    f"cannot be written ({error.strerror})",
                    where=self._name,
                    hint="not all of it is there: make room, and repeat the command",
                ) from error


class _ForeignStream(_Stream):
    """What libraries, and Python itself, get for a standard stream: all they print is escaped."""

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        super().write(printable(text, kept="\n"))
        return len(text)


def open_streams() -> None:
    """Take over the standard streams of this process; a program calls it once, at its start.

    Those that are closed lead nowhere, as else the next file to be opened would take their place
    and be printed into.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
    out = _usable(sys.stdout, 1)
    err = _usable(sys.stderr, 2)
    _OUT.file = cast("IO[str]", _Stream(out, "standard output"))
    _ERR.file = cast("IO[str]", _Stream(err, "standard error"))
    sys.stdout = _ForeignStream(out, "standard output")
    sys.stderr = _ForeignStream(err, "standard error")


def _usable(stream: TextIO | None, descriptor: int) -> TextIO:
    """Return a stream that can take any character, whatever the locale."""
    if stream is None:
        return open(descriptor, "w", encoding="utf-8", closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def say(text: str) -> None:
    """Print one line for a person."""
    _OUT.print(Text(printable(text)), soft_wrap=True)


def say_error(text: str) -> None:
    """Print one line on standard error; nobody may be there to read it."""
    with suppress(HostError):
        _ERR.print(Text(printable(text)), soft_wrap=True)


def show_text(text: Text) -> None:
    """Print a line with colours."""
    _OUT.print(text, soft_wrap=True)


def show_table(table: Table) -> None:
    """Print a table."""
    _OUT.print(table)


def terminal_width() -> int:
    """Return how many characters a line of the terminal has."""
    return _OUT.width


def print_json(data: object) -> None:
    """Print one JSON document and nothing else."""
    _OUT.print(Text(json.dumps(data, indent=1)), soft_wrap=True)


class BenchBoard:
    """The moving picture of a bench: what runs, what is left, tokens/s so far."""

    def __init__(self) -> None:
        """Prepare the bar."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
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
        if not _OUT.is_terminal:
            yield self
            return
        from rich.live import Live

        with Live(console=_OUT, refresh_per_second=4, transient=True) as self._live:
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
    """Say what a session has and show its runs as they end; all may have been measured before."""
    sure = "at least " if plan.precision else ""
    runs, threads = counted(len(plan.runs), "run"), counted(plan.threads, "thread")
    say(f"session {plan.session}: {sure}{runs}, {threads}")
    with BenchBoard().shown() as board:
        yield board.update


def _board(bar: Progress, progress: BenchProgress) -> Table:
    from rich.table import Table

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
def shown_boards(sessions: Mapping[str, int], *, is_quiet: bool = False) -> Iterator[BoardsScreen]:
    """Show how far each board is, all on one screen; without one, each line as it comes.

    `sessions` says by board how many it is to have. Where nobody watches, a quiet one says nothing.
    """
    screen = BoardsScreen(sessions, is_quiet=is_quiet)
    if not _OUT.is_terminal:
        yield screen
        return
    from rich.live import Live

    with Live(
        console=_OUT, refresh_per_second=2, transient=True, get_renderable=screen.table
    ) as screen.live:
        yield screen


class BoardsScreen:
    """What each board said last, and how many of its sessions have their archive."""

    def __init__(self, sessions: Mapping[str, int], *, is_quiet: bool = False) -> None:
        """Begin with nothing said and nothing archived."""
        self._is_quiet = is_quiet
        self.live: Live | None = None
        self._sessions = sessions
        self._begun_s = time.monotonic()
        self._ended = dict.fromkeys(sessions, 0)
        self._last = dict.fromkeys(sessions, ("", "", self._begun_s))

    def line(self, board: str, session: str, line: str) -> None:
        """Take a line of a board; what names no board of the fleet is dropped."""
        if board not in self._last:
            return
        self._last[board] = (session, line, time.monotonic())
        if self.live is None and not self._is_quiet:
            say(f"{session}: {line}")

    def ended(self, board: str) -> None:
        """Count a session of a board that has its archive."""
        self._ended[board] += 1

    def table(self) -> Table:
        """Return the boards with their present sessions, and since when each is silent.

        Those that are done come last: a screen that is too small shows the others.
        """
        from rich.table import Table

        now_s = time.monotonic()
        took = human_duration(now_s - self._begun_s)
        title = f"{sum(self._ended.values())} of {sum(self._sessions.values())} archived, {took}"
        table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="")
        table.add_column("board", max_width=14, no_wrap=True)
        table.add_column("archived", no_wrap=True)
        table.add_column("silent", no_wrap=True, justify="right")
        table.add_column("session", max_width=16, no_wrap=True)
        # Alone without no_wrap: what a board says gives way, and its name never does.
        table.add_column("says", ratio=1)
        for board in sorted(self._last, key=self._is_done):
            session, line, said_s = self._last[board]
            archived = f"{self._ended[board]} of {self._sessions[board]}"
            silent = human_duration(now_s - said_s)
            says = Text(line, overflow="ellipsis", no_wrap=True)
            table.add_row(board, archived, silent, session, says)
        return table

    def _is_done(self, board: str) -> bool:
        return self._ended[board] == self._sessions[board]


@contextmanager
def percent_bar(title: str) -> Iterator[PercentBar]:
    """Show a bar for one piece of work of known share."""
    bar = PercentBar(title)
    if not _OUT.is_terminal:
        yield bar
        return
    with bar.progress:
        yield bar


class PercentBar:
    """A bar from 0 to 1."""

    def __init__(self, title: str) -> None:
        """Prepare the bar."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            TimeRemainingColumn(),
            console=_OUT,
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

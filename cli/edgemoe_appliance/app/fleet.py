"""`fleet`: the same study on every board of a shelf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app import names
from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import say, show_table, shown_boards
from edgemoe_appliance.app.options import StudyOption
from edgemoe_appliance.errors import ConfigError, HostError, RunFailedError
from edgemoe_appliance.schema.text import on_one_line

if TYPE_CHECKING:
    from edgemoe_appliance.archive.about import Maker
    from edgemoe_appliance.fleet.bisect import Bisection, Move, PinReading
    from edgemoe_appliance.fleet.boards import Board
    from edgemoe_appliance.fleet.driver import Task, TaskResult
    from edgemoe_appliance.ledger.entries import LedgerEntry

_group = Commands(help="The same study on every board of a shelf.")
_DOCTOR_S = 120
_DOCTOR_LINES = 500
BoardsOption = Annotated[
    Path | None,
    typer.Option("--boards", help="Your boards.  (default: boards.yaml, else this machine)"),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only boards with the label NAME=VALUE; repeatable."),
]
NameOption = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="The fleet's folder in data/fleets.",
        autocompletion=names.offered(names.fleets),
    ),
]


def register(app: Commands) -> None:
    """Add the commands."""
    app.add_typer(_group, name="fleet")


@_group.command()
def doctor(boards: BoardsOption = None, where: WhereOption = None) -> None:
    """Run the checks of each board there."""
    from edgemoe_appliance.fleet.transport import follow, wrapped

    unfit = []
    for name, board in _chosen(boards, where).items():
        command = wrapped(board, [board.command, "doctor", "--target", board.target])
        say(f"{name}: {board.machine}, target {board.target}")
        try:
            ended = follow(command, say, most_lines=_DOCTOR_LINES, timeout_s=_DOCTOR_S)
        except OSError as error:
            say(on_one_line(error))
            unfit.append(name)
            continue
        unfit += [name] if ended.code else []
    if unfit:
        raise HostError(f"not ready: {', '.join(unfit)}", hint="see the lines of each above")


@_group.command()
def run(
    boards: BoardsOption = None,
    where: WhereOption = None,
    name: NameOption = "fleet",
    study: StudyOption = None,
    sessions: Annotated[int, typer.Option(min=1, max=99, help="Sessions of each board.")] = 1,
    argument: Annotated[
        list[str] | None,
        typer.Option(help="Added to `evaluate` on each board; repeatable."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler that is there, as tcp://127.0.0.1:8786.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Minutes to wait for a board that cannot be reached.")
    ] = 10.0,
) -> None:
    """Measure the sessions of every board that have no verified archive yet.

    Each board makes its own, one after another. Stopped, killed or repeated, the same command goes
    on; a board that still measures is waited for.
    """
    from edgemoe_appliance.fleet.hub import Hub, fleet_folder

    arguments = (*(("--study", study) if study else ()), *(argument or ()))
    chosen = _chosen(boards, where)
    with fleet_folder(_folder(name)) as folder:
        tasks = list(
            _tasks(chosen, folder, study, sessions, arguments=arguments, patience_s=60 * patience)
        )
        with shown_boards(dict.fromkeys(chosen, sessions)) as screen:
            hub = Hub(
                folder=folder,
                on_line=screen.line,
                on_archived=screen.ended,
                scheduler=scheduler,
                on_ready=lambda link: say(f"dashboard: {link}") if link else None,
            )
            results = hub.run(tasks)
    _show(results)
    failed = [result for result in results if result.status == "failed"]
    if len(failed) < len(results):
        say(f"next: edgemoe-appliance fleet report --name {name}")
    if failed:
        raise RunFailedError(
            f"{len(failed)} of {len(results)} sessions have no archive",
            hint="the same command tries them again",
        )


@_group.command()
def status(name: NameOption = "fleet") -> None:
    """Show which sessions of a fleet have their archive."""
    from edgemoe_appliance.fleet.hub import FleetJournal

    _show(FleetJournal(_existing(name)).seen())


@_group.command()
def report(name: NameOption = "fleet") -> None:
    """Judge the archives of a fleet together: one ledger, with boards as a level of variation."""
    from edgemoe_appliance.fleet.driver import entries_folder
    from edgemoe_appliance.fleet.hub import ARCHIVES_FOLDER
    from edgemoe_appliance.ledger.build import build_ledger

    folder = _existing(name)
    out = folder / "ledger"
    archives = folder / ARCHIVES_FOLDER
    kept = entries_folder(archives)
    found = build_ledger(archives, out, _maker(), say, has_board_folders=True, kept=kept)
    _show_cells(found.entries)
    say(f"ledger: {out / 'index.html'}")


@_group.command()
def bisect(
    claim: Annotated[str, typer.Argument(help="A claim of the study.")],
    pin: Annotated[
        list[str] | None, typer.Option(help="A pin of engines.yaml, from old to new; repeatable.")
    ] = None,
    git: Annotated[
        Path | None, typer.Option(help="A local git of llama.cpp, with --old and --new.")
    ] = None,
    old: Annotated[str | None, typer.Option(help="The older commit or tag of --git.")] = None,
    new: Annotated[str | None, typer.Option(help="The newer commit or tag of --git.")] = None,
    sdists: Annotated[
        Path | None,
        typer.Option(help="A file of source distributions, old to new, as pip's with hashes."),
    ] = None,
    study: Annotated[str | None, typer.Option(help="A study's name.")] = None,
    boards: BoardsOption = None,
    where: WhereOption = None,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=0.5, help="A move is more than this share.  (default: the claim's own)"
        ),
    ] = None,
    argument: Annotated[
        list[str] | None, typer.Option(help="Added to `evaluate`; repeatable.")
    ] = None,
) -> None:
    """Find the engine build between which and the next one a claim's number moved.

    One evaluation for each step, on the first board; repeated, it goes on where it was.
    """
    from edgemoe_appliance.fleet import bisect as search
    from edgemoe_appliance.fleet.hub import fleet_folder
    from edgemoe_appliance.fleet.transport import send_file
    from edgemoe_appliance.studies import read_study

    chosen = read_study(study)
    margin = margin or search.margin_of(chosen, claim)
    name, board = next(iter(_chosen(boards, where).items()))
    known = chosen.configs.engines.pins
    own = search.own_pins(git, old, new, sdists, is_here=board.runs_here)
    own = search.with_known_numbers(own, known)
    arguments = (*(("--study", study) if study else ()), *(argument or ()))
    pins = [*(pin or ()), *own]
    has_own_file = any(word.startswith("--engines") for word in arguments)
    search.check_pins(pins, pins if has_own_file else {**known, **own})
    maker = _maker()
    say(f"claim {claim}, {len(pins)} pins, margin {margin:.1%}, board {name}")
    with (
        fleet_folder(_folder(f"bisect-{name}")) as folder,
        shown_boards({name: len(pins)}, is_quiet=True) as screen,
    ):
        if own:
            file = send_file(board, search.pins_document(own), "bisect-engines.yaml")
            arguments = (*arguments, "--engines", file)
        measuring = search.PinMeasuring(
            folder=folder,
            claim=claim,
            build_task=lambda pinned: _pin_task(
                name, board, pinned, folder=folder, arguments=arguments, maker=maker
            ),
            on_line=screen.line,
        )
        found = search.bisect(pins, measuring.read, margin, _say_step)
    _show_steps(found)
    say(found.why)


def _pin_task(
    name: str, board: Board, pin: str, *, folder: Path, arguments: tuple[str, ...], maker: Maker
) -> Task:
    """Return the session of a pin; other arguments make another session."""
    from edgemoe_appliance.bench.paths import session_name
    from edgemoe_appliance.schema.base import digest_of

    apart = [digest_of(list(arguments))[:6]] if arguments else []
    session = session_name(["bisect", name, pin, *apart])
    pinned = ("--pin", pin, *arguments)
    return _task(name, board, session, folder=folder, arguments=pinned, maker=maker)


def _say_step(reading: PinReading, first: PinReading, move: Move) -> None:
    from edgemoe_appliance.analysis.claims.formatting import in_words

    change, low, high = reading.change_from(first)
    told = "" if reading is first else f", {change:+.1%} ({low:+.1%} to {high:+.1%})"
    number = reading.number
    ends = [in_words(end) for end in (number.low, number.high) if end is not None]
    interval = f" ({' to '.join(ends)})" if ends else f" (no interval: {number.why_unbound})"
    say(f"{reading.pin}: {in_words(number.value)}{interval}{told}: {move.value}")


def _show_steps(found: Bisection) -> None:
    """Show the steps as a table, in the order in which they were made."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("step", "pin", "number", "change", "", "verdict"):
        table.add_column(column, overflow="fold")
    first = found.steps[0][0]
    for number, (reading, move) in enumerate(found.steps, 1):
        change = "" if reading is first else f"{reading.change_from(first)[0]:+.1%}"
        verdict = reading.verdict.value.replace("_", " ")
        value = f"{reading.number.value:.4g}"
        table.add_row(str(number), reading.pin, value, change, move.value, verdict)
    say(first.number.label)
    show_table(table)


def _chosen(path: Path | None, where: list[str] | None) -> Mapping[str, Board]:
    from edgemoe_appliance.fleet.boards import (
        choose_boards,
        find_boards,
        read_boards,
    )

    return choose_boards(read_boards(find_boards(path)), where or [])


def _folder(name: str) -> Path:
    from edgemoe_appliance.bench.paths import require_session_name
    from edgemoe_appliance.schema.resources import fleets_folder

    require_session_name(name, "fleet")
    return fleets_folder() / name


def _existing(name: str) -> Path:
    folder = _folder(name)
    if not folder.is_dir():
        raise ConfigError("no such fleet", where=str(folder), hint="fleet run makes it")
    return folder


def _tasks(
    boards: Mapping[str, Board],
    folder: Path,
    study: str | None,
    sessions: int,
    *,
    arguments: tuple[str, ...],
    patience_s: float,
) -> Iterator[Task]:
    from edgemoe_appliance.bench.paths import session_name

    maker = _maker()
    for number in range(1, sessions + 1):
        for name, board in boards.items():
            yield _task(
                name,
                board,
                session_name([*([study] if study else []), name, str(number)]),
                folder=folder,
                arguments=arguments,
                maker=maker,
                patience_s=patience_s,
            )


def _maker() -> Maker:
    from edgemoe_appliance.archive.about import read_maker
    from edgemoe_appliance.bench.identity import read_identity

    return read_maker(read_identity())


def _task(
    name: str,
    board: Board,
    session: str,
    *,
    folder: Path,
    arguments: tuple[str, ...],
    maker: Maker,
    patience_s: float = 0,
) -> Task:
    from edgemoe_appliance.fleet.driver import Task
    from edgemoe_appliance.fleet.hub import ARCHIVES_FOLDER

    return Task(
        board_name=name,
        board=board,
        session=session,
        arguments=arguments,
        archives=str((folder / ARCHIVES_FOLDER).absolute()),
        maker=maker,
        patience_s=patience_s,
    )


def _show(results: list[TaskResult]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("board", "session", "state", "archive"):
        table.add_column(column, overflow="fold")
    for result in results:
        told = (result.sha256 or "")[:12] if result.status == "archived" else result.why or ""
        table.add_row(result.board_name, result.session, result.status, on_one_line(told, 300))
    show_table(table)


def _show_cells(entries: Sequence[LedgerEntry]) -> None:
    """Show what the boards say together of each claim that was tested."""
    from rich.table import Table

    from edgemoe_appliance.ledger.cells import build_cells
    from edgemoe_appliance.ledger.site import covers_text, value_text

    cells = build_cells(entries)
    if not cells:
        say("no claim was tested: runs of reduced twins give no verdict")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("claim", "verdict", "boards", "sessions", "number"):
        table.add_column(column, overflow="fold")
    for cell in cells:
        part = cell.deciding
        number = part.number if part else None
        told = f"{value_text(part)}; {covers_text(number)}" if part and number else ""
        counts = (str(cell.boards), str(cell.sessions))
        table.add_row(cell.key.claim, cell.verdict.value.replace("_", " "), *counts, told)
    show_table(table)

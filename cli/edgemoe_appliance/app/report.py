"""`report`: from journals to a page, tables and figures; and the table a terminal shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import say, show_table
from edgemoe_appliance.app.options import SessionNames, StudyOption
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.text import on_one_line

if TYPE_CHECKING:
    from rich.table import Table

    from edgemoe_appliance.analysis import LoadedSessions
    from edgemoe_appliance.analysis.summary import SummaryRow
    from edgemoe_appliance.analysis.table_model import Cell
    from edgemoe_appliance.bench.paths import Folders
    from edgemoe_appliance.report import ReportPaths
    from edgemoe_appliance.report.drawing import FileKind
    from edgemoe_appliance.studies import Study

_REFERENCE_NAME = "study"
# Names of sessions in the name of a folder, and rows on a terminal: a fleet has hundreds.
_MOST_NAMES = 4
_MOST_ROWS = 48
# What stands for a figure that there is none of.
_ABSENT = "absent"


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(report)


def report(
    sessions: SessionNames = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report. (default: results/SESSION)")
    ] = None,
    study: StudyOption = None,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS", help="Further forms of the figures, as pdf,png.  (default: svg alone)"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are no report of ours.")
    ] = False,
) -> None:
    """Render a report: the paper's tables with your figures beside the study's."""
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.studies import read_study

    folders, kinds = default_folders(), figure_kinds(figures)
    if sessions:
        paths = report_sessions(sessions, folders, study, out, kinds, is_forced=force)
    else:
        out = out or folders.results / _REFERENCE_NAME
        paths = _write_reference_report(read_study(study), out, kinds, is_forced=force)
    say(f"report: {paths.html}")


def report_sessions(
    sessions: Sequence[str],
    folders: Folders,
    study: str | None,
    out: Path | None = None,
    figures: tuple[FileKind, ...] = ("svg",),
    *,
    is_forced: bool = False,
) -> ReportPaths:
    """Write the report of sessions, by default below results/ under their names; print a summary.

    The study is that of their plans unless one is named.

    The journals are read once for both.
    """
    from edgemoe_appliance.analysis import load_sessions
    from edgemoe_appliance.report import check_report_place, write_report
    from edgemoe_appliance.studies import read_planned_study

    paths = session_folders(sessions, folders)
    out = out or folders.results / _joined(paths)
    check_report_place(out, is_forced=is_forced)
    loaded = load_sessions(paths)
    chosen = read_planned_study(
        study, (each for session in loaded.sessions for each in session.studies)
    )
    written = write_report(loaded, out, chosen, figures, is_forced=is_forced)
    _print_summary(loaded, chosen)
    return written


def _joined(paths: Sequence[Path]) -> str:
    """Return a name for the report of sessions; that of a fleet would be too long for a folder."""
    names = [path.resolve().name for path in paths]
    if len(names) > _MOST_NAMES:
        return f"{names[0]}+{len(names) - 1}-more"
    return "+".join(names)


def _print_summary(loaded: LoadedSessions, study: Study) -> None:
    """Print a table of rates and memory by model."""
    from edgemoe_appliance.analysis.summary import summary_rows

    rows = summary_rows(loaded, study)
    if rows:
        show_table(_summary_table(rows[:_MOST_ROWS], study))
        if len(rows) > _MOST_ROWS:
            say(f"{_MOST_ROWS} of {len(rows)} rows; all are in the report's tables")
    else:
        say("no experiment of these sessions goes into the headline table; the page lists the runs")


def session_folders(sessions: Sequence[str], folders: Folders) -> list[Path]:
    """Return the folders of sessions, named by folder or by name below data/raw.

    Raises ConfigError for what cannot be a name, RecordError where there is no such session.
    """
    from edgemoe_appliance.bench.paths import find_session

    return [find_session(name, folders) for name in sessions]


def figure_kinds(named: str | None) -> tuple[FileKind, ...]:
    """Return the forms of figures that an option names, that of the page among them.

    Raises ConfigError for one that there is not.
    """
    from edgemoe_appliance.report.drawing import FILE_KINDS

    given = "svg" if named is None else named
    wanted = {"svg", *(name.strip().lower() for name in given.split(","))}
    if unknown := sorted(wanted - set(FILE_KINDS)):
        told, kind = on_one_line(repr(named)), on_one_line(repr(unknown[0]))
        raise ConfigError(
            f"--figures {told}: no figure is written as {kind}",
            hint=f"there are {', '.join(FILE_KINDS)}",
        )
    return tuple(kind for kind in FILE_KINDS if kind in wanted)


def _write_reference_report(
    study: Study, out: Path, figures: tuple[FileKind, ...], *, is_forced: bool
) -> ReportPaths:
    from edgemoe_appliance.report import render_reference_report

    return render_reference_report(out, study, figures, is_forced=is_forced)


def _summary_table(rows: Sequence[SummaryRow], study: Study) -> Table:
    from rich.table import Table

    ratios = [_figure(row.to_baseline, 2) for row in rows]
    columns = {
        "generation\ntokens/s": [_figure(row.gen_tok_s, 1) for row in rows],
        # Sessions without the model that others are compared with have no ratio.
        **({f"of\n{study.model_name(study.baseline)}": ratios} if {*ratios} - {_ABSENT} else {}),
        "prompt\ntokens/s": [_figure(row.prompt_tok_s, 1) for row in rows],
        "peak RSS\nGiB": [_figure(row.peak_rss_gib, 2) for row in rows],
        "runs\nok": [str(row.runs_ok) for row in rows],
        "\nfailed": [str(row.runs_not_ok) for row in rows],
    }
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.add_column("model", overflow="fold")
    for title in columns:
        table.add_column(title, justify="right")
    for row, *figures in zip(rows, *columns.values(), strict=True):
        table.add_row(f"{row.model} ({row.twin} twin)" if row.twin else row.model, *figures)
    return table


def _figure(cell: Cell, digits: int) -> str:
    return _ABSENT if cell.number is None else f"{cell.number:.{digits}f}"

"""Writing a report: page, tables and figures below one folder, each file whole or not at all.

The content is a function of journals and of the study's figures: no clock, no host, no network.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup

from edgemoe_appliance.analysis.csvfile import rows_csv, table_csv, write_rows_csv
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.store import Rows
from edgemoe_appliance.analysis.tables.judged import audits_table, claims_table
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.report.context import Block, Fold, ReportContext, TableView
from edgemoe_appliance.report.drawing import FileKind
from edgemoe_appliance.report.figures import ANSWER
from edgemoe_appliance.report.filters import FILTERS, finalise, with_whole_options
from edgemoe_appliance.report.hardware import HARDWARE_NAME, render_hardware
from edgemoe_appliance.report.latex import render_latex
from edgemoe_appliance.report.material import Material, build_material
from edgemoe_appliance.report.page import build_context
from edgemoe_appliance.report.palette import model_role
from edgemoe_appliance.schema.files import open_atomically, write_atomically
from edgemoe_appliance.schema.outputs import check_output_folder
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.units import MIB
from edgemoe_appliance.studies import Study

PAGE_NAME = "report.html"
NOTEBOOK_NAME = "analysis.ipynb"
_TEMPLATES = "report_templates"
# The runs have a file with all their columns; the table shows some of them.
_OTHERWISE = ("runs",)
_FOLDERS = ("tables", "figures")
_MARK = b"edgemoe-appliance"
_MOST_PAGE_BYTES = 64 * MIB
# The figures of earlier reports; those of today are named in the study.
_EARLIER_FIGURES = (
    *("throughput", "memory", "prompt-length", "stability", "energy", "energy-windows", "routing"),
    "roofline",
)
# What the page itself shows; the other forms take three quarters of the time of a report.
USUAL_FIGURES: tuple[FileKind, ...] = ("svg",)
_LISTINGS = ("runs", "unfinished", "run-caveats", "absent")
_JUDGED = ("claims", "audits")


@dataclass(frozen=True, kw_only=True)
class ReportPaths:
    """Where a report lies."""

    html: Path
    tables: Path
    figures: Path


def write_report(
    loaded: LoadedSessions,
    out_dir: Path,
    study: Study,
    figure_files: Sequence[FileKind] = USUAL_FIGURES,
    *,
    is_forced: bool = False,
) -> ReportPaths:
    """Write the report of sessions below `out_dir`; files of an earlier one are replaced.

    Raises HostError where the folder cannot be written, ConfigError as `check_report_place` does.
    """
    check_report_place(out_dir, is_forced=is_forced)
    material = build_material(loaded, study, figure_files)
    return _write_files(material, _listings(loaded), out_dir, is_forced=is_forced)


def render_reference_report(
    out_dir: Path,
    study: Study,
    figure_files: Sequence[FileKind] = USUAL_FIGURES,
    *,
    is_forced: bool = False,
) -> ReportPaths:
    """Write the report of the study's own figures. Raises as `write_report` does."""
    check_report_place(out_dir, is_forced=is_forced)
    material = build_material(None, study, figure_files)
    return _write_files(material, {}, out_dir, is_forced=is_forced)


def check_report_place(out_dir: Path, names: Collection[str] = (), *, is_forced: bool) -> None:
    """Raise ConfigError where a report may not be written, before the work for it is done.

    `names` are files of it that are known already, beside those that every report has.
    """
    every = (PAGE_NAME, NOTEBOOK_NAME, HARDWARE_NAME)
    check_output_folder(out_dir, _FOLDERS, {*every, *names}, _is_report, is_forced=is_forced)


def _is_report(out_dir: Path) -> bool:
    """Return whether the page in a folder says that it is one of ours."""
    try:
        with (out_dir / PAGE_NAME).open("rb") as file:
            return _MARK in file.read(_MOST_PAGE_BYTES)
    except FileNotFoundError:
        return False


def render_files(loaded: LoadedSessions | None, study: Study) -> dict[str, bytes]:
    """Return the files of a report by relative path, the page last; all of them in memory."""
    return render_material(build_material(loaded, study))


def render_material(material: Material) -> dict[str, bytes]:
    """Return the same of what was computed, drawn and judged already."""
    listings = _listings(material.loaded) if material.loaded else {}
    files = {name: rows_csv(rows) for name, rows in listings.items()}
    return {**files, **_render(material)}


def _listings(loaded: LoadedSessions) -> dict[str, Rows]:
    """Return what is listed run by run, however long it is, by relative path."""
    listings = {"runs": loaded.runs, "unfinished": loaded.unfinished}
    listings |= {"run-caveats": loaded.caveats, "absent": loaded.absent}
    return {f"tables/{name}.csv": rows for name, rows in listings.items()}


def _render(material: Material) -> dict[str, bytes]:
    folder, loaded = resource_folder(_TEMPLATES), material.loaded
    # Pictures are painted and packed outside Python's lock, on the other core.
    with ThreadPoolExecutor(1) as beside:
        figures = beside.submit(_figure_files, material)
        context = _context(material, folder)
        page = _page(context, folder)
        return {
            **_table_files(material),
            **_latex_files(context),
            **figures.result(),
            **({HARDWARE_NAME: render_hardware(loaded).encode()} if loaded is not None else {}),
            NOTEBOOK_NAME: (folder / NOTEBOOK_NAME).read_bytes(),
            PAGE_NAME: page.encode(),
        }


def render_page(material: Material) -> str:
    """Return the page as one self-contained HTML document."""
    folder = resource_folder(_TEMPLATES)
    return _page(_context(material, folder), folder)


def _context(material: Material, folder: Path) -> ReportContext:
    """Return the context with style sheet and script; these are this room's own text."""
    style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return build_context(material, style, Markup(script), f"sha256-{digest}")  # noqa: S704


def _page(context: ReportContext, folder: Path) -> str:
    environment = environment_of(folder, context.models)
    page = environment.get_template("report.html.j2").render(report=context)
    return with_whole_options(page)


def environment_of(folder: Path, models: Sequence[str] = ()) -> jinja2.Environment:
    """Return what templates are rendered in: all text is made printable and escaped.

    Models have their colours by their place among `models`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=finalise,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS, colour=partial(model_role, models=models))
    return environment


def _table_files(material: Material) -> dict[str, bytes]:
    judgement = material.judgement
    tables = [table for table in material.full_tables if table.id not in _OTHERWISE]
    tables.append(claims_table(judgement.verdicts, judgement.own_verdicts or ()))
    tables.append(audits_table(judgement.findings, judgement.own_findings or ()))
    return {f"tables/{table.id}.csv": table_csv(table) for table in tables if table.groups}


def _latex_files(context: ReportContext) -> dict[str, bytes]:
    """Return the tables that stand on the page, as printed there."""
    blocks = (block for section in context.sections for block in section.folded)
    return {table.latex: render_latex(table).encode() for table in _tables_in(blocks)}


def _tables_in(blocks: Iterable[Block]) -> Iterator[TableView]:
    """Yield the tables among blocks and in folds."""
    for block in blocks:
        if isinstance(block, TableView):
            yield block
        elif isinstance(block, Fold):
            yield from _tables_in(block.blocks)


def _figure_files(material: Material) -> dict[str, bytes]:
    panels = (panel for figure in material.figures for panel in figure.panels)
    return {
        f"figures/{panel.name}.{kind}": panel.as_file(kind)
        for panel in panels
        for kind in material.figure_files
    }


def _write_files(
    material: Material, listings: Mapping[str, Rows], out_dir: Path, *, is_forced: bool
) -> ReportPaths:
    files = _render(material)
    check_report_place(out_dir, {*files, *listings}, is_forced=is_forced)
    names = {table.id for table in material.full_tables} | {*_JUDGED, *_LISTINGS}
    try:
        for name in _FOLDERS:
            (out_dir / name).mkdir(parents=True, exist_ok=True)
        figures = {ANSWER, *_EARLIER_FIGURES, *material.study.report.figures}
        _remove_stale({*files, *listings}, names, figures, out_dir)
        for name, rows in listings.items():
            with open_atomically(out_dir / name) as file:
                write_rows_csv(rows, file)
        for name, content in files.items():
            write_atomically(out_dir / name, content)
    except OSError as error:
        raise HostError(
            f"the report cannot be written ({error.strerror})",
            where=str(out_dir),
            hint="free disk space, or name another folder with --out",
        ) from error
    return ReportPaths(
        html=out_dir / PAGE_NAME, tables=out_dir / "tables", figures=out_dir / "figures"
    )


def _remove_stale(
    files: Collection[str], tables: Collection[str], figures: Collection[str], out_dir: Path
) -> None:
    """Remove figures and tables of an earlier report that this one lacks, and nothing else."""
    drawn = re.compile(rf"figures/({'|'.join(map(re.escape, figures))})-[0-9]+\.(svg|png|pdf)")
    ours = {f"tables/{name}.{kind}" for name in tables for kind in ("csv", "tex")}
    for folder in _FOLDERS:
        for path in (out_dir / folder).iterdir():
            name = f"{folder}/{path.name}"
            if name not in files and (name in ours or drawn.fullmatch(name)):
                path.unlink()

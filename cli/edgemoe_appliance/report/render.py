"""Writing a report: page, tables and figures below one folder, each file whole or not at all.

The content is a function of journals and of the study's figures: no clock, no host, no network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from edgemoe_appliance.analysis.csvfile import frame_csv, table_csv
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.report.figures import build_figures
from edgemoe_appliance.report.page import build_context
from edgemoe_appliance.report.sections import FIGURE_FILES, Material
from edgemoe_appliance.study.files import write_atomically
from edgemoe_appliance.study.reference import Study
from edgemoe_appliance.study.resources import resource_folder

PAGE_NAME = "report.html"
# The runs have a file with all their columns; the table shows some of them.
_OTHERWISE = ("runs",)
_FOLDERS = ("tables", "figures")
# The names that reports give; a user's own files in these folders have others.
_OURS = re.compile(
    r"figures/(throughput|memory|prompt-length)-[0-9]+\.(svg|png|pdf)"
    r"|tables/(hardware|models|procedure|experiments|prompts|threads|throughput|time|memory"
    r"|memory-arms|prompt-length|stability|energy|energy-windows|heat|routing|engine-arm|stated"
    r"|doubts|failures|runs|unfinished|run-doubts|absent)\.csv"
)


@dataclass(frozen=True, kw_only=True)
class ReportPaths:
    """Where a report lies."""

    html: Path
    tables: Path
    figures: Path


def write_report(loaded: LoadedSessions, out_dir: Path, study: Study) -> ReportPaths:
    """Write the report of sessions below `out_dir`; files of an earlier one are replaced.

    Raises HostError where the folder cannot be written.
    """
    return _write_files(render_files(loaded, study), out_dir)


def render_reference_report(out_dir: Path, study: Study) -> ReportPaths:
    """Write the report of the study's own figures. Raises HostError as `write_report` does."""
    return _write_files(render_files(None, study), out_dir)


def render_files(loaded: LoadedSessions | None, study: Study) -> dict[str, bytes]:
    """Return the files of a report by relative path, the page last."""
    material = build_material(loaded, study)
    files: dict[str, bytes] = {
        f"tables/{table.id}.csv": table_csv(table)
        for table in material.tables.all()
        if table.groups and table.id not in _OTHERWISE
    }
    if loaded is not None:
        frames = {"runs": loaded.runs, "unfinished": loaded.unfinished}
        frames |= {"run-doubts": loaded.doubts, "absent": loaded.absent}
        files |= {f"tables/{name}.csv": frame_csv(frame) for name, frame in frames.items()}
    for figure in material.figures:
        for panel in figure.panels:
            files |= {f"figures/{panel.name}.{kind}": panel.as_file(kind) for kind in FIGURE_FILES}
    return {**files, PAGE_NAME: render_page(material).encode()}


def build_material(loaded: LoadedSessions | None, study: Study) -> Material:
    """Return the tables and figures of a report."""
    tables = build_tables(loaded, study)
    figures = build_figures(tables, study)
    return Material(loaded=loaded, study=study, tables=tables, figures=figures)


def render_page(material: Material) -> str:
    """Return the page as one self-contained HTML document."""
    folder = resource_folder("report_templates")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = (folder / "report.css").read_text(encoding="utf-8")
    template = environment.get_template("report.html.j2")
    return template.render(report=build_context(material, style))


def _write_files(files: dict[str, bytes], out_dir: Path) -> ReportPaths:
    try:
        for name in _FOLDERS:
            (out_dir / name).mkdir(parents=True, exist_ok=True)
        _remove_stale(files, out_dir)
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


def _remove_stale(files: dict[str, bytes], out_dir: Path) -> None:
    """Remove files of an earlier report that this one does not have, and nothing else."""
    for folder in _FOLDERS:
        for path in (out_dir / folder).iterdir():
            name = f"{folder}/{path.name}"
            if name not in files and _OURS.fullmatch(name):
                path.unlink()

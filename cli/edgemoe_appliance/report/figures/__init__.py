"""The figures of the report: which cells of which table become which marks.

A figure shows nothing that is not in its table or in an audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables import Tables
from edgemoe_appliance.report.figures.energy import energy_figure, windows_figure
from edgemoe_appliance.report.figures.memory import memory_figure
from edgemoe_appliance.report.figures.parts import FigureSet, Panel
from edgemoe_appliance.report.figures.rates import prompt_length_figure, throughput_figure
from edgemoe_appliance.report.figures.roofline import roofline_figure
from edgemoe_appliance.report.figures.routing import routing_figure
from edgemoe_appliance.report.figures.stability import stability_figure
from edgemoe_appliance.report.judgement import Judgement
from edgemoe_appliance.studies import Study

__all__ = ["FigureSet", "Panel", "build_figures"]


def build_figures(
    tables: Tables, study: Study, judgement: Judgement, twins: str
) -> tuple[FigureSet, ...]:
    """Draw all figures; one without data is left out.

    `twins` warns of measured figures of twins, nothing where there are none.
    """
    findings = judgement.all_findings
    draw: dict[str, Callable[[Table], FigureSet]] = {
        "throughput": lambda table: throughput_figure(table, study),
        "memory": lambda table: memory_figure(table, study),
        "prompt-length": lambda table: prompt_length_figure(table, study),
        "stability": lambda table: stability_figure(table, study),
        "energy": lambda table: energy_figure(table, findings, study),
        "energy-windows": lambda table: windows_figure(table, study),
        "routing": lambda table: routing_figure(table, study),
    }
    # A study has the figures of the tables that it declares.
    figures = [drawn(tables[name]) for name, drawn in draw.items() if name in tables.by_id]
    figures.append(roofline_figure(findings, _names(tables, study), twins, study))
    return tuple(figure for figure in figures if figure.panels)


def _names(tables: Tables, study: Study) -> Mapping[str, str]:
    """Return the names of models as figures show them, by id."""
    run = {
        str(row.model): str(row.cells["model"].value)
        for table in tables
        for row in table.rows()
        if row.model and "model" in row.cells
    }
    known = {str(key): model.name for key, model in study.models.items()}
    return {model: name.removesuffix("-Instruct") for model, name in {**run, **known}.items()}

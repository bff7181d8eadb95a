"""The figures of the report: which cells of which table become which marks.

A figure shows nothing that is not in its table or in an audit.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    figures = (
        throughput_figure(tables["throughput"], study),
        memory_figure(tables["memory"], study),
        prompt_length_figure(tables["prompt-length"]),
        stability_figure(tables["stability"], study),
        energy_figure(tables["energy"], findings, study),
        windows_figure(tables["energy-windows"]),
        routing_figure(tables["routing"], study),
        roofline_figure(findings, _names(tables, study), twins),
    )
    return tuple(figure for figure in figures if figure.panels)


def _names(tables: Tables, study: Study) -> Mapping[str, str]:
    """Return the names of models as figures show them, by id."""
    run = {str(row.model): str(row.cells["model"].value) for row in tables["throughput"].rows()}
    known = {str(key): model.name for key, model in study.models.items()}
    return {model: name.removesuffix("-Instruct") for model, name in {**run, **known}.items()}

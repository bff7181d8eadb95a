"""The sections of the report, in the order of the paper: which blocks stand in each, and why.

Sentences here say what a table shows and how to read it. Every number in them comes from a cell.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from edgemoe_appliance.report.context import Block, FigureView, Section, TableView
from edgemoe_appliance.report.sections.discussion import (
    audit_section,
    claims_section,
    threats_section,
)
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.sections.parts import FIGURE_FILES, TWIN_TITLE
from edgemoe_appliance.report.sections.results import (
    energy_section,
    memory_section,
    prompt_length_section,
    routing_section,
    stability_section,
    stated_section,
    throughput_section,
)
from edgemoe_appliance.report.sections.runs import runs_section
from edgemoe_appliance.report.sections.setup import (
    hardware_section,
    metrics_section,
    models_section,
    prompts_section,
)

__all__ = ["FIGURE_FILES", "TWIN_TITLE", "Material", "build_sections"]


def build_sections(material: Material) -> tuple[Section, ...]:
    """Return all sections, numbered, and their tables; one without anything is left out."""
    drafts = (
        hardware_section(material),
        models_section(material),
        prompts_section(material),
        metrics_section(),
        throughput_section(material),
        memory_section(material),
        prompt_length_section(material),
        stability_section(material),
        energy_section(material),
        routing_section(material),
        stated_section(material),
        claims_section(material),
        audit_section(material),
        threats_section(material),
        runs_section(material),
    )
    numbers = _Numbers()
    kept = [draft for draft in drafts if draft.blocks]
    return tuple(
        replace(draft, number=str(place), blocks=tuple(map(numbers.numbered, draft.blocks)))
        for place, draft in enumerate(kept, start=1)
    )


class _Numbers:
    """Numbers tables and figures in the order of the page."""

    def __init__(self) -> None:
        self._tables = itertools.count(1)
        self._figures = itertools.count(1)

    def numbered(self, block: Block) -> Block:
        """Return a block with its number, where it is of a kind that has one."""
        if isinstance(block, TableView):
            return replace(block, number=next(self._tables))
        if isinstance(block, FigureView):
            return replace(block, number=next(self._figures))
        return block

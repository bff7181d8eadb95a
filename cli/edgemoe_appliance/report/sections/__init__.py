"""The sections of the report, in the order of the paper: which blocks stand in each, and why.

Sentences here say what a table shows and how to read it. Every number in them comes from a cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

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
    result_section,
    routing_section,
    stated_section,
)
from edgemoe_appliance.report.sections.runs import runs_section
from edgemoe_appliance.report.sections.setup import (
    hardware_section,
    metrics_section,
    models_section,
    prompts_section,
)
from edgemoe_appliance.studies.report import SectionId

__all__ = ["FIGURE_FILES", "TWIN_TITLE", "Material", "build_sections"]


_BUILDERS: Mapping[SectionId, Callable[[Material], Section]] = {
    "hardware": hardware_section,
    "models": models_section,
    "prompts": prompts_section,
    "metrics": metrics_section,
    "throughput": partial(result_section, name="throughput"),
    "memory": partial(result_section, name="memory"),
    "prompt-length": partial(result_section, name="prompt-length"),
    "stability": partial(result_section, name="stability"),
    "energy": energy_section,
    "routing": routing_section,
    "stated": stated_section,
    "claims": claims_section,
    "audit": audit_section,
    "threats": threats_section,
    "runs": runs_section,
}


def build_sections(material: Material) -> tuple[Section, ...]:
    """Return all sections in the order of the study, numbered, and their tables.

    One without anything is left out.
    """
    drafts = [_BUILDERS[name](material) for name in material.study.report.sections]
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

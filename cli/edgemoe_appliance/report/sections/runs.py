"""The section of the runs one by one, those that failed first."""

from __future__ import annotations

from edgemoe_appliance.report.context import Block, Notice, Section
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.sections.parts import section_of, table_of


def runs_section(material: Material) -> Section:
    """Return failures and runs; empty in a report without sessions."""
    blocks: list[Block | None] = []
    if material.loaded is not None:
        blocks = [
            table_of(material, material.tables["failures"]) or _all_well(),
            table_of(material, material.tables["runs"]),
        ]
    return section_of(material, "runs", blocks, measured=True)


def _all_well() -> Notice:
    return Notice(
        tone="note",
        title="Every run ended well",
        text="No run failed and no attempt was cut off.",
    )

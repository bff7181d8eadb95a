"""The sections of results: each reading of the study with the reader's beside it."""

from __future__ import annotations

from collections.abc import Callable

from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.report.context import Notice, Prose, Section
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.sections.parts import (
    declared_tables,
    figure_of,
    prose_of,
    section_of,
    table_of,
)
from edgemoe_appliance.schema.metrics import METRICS, Unit

_ENERGY_UNITS = (Unit.JOULES, Unit.JOULES_PER_TOKEN, Unit.WATTS)


def result_section(material: Material, name: str) -> Section:
    """Return a section of what every session measures, led by the table of its own name."""
    blocks = [
        prose_of(material, name),
        _nothing_measured(material, material.tables.by_id.get(name)),
        *declared_tables(material, name),
    ]
    return section_of(material, name, blocks, measured=True)


def energy_section(material: Material) -> Section:
    """Return energy, power and heat, or why there are no readings of them."""
    table = material.tables.by_id.get("energy")
    blocks = [
        _not_measured(material, table, _why_no_energy),
        prose_of(material, "energy"),
        *declared_tables(material, "energy"),
    ]
    return section_of(material, "energy", blocks, measured=_is_measured(table))


def _why_no_energy(loaded: LoadedSessions) -> str:
    """Return the recorded reason for missing energy readings, else what the targets name."""
    keys = [key for key, metric in METRICS.items() if metric.unit in _ENERGY_UNITS]
    reason = loaded.why_absent(keys)
    if reason is not None:
        return reason
    without = [s.label for s in loaded.settings if not s.target.power_sources]
    if without:
        return f"The target names no source of power readings ({'; '.join(without)})"
    return "The records hold no energy readings"


def routing_section(material: Material) -> Section:
    """Return the shares of routing, or why there are none."""
    table = material.tables["routing"]
    blocks = [
        _not_measured(material, table, _why_no_routing),
        prose_of(material, "routing"),
        figure_of(material, "routing"),
        table_of(material, table),
        *declared_tables(material, "routing"),
    ]
    return section_of(material, "routing", blocks, measured=_is_measured(table))


def _why_no_routing(loaded: LoadedSessions) -> str:
    probed = len(loaded.runs.starting("arm", "probe-"))
    if probed:
        return f"{probed} runs had a probe, but feed no table of routing"
    return "No run had the probe that times routing"


def stated_section(material: Material) -> Section:
    """Return the rest of the study's figures, in a report of these alone."""
    if material.loaded is not None:
        return Section(id="stated", number="", title="", blocks=())
    blocks = [
        Prose(paragraphs=("Numbers that the study prints in its text and in no table.",)),
        table_of(material, material.tables["stated"]),
    ]
    return section_of(material, "stated", blocks, measured=False)


def _nothing_measured(material: Material, table: Table | None) -> Notice | None:
    """Return a notice where sessions hold no run for a table."""
    if material.loaded is None or table is None or _is_measured(table):
        return None
    return Notice(
        tone="absent",
        title="Not measured",
        text="No run of these sessions goes into this table. The study's figures stand alone.",
    )


def _not_measured(
    material: Material, table: Table | None, why: Callable[[LoadedSessions], str]
) -> Notice | None:
    """Return a notice that gives the reason where sessions hold no reading for a table."""
    if material.loaded is None or table is None or _is_measured(table):
        return None
    text = f"{why(material.loaded)}. Shown are the study's figures alone."
    return Notice(tone="absent", title="Not measured in this session", text=text)


def _is_measured(table: Table | None) -> bool:
    """Return whether the reader's runs are in a table."""
    return table is not None and any(group.source == "reader" for group in table.groups)

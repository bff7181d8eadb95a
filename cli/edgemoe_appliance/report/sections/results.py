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
    section_of,
    table_of,
)
from edgemoe_appliance.report.views import printable
from edgemoe_appliance.schema.metrics import METRICS, Unit

_ENERGY_UNITS = (Unit.JOULES, Unit.JOULES_PER_TOKEN, Unit.WATTS)


def throughput_section(material: Material) -> Section:
    """Return the generation rates."""
    text = (
        "Generation rate over all runs of the efficiency and prompt-length experiments, as the "
        "study pools them. It leaves out loading and the prompt."
    )
    return _result(material, "throughput", "Throughput", text)


def memory_section(material: Material) -> Section:
    """Return the peaks of memory."""
    text = (
        "Peak resident memory of the engine's process tree. Resident is not needed: pages of a "
        "mapped model file count, though the kernel can drop them, and memory on a device does "
        "not. The study's ratio divides GiB by GB; the ratio of like units stands beside it."
    )
    return _result(material, "memory", "Memory", text)


def prompt_length_section(material: Material) -> Section:
    """Return the rates by length of prompt."""
    text = (
        "Generation rate after a short, a medium and a long prompt, with the number of generated "
        "tokens held. Attention reads more of its cache for every token as the prompt grows."
    )
    return _result(material, "prompt-length", "Prompt length", text)


def stability_section(material: Material) -> Section:
    """Return how much the rates vary."""
    text = (
        "The study's coefficient of variation pools prompts and repetitions, so it holds what "
        "prompts do to the rate as well as what the machine does. The variation between "
        "repetitions of one prompt is the machine's alone."
    )
    return _result(material, "stability", "Stability", text)


def _result(material: Material, name: str, title: str, text: str) -> Section:
    """Return a section of what every session measures."""
    blocks = [
        Prose(paragraphs=(text,)),
        _nothing_measured(material, material.tables[name]),
        *declared_tables(material, name),
    ]
    return section_of(material, name, title, blocks, measured=True)


def energy_section(material: Material) -> Section:
    """Return energy, power and heat, or why there are no readings of them."""
    table = material.tables["energy"]
    text = (
        "The study reports energy for the Jetson only: power of the module's rails over its "
        "inference window, divided by the generated tokens."
    )
    blocks = [
        _not_measured(material, table, _why_no_energy),
        Prose(paragraphs=(text,)),
        *declared_tables(material, "energy"),
    ]
    measured = _is_measured(table)
    return section_of(material, "energy", "Energy", blocks, measured=measured)


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
    text = (
        "The study patched the engine to time every node of OLMoE's graph; here a probe is loaded "
        "into the unmodified engine. Timing itself slows the engine down, so every share stands "
        "beside the slowdown of the mode that measured it."
    )
    blocks = [
        _not_measured(material, table, _why_no_routing),
        Prose(paragraphs=(text,)),
        figure_of(material, "routing"),
        table_of(material, table),
        *declared_tables(material, "routing"),
    ]
    title, measured = "Routing inside the MoE blocks", _is_measured(table)
    return section_of(material, "routing", title, blocks, measured=measured)


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
    return section_of(material, "stated", "Figures in the text", blocks, measured=False)


def _nothing_measured(material: Material, table: Table) -> Notice | None:
    """Return a notice where sessions hold no run for a table."""
    if material.loaded is None or _is_measured(table):
        return None
    return Notice(
        tone="absent",
        title="Not measured",
        text="No run of these sessions goes into this table. The study's figures stand alone.",
    )


def _not_measured(
    material: Material, table: Table, why: Callable[[LoadedSessions], str]
) -> Notice | None:
    """Return a notice that gives the reason where sessions hold no reading for a table."""
    if material.loaded is None or _is_measured(table):
        return None
    text = f"{why(material.loaded)}. Shown are the study's figures alone."
    return Notice(tone="absent", title="Not measured in this session", text=printable(text))


def _is_measured(table: Table) -> bool:
    """Return whether the reader's runs are in a table."""
    return any(group.source == "reader" for group in table.groups)

"""The sections of the report, in the order of the paper: which blocks stand in each, and why.

Sentences here say what a table shows and how to read it. Every number in them comes from a cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from edgemoe_appliance.analysis.cells import Table
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.tables import Tables
from edgemoe_appliance.analysis.tables.common import CONFIDENCE_PCT
from edgemoe_appliance.analysis.threats import Threat, Weight, find_threats, twin_scales
from edgemoe_appliance.report.audit_views import build_audits
from edgemoe_appliance.report.citations import Citations
from edgemoe_appliance.report.context import (
    Block,
    Fact,
    Facts,
    FigureView,
    FileLink,
    Folded,
    Metrics,
    MetricView,
    Notice,
    PanelView,
    Prose,
    Section,
    TableView,
    Verbatim,
)
from edgemoe_appliance.report.drawing import FileKind, themed
from edgemoe_appliance.report.figures import FigureSet
from edgemoe_appliance.report.judged_views import build_claims
from edgemoe_appliance.report.judgement import Judgement
from edgemoe_appliance.report.views import build_table_view, printable
from edgemoe_appliance.study.metrics import METRICS, Unit
from edgemoe_appliance.study.reference import Study

TWIN_TITLE = "Twins, not the real models"
FIGURE_FILES: tuple[FileKind, ...] = ("svg", "png", "pdf")
# More texts make a page heavy; sessions have them all in their plans.
_MOST_TEXTS = 60
_ENERGY_UNITS = (Unit.JOULES, Unit.JOULES_PER_TOKEN, Unit.WATTS)
_WEIGHTS = {
    Weight.MEANING: "bears on what the figures mean",
    Weight.COMPARISON: "bears on the comparison with the study",
    Weight.PRECISION: "bears on precision",
}


@dataclass(frozen=True, kw_only=True)
class Material:
    """What sections are made of; `loaded` is None in a report without sessions.

    `tables` are as the page shows them, `full_tables` have every group of rows.
    """

    loaded: LoadedSessions | None
    study: Study
    tables: Tables
    full_tables: Tables
    figures: tuple[FigureSet, ...]
    judgement: Judgement

    @property
    def twin_scales(self) -> str:
        """Return the scales of the twins that were run, nothing where there were none."""
        return ", ".join(twin_scales(self.loaded)) if self.loaded else ""

    @property
    def twin_text(self) -> str:
        """Return what is to be said of twins, nothing where there are none."""
        if not self.twin_scales:
            return ""
        return (
            "The model files of these sessions hold random weights in the tensor shapes of the "
            f"real models (scale {self.twin_scales}). Rates and sizes are those of such files, not "
            "of the models they are named after. Ratios between them can be read; the generated "
            "text means nothing."
        )


def build_sections(material: Material) -> tuple[Section, ...]:
    """Return all sections, numbered, and their tables; one without anything is left out."""
    drafts = (
        _hardware(material),
        _models(material),
        _prompts(material),
        _metrics(),
        _throughput(material),
        _memory(material),
        _prompt_length(material),
        _stability(material),
        _energy(material),
        _routing(material),
        _stated(material),
        _claims(material),
        _audit(material),
        _threats(material),
        _runs(material),
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


def _section(
    material: Material, name: str, title: str, blocks: Sequence[Block | None], *, measured: bool
) -> Section:
    """Return a section; one with measured figures of twins begins with their notice."""
    kept = tuple(block for block in blocks if block is not None)
    is_twin = measured and bool(material.twin_text)
    warning = Notice(
        tone="twin",
        title=TWIN_TITLE,
        text=f"Random weights, scale {material.twin_scales}: read ratios, not rates.",
    )
    return Section(
        id=name,
        number="",
        title=title,
        blocks=(warning, *kept) if is_twin and kept else kept,
        is_twin=is_twin,
    )


def _table(material: Material, table: Table) -> TableView | None:
    """Return a table, None where it has no row."""
    cite = Citations(loaded=material.loaded, study=material.study).of
    return build_table_view(table, cite) if table.groups else None


def _figure(material: Material, name: str) -> FigureView | None:
    """Return a figure, None where it has no panel."""
    found = [figure for figure in material.figures if figure.id == name]
    return _figure_view(found[0]) if found else None


def _figure_view(figure: FigureSet) -> FigureView:
    return FigureView(
        id=f"figure-{figure.id}",
        number=0,
        title=figure.title,
        caption=figure.caption,
        data=f"#table-{figure.table}" if figure.table else "tables/audits.csv",
        panels=tuple(
            PanelView(
                id=panel.name,
                # The only markup on the page that is not the template's own.
                svg=Markup(themed(panel.svg)),  # noqa: S704
                description=printable(panel.description),
                files=tuple(
                    FileLink(label=kind.upper(), path=f"figures/{panel.name}.{kind}")
                    for kind in FIGURE_FILES
                ),
            )
            for panel in figure.panels
        ),
    )


def _hardware(material: Material) -> Section:
    commands = [
        Verbatim(
            title=printable(f"{session.key}, {command.model}"),
            text=printable(" ".join(command.argv)),
        )
        for session in (material.loaded.sessions if material.loaded else ())
        for command in session.commands
    ]
    blocks = [
        Prose(
            paragraphs=(
                "What the measuring process read from its host, and the engine it ran, beside "
                "what the study states of its two devices.",
            )
        ),
        _table(material, material.tables.hardware),
        Folded(title="Exact command of each model's first run", texts=tuple(commands[:_MOST_TEXTS]))
        if commands
        else None,
    ]
    return _section(material, "hardware", "Hardware and backend", blocks, measured=False)


def _models(material: Material) -> Section:
    blocks = [
        Prose(
            paragraphs=(
                "Parameters and bytes are counted in the model files; the study gives nominal "
                "numbers. An MoE model uses only some of its experts for a token, so it reads "
                "fewer bytes per token than its file holds.",
            )
        ),
        _table(material, material.tables.models),
    ]
    return _section(material, "models", "Models", blocks, measured=True)


def _prompts(material: Material) -> Section:
    texts: dict[str, Verbatim] = {}
    for session in material.loaded.sessions if material.loaded else ():
        for prompt in session.plan.prompts.values():
            title = printable(f"{prompt.id}, {prompt.words} words")
            texts.setdefault(prompt.sha256, Verbatim(title=title, text=printable(prompt.text)))
    paragraph = (
        "The study's prompts are in its bundle and not reprinted here; those of this appliance "
        "are its own, in the same categories and lengths."
    )
    blocks = [
        Prose(paragraphs=(paragraph,)),
        _table(material, material.tables.procedure),
        _table(material, material.tables.experiments),
        _table(material, material.tables.threads),
        _table(material, material.tables.prompts),
        Folded(title="Texts as sent", texts=tuple(texts.values())[:_MOST_TEXTS]) if texts else None,
    ]
    return _section(material, "prompts", "Prompts and procedure", blocks, measured=False)


def _metrics() -> Section:
    metrics = tuple(
        MetricView(
            key=metric.key,
            title=metric.title,
            unit=metric.unit.value,
            source=metric.source,
            resolution=metric.resolution,
            blind_spot=metric.blind_spot,
        )
        for metric in METRICS.values()
    )
    intro = (
        "What each reading is, where it comes from, how fine it is and what it does not see. "
        f"Means have {CONFIDENCE_PCT} % intervals by a hierarchical bootstrap: prompts are drawn "
        "first, then their repetitions. Ratios of two models draw the same prompts for both. An "
        "interval speaks of other prompts of the kind; it knows nothing of other machines or "
        "days. Where prompt effects are strongly skewed it is too narrow."
    )
    return Section(
        id="metrics",
        number="",
        title="Metrics",
        blocks=(Prose(paragraphs=(intro,)), Metrics(metrics=metrics)),
    )


def _throughput(material: Material) -> Section:
    blocks = [
        Prose(
            paragraphs=(
                "Generation rate over all runs of the efficiency and prompt-length experiments, "
                "as the study pools them. It leaves out loading and the prompt.",
            )
        ),
        _nothing_measured(material, material.tables.throughput),
        _figure(material, "throughput"),
        _table(material, material.tables.throughput),
        _table(material, material.tables.time),
        _table(material, material.tables.engine_arm),
    ]
    return _section(material, "throughput", "Throughput", blocks, measured=True)


def _memory(material: Material) -> Section:
    blocks = [
        Prose(
            paragraphs=(
                "Peak resident memory of the engine's process tree. Resident is not needed: "
                "pages of a mapped model file count, though the kernel can drop them, and memory "
                "on a device does not. The study's ratio divides GiB by GB; the ratio of like "
                "units stands beside it.",
            )
        ),
        _nothing_measured(material, material.tables.memory),
        _figure(material, "memory"),
        _table(material, material.tables.memory),
        _table(material, material.tables.memory_arms),
    ]
    return _section(material, "memory", "Memory", blocks, measured=True)


def _prompt_length(material: Material) -> Section:
    blocks = [
        Prose(
            paragraphs=(
                "Generation rate after a short, a medium and a long prompt, with the number of "
                "generated tokens held. Attention reads more of its cache for every token as the "
                "prompt grows.",
            )
        ),
        _nothing_measured(material, material.tables.prompt_length),
        _figure(material, "prompt-length"),
        _table(material, material.tables.prompt_length),
    ]
    return _section(material, "prompt-length", "Prompt length", blocks, measured=True)


def _stability(material: Material) -> Section:
    blocks = [
        Prose(
            paragraphs=(
                "The study's coefficient of variation pools prompts and repetitions, so it holds "
                "what prompts do to the rate as well as what the machine does. The variation "
                "between repetitions of one prompt is the machine's alone.",
            )
        ),
        _nothing_measured(material, material.tables.stability),
        _figure(material, "stability"),
        _table(material, material.tables.stability),
    ]
    return _section(material, "stability", "Stability", blocks, measured=True)


def _nothing_measured(material: Material, table: Table) -> Notice | None:
    """Return a notice where sessions hold no run for a table."""
    if material.loaded is None or any(group.source == "reader" for group in table.groups):
        return None
    return Notice(
        tone="absent",
        title="Not measured",
        text="No run of these sessions goes into this table. The study's figures stand alone.",
    )


def _energy(material: Material) -> Section:
    table = material.tables.energy
    measured = any(group.source == "reader" for group in table.groups)
    blocks = [
        None if measured else _not_measured(material, _why_no_energy(material)),
        Prose(
            paragraphs=(
                "The study reports energy for the Jetson only: power of the module's rails over "
                "its inference window, divided by the generated tokens.",
            )
        ),
        _figure(material, "energy"),
        _table(material, table),
        _figure(material, "energy-windows"),
        _table(material, material.tables.energy_windows),
        _table(material, material.tables.heat),
    ]
    return _section(material, "energy", "Energy", blocks, measured=measured)


def _why_no_energy(material: Material) -> str:
    """Return the recorded reason for missing energy readings, else what the targets name."""
    loaded = material.loaded
    if loaded is None:
        return ""
    keys = [key for key, metric in METRICS.items() if metric.unit in _ENERGY_UNITS]
    reason = loaded.why_absent(keys)
    if reason is not None:
        return reason
    without = [s.label for s in loaded.settings if not s.target.power_sources]
    if without:
        return f"The target names no source of power readings ({'; '.join(without)})"
    return "The records hold no energy readings"


def _routing(material: Material) -> Section:
    table = material.tables.routing
    measured = any(group.source == "reader" for group in table.groups)
    blocks = [
        None if measured else _not_measured(material, _why_no_routing(material)),
        Prose(
            paragraphs=(
                "The study patched the engine to time every node of OLMoE's graph; here a probe is "
                "loaded into the unmodified engine. Timing itself slows the engine down, so every "
                "share stands beside the slowdown of the mode that measured it.",
            )
        ),
        _figure(material, "routing"),
        _table(material, table),
    ]
    return _section(material, "routing", "Routing inside the MoE blocks", blocks, measured=measured)


def _why_no_routing(material: Material) -> str:
    if material.loaded is None:
        return ""
    probed = len(material.loaded.runs.starting("arm", "probe-"))
    if probed:
        return f"{probed} runs had a probe, but feed no table of routing"
    return "No run had the probe that times routing"


def _not_measured(material: Material, reason: str) -> Notice | None:
    if material.loaded is None:
        return None
    text = f"{reason}. Shown are the study's figures alone."
    return Notice(tone="absent", title="Not measured in this session", text=printable(text))


def _stated(material: Material) -> Section:
    """Return the rest of the study's figures, in a report of these alone."""
    if material.loaded is not None:
        return Section(id="stated", number="", title="", blocks=())
    blocks = [
        Prose(paragraphs=("Numbers that the study prints in its text and in no table.",)),
        _table(material, material.tables.stated),
    ]
    return _section(material, "stated", "Figures in the text", blocks, measured=False)


def _claims(material: Material) -> Section:
    paragraph = (
        "Each claim of the study is a declared test on numbers: a band shows what is asked, a bar "
        "what the number is known within, a dot the number. A claim is reproduced where the bar "
        "lies inside the band for every part, not reproduced where it lies wholly outside for "
        "one. The study's own figures go through the same tests; their bars are the rounding of "
        "their digits."
    )
    blocks: list[Block] = [Prose(paragraphs=(paragraph,)), build_claims(material.judgement)]
    return _section(material, "claims", "Discussion: the claims", blocks, measured=True)


def _audit(material: Material) -> Section:
    judgement = material.judgement
    paragraph = (
        "Whether figures can mean what is said of them: each test is declared once and run on "
        "measured and printed figures alike. What does not fit comes first."
    )
    own = build_audits("The study's figures", judgement.own_findings or judgement.findings)
    blocks: list[Block | None] = [
        Prose(paragraphs=(paragraph,)),
        _figure(material, "roofline"),
    ]
    if judgement.own_findings is not None:
        blocks.append(build_audits("The figures of these sessions", judgement.findings))
    return _section(material, "audit", "Audit of the figures", [*blocks, own], measured=False)


def _threats(material: Material) -> Section:
    loaded = material.loaded
    if loaded is None:
        return Section(id="threats", number="", title="Threats to validity", blocks=())
    threats = find_threats(loaded, material.study)
    blocks = [
        Prose(
            paragraphs=(
                "What was found in these records that limits what their figures can mean, "
                "weightiest first.",
            )
        ),
        Facts(facts=tuple(map(_threat, threats))) if threats else _no_threats(),
        _table(material, material.tables.doubts),
    ]
    return _section(material, "threats", "Threats to validity", blocks, measured=False)


def _threat(threat: Threat) -> Fact:
    return Fact(
        term=printable(threat.title),
        aside=_WEIGHTS[threat.weight],
        text=printable(threat.text),
    )


def _no_threats() -> Notice:
    return Notice(
        tone="note",
        title="None found",
        text="No doubt was recorded and no check of the records found a cause for one.",
    )


def _runs(material: Material) -> Section:
    blocks: list[Block | None] = []
    if material.loaded is not None:
        blocks = [
            _table(material, material.tables.failures) or _all_well(),
            _table(material, material.tables.runs),
        ]
    return _section(material, "runs", "The runs one by one", blocks, measured=True)


def _all_well() -> Notice:
    return Notice(
        tone="note",
        title="Every run ended well",
        text="No run failed and no attempt was cut off.",
    )

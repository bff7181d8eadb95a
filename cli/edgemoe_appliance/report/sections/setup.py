"""The sections of what was run: hosts and engine, models, prompts and procedure, metrics."""

from __future__ import annotations

from edgemoe_appliance.analysis.tables.common import CONFIDENCE_PCT
from edgemoe_appliance.report.context import Fold, Metrics, MetricView, Prose, Section, Verbatim
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.sections.parts import declared_tables, prose_of, section_of, table_of
from edgemoe_appliance.schema.metrics import METRICS

# More texts make a page heavy; sessions have them all in their plans.
_MOST_TEXTS = 60


def hardware_section(material: Material) -> Section:
    """Return what the hosts and engines are, with the commands that ran."""
    commands = [
        Verbatim(
            title=f"{session.key}, {command.model}",
            text=" ".join(command.argv),
        )
        for session in (material.loaded.sessions if material.loaded else ())
        for command in session.commands
    ]
    blocks = [
        prose_of(material, "hardware"),
        table_of(material, material.tables["hardware"]),
        Fold(title="Exact command of each model's first run", texts=tuple(commands[:_MOST_TEXTS]))
        if commands
        else None,
    ]
    return section_of(material, "hardware", blocks, measured=False)


def models_section(material: Material) -> Section:
    """Return what is in the model files."""
    blocks = [
        prose_of(material, "models"),
        table_of(material, material.tables["models"]),
    ]
    return section_of(material, "models", blocks, measured=True)


def prompts_section(material: Material) -> Section:
    """Return what was asked of the models, how often and with which settings."""
    texts: dict[str, Verbatim] = {}
    for session in material.loaded.sessions if material.loaded else ():
        for prompt in session.plan.prompts.values():
            title = f"{prompt.id}, {prompt.words} words"
            texts.setdefault(prompt.sha256, Verbatim(title=title, text=prompt.text))
    blocks = [
        prose_of(material, "prompts"),
        table_of(material, material.tables["procedure"]),
        table_of(material, material.tables["experiments"]),
        *declared_tables(material, "prompts"),
        table_of(material, material.tables["prompts"]),
        Fold(title="Texts as sent", texts=tuple(texts.values())[:_MOST_TEXTS]) if texts else None,
    ]
    return section_of(material, "prompts", blocks, measured=False)


def metrics_section(material: Material) -> Section:
    """Return what each reading is and does not see."""
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
    blocks = (Prose(paragraphs=(intro,)), Metrics(metrics=metrics))
    return section_of(material, "metrics", blocks, measured=False)

"""The sections of what the results mean: claims, audit of the figures, threats to validity."""

from __future__ import annotations

from edgemoe_appliance.analysis.threats import Threat, Weight, find_threats
from edgemoe_appliance.report.audit_blocks import build_audits
from edgemoe_appliance.report.claim_blocks import build_claims
from edgemoe_appliance.report.context import (
    Block,
    Definition,
    DefinitionList,
    Notice,
    Prose,
    Section,
)
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.sections.parts import figure_of, section_of, table_of

_WEIGHTS = {
    Weight.MEANING: "bears on what the figures mean",
    Weight.COMPARISON: "bears on the comparison with the study",
    Weight.PRECISION: "bears on precision",
}


def claims_section(material: Material) -> Section:
    """Return the verdict on each claim of the study."""
    paragraph = (
        "Each claim of the study is a declared test on numbers: a band shows what is asked, a bar "
        "what the number is known within, a dot the number. A claim is reproduced where the bar "
        "lies inside the band for every part, not reproduced where it lies wholly outside for "
        "one. The study's own figures go through the same tests; their bars are the rounding of "
        "their digits."
    )
    blocks: list[Block] = [Prose(paragraphs=(paragraph,)), build_claims(material.judgement)]
    return section_of(material, "claims", blocks, measured=True)


def audit_section(material: Material) -> Section:
    """Return what the audits found in the study's figures and in the reader's."""
    judgement = material.judgement
    paragraph = (
        "Whether figures can mean what is said of them: each test is declared once and run on "
        "measured and printed figures alike. What does not fit comes first."
    )
    own = build_audits("The study's figures", judgement.own_findings or judgement.findings)
    blocks: list[Block | None] = [
        Prose(paragraphs=(paragraph,)),
        figure_of(material, "roofline"),
    ]
    if judgement.own_findings is not None:
        blocks.append(build_audits("The figures of these sessions", judgement.findings))
    return section_of(material, "audit", [*blocks, own], measured=False)


def threats_section(material: Material) -> Section:
    """Return what limits the meaning of the figures; empty in a report without sessions."""
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
        DefinitionList(facts=tuple(map(_threat, threats))) if threats else _no_threats(),
        table_of(material, material.tables["caveats"]),
    ]
    return section_of(material, "threats", blocks, measured=False)


def _threat(threat: Threat) -> Definition:
    return Definition(
        term=threat.title,
        aside=_WEIGHTS[threat.weight],
        text=threat.text,
    )


def _no_threats() -> Notice:
    return Notice(
        tone="note",
        title="None found",
        text="No caveat was recorded and no check of the records found a cause for one.",
    )

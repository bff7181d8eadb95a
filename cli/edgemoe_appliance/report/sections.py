"""The sections of a page in the order of report.yaml: what each kind of section is filled with.

Sentences here say how to read what stands there. Every number in them comes from a cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from markupsafe import Markup

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.analysis.table_model import Cell, RowGroup, Table
from edgemoe_appliance.analysis.tables.common import CONFIDENCE_PCT
from edgemoe_appliance.analysis.threats import Threat, Weight, find_threats
from edgemoe_appliance.report.audit_blocks import build_audits, build_causes
from edgemoe_appliance.report.claim_blocks import build_claims, build_overview
from edgemoe_appliance.report.context import (
    Block,
    Definition,
    DefinitionList,
    FigureView,
    FileLink,
    Fold,
    Metrics,
    PanelView,
    Prose,
    Section,
    TableView,
    Verbatims,
)
from edgemoe_appliance.report.drawing import themed
from edgemoe_appliance.report.filters import cell_text, interval_text
from edgemoe_appliance.report.material import Judgement, Material
from edgemoe_appliance.report.views import Citations, build_table_view
from edgemoe_appliance.schema.metrics import METRICS, Unit
from edgemoe_appliance.studies.report import CellReading, ReportFinding, SectionKind, SectionSpec

# More texts make a page heavy; sessions have them all in their plans.
_MOST_TEXTS = 60
_MOST_SOURCES = 50
# The weightiest are in sight.
_OPEN_THREATS = 3
_TWINS = "twins"
_ENERGY_UNITS = (Unit.JOULES, Unit.JOULES_PER_TOKEN, Unit.WATTS)
_WEIGHTS = {
    Weight.MEANING: "bears on what the figures mean",
    Weight.COMPARISON: "bears on the comparison with the study",
    Weight.PRECISION: "bears on precision",
}


def build_sections(material: Material) -> tuple[Section, ...]:
    """Return the sections in the order of the study, numbered, and their tables and figures.

    One without anything to show is left out.
    """
    specs = material.study.report.sections
    drafts = [_BUILDERS[spec.show](material, name, spec) for name, spec in specs.items()]
    kept = [draft for draft in drafts if draft is not None]
    numbers = Numbers()
    return tuple(
        numbers.numbered_section(replace(draft, number=str(place)))
        for place, draft in enumerate(kept, start=1)
    )


class Numbers:
    """Numbers tables and figures in the order of the page."""

    def __init__(self) -> None:
        self._tables = itertools.count(1)
        self._figures = itertools.count(1)

    def numbered_section(self, section: Section) -> Section:
        """Return a section whose tables and figures have their numbers."""
        figure = section.figure
        return replace(
            section,
            figure=replace(figure, number=next(self._figures)) if figure else None,
            blocks=tuple(map(self._numbered, section.blocks)),
            folded=tuple(map(self._numbered, section.folded)),
        )

    def _numbered(self, block: Block) -> Block:
        if isinstance(block, TableView):
            return replace(block, number=next(self._tables))
        if isinstance(block, FigureView):
            return replace(block, number=next(self._figures))
        if isinstance(block, Fold):
            return replace(block, blocks=tuple(map(self._numbered, block.blocks)))
        return block


def _results(material: Material, name: str, spec: SectionSpec) -> Section | None:
    """Return a reading of the study with the reader's beside it, None where nothing was read."""
    tables = _tables_of(material, name, spec)
    if not tables or _is_left_out(material, name, spec):
        return None
    return Section(
        id=name,
        title=spec.title,
        heading=_heading(material, spec),
        text=(spec.text,) if spec.text else (),
        figure=figure_view(material, spec.figure),
        folded=_present(
            *(figure_view(material, each) for each in spec.more),
            *(table_view(material, table) for table in tables),
        ),
    )


def _tables_of(material: Material, name: str, spec: SectionSpec) -> tuple[Table, ...]:
    """Return the tables of a section: those declared for it, and those that it names."""
    named = tuple(material.tables[each] for each in spec.tables)
    others = (each for each in material.tables.of_section(name) if each not in named)
    return (*named, *others)


def _is_left_out(material: Material, name: str, spec: SectionSpec) -> bool:
    """Return whether sessions hold nothing for a section: for its finding, else for any table."""
    tables = _tables_of(material, name, spec)
    if spec.finding is not None:
        tables = (material.tables[spec.finding.read.table],)
    return material.loaded is not None and not any(
        group.source == "reader" for table in tables for group in table.groups
    )


def _heading(material: Material, spec: SectionSpec) -> str:
    """Return what was found, the title where nothing was, or where reduced twins ran."""
    found = sentence_of(material, spec.finding) if spec.finding else ""
    return found or spec.title


def sentence_of(material: Material, finding: ReportFinding) -> str:
    """Return a finding in words; nothing without a figure, or where reduced twins ran."""
    here = reader_cell(material, finding.read)
    printed = _printed_in_words(material, finding.read)
    if material.loaded is not None and (here is None or material.bears_no_finding):
        return ""
    if here is None and not printed:
        return ""
    study = material.study
    text = finding.measured if here is not None else finding.printed
    return text.format(
        subject=study.model_name(study.subject),
        baseline=study.model_name(study.baseline),
        here=cell_text(here, digits_of(material, finding.read)) if here else "",
        study=printed or "not printed",
    )


def digits_of(material: Material, reading: CellReading) -> int:
    """Return the digits of a reading."""
    columns = material.tables[reading.table].columns
    return next(column.digits for column in columns if column.key == reading.column)


def reader_cell(material: Material, reading: CellReading) -> Cell | None:
    """Return a reading in the first of the reader's conditions that has it."""
    groups = (g for g in material.tables[reading.table].groups if g.source == "reader")
    cells = (cell for group in groups for cell in _cells(material, group, reading))
    return next(cells, None)


def _cells(material: Material, group: RowGroup, reading: CellReading) -> Iterator[Cell]:
    model = reading.model or material.study.subject
    for row in group.rows:
        cell = row.cells[reading.column]
        fits = all(row.cells[key].value == text for key, text in reading.where.items())
        if row.model == model and fits and cell.value is not None:
            yield cell


def _printed_in_words(material: Material, reading: CellReading) -> str:
    """Return what the study prints for a reading on each of its devices."""
    study, digits = material.study, digits_of(material, reading)
    told = [
        f"{cell_text(cell, digits)} ({study.devices[group.device].label})"
        for group in material.tables[reading.table].groups
        if group.source == "study" and group.device
        for cell in itertools.islice(_cells(material, group, reading), 1)
    ]
    return " and ".join(told) if len(told) < 3 else f"{', '.join(told[:-1])} and {told[-1]}"


def interval_in_words(material: Material, reading: CellReading, cell: Cell) -> str:
    """Return the interval of a reading, nothing where it has none."""
    text = interval_text(cell, digits_of(material, reading))
    return f"{CONFIDENCE_PCT} % interval {text}" if text else ""


def _claims(material: Material, name: str, spec: SectionSpec) -> Section:
    judgement = material.judgement
    overview, text = build_overview(judgement), spec.text
    if not overview.rows and judgement.own_verdicts:
        # Nothing was tested here: how the study stands against itself is shown in its place.
        own = build_overview(Judgement(verdicts=judgement.own_verdicts, findings=()))
        overview = replace(own, untested=overview.untested)
    if overview.is_study:
        text = (
            ("No claim could be tested on these sessions. " if material.loaded else "")
            + "Shown is how the study's printed figures stand against its own claims: the band is "
            "what a claim allows, scaled to one width."
        )
    return Section(
        id=name,
        title=spec.title,
        heading=spec.title,
        text=(text,) if text else (),
        blocks=(overview,),
    )


def _trust(material: Material, name: str, spec: SectionSpec) -> Section:
    """Return what limits the meaning of the figures: caveats of the records, then audits."""
    loaded, findings = material.loaded, material.judgement.all_findings
    # What twins are is said once, at the head of the page.
    found = find_threats(loaded, material.study) if loaded else ()
    threats = [threat for threat in found if threat.code != _TWINS]
    caveats: tuple[Block, ...] = (
        DefinitionList(facts=tuple(map(_threat, threats[:_OPEN_THREATS]))),
    )
    if not threats:
        text = "No caveat was recorded and no check of the records found a cause for one."
        caveats = (Prose(paragraphs=(text,)),) if loaded is not None else ()
    more = tuple(map(_threat, threats[_OPEN_THREATS:]))
    return Section(
        id=name,
        title=spec.title,
        heading=spec.title,
        text=(spec.text,) if spec.text else (),
        blocks=(*caveats, build_causes(findings)),
        folded=_present(
            Fold(title="More caveats", count=str(len(more)), blocks=(DefinitionList(facts=more),))
            if more
            else None,
            table_view(material, material.tables["caveats"]),
            figure_view(material, spec.figure),
        ),
    )


def _threat(threat: Threat) -> Definition:
    return Definition(term=threat.title, aside=_WEIGHTS[threat.weight], text=threat.text)


def _method(material: Material, name: str, spec: SectionSpec) -> Section:
    """Return what was run and how, the tables folded."""
    sessions = material.loaded.sessions if material.loaded else ()
    tables = material.tables
    commands = tuple(
        Definition(term=f"{session.key}, {command.model}", text=" ".join(command.argv))
        for session in sessions
        for command in session.commands
    )[:_MOST_TEXTS]
    prompts = {
        prompt.sha256: Definition(term=f"{prompt.id}, {prompt.words} words", text=prompt.text)
        for session in sessions
        for prompt in session.plan.prompts.values()
    }
    texts = tuple(prompts.values())[:_MOST_TEXTS]
    views = [tables[each] for each in ("hardware", "models", "procedure", "experiments", "prompts")]
    return Section(
        id=name,
        title=spec.title,
        heading=spec.title,
        text=tuple(filter(None, (spec.text, _statistics()))),
        folded=_present(
            *(table_view(material, table) for table in (*views, *tables.of_section(name))),
            Fold(
                title="Exact command of each model's first run",
                count=str(len(commands)),
                blocks=(Verbatims(texts=commands),),
            )
            if commands
            else None,
            Fold(title="Prompts as sent", count=str(len(texts)), blocks=(Verbatims(texts=texts),))
            if texts
            else None,
            Fold(
                title="Metrics: what each reading is and does not see",
                count=str(len(METRICS)),
                blocks=(Metrics(metrics=tuple(METRICS.values())),),
            ),
        ),
    )


def _statistics() -> str:
    return (
        f"Means have {CONFIDENCE_PCT} % intervals by a hierarchical bootstrap: prompts are drawn "
        "first, then their repetitions; ratios of two models draw the same prompts for both."
    )


def _appendix(material: Material, name: str, spec: SectionSpec) -> Section:
    """Return what is long: every claim, every audit, what was not measured, every run."""
    judgement, tables = material.judgement, material.tables
    own = judgement.own_findings
    is_alone = material.loaded is None
    return Section(
        id=name,
        title=spec.title,
        heading=spec.title,
        text=tuple(filter(None, (spec.text, _not_measured(material)))),
        folded=_present(
            Fold(
                title="Claims in full",
                count=str(len(judgement.verdicts)),
                blocks=(build_claims(judgement),),
            ),
            Fold(
                title="Audits of the figures of these sessions",
                count=str(len(judgement.findings)),
                blocks=(build_audits(judgement.findings),),
            )
            if own is not None
            else None,
            Fold(
                title="Audits of the study's figures",
                count=str(len(own if own is not None else judgement.findings)),
                blocks=(build_audits(own if own is not None else judgement.findings),),
            ),
            table_view(material, tables["stated"]) if is_alone else _unmeasured(material),
            table_view(material, tables["failures"]) if not is_alone else None,
            table_view(material, tables["runs"]) if not is_alone else None,
            Fold(
                title="Sources, for citations",
                count=str(len(sources := tuple(_sources(material)))),
                blocks=(DefinitionList(facts=sources),),
            ),
        ),
    )


def _left_out(material: Material) -> Iterator[tuple[str, SectionSpec]]:
    """Yield the sections of results that hold nothing of these sessions."""
    for name, spec in material.study.report.sections.items():
        if spec.show == "results" and _is_left_out(material, name, spec):
            yield name, spec


def _not_measured(material: Material) -> str:
    """Return in a line what was not measured and why, nothing where all was."""
    left = [f"{spec.title} ({_why(material, name, spec)})" for name, spec in _left_out(material)]
    return f"Not measured here: {'; '.join(left)}. The study's figures are below." if left else ""


def _why(material: Material, name: str, spec: SectionSpec) -> str:
    """Return the recorded reason why the tables of a section are empty."""
    loaded = material.loaded
    metrics = {
        column.metric or column.key
        for table in _tables_of(material, name, spec)
        for column in table.columns
    }
    known = [key for key in metrics if key in METRICS]
    if any(METRICS[key].unit in _ENERGY_UNITS for key in known) and loaded is not None:
        keys = [key for key, metric in METRICS.items() if metric.unit in _ENERGY_UNITS]
        return loaded.why_absent(keys) or _no_power(loaded)
    return "no run of these sessions goes into its tables"


def _no_power(loaded: LoadedSessions) -> str:
    without = [s.label for s in loaded.settings if not s.target.power_sources]
    if without:
        return f"the target names no source of power readings ({'; '.join(without)})"
    return "the records hold no energy readings"


def _unmeasured(material: Material) -> Fold | None:
    """Return the study's tables that nothing was measured for."""
    blocks = _present(
        *(
            view
            for name, spec in _left_out(material)
            for view in (
                *(table_view(material, table) for table in _tables_of(material, name, spec)),
            )
        )
    )
    title = "The study's tables of what was not measured here"
    return Fold(title=title, count=str(len(blocks)), blocks=blocks) if blocks else None


def _sources(material: Material) -> Iterator[Definition]:
    study = material.study
    sessions = material.loaded.sessions if material.loaded else ()
    for session in sessions[:_MOST_SOURCES]:
        yield Definition(term=f"Session {session.key}", text=_session_source(session))
    if len(sessions) > _MOST_SOURCES:
        more = len(sessions) - _MOST_SOURCES
        yield Definition(
            term=f"{more} more sessions", text="runs.csv names the session of each run"
        )
    source = study.source
    text = f"{source.authors}: {source.title}. {source.repository}"
    yield Definition(term="Study", text=text)
    yield Definition(term="Rendered by", text=f"edgemoe-appliance {__version__}")


def _session_source(session: SessionFacts) -> str:
    identity = session.plan.appliance
    periods = ", ".join(period.started_utc for period in session.periods) or "none"
    return (
        f"journal sha256 {session.journal_sha256}; plan {session.plan.digest}; measuring periods: "
        f"{periods}; measured by edgemoe-appliance {identity.version}"
        + (f", commit {identity.git_head}" if identity.git_head else "")
    )


def table_view(material: Material, table: Table) -> TableView | None:
    """Return a table, None where it has no row."""
    cite = Citations(loaded=material.loaded, study=material.study).of
    return build_table_view(table, cite) if table.groups else None


def figure_view(material: Material, name: str | None) -> FigureView | None:
    """Return a figure, None where it has no panel."""
    figure = material.figure(name)
    if figure is None:
        return None
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
                description=panel.description,
                files=tuple(
                    FileLink(label=kind.upper(), path=f"figures/{panel.name}.{kind}")
                    for kind in material.figure_files
                ),
            )
            for panel in figure.panels
        ),
    )


def _present(*blocks: Block | None) -> tuple[Block, ...]:
    return tuple(block for block in blocks if block is not None)


_BUILDERS: Mapping[SectionKind, Callable[[Material, str, SectionSpec], Section | None]] = {
    "results": _results,
    "claims": _claims,
    "trust": _trust,
    "method": _method,
    "appendix": _appendix,
}

"""What sections share: their frame, the views of their tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.report.citations import Citations
from edgemoe_appliance.report.context import (
    Block,
    FigureView,
    FileLink,
    Notice,
    PanelView,
    Prose,
    Section,
    TableView,
)
from edgemoe_appliance.report.drawing import FileKind, themed
from edgemoe_appliance.report.figures import FigureSet
from edgemoe_appliance.report.sections.material import Material
from edgemoe_appliance.report.views import build_table_view
from edgemoe_appliance.studies.report import SectionWords

TWIN_TITLE = "Twins, not the real models"
FIGURE_FILES: tuple[FileKind, ...] = ("svg", "png", "pdf")


def words_of(material: Material, name: str) -> SectionWords:
    """Return the words that the study has for a section; without any it is not on its page."""
    sections: Mapping[str, SectionWords] = {
        str(known): words for known, words in material.study.report.sections.items()
    }
    return sections.get(name, SectionWords(title=""))


def prose_of(material: Material, name: str) -> Prose | None:
    """Return how to read a section in the words of the study, None where it has none."""
    text = words_of(material, name).text
    return Prose(paragraphs=(text,)) if text else None


def section_of(
    material: Material, name: str, blocks: Sequence[Block | None], *, measured: bool
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
        title=words_of(material, name).title,
        blocks=(warning, *kept) if is_twin and kept else kept,
        is_twin=is_twin,
    )


def table_of(material: Material, table: Table) -> TableView | None:
    """Return a table, None where it has no row."""
    cite = Citations(loaded=material.loaded, study=material.study).of
    return build_table_view(table, cite) if table.groups else None


def declared_tables(material: Material, section: str) -> Iterator[Block | None]:
    """Yield the tables that a section of the study's tables.yaml names, each after its figure."""
    for table in material.tables.of_section(section):
        yield figure_of(material, table.id)
        yield table_of(material, table)


def figure_of(material: Material, name: str) -> FigureView | None:
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
                description=panel.description,
                files=tuple(
                    FileLink(label=kind.upper(), path=f"figures/{panel.name}.{kind}")
                    for kind in FIGURE_FILES
                ),
            )
            for panel in figure.panels
        ),
    )

"""The figures that the study prints in its text only. They have no reader's side."""

from __future__ import annotations

from edgemoe_appliance.analysis.table_model import Column, Row, RowGroup, Table, text
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StatedFigure

_STATED_COLUMNS = (
    Column(key="figure", title="Figure of"),
    Column(key="name", title="Key", meaning="ends in the unit"),
    Column(key="value", title="Printed"),
    Column(key="section", title="Section"),
)


def stated_table(study: Study) -> Table:
    """Return the figures that stand in the study's text only, as printed."""
    rows = tuple(
        Row(
            cells={
                "figure": text(figure.of),
                "name": text(name),
                "value": text(stated_in_words(figure)),
                "section": text(figure.section),
            }
        )
        for name, figure in study.stated.items()
    )
    return Table(
        id="stated",
        title="Figures in the study's text",
        columns=_STATED_COLUMNS,
        groups=(RowGroup(label="", source="study", rows=rows),),
    )


def stated_in_words(figure: StatedFigure) -> str:
    """Return a figure of the text as it is meant there: `about 12`, `0.6 to 2`."""
    if figure.value is None:
        return f"{figure.low:g} to {figure.high:g}"
    sense = {"exact": "", "about": "about ", "at-most": "at most ", "below": "below "}
    return f"{sense[figure.sense]}{figure.value:g}"

"""A reading as it is, and as a ratio beside the study's: the two panels of each condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import Chart, Mark, MarkRow, RowChart
from edgemoe_appliance.report.figures.parts import (
    SIGNS,
    TITLE_LETTERS,
    key_of,
    label_of,
    mark_of,
    own_groups,
    shape_of,
    shortened,
    study_key,
    warning_of,
    with_value,
)
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class PairedPanels:
    """Columns and words of the two panels.

    The study's figure of a `column` stands in the column of that name with `study_` before it.
    `ratio_devices` are those of the study among the ratios, all where none are named.
    """

    column: str
    axis: str
    build_row: Callable[[Row, RowGroup, Study], MarkRow]
    subtitle: str = ""
    ratio_column: str
    ratio_title: str
    ratio_axis: str
    ratio_digits: int
    ratio_devices: tuple[str, ...] = ()

    def of_reader(self, table: Table, study: Study) -> list[Chart]:
        """Return both panels of each of the reader's conditions."""
        return [
            chart
            for group in own_groups(table)
            for chart in (self._plain(group, study), self._ratio(table, group, study))
        ]

    def of_study(self, table: Table, study: Study) -> list[Chart]:
        """Return one panel per device and one of ratios, for a table of the study's alone."""
        plain = [self._plain(group, study) for group in table.groups]
        return [*plain, self._ratio(table, None, study)]

    def _plain(self, group: RowGroup, study: Study) -> RowChart:
        return RowChart(
            title=shortened(group.label, TITLE_LETTERS),
            axis=self.axis,
            rows=tuple(self.build_row(row, group, study) for row in with_value(group, self.column)),
            key=study_key(group, f"study_{self.column}", study),
            warning=warning_of(group),
            subtitle=self.subtitle,
        )

    def _ratio(self, table: Table, own: RowGroup | None, study: Study) -> RowChart:
        return RowChart(
            title=_ratio_title(own, self.ratio_title) if own else self.ratio_title,
            axis=self.ratio_axis,
            rows=_ratio_rows(table, own, study, (self.ratio_column, self.ratio_digits)),
            key=key_of(study, *self.ratio_devices),
            warning=warning_of(own) if own else "",
            reference=1.0,
        )


def _ratio_title(group: RowGroup, title: str) -> str:
    """Return the title of a panel that compares a condition with the study."""
    return f"{group.label.partition(':')[0]}: {title[0].lower()}{title[1:]}"


def _ratio_rows(
    table: Table, own: RowGroup | None, study: Study, column: tuple[str, int]
) -> tuple[MarkRow, ...]:
    """Return one row per model: the mark of one condition, then those of the study's devices."""
    key, digits = column
    found: dict[str, list[tuple[Row, Mark]]] = {}
    for group in table.groups:
        if group is own or group.source == "study":
            for row in with_value(group, key):
                if key != "to_baseline" or row.model != study.baseline:
                    mark = mark_of(row.cells[key], shape_of(group, study))
                    found.setdefault(str(row.model), []).append((row, mark))
    kept = {row.model for row in own.rows} if own else set(found)
    return tuple(
        MarkRow(
            label=label_of(marks[0][0]),
            model=model,
            text="   ".join(
                SIGNS[mark.shape] + format_number(mark.value or 0.0, digits) for _, mark in marks
            ),
            marks=tuple(mark for _, mark in marks),
        )
        for model, marks in found.items()
        if model in kept
    )

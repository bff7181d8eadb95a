"""The columns of a declared table, and what the study prints for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgemoe_appliance.analysis.table_model import Cell, Column, absent, text
from edgemoe_appliance.analysis.tables.printed_figures import (
    PrintedFigure,
    printed_figure,
    stated_figure,
)
from edgemoe_appliance.analysis.tables.quantities import FACTS, NO_HEAD, RunReading, reading_of
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyTable
from edgemoe_appliance.studies.tables import (
    COMPARISONS_OF_RUNS,
    SIZES,
    ColumnComparison,
    ColumnSpec,
    RowAttribute,
    Statistic,
    TableSpec,
)

_RATIOS = (
    ColumnComparison.TO_BASELINE,
    ColumnComparison.TO_REFERENCE,
    ColumnComparison.RATIO,
    ColumnComparison.OVER_PRINTED,
)
_WITH_INTERVAL = COMPARISONS_OF_RUNS
_LIKE_ITS_COLUMN = (
    ColumnComparison.OVER_PRINTED,
    ColumnComparison.LESS_PRINTED,
    ColumnComparison.BEYOND_PRINTED,
)
_RATIO_DIGITS = 3
_UNITS = {
    Statistic.CV: "%",
    Statistic.CV_WITHIN: "%",
    Statistic.RANGE: "%",
    Statistic.RUNS_ABOVE: "",
}
# Units of a difference, where it is not that of its sides.
_DIFFERENCE_UNITS = {"%": "pp", "°C": "K"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A declared table and the study that it stands beside."""

    spec: TableSpec
    study: Study

    def columns(self) -> tuple[Column, ...]:
        """Return the columns, each with the head of its quantity where it declares no other."""
        return tuple(
            Column(
                key=key,
                title=spec.title or self._head(key).title,
                unit=self.unit(key),
                digits=self._digits(key),
                has_interval=self._has_interval(key),
                meaning=spec.meaning or self._head(key).meaning,
                metric=self._metric(key),
            )
            for key, spec in self.spec.columns.items()
        )

    def reading(self, key: str, part: str = "") -> RunReading | None:
        """Return what a column reads of each run, None where it reads nothing."""
        spec = self.spec.columns[key]
        return None if spec.compare else reading_of(spec, spec.quantity_of(key, part))

    def fact(self, key: str) -> RowAttribute | None:
        """Return the fact that a column states, None where it states none."""
        return self.spec.columns[key].fact_of(key)

    @property
    def printed_table(self) -> StudyTable[Any]:
        """Return the study's table with the rows of this one."""
        return self.study.tables.named(self.spec.printed)

    def printed(self, key: str | None, device: str | None, model: str) -> PrintedFigure:
        """Return what the study prints for a column."""
        names = self.spec.columns[str(key)].printed
        return printed_figure(self.study, names, self.spec.printed, device, model)

    @property
    def printed_runs(self) -> int:
        """Return how many runs of the study a row is of: one prompt of each category, or all."""
        procedure = self.study.procedure
        if self.categories:
            return len(self.categories) * (procedure.repetitions or 0)
        return procedure.headline_runs_per_cell or 0

    @property
    def categories(self) -> tuple[str, ...]:
        """Return the categories of prompts that columns are of, none where they are of all."""
        named = (spec.category for spec in self.spec.columns.values() if spec.category)
        return tuple(dict.fromkeys(named))

    def quotient(self, spec: ColumnSpec, over: Cell, under: Cell) -> Cell:
        """Return a cell over another, each brought to its side of a unit such as `B/B`."""
        if over.number is None or under.number is None:
            return absent(over.absent or under.absent)
        over_unit, _, under_unit = spec.unit.partition("/")
        top = over.number * SIZES[self.unit(spec.of)] / SIZES[over_unit]
        return Cell(value=top / (under.number * SIZES[self.unit(spec.to)] / SIZES[under_unit]))

    def below(self, spec: ColumnSpec, value: float) -> Cell:
        """Return whether a value is below the limit that a column names."""
        limit = stated_figure(self.study, spec.limit).low
        if limit is None:
            return absent("no figure to judge")
        return text("yes" if value < limit else "no")

    def unit(self, key: str | None) -> str:
        """Return the unit of a column: the one it declares, else what it is bound to be."""
        spec = self.spec.columns[str(key)]
        if spec.unit or not spec.compare:
            return spec.unit or _UNITS.get(spec.statistic, self._head(str(key)).unit)
        if spec.compare in _RATIOS:
            return "ratio"
        if spec.compare is ColumnComparison.PRINTED:
            return self.unit(spec.of)
        if spec.compare in _LIKE_ITS_COLUMN:
            return _DIFFERENCE_UNITS.get(self.unit(spec.of), self.unit(spec.of))
        return "%" if spec.compare is ColumnComparison.FALL else ""

    def _digits(self, key: str) -> int:
        spec = self.spec.columns[key]
        if spec.digits is not None:
            return spec.digits
        if spec.compare in _RATIOS:
            return _RATIO_DIGITS
        return self._digits(spec.of) if spec.of else self._head(key).digits

    def _has_interval(self, key: str) -> bool:
        spec = self.spec.columns[key]
        if spec.compare in _LIKE_ITS_COLUMN:
            return self._has_interval(str(spec.of))
        if spec.compare:
            return spec.compare in _WITH_INTERVAL
        is_known_within = spec.interval and spec.statistic in (Statistic.MEAN, Statistic.CV)
        return is_known_within and not self.fact(key)

    def _metric(self, key: str) -> str:
        """Return the metric that a column is made of; a comparison is made of its column's."""
        of, reading = self.spec.columns[key].of, self.reading(key)
        if of:
            return self._metric(of)
        return reading.metric if reading else ""

    def _head(self, key: str) -> Column:
        fact = self.fact(key)
        if fact:
            return FACTS[fact].head
        found = (self.reading(key, part) for part in self.spec.parts or ("",))
        return next((reading.head for reading in found if reading), NO_HEAD)

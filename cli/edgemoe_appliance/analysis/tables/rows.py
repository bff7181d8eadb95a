"""Rows of a declared table: each cell from its column, for the reader's runs and for the study.

A cell of the reader's is a reading of the row's runs or a comparison of another cell; one of the
study's is what the study prints, or what follows from that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, device_of, why_not_comparable
from edgemoe_appliance.analysis.statistics import (
    Absent,
    Interval,
    Sample,
    Summary,
    difference_of_means,
    mean_interval,
    ratio_of_means,
    summarise,
    variation_interval,
)
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Row,
    absent,
    count,
    estimate,
    mapped,
    number,
    text,
)
from edgemoe_appliance.analysis.tables.axes import FileSweep, Step
from edgemoe_appliance.analysis.tables.common import (
    NOT_PRINTED,
    STUDY_ROW,
    baseline_ratio_cell,
    found_cell,
    outside,
)
from edgemoe_appliance.analysis.tables.layout import Layout
from edgemoe_appliance.analysis.tables.printed_figures import (
    PrintedFigure,
    stated_figure,
)
from edgemoe_appliance.analysis.tables.quantities import FACTS, NO_HEAD, RunReading
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.studies.tables import (
    PART,
    PRINTED_COMPARISONS,
    STATED,
    ColumnComparison,
    ColumnSpec,
    RowAttribute,
    Statistic,
)

_NOT_KEPT = "not recorded for this window"
_OF_BOTH = "the difference is of both rows above"
_NO_NAME = "neither the best nor a named one"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReaderRow:
    """One row of the reader's: the runs of a model file, of a part of them, at a step of an axis.

    Cells and samples are worked out when they are first asked for.
    """

    layout: Layout
    pool: Pool
    models: ModelRuns
    part: str
    step: Step
    file: FileSweep
    _cells: dict[str, Cell] = field(default_factory=dict)
    _samples: dict[RunReading, Sample] = field(default_factory=dict)

    def row(self) -> Row:
        """Return the row."""
        cells = {key: self.cell(key) for key in self.layout.spec.columns}
        return Row(cells=cells, model=self.models.model, twin=self.models.twin_scale)

    def cell(self, key: str) -> Cell:
        """Return the cell of a column."""
        if key not in self._cells:
            spec = self.layout.spec.columns[key]
            compare = _COMPARISONS[spec.compare] if spec.compare else None
            self._cells[key] = compare(self, spec) if compare else self._own_cell(key, spec)
        return self._cells[key]

    def _own_cell(self, key: str, spec: ColumnSpec) -> Cell:
        fact = self.layout.fact(key)
        if fact:
            return self._fact_cell(fact)
        reading = self.layout.reading(key, self.part)
        if reading is None or spec.only_part not in ("", self.part):
            return absent(_NOT_KEPT)
        sample = self._sample(reading)
        if not sample.n:
            return absent(reading.why_absent(self.models))
        if spec.statistic is Statistic.RUNS_ABOVE:
            limit = self.pool.condition.setting.target.thermal.threshold_c
            return count(int((sample.values > limit).sum()))
        return _statistic_cell(sample, spec, reading.scale)

    def _fact_cell(self, fact: RowAttribute) -> Cell:
        read = FACTS[fact].read
        if read:
            return read(self.pool, self.models)
        if fact is RowAttribute.PART:
            return text(self.layout.spec.parts[self.part])
        if fact is RowAttribute.STEP:
            return self.step.name
        return count(self._runs())

    def _runs(self) -> int:
        """Return how many runs ended well and have the reading that the table is of."""
        wanted = (name.replace(PART, self.part) for name in self.layout.spec.reading)
        metric = next((name for name in wanted if name in METRICS), None)
        if metric is None:
            return len(self.models.ok)
        readings = (
            RunReading(head=NO_HEAD, metric=metric, category=category)
            for category in self.layout.categories or ("",)
        )
        return sum(self._sample(reading).n for reading in readings)

    def _sample(self, reading: RunReading) -> Sample:
        if reading not in self._samples:
            self._samples[reading] = reading.sample(self.models)
        return self._samples[reading]

    def _reading(self, key: str | None) -> RunReading:
        """Return what another column reads of each run; the file is checked to name such a one."""
        reading = self.layout.reading(str(key))
        if reading is None:
            raise KeyError(key)
        return reading

    def to_baseline(self, spec: ColumnSpec) -> Cell:
        """Return the ratio of means to the baseline model's in the same condition."""
        return baseline_ratio_cell(self.pool, self.models, self._reading(spec.of).sample)

    def less_reference(self, spec: ColumnSpec) -> Cell:
        """Return the mean less that of the model's 16-bit file; items and chunks are paired."""
        reading = self._reading(spec.of)
        other = self._of_reference(reading)
        if isinstance(other, Cell):
            return other
        return found_cell(difference_of_means(self._sample(reading), other))

    def to_reference(self, spec: ColumnSpec) -> Cell:
        """Return the ratio of means to that of the model's 16-bit file."""
        reading = self._reading(spec.of)
        other = self._of_reference(reading)
        if isinstance(other, Cell):
            return other
        return found_cell(ratio_of_means(self._sample(reading), other))

    def _of_reference(self, reading: RunReading) -> Sample | Cell:
        """Return what the model's 16-bit file has of a reading, or why nothing is compared."""
        name = self.layout.study.references.get(self.models.model)
        found = [each for each in self.pool.models if each.model == name]
        if name == self.models.model:
            return absent("this is the file that others are compared with")
        if len(found) != 1:
            return absent(
                f"{len(found) or 'no'} files of its 16-bit model ran under this condition"
            )
        lacking = next(
            (runs for runs in (self.models, found[0]) if not reading.sample(runs).n), None
        )
        return reading.sample(found[0]) if lacking is None else absent(reading.why_absent(lacking))

    def margin(self, spec: ColumnSpec) -> Cell:
        """Return half the width of another cell's interval."""
        cell = self.cell(str(spec.of))
        if isinstance(cell.interval, Interval):
            return number(cell.interval.half_width)
        return absent(cell.absent or "no interval")

    def ratio(self, spec: ColumnSpec) -> Cell:
        """Return the ratio of means to another column's, or to the baseline of the axis."""
        reading = self._reading(spec.of)
        if spec.to:
            below = self._sample(self._reading(spec.to))
            return found_cell(ratio_of_means(self._sample(reading), below))
        found = self.file.ratio(self.models, reading)
        return self.file.own_ratio if found is None else found_cell(found)

    def fall(self, spec: ColumnSpec) -> Cell:
        """Return by how many per cent the mean lies below that."""
        return mapped(self.ratio(spec), lambda ratio: 100 * (1 - ratio))

    def same_text(self, spec: ColumnSpec) -> Cell:
        """Return of how many prompts the text is that of the baseline of the axis."""
        return self.file.same_text(self.models)

    def named_step(self, spec: ColumnSpec) -> Cell:
        """Return what a number of threads is known as."""
        threads, setting = self.pool.condition.threads, self.pool.condition.setting
        declared = setting.target.threads
        names = {
            "best": self.cell(str(spec.of)).number == 0,
            "study's": threads == self.layout.study.procedure.threads,
            "target's own": threads
            == (declared if isinstance(declared, int) else setting.host.cores_physical),
        }
        return text(", ".join(name for name, holds in names.items() if holds), _NO_NAME)

    def quotient(self, spec: ColumnSpec) -> Cell:
        """Return a cell over another."""
        return self.layout.quotient(spec, self.cell(str(spec.of)), self.cell(str(spec.to)))

    def below(self, spec: ColumnSpec) -> Cell:
        """Return whether a figure is below a limit of the study."""
        cell = self.cell(str(spec.of))
        return cell if cell.number is None else self.layout.below(spec, cell.number)

    def beside_printed(self, spec: ColumnSpec) -> Cell:
        """Return the study's figure or the difference to it, where the two may stand together."""
        device = device_of(self.pool.condition.setting, self.layout.study)
        reasons = self._why_apart()
        if reasons:
            return absent("; ".join(reasons))
        figure = self.layout.printed(str(spec.of), device, self.models.model)
        if figure.low is None and figure.high is None:
            return absent(NOT_PRINTED)
        if spec.compare is ColumnComparison.PRINTED:
            return figure.cell
        own = self.cell(str(spec.of))
        if spec.compare is ColumnComparison.BEYOND_PRINTED:
            return mapped(own, lambda value: outside(value, figure.low, figure.high))
        printed = figure.cell.number
        if printed is None:
            return absent("the study prints no single value")
        is_ratio = spec.compare is ColumnComparison.OVER_PRINTED
        return mapped(own, lambda value: value / printed if is_ratio else value - printed)

    def _why_apart(self) -> tuple[str, ...]:
        study = self.layout.study
        step = self.file.axis.why_apart(self.pool.condition, study)
        return (step,) if step else why_not_comparable(self.pool, study)


_COMPARISONS: Mapping[ColumnComparison, Callable[[ReaderRow, ColumnSpec], Cell]] = {
    ColumnComparison.TO_BASELINE: ReaderRow.to_baseline,
    ColumnComparison.TO_REFERENCE: ReaderRow.to_reference,
    ColumnComparison.LESS_REFERENCE: ReaderRow.less_reference,
    ColumnComparison.MARGIN: ReaderRow.margin,
    ColumnComparison.RATIO: ReaderRow.ratio,
    ColumnComparison.FALL: ReaderRow.fall,
    ColumnComparison.SAME_TEXT: ReaderRow.same_text,
    ColumnComparison.QUOTIENT: ReaderRow.quotient,
    ColumnComparison.BELOW: ReaderRow.below,
    ColumnComparison.NAMED_STEP: ReaderRow.named_step,
    **dict.fromkeys(PRINTED_COMPARISONS, ReaderRow.beside_printed),
}


def _statistic_cell(sample: Sample, spec: ColumnSpec, scale: float) -> Cell:
    """Return a statistic of a sample that is not empty, with its interval where it has one."""
    value = _STATISTICS[spec.statistic](sample)
    if isinstance(value, Absent) or not spec.interval:
        return number(value, scale=scale)
    if spec.statistic is Statistic.MEAN:
        return estimate(value, mean_interval(sample), scale)
    if spec.statistic is Statistic.CV:
        return estimate(value, variation_interval(sample))
    return number(value, scale=scale)


def _of_summary(figure: Callable[[Summary], float | Absent]) -> Callable[[Sample], float | Absent]:
    def read(sample: Sample) -> float | Absent:
        summary = summarise(sample)
        return summary if isinstance(summary, Absent) else figure(summary)

    return read


def _cv_within(summary: Summary) -> float | Absent:
    within = summary.sd_within
    return within if isinstance(within, Absent) else 100 * within / summary.mean


_STATISTICS: Mapping[Statistic, Callable[[Sample], float | Absent]] = {
    Statistic.MEAN: lambda sample: float(sample.values.mean()),
    Statistic.MEDIAN: lambda sample: sample.median,
    Statistic.HIGHEST: lambda sample: float(sample.values.max()),
    Statistic.SUM: lambda sample: float(sample.values.sum()),
    Statistic.SD: _of_summary(lambda summary: summary.sd),
    Statistic.CV: _of_summary(lambda summary: summary.cv_pct),
    Statistic.CV_WITHIN: _of_summary(_cv_within),
    Statistic.RANGE: _of_summary(
        lambda summary: 100 * (summary.maximum - summary.minimum) / summary.mean
    ),
}


def difference_row(first: ReaderRow, name: str) -> Row:
    """Return the row of what is read at the last step of an axis less that at the first."""
    cells = {key: _difference_cell(first, key, name) for key in first.layout.spec.columns}
    return Row(cells=cells, model=first.models.model, twin=first.models.twin_scale)


def _difference_cell(first: ReaderRow, key: str, name: str) -> Cell:
    fact, reading = first.layout.fact(key), first.layout.reading(key)
    if fact is RowAttribute.MODEL:
        return first.cell(key)
    if fact is RowAttribute.STEP:
        return text(name)
    if reading is None:
        return absent(_OF_BOTH)
    return found_cell(first.file.difference(reading), reading.scale)


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One row of the study's, of a model on a device."""

    layout: Layout
    device: str
    model: str

    def row(self) -> Row:
        """Return the row."""
        cells = {key: self._cell(key) for key in self.layout.spec.columns}
        return Row(cells=cells, model=self.model)

    def _cell(self, key: str) -> Cell:
        spec = self.layout.spec.columns[key]
        if spec.compare in PRINTED_COMPARISONS:
            return absent(STUDY_ROW)
        if spec.statistic is Statistic.RUNS_ABOVE:
            return self._runs_above(key)
        if spec.printed:
            return self._printed(key).cell
        return self._comparison(spec) if spec.compare else self._fact_cell(self.layout.fact(key))

    def _comparison(self, spec: ColumnSpec) -> Cell:
        """Return what follows from figures that the study prints, absent where it has none."""
        if spec.compare is ColumnComparison.BELOW:
            highest = self._printed(spec.of).high
            return absent(NOT_PRINTED) if highest is None else self.layout.below(spec, highest)
        if spec.compare is ColumnComparison.TO_BASELINE:
            own, base = (
                self._printed(spec.of).low,
                self._printed(spec.of, self.layout.study.baseline).low,
            )
            return absent(NOT_PRINTED) if own is None or base is None else Cell(value=own / base)
        if spec.compare is ColumnComparison.QUOTIENT:
            return self.layout.quotient(spec, self._cell(str(spec.of)), self._cell(str(spec.to)))
        return absent(NOT_PRINTED)

    def _printed(self, key: str | None, model: str = "") -> PrintedFigure:
        return self.layout.printed(str(key), self.device, model or self.model)

    def _runs_above(self, key: str) -> Cell:
        """Return none where the highest that is printed is not above the study's threshold."""
        highest = self._printed(key).high
        limit = self.layout.study.procedure.thermal_threshold_c
        if highest is None or limit is None or highest > limit:
            return absent(NOT_PRINTED)
        return count(0)

    def _fact_cell(self, fact: RowAttribute | None) -> Cell:
        if fact is RowAttribute.RUNS:
            return count(self.layout.printed_runs)
        printed = FACTS[fact].printed if fact else None
        return printed(self.layout.study.models[self.model]) if printed else absent(NOT_PRINTED)


def literal_row(layout: Layout, values: Mapping[str, str | float]) -> Row:
    """Return a row of the study's that is not by model."""
    return Row(cells={key: _literal(layout, key, values) for key in layout.spec.columns})


def _literal(layout: Layout, key: str, values: Mapping[str, str | float]) -> Cell:
    if layout.spec.columns[key].compare in PRINTED_COMPARISONS:
        return absent(STUDY_ROW)
    value = values.get(key)
    if value is None:
        return absent(NOT_PRINTED)
    if isinstance(value, str) and value.startswith(STATED):
        return stated_figure(layout.study, value.removeprefix(STATED)).cell
    return Cell(value=value)

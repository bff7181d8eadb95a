"""What the columns of declared tables read: readings of runs, and facts of a row.

Each is declared with the head that a column has of it unless the table says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    added_by_heat,
    of_category,
    sample_of,
    sums_sample,
    with_caveat,
)
from edgemoe_appliance.analysis.statistics import Sample
from edgemoe_appliance.analysis.table_model import Cell, Column, count
from edgemoe_appliance.analysis.tables.common import (
    ACTIVE_COLUMN,
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    RUNS_COLUMN,
    TOTAL_COLUMN,
    model_cell,
    printed_cell,
)
from edgemoe_appliance.schema.metrics import METRICS, Unit
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies.paper import StudyModel
from edgemoe_appliance.studies.tables import SIZES, ColumnSpec, RowAttribute, RunFigure, unit_of

_BILLION = 1e9
_DISAGREE = "footer-stream"


NO_HEAD = Column(key="", title="")


@dataclass(frozen=True, kw_only=True)
class RunReading:
    """A figure of each run: a metric, or one in per cent of others.

    Runs of all categories of prompts are read unless one is named; `scale` is what a value is
    divided by to be in the unit of its column.
    """

    head: Column
    metric: str
    under: tuple[str, ...] = ()
    category: str = ""
    scale: float = 1.0

    def sample(self, models: ModelRuns) -> Sample:
        """Return the readings of the runs that ended well, in the unit of the record."""
        runs = self._chosen(models).ok
        if not self.under:
            return sample_of(runs, self.metric)
        return sums_sample(runs, (self.metric,), self.under).scaled(100)

    def why_absent(self, models: ModelRuns) -> str:
        """Return why no run has it."""
        return self._chosen(models).why_absent(self.metric)

    def _chosen(self, models: ModelRuns) -> ModelRuns:
        return of_category(models, self.category) if self.category else models


_RUN_FIGURES: Mapping[str, RunReading] = {
    RunFigure.RECLAIMABLE: RunReading(
        head=Column(
            key="",
            title="Reclaimable",
            unit="%",
            digits=1,
            meaning="file-backed part of the peak: pages that the kernel may drop and read again, "
            "no demand for memory",
        ),
        metric="peak_rss_file_bytes",
        under=("peak_rss_bytes",),
    ),
}


def reading_of(spec: ColumnSpec, quantity: str) -> RunReading | None:
    """Return the reading of a column, None where no record holds such a quantity."""
    if quantity not in METRICS:
        return _RUN_FIGURES.get(quantity)
    metric = METRICS[quantity]
    return RunReading(
        head=Column(key="", title=metric.title, unit=unit_of(metric)),
        metric=quantity,
        category=spec.category,
        scale=SIZES.get(spec.unit, 1.0) if metric.unit is Unit.BYTES else 1.0,
    )


@dataclass(frozen=True, kw_only=True)
class AttributeSource:
    """Something that a row has, and where the study says it of a model.

    Without `read` the table itself knows it: the number of runs, the step of its axis.
    """

    head: Column
    read: Callable[[Pool, ModelRuns], Cell] | None = None
    printed: Callable[[StudyModel], Cell] | None = None


FACTS: Mapping[RowAttribute, AttributeSource] = {
    RowAttribute.MODEL: AttributeSource(
        head=MODEL_COLUMN,
        read=lambda pool, models: model_cell(models, pool),
        printed=lambda model: Cell(value=model.name),
    ),
    RowAttribute.PART: AttributeSource(head=Column(key="part", title="Part")),
    RowAttribute.STEP: AttributeSource(head=Column(key="step", title="Step")),
    RowAttribute.ACTIVE_PARAMETERS: AttributeSource(
        head=ACTIVE_COLUMN,
        read=lambda _, models: Cell(value=models.of_file("parameters_active") / _BILLION),
        printed=lambda model: printed_cell(model.active_parameters_billion),
    ),
    RowAttribute.TOTAL_PARAMETERS: AttributeSource(
        head=TOTAL_COLUMN,
        read=lambda _, models: Cell(value=models.of_file("parameters_total") / _BILLION),
        printed=lambda model: printed_cell(model.total_parameters_billion),
    ),
    RowAttribute.FILE_SIZE: AttributeSource(
        head=Column(key="file_gb", title="File", unit="GB", digits=2, meaning="10^9 bytes"),
        read=lambda _, models: Cell(value=models.of_file("file_bytes") / GB),
        printed=lambda model: printed_cell(model.file_gb),
    ),
    RowAttribute.RUNS: AttributeSource(head=RUNS_COLUMN),
    RowAttribute.NOT_OK: AttributeSource(
        head=NOT_OK_COLUMN, read=lambda _, models: count(models.not_ok)
    ),
    RowAttribute.CLOCKS_DISAGREE: AttributeSource(
        head=Column(
            key="",
            title="Footer and stream disagree",
            meaning="runs with this caveat: generation by the engine's footer and by the clock on "
            "its output differ by more than 2 %",
        ),
        read=lambda _, models: count(with_caveat(models, _DISAGREE)),
    ),
    RowAttribute.ADDED_BY_HEAT: AttributeSource(
        head=Column(
            key="",
            title="Runs added",
            meaning="runs that stand in no plan: heat added them",
        ),
        read=lambda _, models: count(added_by_heat(models)),
    ),
}

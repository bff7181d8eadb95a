"""What the tables share: the columns and cells that name a model, ratios to the study."""

from __future__ import annotations

from collections.abc import Callable

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    device_of,
    sample_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.statistics import (
    CONFIDENCE,
    Absent,
    Difference,
    Ratio,
    Sample,
    mean_interval,
    ratio_of_means,
)
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    absent,
    count,
    estimate,
    mapped,
    number,
    text,
)
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyModel

NOT_PRINTED = "the study does not print it"
STUDY_ROW = "this row is the study's own"
CONFIDENCE_PCT = round(100 * CONFIDENCE)
_BILLION = 1e9

MODEL_COLUMN = Column(key="model", title="Model")
ACTIVE_COLUMN = Column(
    key="active_b",
    title="Active",
    unit="billion",
    digits=2,
    meaning="parameters used for one token; counted in the file, nominal in the study",
)
TOTAL_COLUMN = Column(
    key="total_b",
    title="Total",
    unit="billion",
    digits=2,
    meaning="parameters; counted in the file, nominal in the study",
)
RUNS_COLUMN = Column(key="n", title="Runs", meaning="runs that ended well and have the reading")
NOT_OK_COLUMN = Column(
    key="not_ok", title="Failed", meaning="runs that did not end well; they enter no statistic"
)


def model_cell(models: ModelRuns, pool: Pool) -> Cell:
    """Return the name of a model, with the start of its digest where there are two files of it."""
    files = [other for other in pool.models if other.model == models.model]
    return text(f"{models.name} ({models.sha256[:8]})" if len(files) > 1 else models.name)


def mean_cell(models: ModelRuns, metric: str, scale: float = 1.0) -> Cell:
    """Return the mean of a metric over the runs that ended well, divided by `scale`."""
    return sample_cell(sample_of(models.ok, metric), models.why_absent(metric), scale)


def sample_cell(sample: Sample, reason: str, scale: float = 1.0) -> Cell:
    """Return the mean of a sample with its interval; an empty one has a reason."""
    if not sample.n:
        return absent(reason)
    return estimate(float(sample.values.mean()), mean_interval(sample), scale)


def plain_mean_cell(models: ModelRuns, metric: str, scale: float = 1.0) -> Cell:
    """Return the mean of a metric without an interval, divided by `scale`."""
    sample = sample_of(models.ok, metric)
    mean = float(sample.values.mean()) if sample.n else None
    return number(mean, models.why_absent(metric), scale)


def highest_cell(models: ModelRuns, metric: str, scale: float = 1.0) -> Cell:
    """Return the highest reading of a metric, divided by `scale`."""
    sample = sample_of(models.ok, metric)
    highest = float(sample.values.max()) if sample.n else None
    return number(highest, models.why_absent(metric), scale)


def found_cell(found: Ratio | Difference | Absent, scale: float = 1.0) -> Cell:
    """Return what a comparison of two samples found, divided by `scale`."""
    if isinstance(found, Absent):
        return absent(found.reason)
    return estimate(found.value, found.interval, scale)


def baseline_ratio_cell(
    pool: Pool, models: ModelRuns, sample: Callable[[ModelRuns], Sample]
) -> Cell:
    """Return the ratio of means to the baseline model's in the same condition."""
    base = pool.baseline()
    if base is None:
        return absent(f"not exactly one file of {pool.baseline_id} in this condition")
    if base is models:
        return Cell(value=1.0)
    return found_cell(ratio_of_means(sample(models), sample(base)))


def run_counts(n: int, models: ModelRuns) -> dict[str, Cell]:
    """Return how many runs a row speaks of, and how many it leaves out."""
    return {"n": count(n), "not_ok": count(models.not_ok)}


def less_study(cell: Cell, figure: float | None, reasons: tuple[str, ...]) -> Cell:
    """Return reader less study with the reader's interval, where the two may stand together."""
    printed = study_cell(figure, reasons).number
    if printed is None:
        return study_cell(figure, reasons)
    return mapped(cell, lambda own: own - printed)


def outside(value: float, low: float | None, high: float | None) -> float:
    """Return how far a value lies above a range, below 0 how far below it, 0 inside it."""
    over = 0.0 if high is None else max(value - high, 0.0)
    under = 0.0 if low is None else min(value - low, 0.0)
    return over + under


def study_cell(figure: float | None, reasons: tuple[str, ...]) -> Cell:
    """Return a figure of the study beside the reader's, where the two may stand together."""
    if reasons:
        return absent("; ".join(reasons))
    return absent(NOT_PRINTED) if figure is None else Cell(value=figure)


def own_group(pool: Pool, study: Study, rows: tuple[Row, ...], label: str = "") -> RowGroup:
    """Return a group of the reader's rows, with what keeps it from the study's figures."""
    setting = pool.condition.setting
    return RowGroup(
        # Every table of runs says so: their figures are of fewer tokens than its label.
        label="; ".join(filter(None, (label or pool.condition.label, pool.early_ends))),
        source="reader",
        device=device_of(setting, study),
        rows=rows,
        notes=why_not_comparable(pool, study),
        sessions=setting.sessions,
        setting=setting.id,
    )


def study_parameters(model: StudyModel) -> dict[str, Cell]:
    """Return the study's nominal parameter counts."""
    return {
        "active_b": printed_cell(model.active_parameters_billion),
        "total_b": printed_cell(model.total_parameters_billion),
    }


def printed_cell(value: float | None) -> Cell:
    """Return a figure of the study, absent where it prints none."""
    return absent(NOT_PRINTED) if value is None else Cell(value=value)

"""The file tables.yaml: the tables of rows per model, each column a declared figure.

A column is either a reading (a quantity and what is taken of it over the runs of a row), or a
comparison of another column of the row: with the study's printed figure, with the baseline model,
or with the first of an axis. Types and names only; nothing is worked out here.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Arm, Feeds, Identifier
from edgemoe_appliance.schema.metrics import METRICS, Metric, Unit
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.schema.yamlfile import KeyPath
from edgemoe_appliance.studies.paper import Paper, Procedure, StatedFigure
from edgemoe_appliance.studies.quantities import (
    Quantity,
    QuantityFacts,
    QuantityStatistic,
    facts_of,
)

ColumnKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PART = "{part}"
STATED = "stated/"
# Units of a column of bytes, in bytes.
SIZES = {"B": 1.0, "GB": float(GB), "GiB": float(GIB)}


def unit_of(metric: Metric) -> str:
    """Return the unit of a metric as the column of a table has it."""
    return {Unit.CELSIUS: "°C", Unit.COUNT: ""}.get(metric.unit, metric.unit.value)


class RowAttribute(str, Enum):
    """What a row has other than a figure over its runs."""

    MODEL = "model"
    PART = "part"
    STEP = "step"
    ACTIVE_PARAMETERS = "active_b"
    TOTAL_PARAMETERS = "total_b"
    FILE_SIZE = "file_gb"
    RUNS = "n"
    NOT_OK = "not_ok"
    CLOCKS_DISAGREE = "clocks_disagree"
    ADDED_BY_HEAT = "added_by_heat"


class RunFigure(str, Enum):
    """What is worked out for each run from several of its metrics."""

    RECLAIMABLE = "reclaimable_pct"


class Statistic(str, Enum):
    """What is taken of the readings of a row's runs."""

    MEAN = "mean"
    MEDIAN = "median"
    SD = "sd"  # n-1 in the divisor
    CV = "cv"  # sd / mean, in per cent
    CV_WITHIN = "cv-within"  # between repetitions of one prompt, pooled over prompts
    RANGE = "range"  # (highest - lowest) / mean, in per cent
    HIGHEST = "highest"
    SUM = "sum"
    RUNS_ABOVE = "runs-above-threshold"  # of the target, beyond which it counts as hot


# Those in the unit of what they are taken of.
STATISTICS_IN_UNIT = (
    Statistic.MEAN,
    Statistic.MEDIAN,
    Statistic.SD,
    Statistic.HIGHEST,
    Statistic.SUM,
)


class ColumnComparison(str, Enum):
    """What another column of a row is set against.

    Those of runs draw the same prompts for both sides where both have them.
    """

    TO_BASELINE = "to-baseline"  # ratio to the baseline model's mean in the same condition
    TO_REFERENCE = "to-reference"  # ratio to the mean of the model's own 16-bit file
    RATIO = "ratio"  # ratio of means to the column `to`, else to the first of the axis
    FALL = "fall"  # by how many per cent it lies below that
    LESS_REFERENCE = "less-reference"  # the mean less that of the model's own 16-bit file
    MARGIN = "margin"  # half the width of the interval of another column
    SAME_TEXT = "same-text"  # prompts with one generated text at both steps of the axis
    QUOTIENT = "quotient"  # the cell over that of the column `to`, in the units of both
    BELOW = "below"  # whether it is below the figure of the text named by `limit`
    NAMED_STEP = "named-step"  # what a number of threads is known as: best, study's, target's own
    PRINTED = "printed"  # the study's figure, where it may stand beside the reader's
    OVER_PRINTED = "over-printed"  # reader over study
    LESS_PRINTED = "less-printed"  # reader less study
    BEYOND_PRINTED = "beyond-printed"  # how far outside of the study's range, 0 within


COMPARISONS_OF_RUNS = (
    ColumnComparison.TO_BASELINE,
    ColumnComparison.TO_REFERENCE,
    ColumnComparison.LESS_REFERENCE,
    ColumnComparison.RATIO,
    ColumnComparison.FALL,
)
PRINTED_COMPARISONS = (
    ColumnComparison.PRINTED,
    ColumnComparison.OVER_PRINTED,
    ColumnComparison.LESS_PRINTED,
    ColumnComparison.BEYOND_PRINTED,
)


LENGTH = "{length}"
# Quantities that are one metric of runs and that a study may print of each model.
_REGISTERED: Mapping[str, QuantityFacts] = {
    quantity.value: facts
    for quantity in Quantity
    if len((facts := facts_of(quantity)).metrics) == 1
    and facts.statistic in (QuantityStatistic.MEAN, QuantityStatistic.HIGHEST)
    and facts.printed.startswith("tables/")
    and not facts.probed
}


class ColumnSpec(Frozen):
    """One column. `quantity` is the column's own key where it is not named.

    One of the registry (studies/quantities.yaml) brings its metric, its statistic and the figure
    that the study prints of it; what the column says itself comes first.

    `category` keeps the runs with prompts of one. `printed` names the study's figure, `TABLE/NAME`
    where it is in another table than the rows', `stated/NAME` where it is in the text; three names
    are a value, and the least and the most that the study gives where it prints none.
    """

    title: str = ""
    unit: str = ""
    digits: Annotated[int | None, Field(ge=0, le=9)] = None
    meaning: str = ""
    quantity: str = ""
    statistic: Statistic = Statistic.MEAN
    interval: bool = True
    category: str = ""
    only_part: str = ""
    of: ColumnKey | None = None
    compare: ColumnComparison | None = None
    to: ColumnKey | None = None
    limit: str = ""
    printed: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_registry(cls, data: Any) -> Any:
        """Take metric, statistic and printed figure of a column from the registry of quantities."""
        facts = _REGISTERED.get(data.get("quantity", "")) if isinstance(data, dict) else None
        if facts is None:
            return data
        _, table, *_, figure = facts.printed.split("/")
        if LENGTH in figure and not data.get("category"):
            raise ValueError(f"{data['quantity']} needs category: the prompts that it is of")
        figure = figure.replace(LENGTH, str(data.get("category")))
        return {
            "statistic": facts.statistic.value,
            "printed": f"{table.replace('_', '-')}/{figure}",
            **data,
            "quantity": facts.metrics[0],
        }

    @field_validator("printed", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def quantity_of(self, key: str, part: str = "") -> str:
        """Return the quantity of a column, for a part of a run where it is of one."""
        return (self.quantity or key).replace(PART, part)

    def reads_runs(self, key: str) -> bool:
        """Return whether a column is a statistic of its runs."""
        return not self.compare and not self.fact_of(key)

    @model_validator(mode="after")
    def _one_kind(self) -> ColumnSpec:
        if not self.compare:
            if self.of or self.to or self.limit:
                raise ValueError("of, to and limit need compare")
            return self
        if self.quantity or self.category or self.only_part:
            raise ValueError("what compares another column reads nothing of its own")
        needs: dict[str, object] = {"title": self.title}
        needs |= {"of": self.of} if self.compare is not ColumnComparison.SAME_TEXT else {}
        needs |= {"to": self.to} if self.compare is ColumnComparison.QUOTIENT else {}
        needs |= {"limit": self.limit} if self.compare is ColumnComparison.BELOW else {}
        if missing := [name for name, given in needs.items() if not given]:
            raise ValueError(f"{self.compare.value} needs {', '.join(missing)}")
        sides = self.unit.split("/")
        if self.compare is ColumnComparison.QUOTIENT and not (
            len(sides) == 2 and set(sides) <= set(SIZES)
        ):
            raise ValueError(f"the unit of a quotient is two of {', '.join(SIZES)}: GiB/GB")
        return self

    def fact_of(self, key: str) -> RowAttribute | None:
        """Return the fact that a column states, None where it reads runs or compares."""
        named = self.quantity_of(key)
        return RowAttribute(named) if not self.compare and named in set(RowAttribute) else None


class AxisSpec(Frozen):
    """What the rows of one model differ in, and which of them the others are compared with.

    `arms` gives the steps of the axis `arm` and their names. `difference` is the name of a row of
    the last step less the first; without it columns compare each step.
    """

    by: Literal["threads", "pin", "arm"]
    baseline: Literal["first", "best"] = "first"
    arms: dict[Arm, str] = Field(default_factory=dict)
    difference: str = ""

    @model_validator(mode="after")
    def _fits(self) -> AxisSpec:
        if bool(self.arms) != (self.by == "arm"):
            raise ValueError("arms are the steps of the axis arm, and of no other")
        if self.difference and len(self.arms) != 2:
            raise ValueError("a difference is of two arms")
        return self


class TableSpec(Frozen):
    """One table: which runs it is of, where the study prints it, its columns.

    `reading` are the quantities that a run must have one of to be counted in `n`, `only_with`
    those without any of which a condition is left out. `parts` makes a row for each part of a
    run: `{part}` in a quantity stands for it. `printed_rows` are rows of the study that are not
    by model, each cell a text, a number or `stated/NAME`.
    """

    title: str
    section: Identifier
    feeds: Feeds
    where: str = ""
    printed: str = ""
    reading: tuple[str, ...] = ()
    only_with: tuple[str, ...] = ()
    parts: dict[Identifier, str] = Field(default_factory=dict)
    axis: AxisSpec = AxisSpec(by="arm", arms={Arm.PLAIN: "plain"})
    columns: dict[ColumnKey, ColumnSpec] = Field(min_length=1)
    printed_device: str = ""
    printed_rows: tuple[dict[ColumnKey, str | int | float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_steps(self) -> bool:
        """Return whether rows of one model differ along an axis."""
        return self.axis.by != "arm" or len(self.axis.arms) > 1

    def of_parts(self, name: str) -> list[str]:
        """Return a name as it is for each part of a run."""
        return [name.replace(PART, part) for part in self.parts or ("",)]

    def comparisons(self, column: ColumnSpec) -> Iterator[ColumnComparison]:
        """Yield what a column of this table may be compared with."""
        by = self.axis.by if self.has_steps else ""
        is_printed = bool(column.of and self.columns.get(column.of, column).printed)
        for each in ColumnComparison:
            if each in (ColumnComparison.RATIO, ColumnComparison.FALL):
                fits = bool(column.to or by)
            elif each in (ColumnComparison.SAME_TEXT, ColumnComparison.NAMED_STEP):
                fits = by == {"same-text": by or "-", "named-step": "threads"}[each.value]
            else:
                fits = is_printed or each not in PRINTED_COMPARISONS
            if fits:
                yield each


def frontier_key(gain: str) -> str:
    """Return the key of the column that says which model beats one by a gain."""
    return f"frontier_{gain}"


class FrontierColumn(Frozen):
    """A column of a table of rows per model; `more_is_better` says which way is the better one."""

    table: Identifier
    column: ColumnKey
    more_is_better: bool = False


class FrontierSpec(Frozen):
    """What quality costs: a loss beside what is gained, and which models another one beats.

    `section` shows it after its other tables. Less loss is better, whatever is said of it.
    """

    title: str
    section: Identifier
    loss: FrontierColumn
    gains: tuple[FrontierColumn, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the keys of its columns: what is lost and gained, and by which gain it stands."""
        shown = [each.column for each in (self.loss, *self.gains)]
        return ("model", *shown, *(frontier_key(gain.column) for gain in self.gains))


class TablesConfig(Frozen):
    """All tables of rows per model, in the order in which their sections show them."""

    tables: dict[Identifier, TableSpec]
    frontiers: dict[Identifier, FrontierSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_columns(self) -> TablesConfig:
        for name, frontier in self.frontiers.items():
            if name in self.tables:
                raise ValueError(f"frontiers.{name}: a table has that name")
            for each in (frontier.loss, *frontier.gains):
                table = self.tables.get(each.table)
                if table is None or each.column not in table.columns:
                    raise ValueError(f"frontiers.{name}: no column {each.column} in {each.table}")
        return self


# What notes may name: of a condition, then a note stands once for each; else of the study.
CONDITION_FIELDS = (
    "setting",
    "setting_id",
    "threshold_c",
    "hot_repetitions",
    "cooldown",
    "prompt_words",
    "drift",
)


def study_fields(procedure: Procedure, stated: Mapping[str, StatedFigure]) -> Mapping[str, object]:
    """Return what notes may name of a study: its procedure, and values of its text."""
    values = {name: figure.value for name, figure in stated.items() if figure.value is not None}
    return {**dict(procedure), **values}


class TableName(NamedTuple):
    """A name in a table that must be one of some others; `at` are the keys that lead to it."""

    at: KeyPath
    name: str
    kind: str
    allowed: Collection[str]


def names_in_table(
    spec: TableSpec, paper: Paper, categories: Collection[str]
) -> Iterator[TableName]:
    """Yield every name in a table that must be that of something else.

    `categories` are those of the study's prompts.
    """
    for key, column in spec.columns.items():
        if column.category:
            yield TableName(("columns", key, "category"), column.category, "category", categories)
    yield from _table_names(spec, paper)
    yield from _row_names(spec, paper)
    yield from _column_names(spec, paper)


def _table_names(spec: TableSpec, paper: Paper) -> Iterator[TableName]:
    """Yield the names of a table outside of its columns."""
    if spec.printed:
        yield TableName(
            ("printed",),
            kind="table of the study",
            name=spec.printed,
            allowed=paper.tables.figures(),
        )
    for place, name in enumerate(spec.reading):
        fits = [each for each in spec.of_parts(name) if each in METRICS]
        yield TableName(("reading", place), name, "metric", [name] if fits else METRICS)
    for place, name in enumerate(spec.only_with):
        yield TableName(("only_with", place), name, "metric", METRICS)
    if spec.printed_rows:
        yield TableName(("printed_device",), spec.printed_device, "device", paper.devices)
    for place, note in enumerate(spec.notes):
        names = [field for _, field, _, _ in string.Formatter().parse(note) if field is not None]
        fields = (*CONDITION_FIELDS, *study_fields(paper.procedure, paper.stated))
        yield from (TableName(("notes", place), name, "value", fields) for name in names)


def _row_names(spec: TableSpec, paper: Paper) -> Iterator[TableName]:
    """Yield the names in rows of the study that are not by model."""
    for place, row in enumerate(spec.printed_rows):
        for key, value in row.items():
            yield TableName(("printed_rows", place, key), key, "column", spec.columns)
            if isinstance(value, str) and value.startswith(STATED):
                yield _printed(("printed_rows", place, key), value, spec, paper)


def _column_names(spec: TableSpec, paper: Paper) -> Iterator[TableName]:
    """Yield the names that the columns of a table use."""
    earlier: dict[str, ColumnSpec] = {}
    for key, column in spec.columns.items():
        at: KeyPath = ("columns", key)
        if column.compare:
            allowed = [each.value for each in spec.comparisons(column)]
            yield TableName(
                (*at, "compare"),
                kind="comparison here",
                name=column.compare.value,
                allowed=allowed,
            )
        else:
            yield _quantity(key, column, spec)
            yield from _unit(key, column)
        of_runs = column.compare in COMPARISONS_OF_RUNS
        columns = [k for k, each in earlier.items() if not of_runs or each.reads_runs(k)]
        for field in ("of", "to"):
            if getattr(column, field):
                yield TableName(
                    at=(*at, field),
                    kind="column before this one",
                    name=getattr(column, field),
                    allowed=columns,
                )
        if column.limit:
            values = [name for name, figure in paper.stated.items() if figure.value is not None]
            yield TableName((*at, "limit"), column.limit, "value of the text", values)
        if column.only_part:
            yield TableName((*at, "only_part"), column.only_part, "part", spec.parts)
        for name in column.printed:
            yield _printed((*at, "printed"), name, spec, paper)
        earlier[key] = column


def _quantity(key: str, column: ColumnSpec, spec: TableSpec) -> TableName:
    """Return the quantity of a column: one that records, run figures or facts have."""
    facts = [fact for fact in RowAttribute if fact is not RowAttribute.STEP or spec.has_steps]
    facts = [fact for fact in facts if fact is not RowAttribute.PART or spec.parts]
    known = [*(each.value for each in (*facts, *RunFigure)), *METRICS, *_REGISTERED]
    name = column.quantity_of(key, PART)
    fits = [each for each in spec.of_parts(name) if each in known]
    at: KeyPath = ("columns", key, "quantity") if column.quantity else ("columns", key)
    return TableName(at, name, "quantity", [name] if fits else known)


def _unit(key: str, column: ColumnSpec) -> Iterator[TableName]:
    """Yield the unit of a column: sizes have several, other metrics that of the records."""
    metric = METRICS.get(column.quantity_of(key))
    if column.unit and metric and column.statistic in STATISTICS_IN_UNIT:
        allowed = list(SIZES) if metric.unit is Unit.BYTES else [unit_of(metric)]
        yield TableName(("columns", key, "unit"), column.unit, "unit of it", allowed)


def _printed(at: KeyPath, name: str, spec: TableSpec, paper: Paper) -> TableName:
    """Return a figure of the study's by the name that it is written with."""
    figures = paper.tables.figures()
    known = [*figures.get(spec.printed, ())]
    if "/" in name:
        known = [f"{table}/{each}" for table, names in figures.items() for each in names]
        known += [f"{STATED}{each}" for each in paper.stated]
    return TableName(at, name, "printed figure", known)

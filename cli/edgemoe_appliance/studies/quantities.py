"""The quantities that claims and audits speak of, and what names one number of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.metrics import METRICS, SERIES_METRICS, Unit
from edgemoe_appliance.schema.yamlfile import read_yaml, validate
from edgemoe_appliance.studies.paper import LengthClass, Stratum, figure_unit, unit_factor


class Quantity(str, Enum):
    """What can be asked of evidence. Those in `DERIVED` follow from others."""

    GENERATION_RATE = "generation-rate"
    RATE_VARIATION = "rate-variation"
    PROMPT_VARIANCE = "prompt-variance"
    LIKELY_PROMPT_VARIANCE = "likely-prompt-variance"
    PEAK_MEMORY = "peak-memory"
    FILE_BACKED_MEMORY = "file-backed-memory"
    SWAP = "swap"
    PHYSICAL_MEMORY = "physical-memory"
    FILE_SIZE = "file-size"
    TOTAL_PARAMETERS = "total-parameters"
    ACTIVE_PARAMETERS = "active-parameters"
    ACTIVE_BYTES = "active-bytes"
    HEAD_BYTES = "head-bytes"
    MULTIPLIED_PARAMETERS = "multiplied-parameters"
    ATTENTION_FLOPS = "attention-flops"
    MEAN_CONTEXT = "mean-context"
    CACHE_BYTES = "cache-bytes"
    CACHE_BYTES_PER_TOKEN = "cache-bytes-per-token"  # noqa: S105
    DEVICE_MEMORY = "device-memory"
    BANDWIDTH = "bandwidth"
    PEAK_FLOPS = "peak-flops"
    GENERATED_TOKENS = "generated-tokens"
    LENGTH_RATE = "length-rate"
    COMPLETED = "completed"
    ENERGY_PER_TOKEN = "energy-per-token"  # noqa: S105  a quantity, not a password
    MEDIAN_ENERGY_PER_TOKEN = "median-energy-per-token"  # noqa: S105
    AVERAGE_POWER = "average-power"
    PEAK_POWER = "peak-power"
    GENERATION_ENERGY_PER_TOKEN = "generation-energy-per-token"  # noqa: S105
    GENERATION_POWER = "generation-power"
    PEAK_TEMPERATURE = "peak-temperature"
    ROUTING_TIME = "routing-time"
    EXPERT_TIME = "expert-time"
    ROUTING_SHARE = "routing-share"
    EVERY_NODE_SHARE = "every-node-share"
    UNSYNCED_SHARE = "unsynced-share"
    SYNC_COST = "sync-cost"
    PROBED_RATE = "probed-rate"
    UNPROBED_RATE = "unprobed-rate"
    THREAD_LOSS = "thread-loss"
    GRAPH_NODES = "graph-nodes"
    ROUTING_NODES = "routing-nodes"
    PROJECTION_NODES = "projection-nodes"
    EXPERT_NODES = "expert-nodes"
    ROTATED_SLOWDOWN = "rotated-slowdown"
    TIME_PER_TOKEN = "time-per-token"  # noqa: S105
    FALL_WITH_LENGTH = "fall-with-length"
    BEHIND_FASTEST_DENSE = "behind-fastest-dense"
    SLOWDOWN = "slowdown"
    PROBE_COST = "probe-cost"
    TOTAL_TRAFFIC_SHARE = "total-traffic-share"
    BANDWIDTH_USE = "bandwidth-use"
    BANDWIDTH_USE_WITHOUT_HEAD = "bandwidth-use-without-head"
    ARITHMETIC_USE = "arithmetic-use"
    IMPLIED_WINDOW = "implied-window"
    NODES_OUTSIDE = "nodes-outside"
    NODES_OUTSIDE_BLOCKS = "nodes-outside-blocks"
    LOADING_SHARE = "loading-share"
    WINDOW_TIME = "window-time"
    HELD_MEMORY = "held-memory"
    CACHE_BYTES_PER_VALUE = "cache-bytes-per-value"
    EXPERT_BYTES = "expert-bytes"
    ROUTING_TIME_PER_TOKEN = "routing-time-per-token"  # noqa: S105
    CORRECTED_ROUTING_TIME_PER_TOKEN = "corrected-routing-time-per-token"  # noqa: S105
    CORRECTED_ROUTING_SHARE = "corrected-routing-share"
    TIME_BEHIND_BASELINE = "time-behind-baseline"
    KL_DIVERGENCE = "kl-divergence"
    PERPLEXITY_RISE = "perplexity-rise"
    SAME_TOP_TOKEN = "same-top-token"  # noqa: S105  a quantity, not a password
    TASK_SCORE = "task-score"
    TASK_LOSS = "task-loss"
    BITS_PER_WEIGHT = "bits-per-weight"


# What a device has, whatever runs on it.
OF_DEVICES = (Quantity.BANDWIDTH, Quantity.PEAK_FLOPS, Quantity.PHYSICAL_MEMORY)


class QuantityStatistic(str, Enum):
    """What is taken of a quantity's metrics over runs."""

    MEAN = "mean"
    HIGHEST = "highest"
    SUM = "sum"  # of the metrics of a run, then the mean
    BELOW_REFERENCE = "below-reference"  # of the model's 16-bit file; items and chunks are paired
    SHARE = "share"  # the same, over the sum of others, in per cent
    FILE = "file"  # what the model file gives all runs in common


# A share is in per cent; what a file gives is no metric.
_UNITS_OF_THEIR_OWN = (QuantityStatistic.SHARE.value, QuantityStatistic.FILE.value)
_OF_POWER = frozenset((Unit.JOULES.value, Unit.JOULES_PER_TOKEN.value, Unit.WATTS.value))


class QuantityFacts(Frozen):
    """What quantities.yaml says of a quantity; `unit` is that of its metric where it has one.

    `feeds` is the table of runs that it is read from, `metrics` what a run has of it and
    `statistic` what is taken of them; `instead` stands in where no run has the first metric.
    `u95` is the metric with the expanded uncertainty that the sensor leaves of `u95_of`: the
    quantity has the same, relative to itself.
    `worse` says which way a model's answers get worse, of what is said of these: an answer that is
    no finite number is worse than any number.
    `printed` is the name of the figure in study.yaml, with what it is of in braces. One without
    metrics, or that is not printed, follows from others or stands elsewhere; `from_power` says
    that energies or powers are among these.
    """

    title: str
    unit: str
    feeds: Feeds = Feeds.HEADLINE
    metrics: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    instead: str = ""
    statistic: QuantityStatistic = QuantityStatistic.MEAN
    probed: bool = False
    from_power: bool = False
    u95: str = ""
    u95_of: str = ""
    worse: Literal["", "higher", "lower"] = ""
    printed: str = ""
    not_printed: str = ""

    @model_validator(mode="before")
    @classmethod
    def _unit_of_metric(cls, data: Any) -> Any:
        """Take the unit from the metric that a quantity is of; written twice, they could differ."""
        names = data.get("metrics") if isinstance(data, dict) else None
        if not names or data.get("statistic") in _UNITS_OF_THEIR_OWN or names[0] not in METRICS:
            return data
        if "unit" in data:
            raise ValueError(f"the unit is that of {names[0]}: leave it out")
        unit = METRICS[names[0]].unit
        return {**data, "unit": "°C" if unit is Unit.CELSIUS else unit.value}

    @model_validator(mode="after")
    def _known_metrics(self) -> QuantityFacts:
        if self.statistic is not QuantityStatistic.FILE:
            single = (self.instead, self.u95, self.u95_of)
            named = (*self.metrics, *self.under, *filter(None, single))
            unknown = [name for name in named if name not in METRICS]
            if unknown:
                raise ValueError(f"no such metric: {', '.join(unknown)}")
        if bool(self.worse) != any(name in SERIES_METRICS for name in self.metrics):
            raise ValueError(f"worse stands with quantities of {', '.join(SERIES_METRICS)} alone")
        if self.printed:
            unit_factor(figure_unit(self.printed), self.unit)
        return self

    @property
    def is_energy(self) -> bool:
        """Return whether it is an energy or a power, or follows from some: it needs a meter.

        A study may not report those on a device.
        """
        of_runs = () if self.statistic is QuantityStatistic.FILE else self.metrics
        units = {self.unit, *(METRICS[name].unit.value for name in of_runs)}
        return self.from_power or not _OF_POWER.isdisjoint(units)

    @property
    def is_mean(self) -> bool:
        """Return whether it is the mean of a sample of runs."""
        means = (QuantityStatistic.MEAN, QuantityStatistic.SUM, QuantityStatistic.SHARE)
        return bool(self.metrics) and self.statistic in means


class _QuantitiesConfig(Frozen):
    """quantities.yaml: every quantity, by key."""

    quantities: dict[Quantity, QuantityFacts]

    @model_validator(mode="after")
    def _each(self) -> _QuantitiesConfig:
        missing = [each.value for each in Quantity if each not in self.quantities]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        return self


_FACTS: Mapping[Quantity, QuantityFacts] = validate(
    read_yaml(Path(__file__).with_suffix(".yaml")), _QuantitiesConfig
).quantities


def facts_of(quantity: Quantity) -> QuantityFacts:
    """Return title, unit and sources of a quantity."""
    return _FACTS[quantity]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One number: a quantity and of what.

    `arm` is that of the probe, by default per node; `file_type` names a quantisation, `stated` the
    figure of the study's text that prints this number where no table does.
    """

    quantity: Quantity
    model: str | None = None
    length: LengthClass | None = None
    stratum: Stratum | None = None
    threads: int | None = None
    file_type: str | None = None
    stated: str | None = None
    arm: Arm = Arm.PROBE_PER_NODE

    @property
    def key(self) -> str:
        """Return a name for machines: `length-rate.olmoe-1b-7b.long`."""
        parts = (self.model, self.length, self.stratum, self.file_type)
        return ".".join([self.quantity.value, *(part for part in parts if part)])

    def of(self, quantity: Quantity) -> Term:
        """Return the same, of another quantity."""
        return replace(self, quantity=quantity)

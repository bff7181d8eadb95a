"""The registry of metrics: what each one is, its unit, where it comes from, where it misleads.

The metrics stand in metrics.yaml, beside this module; records may hold only those.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final

from pydantic import Field

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.yamlfile import read_yaml, validate


class Unit(str, Enum):
    """Units as printed."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    BYTES = "B"
    TOKENS = "tokens"
    TOKENS_PER_S = "tok/s"
    PERCENT = "%"
    COUNT = "1"
    JOULES = "J"
    JOULES_PER_TOKEN = "J/tok"  # noqa: S105  a unit, not a password
    WATTS = "W"
    CELSIUS = "C"
    NATS = "nat"
    BITS = "bit"


class MetricFacts(Frozen):
    """What metrics.yaml says of a metric; `blind_spot` says what it does not see.

    `lacking` says why records of earlier versions do not have it, where they have its like.
    """

    title: str = Field(min_length=1)
    unit: Unit
    source: str = Field(min_length=1)
    resolution: str = Field(min_length=1)
    blind_spot: str = Field(min_length=1)
    lacking: str = ""


class Metric(MetricFacts):
    """One metric, with its key."""

    key: str


class _MetricsConfig(Frozen):
    """metrics.yaml: the metrics by key."""

    metrics: dict[str, MetricFacts]


def _read_metrics() -> dict[str, Metric]:
    read = validate(read_yaml(Path(__file__).with_suffix(".yaml")), _MetricsConfig).metrics
    return {key: Metric(key=key, **dict(facts)) for key, facts in read.items()}


METRICS: dict[str, Metric] = _read_metrics()

# Metrics of which a run holds a value for each chunk of its text, or for each item, and not only
# their mean: what varies between those is what an interval of the mean rests on.
SERIES_METRICS: Final = (
    "kl_divergence_nat",
    "ln_perplexity_ratio",
    "same_top_pct",
    "choice_correct_pct",
)

# A run whose text ended early enters a figure of generation where it has at least this share of
# the tokens that were asked for: a rate, an energy per token or a share over fewer is of another
# condition (a shorter context, few decodes), and would weigh as much as a whole run.
LEAST_LENGTH_SHARE = 0.5
# Figures over the generated tokens, or over a call of which they are most.
GENERATION_METRICS = frozenset(
    {
        *("gen_tok_s", "eval_s", "total_s", "wall_s", "stream_s"),
        *("gap_median_ms", "gap_p95_ms", "gap_p99_ms"),
        *(key for key in METRICS if key.startswith(("energy_generate_", "energy_process_"))),
        *(key for key in METRICS if key.startswith(("power_generate_", "power_peak_generate_"))),
        *(key for key in METRICS if key.startswith(("power_process_", "power_study_"))),
        *(key for key in METRICS if key.startswith("j_per_token_")),
        *(key for key in METRICS if "_decode_" in key and key.endswith(("_s", "_pct"))),
        *(key for key in METRICS if key.startswith("experts_") and "_decode" in key),
    }
)


def is_long_enough(generated_tokens: float | None, n_predict: int) -> bool:
    """Return whether a run's figures of generation enter a mean; one of unknown length does."""
    return generated_tokens is None or generated_tokens >= LEAST_LENGTH_SHARE * n_predict

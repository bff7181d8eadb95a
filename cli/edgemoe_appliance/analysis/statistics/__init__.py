"""Statistics of repeated runs over a set of prompts: summaries, intervals, ratios.

Prompts are the clusters: repetitions of one prompt resemble one another more than runs of
different prompts do, so an interval over plain runs would be too narrow. From five units on the
bootstrap gives the interval; three or four are too few to draw from, and Student's t stands in,
which takes their errors for normal. Every result is a function of the values alone; where there
are too few, the result says so instead.
"""

from __future__ import annotations

from edgemoe_appliance.analysis.results import CONFIDENCE, MIN_UNITS, Absent, Interval
from edgemoe_appliance.analysis.statistics.doubts import Drift, doubts_of, drift_of
from edgemoe_appliance.analysis.statistics.intervals import (
    mean_interval,
    median_interval,
    prompt_variance_interval,
    variation_interval,
)
from edgemoe_appliance.analysis.statistics.pairs import (
    Difference,
    Ratio,
    difference_of_means,
    ratio_of_means,
)
from edgemoe_appliance.analysis.statistics.samples import (
    Floats,
    Ints,
    Sample,
    Summary,
    against_best,
    on_common_prompts,
    spread,
    summarise,
)
from edgemoe_appliance.analysis.statistics.student import student_t

__all__ = [
    "CONFIDENCE",
    "MIN_UNITS",
    "Absent",
    "Difference",
    "Drift",
    "Floats",
    "Interval",
    "Ints",
    "Ratio",
    "Sample",
    "Summary",
    "against_best",
    "difference_of_means",
    "doubts_of",
    "drift_of",
    "mean_interval",
    "median_interval",
    "on_common_prompts",
    "prompt_variance_interval",
    "ratio_of_means",
    "spread",
    "student_t",
    "summarise",
    "variation_interval",
]

"""What journals say: frames, statistics, tables, claims, audits, comparisons. Reads no hardware.

In come journals of sessions and the figures that a paper prints; both stand behind one interface,
so that a table, a claim or an audit is worked out in the same way from either. Out come values:
tables of cells, verdicts, findings. Nothing is drawn here, and a missing value is `Absent` with
its reason.

Statistics work on a `Sample`: the values of one metric, grouped by prompt.

>>> from edgemoe_appliance.analysis.statistics import Sample, ratio_of_means
>>> slow = Sample({"a": [9.0, 9.2], "b": [8.8, 9.0], "c": [9.1, 9.3]})
>>> fast = Sample({"a": [10.0, 10.2], "b": [9.8, 10.0], "c": [10.1, 10.3]})
>>> ratio = ratio_of_means(slow, fast)
>>> round(ratio.value, 3), round(ratio.interval.low, 3), round(ratio.interval.high, 3)
(0.901, 0.898, 0.903)

`frames` reads journals, `conditions` decides which runs may be pooled, `tables` and `claims` ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgemoe_appliance.analysis.sessions import LoadedSessions, load_sessions

__all__ = ["LoadedSessions", "load_sessions"]


def __getattr__(name: str) -> Any:
    """Load what reads journals when it is first asked for: the study alone is judged without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgemoe_appliance.analysis.sessions import (  # noqa: PLC0415
        LoadedSessions,
        load_sessions,
    )

    return {"LoadedSessions": LoadedSessions, "load_sessions": load_sessions}[name]

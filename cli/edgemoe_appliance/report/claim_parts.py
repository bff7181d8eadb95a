"""The parts of a claim as rows of plots: those held to the same limits on a common axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from edgemoe_appliance.analysis.claims import Number, Part, Verdict
from edgemoe_appliance.analysis.claims.formatting import with_unit
from edgemoe_appliance.report.judged_context import MarkView, PartRow, PartRows
from edgemoe_appliance.report.judged_numbers import bounds_of, number_view
from edgemoe_appliance.report.range_plot import Asked, Axis, draw_names, draw_row
from edgemoe_appliance.report.views import printable

# Two ratios that order the same models must lie on the same side of it.
_EQUAL = 1.0


def judged_numbers(part: Part) -> tuple[Number, ...]:
    """Return the judged number, or the two that had to be on one side of 1."""
    return part.numbers if part.limits is None else part.numbers[:1]


def part_rows(
    parts: Sequence[Part], mark: Callable[[Verdict], MarkView], *, with_where: bool
) -> Iterable[PartRows]:
    """Yield the tested parts by what they were asked, in their order."""
    alike: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        if part.numbers:
            alike.setdefault((part.asked, part.numbers[0].unit), []).append(part)
    for (asked, unit), group in alike.items():
        axis = _axis(group)
        yield PartRows(
            asked=asked,
            rows=tuple(
                _row(part, number, axis, mark(part.verdict), with_where=with_where)
                for part in group
                for number in judged_numbers(part)
            ),
            names=draw_names(axis, partial(with_unit, unit=unit)) if axis else None,
            behind=tuple(map(number_view, _behind(group))),
        )


def _axis(parts: Sequence[Part]) -> Axis | None:
    limits = parts[0].limits
    asked = Asked(low=limits.low, high=limits.high) if limits else Asked(line=_EQUAL)
    numbers = [number for part in parts for number in judged_numbers(part)]
    ends = [end for number in numbers for end in bounds_of(number) or ()]
    return Axis.around(asked, [*(number.value for number in numbers), *ends])


def _behind(parts: Sequence[Part]) -> Iterable[Number]:
    """Return the numbers behind the judged ones, each once."""
    numbers = [n for part in parts for n in part.numbers[len(judged_numbers(part)) :]]
    return {number.key: number for number in numbers}.values()


def _row(
    part: Part, number: Number, axis: Axis | None, mark: MarkView, *, with_where: bool
) -> PartRow:
    return PartRow(
        mark=mark,
        number=number_view(number),
        # The numbers of a comparison over two places name their places themselves.
        where=printable(part.where) if with_where and part.limits else "",
        plot=draw_row(axis, number.value, bounds_of(number)) if axis else None,
        settled_by=part.more_runs.text if part.more_runs else "",
    )

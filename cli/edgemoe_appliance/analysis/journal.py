"""Attempts: the records of one journal put together, header with end.

Works on a stream of journal lines and holds one run at a time. It judges whether the lines
belong together and to their plan; it does not judge what they measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import JournalLine, TornTail
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, PeriodRecord, Status


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a run, its measuring period (index from 0) and the line of its header.

    `end` is None where the measuring process was killed during the attempt; `is_planned` is
    false where the run is a repetition that was added to the plan.
    """

    period_index: int
    period: PeriodRecord
    header: HeaderRecord
    end: EndRecord | None
    line: int
    is_planned: bool

    @property
    def ended_early(self) -> bool:
        """Return whether fewer tokens were generated than asked for; false where not known."""
        wanted = self.header.spec.n_predict
        return self.end is not None and self.end.metrics.get("generated_tokens", wanted) < wanted

    @property
    def status(self) -> Status:
        """Return how the attempt ended; one without an end was interrupted."""
        return Status.INTERRUPTED if self.end is None else self.end.status


class _Assembler:
    """Folds journal lines into attempts; refuses lines that do not belong together."""

    def __init__(self, plan: Plan, where: str) -> None:
        self._plan = plan
        self._planned = {spec.id: spec for spec in plan.runs}
        self._where = where
        self._attempts: dict[str, int] = {}
        self._period_index = -1
        self._period: PeriodRecord | None = None
        self._open: Attempt | None = None

    def add(self, line: JournalLine) -> Iterator[Attempt | PeriodRecord]:
        """Yield what the line completes: a period, or the attempt it closes or cuts off."""
        record = line.record
        if isinstance(record, EndRecord):
            yield self._close_run(record, line.number)
            return
        yield from self.finish()
        if isinstance(record, PeriodRecord):
            yield self._begin_period(record, line.number)
        else:
            self._begin_run(record, line.number)

    def finish(self) -> Iterator[Attempt]:
        """Yield the attempt that is still open, as one without an end."""
        if self._open is not None:
            yield self._open
            self._open = None

    def _begin_period(self, record: PeriodRecord, number: int) -> PeriodRecord:
        session = self._plan.session
        if record.session != session:
            raise self._error(
                f"a measuring period of session {record.session}, in the folder of {session}",
                number,
            )
        self._period = record
        self._period_index += 1
        return record

    def _begin_run(self, header: HeaderRecord, number: int) -> None:
        if self._period is None:
            raise self._error("a run before any measuring period", number)
        is_planned = self._planned.get(header.run_id) == header.spec
        if not is_planned and not self._is_added(header):
            raise self._error(f"run {header.run_id!r} is not in the plan", number)
        if header.attempt <= self._attempts.get(header.run_id, 0):
            raise self._error(
                f"attempt {header.attempt} at run {header.run_id!r} for the second time", number
            )
        self._attempts[header.run_id] = header.attempt
        self._open = Attempt(
            period_index=self._period_index,
            period=self._period,
            header=header,
            end=None,
            line=number,
            is_planned=is_planned,
        )

    def _is_added(self, header: HeaderRecord) -> bool:
        """Return whether a run may have been added to the plan, and has the id of its spec."""
        first = self._plan.repeated_by(header.spec)
        if first is None or header.run_id != header.spec.id:
            return False
        return self._planned.get(first.id) == first

    def _close_run(self, end: EndRecord, number: int) -> Attempt:
        opened = self._open
        if opened is None or (opened.header.run_id, opened.header.attempt) != (
            end.run_id,
            end.attempt,
        ):
            raise self._error(f"an end without its header (run {end.run_id!r})", number)
        self._open = None
        return replace(opened, end=end)

    def _error(self, what: str, number: int) -> RecordError:
        return RecordError(
            what, where=f"{self._where}:{number}", hint="not a journal of this plan, or edited"
        )


def assemble_attempts(
    lines: Iterable[JournalLine | TornTail], *, plan: Plan, where: str
) -> Iterator[Attempt | PeriodRecord | TornTail]:
    """Yield the measuring periods, attempts and torn tail of a journal in their order.

    Raises RecordError with `where` and the line for records that do not belong together or
    that the plan does not hold.
    """
    assembler = _Assembler(plan, where)
    for line in lines:
        if isinstance(line, TornTail):
            yield from assembler.finish()
            yield line
        else:
            yield from assembler.add(line)
    yield from assembler.finish()

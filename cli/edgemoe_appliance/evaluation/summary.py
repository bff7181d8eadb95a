"""What is said at the end of an evaluation: verdicts, what they rest on, the archive, the times."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.analysis.claims.verdicts import Family, count_verdicts
from edgemoe_appliance.evaluation.forecast import Outline
from edgemoe_appliance.evaluation.notices import twins_note
from edgemoe_appliance.evaluation.pipeline import EvaluationOutcome
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import human_bytes, human_duration

_FEWEST = 30
_TITLES = {
    Family.CONDITIONS: "under the study's conditions",
    Family.ELSEWHERE: "under other conditions",
}


def ending_lines(
    evaluation: Evaluation, outline: Outline, done: EvaluationOutcome, width: int
) -> Iterator[str]:
    """Yield the end of an evaluation as lines of text; claims are cut to `width` characters."""
    yield from _verdict_lines(done, width)
    yield ""
    yield from _count_lines(done)
    if evaluation.bench.twins is not None:
        yield twins_note(evaluation.bench.twins)
    names = " ".join(evaluation.session_names)
    yield f"why, with the numbers: edgemoe-appliance claims {names} --long"
    yield ""
    yield from _time_lines(outline, done)
    yield ""
    yield f"report: {done.report}"
    for archived in done.archived:
        yield f"archive: {archived.path}  {human_bytes(archived.archive_bytes)}"
        yield f"sha256: {archived.sha256}"
        yield f"verify: edgemoe-appliance verify {archived.path}"
    if outline.larger is not None and not outline.larger.is_taken:
        yield ""
        yield outline.larger.text


def _verdict_lines(done: EvaluationOutcome, width: int) -> Iterator[str]:
    widest = max((len(_words(verdict.verdict.value)) for verdict in done.verdicts), default=0)
    for verdict in done.verdicts:
        head = f"{verdict.id:<4} {_words(verdict.verdict.value):<{widest}}  "
        yield head + on_one_line(verdict.statement, max(_FEWEST, width - len(head) - len("...")))


def _count_lines(done: EvaluationOutcome) -> Iterator[str]:
    """Yield how many claims have which verdict, each family on a line of its own."""
    counts = count_verdicts(done.verdicts)
    for family, title in _TITLES.items():
        if family in counts:
            told = ", ".join(f"{n} {_words(v.value)}" for v, n in counts[family].items())
            yield f"claims {title}: {told}"
    yield f"claims not tested: {counts.get(None, {}).get(Verdict.NOT_TESTED, 0)}"


def _time_lines(outline: Outline, done: EvaluationOutcome) -> Iterator[str]:
    """Yield what was expected of each step and what it took."""
    for step, took_s in done.took_s.items():
        expected = outline.cost_of(step).machine_s
        told = "not known" if expected is None else human_duration(expected)
        yield f"{step.value:<8} took {human_duration(took_s):>11}, expected {told}"
    yield f"{'total':<8} took {human_duration(sum(done.took_s.values())):>11}"


def _words(value: str) -> str:
    return value.replace("_", " ")

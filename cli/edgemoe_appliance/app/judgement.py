"""Verdicts and findings as lines of a terminal: what was decided first, in full on request.

Lines are wrapped to a width and hang below their first word. Text that may come from journals is
cut and kept on its line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from edgemoe_appliance.schema.text import on_one_line

# Loading pandas takes a second: only the command itself pays for it.
if TYPE_CHECKING:
    from edgemoe_appliance.analysis.audit import AuditFinding, CauseCount, CauseFindings
    from edgemoe_appliance.analysis.claims import ClaimVerdict, Number, Part

_MOST_CHARACTERS = 1500
_MOST_ALIKE = 5
_ID_WIDTH = 6
_NOT_TESTED = "not_tested"
# Verdicts in the order in which they are told: title, style. Directions have colours of their own.
_CLAIM_GROUPS = {
    "not_reproduced": ("not reproduced", "bold red"),
    "inconclusive": ("inconclusive", "bold yellow"),
    "reproduced": ("reproduced", "bold green"),
    "opposite_direction": ("opposite direction", "bold magenta"),
    "no_direction_seen": ("no direction seen", "bold blue"),
    "same_direction": ("same direction", "bold cyan"),
    "not_consistent": ("not consistent", "bold red"),
    "left_open_by_the_digits": ("left open by the digits", "bold yellow"),
    "consistent": ("consistent", "bold green"),
    _NOT_TESTED: ("not tested", "bold dim"),
}
# Whose verdicts these are, in the order of the groups above: they are never counted together.
_FAMILIES = {
    "conditions": "under the study's conditions",
    "elsewhere": "elsewhere",
    "printed": "the printed figures",
}
# Claims of these are told with the number alone.
_HELD = ("reproduced", "same_direction", "consistent")
_AUDIT_WORDS = {
    "inconsistent": ("does not fit", "red"),
    "undecided": ("open", "yellow"),
    "consistent": ("fits", "green"),
    "not_tested": ("not tested", "dim"),
}
_HYPOTHESIS_WORDS = _AUDIT_WORDS | {
    "inconsistent": ("excluded", "cyan"),
    "consistent": ("possible", "cyan"),
}
_ASKING = ("inconsistent", "undecided")


def overview(
    verdicts: Sequence[ClaimVerdict], findings: Sequence[AuditFinding], width: int
) -> Iterator[Text]:
    """Yield verdicts by what came out, notes on them, then audits that do not fit or are open."""
    yield from _title(verdicts, width)
    for value, (title, style) in _CLAIM_GROUPS.items():
        group = [verdict for verdict in verdicts if verdict.verdict.value == value]
        if group:
            yield Text()
            yield Text(f"{title.upper()} ({len(group)})", style=style)
        if value == _NOT_TESTED:
            yield from _missing_lines(group, width)
            continue
        for verdict in group:
            yield from _claim_lines(verdict, width)
    notes = list(_notes(verdicts, width))
    if notes:
        yield Text()
    yield from notes
    yield Text()
    yield from _audit_lines(findings, width)


def claim_in_full(verdict: ClaimVerdict, width: int) -> Iterator[Text]:
    """Yield everything about one claim."""
    title, style = _CLAIM_GROUPS[verdict.verdict.value]
    yield Text.assemble(
        (verdict.id, "bold"), "  ", (title, style), f"  (section {verdict.section})"
    )
    yield from wrapped(verdict.statement, width, "  ", style="bold")
    yield from wrapped(f"test: {verdict.tolerance}", width, "  ")
    for part in verdict.parts:
        yield from _part_lines(part, width)
    if not verdict.parts:
        yield from wrapped(verdict.reading, width, "  ")
    for reason in verdict.scope_reasons:
        yield from wrapped(
            f"not under the study's conditions: {reason}", width, "  ", style="yellow"
        )
    for caution in verdict.cautions:
        yield from wrapped(f"note: {caution}", width, "  ", style="yellow")
    for text in _undermining(verdict):
        yield from wrapped(text, width, "  ", style="yellow")


def finding_in_full(finding: AuditFinding, width: int) -> Iterator[Text]:
    """Yield everything about one finding."""
    word, style = _audit_words(finding.verdict.value, is_hypothesis=finding.cause.is_hypothesis)
    yield Text.assemble((on_one_line(finding.id), "bold"), "  ", (word, f"bold {style}"))
    yield from wrapped(f"{finding.test}: {finding.subject}", width, "  ", style="bold")
    what = "hypothesis" if finding.cause.is_hypothesis else "cause"
    yield from wrapped(f"{what}: {finding.cause.title}", width, "  ")
    yield from wrapped(finding.reading, width, "  ")
    for number in finding.numbers:
        yield from wrapped(f"{number.label}: {_in_words(number)}", width, "    ")
    sure = f"how sure: {finding.confidence.value}, {finding.confidence_why}"
    yield from wrapped(sure, width, "  ", style="dim")


def _title(verdicts: Sequence[ClaimVerdict], width: int) -> Iterator[Text]:
    is_study = all(verdict.source == "study" for verdict in verdicts)
    what = "on its own printed figures" if is_study else "on your runs"
    yield from wrapped(f"The study's {len(verdicts)} claims, tested {what}", width, "", "bold")
    for line in family_lines(verdicts):
        yield from wrapped(line, width, "")


def family_lines(verdicts: Sequence[ClaimVerdict]) -> Iterator[str]:
    """Yield how many claims have which verdict, a line for each family that has any."""
    from edgemoe_appliance.analysis.claims.verdicts import count_verdicts

    for family, counts in count_verdicts(verdicts).items():
        told = ", ".join(f"{n} {_CLAIM_GROUPS[v.value][0]}" for v, n in counts.items())
        yield told if family is None else f"{_FAMILIES[family.value]}: {told}"


def _notes(verdicts: Sequence[ClaimVerdict], width: int) -> Iterator[Text]:
    """Yield what bears on many verdicts, each once."""
    notes = (note for v in verdicts for note in (*v.scope_reasons, *v.cautions))
    for note in dict.fromkeys(notes):
        yield from wrapped(f"note: {note}", width, "", style="yellow")


def _claim_lines(verdict: ClaimVerdict, width: int) -> Iterator[Text]:
    name = f"  {verdict.id}".ljust(_ID_WIDTH) + " "
    if verdict.verdict.value in _HELD:
        yield from wrapped(f"{verdict.statement} ({_held(verdict)})", width, name)
    else:
        yield from wrapped(verdict.statement, width, name)
        yield from wrapped(verdict.brief, width, " " * len(name), style="dim")
    for text in _undermining(verdict):
        yield from wrapped(text, width, " " * len(name), style="yellow")


def _undermining(verdict: ClaimVerdict) -> Iterator[str]:
    """Yield what audits leave of the study's number."""
    for each in verdict.undermined_by:
        yield f"audit {each.audit.value}: {each.says}"


def _missing_lines(verdicts: Sequence[ClaimVerdict], width: int) -> Iterator[Text]:
    """Yield what was missing, each time with the claims that wait for it."""
    waiting: dict[str, list[str]] = {}
    for verdict in verdicts:
        need = "; ".join(verdict.needs) or verdict.brief
        waiting.setdefault(need, []).append(verdict.id)
    for missing, ids in waiting.items():
        yield from wrapped(f"{', '.join(ids)}: {missing}", width, "  - ", style="dim")


def _held(verdict: ClaimVerdict) -> str:
    """Return the number of a claim that holds, or how many hold."""
    if len(verdict.parts) != 1 or not verdict.parts[0].numbers:
        return f"all {len(verdict.parts)} tests"
    (part,) = verdict.parts
    return f"{_value(part.numbers[0])}; passes if {part.asked}"


def _part_lines(part: Part, width: int) -> Iterator[Text]:
    title, style = _CLAIM_GROUPS[part.verdict.value]
    yield from wrapped(part.reading, width, f"  - {title}: ", style=style.removeprefix("bold "))
    if part.more_runs is not None:
        yield from wrapped(part.more_runs.text, width, "    ")


def _audit_lines(findings: Sequence[AuditFinding], width: int) -> Iterator[Text]:
    from edgemoe_appliance.analysis.audit import by_cause

    yield Text("AUDITS: can the figures mean what is said?", style="bold")
    for line in audit_count_lines(findings):
        yield from wrapped(line, width, "")
    asking = [each for each in by_cause(findings) if each.verdict.value in _ASKING]
    for is_hypothesis in (False, True):
        groups = [each for each in asking if each.cause.is_hypothesis is is_hypothesis]
        if groups and is_hypothesis:
            yield Text()
            title = "HYPOTHESES put to the test on these figures, none of them"
            yield from wrapped(title, width, "", style="bold")
        for group in groups:
            yield from _cause_lines(group, width)


def audit_count_lines(findings: Sequence[AuditFinding]) -> Iterator[str]:
    """Yield how many causes came out how, and how many figures they touch; hypotheses apart."""
    from edgemoe_appliance.analysis.audit import count_causes

    for is_hypothesis, title in ((False, "causes"), (True, "hypotheses")):
        told = [
            f"{each.causes} {_plural(each, is_hypothesis=is_hypothesis)} ({_figures(each.figures)})"
            for each in count_causes(findings)
            if each.is_hypothesis is is_hypothesis
        ]
        if told:
            yield f"{title}: {', '.join(told)}"


def _cause_lines(group: CauseFindings, width: int) -> Iterator[Text]:
    yield Text()
    yield from wrapped(f"{group.cause.title} ({_figures(group.figures)})", width, "", "bold")
    for value in _ASKING:
        word, style = _audit_words(value, is_hypothesis=group.cause.is_hypothesis)
        found = [finding for finding in group.findings if finding.verdict.value == value]
        for finding in found[:_MOST_ALIKE]:
            text = f"{finding.subject}: {finding.brief}"
            yield from wrapped(text, width, f"  {word}: ", style=style)
        if len(found) > _MOST_ALIKE:
            family = found[0].id.partition(".")[0]
            yield Text(f"  {word}: {len(found) - _MOST_ALIKE} more (--show {family})", style=style)


def _figures(count: int) -> str:
    return f"{count} {'figure' if count == 1 else 'figures'}"


def _plural(count: CauseCount, *, is_hypothesis: bool) -> str:
    word = _audit_words(count.verdict.value, is_hypothesis=is_hypothesis)[0]
    return (
        {"does not fit": "do not fit", "fits": "fit"}.get(word, word) if count.causes != 1 else word
    )


def _audit_words(value: str, *, is_hypothesis: bool) -> tuple[str, str]:
    """Return a verdict in a word and its style: a hypothesis is excluded, a figure does not fit."""
    return (_HYPOTHESIS_WORDS if is_hypothesis else _AUDIT_WORDS)[value]


def _value(number: Number) -> str:
    from edgemoe_appliance.analysis.claims.formatting import with_unit

    return with_unit(number.value, number.unit)


def _in_words(number: Number) -> str:
    from edgemoe_appliance.analysis.claims.formatting import number_in_words

    plain = number.low is None and not number.why_unbound
    return _value(number) if plain else number_in_words(number)


def wrapped(text: str, width: int, first: str = "", style: str = "") -> Iterator[Text]:
    """Yield a text after `first`, its further lines below its beginning.

    The style is that of the words in `first`, where there are any, else of the text.
    """
    lines = textwrap.wrap(
        on_one_line(text, _MOST_CHARACTERS), max(20, width - len(first)), break_on_hyphens=False
    )
    for place, line in enumerate(lines):
        begin = " " * len(first) if place else first
        yield Text.assemble((begin, style), (line, "" if first.strip() else style))


def matching(wanted: Iterable[str], ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the ids that are wanted, by name or by the family before the dot, and what is none."""
    found: list[str] = []
    unknown: list[str] = []
    for name in wanted:
        hits = [each for each in ids if each == name or each.startswith(f"{name}.")]
        found += hits
        unknown += [] if hits else [name]
    return list(dict.fromkeys(found)), unknown

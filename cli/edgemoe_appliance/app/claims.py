"""`claims`: verdicts on the study's claims and audits of figures, of sessions or of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from edgemoe_appliance.app.console import OUT, print_json, say
from edgemoe_appliance.app.report import session_folders
from edgemoe_appliance.bench.folders import default_folders
from edgemoe_appliance.study.base import on_one_line

# Loading pandas takes a second: only the command itself pays for it.
if TYPE_CHECKING:
    from edgemoe_appliance.analysis.audit import Finding
    from edgemoe_appliance.analysis.claims import ClaimVerdict, Evidence, Reference

_STYLES = {
    "reproduced": "green",
    "consistent": "green",
    "not_reproduced": "red",
    "inconsistent": "red",
    "inconclusive": "yellow",
    "undecided": "yellow",
}
# Readings name conditions, and these come from journals that strangers may have written.
_MOST_CHARACTERS = 1200


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(claims)


def claims(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(help="Sessions by name or folder; none: the study against itself."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge the study's claims and audit the figures; whatever comes out, the exit code is 0."""
    from edgemoe_appliance.analysis.audit import audit, judgement_document  # noqa: PLC0415
    from edgemoe_appliance.analysis.claims import judge_claims, read_reference  # noqa: PLC0415

    reference = read_reference()
    evidence = _evidence(sessions or [], reference)
    verdicts, findings = judge_claims(evidence, reference.tests), audit(evidence)
    if as_json:
        print_json(judgement_document(verdicts, findings))
        return
    _print_verdicts(verdicts)
    _print_findings(findings)


def _evidence(sessions: Sequence[str], reference: Reference) -> Evidence:
    from edgemoe_appliance.analysis import load_sessions  # noqa: PLC0415
    from edgemoe_appliance.analysis.claims import (  # noqa: PLC0415
        SessionEvidence,
        StudyEvidence,
    )

    if not sessions:
        return StudyEvidence(reference)
    loaded = load_sessions(session_folders(sessions, default_folders()))
    return SessionEvidence(loaded, reference)


def _print_verdicts(verdicts: Sequence[ClaimVerdict]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("claim", "verdict", "section", "what the study says, and what the numbers say"):
        table.add_column(title, overflow="fold")
    for verdict in verdicts:
        told = Text(on_one_line(verdict.statement, _MOST_CHARACTERS), style="bold")
        told.append(f"\n{on_one_line(verdict.reading, _MOST_CHARACTERS)}", style="not bold")
        table.add_row(verdict.id, _verdict_text(verdict), verdict.section, told)
    OUT.print(table)
    notes = [note for verdict in verdicts for note in (*verdict.scope_reasons, *verdict.cautions)]
    for note in dict.fromkeys(notes):
        say(f"note: {on_one_line(note, _MOST_CHARACTERS)}")
    say(f"claims: {_counted([verdict.verdict.value for verdict in verdicts])}")


def _verdict_text(verdict: ClaimVerdict) -> Text:
    value = verdict.verdict.value
    text = Text(value.replace("_", " "), style=_STYLES.get(value, "dim"))
    return text.append("\n(direction only)") if verdict.scope.value == "direction" else text


def _print_findings(findings: Sequence[Finding]) -> None:
    """Print what does not fit or is open; the rest is counted."""
    table = Table(box=None, pad_edge=False)
    for title in ("audit", "verdict", "sure", "reading"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        value = finding.verdict.value
        if value not in ("inconsistent", "undecided"):
            continue
        told = Text(on_one_line(finding.subject, _MOST_CHARACTERS), style="bold")
        told.append(f"\n{on_one_line(finding.reading, _MOST_CHARACTERS)}", style="not bold")
        name = Text(on_one_line(finding.id))
        table.add_row(name, Text(value, style=_STYLES[value]), finding.confidence.value, told)
    say("")
    OUT.print(table)
    say(f"audits: {_counted([finding.verdict.value for finding in findings])}; --json has all")


def _counted(values: Sequence[str]) -> str:
    return ", ".join(f"{n} {value.replace('_', ' ')}" for value, n in Counter(values).items())

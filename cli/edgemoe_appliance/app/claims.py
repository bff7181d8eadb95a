"""`claims`: verdicts on the study's claims and audits of figures, of sessions or of the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import print_json, say, show_text, terminal_width
from edgemoe_appliance.app.names import claims as claims_of
from edgemoe_appliance.app.names import offered
from edgemoe_appliance.app.options import SessionNames, StudyOption
from edgemoe_appliance.app.report import session_folders
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.text import on_one_line

if TYPE_CHECKING:
    from edgemoe_appliance.analysis.audit import AuditFinding
    from edgemoe_appliance.analysis.claims import ClaimVerdict, Evidence


def register(app: Commands) -> None:
    """Add the command."""
    app.command()(claims)


def claims(
    sessions: SessionNames = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Tell a claim (c2) or an audit (roofline) in full; repeatable.",
            autocompletion=offered(claims_of),
        ),
    ] = None,
    long: Annotated[bool, typer.Option("--long", help="Tell all of them in full.")] = False,
    study: StudyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge the study's claims and audit the figures; whatever comes out, the exit code is 0."""
    from edgemoe_appliance.analysis.audit import audit, judgement_document
    from edgemoe_appliance.analysis.claims import judge_claims
    from edgemoe_appliance.app.judgement import overview

    evidence = _evidence(sessions or [], study)
    verdicts, findings = judge_claims(evidence), audit(evidence)
    if show:
        verdicts, findings = _shown(show, verdicts, findings)
    if as_json:
        print_json(judgement_document(verdicts, findings))
    elif show or long:
        _print_in_full(verdicts, findings)
    else:
        for line in overview(verdicts, findings, terminal_width()):
            show_text(line)
        say("")
        say("--show c2 tells a claim or an audit in full, --long all; --json for programs")


def _evidence(sessions: Sequence[str], study: str | None) -> Evidence:
    from edgemoe_appliance.analysis.claims import StudyEvidence
    from edgemoe_appliance.studies import read_planned_study, read_study

    if not sessions:
        return StudyEvidence(read_study(study))
    from edgemoe_appliance.analysis import load_sessions
    from edgemoe_appliance.analysis.claims import SessionEvidence
    from edgemoe_appliance.bench.paths import default_folders

    loaded = load_sessions(session_folders(sessions, default_folders()))
    planned = [each for session in loaded.sessions for each in session.studies]
    return SessionEvidence(loaded, read_planned_study(study, planned))


def _shown(
    wanted: Sequence[str], verdicts: Sequence[ClaimVerdict], findings: Sequence[AuditFinding]
) -> tuple[tuple[ClaimVerdict, ...], tuple[AuditFinding, ...]]:
    """Return those that are asked for; raises ConfigError for a name that is none of them."""
    from edgemoe_appliance.app.judgement import matching

    ids = [verdict.id for verdict in verdicts] + [finding.id for finding in findings]
    found, unknown = matching(wanted, ids)
    if unknown:
        families = dict.fromkeys(finding.id.partition(".")[0] for finding in findings)
        raise ConfigError(
            f"--show {on_one_line(repr(unknown[0]))}: neither a claim nor an audit",
            hint=f"claims are c1 to {verdicts[-1].id}; audits are {', '.join(families)}",
        )
    return (
        tuple(verdict for verdict in verdicts if verdict.id in found),
        tuple(finding for finding in findings if finding.id in found),
    )


def _print_in_full(verdicts: Sequence[ClaimVerdict], findings: Sequence[AuditFinding]) -> None:
    from edgemoe_appliance.app.judgement import claim_in_full, finding_in_full

    blocks = (
        *(claim_in_full(verdict, terminal_width()) for verdict in verdicts),
        *(finding_in_full(finding, terminal_width()) for finding in findings),
    )
    for place, block in enumerate(blocks):
        if place:
            say("")
        for line in block:
            show_text(line)

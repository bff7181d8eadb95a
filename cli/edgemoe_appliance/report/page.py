"""The context of a page: heading, lead, banner and sources around the sections. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables.common import CONFIDENCE_PCT
from edgemoe_appliance.report.claim_blocks import build_answer
from edgemoe_appliance.report.context import Definition, KeyFigure, Notice, ReportContext
from edgemoe_appliance.report.numbers import format_interval, format_number
from edgemoe_appliance.report.palette import css_variables
from edgemoe_appliance.report.script import PageScript
from edgemoe_appliance.report.sections import TWIN_TITLE, Material, build_sections
from edgemoe_appliance.studies import Study

# More sessions are counted together, and more key figures stand in the tables only.
_MOST_SESSIONS = 4
_MOST_KEY_FIGURES = 6
_MOST_SOURCES = 50
_KEY_TABLE = "throughput"


def build_context(material: Material, style: str, script: PageScript) -> ReportContext:
    """Return everything the template prints; `style` is the style sheet of the page."""
    study, loaded = material.study, material.loaded
    sessions = loaded.sessions if loaded else ()
    names = ", ".join(session.key for session in sessions[:_MOST_SESSIONS])
    heading = study.report.heading if loaded else "The study's own figures"
    return ReportContext(
        title=f"{heading}: {names}" if names else heading,
        heading=heading,
        lead=tuple(_lead(material)),
        answer=build_answer(material.judgement),
        key_title=f"{study.model_name(study.subject)}'s generation rate as a share of "
        f"{study.model_name(study.baseline)}'s",
        key_figures=_first_key_figures(material.tables.by_id.get(_KEY_TABLE), study),
        banner=_banner(material),
        sections=build_sections(material),
        sources=tuple(_sources(loaded, material.study)),
        # Both are this room's own text; nothing of a journal enters them.
        style=Markup(css_variables() + style),  # noqa: S704
        models=tuple(study.models),
        version=f"edgemoe-appliance {__version__}",
        confidence_pct=CONFIDENCE_PCT,
        script=script.text,
        script_digest=script.digest,
    )


def _banner(material: Material) -> Notice | None:
    if not material.twin_text:
        return None
    return Notice(tone="twin", title=TWIN_TITLE, text=material.twin_text)


def _lead(material: Material) -> Iterator[str]:
    study, loaded = material.study, material.loaded
    if loaded is None:
        yield (
            f"What {study.source.authors} print in “{study.source.title}”, table by table. Nothing "
            "on this page was measured by this appliance."
        )
        return
    yield (
        f"A rerun of “{study.source.title}” ({study.source.authors}), in the order of the paper. "
        "Each table has the figures of these sessions first, then the study's."
    )
    yield from map(_counts, loaded.sessions[:_MOST_SESSIONS])
    others = loaded.sessions[_MOST_SESSIONS:]
    if others:
        ok, planned = sum(s.ok for s in others), sum(s.planned + s.added for s in others)
        yield f"{len(others)} more sessions: {ok} of {planned} runs ended well."


def _counts(session: SessionFacts) -> str:
    not_ok = session.finished - session.ok
    return (
        f"Session {session.key}: {session.ok} of {session.planned + session.added} runs ended well"
        + (f" ({session.early} of them early)" if session.early else "")
        + (f", {not_ok} did not" if not_ok else "")
        + (f", {session.not_started} have no end" if session.not_started else "")
        + "."
    )


def _first_key_figures(table: Table | None, study: Study) -> tuple[KeyFigure, ...]:
    """Return the reader's first key figures and all of the study's."""
    found = tuple(_key_figures(table, study)) if table else ()
    own = [figure for figure in found if not figure.is_study]
    return (*own[:_MOST_KEY_FIGURES], *(figure for figure in found if figure.is_study))


def _key_figures(table: Table, study: Study) -> Iterator[KeyFigure]:
    """Yield how the subject's rate stands to the baseline's, for each group of rows."""
    for group in table.groups:
        for row in group.rows:
            cell = row.cells["to_baseline"]
            if row.model != study.subject or cell.number is None:
                continue
            interval = cell.interval
            yield KeyFigure(
                text=format_number(cell.number, 3),
                interval=format_interval(interval, 3) if isinstance(interval, Interval) else "",
                label=group.label,
                is_study=group.source == "study",
                is_twin=row.twin is not None,
            )


def _sources(loaded: LoadedSessions | None, study: Study) -> Iterator[Definition]:
    sessions = loaded.sessions if loaded else ()
    for session in sessions[:_MOST_SOURCES]:
        name = f"Session {session.key}"
        yield Definition(term=name, text=_session_source(session))
    if len(sessions) > _MOST_SOURCES:
        more = len(sessions) - _MOST_SOURCES
        yield Definition(
            term=f"{more} more sessions", text="runs.csv names the session of each run"
        )
    yield Definition(
        term="Study",
        text=f"{study.source.authors}: {study.source.title}. {study.source.repository}",
    )
    yield Definition(term="Rendered by", text=f"edgemoe-appliance {__version__}")


def _session_source(session: SessionFacts) -> str:
    identity = session.plan.appliance
    periods = ", ".join(period.started_utc for period in session.periods) or "none"
    return (
        f"journal sha256 {session.journal_sha256}; plan {session.plan.digest}; measuring periods: "
        f"{periods}; measured by edgemoe-appliance {identity.version}"
        + (f", commit {identity.git_head}" if identity.git_head else "")
    )

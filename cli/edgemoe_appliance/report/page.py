"""The context of a page: heading and first screen around the sections. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.tables.common import CONFIDENCE_PCT
from edgemoe_appliance.report.claim_blocks import build_tallies
from edgemoe_appliance.report.context import FirstScreen, ReportContext, StandIn
from edgemoe_appliance.report.figures import ANSWER
from edgemoe_appliance.report.material import Material
from edgemoe_appliance.report.palette import css_variables
from edgemoe_appliance.report.sections import (
    build_sections,
    figure_view,
    interval_in_words,
    reader_cell,
    sentence_of,
)

# More sessions are counted together.
_MOST_SESSIONS = 4
_DIGEST_LETTERS = 12
_DATE_LETTERS = len("2026-11-28")


def build_context(material: Material, style: str, script: Markup, digest: str) -> ReportContext:
    """Return everything the template prints.

    `style` is the style sheet of the page, `script` its script and `digest` what the page's
    policy admits it by.
    """
    study, loaded = material.study, material.loaded
    sessions = loaded.sessions if loaded else ()
    names = ", ".join(session.key for session in sessions[:_MOST_SESSIONS])
    heading = study.report.heading if loaded else f"{study.report.heading}: the study's own figures"
    first = _first_screen(material)
    return ReportContext(
        title=f"{heading}: {names}" if names else heading,
        heading=heading,
        paper=f"{study.source.authors}: {study.source.title}",
        first=first,
        banner="; ".join(each.title for each in first.stand_ins),
        sections=build_sections(material),
        # Both are this room's own text; nothing of a journal enters them.
        style=Markup(css_variables() + style),  # noqa: S704
        models=tuple(study.models),
        version=f"edgemoe-appliance {__version__}",
        confidence_pct=CONFIDENCE_PCT,
        script=script,
        script_digest=digest,
    )


def _first_screen(material: Material) -> FirstScreen:
    answer, loaded = material.study.report.answer, material.loaded
    found = sentence_of(material, answer.finding) if answer else ""
    return FirstScreen(
        sentence=found or (_every_step(loaded) if loaded else ""),
        covers=_covers(material) if found else "",
        stand_ins=(*_twins(material), *_stand_ins(material)),
        figure=figure_view(material, ANSWER),
        tallies=build_tallies(material.judgement),
        facts="; ".join(_facts(material)),
    )


def _every_step(loaded: LoadedSessions) -> str:
    """Return what runs show that bear no finding: that the steps work, or how many did not."""
    told = f"{_ended(loaded)}."
    if all(session.ok == session.planned + session.added for session in loaded.sessions):
        return f"Every step works on this machine: {told}"
    return told


def _covers(material: Material) -> str:
    """Return the interval of the answer and what it is about."""
    answer = material.study.report.answer
    cell = reader_cell(material, answer.finding.read) if answer else None
    if answer is None or cell is None:
        return ""
    interval = interval_in_words(material, answer.finding.read, cell)
    if not interval:
        return f"The figure has no interval: there are too few {answer.units} for one."
    return (
        f"The {interval} covers other {answer.units} of the kind on this machine; it knows nothing "
        "of other machines or days. The study prints no intervals."
    )


def _twins(material: Material) -> Iterator[StandIn]:
    """Yield what is to be known of twins, nothing where there are none."""
    if not material.twin_scales:
        return
    scales = ", ".join(material.twin_scales)
    worth = (
        "They show that every step works and bear no verdict on the models."
        if material.is_reduced
        else "Rates, memory and energy are nearly those of the models and bear directions; the "
        "generated text and the choice of experts mean nothing."
    )
    yield StandIn(
        title=f"Twins ({scales}), not the real models",
        text="The model files of these sessions hold random weights in the tensor shapes of the "
        f"real models (scale {scales}). {worth}",
        command="edgemoe-appliance demo --twins full" if material.is_reduced else "",
    )


def _stand_ins(material: Material) -> Iterator[StandIn]:
    """Yield the drivers and programs that stood in for devices and meters, each once."""
    settings = material.loaded.settings if material.loaded else ()
    for driver in dict.fromkeys(filter(None, (each.software_device for each in settings))):
        yield StandIn(
            title="A software device, no GPU",
            text=f"{driver} computes on the processor in place of a GPU: every step works, and no "
            "figure of speed, energy or memory is a device's. Nothing here bears a verdict.",
        )
    for meter in dict.fromkeys(filter(None, (each.pretended_meter for each in settings))):
        yield StandIn(
            title="A pretended meter",
            text=f"{meter} is a program that plays a meter: energy and power are nothing that was "
            "measured, and bear no verdict.",
        )


def _facts(material: Material) -> Iterator[str]:
    """Yield what ran, on what, how often, when, and the digest that names the records."""
    loaded = material.loaded
    if loaded is None:
        yield "Nothing on this page was measured by this appliance"
        return
    yield _ended(loaded)
    yield from _bounded([setting.label for setting in loaded.settings])
    periods = [period.started_utc for session in loaded.sessions for period in session.periods]
    if periods:
        first, last = (day[:_DATE_LETTERS] for day in (min(periods), max(periods)))
        yield first if first == last else f"{first} to {last}"
    yield from _bounded(
        [
            f"session {session.key}, journal sha256 {session.journal_sha256[:_DIGEST_LETTERS]}"
            for session in loaded.sessions
        ]
    )


def _bounded(texts: list[str]) -> Iterator[str]:
    yield from texts[:_MOST_SESSIONS]
    if len(texts) > _MOST_SESSIONS:
        yield f"and {len(texts) - _MOST_SESSIONS} more"


def _ended(loaded: LoadedSessions) -> str:
    """Return how many runs ended well, how many failed, and how many have no end."""
    sessions = loaded.sessions
    planned = sum(session.planned + session.added for session in sessions)
    finished = sum(session.finished for session in sessions)
    ok = sum(session.ok for session in sessions)
    parts = [f"{ok} of {planned} runs ended well"]
    parts += [f"{finished - ok} failed"] if finished > ok else []
    parts += [f"{planned - finished} without an end"] if planned > finished else []
    return ", ".join(parts)

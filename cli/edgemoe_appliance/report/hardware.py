"""HARDWARE.md: on what a session was measured, as text that stands by itself.

What the study kept by hand: device, firmware, power mode, clocks, cooling, compiler, flags and
the digests of binaries, as recorded when each measuring period began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from edgemoe_appliance.analysis.hardware import HardwareTexts, describe_hardware, describe_host
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.schema.plan import EngineBuild
from edgemoe_appliance.schema.records import PeriodRecord, PowerFacts
from edgemoe_appliance.schema.text import on_one_line

HARDWARE_NAME = "HARDWARE.md"
_LIMIT = 2000
# What Markdown or the HTML in it would read as more than text.
_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def render_hardware(loaded: LoadedSessions) -> str:
    """Return the hardware record of all sessions as Markdown."""
    lines = [
        "# Hardware record",
        "",
        "Written by edgemoe-appliance out of the journals: what each machine said of itself when a "
        "measuring period began. A fact that it did not tell stands with the reason.",
    ]
    for session in loaded.sessions:
        lines += ["", *_session_lines(session)]
    return "\n".join(lines) + "\n"


def _session_lines(session: SessionFacts) -> Iterator[str]:
    plan = session.plan
    yield f"## Session {_text(session.key)}"
    yield ""
    yield from _table(
        {
            "Target": f"{plan.target_id}: {plan.target.label}",
            "Backend": plan.target.backend.value.upper(),
            "Runtime": plan.runtime,
            "Container image": plan.image or Absent(reason="not measured in a container"),
            "Threads": str(plan.threads),
            "Appliance": f"{plan.appliance.version}, commit {plan.appliance.git_head or 'unknown'}",
        }
    )
    yield from _period_lines(session.periods)
    for engine in plan.engines.values():
        yield from _engine_lines(engine)


def _period_lines(periods: Iterable[PeriodRecord]) -> Iterator[str]:
    """Yield the facts of the first measuring period, and of each later one what is otherwise."""
    first: HardwareTexts = {}
    for index, period in enumerate(periods, start=1):
        facts = {
            **describe_host(period.host),
            **describe_hardware(period.hardware),
            **_power_texts(period.power),
        }
        shown = {name: fact for name, fact in facts.items() if first.get(name) != fact}
        first = first or facts
        yield from ("", f"### Measuring period {index}, {_text(period.started_utc)}", "")
        if shown:
            yield from ([] if index == 1 else ["Different from measuring period 1:", ""])
            yield from _table(shown)
        else:
            yield "All as in measuring period 1."


def _power_texts(power: PowerFacts | None) -> HardwareTexts:
    """Return which source gives energy, by what sensors, and what checks it, as far as recorded."""
    if power is None:
        return {}
    if power.primary is None:
        return {"Power source": Absent(reason=power.reason or "none was found")}
    sensors = ", ".join(dict.fromkeys(rail.sensor for rail in power.rails))
    check = power.cross_check
    checked = f", checked by {check.value}" if check is not None else ""
    return {"Power source": f"{power.primary.value} ({sensors}; {power.scope}){checked}"}


def _engine_lines(engine: EngineBuild) -> Iterator[str]:
    probe = engine.probe
    yield from ("", f"### Engine {_text(engine.pin)}", "")
    yield from _table(
        {
            "Source": ", ".join(f"{k} {v}" for k, v in engine.source.model_dump().items() if v),
            "Source sha256": engine.source_sha256,
            "Compiler": engine.compiler,
            "CMake options": " ".join(f"{name}={value}" for name, value in engine.cmake.items())
            or "none",
            "Build key": engine.build_key,
            **{f"{name} sha256": digest for name, digest in sorted(engine.files_sha256.items())},
            "Routing probe sha256": probe.sha256 if probe else Absent(reason="none in this plan"),
        }
    )


def _table(facts: Mapping[str, str | Absent]) -> Iterator[str]:
    yield from ("| fact | as found |", "|---|---|")
    for name, fact in facts.items():
        value = f"not told: {fact.reason}" if isinstance(fact, Absent) else fact
        yield f"| {_text(name)} | {_text(value)} |"


def _text(text: str) -> str:
    """Return text of others as Markdown that means that text and nothing else."""
    return _MARKS.sub(r"\\\1", on_one_line(text, _LIMIT))

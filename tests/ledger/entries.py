"""Entries of a ledger, made up: nothing here was measured."""

from __future__ import annotations

import hashlib
from typing import Any

from edgemoe_appliance.analysis.claims import Scope
from edgemoe_appliance.analysis.claims.estimates import Basis, Bounds
from edgemoe_appliance.analysis.claims.judging import verdict_of
from edgemoe_appliance.analysis.claims.verdicts import Family
from edgemoe_appliance.archive.results import VerificationLevel
from edgemoe_appliance.ledger.entries import EntryClaim, EntryPart, LedgerEntry
from edgemoe_appliance.schema.configs import number_in_name
from edgemoe_appliance.schema.plan import StudyIdentity
from edgemoe_appliance.studies.claims import Limits

LIMITS = Limits(about=0.69, tolerance=0.05)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry_claim(value: float, width: float, family: Family, limits: Limits) -> EntryClaim:
    low, high = value - width, value + width
    bounds = Bounds(low=low, high=high, basis=Basis.INTERVAL)
    verdict = verdict_of(bounds, limits).within(family)
    part = EntryPart(
        label="rate, A / B",
        unit="ratio",
        asked="0.64 to 0.74",
        verdict=verdict,
        value=value,
        low=low,
        high=high,
        limits=limits,
    )
    return EntryClaim(
        section="4.1",
        statement="A is slower than B",
        verdict=verdict,
        scope=Scope.FULL if family is Family.CONDITIONS else Scope.DIRECTION,
        brief="",
        reasons=(),
        parts=(part,),
    )


def ledger_entry(
    board: str,
    value: float,
    *,
    session: str = "1",
    width: float = 0.01,
    family: Family = Family.CONDITIONS,
    limits: Limits = LIMITS,
    engine: str = "b1 (source 000000000)",
    **changed: Any,
) -> LedgerEntry:
    name = f"{board}-{session}-{engine}"
    values: dict[str, Any] = {
        "archive": f"{name}.tar",
        "sha256": digest(name),
        "archive_bytes": 1,
        "code_sha256": digest("code"),
        "semantics": 1,
        "levels": {VerificationLevel.INTEGRITY: "passed"},
        "study": StudyIdentity(id="study", sha256=digest("study")),
        "study_title": "A study",
        "session": f"s-{session}",
        "session_key": digest(f"key {name}"),
        "ended_utc": "2026-01-02T03:04:05.000Z",
        "device": "A board",
        "board": digest(board),
        "board_kind": digest("a kind of board"),
        "engine": engine,
        "build_number": number_in_name(engine.partition(" ")[0]),
        "declared_after": None,
        "declared_place": 0,
        "backend": "cpu",
        "quantization": "Q4_K_M",
        "runtime": "native",
        "twins": None,
        "runs_ok": 10,
        "claims": {"c1": entry_claim(value, width, family, limits)},
    }
    return LedgerEntry.model_validate(values | changed)

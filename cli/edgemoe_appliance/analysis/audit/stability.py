"""Whether a variation over pooled runs can be read as stability across repetitions."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.audit.findings import (
    AuditVerdict,
    Confidence,
    Examined,
    Finding,
    known_numbers,
)
from edgemoe_appliance.analysis.claims.estimates import high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.quantities import Quantity, Term
from edgemoe_appliance.analysis.claims.words import in_words
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.study.configs import Feeds

_LITTLE_PCT, _MOST_PCT, _ALL_PCT = 10, 50, 100


def check_stability(evidence: Evidence) -> Iterator[Finding]:
    """Yield for each model how much of the variance of its rates prompts make, not repetitions."""
    for place in evidence.places(Feeds.HEADLINE):
        for model in evidence.models(place):
            yield _finding(evidence, place, model)


def _finding(evidence: Evidence, place: Place, model: str) -> Finding:
    examined = Examined(
        id=f"variation.{place.id}.{model}",
        test="variation between prompts and between repetitions",
        subject=f"variation of the rate of {evidence.reference.model_name(model)}, {place.label}",
        where=place.label,
        source=evidence.source,
    )
    term = Term(quantity=Quantity.PROMPT_VARIANCE, model=model)
    share = evidence.read(place, term)
    if isinstance(share, Absent):
        return examined.not_tested(share.reason)
    variation = evidence.read(place, term.of(Quantity.RATE_VARIATION))
    numbers = known_numbers(
        ("prompt_variance_pct", "part of the variance that lies between prompts", "%", share),
        ("variation_pct", "variation over all runs", "%", variation),
    )
    is_floor = evidence.source == "study"
    least = "At least " if is_floor else ""
    what = "prompts of other lengths" if is_floor else "other prompts"
    reading = f"{least}{in_words(share.value)} % of the variance comes from {what}"
    if low_of(share) > _ALL_PCT:
        verdict = AuditVerdict.INCONSISTENT
        reading += ": more than there is. The variation cannot be that of these runs."
    elif low_of(share) >= _MOST_PCT:
        verdict = AuditVerdict.INCONSISTENT
        reading += ": the variation says little about repetitions."
    elif high_of(share) < _LITTLE_PCT:
        verdict = AuditVerdict.UNDECIDED if is_floor else AuditVerdict.CONSISTENT
        reading += (
            ", the rest from other prompts or repetitions."
            if is_floor
            else ": the variation is that of repetitions."
        )
    else:
        verdict = AuditVerdict.UNDECIDED
        reading += "; the variation mixes prompts with repetitions."
    why = "from the means of the three lengths alone" if is_floor else "from all runs"
    sure = Confidence.MEDIUM if is_floor else Confidence.HIGH
    return examined.finding(verdict, numbers, reading, (sure, why))

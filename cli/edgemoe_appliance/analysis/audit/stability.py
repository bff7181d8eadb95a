"""Whether a variation over pooled runs can be read as stability across repetitions."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.audit.findings import (
    POOLED_PROMPTS,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    known_numbers,
)
from edgemoe_appliance.analysis.claims.estimates import Estimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.quantities import Quantity, Term

_LITTLE_PCT, _MOST_PCT, _ALL_PCT = 10, 50, 100


def check_stability(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield for each model how much of the variance of its rates prompts make, not repetitions.

    A study that names no limit for a variation takes none for stability.
    """
    if evidence.study.variation_limit is None:
        return
    for place in evidence.places(Feeds.HEADLINE):
        for model in evidence.models(place):
            yield _finding(evidence, place, model)


def _finding(evidence: Evidence, place: Place, model: str) -> AuditFinding:
    subject = AuditSubject(
        id=f"variation.{place.id}.{model}",
        test="variation between prompts and between repetitions",
        subject=f"variation of the rate of {evidence.study.model_name(model)}, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=POOLED_PROMPTS,
    )
    term = Term(quantity=Quantity.PROMPT_VARIANCE, model=model)
    share = evidence.read(place, term)
    if isinstance(share, Absent):
        return subject.not_tested(share.reason)
    variation = evidence.read(place, term.of(Quantity.RATE_VARIATION))
    numbers = known_numbers(
        ("prompt_variance_pct", "part of the variance that lies between prompts", "%", share),
        ("variation_pct", "variation over all runs", "%", variation),
    )
    is_floor = evidence.source == "study"
    verdict, reading = _judged(share, is_floor=is_floor)
    likely = evidence.read(place, term.of(Quantity.LIKELY_PROMPT_VARIANCE))
    if isinstance(likely, Estimate):
        category = evidence.study.procedure.long_category
        label = f"the same, were the {category} prompts as slow as the long one"
        numbers += known_numbers(("likely_variance_pct", label, "%", likely))
        reading += (
            f" A hypothesis, no figure: were the {category} prompts as slow as the long one, "
            f"it would be {in_words(likely.value)} %."
        )
    least = "at least " if is_floor else ""
    why = "from the means of the three lengths alone" if is_floor else "a share without interval"
    told = Wording(
        brief=f"{least}{in_words(share.value)} % of the variance lies between prompts",
        reading=reading,
        sure=(Confidence.MEDIUM, why),
    )
    return subject.finding(verdict, numbers, told)


def _judged(share: Estimate, *, is_floor: bool) -> tuple[AuditVerdict, str]:
    """Return the verdict on a share in per cent, or on the least that it can be."""
    least, what = ("At least ", "three lengths of prompt") if is_floor else ("", "prompts")
    begin = f"{least}{in_words(share.value)} % of the variance lies between {what}"
    if low_of(share) > _ALL_PCT:
        return (
            AuditVerdict.INCONSISTENT,
            f"{begin}: more than there is. The variation cannot be that of these runs.",
        )
    if low_of(share) >= _MOST_PCT:
        return (
            AuditVerdict.INCONSISTENT,
            f"{begin}, not between repetitions: it says little about how stable they are.",
        )
    if high_of(share) < _LITTLE_PCT and not is_floor:
        return AuditVerdict.CONSISTENT, f"{begin}: the variation is that of repetitions."
    rest = "; the rest is other prompts and repetitions, which the figures do not tell apart"
    return AuditVerdict.UNDECIDED, f"{begin}{rest if is_floor else ', the rest between runs'}."

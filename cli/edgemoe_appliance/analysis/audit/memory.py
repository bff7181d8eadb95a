"""Resident memory against the memory there is, and how much of it is a demand for memory."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.audit.findings import (
    RESIDENT,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    first_absent,
    known_numbers,
)
from edgemoe_appliance.analysis.claims.derived import applied
from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import capitalised, in_words, with_unit
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.quantities import Quantity, Term

# From this share of the physical memory a peak counts as being at the ceiling.
_CEILING = 0.9
_CLEAR = 1.05


def check_memory(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield for each model whether its peak fits, and what of it the kernel could drop."""
    for place in evidence.places(Feeds.HEADLINE):
        for model in evidence.models(place):
            yield _fits(evidence, place, model)
            yield _reclaimable(evidence, place, model)


def _subject(
    evidence: Evidence, place: Place, model: str, about: tuple[str, str, str]
) -> AuditSubject:
    family, test, words = about
    return AuditSubject(
        id=f"{family}.{place.id}.{model}",
        test=test,
        subject=f"{words} of {evidence.study.model_name(model)}, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=RESIDENT,
    )


def _fits(evidence: Evidence, place: Place, model: str) -> AuditFinding:
    about = ("resident", "resident against physical memory", "peak resident memory")
    subject = _subject(evidence, place, model, about)
    peak, physical = _read(evidence, place, model, Quantity.PEAK_MEMORY, Quantity.PHYSICAL_MEMORY)
    share = applied(lambda p, m: p / m, peak, physical)
    if not isinstance(share, Estimate):
        return subject.not_tested(first_absent(share))
    numbers = known_numbers(
        ("share_ratio", "peak to physical memory", "ratio", share),
        ("peak_bytes", "peak resident memory", "B", peak),
        ("physical_bytes", "physical memory", "B", physical),
    )
    verdict = AuditVerdict.CONSISTENT
    brief = f"{in_words(100 * share.value)} % of the memory"
    reading = f"{brief}."
    if low_of(share) > 1:
        verdict = AuditVerdict.INCONSISTENT
        reading = (
            f"At least {in_words(100 * low_of(share))} % of the physical memory. What is swapped "
            "out is not resident, so swap does not explain it: some pages are counted more than "
            "once, or are none of the memory."
        )
    elif high_of(share) > 1:
        verdict = AuditVerdict.UNDECIDED
        reading = (
            f"{in_words(100 * share.value)} % of the memory, more than all of it not excluded."
        )
    sure = Confidence.MEDIUM if high_of(share) > 1 and low_of(share) < _CLEAR else Confidence.HIGH
    why = "a nominal GB is 10^9 or 2^30 bytes; the kernel and the firmware keep some of either"
    return subject.finding(
        verdict, numbers, Wording(brief=brief, reading=reading, sure=(sure, why))
    )


def _reclaimable(evidence: Evidence, place: Place, model: str) -> AuditFinding:
    about = ("reclaimable", "reclaimable part of the peak", "demand for memory")
    subject = _subject(evidence, place, model, about)
    peak, physical = _read(evidence, place, model, Quantity.PEAK_MEMORY, Quantity.PHYSICAL_MEMORY)
    measured, size = _read(evidence, place, model, Quantity.FILE_BACKED_MEMORY, Quantity.FILE_SIZE)
    is_measured = isinstance(measured, Estimate)
    pages = measured if is_measured else size
    demand = applied(lambda p, f: max(0.0, p - f), peak, pages)
    share = applied(lambda p, f, m: max(0.0, p - f) / m, peak, pages, physical)
    whole = applied(lambda p, m: p / m, peak, physical)
    if not (isinstance(demand, Estimate) and isinstance(share, Estimate)):
        return subject.not_tested(first_absent(demand, share))
    numbers = known_numbers(
        ("demand_share_ratio", "peak less file pages, to physical memory", "ratio", share),
        ("demand_bytes", "peak less file pages", "B", demand),
        ("file_pages_bytes", "pages of the model file", "B", pages),
        ("peak_bytes", "peak resident memory", "B", peak),
    )
    at_ceiling = isinstance(whole, Estimate) and low_of(whole) >= _CEILING
    is_demand = not at_ceiling or low_of(share) >= _CEILING
    file_words = "" if is_measured else "up to "
    reading = (
        f"{file_words}{_told(pages)} of {_told(peak)} are pages of the model file, which the "
        f"kernel can drop and read again; {_told(demand)} are not, "
        f"{in_words(100 * share.value)} % of the physical memory"
    )
    reading += "." if is_demand else ": the peak does not show that memory runs out."
    sure = (Confidence.HIGH, "file pages as measured")
    if not is_measured:
        why = "the parts of the peak are not printed; the file is mapped by default"
        sure = (Confidence.MEDIUM, why)
    return subject.finding(
        AuditVerdict.CONSISTENT if is_demand else AuditVerdict.INCONSISTENT,
        numbers,
        Wording(
            brief=f"{file_words}{_told(pages)} of {_told(peak)} can be dropped",
            reading=capitalised(reading),
            sure=sure,
        ),
    )


def _read(
    evidence: Evidence, place: Place, model: str, *quantities: Quantity
) -> list[MaybeEstimate]:
    return [evidence.read(place, Term(quantity=each, model=model)) for each in quantities]


def _told(found: MaybeEstimate) -> str:
    return found.reason if isinstance(found, Absent) else with_unit(found.value, "B")

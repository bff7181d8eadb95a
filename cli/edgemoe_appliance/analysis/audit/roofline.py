"""Rates against what the memory can deliver, read both ways, and the utilisations of MoE-CAP.

A rate times the bytes that each token reads cannot exceed the bandwidth. If every token read all
weights of a Mixture-of-Experts model, its ceiling would be far lower than if it read the experts
that it uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from edgemoe_appliance.analysis.audit.findings import (
    ALL_WEIGHTS,
    BANDWIDTH,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    first_absent,
    known_numbers,
    plain_number,
)
from edgemoe_appliance.analysis.claims.derived import applied, measure
from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies.quantities import Quantity, Term

# Another memory clock than the declared one moves a ceiling by up to half.
_BEYOND_ANY_CLOCK = 1.5


def check_roofline(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield for each model its rate against the ceilings, and how much of the device it uses."""
    for place in evidence.places(Feeds.HEADLINE):
        bandwidth = evidence.read(place, Term(quantity=Quantity.BANDWIDTH))
        if isinstance(bandwidth, Absent):
            yield _without_bandwidth(evidence, place, bandwidth)
            continue
        for model in evidence.models(place):
            yield _ceiling(evidence, place, model, total=False)
            if evidence.study.has_experts(model):
                yield _ceiling(evidence, place, model, total=True)
            yield _utilisation(evidence, place, model)


def _without_bandwidth(evidence: Evidence, place: Place, absent: Absent) -> AuditFinding:
    subject = AuditSubject(
        id=f"roofline.{place.id}",
        test="rate against the bandwidth",
        subject=f"generation rates, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=BANDWIDTH,
    )
    return subject.not_tested(absent.reason)


def _ceiling(evidence: Evidence, place: Place, model: str, *, total: bool) -> AuditFinding:
    kind = "total" if total else "active"
    words = "all weights" if total else "the weights that a token uses"
    subject = AuditSubject(
        id=f"roofline.{kind}.{place.id}.{model}",
        test=f"rate against the bandwidth, {kind} bytes",
        subject=f"generation rate of {evidence.study.model_name(model)}, {place.label}, were "
        f"{words} read for every token",
        where=place.label,
        source=evidence.source,
        cause=ALL_WEIGHTS if total else BANDWIDTH,
    )
    rate = _read(evidence, place, Quantity.GENERATION_RATE, model)
    bandwidth = _read(evidence, place, Quantity.BANDWIDTH, model)
    quantity = Quantity.FILE_SIZE if total else Quantity.ACTIVE_BYTES
    size = _read(evidence, place, quantity, model)
    share = applied(lambda r, s, b: r * s / b, rate, size, bandwidth)
    if isinstance(share, Absent):
        return subject.not_tested(share.reason)
    ceiling = applied(lambda b, s: b / s, bandwidth, size)
    numbers = known_numbers(
        ("bandwidth_share_ratio", "traffic to peak bandwidth", "ratio", share),
        ("rate_tok_s", "generation rate", "tok/s", rate),
        ("ceiling_tok_s", "highest rate that the bandwidth allows", "tok/s", ceiling),
        ("needed_gb_s", "traffic of the rate", "GB/s", _in_gb(applied(_product, rate, size))),
        ("bandwidth_gb_s", "peak bandwidth", "GB/s", _in_gb(bandwidth)),
        ("bytes_per_token_gb", "read for a token", "GB", _in_gb(size)),
    )
    verdict = _verdict(share)
    told = Wording(
        brief=f"{in_words(rate.value)} tok/s, at most {in_words(ceiling.value)}"
        if isinstance(rate, Estimate) and isinstance(ceiling, Estimate)
        else "",
        reading=_ceiling_reading(verdict, numbers, words),
        sure=_sure(evidence, place, share),
    )
    return subject.finding(verdict, numbers, told)


def _ceiling_reading(verdict: AuditVerdict, numbers: tuple[Number, ...], words: str) -> str:
    told = {number.key: in_words(number.value) for number in numbers}
    begin = (
        f"At {told['rate_tok_s']} tok/s, {told['bytes_per_token_gb']} GB for each token are "
        f"{told['needed_gb_s']} GB/s; the peak is {told['bandwidth_gb_s']}, enough for "
        f"{told['ceiling_tok_s']} tok/s"
    )
    if verdict is AuditVerdict.INCONSISTENT:
        return f"{begin}: {words} cannot have been read for every token."
    if verdict is AuditVerdict.UNDECIDED:
        return f"{begin}: at the limit, so the figures leave it open."
    return f"{begin}: possible."


def _utilisation(evidence: Evidence, place: Place, model: str) -> AuditFinding:
    """Return S-MBU with the output head, S-MBU in MoE-CAP's form, and S-MFU.

    Source: MoE-CAP, arXiv 2412.07067. Its traffic leaves the head out; each form has its name.
    """
    subject = AuditSubject(
        id=f"utilisation.{place.id}.{model}",
        test="S-MBU and S-MFU",
        subject=f"utilisation of the device by {evidence.study.model_name(model)}, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=BANDWIDTH,
    )
    used = _use(evidence, place, model, Quantity.BANDWIDTH_USE)
    if isinstance(used, Absent):
        return subject.not_tested(used.reason)
    without_head = _use(evidence, place, model, Quantity.BANDWIDTH_USE_WITHOUT_HEAD)
    arithmetic = _use(evidence, place, model, Quantity.ARITHMETIC_USE)
    context = _read(evidence, place, Quantity.MEAN_CONTEXT, model)
    cache = _in_gb(_use(evidence, place, model, Quantity.CACHE_BYTES))
    peak = _peak_type(evidence, place)
    numbers = known_numbers(
        ("s_mbu_pct", "S-MBU, output head and cache counted", "%", used),
        ("s_mbu_moe_cap_pct", "S-MBU in MoE-CAP's form, without the head", "%", without_head),
        (
            "s_mbu_layers_pct",
            "the same without the cache: weights of the layers alone",
            "%",
            _layers_use(evidence, place, model),
        ),
        ("cache_gb", "cache read for a token, at the mean context", "GB", cache),
        ("mean_context_tokens", "mean context", "tokens", context),
        ("s_mfu_pct", f"S-MFU of the {peak} peak, attention's operations counted", "%", arithmetic),
        (
            "s_mfu_parameters_pct",
            f"the same of the parameters alone, of the {peak} peak",
            "%",
            _parameters_use(evidence, place, model),
        ),
    )
    others = _dense_median(evidence, place) if evidence.study.has_experts(model) else None
    if others is not None:
        label = "S-MBU, head and cache counted, median of the dense"
        numbers += (plain_number("dense_s_mbu_pct", label, "%", others),)
    share = applied(lambda u: u / 100, used)
    verdict = _verdict(share) if isinstance(share, Estimate) else AuditVerdict.UNDECIDED
    told = Wording(
        brief=f"{in_words(used.value)} % of the bandwidth",
        reading=_utilisation_reading((used, without_head), (arithmetic, peak), others),
        sure=_sure(evidence, place, share),
    )
    return subject.finding(verdict, numbers, told)


def _utilisation_reading(
    used: tuple[Estimate, MaybeEstimate],
    arithmetic: tuple[MaybeEstimate, str],
    others: float | None,
) -> str:
    whole, without_head = used
    text = f"S-MBU with the output head and the cache is {in_words(whole.value)} %"
    if isinstance(without_head, Estimate):
        text += f", in MoE-CAP's form, without the head, {in_words(without_head.value)} %"
    found, peak = arithmetic
    if isinstance(found, Estimate):
        text += f"; S-MFU is {in_words(found.value)} % of the {peak} peak"
    if others is None:
        return f"{text}."
    compared = 100 * (whole.value / others - 1)
    side = "below" if compared < 0 else "above"
    return (
        f"{text}. With head and cache that is {abs(compared):.0f} % {side} the "
        f"{in_words(others)} % of the dense models on the same device, by the bytes that a token "
        "uses."
    )


def _use(evidence: Evidence, place: Place, model: str, quantity: Quantity) -> MaybeEstimate:
    return measure(evidence, place, Term(quantity=quantity, model=model))


def _layers_use(evidence: Evidence, place: Place, model: str) -> MaybeEstimate:
    return applied(
        lambda r, w, h, b: 100 * r * (w - h) / b,
        _read(evidence, place, Quantity.GENERATION_RATE, model),
        _read(evidence, place, Quantity.ACTIVE_BYTES, model),
        _read(evidence, place, Quantity.HEAD_BYTES, model),
        _read(evidence, place, Quantity.BANDWIDTH, model),
    )


def _parameters_use(evidence: Evidence, place: Place, model: str) -> MaybeEstimate:
    return applied(
        lambda r, n, f: 100 * 2 * n * r / f,
        _read(evidence, place, Quantity.GENERATION_RATE, model),
        _read(evidence, place, Quantity.MULTIPLIED_PARAMETERS, model),
        _read(evidence, place, Quantity.PEAK_FLOPS, model),
    )


def _peak_type(evidence: Evidence, place: Place) -> str:
    """Return the data type whose peak rate is known for a device."""
    peaks = evidence.study.peaks.get(place.device or "")
    return peaks.flops_type if peaks is not None else "device's"


def _dense_median(evidence: Evidence, place: Place) -> float | None:
    dense = (model for model in evidence.models(place) if not evidence.study.has_experts(model))
    found = [_use(evidence, place, model, Quantity.BANDWIDTH_USE) for model in dense]
    values = [each.value for each in found if isinstance(each, Estimate)]
    return median(values) or None if values else None


def _read(evidence: Evidence, place: Place, quantity: Quantity, model: str) -> MaybeEstimate:
    return evidence.read(place, Term(quantity=quantity, model=model))


def _product(one: float, other: float) -> float:
    return one * other


def _in_gb(found: MaybeEstimate) -> MaybeEstimate:
    return applied(lambda size: size / GB, found)


def _verdict(share: Estimate) -> AuditVerdict:
    if high_of(share) <= 1:
        return AuditVerdict.CONSISTENT
    return AuditVerdict.INCONSISTENT if low_of(share) > 1 else AuditVerdict.UNDECIDED


def _sure(evidence: Evidence, place: Place, share: MaybeEstimate) -> tuple[Confidence, str]:
    source = "bandwidth as declared in devices.yaml"
    peaks = evidence.study.peaks.get(place.device or "")
    if peaks is not None:
        arithmetic = f"{peaks.flops_type}, {peaks.flops_source}"
        source = f"bandwidth: {peaks.bandwidth_source}; arithmetic: {arithmetic}"
    if reason := first_absent(share):
        return Confidence.LOW, reason
    value = share.value if isinstance(share, Estimate) else 0.0
    if value < 1 or value > _BEYOND_ANY_CLOCK:
        return Confidence.HIGH, source
    return Confidence.MEDIUM, f"a higher memory clock than declared would change it; {source}"

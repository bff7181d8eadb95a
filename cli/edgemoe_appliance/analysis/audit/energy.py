"""Energy per token, rate and power: which window do they imply?

Energy per token times tokens per second over average power is 1 where all three are of generation
alone. More than 1 means that the energy holds other work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgemoe_appliance.analysis.audit.findings import (
    AuditVerdict,
    Confidence,
    Examined,
    Finding,
    first_absent,
    known_numbers,
    plain_number,
)
from edgemoe_appliance.analysis.claims.estimates import Estimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.measures import applied, measure
from edgemoe_appliance.analysis.claims.quantities import Quantity, Term
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.analysis.claims.words import in_words
from edgemoe_appliance.study.configs import Feeds

# Sampling between decodes is in the energy and not in the rate: a few hundredths.
_LEAST, _MOST = 0.95, 1.05


@dataclass(frozen=True, kw_only=True)
class _Window:
    """A way of counting: its energy per token and the average power over the same window."""

    id: str
    words: str
    energy: Quantity
    power: Quantity


_WINDOWS = (
    _Window(
        id="energy-window",
        words="energy per token as the study counts it",
        energy=Quantity.ENERGY_PER_TOKEN,
        power=Quantity.AVERAGE_POWER,
    ),
    _Window(
        id="energy-generation",
        words="energy per token of generation alone",
        energy=Quantity.GENERATION_ENERGY_PER_TOKEN,
        power=Quantity.GENERATION_POWER,
    ),
)


def check_windows(evidence: Evidence) -> Iterator[Finding]:
    """Yield for each way of counting and each model what window its energy implies."""
    for place in evidence.places(Feeds.HEADLINE):
        for window in _WINDOWS:
            findings = [
                _finding(evidence, place, window, model) for model in evidence.models(place)
            ]
            tested = [each for each in findings if each.verdict is not AuditVerdict.NOT_TESTED]
            yield from tested or _none_tested(evidence, place, window, findings)


def _none_tested(
    evidence: Evidence, place: Place, window: _Window, findings: list[Finding]
) -> Iterator[Finding]:
    """Yield one finding for a condition without any energy."""
    for first in findings[:1]:
        yield _examined(evidence, place, window, None).not_tested(first.missing)


def _examined(evidence: Evidence, place: Place, window: _Window, model: str | None) -> Examined:
    name = f" of {evidence.reference.model_name(model)}" if model else ""
    return Examined(
        id=".".join([window.id, place.id, *([model] if model else [])]),
        test="energy x rate / power",
        subject=f"{window.words}{name}, {place.label}",
        where=place.label,
        source=evidence.source,
    )


def _finding(evidence: Evidence, place: Place, window: _Window, model: str) -> Finding:
    examined = _examined(evidence, place, window, model)
    energy, power, rate, tokens = (
        measure(evidence, place, Term(quantity=quantity, model=model))
        for quantity in (
            window.energy,
            window.power,
            Quantity.GENERATION_RATE,
            Quantity.GENERATED_TOKENS,
        )
    )
    implied = applied(lambda e, r, p: e * r / p, energy, rate, power)
    if not isinstance(implied, Estimate):
        return examined.not_tested(first_absent(implied))
    if implied.value <= 0:
        return examined.not_tested("energy, rate or power is not above 0")
    alone = applied(lambda p, r: p / r, power, rate)
    other = applied(lambda w, n, r: (w - 1) * n / r, implied, tokens, rate)
    rest_pct = 100 * (1 - 1 / implied.value)
    numbers = (
        *known_numbers(
            ("implied_window_ratio", "implied window to time of generation", "ratio", implied),
            ("energy_j_per_token", "energy per token", "J/tok", energy),
            ("generation_j_per_token", "power / rate", "J/tok", alone),
            ("rate_tok_s", "generation rate", "tok/s", rate),
            ("power_w", "average power", "W", power),
            ("other_s", "time in the window that is not generation, per run", "s", other),
        ),
        *_of_median(evidence, place, window, (implied, energy, model)),
        plain_number("other_pct", "share of the energy that is not generation", "%", rest_pct),
    )
    verdict = _verdict(implied)
    return examined.finding(verdict, numbers, _reading(verdict, implied, other), _sure(implied))


def _of_median(
    evidence: Evidence, place: Place, window: _Window, known: tuple[Estimate, object, str]
) -> Iterator[Number]:
    """Yield the window that the median energy implies, as a mean can be one run's doing."""
    implied, energy, model = known
    if window.energy is not Quantity.ENERGY_PER_TOKEN or not isinstance(energy, Estimate):
        return
    median = evidence.read(place, Term(quantity=Quantity.MEDIAN_ENERGY_PER_TOKEN, model=model))
    if isinstance(median, Estimate):
        yield plain_number(
            "implied_window_of_median_ratio",
            "the same from the median energy",
            "ratio",
            implied.value * median.value / energy.value,
        )


def _verdict(implied: Estimate) -> AuditVerdict:
    if low_of(implied) >= _LEAST and high_of(implied) <= _MOST:
        return AuditVerdict.CONSISTENT
    if low_of(implied) > _MOST or high_of(implied) < _LEAST:
        return AuditVerdict.INCONSISTENT
    return AuditVerdict.UNDECIDED


def _reading(verdict: AuditVerdict, implied: Estimate, other: object) -> str:
    window = f"The window implied is {in_words(implied.value)} times the time of generation"
    if verdict is AuditVerdict.CONSISTENT:
        return f"{window}: the energy can be that of generation alone."
    if verdict is AuditVerdict.UNDECIDED:
        return f"{window}, from {in_words(low_of(implied))} to {in_words(high_of(implied))}: open."
    if implied.value < 1:
        return f"{window}: less than generation needs at that power; the parts do not fit together."
    rest = f"{100 * (1 - 1 / implied.value):.0f} % of the energy"
    time = f" and {in_words(other.value)} s of a run" if isinstance(other, Estimate) else ""
    return (
        f"{window}: {rest}{time} went into something else than generating, so this is no energy "
        "per generated token but that of a longer call shared out over its tokens."
    )


def _sure(implied: Estimate) -> tuple[Confidence, str]:
    distance = max(low_of(implied) - _MOST, _LEAST - high_of(implied))
    if distance > 0.05:
        return Confidence.HIGH, "beyond all rounding; a mean of ratios differs from it by per cents"
    return Confidence.MEDIUM, "a mean of ratios over runs differs from the ratio by per cents"

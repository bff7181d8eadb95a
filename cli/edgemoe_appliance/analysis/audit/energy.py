"""Energy per token, rate and power: which window do they imply?

Energy per token times tokens per second over average power is 1 where all three are of generation
alone. More than 1 means that the energy holds other work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgemoe_appliance.analysis.audit.findings import (
    ENERGY_WINDOW,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    first_absent,
    known_numbers,
    plain_number,
)
from edgemoe_appliance.analysis.claims.derived import applied, ratio_of
from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.quantities import Quantity, Term

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
        words="as the study counts it",
        energy=Quantity.ENERGY_PER_TOKEN,
        power=Quantity.AVERAGE_POWER,
    ),
    _Window(
        id="energy-generation",
        words="of generation alone",
        energy=Quantity.GENERATION_ENERGY_PER_TOKEN,
        power=Quantity.GENERATION_POWER,
    ),
)


def check_windows(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield for each way of counting and each model what window its energy implies."""
    for place in evidence.places(Feeds.HEADLINE):
        for window in _WINDOWS:
            findings = [
                _finding(evidence, place, window, model) for model in evidence.models(place)
            ]
            tested = [each for each in findings if each.verdict is not AuditVerdict.NOT_TESTED]
            yield from tested or _none_tested(evidence, place, window, findings)
        yield _ratio_finding(evidence, place)


def _none_tested(
    evidence: Evidence, place: Place, window: _Window, findings: list[AuditFinding]
) -> Iterator[AuditFinding]:
    """Yield one finding for a condition without any energy."""
    for first in findings[:1]:
        yield _subject(evidence, place, window, None).not_tested(first.missing)


def _subject(evidence: Evidence, place: Place, window: _Window, model: str | None) -> AuditSubject:
    name = f" of {evidence.study.model_name(model)}" if model else ""
    return AuditSubject(
        id=".".join([window.id, place.id, *([model] if model else [])]),
        test="energy x rate / power",
        subject=f"energy per token{name}, {window.words}, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=ENERGY_WINDOW,
    )


def _finding(evidence: Evidence, place: Place, window: _Window, model: str) -> AuditFinding:
    subject = _subject(evidence, place, window, model)
    energy, power, rate, tokens, peak = (
        evidence.read(place, Term(quantity=quantity, model=model))
        for quantity in (
            window.energy,
            window.power,
            Quantity.GENERATION_RATE,
            Quantity.GENERATED_TOKENS,
            Quantity.PEAK_POWER,
        )
    )
    implied = applied(lambda e, r, p: e * r / p, energy, rate, power)
    if not isinstance(implied, Estimate):
        return subject.not_tested(first_absent(implied))
    if implied.value <= 0:
        return subject.not_tested("energy, rate or power is not above 0")
    alone = applied(lambda p, r: p / r, power, rate)
    other = applied(lambda w, n, r: (w - 1) * n / r, implied, tokens, rate)
    # However much generation draws, it is not above the highest power that was seen.
    least = applied(lambda p, r, e: 100 * (1 - p / (r * e)), peak, rate, energy)
    numbers = (
        *known_numbers(
            ("implied_window_ratio", "implied window to time of generation", "ratio", implied),
            ("energy_j_per_token", "energy per token", "J/tok", energy),
            ("generation_j_per_token", "power / rate", "J/tok", alone),
            ("rate_tok_s", "generation rate", "tok/s", rate),
            ("power_w", "average power", "W", power),
            ("peak_power_w", "highest power", "W", peak),
            ("other_s", "time in the window that is not generation, per run", "s", other),
            ("other_least_pct", "energy not of generation, at the highest power", "%", least),
        ),
        *_of_median(evidence, place, window, (implied, energy, model)),
        plain_number(
            "other_pct",
            "energy not of generation, at the average power",
            "%",
            100 * (1 - 1 / implied.value),
        ),
    )
    verdict = _verdict(implied)
    told = Wording(
        brief=f"implies {in_words(implied.value)} times the time of generation",
        reading=_reading(verdict, implied, other, least),
        sure=_sure(implied),
    )
    return subject.finding(verdict, numbers, told)


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


def _reading(
    verdict: AuditVerdict, implied: Estimate, other: MaybeEstimate, least: MaybeEstimate
) -> str:
    window = f"The window implied is {in_words(implied.value)} times the time of generation"
    if verdict is AuditVerdict.CONSISTENT:
        return f"{window}: the energy can be that of generation alone."
    if verdict is AuditVerdict.UNDECIDED:
        return f"{window}, from {in_words(low_of(implied))} to {in_words(high_of(implied))}: open."
    if implied.value < 1:
        return f"{window}: less than generation needs at that power; the parts do not fit together."
    time = f"{in_words(other.value)} s of a run" if isinstance(other, Estimate) else "other time"
    text = (
        f"{window}: {time} went into something else than generating, so this is no energy per "
        "generated token but that of a longer call shared out over its tokens."
    )
    if isinstance(least, Estimate) and least.value > 0:
        text += (
            f" Even at the highest power seen, generation takes at most "
            f"{100 - least.value:.0f} % of it."
        )
    return text


def _sure(implied: Estimate) -> tuple[Confidence, str]:
    distance = max(low_of(implied) - _MOST, _LEAST - high_of(implied))
    if distance > 0.05:
        return Confidence.HIGH, "beyond all rounding; a mean of ratios differs from it by per cents"
    return Confidence.MEDIUM, "a mean of ratios over runs differs from the ratio by per cents"


def _ratio_finding(evidence: Evidence, place: Place) -> AuditFinding:
    """Return what remains of the ratio of energies when generation alone is counted.

    Generation draws at least the average power of the window and at most the highest power seen.
    """
    name, study = evidence.study.model_name, evidence.study
    subject = AuditSubject(
        id=f"energy-ratio.{place.id}",
        test="ratio of energies, generation alone",
        subject=f"energy per token, {name(study.subject)} / {name(study.baseline)}, {place.label}",
        where=place.label,
        source=evidence.source,
        cause=ENERGY_WINDOW,
    )

    counted, least, most = _energy_ratios(evidence, place)
    if not (
        isinstance(counted, Estimate) and isinstance(least, Estimate) and isinstance(most, Estimate)
    ):
        return subject.not_tested(first_absent(counted, least, most))
    numbers = known_numbers(
        ("counted_ratio", "ratio as counted", "ratio", counted),
        ("generation_least_ratio", "ratio of generation alone, at least", "ratio", least),
        ("generation_most_ratio", "ratio of generation alone, at most", "ratio", most),
    )
    beyond = low_of(counted) > high_of(most) or high_of(counted) < low_of(least)
    bounds = f"{in_words(least.value)} to {in_words(most.value)}"
    reading = (
        f"Counted, the ratio is {in_words(counted.value)}; of generation alone it is {bounds}, by "
        "rates and powers"
    )
    reading += ": the rest comes from what else the windows hold." if beyond else ": it can be."
    told = Wording(
        brief=f"{in_words(counted.value)} as counted, {bounds} by generation alone",
        reading=reading,
        sure=(Confidence.MEDIUM, "generation is taken to draw no less than the window's average"),
    )
    return subject.finding(
        AuditVerdict.INCONSISTENT if beyond else AuditVerdict.CONSISTENT, numbers, told
    )


def _energy_ratios(
    evidence: Evidence, place: Place
) -> tuple[MaybeEstimate, MaybeEstimate, MaybeEstimate]:
    """Return the ratio as counted, and the least and the most that it is for generation alone."""
    models = (evidence.study.subject, evidence.study.baseline)

    def alone(model: str, power: Quantity) -> MaybeEstimate:
        rate = evidence.read(place, Term(quantity=Quantity.GENERATION_RATE, model=model))
        return ratio_of(evidence.read(place, Term(quantity=power, model=model)), rate)

    counted = (
        evidence.read(place, Term(quantity=_WINDOWS[0].energy, model=model)) for model in models
    )
    least, most = (
        ratio_of(*(alone(model, power) for model, power in zip(models, powers, strict=True)))
        for powers in (
            (Quantity.AVERAGE_POWER, Quantity.PEAK_POWER),
            (Quantity.PEAK_POWER, Quantity.AVERAGE_POWER),
        )
    )
    return ratio_of(*counted), least, most

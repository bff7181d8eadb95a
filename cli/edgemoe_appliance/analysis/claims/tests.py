"""Checks taken apart into questions: one number each, asked of one place or of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal, TypeAlias

from edgemoe_appliance.analysis.claims.derived import (
    applied,
    measure,
    ratio_at,
    ratio_of,
)
from edgemoe_appliance.analysis.claims.estimates import (
    Basis,
    Estimate,
    MaybeEstimate,
    printed_estimate,
    scaled,
    widened,
    within,
)
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.claims import (
    Claim,
    DifferenceCheck,
    LevelCheck,
    Limits,
    OrderCheck,
    ProductCheck,
    RatioCheck,
    SameOrderCheck,
    TermSpec,
    check_unit,
)
from edgemoe_appliance.studies.paper import StudyDeviceId, figure_unit, unit_factor
from edgemoe_appliance.studies.quantities import OF_DEVICES, Quantity, Term, facts_of

PlacesByDevice = Mapping[StudyDeviceId, Place]
_ABOVE_ONE = Limits(above=1)
_ABOVE_ZERO = Limits(above=0)


@dataclass(frozen=True, kw_only=True)
class DeviceTerm:
    """A term on a device.

    With `choice` the term names no model: it is of that of the named models which has the highest
    number, or the lowest.
    """

    device: StudyDeviceId
    term: Term
    choice: Literal["highest", "lowest"] | None = None
    among: tuple[str, ...] = ()

    def settled(self, evidence: Evidence, places: PlacesByDevice) -> DeviceTerm:
        """Return the same of the chosen model, the first where none has a number."""
        if self.choice is None:
            return self
        values: dict[str, float] = {}
        for model in self.among:
            found = measure(evidence, places[self.device], replace(self.term, model=model))
            if isinstance(found, Estimate):
                values[model] = found.value
        pick = max if self.choice == "highest" else min
        chosen = pick(values, key=lambda model: values[model]) if values else self.among[0]
        return DeviceTerm(device=self.device, term=replace(self.term, model=chosen))


@dataclass(frozen=True, kw_only=True)
class NamedEstimate:
    """A number that stands behind an answer: its key, its words, its unit."""

    key: str
    label: str
    unit: str
    found: MaybeEstimate


# The number that is judged, and the numbers behind it, that number first.
Answer: TypeAlias = tuple[MaybeEstimate, tuple[NamedEstimate, ...]]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One number that must be within limits.

    `terms` are what it is made of; `answer` gives the number, in `unit`, and what stands behind it,
    the number first. `direction` is what other hardware is held to, None where that says nothing;
    `anywhere` is true where hardware does not matter, `bits_below` tells the bits a weight that the
    claim is of.
    """

    about: str
    unit: str
    terms: tuple[DeviceTerm, ...]
    table: Feeds
    asked: Limits
    direction: Limits | None
    anywhere: bool
    answer: Callable[[Evidence, PlacesByDevice], Answer]
    bits_below: float | None = None

    @property
    def devices(self) -> tuple[StudyDeviceId, ...]:
        """Return the devices that the question speaks of."""
        return tuple(dict.fromkeys(asked.device for asked in self.terms))


def questions(claim: Claim) -> Iterator[Question]:
    """Yield the questions of a claim: for each device, and for each model a check is to hold for.

    Limits follow from the numbers that the study prints with the claim.
    """
    for check in claim.checks:
        if isinstance(check, OrderCheck):
            yield from _order_questions(check)
        elif isinstance(check, SameOrderCheck):
            yield from _same_order_questions(check)
        else:
            held = _held_to(claim, check)
            for device in check.devices:
                for model in check.models or (None,):
                    yield _question(check, held, device, model)


@dataclass(frozen=True, kw_only=True)
class _HeldTo:
    """The limits of a check in its own unit; by default those of an order, on any hardware."""

    asked: Limits = _ABOVE_ONE
    direction: Limits | None = _ABOVE_ONE
    anywhere: bool = False


def _held_to(
    claim: Claim, check: LevelCheck | RatioCheck | DifferenceCheck | ProductCheck
) -> _HeldTo:
    unit = check_unit(check)
    direction = check.direction
    return _HeldTo(
        asked=check.asked.limits(claim.printed, unit),
        direction=direction.limits(claim.printed, unit) if direction is not None else None,
        anywhere=check.anywhere,
    )


def _question(
    check: LevelCheck | RatioCheck | DifferenceCheck | ProductCheck,
    held: _HeldTo,
    device: StudyDeviceId,
    model: str | None,
) -> Question:
    if isinstance(check, ProductCheck):
        return _product_question(check, held, device, model)
    if isinstance(check, LevelCheck):
        asked = _asked(check.term, device, model)
        if check.bits_below is not None:
            return replace(_level(held, asked), bits_below=check.bits_below)
        return _over_figure_question(held, asked, check.over) if check.over else _level(held, asked)
    top, bottom = _asked(check.top, device, model), _asked(check.bottom, device, model)
    if isinstance(check, RatioCheck):
        return _ratio_question(top, bottom, held)
    return _difference_question(held, top, bottom)


def _asked(spec: TermSpec, device: StudyDeviceId, model: str | None) -> DeviceTerm:
    choice: Literal["highest", "lowest"] | None = "highest" if spec.highest_of else None
    if spec.lowest_of:
        choice = "lowest"
    return DeviceTerm(
        device=spec.device or device,
        term=spec.term(None if choice else model),
        choice=choice,
        among=spec.highest_of or spec.lowest_of,
    )


def _over_figure_question(held: _HeldTo, asked: DeviceTerm, figure: str) -> Question:
    """Return a question about a number over a figure that stands in the study's text."""

    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        study, shown = evidence.study, _shown(evidence, places, asked)
        factor = unit_factor(figure_unit(figure), shown.unit)
        found = ratio_of(shown.found, scaled(_stated(study, figure), factor))
        whole = NamedEstimate(
            key=f"ratio.{asked.term.key}/{figure}@{_where(places, asked)}",
            label=f"{shown.label} / {study.stated[figure].of}",
            unit="ratio",
            found=found,
        )
        return found, (whole, shown)

    return replace(_level(held, asked), about="over-figure", unit="ratio", answer=answer)


def _stated(study: Study, figure: str) -> Estimate:
    """Return a figure of the text; a range is taken as it stands, not for two rounded numbers."""
    stated = study.stated[figure]
    if stated.low is not None and stated.high is not None:
        return within(stated.low, stated.high, Basis.TOLERANCE)
    found = printed_estimate(study.printed, f"stated/{figure}")
    if isinstance(found, Absent):
        raise KeyError(figure)  # the study was read well: every name is that of a figure
    return found


def _level(held: _HeldTo, asked: DeviceTerm) -> Question:
    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        shown = _shown(evidence, places, asked.settled(evidence, places))
        return shown.found, (shown,)

    return Question(
        about="level",
        unit=facts_of(asked.term.quantity).unit,
        terms=(asked,),
        table=_table(asked),
        asked=held.asked,
        direction=held.direction,
        anywhere=held.anywhere,
        answer=answer,
    )


def _ratio_question(top: DeviceTerm, bottom: DeviceTerm, held: _HeldTo) -> Question:
    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        pair = (top.settled(evidence, places), bottom.settled(evidence, places))
        found = _ratio_with_sensor(evidence, places, *pair)
        whole = _shown_pair(evidence, places, pair, found)
        return found, (whole, *(_shown(evidence, places, each) for each in pair))

    return Question(
        about="ratio",
        unit="ratio",
        terms=(top, bottom),
        table=_table(top),
        asked=held.asked,
        direction=held.direction,
        anywhere=held.anywhere,
        answer=answer,
    )


def _difference_question(held: _HeldTo, top: DeviceTerm, bottom: DeviceTerm) -> Question:
    own = facts_of(top.term.quantity).unit
    unit = "points" if own == "%" else own

    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        pair = (top.settled(evidence, places), bottom.settled(evidence, places))
        parts = [_shown(evidence, places, each) for each in pair]
        found = applied(lambda a, b: a - b, *(part.found for part in parts))
        whole = NamedEstimate(
            key=f"difference.{_pair_key(places, *pair)}",
            label=_pair_label(evidence, places, pair, "less"),
            unit=unit,
            found=found,
        )
        return found, (whole, *parts)

    return Question(
        about="difference",
        unit=unit,
        terms=(top, bottom),
        table=_table(top),
        asked=held.asked,
        direction=held.direction,
        anywhere=held.anywhere,
        answer=answer,
    )


def _product_question(
    check: ProductCheck, held: _HeldTo, device: StudyDeviceId, model: str | None
) -> Question:
    def pair(quantity: Quantity) -> tuple[DeviceTerm, DeviceTerm]:
        above, below = check.between or (device, device)
        models = (check.top or model, check.bottom or model)
        top, bottom = (None, None) if quantity in OF_DEVICES else models
        return (
            DeviceTerm(device=above, term=Term(quantity=quantity, model=top)),
            DeviceTerm(device=below, term=Term(quantity=quantity, model=bottom)),
        )

    whole, factors = pair(check.whole), [pair(each) for each in check.factors]

    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        shown = [
            _shown_pair(evidence, places, each, _ratio(evidence, places, *each))
            for each in (whole, *factors)
        ]
        found = applied(lambda of, *parts: math.prod(parts) / of, *(each.found for each in shown))
        names = " x ".join(facts_of(each).title for each in check.factors)
        names = names if len(check.factors) == 1 else f"({names})"
        of_model = f" of {evidence.study.model_name(model)}" if model else ""
        explained = NamedEstimate(
            key=".".join(["explained", check.whole.value, *([model] if model else [])]),
            label=f"{names} / {facts_of(check.whole).title}{of_model}, as ratios",
            unit="ratio",
            found=found,
        )
        return found, (explained, *shown)

    return Question(
        about="product",
        unit="ratio",
        terms=tuple(asked for each in (whole, *factors) for asked in each),
        table=_table(whole[0]),
        asked=held.asked,
        direction=held.direction,
        anywhere=held.anywhere,
        answer=answer,
    )


def _order_questions(check: OrderCheck) -> Iterator[Question]:
    for device in check.devices:
        for higher, lower in pairwise(_of_models(check.of, check.models, device)):
            held = _HeldTo() if check.elsewhere else _HeldTo(direction=None)
            yield _ratio_question(higher, lower, held)


def _same_order_questions(check: SameOrderCheck) -> Iterator[Question]:
    one, other = (_of_models(check.of, check.models, device) for device in check.devices)
    for first, second in combinations(range(len(check.models)), 2):
        yield _same_side_question((one[first], one[second]), (other[first], other[second]))


def _same_side_question(
    one: tuple[DeviceTerm, DeviceTerm], other: tuple[DeviceTerm, DeviceTerm]
) -> Question:
    """Return whether a ratio is on the same side of 1 on two devices: its logarithms' product."""

    def answer(evidence: Evidence, places: PlacesByDevice) -> Answer:
        shown = [
            _shown_pair(evidence, places, each, _ratio(evidence, places, *each))
            for each in (one, other)
        ]
        found = applied(lambda a, b: math.log(a) * math.log(b), *(each.found for each in shown))
        return found, tuple(shown)

    return Question(
        about="same-side",
        unit="ratio",
        terms=(*one, *other),
        table=_table(one[0]),
        asked=_ABOVE_ZERO,
        direction=None,
        anywhere=False,
        answer=answer,
    )


def _of_models(
    quantity: Quantity, models: Sequence[str], device: StudyDeviceId
) -> tuple[DeviceTerm, ...]:
    return tuple(DeviceTerm(device=device, term=Term(quantity=quantity, model=m)) for m in models)


def _ratio(
    evidence: Evidence, places: PlacesByDevice, top: DeviceTerm, bottom: DeviceTerm
) -> MaybeEstimate:
    if top.device == bottom.device:
        return ratio_at(evidence, places[top.device], top.term, bottom.term)
    return ratio_of(
        measure(evidence, places[top.device], top.term),
        measure(evidence, places[bottom.device], bottom.term),
    )


def _ratio_with_sensor(
    evidence: Evidence, places: PlacesByDevice, top: DeviceTerm, bottom: DeviceTerm
) -> MaybeEstimate:
    """Return a ratio, open as far as the sensor leaves it.

    Between models the errors of one sensor are taken for independent: the gain of both is the same
    and cancels, what lag and edges do to either is not, and records do not tell them apart. Of two
    quantities of one model they cancel.
    """
    found = _ratio(evidence, places, top, bottom)
    if top.term.quantity is not bottom.term.quantity:
        return found
    both = (evidence.sensor_share(places[each.device], each.term) for each in (top, bottom))
    return widened(found, *both)


def _shown(evidence: Evidence, places: PlacesByDevice, asked: DeviceTerm) -> NamedEstimate:
    facts = facts_of(asked.term.quantity)
    return NamedEstimate(
        key=f"{asked.term.key}@{_where(places, asked)}",
        label=_label(evidence, places, asked),
        unit=facts.unit,
        found=widened(
            measure(evidence, places[asked.device], asked.term),
            evidence.sensor_share(places[asked.device], asked.term),
        ),
    )


def _shown_pair(
    evidence: Evidence,
    places: PlacesByDevice,
    pair: tuple[DeviceTerm, DeviceTerm],
    found: MaybeEstimate,
) -> NamedEstimate:
    top, bottom = pair
    return NamedEstimate(
        key=f"ratio.{_pair_key(places, top, bottom)}",
        label=_pair_label(evidence, places, pair, "/"),
        unit="ratio",
        found=found,
    )


def _pair_key(places: PlacesByDevice, top: DeviceTerm, bottom: DeviceTerm) -> str:
    above, below, where = top.term, bottom.term, _where(places, top)
    if top.device != bottom.device:
        return f"{above.key}@{where}/{_where(places, bottom)}"
    if above.quantity is not below.quantity:
        return f"{above.key}/{below.quantity.value}@{where}"
    if above.model == below.model:
        return f"{above.key}/{below.stratum or below.length or below.file_type}@{where}"
    return f"{above.key}/{below.model}@{where}"


def _where(places: PlacesByDevice, asked: DeviceTerm) -> str:
    """Return the device, or the place that stands in for it."""
    place = places[asked.device]
    return asked.device if place.device == asked.device else place.id


def _label(evidence: Evidence, places: PlacesByDevice, asked: DeviceTerm) -> str:
    """Return a term in words: quantity, model, prompts; the device where there are two."""
    term = asked.term
    words = facts_of(term.quantity).title
    if term.model:
        words += f" of {evidence.study.model_name(term.model)}"
    if kind := term.length or term.stratum or term.file_type:
        words += f" ({kind})"
    return f"{words} on {places[asked.device].label}" if len(places) > 1 else words


def _pair_label(
    evidence: Evidence, places: PlacesByDevice, pair: tuple[DeviceTerm, DeviceTerm], sign: str
) -> str:
    """Return two terms in words: what they share once, what tells them apart about the sign."""
    top, bottom = pair
    above, below = top.term, bottom.term
    title, name = facts_of(above.quantity).title, evidence.study.model_name
    if top.device != bottom.device:
        one, other = places[top.device].label, places[bottom.device].label
        of_model = f" of {name(above.model)}" if above.model else ""
        return f"{title}{of_model}, {one} {sign} {other}"
    if above.quantity is not below.quantity:
        return f"{title} {sign} {facts_of(below.quantity).title}, {name(above.model)}"
    if above.model == below.model:
        kinds = [term.stratum or term.length or term.file_type for term in (above, below)]
        return f"{title} of {name(above.model)}, {kinds[0]} {sign} {kinds[1]}"
    where = f" on {places[top.device].label}" if len(places) > 1 else ""
    return f"{title}, {name(above.model)} {sign} {name(below.model)}{where}"


def _table(asked: DeviceTerm) -> Feeds:
    return facts_of(asked.term.quantity).feeds

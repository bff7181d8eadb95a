"""claims.yaml: each claim whole, and the printed figures that follow from others.

A claim is a sentence, the numbers that the study prints for it, the test, and limits that follow
from those numbers. Nothing is measured or judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier, ThreadCount
from edgemoe_appliance.studies.paper import (
    FigureName,
    LengthClass,
    Stratum,
    StudyDeviceId,
    figure_unit,
    unit_factor,
)
from edgemoe_appliance.studies.quantities import Quantity, Term, facts_of

# A letter of the study's own and a number; a claim that turned out to be several keeps its number:
# c6a, c6b.
ClaimId = Annotated[str, Field(pattern=r"^[a-z][1-9][0-9]*[a-z]?$")]
Devices = Annotated[tuple[StudyDeviceId, ...], Field(min_length=1)]
Models = tuple[Identifier, ...]


class Limits(Frozen):
    """What a number must be: about a value within a tolerance, or beyond a limit, or both ends.

    `above` and `below` leave the limit itself out, `at_least` and `at_most` take it in. With
    `holds` the number's interval must hold a value and lie `within` so much of it: that the number
    may well be that value, and can be little else. An interval that leaves it out speaks against
    it; a wider one leaves it open.
    """

    about: float | None = None
    tolerance: float | None = Field(default=None, gt=0)
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    holds: float | None = None
    within: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_of_each(self) -> Limits:
        if (self.holds is None) != (self.within is None):
            raise ValueError("holds and within go together")
        if (self.about is None) != (self.tolerance is None):
            raise ValueError("about and tolerance go together")
        lower = [x for x in (self.about, self.above, self.at_least, self.holds) if x is not None]
        upper = [x for x in (self.about, self.below, self.at_most, self.holds) if x is not None]
        if len(lower) > 1 or len(upper) > 1 or not lower + upper:
            raise ValueError("needs about with tolerance, or one limit for each end at most")
        if self.low >= self.high:
            raise ValueError("the lower end must be below the upper")
        return self

    @property
    def low(self) -> float:
        """Return the lower end, minus infinity where there is none."""
        if self.about is not None and self.tolerance is not None:
            return self.about - self.tolerance
        if self.holds is not None and self.within is not None:
            return self.holds - self.within
        given = [x for x in (self.above, self.at_least) if x is not None]
        return given[0] if given else -math.inf

    @property
    def high(self) -> float:
        """Return the upper end, infinity where there is none."""
        if self.about is not None and self.tolerance is not None:
            return self.about + self.tolerance
        if self.holds is not None and self.within is not None:
            return self.holds + self.within
        given = [x for x in (self.below, self.at_most) if x is not None]
        return given[0] if given else math.inf


class LimitSpec(Frozen):
    """Limits as a claim declares them: each a number, or the name of one that the study prints.

    A printed number is brought to the unit of the check; `complement` says that its per cents are
    what the ratio lacks to 1, `share_pct` that the limit is so much of it. A tolerance is in the
    unit of the printed number, a share of it in per cent (`tolerance_pct`), or how far two printed
    numbers lie apart (`tolerance_span`); a one-sided limit is widened by it. `holds` and `within`
    are numbers in the unit of the check.
    """

    about: float | FigureName | None = None
    above: float | FigureName | None = None
    below: float | FigureName | None = None
    at_least: float | FigureName | None = None
    at_most: float | FigureName | None = None
    holds: float | None = None
    within: float | None = Field(default=None, gt=0)
    tolerance: float | None = Field(default=None, gt=0)
    tolerance_pct: float | None = Field(default=None, gt=0, lt=100)
    tolerance_span: tuple[FigureName, FigureName] | None = None
    complement: bool = False
    share_pct: float | None = Field(default=None, gt=0, lt=100)

    @model_validator(mode="after")
    def _one_tolerance(self) -> LimitSpec:
        given = [self.tolerance, self.tolerance_pct, self.tolerance_span]
        if sum(each is not None for each in given) > 1:
            raise ValueError("takes one of tolerance, tolerance_pct, tolerance_span")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of printed numbers that the limits follow from."""
        ends = (self.about, self.above, self.below, self.at_least, self.at_most)
        return (*(end for end in ends if isinstance(end, str)), *(self.tolerance_span or ()))

    def limits(self, printed: Mapping[str, float], unit: str) -> Limits:
        """Return the limits in the unit of a check.

        Raises ValueError for a number that is not printed or of another kind of unit.
        """
        values = {
            end: self._value(getattr(self, end), printed, unit)
            for end in ("about", "above", "below", "at_least", "at_most")
            if getattr(self, end) is not None
        }
        widths = {end: self._width(end, value, printed, unit) for end, value in values.items()}
        if self.holds is not None:
            return Limits(holds=self.holds, within=self.within)
        if self.about is not None:
            return Limits.model_validate({**values, "tolerance": widths["about"]})
        outward = {"above": -1, "at_least": -1, "below": 1, "at_most": 1}
        return Limits.model_validate(
            {end: value + outward[end] * (widths[end] or 0.0) for end, value in values.items()}
        )

    def _value(self, end: float | str, printed: Mapping[str, float], unit: str) -> float:
        if not isinstance(end, str):
            return end
        value = _printed(end, printed) * self._factor(end, unit)
        value *= 1 if self.share_pct is None else self.share_pct / 100
        return 1 - value if self.complement else value

    def _width(
        self, end: str, value: float, printed: Mapping[str, float], unit: str
    ) -> float | None:
        """Return the tolerance of one end in the unit of the check."""
        if self.tolerance_pct is not None:
            return value * self.tolerance_pct / 100
        if self.tolerance_span is not None:
            one, other = (
                _printed(name, printed) * self._factor(name, unit) for name in self.tolerance_span
            )
            return abs(other - one)
        name = getattr(self, end)
        if self.tolerance is None or not isinstance(name, str):
            return self.tolerance
        return self.tolerance * self._factor(name, unit)

    def _factor(self, name: str, unit: str) -> float:
        own = figure_unit(name)
        if self.complement and (own, unit) != ("%", "ratio"):
            raise ValueError(f"{name} is in {own}: only a ratio has a complement in per cent")
        try:
            return unit_factor(own, unit)
        except ValueError as error:
            raise ValueError(f"{name} is in {own}, the check in {unit}") from error


def _printed(name: str, printed: Mapping[str, float]) -> float:
    if name not in printed:
        raise ValueError(f"{name} is not among the printed numbers: {', '.join(printed) or 'none'}")
    return printed[name]


class TermSpec(Frozen):
    """A number by its quantity; model and device are filled in from the check where absent.

    `highest_of` and `lowest_of` are models in place of one: that with the highest or the lowest
    such number is taken. `file_type` and `stated` are those of `Term`.
    """

    of: Quantity
    model: Identifier | None = None
    device: StudyDeviceId | None = None
    length: LengthClass | None = None
    stratum: Stratum | None = None
    threads: ThreadCount | None = None
    highest_of: Models = ()
    lowest_of: Models = ()
    file_type: str | None = None
    stated: FigureName | None = None

    @model_validator(mode="after")
    def _one_choice(self) -> TermSpec:
        if sum(map(bool, (self.model, self.highest_of, self.lowest_of))) > 1:
            raise ValueError("takes one of model, highest_of, lowest_of")
        return self

    def term(self, model: str | None) -> Term:
        """Return the term, of `model` where it names none."""
        return Term(
            quantity=self.of,
            model=self.model or model,
            length=self.length,
            stratum=self.stratum,
            threads=self.threads,
            file_type=self.file_type,
            stated=self.stated,
        )


class _Check(Frozen):
    """What all checks have: devices, each tested, and models, each tested where terms name none.

    `direction` is what other hardware than the study's can be held to; without it, it is not
    tested there. `anywhere` is for what depends on the model files alone.
    """

    devices: Devices
    models: Models = ()
    direction: LimitSpec | None = None
    anywhere: bool = False


class LevelCheck(_Check):
    """A number within limits; `over` names a figure of the study's text that it is divided by.

    `bits_below` is how many bits a weight the claim is of: a file that holds more, as its rows do
    not fit the type that it is named after, can speak for such a claim, as fewer bits are no
    better, and not against it.
    """

    kind: Literal["level"]
    term: TermSpec
    bits_below: float | None = Field(default=None, gt=0)
    over: FigureName | None = None
    asked: LimitSpec


class RatioCheck(_Check):
    """A ratio of two numbers within limits; a term may name a device of its own."""

    kind: Literal["ratio"]
    top: TermSpec
    bottom: TermSpec
    asked: LimitSpec


class DifferenceCheck(_Check):
    """`top` less `bottom` within limits; a term may name a device of its own."""

    kind: Literal["difference"]
    top: TermSpec
    bottom: TermSpec
    asked: LimitSpec


class OrderCheck(Frozen):
    """Models in order, highest first, on each device.

    Other hardware is asked for the same order as its direction, unless `elsewhere` is false: the
    order is then a statement about these very devices.
    """

    kind: Literal["order"]
    of: Quantity
    models: Models = Field(min_length=2)
    devices: Devices
    elsewhere: bool = True


class SameOrderCheck(Frozen):
    """Models in one order, whichever, on two devices."""

    kind: Literal["same-order"]
    of: Quantity
    models: Models = Field(min_length=2)
    devices: tuple[StudyDeviceId, StudyDeviceId]


class ProductCheck(_Check):
    """The ratio of one quantity, explained by the ratios of others.

    It is that between two models, `top` and `bottom`, or that of each of `models` between two
    devices. Judged is the product of the factors over the whole.
    """

    kind: Literal["product"]
    whole: Quantity
    factors: tuple[Quantity, ...] = Field(min_length=1)
    top: Identifier | None = None
    bottom: Identifier | None = None
    between: tuple[StudyDeviceId, StudyDeviceId] | None = None
    asked: LimitSpec

    @model_validator(mode="after")
    def _two_sides(self) -> ProductCheck:
        of_models = self.top is not None and self.bottom is not None
        if of_models == (self.between is not None) or (self.between and not self.models):
            raise ValueError("needs top and bottom, or two devices to be between and models")
        return self


Check = Annotated[
    LevelCheck | RatioCheck | DifferenceCheck | OrderCheck | SameOrderCheck | ProductCheck,
    Field(discriminator="kind"),
]


class AuditFamily(str, Enum):
    """The families of audits that a claim may name, by what their findings' names begin with."""

    ENERGY_WINDOW = "energy-window"
    ENERGY_RATIO = "energy-ratio"
    ROOFLINE = "roofline"
    RESIDENT = "resident"
    OBSERVER = "observer"
    NODES = "nodes"
    VARIATION = "variation"


class Undermining(Frozen):
    """An audit that takes ground from a claim's number, and `says` in words what it leaves."""

    audit: AuditFamily
    says: str


class Claim(Frozen):
    """A conclusion of the study: its words, its numbers, and how it is tested or why it cannot be.

    `section` is where the study makes it, `says` is in this project's words, `printed` are the
    numbers that the study gives with it; `why` says what the tolerance rests on. All checks must
    hold. `undermined_by` are audits that the number does not survive unharmed. `revised` says how
    the claim was tested before, where that was otherwise.
    """

    section: str
    says: str
    printed: dict[FigureName, float] = Field(default_factory=dict)
    why: str
    checks: tuple[Check, ...] = ()
    untestable: str | None = None
    undermined_by: tuple[Undermining, ...] = ()
    revised: str = ""

    @model_validator(mode="after")
    def _either(self) -> Claim:
        if bool(self.checks) == bool(self.untestable):
            raise ValueError("needs checks, or untestable with the reason")
        for place, check in enumerate(self.checks):
            for spec in limit_specs(check):
                try:
                    spec.limits(self.printed, check_unit(check))
                except ValueError as error:
                    raise ValueError(f"checks.{place}: {_plain(error)}") from None
        return self


def _plain(error: ValueError) -> str:
    """Return what is wrong, without what pydantic says about it."""
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return str(error)


def check_unit(check: Check) -> str:
    """Return the unit of the number that a check is about."""
    if isinstance(check, LevelCheck):
        return "ratio" if check.over else facts_of(check.term.of).unit
    if isinstance(check, DifferenceCheck):
        own = facts_of(check.top.of).unit
        return "points" if own == "%" else own
    return "ratio"


def limit_specs(check: Check) -> Iterator[LimitSpec]:
    """Yield the limits that a check declares; an order declares none."""
    if not isinstance(check, OrderCheck | SameOrderCheck):
        yield check.asked
        if check.direction is not None:
            yield check.direction


Operation = Literal["ratio", "fall", "share", "sum", "difference", "product", "same", "added-time"]


class Recomputation(Frozen):
    """A printed figure and how it follows from others.

    `said` and `parts` name figures; `*` in `said` stands for any key, `{1}`, `{2}` in parts for
    what it stood for; a part without `/` stands beside `said`; `published/MODEL/total` and
    `/active` are the counts of models.yaml, in billions. The result is multiplied by `factor`.
    `id` has `{1}`, `{2}` where `said` has `*`. `cause` names the one of `causes` that a difference
    is put down to; `other_reading` says how figure and parts can both be right though they differ.
    """

    id: str
    of: str
    section: str
    said: str
    by: Operation
    parts: tuple[str, ...] = Field(min_length=1)
    factor: float = Field(default=1.0, gt=0)
    cause: Identifier | None = None
    other_reading: str = ""

    def part_names(self, said: str, captures: Sequence[str]) -> list[str]:
        """Return the full names of the parts of one figure that `said` fits."""
        return [part_name(part, said, captures) for part in self.parts]


class UnitCheck(Frozen):
    """A printed figure whose parts have units in their names (_gib, _gb)."""

    id: str
    of: str
    section: str
    said: str
    top: str
    bottom: str | None = None

    def part_names(self, said: str, captures: Sequence[str]) -> list[str]:
        """Return the full names of the parts of one figure that `said` fits."""
        return [part_name(part, said, captures) for part in (self.top, self.bottom) if part]


def part_name(part: str, said: str, captures: Sequence[str]) -> str:
    """Return the full name of a part that is named beside `said` or by a pattern."""
    filled = filled_in(part, captures)
    return filled if "/" in filled else f"{said.rpartition('/')[0]}/{filled}"


def filled_in(text: str, captures: Sequence[str]) -> str:
    """Return a text with `{1}`, `{2}` replaced by what each `*` of a pattern stood for."""
    for place, capture in enumerate(captures, start=1):
        text = text.replace(f"{{{place}}}", capture)
    return text


class AuditCause(Frozen):
    """Why figures may not be what is said; a hypothesis is a reading put to the test."""

    title: str
    is_hypothesis: bool = False


class ClaimsConfig(Frozen):
    """claims.yaml: the claims by id, figures to work out again, and why these may differ."""

    claims: dict[ClaimId, Claim]
    causes: dict[Identifier, AuditCause] = Field(default_factory=dict)
    recomputed: tuple[Recomputation, ...] = ()
    units: tuple[UnitCheck, ...] = ()

    @model_validator(mode="after")
    def _known_causes(self) -> ClaimsConfig:
        named = {entry.cause for entry in self.recomputed if entry.cause is not None}
        if unknown := sorted(named - set(self.causes)):
            raise ValueError(f"no such cause: {', '.join(unknown)}")
        return self


def terms_of(check: Check) -> tuple[TermSpec, ...]:
    """Return the terms that a check spells out."""
    if isinstance(check, LevelCheck):
        return (check.term,)
    return (check.top, check.bottom) if isinstance(check, RatioCheck | DifferenceCheck) else ()


def models_of(check: Check) -> Iterator[str]:
    """Yield the models that a check names."""
    yield from check.models
    for term in terms_of(check):
        yield from (*filter(None, (term.model,)), *term.highest_of, *term.lowest_of)
    if isinstance(check, ProductCheck):
        yield from filter(None, (check.top, check.bottom))


def devices_of(check: Check) -> Iterator[str]:
    """Yield the devices that a check names."""
    yield from check.devices
    yield from (term.device for term in terms_of(check) if term.device)
    if isinstance(check, ProductCheck):
        yield from check.between or ()


def figures_of(check: Check) -> Iterator[str]:
    """Yield the figures of the study's text that a check names."""
    yield from (term.stated for term in terms_of(check) if term.stated)
    if isinstance(check, LevelCheck) and check.over:
        yield check.over

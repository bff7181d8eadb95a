"""The file claims.yaml: each claim as a declared test, and what the audits need to be told.

Types and limits only; nothing is measured or judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgemoe_appliance.analysis.claims.estimates import Bounds
from edgemoe_appliance.analysis.claims.quantities import Quantity, Term
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier, ThreadCount
from edgemoe_appliance.schema.yamlfile import YamlDocument, read_yaml, validate
from edgemoe_appliance.studies.reference import LengthClass, Stratum, Study, StudyDeviceId

CLAIMS_FILE = "claims.yaml"
ClaimId = Annotated[str, Field(pattern=r"^c[1-9][0-9]*$")]
Devices = Annotated[tuple[StudyDeviceId, ...], Field(min_length=1)]
Models = tuple[Identifier, ...]


class Limits(Frozen):
    """What a number must be: about a value within a tolerance, or beyond a limit, or both ends.

    `above` and `below` leave the limit itself out, `at_least` and `at_most` take it in.
    """

    about: float | None = None
    tolerance: float | None = Field(default=None, gt=0)
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Limits:
        if (self.about is None) != (self.tolerance is None):
            raise ValueError("about and tolerance go together")
        lower = [x for x in (self.about, self.above, self.at_least) if x is not None]
        upper = [x for x in (self.about, self.below, self.at_most) if x is not None]
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
        given = [x for x in (self.above, self.at_least) if x is not None]
        return given[0] if given else -math.inf

    @property
    def high(self) -> float:
        """Return the upper end, infinity where there is none."""
        if self.about is not None and self.tolerance is not None:
            return self.about + self.tolerance
        given = [x for x in (self.below, self.at_most) if x is not None]
        return given[0] if given else math.inf

    def hold(self, bounds: Bounds) -> bool:
        """Return whether every value between the bounds is within the limits."""
        over = bounds.low > self.low if self.above is not None else bounds.low >= self.low
        under = bounds.high < self.high if self.below is not None else bounds.high <= self.high
        return over and under

    def exclude(self, bounds: Bounds) -> bool:
        """Return whether no value between the bounds is within the limits."""
        beneath = bounds.high <= self.low if self.above is not None else bounds.high < self.low
        beyond = bounds.low >= self.high if self.below is not None else bounds.low > self.high
        return beneath or beyond


class TermSpec(Frozen):
    """A number by its quantity; model and device are filled in from the check where absent."""

    of: Quantity
    model: Identifier | None = None
    device: StudyDeviceId | None = None
    length: LengthClass | None = None
    stratum: Stratum | None = None
    threads: ThreadCount | None = None

    def term(self, model: str | None) -> Term:
        """Return the term, of `model` where it names none."""
        return Term(
            quantity=self.of,
            model=self.model or model,
            length=self.length,
            stratum=self.stratum,
            threads=self.threads,
        )


class _Check(Frozen):
    """What all checks have: devices, each tested, and models, each tested where terms name none.

    `direction` is what other hardware than the study's can be held to; without it, it is not
    tested there. `anywhere` is for what depends on the model files alone.
    """

    devices: Devices
    models: Models = ()
    direction: Limits | None = None
    anywhere: bool = False


class LevelCheck(_Check):
    """A number within limits."""

    kind: Literal["level"]
    term: TermSpec
    asked: Limits


class RatioCheck(_Check):
    """A ratio of two numbers within limits; a term may name a device of its own."""

    kind: Literal["ratio"]
    top: TermSpec
    bottom: TermSpec
    asked: Limits


class DifferenceCheck(_Check):
    """`top` less `bottom` within limits; a term may name a device of its own."""

    kind: Literal["difference"]
    top: TermSpec
    bottom: TermSpec
    asked: Limits


class OrderCheck(Frozen):
    """Models in order, highest first, on each device."""

    kind: Literal["order"]
    of: Quantity
    models: Models = Field(min_length=2)
    devices: Devices


class SameOrderCheck(Frozen):
    """Models in one order, whichever, on two devices."""

    kind: Literal["same-order"]
    of: Quantity
    models: Models = Field(min_length=2)
    devices: tuple[StudyDeviceId, StudyDeviceId]


class ProductCheck(_Check):
    """The ratio of one quantity between two models, explained by the ratios of others.

    Judged is the product of the factors over the whole.
    """

    kind: Literal["product"]
    whole: Quantity
    factors: tuple[Quantity, ...] = Field(min_length=2)
    top: Identifier
    bottom: Identifier
    asked: Limits


Check = Annotated[
    LevelCheck | RatioCheck | DifferenceCheck | OrderCheck | SameOrderCheck | ProductCheck,
    Field(discriminator="kind"),
]


class ClaimTest(Frozen):
    """How a claim is tested, or why it cannot be; all checks must hold.

    `section` is where the study makes the claim; `why` says what the tolerance rests on.
    """

    section: str
    why: str
    checks: tuple[Check, ...] = ()
    untestable: str | None = None

    @model_validator(mode="after")
    def _either(self) -> ClaimTest:
        if bool(self.checks) == bool(self.untestable):
            raise ValueError("needs checks, or untestable with the reason")
        return self


class DevicePeaks(Frozen):
    """What a device of the study can do at most, and where that is known from.

    Its bandwidth stands in devices.yaml.
    """

    bandwidth_source: str
    flops: float = Field(gt=0)
    flops_source: str


class GraphFacts(Frozen):
    """The nodes of the MoE model's graph for one token, and where that is known from.

    `routing_per_layer` and `expert_per_layer` are those that carry the names which the study's
    patch looks for.
    """

    nodes: int = Field(gt=0)
    routing_per_layer: int = Field(gt=0)
    expert_per_layer: int = Field(gt=0)
    source: str

    def inside(self, layers: int) -> int:
        """Return the named nodes inside the MoE blocks of all layers."""
        return layers * (self.routing_per_layer + self.expert_per_layer)


Operation = Literal["ratio", "fall", "share", "sum", "difference", "product", "same", "added-time"]


class Recomputed(Frozen):
    """A printed figure and how it follows from others.

    `said` and `parts` name figures; `*` in `said` stands for any key, `{1}`, `{2}` in parts for
    what it stood for; a part without `/` stands beside `said`; `published/MODEL/total` and
    `/active` are the counts of models.yaml, in billions. The result is multiplied by `factor`.
    `id` has `{1}`, `{2}` where `said` has `*`.
    """

    id: str
    of: str
    section: str
    said: str
    by: Operation
    parts: tuple[str, ...] = Field(min_length=1)
    factor: float = Field(default=1.0, gt=0)


class UnitCheck(Frozen):
    """A printed figure whose parts have units in their names (_gib, _gb); names as Recomputed."""

    id: str
    of: str
    section: str
    said: str
    top: str
    bottom: str | None = None


class ClaimsConfig(Frozen):
    """claims.yaml: the claims by id, peaks of devices, the graph, figures to work out again."""

    claims: dict[ClaimId, ClaimTest]
    peaks: dict[StudyDeviceId, DevicePeaks]
    graph: GraphFacts
    recomputed: tuple[Recomputed, ...]
    units: tuple[UnitCheck, ...]


def read_claims(folder: Path, study: Study) -> ClaimsConfig:
    """Read claims.yaml of a configs folder and check it against the study.

    Raises ConfigError with file, line and key: for a claim without a test, a test without a
    claim, another section than the study's, a model that the study does not have.
    """
    document = read_yaml(folder / CLAIMS_FILE)
    config = validate(document, ClaimsConfig)
    _check_claims(config, study, document)
    for claim_id, test in config.claims.items():
        for place, check in enumerate(test.checks):
            unknown = sorted(set(_models_of(check)) - set(study.models))
            if unknown:
                key = ("claims", claim_id, "checks", place)
                raise ConfigError(
                    f"claims.{claim_id}: the study has no model {unknown[0]!r}",
                    where=f"{document.path}:{document.line_of(key)}",
                    hint=f"it has {', '.join(study.models)}",
                )
    return config


def _check_claims(config: ClaimsConfig, study: Study, document: YamlDocument) -> None:
    known = {claim.id: claim for claim in study.claims}
    if untested := [claim_id for claim_id in known if claim_id not in config.claims]:
        raise ConfigError(
            f"claims: no test for {', '.join(untested)}",
            where=f"{document.path}:{document.line_of(('claims',))}",
            hint="declare checks, or untestable with the reason",
        )
    for claim_id, test in config.claims.items():
        where = f"{document.path}:{document.line_of(('claims', claim_id))}"
        if claim_id not in known:
            raise ConfigError(f"claims.{claim_id}: the study makes no such claim", where=where)
        if test.section != known[claim_id].section:
            raise ConfigError(
                f"claims.{claim_id}.section: {test.section}",
                where=where,
                hint=f"the claim stands in section {known[claim_id].section}",
            )


def _models_of(check: Check) -> Iterator[str]:
    yield from check.models
    if isinstance(check, LevelCheck):
        terms: tuple[TermSpec, ...] = (check.term,)
    elif isinstance(check, RatioCheck | DifferenceCheck):
        terms = (check.top, check.bottom)
    elif isinstance(check, ProductCheck):
        yield from (check.top, check.bottom)
        return
    else:
        return
    yield from (term.model for term in terms if term.model)

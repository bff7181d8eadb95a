"""What timing every node does to the routing share that it measures.

Timing adds time to each token. How much of it fell into routing is not known: all of it, or none,
bound the share from below and above.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgemoe_appliance.analysis.audit.findings import (
    TIMING,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    known_numbers,
    plain_number,
)
from edgemoe_appliance.analysis.claims.derived import applied, measure
from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate, high_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.studies.paper import Stratum
from edgemoe_appliance.studies.quantities import Quantity, Term

# Bounds narrower than this part of the share leave it as it is.
_NARROW = 0.2
# Synchronising at the edges of groups, a twentieth of the times, must give the same within this.
_ALIKE = 0.1


@dataclass(frozen=True, kw_only=True)
class _Times:
    """Times of a run in seconds, and the share of routing in per cent."""

    share: Estimate
    routing: Estimate
    experts: Estimate
    added: Estimate
    generation: Estimate

    @property
    def least_pct(self) -> float:
        """Return the share where all of the added time fell into routing."""
        return _share_pct(
            max(0.0, self.routing.value - max(0.0, high_of(self.added))), self.experts.value
        )

    @property
    def most_pct(self) -> float:
        """Return the share where all of the added time fell into the experts."""
        return _share_pct(
            self.routing.value, max(0.0, self.experts.value - max(0.0, high_of(self.added)))
        )


def check_observer(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield for each routing share how far its own measurement leaves it open."""
    for place in evidence.places(Feeds.ROUTING):
        for model in evidence.models(place):
            if evidence.study.has_experts(model):
                for stratum in evidence.study.procedure.routing_strata_tokens:
                    yield _finding(evidence, place, model, stratum)


def _finding(evidence: Evidence, place: Place, model: str, stratum: Stratum) -> AuditFinding:
    subject = AuditSubject(
        id=f"observer.{place.id}.{model}.{stratum}",
        test="observer effect of the routing measurement",
        subject=f"routing share of {evidence.study.model_name(model)} with {stratum} prompts, "
        f"{place.label}",
        where=place.label,
        source=evidence.source,
        cause=TIMING,
    )
    times = _times(evidence, place, model, stratum)
    if isinstance(times, Absent):
        return subject.not_tested(times.reason)
    sparse = _sparse(evidence, place, model, stratum)
    evenly = _spread_evenly(evidence, place, model, times)
    # With short prompts nearly all of a run is generation.
    is_decode = evidence.study.procedure.routing_strata_tokens[stratum].at_most is not None
    numbers = (*_numbers(evidence, place, (model, times, sparse)), *evenly)
    unsynced = evidence.read(
        place, Term(quantity=Quantity.UNSYNCED_SHARE, model=model, stratum=stratum)
    )
    numbers += known_numbers(
        ("unsynced_share_pct", "share of generation less the synchronisations", "%", unsynced)
    )
    verdict, reading = _judged(times, sparse, is_decode=is_decode)
    reading += _without_synchronising(unsynced)
    if evenly:
        reading += (
            " A hypothesis, no figure: were the added time the same for every node, "
            f"the share would be {in_words(evenly[0].value)} %."
        )
    why = "the added time is that of generation; a prompt pass is slowed down too"
    sure = Confidence.MEDIUM if is_decode else Confidence.LOW
    told = Wording(
        brief=f"{in_words(times.share.value)} %, may be {in_words(times.least_pct)} to "
        f"{in_words(times.most_pct)} %",
        reading=reading,
        sure=(sure, why),
    )
    return subject.finding(verdict, numbers, told)


@dataclass(frozen=True, kw_only=True)
class _BothModes:
    """The share of routing in per cent with every node of the experts, timed in both modes.

    Edges of groups cannot tell the nodes that the study counted, so like stands beside like here.
    """

    nodes: MaybeEstimate
    edges: MaybeEstimate

    @property
    def departure(self) -> float | None:
        """Return by what part the modes differ, None where one of them is missing."""
        if not (isinstance(self.nodes, Estimate) and isinstance(self.edges, Estimate)):
            return None
        return abs(self.edges.value / self.nodes.value - 1) if self.nodes.value > 0 else None


def _sparse(evidence: Evidence, place: Place, model: str, stratum: Stratum) -> _BothModes:
    nodes, edges = (
        evidence.read(
            place,
            Term(quantity=Quantity.EVERY_NODE_SHARE, model=model, stratum=stratum, arm=arm),
        )
        for arm in (Arm.PROBE_PER_NODE, Arm.PROBE_BOUNDARY)
    )
    return _BothModes(nodes=nodes, edges=edges)


def _without_synchronising(unsynced: MaybeEstimate) -> str:
    if isinstance(unsynced, Absent):
        return ""
    return (
        f" Less what the modes in turn find a synchronisation to cost, each the same, the share of "
        f"generation is {in_words(unsynced.value)} %."
    )


def _numbers(
    evidence: Evidence, place: Place, known: tuple[str, _Times, _BothModes]
) -> tuple[Number, ...]:
    model, times, sparse = known
    slowdown, rotated, sync = (
        measure(evidence, place, Term(quantity=quantity, model=model))
        for quantity in (Quantity.SLOWDOWN, Quantity.ROTATED_SLOWDOWN, Quantity.SYNC_COST)
    )
    return (
        *known_numbers(
            ("share_pct", "routing share as measured", "%", times.share),
            ("routing_s", "time of routing, per run", "s", times.routing),
            ("experts_s", "time of the experts, per run", "s", times.experts),
            ("added_s", "time that timing adds to a run", "s", times.added),
            ("generation_s", "generation of a run without timing", "s", times.generation),
            ("slowdown_ratio", "rate without timing to rate with it", "ratio", slowdown),
            ("rotated_slowdown_pct", "slowdown, decodes of both kinds in turn", "%", rotated),
            ("sync_s", "cost of one synchronisation", "s", sync),
            ("every_node_share_pct", "share, every node of the experts counted", "%", sparse.nodes),
            ("sparse_share_pct", "the same, synchronised at edges of groups", "%", sparse.edges),
        ),
        plain_number("least_pct", "share, all added time in routing", "%", times.least_pct),
        plain_number("most_pct", "share, all added time in the experts", "%", times.most_pct),
    )


def _judged(times: _Times, sparse: _BothModes, *, is_decode: bool) -> tuple[AuditVerdict, str]:
    share = times.share.value
    bounds = (
        f"Timing adds {in_words(times.added.value)} s to a run whose routing takes "
        f"{in_words(times.routing.value)} s; the share of {in_words(share)} % may be anything from "
        f"{in_words(times.least_pct)} to {in_words(times.most_pct)} %"
    )
    if is_decode and times.routing.value > times.generation.value:
        return AuditVerdict.INCONSISTENT, (
            f"Routing alone is said to take {in_words(times.routing.value)} s of a run that "
            f"generates in {in_words(times.generation.value)} s when it is not timed: what was "
            "measured is the timing."
        )
    if times.most_pct - times.least_pct <= _NARROW * share:
        return AuditVerdict.CONSISTENT, f"{bounds}: it stands."
    if sparse.departure is not None and sparse.departure <= _ALIKE:
        return AuditVerdict.CONSISTENT, (
            f"{bounds}; with every node of the experts counted, timing at the edges of groups only "
            f"gives the same within {_ALIKE:.0%}, so the added time hardly moves it."
        )
    return AuditVerdict.UNDECIDED, f"{bounds}."


def _times(evidence: Evidence, place: Place, model: str, stratum: Stratum) -> _Times | Absent:
    whole = Term(quantity=Quantity.PROBE_COST, model=model)
    part = Term(quantity=Quantity.ROUTING_SHARE, model=model, stratum=stratum)
    tokens = evidence.read(place, whole.of(Quantity.GENERATED_TOKENS))
    unprobed = evidence.read(place, whole.of(Quantity.UNPROBED_RATE))
    found = (
        evidence.read(place, part),
        evidence.read(place, part.of(Quantity.ROUTING_TIME)),
        evidence.read(place, part.of(Quantity.EXPERT_TIME)),
        applied(lambda n, cost: n * cost, tokens, measure(evidence, place, whole)),
        applied(lambda n, rate: n / rate, tokens, unprobed),
    )
    known = [each for each in found if isinstance(each, Estimate)]
    if len(known) < len(found):
        return next(each for each in found if isinstance(each, Absent))
    share, routing, experts, added, generation = known
    if min(share.value, routing.value, experts.value) <= 0:
        return Absent(reason="a time of routing or of the experts is not above 0")
    return _Times(share=share, routing=routing, experts=experts, added=added, generation=generation)


def _spread_evenly(
    evidence: Evidence, place: Place, model: str, times: _Times
) -> tuple[Number, ...]:
    """Return the share were the added time the same for every node of the graph that ran."""
    counts = [
        evidence.read(place, Term(quantity=quantity, model=model))
        for quantity in (Quantity.GRAPH_NODES, Quantity.ROUTING_NODES, Quantity.PROJECTION_NODES)
    ]
    known = [count.value for count in counts if isinstance(count, Estimate)]
    if len(known) < len(counts):
        return ()
    every, *inside = known
    routing, experts = (
        max(0.0, time.value - times.added.value * nodes / every)
        for time, nodes in zip((times.routing, times.experts), inside, strict=True)
    )
    if routing + experts <= 0:
        return ()
    label = "share, added time the same for every node"
    return (plain_number("even_pct", label, "%", _share_pct(routing, experts)),)


def _share_pct(routing: float, experts: float) -> float:
    return 100 * routing / (routing + experts) if routing + experts > 0 else 0.0

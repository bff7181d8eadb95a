"""Quantities that follow from others, and ratios and differences of any two, from any evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgemoe_appliance.analysis.claims.estimates import (
    Estimate,
    MaybeEstimate,
    combine,
    exact,
    ratio,
)
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.quantities import Quantity, Term

_NO_GRAPH = "the nodes of the subject's graph are not known"


def measure(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return a quantity at a place, derived where it has to be."""
    derive = _DERIVED.get(term.quantity)
    return derive(evidence, place, term) if derive else evidence.read(place, term)


def ratio_at(evidence: Evidence, place: Place, top: Term, bottom: Term) -> MaybeEstimate:
    """Return a ratio of two quantities at one place, paired by prompts where both are means."""
    if top.quantity is bottom.quantity is Quantity.TIME_PER_TOKEN:
        rate = Quantity.GENERATION_RATE
        return evidence.ratio(place, bottom.of(rate), top.of(rate))
    if top.quantity in _DERIVED or bottom.quantity in _DERIVED:
        return ratio_of(measure(evidence, place, top), measure(evidence, place, bottom))
    return evidence.ratio(place, top, bottom)


def ratio_of(top: MaybeEstimate, bottom: MaybeEstimate) -> MaybeEstimate:
    """Return a ratio of independent numbers, or why there is none."""
    if isinstance(top, Absent):
        return top
    return bottom if isinstance(bottom, Absent) else ratio(top, bottom)


def applied(function: Callable[..., float], *parts: MaybeEstimate) -> MaybeEstimate:
    """Return a function of independent numbers, or why one of them is missing."""
    known = [part for part in parts if isinstance(part, Estimate)]
    if len(known) < len(parts):
        reasons = dict.fromkeys(part.reason for part in parts if isinstance(part, Absent))
        return Absent(reason="; ".join(reasons))
    return combine(function, *known)


def _time_per_token(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    return ratio_of(exact(1), evidence.read(place, term.of(Quantity.GENERATION_RATE)))


def _fall_with_length(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    lengths = evidence.study.lengths
    if len(lengths) < 2:
        return Absent(reason="the study has no classes of prompts by length")
    short, long = (
        Term(quantity=Quantity.LENGTH_RATE, model=term.model, length=length)
        for length in (lengths[0], lengths[-1])
    )
    return applied(lambda share: 100 * (1 - share), evidence.ratio(place, long, short))


def _behind_fastest_dense(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return by how much a model's rate is below that of the fastest dense one, in per cent."""
    study = evidence.study
    rates: dict[str, float] = {}
    for model in evidence.models(place):
        rate = evidence.read(place, Term(quantity=Quantity.GENERATION_RATE, model=model))
        is_dense = model in study.models and not study.has_experts(model)
        if is_dense and isinstance(rate, Estimate):
            rates[model] = rate.value
    if not rates:
        return Absent(reason="no rate of a dense model")
    own = term.of(Quantity.GENERATION_RATE)
    fastest = Term(quantity=Quantity.GENERATION_RATE, model=max(rates, key=lambda m: rates[m]))
    return applied(lambda share: 100 * (1 - share), evidence.ratio(place, own, fastest))


def _slowdown(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    unprobed, probed = term.of(Quantity.UNPROBED_RATE), term.of(Quantity.PROBED_RATE)
    return evidence.ratio(place, unprobed, probed)


def _probe_cost(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    times = (
        ratio_of(exact(1), evidence.read(place, term.of(rate)))
        for rate in (Quantity.PROBED_RATE, Quantity.UNPROBED_RATE)
    )
    return applied(lambda probed, unprobed: probed - unprobed, *times)


def _total_traffic_share(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    bandwidth = evidence.read(place, term.of(Quantity.BANDWIDTH))
    size = evidence.read(place, term.of(Quantity.FILE_SIZE))
    rate = evidence.read(place, term.of(Quantity.GENERATION_RATE))
    return applied(lambda r, s, b: r * s / b, rate, size, bandwidth)


def _cache_bytes(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    return applied(
        lambda per_token, context: per_token * context,
        evidence.read(place, term.of(Quantity.CACHE_BYTES_PER_TOKEN)),
        evidence.read(place, term.of(Quantity.MEAN_CONTEXT)),
    )


def _bandwidth_use(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return traffic to peak bandwidth in per cent: weights with the head, cache at mean context.

    Not MoE-CAP's form: its traffic leaves out the head, which is read for every token as well.
    """
    return applied(
        lambda r, w, c, b: 100 * r * (w + c) / b,
        evidence.read(place, term.of(Quantity.GENERATION_RATE)),
        evidence.read(place, term.of(Quantity.ACTIVE_BYTES)),
        _cache_bytes(evidence, place, term),
        evidence.read(place, term.of(Quantity.BANDWIDTH)),
    )


def _bandwidth_use_without_head(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return the same in the form of MoE-CAP: layers and cache, no head.

    Source: S-MBU of MoE-CAP (arXiv 2412.07067).
    """
    return applied(
        lambda r, w, h, c, b: 100 * r * (w - h + c) / b,
        evidence.read(place, term.of(Quantity.GENERATION_RATE)),
        evidence.read(place, term.of(Quantity.ACTIVE_BYTES)),
        evidence.read(place, term.of(Quantity.HEAD_BYTES)),
        _cache_bytes(evidence, place, term),
        evidence.read(place, term.of(Quantity.BANDWIDTH)),
    )


def _arithmetic_use(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return operations to the peak rate in per cent: two for each parameter, and attention's.

    Source: S-MFU of MoE-CAP (arXiv 2412.07067), with the parameters counted in the tensors; a
    table that is looked up is not multiplied with.
    """
    return applied(
        lambda r, n, a, c, f: 100 * r * (2 * n + a * c) / f,
        evidence.read(place, term.of(Quantity.GENERATION_RATE)),
        evidence.read(place, term.of(Quantity.MULTIPLIED_PARAMETERS)),
        evidence.read(place, term.of(Quantity.ATTENTION_FLOPS)),
        evidence.read(place, term.of(Quantity.MEAN_CONTEXT)),
        evidence.read(place, term.of(Quantity.PEAK_FLOPS)),
    )


def _implied_window(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return how many times the time of generation the energy per token implies."""
    energy, rate, power = (
        evidence.read(place, term.of(quantity))
        for quantity in (
            Quantity.ENERGY_PER_TOKEN,
            Quantity.GENERATION_RATE,
            Quantity.AVERAGE_POWER,
        )
    )
    return ratio_of(applied(lambda e, r: e * r, energy, rate), power)


def _nodes_outside(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return the nodes that the study's patch did not look for to those that it did.

    Both are of the graph that ran: a reduced twin has fewer layers.
    """
    return _outside(evidence, place, (term, Quantity.PROJECTION_NODES))


def _nodes_outside_blocks(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    return _outside(evidence, place, (term, Quantity.EXPERT_NODES))


def _outside(evidence: Evidence, place: Place, known: tuple[Term, Quantity]) -> MaybeEstimate:
    """Return the other nodes to those of routing and of the experts, of the graph that ran."""
    term, of_experts = known
    return applied(
        lambda every, routing, experts: every / (routing + experts) - 1,
        *(
            evidence.read(place, term.of(quantity))
            for quantity in (Quantity.GRAPH_NODES, Quantity.ROUTING_NODES, of_experts)
        ),
    )


def _window_time(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return how long the window of the energy is, shared out over the tokens: energy / power."""
    return ratio_of(
        evidence.read(place, term.of(Quantity.ENERGY_PER_TOKEN)),
        evidence.read(place, term.of(Quantity.AVERAGE_POWER)),
    )


def _held_memory(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return what no dropping of file pages would free: the rest of the peak, swap, the device's.

    Memory of a graphics processor lies outside the resident memory of its process.
    """
    return applied(
        lambda peak, dropped, swapped, device: peak - dropped + swapped + device,
        *(
            evidence.read(place, term.of(quantity))
            for quantity in (
                Quantity.PEAK_MEMORY,
                Quantity.FILE_BACKED_MEMORY,
                Quantity.SWAP,
                Quantity.DEVICE_MEMORY,
            )
        ),
    )


def _cache_bytes_per_value(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return the cache of a token over the keys and values that the model's shape has for it."""
    entry = evidence.study.configs.models.models.get(term.model or "")
    if entry is None or entry.shape is None:
        return Absent(reason="the shape of the model is not known")
    shape = entry.shape
    values = shape.block_count * shape.head_count_kv * (shape.key_length + shape.value_length)
    return ratio_of(evidence.read(place, term.of(Quantity.CACHE_BYTES_PER_TOKEN)), exact(values))


def _expert_bytes(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    study = evidence.study
    if study.experts is None or term.model != study.subject or term.file_type is None:
        return Absent(reason="the sizes of the experts by type of file are not known")
    return exact(study.experts.bytes_by_file_type[term.file_type])


def _routing_time_per_token(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    tokens = evidence.read(place, _plain(term, Quantity.GENERATED_TOKENS))
    return ratio_of(evidence.read(place, term.of(Quantity.ROUTING_TIME)), tokens)


def _corrected_routing_time_per_token(
    evidence: Evidence, place: Place, term: Term
) -> MaybeEstimate:
    per_token = _routing_time_per_token(evidence, place, term)
    added = _added_per_token(evidence, place, term)
    return applied(lambda time, more: max(0.0, time - more), per_token, added)


def _corrected_routing_share(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return the share of routing were the time that timing adds the same for every node."""
    graph = evidence.study.graph
    if graph is None:
        return Absent(reason=_NO_GRAPH)
    tokens = evidence.read(place, _plain(term, Quantity.GENERATED_TOKENS))
    expert_nodes = graph.expert_per_layer / graph.routing_per_layer

    def share_pct(routing: float, experts: float, added: float, n: float) -> float:
        left = max(0.0, routing - added * n)
        return 100 * left / (left + max(0.0, experts - added * expert_nodes * n))

    return applied(
        share_pct,
        evidence.read(place, term.of(Quantity.ROUTING_TIME)),
        evidence.read(place, term.of(Quantity.EXPERT_TIME)),
        _added_per_token(evidence, place, term),
        tokens,
    )


def _added_per_token(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return what timing adds to the routing nodes of a token, every node costing the same."""
    graph, study = evidence.study.graph, evidence.study
    if graph is None:
        return Absent(reason=_NO_GRAPH)
    share = graph.routing_per_layer * study.layers(study.subject) / graph.nodes
    whole = Term(quantity=Quantity.PROBE_COST, model=term.model)
    return applied(lambda cost: share * cost, _probe_cost(evidence, place, whole))


def _plain(term: Term, quantity: Quantity) -> Term:
    """Return a quantity of the same model over all its prompts."""
    return Term(quantity=quantity, model=term.model)


def _time_behind_baseline(evidence: Evidence, place: Place, term: Term) -> MaybeEstimate:
    """Return how much longer a token takes than one of the baseline, by the headline rates."""
    headline = next((p for p in evidence.places(Feeds.HEADLINE) if p.id == place.id), None)
    if headline is None:
        return Absent(reason=f"no headline rates of {place.label}")
    rate = Quantity.GENERATION_RATE
    own, other = (
        evidence.read(headline, Term(quantity=rate, model=model))
        for model in (term.model, evidence.study.baseline)
    )
    return applied(lambda a, b: 1 / a - 1 / b, own, other)


_DERIVED: Mapping[Quantity, Callable[[Evidence, Place, Term], MaybeEstimate]] = {
    Quantity.TIME_PER_TOKEN: _time_per_token,
    Quantity.FALL_WITH_LENGTH: _fall_with_length,
    Quantity.BEHIND_FASTEST_DENSE: _behind_fastest_dense,
    Quantity.SLOWDOWN: _slowdown,
    Quantity.PROBE_COST: _probe_cost,
    Quantity.CACHE_BYTES: _cache_bytes,
    Quantity.BANDWIDTH_USE: _bandwidth_use,
    Quantity.BANDWIDTH_USE_WITHOUT_HEAD: _bandwidth_use_without_head,
    Quantity.ARITHMETIC_USE: _arithmetic_use,
    Quantity.IMPLIED_WINDOW: _implied_window,
    Quantity.NODES_OUTSIDE: _nodes_outside,
    Quantity.TOTAL_TRAFFIC_SHARE: _total_traffic_share,
    Quantity.NODES_OUTSIDE_BLOCKS: _nodes_outside_blocks,
    Quantity.WINDOW_TIME: _window_time,
    Quantity.HELD_MEMORY: _held_memory,
    Quantity.CACHE_BYTES_PER_VALUE: _cache_bytes_per_value,
    Quantity.EXPERT_BYTES: _expert_bytes,
    Quantity.ROUTING_TIME_PER_TOKEN: _routing_time_per_token,
    Quantity.CORRECTED_ROUTING_TIME_PER_TOKEN: _corrected_routing_time_per_token,
    Quantity.CORRECTED_ROUTING_SHARE: _corrected_routing_share,
    Quantity.TIME_BEHIND_BASELINE: _time_behind_baseline,
}

"""Counts of graph nodes against the layers of the model and the tokens of a run."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.audit.findings import (
    NODE_COUNTS,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    known_numbers,
    plain_number,
)
from edgemoe_appliance.analysis.claims.derived import applied, measure, ratio_of
from edgemoe_appliance.analysis.claims.estimates import Estimate, printed_estimate
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.paper import GraphFacts
from edgemoe_appliance.studies.quantities import Quantity, Term

# "About" of the text: a fifth either way.
_ABOUT = 0.2


def check_nodes(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield whether the printed counts of nodes can be those of a run, and of a graph."""
    graph, places = evidence.study.graph, evidence.places(Feeds.ROUTING)
    if graph is None:
        return
    if evidence.source == "study":
        yield from _of_a_run(evidence, graph)
        places = places[:1]  # a graph is the same on all devices
    for place in places:
        yield _others(evidence, graph, place)


def _of_a_run(evidence: Evidence, graph: GraphFacts) -> Iterator[AuditFinding]:
    """Yield for each printed count of nodes how many evaluations of the graph it is."""
    layers = evidence.study.layers(evidence.study.subject)
    kinds = (
        ("routing", graph.stated.routing, graph.routing_per_layer),
        ("ffn", graph.stated.experts, graph.expert_per_layer),
    )
    for kind, stated, per_layer in kinds:
        count = printed_estimate(evidence.study.printed, f"stated/{stated}")
        if isinstance(count, Estimate):
            yield _evaluations(evidence, graph, (kind, count.value, per_layer * layers))


def _evaluations(
    evidence: Evidence, graph: GraphFacts, counted: tuple[str, float, int]
) -> AuditFinding:
    """Return how often a count lets the graph be evaluated, beside the tokens of a run.

    A run evaluates it once for the prompt, which gives the first token, and once for each of the
    others but the last, which nothing follows.
    """
    kind, count, per_graph = counted
    words = "routing" if kind == "routing" else "expert"
    subject = AuditSubject(
        id=f"nodes.{kind}",
        test="counts of nodes",
        subject=f"{words} nodes, as counted",
        where=f"section {graph.stated.section}",
        source=evidence.source,
        cause=NODE_COUNTS,
    )
    evaluations, wanted = count / per_graph, evidence.study.procedure.max_new_tokens or 0
    numbers = (
        plain_number("nodes", f"{words} nodes as stated", "1", count),
        plain_number("nodes_per_evaluation", "such nodes in a graph", "1", per_graph),
        plain_number("evaluations", "evaluations of the graph that they make", "1", evaluations),
        plain_number("tokens", "tokens of a run", "1", wanted),
        plain_number("wanted_nodes", "such nodes in a run of all tokens", "1", wanted * per_graph),
    )
    fits = evaluations == wanted
    reading = (
        f"A graph has {per_graph} such nodes, so {count:g} are {in_words(evaluations)} evaluations "
        f"of it; a run of {wanted} tokens makes {wanted}, with {wanted * per_graph} nodes"
    )
    if not fits:
        reading += (
            ": these are the nodes of a shorter run, if of one run. What they are counted over is "
            "not said, so they contradict nothing"
        )
    reading += "."
    told = Wording(
        brief=f"{count:g} are {in_words(evaluations)} evaluations; {wanted} tokens take {wanted}",
        reading=reading,
        sure=(Confidence.MEDIUM, f"the graph: {graph.source}; runs may stop early"),
    )
    return subject.finding(
        AuditVerdict.CONSISTENT if fits else AuditVerdict.UNDECIDED, numbers, told
    )


def _others(evidence: Evidence, graph: GraphFacts, place: Place) -> AuditFinding:
    """Return how many nodes lie outside the MoE blocks of a graph that was counted."""
    subject = AuditSubject(
        id="nodes.others" if evidence.source == "study" else f"nodes.others.{place.id}",
        test="counts of nodes",
        subject="nodes outside the MoE blocks to those inside",
        where=f"section {graph.stated.section}" if evidence.source == "study" else place.label,
        source=evidence.source,
        cause=NODE_COUNTS,
    )
    moe = evidence.study.subject
    every, routing, projections = (
        evidence.read(place, Term(quantity=quantity, model=moe))
        for quantity in (Quantity.GRAPH_NODES, Quantity.ROUTING_NODES, Quantity.PROJECTION_NODES)
    )
    inside = applied(lambda *parts: sum(parts), routing, projections)
    outside = measure(evidence, place, Term(quantity=Quantity.NODES_OUTSIDE, model=moe))
    stated = printed_estimate(evidence.study.printed, f"stated/{graph.stated.outside_ratio}")
    departure = ratio_of(outside, stated)
    if isinstance(outside, Absent) or isinstance(departure, Absent) or isinstance(inside, Absent):
        return subject.not_tested(
            outside.reason if isinstance(outside, Absent) else "it is not stated"
        )
    numbers = known_numbers(
        ("nodes_per_token", "nodes per token", "1", every),
        ("nodes_of_routing", "of these routing", "1", routing),
        ("nodes_of_projections", "of these projections of the experts", "1", projections),
        ("others_ratio", "nodes outside to inside", "ratio", outside),
        ("stated_ratio", "as stated", "ratio", stated),
    )
    agree = abs(departure.value - 1) <= _ABOUT
    brief = f"{in_words(outside.value)} to 1"
    told = Wording(
        brief=brief,
        reading=f"Of the nodes of a token the study's patch looks for {in_words(inside.value)}; "
        f"outside to inside that is {brief}.",
        sure=(Confidence.MEDIUM, f"nodes depend on the engine's version; {graph.source}"),
    )
    return subject.finding(
        AuditVerdict.CONSISTENT if agree else AuditVerdict.INCONSISTENT, numbers, told
    )

"""Counts of graph nodes against the layers of the model and the tokens of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from edgemoe_appliance.analysis.audit.findings import (
    AuditVerdict,
    Confidence,
    Examined,
    Finding,
    plain_number,
)
from edgemoe_appliance.analysis.claims.estimates import Estimate
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place
from edgemoe_appliance.analysis.claims.quantities import Quantity, Term
from edgemoe_appliance.analysis.claims.verdicts import Number
from edgemoe_appliance.analysis.claims.words import in_words
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.study.configs import Feeds, ModelRole

_SECTION = "section 4.6"
_NODES = ("routing_nodes", "ffn_nodes")
# "About" of the text: a fifth either way.
_ABOUT = 0.2


def check_nodes(evidence: Evidence) -> Iterator[Finding]:
    """Yield whether the printed counts of nodes can be those of a run, and of a graph."""
    counts = _counts(evidence)
    if counts is None:
        return
    if evidence.source == "study":
        yield _evaluations(evidence, counts)
    for place in evidence.places(Feeds.ROUTING):
        yield _others(evidence, place, counts)


def _counts(evidence: Evidence) -> Mapping[str, int] | None:
    """Return printed nodes, layers, used experts and tokens, None where one is not printed."""
    study, figure = evidence.reference.study, evidence.reference.printed.figure
    moe = [model for model in study.models.values() if model.role is ModelRole.MOE]
    nodes = [figure(f"stated/{key}") for key in _NODES]
    known = [each for each in nodes if isinstance(each, Estimate)]
    if len(known) < len(nodes) or not moe or not moe[0].layers or not moe[0].experts_used:
        return None
    return {
        "routing_nodes": int(known[0].value),
        "ffn_nodes": int(known[1].value),
        "layers": moe[0].layers,
        "experts_used": moe[0].experts_used,
        "tokens": study.procedure.max_new_tokens,
    }


def _evaluations(evidence: Evidence, counts: Mapping[str, int]) -> Finding:
    """Return how often the counts let the graph be evaluated, beside the tokens of a run."""
    examined = Examined(
        id="nodes.evaluations",
        test="counts of nodes",
        subject="routing and expert nodes of a patched run",
        where=_SECTION,
        source=evidence.source,
    )
    layers, tokens = counts["layers"], counts["tokens"]
    graphs = math.gcd(counts["routing_nodes"], counts["ffn_nodes"]) // layers
    per_layer = [counts[key] / layers for key in _NODES]
    divides = all(counts[key] % layers == 0 for key in _NODES)
    fits = divides and graphs > 0 and graphs % tokens == 0
    numbers: tuple[Number, ...] = (
        *(plain_number(key, key.replace("_", " "), "1", counts[key]) for key in counts),
        plain_number("evaluations", "evaluations of the graph, at most", "1", graphs),
        *(
            plain_number(f"{key}_per_layer", f"{key.replace('_', ' ')} per layer", "1", value)
            for key, value in zip(_NODES, per_layer, strict=True)
        ),
        *(
            plain_number(
                f"{key}_per_expert",
                f"{key.replace('_', ' ')} per layer and used expert",
                "1",
                value / counts["experts_used"],
            )
            for key, value in zip(_NODES, per_layer, strict=True)
        ),
    )
    told = [in_words(value) for value in per_layer]
    reading = f"Over {layers} layers they are {told[0]} and {told[1]} nodes per layer"
    if divides and graphs:
        reading += (
            f", at most {graphs} evaluations of the graph with "
            f"{per_layer[0] / graphs:g} and {per_layer[1] / graphs:g} nodes per layer"
        )
    reading += f"; a run of {tokens} tokens evaluates it {tokens} times, the prompt pass included"
    reading += "." if fits else ": these are not the nodes of such a run."
    verdict = AuditVerdict.CONSISTENT if fits else AuditVerdict.INCONSISTENT
    why = "every evaluation has the same nodes; a run that stopped early has fewer evaluations"
    return examined.finding(verdict, numbers, reading, (Confidence.MEDIUM, why))


def _others(evidence: Evidence, place: Place, counts: Mapping[str, int]) -> Finding:
    """Return how many nodes lie outside the MoE blocks of a graph that was counted."""
    examined = Examined(
        id=f"nodes.others.{place.id}",
        test="counts of nodes",
        subject=f"nodes outside the MoE blocks to those inside, {place.label}",
        where=_SECTION,
        source=evidence.source,
    )
    moe = [
        key for key, model in evidence.reference.study.models.items() if model.role is ModelRole.MOE
    ]
    found = evidence.read(place, Term(quantity=Quantity.GRAPH_NODES, model=moe[0]))
    stated = evidence.reference.printed.figure("stated/other_over_moe_nodes_ratio")
    graphs = math.gcd(counts["routing_nodes"], counts["ffn_nodes"]) // counts["layers"]
    if isinstance(found, Absent) or isinstance(stated, Absent) or not graphs:
        return examined.not_tested(found.reason if isinstance(found, Absent) else "not printed")
    inside = sum(counts[key] for key in _NODES) / graphs
    ratio = (found.value - inside) / inside
    agree = abs(ratio / stated.value - 1) <= _ABOUT
    reading = (
        f"The probe counts {in_words(found.value)} nodes per token; with the {in_words(inside)} "
        f"that the study's counts put into MoE blocks that is {in_words(ratio)} to 1, stated as "
        f"about {in_words(stated.value)} to 1."
    )
    numbers = (
        plain_number("nodes_per_token", "nodes per token", "1", found.value),
        plain_number("moe_nodes", "nodes in MoE blocks, by the study's counts", "1", inside),
        plain_number("others_ratio", "nodes outside to inside", "ratio", ratio),
        plain_number("stated_ratio", "as stated", "ratio", stated.value),
    )
    verdict = AuditVerdict.CONSISTENT if agree else AuditVerdict.INCONSISTENT
    why = "nodes depend on the engine's version"
    return examined.finding(verdict, numbers, reading, (Confidence.MEDIUM, why))

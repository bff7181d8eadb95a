"""Claims judged: verdicts that follow from numbers, their bounds and the declared limits alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edgemoe_appliance.analysis.claims.applicability import why_not_borne
from edgemoe_appliance.analysis.claims.estimates import Basis, Bounds, Estimate
from edgemoe_appliance.analysis.claims.evidence import Evidence, Place, Scope
from edgemoe_appliance.analysis.claims.formatting import (
    capitalised,
    joined,
    limits_in_words,
    number_in_words,
    with_unit,
)
from edgemoe_appliance.analysis.claims.repetitions import more_runs
from edgemoe_appliance.analysis.claims.tests import NamedEstimate, Question, questions
from edgemoe_appliance.analysis.claims.verdicts import (
    WORST_FIRST,
    ClaimVerdict,
    Family,
    Number,
    Part,
    Verdict,
    number_of,
)
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies.claims import Claim, Limits
from edgemoe_appliance.studies.paper import StudyDeviceId
from edgemoe_appliance.studies.quantities import Quantity, facts_of

_OPENINGS = {
    Verdict.REPRODUCED: "Holds",
    Verdict.NOT_REPRODUCED: "Does not hold",
    Verdict.INCONCLUSIVE: "Left open",
    Verdict.SAME_DIRECTION: "Same direction",
    Verdict.OPPOSITE_DIRECTION: "Opposite direction",
    Verdict.NO_DIRECTION: "No direction seen",
    Verdict.CONSISTENT: "Consistent",
    Verdict.NOT_CONSISTENT: "Not consistent",
    Verdict.OPEN_BY_DIGITS: "Left open by the printed digits",
    Verdict.NOT_TESTED: "Not tested",
}
_MOST_TOLD = 4
# Of a claim of several parts so many must have been tested: one of six decides nothing.
_LEAST_TESTED = 0.5
# What claims about energy and power wait for where runs have no such reading.
NEEDS_POWER = "needs readings of power"
_OF_ANSWERS = (Feeds.DIVERGENCE, Feeds.CHOICE)


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Where a question is asked: the place for each device, and how far an answer reaches."""

    places: Mapping[StudyDeviceId, Place]
    scope: Scope
    reasons: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the conditions by name, each once."""
        return " and ".join(dict.fromkeys(place.label for place in self.places.values()))

    @property
    def cautions(self) -> tuple[str, ...]:
        """Return what is to be told with an answer."""
        return tuple(dict.fromkeys(c for place in self.places.values() for c in place.cautions))


@dataclass(frozen=True, kw_only=True)
class _JudgedPart:
    """A part with what it rests on; `key` is equal for the same question of the same runs."""

    part: Part
    stage: _Stage | None
    key: object


def judge_claims(evidence: Evidence) -> tuple[ClaimVerdict, ...]:
    """Return a verdict for every claim of the study, in its order."""
    return tuple(_judge(evidence, *item) for item in evidence.study.claims.items())


def number_behind(evidence: Evidence, claim_id: str) -> Number | Absent:
    """Return the first number of a claim that the runs give, whether or not they bear a verdict.

    It compares runs with runs, as of two engines on one machine, and says nothing about the study:
    twins will do for it, and other hardware.
    """
    claim = evidence.study.claims[claim_id]
    reason = claim.untestable or "it asks for no number"
    for question in questions(claim):
        places = evidence.places(question.table)
        if not places:
            reason = _no_runs(evidence, question)
            continue
        at = {d: _first(places, d) or places[0] for d in question.devices}
        found, shown = question.answer(evidence, at)
        if isinstance(found, Estimate):
            return next(_numbers(shown))
        reason = found.reason
    return Absent(reason=reason)


def verdict_of(bounds: Bounds | Absent, limits: Limits) -> Verdict:
    """Return reproduced inside the limits, not reproduced wholly outside, else inconclusive."""
    if isinstance(bounds, Absent):
        return Verdict.INCONCLUSIVE
    if limits.holds is not None and not bounds.low <= limits.holds <= bounds.high:
        return Verdict.NOT_REPRODUCED
    if _within(bounds, limits):
        return Verdict.REPRODUCED
    return Verdict.NOT_REPRODUCED if _outside(bounds, limits) else Verdict.INCONCLUSIVE


def _within(bounds: Bounds, limits: Limits) -> bool:
    """Return whether every value between the bounds is within the limits."""
    over = bounds.low > limits.low if limits.above is not None else bounds.low >= limits.low
    under = bounds.high < limits.high if limits.below is not None else bounds.high <= limits.high
    return over and under


def _outside(bounds: Bounds, limits: Limits) -> bool:
    """Return whether no value between the bounds is within the limits."""
    beneath = bounds.high <= limits.low if limits.above is not None else bounds.high < limits.low
    beyond = bounds.low >= limits.high if limits.below is not None else bounds.low > limits.high
    return beneath or beyond


def _judge(evidence: Evidence, claim_id: str, claim: Claim) -> ClaimVerdict:
    if claim.untestable:
        return _untestable(evidence, claim_id, claim)
    asked = list(questions(claim))
    named = tuple(dict.fromkeys(device for question in asked for device in question.devices))
    answered = {a.key: a for a in (_answer(evidence, question, named) for question in asked)}
    parts = tuple(each.part for each in answered.values())
    stages = [each.stage for each in answered.values() if each.stage is not None]
    verdict = verdict_of_parts(parts)
    scope = _joint_scope(parts)
    family = _family(evidence, scope)
    return ClaimVerdict(
        id=claim_id,
        section=claim.section,
        statement=claim.says,
        source=evidence.source,
        verdict=verdict.within(family),
        scope=scope,
        reading=_reading(verdict, family, parts, stages),
        brief=_brief(verdict, parts),
        tolerance=claim.why,
        parts=tuple(replace(part, verdict=part.verdict.within(family)) for part in parts),
        undermined_by=claim.undermined_by,
        scope_reasons=tuple(dict.fromkeys(r for stage in stages for r in stage.reasons)),
        cautions=tuple(dict.fromkeys(c for stage in stages for c in stage.cautions)),
        missing=tuple(dict.fromkeys(part.missing for part in parts if part.missing)),
    )


def verdict_of_parts(parts: Sequence[Part]) -> Verdict:
    """Return the worst verdict of the parts; where few of them were tested nothing is decided."""
    tested = _tested(parts)
    if len(tested) < _LEAST_TESTED * len(parts):
        return Verdict.NOT_TESTED
    return next(v for v in WORST_FIRST if any(part.verdict is v for part in parts))


def _tested(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if part.verdict is not Verdict.NOT_TESTED]


def _family(evidence: Evidence, scope: Scope) -> Family:
    """Return the family of a claim's verdict: one part that is a direction makes all directions."""
    if evidence.source == "study":
        return Family.PRINTED
    return Family.ELSEWHERE if scope is Scope.DIRECTION else Family.CONDITIONS


def _untestable(evidence: Evidence, claim_id: str, claim: Claim) -> ClaimVerdict:
    reason = str(claim.untestable)
    return ClaimVerdict(
        id=claim_id,
        section=claim.section,
        statement=claim.says,
        source=evidence.source,
        verdict=Verdict.NOT_TESTED,
        scope=Scope.NONE,
        reading=f"Not testable: {reason}.",
        brief=f"not testable: {reason}",
        tolerance=claim.why,
        parts=(),
        undermined_by=claim.undermined_by,
        missing=(reason,),
    )


def _answer(evidence: Evidence, question: Question, named: Sequence[StudyDeviceId]) -> _JudgedPart:
    stage = _stage(evidence, question, named)
    if isinstance(stage, Absent):
        return _unanswered(question, stage.reason)
    if reason := _why_not_borne(question, stage):
        return _unanswered(question, reason, stage)
    limits = question.asked if stage.scope is Scope.FULL else question.direction
    if limits is None:
        return _unanswered(question, _why_no_direction(evidence, question, stage), stage)
    found, shown = question.answer(evidence, stage.places)
    if isinstance(found, Absent):
        return _unread(evidence, question, found.reason, stage)
    part = _part(question, stage, limits, found, tuple(_numbers(shown)))
    if bits := _bits_beyond(evidence, question, stage):
        if part.verdict is not Verdict.REPRODUCED:
            return _unanswered(question, f"{bits}, too many to speak against it", stage)
        part = replace(part, reading=f"{part.reading}; {bits}, and fewer are no better")
    places = tuple(place.id for place in stage.places.values())
    stood_in = stage.scope is Scope.DIRECTION and len(set(places)) == 1
    # On hardware that stands for both devices the same question is asked once.
    terms = tuple((a.term, a.choice) for a in question.terms) if stood_in else question.terms
    return _JudgedPart(
        part=part, stage=stage, key=(question.about, terms, places, limits.model_dump_json())
    )


def _bits_beyond(evidence: Evidence, question: Question, stage: _Stage) -> str:
    """Return how many bits a weight a file holds, where a claim is of fewer; else nothing."""
    limit, (asked, *_) = question.bits_below, question.terms
    if limit is None:
        return ""
    bits = evidence.read(stage.places[asked.device], asked.term.of(Quantity.BITS_PER_WEIGHT))
    if isinstance(bits, Absent) or bits.value < limit:
        return ""
    name = evidence.study.model_name(asked.term.model or "")
    return (
        f"the file of {name} holds {bits.value:.2f} bits a weight, the claim is of below {limit:g}"
    )


def _why_not_borne(question: Question, stage: _Stage) -> str:
    """Return why the places of a stage cannot bear a question, empty if they can."""
    reasons = [why_not_borne(stage.places[asked.device], asked.term) for asked in question.terms]
    return joined(reasons)


def _why_no_direction(evidence: Evidence, question: Question, stage: _Stage) -> str:
    """Return what would be needed where no direction can be read."""
    devices = evidence.study.devices
    wanted = " and ".join(devices[d].label for d in devices if d in question.devices)
    if any(place.device not in question.devices for place in stage.places.values()):
        return f"needs the study's {wanted}"
    return f"runs like the study's on {wanted}: {joined(stage.reasons)}"


def _unanswered(question: Question, reason: str, stage: _Stage | None = None) -> _JudgedPart:
    part = Part(
        verdict=Verdict.NOT_TESTED,
        scope=Scope.NONE,
        where=stage.label if stage else "",
        asked=_limits_in_words(question, question.asked),
        numbers=(),
        reading=reason,
        brief=reason,
        missing=reason,
    )
    return _JudgedPart(part=part, stage=None, key=(question.about, question.terms, reason))


def _unread(evidence: Evidence, question: Question, reason: str, stage: _Stage) -> _JudgedPart:
    """Return a question for which a stage has no reading."""
    facts = facts_of(question.terms[0].term.quantity)
    found = _unanswered(question, f"{facts.title}: {reason} ({stage.label})", stage)
    is_power = facts.is_energy and evidence.source != "study"
    need = f"{NEEDS_POWER}: {reason}" if is_power else reason
    return replace(found, part=replace(found.part, need=need))


def _part(
    question: Question,
    stage: _Stage,
    limits: Limits,
    found: Estimate,
    numbers: tuple[Number, ...],
) -> Part:
    verdict = verdict_of(found.bounds, limits)
    more = more_runs(found, limits) if verdict is Verdict.INCONCLUSIVE else None
    judged = numbers if question.about == "same-side" else numbers[:1]
    return Part(
        verdict=verdict,
        scope=stage.scope,
        where=stage.label,
        asked=_limits_in_words(question, limits),
        numbers=numbers,
        reading=_told(question, stage, limits, tuple(map(_with_bounds, judged))),
        brief=_told(question, stage, limits, tuple(map(_without_bounds, judged))),
        more_runs=more,
        limits=None if question.about == "same-side" else limits,
    )


def _stage(
    evidence: Evidence, question: Question, named: Sequence[StudyDeviceId]
) -> _Stage | Absent:
    """Return where a question can be asked: on its own devices, else, for one, on any hardware.

    Other hardware stands in only where there are runs on none of the devices that the claim names.
    """
    places = evidence.places(question.table)
    if question.anywhere:
        return _anywhere(evidence, places, question)
    own = {device: _first(places, device) for device in question.devices}
    found = {device: place for device, place in own.items() if place is not None}
    if len(found) == len(own):
        reasons = tuple(dict.fromkeys(r for p in found.values() for r in p.shortfalls))
        scope = Scope.DIRECTION if reasons else Scope.FULL
        return _Stage(places=found, scope=scope, reasons=reasons)
    if not places:
        return Absent(reason=_no_runs(evidence, question))
    labels = evidence.study.devices
    # In the study's order, whichever a claim names first: equal needs are told together.
    absent = " and ".join(
        labels[device].label for device in labels if device in own and device not in found
    )
    if len(own) > 1 or any(_first(places, device) for device in named):
        return Absent(reason=f"{_no_runs(evidence, question)} on {absent}")
    reason = f"measured on {places[0].label}, not on the study's {absent}"
    return _Stage(
        places=dict.fromkeys(own, places[0]),
        scope=Scope.DIRECTION,
        reasons=(reason, *places[0].shortfalls),
    )


def _anywhere(evidence: Evidence, places: Sequence[Place], question: Question) -> _Stage | Absent:
    """Return the first place with whole models, on whatever hardware."""
    whole = [place for place in places if not place.has_twins]
    if not whole:
        reason = "it asks what the model files hold, and these runs used twins"
        return Absent(reason=reason if places else _no_runs(evidence, question))
    return _Stage(places=dict.fromkeys(question.devices, whole[0]), scope=Scope.FULL)


def _first(places: Sequence[Place], device: StudyDeviceId) -> Place | None:
    return next((place for place in places if place.device == device), None)


def _no_runs(evidence: Evidence, question: Question) -> str:
    """Return that a table has no runs, with the experiments that would make them.

    They are those that run the models in question, where any does.
    """
    feeding = {
        name: each
        for name, each in evidence.study.experiments.items()
        if question.table in each.feeds and each.prompt_scale == 1
    }
    wanted = {asked.term.model for asked in question.terms if asked.term.model is not None}
    names = [name for name, each in feeding.items() if wanted <= set(each.models)]
    told = f"no runs of {' or '.join(names or feeding)}"
    if question.table in _OF_ANSWERS and any(
        place.has_twins for place in evidence.places(Feeds.HEADLINE)
    ):
        return f"{told}; these runs used twins, whose answers are as random as their weights"
    return told


def _joint_scope(parts: Sequence[Part]) -> Scope:
    scopes = {part.scope for part in parts}
    if Scope.DIRECTION in scopes:
        return Scope.DIRECTION
    return Scope.FULL if Scope.FULL in scopes else Scope.NONE


def _numbers(shown: Sequence[NamedEstimate]) -> Iterator[Number]:
    for each in shown:
        if isinstance(each.found, Estimate):
            yield number_of(each.key, each.label, each.unit, each.found)


def _limits_in_words(question: Question, limits: Limits) -> str:
    if question.about == "same-side":
        return "on the same side of 1 on both"
    return limits_in_words(limits, question.unit)


def _with_bounds(number: Number) -> str:
    return f"{number.label}: {number_in_words(number)}"


def _without_bounds(number: Number) -> str:
    return f"{number.label}: {with_unit(number.value, number.unit)}"


def _told(question: Question, stage: _Stage, limits: Limits, numbers: tuple[str, ...]) -> str:
    """Return the judged number, or the two of a comparison of orders, and what it had to be."""
    told = " and ".join(numbers)
    where = f" on {stage.label}" if len(stage.places) == 1 else ""
    return f"{told}{where}; passes if {_limits_in_words(question, limits)}"


def _brief(verdict: Verdict, parts: Sequence[Part]) -> str:
    """Return the first of the parts that decide, what would settle it, and how many more."""
    deciding = list({p.brief: p for p in parts if p.verdict is verdict}.values())
    first = deciding[0]
    settled = f" ({first.more_runs.text})" if first.more_runs is not None else ""
    if verdict is Verdict.INCONCLUSIVE and _by_rounding(deciding):
        settled = " (the printed digits leave it open)"
    others = f" (and {len(deciding) - 1} more)" if len(deciding) > 1 else ""
    tested = len(_tested(parts))
    if 0 < tested < len(parts):
        others += f" ({tested} of {len(parts)} parts tested)"
    return f"{first.brief}{settled}{others}"


def _reading(
    verdict: Verdict, family: Family, parts: Sequence[Part], stages: Sequence[_Stage]
) -> str:
    """Return the verdict in words: the parts that decide it, then how far it reaches."""
    deciding = [part for part in parts if part.verdict is verdict]
    told = list(dict.fromkeys(part.reading for part in deciding))
    if len(told) > _MOST_TOLD:
        told[_MOST_TOLD:] = [f"and {len(told) - _MOST_TOLD} more like these"]
    tested = _tested(parts)
    counted = ""
    if len(deciding) < len(parts):
        counted = f" ({len(deciding)} of {len(parts)} parts)"
    sentences = [f"{_OPENINGS[verdict.within(family)]}{counted}: {joined(told)}."]
    if len(tested) < len(parts) and tested:
        were = "was tested" if len(tested) == 1 else "were tested"
        decided = ", which decides nothing" if verdict is Verdict.NOT_TESTED else ""
        sentences.append(f"{len(tested)} of {len(parts)} parts {were}{decided}.")
    if verdict is Verdict.INCONCLUSIVE and _by_rounding(deciding):
        sentences.append("The printed digits leave it open.")
    more = joined([part.more_runs.text for part in deciding if part.more_runs is not None])
    sentences += [f"{capitalised(more)}."] if more else []
    if family is Family.ELSEWHERE:
        reasons = tuple(dict.fromkeys(reason for stage in stages for reason in stage.reasons))
        sentences.append(f"Not under the study's conditions: {joined(reasons)}.")
    elif any(stage.cautions for stage in stages):
        cautions = [caution for stage in stages for caution in stage.cautions]
        sentences.append(capitalised(f"{joined(cautions)}."))
    return " ".join(sentences)


def _by_rounding(parts: Sequence[Part]) -> bool:
    return all(n.basis is Basis.ROUNDING for part in parts for n in part.numbers[:1])

"""Threats to validity that follow from the records themselves, weightiest first.

Each is found, none is assumed: a session without one of these causes does not list it. The caveats
of single runs have a table of their own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from edgemoe_appliance.analysis.conditions import (
    pools,
    pools_by_arm,
    texts_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.schema.configs import Arm, Feeds, GitSource
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import Procedure

_RUNS_NOT_FINITE = (
    "SELECT DISTINCT chosen.place, chosen.model_name FROM chosen JOIN series USING (place)"
    " WHERE series.value IS NULL"
)
# A fleet has dozens of conditions, each with the same shortfalls.
_MOST_OF_A_KIND = 6
# What runs have in common that must generate the same text.
_SAME_TEXT = [
    *("setting", "model", "model_sha256", "arm", "threads", "n_predict", "ignore_eos", "context"),
    "prompt_sha256",
]


class Weight(str, Enum):
    """How far a threat reaches."""

    MEANING = "meaning"  # figures do not stand for what their labels say
    COMPARISON = "comparison"  # figures stand, but not beside the study's
    PRECISION = "precision"  # figures stand, with less behind them


@dataclass(frozen=True, kw_only=True)
class Threat:
    """One cause, in a short title and one or two sentences with the numbers."""

    code: str
    weight: Weight
    title: str
    text: str


def find_threats(loaded: LoadedSessions, study: Study) -> tuple[Threat, ...]:
    """Return what in these sessions limits what their figures can mean."""
    checks: Iterable[Callable[[LoadedSessions, Study], Iterator[Threat]]] = (
        _twins,
        _not_finite,
        _no_tasks,
        _software_devices,
        _pretended_meters,
        _unrepeated_texts,
        _other_texts,
        _journals,
        _comparison,
        _engine,
        _mixed,
        _not_ok,
        _missing,
    )
    found = _bounded(threat for check in checks for threat in check(loaded, study))
    order = list(Weight)
    return tuple(sorted(found, key=lambda threat: order.index(threat.weight)))


def _bounded(threats: Iterable[Threat]) -> Iterator[Threat]:
    """Yield threats, of one kind no more than a page can bear; the rest are counted."""
    kinds: dict[str, list[Threat]] = {}
    for threat in threats:
        kinds.setdefault(threat.code, []).append(threat)
    for same in kinds.values():
        yield from same[:_MOST_OF_A_KIND]
        left = len(same) - _MOST_OF_A_KIND
        if left > 0:
            yield replace(same[0], text=f"The same holds {left} times more.")


def twin_scales(loaded: LoadedSessions) -> tuple[str, ...]:
    """Return the scales of the twins among the models that were run."""
    return tuple(sorted({lot.key.twin_scale for lot in loaded.lots if lot.key.twin_scale}))


def _twins(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    scales = twin_scales(loaded)
    if scales:
        n = sum(lot.runs for lot in loaded.lots if lot.key.twin_scale)
        yield Threat(
            code="twins",
            weight=Weight.MEANING,
            title="Twins, not the real models",
            text=f"{n} of {len(loaded.runs)} runs used model files with random weights (scale "
            f"{', '.join(scales)}). Their speed and memory are those of their tensor shapes; the "
            "text they generate means nothing, and a router with random weights need not spread "
            f"tokens over its experts as a trained one does.{_own_use(loaded)}",
        )


def _own_use(loaded: LoadedSessions) -> str:
    """Return how twins used their experts, as far as that was read."""
    told = []
    for lot in loaded.lots:
        runs = loaded.runs.where(status="ok").among("lot", [lot.number])
        if lot.key.twin_scale and len(runs) and runs.has_any(["experts_entropy_decode_bits"]):
            entropy, reuse, experts = (
                float(np.nanmean(runs.numbers(metric)))
                for metric in (
                    "experts_entropy_decode_bits",
                    "experts_reuse_decode_pct",
                    "experts_per_layer",
                )
            )
            told.append(
                f"{lot.key.model_name} used its experts with an entropy of {entropy:.2f} of "
                f"{math.log2(experts):.2f} bits, and {reuse:.0f} % of a token's were those of the "
                "token before"
            )
    return f" In generation {'; '.join(dict.fromkeys(told))}." if told else ""


def _not_finite(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    """Yield the models whose answers are no finite numbers: a result, and what it leaves of others.

    Their speed and memory are measured all the same.
    """
    runs = loaded.runs.where(status="ok").ask(_RUNS_NOT_FINITE)
    names = sorted(set(map(str, runs["model_name"].tolist())))
    if names:
        yield Threat(
            code="non-finite",
            weight=Weight.MEANING,
            title="Answers that are no finite numbers",
            text=f"{', '.join(names)}: {counted(len(runs), 'run')} gave answers that are no finite "
            "numbers. Such a result is judged as worse than any number; what else was measured of "
            "these files, as speed, is that of a model that answers nothing.",
        )


def _no_tasks(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    """Yield the items that no score counts, each kind once for a model's 16-bit file."""
    found: dict[tuple[str, str, str], None] = {}
    for pool in pools(loaded, study, Feeds.CHOICE):
        for models in pool.models:
            reference = study.model_name(study.references.get(models.model, models.model))
            found |= {(reference, *item): None for item in models.no_tasks.items()}
    for reference, category, why in found:
        yield Threat(
            code="no-task",
            weight=Weight.PRECISION,
            title="Items that are left out",
            text=f"{category} of {reference} and what is made of it: {why}. What fewer bits lose "
            "of such items cannot be seen, so that no score and no verdict counts them.",
        )


def _software_devices(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    for setting in loaded.settings:
        if setting.software_device is not None:
            yield Threat(
                code="software-device",
                weight=Weight.MEANING,
                title="A software device",
                text=f"{setting.label}: {setting.software_device} computes on the processor in "
                "place of a device. Its speed, energy and memory are no device's, and what lies "
                "on it lies in resident memory too.",
            )


def _pretended_meters(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    for setting in loaded.settings:
        if setting.pretended_meter is not None:
            yield Threat(
                code="pretended-meter",
                weight=Weight.MEANING,
                title="A pretended meter",
                text=f"{setting.label}: {setting.pretended_meter} is a program that plays a meter. "
                "Energy and power show that the steps work, and are nothing that was measured.",
            )


def _unrepeated_texts(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    """Yield the settings that gave one arm and prompt several texts: greedy text repeats itself."""
    told = loaded.runs.where(status="ok").where_not(text_sha256=None)
    labels = {setting.id: setting.label for setting in loaded.settings}
    counts = told.counts(*_SAME_TEXT, "text_sha256")
    texts = counts.groupby(_SAME_TEXT, sort=True).agg(runs=("n", "sum"), texts=("n", "size"))
    repeated = texts[texts["runs"] > 1]
    for setting, found in repeated.groupby("setting"):
        other = int((found["texts"] > 1).sum())
        if other:
            yield Threat(
                code="text-not-repeated",
                weight=Weight.MEANING,
                title="Equal runs that differ",
                text=f"{labels[str(setting)]}: {other} of {len(found)} repeated cases (a model, a "
                "prompt, an arm) gave more than one text, though decoding is greedy. The engine, "
                "its device or a driver computed otherwise in some run, or a text was lost; where "
                "texts differ between arms, that may be no work of the probe.",
            )


def _other_texts(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    """Yield the arms whose probe changed what the engine computed: greedy texts are equal else."""
    arms = (Arm.PLAIN, *(arm for arm in Arm if arm.is_probed))
    for pooled in pools_by_arm(loaded, study, Feeds.ROUTING, arms):
        for models in pooled.files():
            plain = pooled.find(Arm.PLAIN, models)
            for arm in arms[1:]:
                probed = pooled.find(arm, models)
                if plain is None or probed is None:
                    continue
                before, after = texts_of(plain), texts_of(probed)
                shared = before.keys() & after.keys()
                other = sum(before[prompt] != after[prompt] for prompt in shared)
                if other:
                    yield Threat(
                        code="probe-changes-text",
                        weight=Weight.MEANING,
                        title="A probe changed what was computed",
                        text=f"{pooled.condition.label}, {models.name}: with {arm.value} the text "
                        f"of {other} of {len(shared)} prompts is another than without a probe. "
                        "Its times are those of other work.",
                    )


def _journals(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    for session in loaded.sessions:
        if not session.plan_matches:
            yield Threat(
                code="plan-differs",
                weight=Weight.MEANING,
                title="The plan is not the one that was measured",
                text=f"The journal of {session.key} names another plan digest than that of the "
                "plan beside it: the plan was edited, or another version of the appliance wrote "
                "it.",
            )
        if session.torn_bytes:
            yield Threat(
                code="torn-journal",
                weight=Weight.PRECISION,
                title="A record was cut off",
                text=f"The journal of {session.key} ends in {session.torn_bytes} bytes of an "
                "incomplete record: measuring was killed while it wrote.",
            )
        if any(period.appliance.git_dirty for period in session.periods):
            yield Threat(
                code="modified-appliance",
                weight=Weight.MEANING,
                title="A modified appliance",
                text=f"{session.key} was measured by a checkout whose changes are in no commit.",
            )


def _comparison(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    for pool in pools(loaded, study, Feeds.HEADLINE):
        reasons = why_not_comparable(pool, study)
        if reasons:
            yield Threat(
                code="not-comparable",
                weight=Weight.COMPARISON,
                title="Absolute figures are not compared",
                text=f"{pool.condition.label}: {'; '.join(reasons)}. Only ratios within the "
                "condition are set beside the study's.",
            )
        if study.procedure.threads not in (None, pool.condition.threads):
            yield Threat(
                code="threads",
                weight=Weight.COMPARISON,
                title="Another number of threads",
                text=f"{pool.condition.label}; the study used {study.procedure.threads}.",
            )


def _engine(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    procedure = study.procedure
    for setting in loaded.settings:
        source = setting.engine.source
        if not (isinstance(source, GitSource) and source.commit == procedure.engine_commit):
            yield Threat(
                code="engine",
                weight=Weight.COMPARISON,
                title="Another engine than the study's",
                text=f"Setting {setting.id} ran {setting.engine.pin}; the study ran "
                f"{_engine_of(procedure)}.",
            )


def _engine_of(procedure: Procedure) -> str:
    if procedure.engine_tag is None or procedure.engine_commit is None:
        return procedure.engine
    return f"{procedure.engine_tag} (commit {procedure.engine_commit[:12]})"


def _mixed(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    if len(loaded.settings) > 1:
        yield Threat(
            code="several-settings",
            weight=Weight.COMPARISON,
            title="Several settings, kept apart",
            text="The sessions differ in host, target, runtime or engine: "
            + _first_of([setting.label for setting in loaded.settings])
            + ". Nothing is pooled across them.",
        )
    files = {(lot.key.model, lot.key.model_sha256) for lot in loaded.lots}
    digests = Counter(model for model, _ in files)
    for model in sorted(model for model, number in digests.items() if number > 1):
        yield Threat(
            code="several-model-files",
            weight=Weight.COMPARISON,
            title="Several files of one model, kept apart",
            text=f"{model} was run from {digests[model]} files with different digests.",
        )


def _first_of(labels: Sequence[str]) -> str:
    left = len(labels) - _MOST_OF_A_KIND
    told = "; ".join(labels[:_MOST_OF_A_KIND])
    return f"{told}; and {left} more" if left > 0 else told


def _not_ok(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    bad = loaded.runs.where_not(status="ok")
    if len(bad):
        counts = bad.counts("model", "status").sort_values(["model", "status"])
        parts = [f"{each.model} {each.status} {each.n}" for each in counts.itertuples()]
        yield Threat(
            code="not-ok",
            weight=Weight.PRECISION,
            title="Runs that did not end well",
            text=f"{len(bad)} of {len(loaded.runs)} final runs: {', '.join(parts)}. They are "
            "listed and enter no statistic; if a model fails on its hardest prompts, its means "
            "flatter it.",
        )


def _missing(loaded: LoadedSessions, study: Study) -> Iterator[Threat]:
    for session in loaded.sessions:
        if session.not_started or session.attempts_unfinished:
            yield Threat(
                code="incomplete",
                weight=Weight.PRECISION,
                title="An incomplete session",
                text=_incomplete(session),
            )


def _incomplete(session: SessionFacts) -> str:
    made = session.planned - session.not_started
    text = f"{session.key}: {made} of {session.planned} planned runs have an end"
    if session.attempts_unfinished:
        text += f"; {session.attempts_unfinished} attempts were cut off and are not counted"
    return text + "."

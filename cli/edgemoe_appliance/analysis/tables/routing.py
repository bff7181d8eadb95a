"""Table 7 of the study: time of routing and of the experts in the MoE blocks, by length of prompt.

Timing nodes slows the engine down, most where nodes are cheap; so no share stands without the
slowdown of the mode that measured it. The study counted the experts' nodes up to their down
projection; its figures stand beside those alone, never beside shares of every node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from edgemoe_appliance.analysis.conditions import (
    ArmPools,
    ModelRuns,
    caveat_texts,
    device_of,
    pools_by_arm,
    sums_sample,
    why_not_comparable,
    with_other_prompts,
    with_prompts_of,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import (
    Absent,
    Sample,
    on_common_prompts,
    ratio_of_means,
)
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    mapped,
    number,
    text,
)
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    found_cell,
    highest_cell,
    less_study,
    mean_cell,
    model_cell,
    own_group,
    plain_mean_cell,
    run_counts,
    sample_cell,
    study_cell,
)
from edgemoe_appliance.analysis.tables.setup import bounds_in_words
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import Stratum, StudyDeviceId

_EVERY_NODE = "every node"
_MODES = {Arm.PROBE_PER_NODE: _EVERY_NODE, Arm.PROBE_BOUNDARY: "edges of groups"}
_ROTATED = {
    Arm.PROBE_PER_NODE: "probe_slowdown_per_node_pct",
    Arm.PROBE_BOUNDARY: "probe_slowdown_boundary_pct",
}
_TURN_SHARES = {
    Arm.PROBE_PER_NODE: "routing_share_decode_per_node_pct",
    Arm.PROBE_BOUNDARY: "routing_share_decode_boundary_pct",
}
_ARMS = (*_MODES, Arm.PROBE_ROTATE, Arm.PLAIN)
_IN_TURN = "modes in turn"
_PLAIN_RUNS = "plain runs"
_TWO_ENGINES = "generation, patched and unpatched engine, all prompts"
_NO_BASE = "neither a run with the modes in turn nor a plain run with these prompts"
_UNSYNCED = "routing_share_projections_decode_unsynced_pct"
_UNSYNCED_EVERY = "routing_share_decode_unsynced_pct"
_SYNC = "probe_sync_s"
_US_PER_S = 1e6
_ONLY_EVERY_NODE = "only timing every node tells the nodes that the study counted"
_NO_BRACKET = "every node is timed by itself: none is charged to another class"
_NOT_COUNTED = "the study counted the experts' projections only"
_NO_TURNS = "no run with the modes in turn and these prompts"
_ONE_BATCH = "of generation only: a prompt is one pass"
_OTHER_PROMPTS = "other or unknown lengths"
_UNKNOWN_CODE = "probe-unknown-nodes"
_MEDIAN = "routing_share_decode_median_pct"
_UNKNOWN = "probe_unknown_nodes"
_MS = Unit.MILLISECONDS.value
_PCT = Unit.PERCENT.value
_MS_PER_S = 1000.0


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of a run: metrics of its times, and of its length and tokens for the slowdown."""

    title: str
    routing: tuple[str, ...]
    experts: tuple[str, ...]
    projections: tuple[str, ...]
    moved: tuple[str, ...]
    lasts: tuple[str, ...]
    tokens: tuple[str, ...]


_PROMPT = _Part(
    title="prompt",
    routing=("routing_prompt_s",),
    experts=("expert_ffn_prompt_s",),
    projections=("expert_projections_prompt_s",),
    moved=("routing_moved_prompt_s",),
    lasts=("prompt_eval_s",),
    tokens=("prompt_tokens",),
)
_GENERATION = _Part(
    title="generation",
    routing=("routing_decode_s",),
    experts=("expert_ffn_decode_s",),
    projections=("expert_projections_decode_s",),
    moved=("routing_moved_decode_s",),
    lasts=("eval_s",),
    tokens=("generated_tokens",),
)
_WHOLE = _Part(
    title="whole run",
    routing=_PROMPT.routing + _GENERATION.routing,
    experts=_PROMPT.experts + _GENERATION.experts,
    projections=_PROMPT.projections + _GENERATION.projections,
    moved=_PROMPT.moved + _GENERATION.moved,
    lasts=_PROMPT.lasts + _GENERATION.lasts,
    tokens=_PROMPT.tokens + _GENERATION.tokens,
)
_PARTS = (_WHOLE, _GENERATION, _PROMPT)
_TIME_COLUMNS = (
    Column(key="routing_ms", title="Routing", unit=_MS, digits=1, meaning="mean over runs"),
    Column(
        key="projections_ms",
        title="Expert FFN, as the study counted",
        unit=_MS,
        digits=1,
        meaning="mean over runs: up, gate, activation and down, the study's 5 nodes of a layer",
    ),
    Column(
        key="counted_moe_ms",
        title="MoE blocks, as the study counted",
        unit=_MS,
        digits=1,
        meaning="routing + these",
    ),
    Column(
        key="ffn_ms",
        title="Expert FFN, every node",
        unit=_MS,
        digits=1,
        meaning="mean over runs: those and the weighting, views and sums behind them",
    ),
    Column(
        key="moe_ms",
        title="MoE blocks, every node",
        unit=_MS,
        digits=1,
        meaning="routing + every node of the experts",
    ),
)
COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="stratum",
        title="Prompts",
        meaning="by tokens, as the engine counted them; the study calls its two classes "
        "decode-dominated and prefill-heavy",
    ),
    Column(key="part", title="Part", meaning="the study prints sums over the whole run"),
    Column(key="mode", title="Timed at", meaning="where the probe waits for the device"),
    *_TIME_COLUMNS,
    Column(
        key="counted_share_pct",
        title="Routing share, as the study counted",
        unit=_PCT,
        digits=2,
        has_interval=True,
        meaning="mean over runs of routing / (routing + projections of the experts); timing "
        "inflates it, see slowdown",
    ),
    Column(
        key="routing_share_pct",
        title="Routing share, every node",
        unit=_PCT,
        digits=2,
        has_interval=True,
        meaning="mean over runs of routing / (routing + every node of the experts); timing "
        "inflates it, see slowdown",
    ),
    Column(
        key="high_share_pct",
        title="Every node, at most",
        unit=_PCT,
        digits=2,
        meaning="edges of groups leave routing's nodes behind the down projection to the experts: "
        "the share itself is the lower end, this the upper one, with the time that timing every "
        "node finds for them",
    ),
    Column(
        key="median_share_pct",
        title="Median share",
        unit=_PCT,
        digits=2,
        meaning="median over the decodes of a run, mean over runs: one disturbed decode does not "
        "move it",
    ),
    Column(
        key="turn_share_pct",
        title="Share, in turn",
        unit=_PCT,
        digits=2,
        has_interval=True,
        meaning="median over decodes of this mode in runs whose modes take turns, mean over runs",
    ),
    Column(
        key="sync_us",
        title="A synchronisation",
        unit="\N{MICRO SIGN}s",
        digits=2,
        has_interval=True,
        meaning="what one adds to a decode: decodes timed at every node less neighbours timed at "
        "edges of groups, by the number of synchronisations between them",
    ),
    Column(
        key="unsynced_share_pct",
        title="Without it, as the study counted",
        unit=_PCT,
        digits=2,
        has_interval=True,
        meaning="share of decodes less that cost, extrapolated to no synchronisation: assumes that "
        "each costs the same, whichever node it follows",
    ),
    Column(
        key="unsynced_every_share_pct",
        title="Without it, every node",
        unit=_PCT,
        digits=2,
        has_interval=True,
        meaning="the same of every node",
    ),
    Column(
        key="slowdown",
        title="Slowdown",
        unit="ratio",
        digits=3,
        has_interval=True,
        meaning="time per token with this timing over that without; 1 is none",
    ),
    Column(
        key="slowdown_from",
        title="Slowdown from",
        meaning="modes in turn: decodes of one process, timed and bare by turns, resolved to about "
        "1 %, of generation only; plain runs: other runs of the same prompts, which drift more",
    ),
    Column(
        key="unknown_nodes",
        title="Unknown names",
        meaning="node names the probe does not know, highest of the runs; counted as other nodes",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(key="study_share_pct", title="Study share", unit=_PCT, digits=1),
    Column(
        key="less_study_pp",
        title="Share less study",
        unit="pp",
        digits=2,
        has_interval=True,
        meaning="percentage points",
    ),
)


def routing_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return the times of routing and of the experts, by stratum of prompts."""
    conditions = pools_by_arm(loaded, study, Feeds.ROUTING, _ARMS) if loaded else ()
    return Table(
        id="routing",
        title="Time in the MoE blocks",
        where=str(study.tables.routing.where),
        columns=COLUMNS,
        groups=(*_own_groups(conditions, study), *_study_groups(study)),
        notes=(*_unknown_names(loaded), *_slowdown_notes(study)),
    )


def _own_groups(conditions: tuple[ArmPools, ...], study: Study) -> Iterator[RowGroup]:
    for arms in conditions:
        rows = tuple(line.row() for line in _lines(arms, study))
        if rows:
            yield own_group(next(iter(arms.by_arm.values())), study, rows)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One row of the reader's: runs of a mode with prompts of a stratum, and a part of them."""

    arms: ArmPools
    mode: Arm
    models: ModelRuns
    stratum: Stratum | None
    part: _Part
    study: Study

    def row(self) -> Row:
        """Return the row."""
        models, reason = self.models, self.models.why_absent(self.part.routing[0])
        moe = (*self.part.routing, *self.part.experts)
        counted = (*self.part.routing, *self.part.projections)
        share = sums_sample(models.ok, self.part.routing, moe).scaled(100)
        as_counted = self._counted(sums_sample(models.ok, self.part.routing, counted).scaled(100))
        cells = {
            "model": model_cell(models, self.arms.by_arm[self.mode]),
            "stratum": text(_in_words(self.stratum, self.study)),
            "part": text(self.part.title),
            "mode": text(_MODES[self.mode]),
            "routing_ms": _time_cell(models, self.part.routing, reason),
            "projections_ms": self._counted_time(self.part.projections),
            "counted_moe_ms": self._counted_time(counted),
            "ffn_ms": _time_cell(models, self.part.experts, reason),
            "moe_ms": _time_cell(models, moe, reason),
            "counted_share_pct": as_counted,
            "routing_share_pct": sample_cell(share, reason),
            "high_share_pct": self._high_cell(sample_cell(share, reason)),
            "median_share_pct": self._median_cell(),
            "turn_share_pct": self._turn_share_cell(),
            **self._unsynced_cells(),
            **self._slowdown_cells(),
            "unknown_nodes": highest_cell(models, _UNKNOWN),
            **run_counts(share.n, models),
            **self._beside_study(as_counted),
        }
        return Row(cells=cells, model=models.model, twin=models.twin_scale)

    def _counted(self, share: Sample) -> Cell:
        if self.mode is not Arm.PROBE_PER_NODE:
            return absent(_ONLY_EVERY_NODE)
        return sample_cell(share, self.models.why_absent(self.part.projections[0]))

    def _counted_time(self, times: tuple[str, ...]) -> Cell:
        if self.mode is not Arm.PROBE_PER_NODE:
            return absent(_ONLY_EVERY_NODE)
        return _time_cell(self.models, times, self.models.why_absent(self.part.projections[0]))

    def _high_cell(self, share: Cell) -> Cell:
        """Return the share with the nodes that edges of groups charge to the experts."""
        if self.mode is not Arm.PROBE_BOUNDARY:
            return absent(_NO_BRACKET)
        timed = self._others(Arm.PROBE_PER_NODE)
        if timed is None or share.number is None:
            return absent("no run with every node timed and these prompts")
        moe = (*self.part.routing, *self.part.experts)
        moved = sums_sample(timed.ok, self.part.moved)
        if not moved.n:
            return absent(timed.why_absent(self.part.moved[0]))
        moved, blocks = on_common_prompts(moved, sums_sample(self.models.ok, moe))
        found = ratio_of_means(moved, blocks)
        if isinstance(found, Absent):
            return absent(found.reason)
        return number(share.number + 100 * found.value, "")

    def _unsynced_cells(self) -> dict[str, Cell]:
        """Return the cost of a synchronisation and the shares of generation without it."""
        keys = ("sync_us", "unsynced_share_pct", "unsynced_every_share_pct")
        rotated = self._others(Arm.PROBE_ROTATE)
        reason = ""
        if self.part is not _GENERATION:
            reason = _ONE_BATCH
        elif self.mode is not Arm.PROBE_PER_NODE:
            reason = "extrapolated from timing every node"
        if reason or rotated is None:
            return {key: absent(reason or _NO_TURNS) for key in keys}
        cells = (
            mean_cell(rotated, _SYNC, 1 / _US_PER_S),
            mean_cell(rotated, _UNSYNCED),
            mean_cell(rotated, _UNSYNCED_EVERY),
        )
        return dict(zip(keys, cells, strict=True))

    def _median_cell(self) -> Cell:
        if self.part is not _GENERATION:
            return absent(_ONE_BATCH)
        return plain_mean_cell(self.models, _MEDIAN)

    def _turn_share_cell(self) -> Cell:
        rotated = self._others(Arm.PROBE_ROTATE)
        if self.part is not _GENERATION:
            return absent(_ONE_BATCH)
        return absent(_NO_TURNS) if rotated is None else mean_cell(rotated, _TURN_SHARES[self.mode])

    def _slowdown_cells(self) -> dict[str, Cell]:
        """Return the slowdown from modes in turn, else from plain runs, and from which."""
        rotated = self._others(Arm.PROBE_ROTATE)
        if rotated is not None and self.part is _GENERATION:
            cell = mean_cell(rotated, _ROTATED[self.mode])
            if cell.number is not None:
                return {
                    "slowdown": mapped(cell, lambda pct: 1 + pct / 100),
                    "slowdown_from": text(_IN_TURN),
                }
        plain = self._others(Arm.PLAIN)
        if plain is None:
            return {key: absent(_NO_BASE) for key in ("slowdown", "slowdown_from")}
        timed, bare = (
            sums_sample(models.ok, self.part.lasts, self.part.tokens)
            for models in (self.models, plain)
        )
        timed, bare = on_common_prompts(timed, bare)
        ratio = ratio_of_means(timed, bare)
        return {"slowdown": found_cell(ratio), "slowdown_from": text(_PLAIN_RUNS)}

    def _others(self, arm: Arm) -> ModelRuns | None:
        """Return the runs of another arm with the same file and prompts of the same stratum."""
        models = self.arms.find(arm, self.models)
        return None if models is None else _strata(models, self.study).get(self.stratum)

    def _beside_study(self, share: Cell) -> dict[str, Cell]:
        reasons = self._why_apart()
        device = device_of(self.arms.condition.setting, self.study)
        printed = self.study.printed_value(
            "routing", device, self.stratum or "", "routing_share_pct"
        )
        return {
            "study_share_pct": study_cell(printed, reasons),
            "less_study_pp": less_study(share, printed, reasons),
        }

    def _why_apart(self) -> tuple[str, ...]:
        """Return why the row is not of what the study printed."""
        if self.models.model != self.study.subject:
            return ("the study timed its MoE model only",)
        if self.part is not _WHOLE or self.mode is not Arm.PROBE_PER_NODE or not self.stratum:
            return (f"the study timed {_EVERY_NODE} of whole runs, in its two classes of prompts",)
        return why_not_comparable(self.arms.by_arm[self.mode], self.study)


def _lines(arms: ArmPools, study: Study) -> Iterator[_Line]:
    for mode in _MODES:
        pool = arms.by_arm.get(mode)
        for models in pool.models if pool else ():
            for stratum, own in _strata(models, study).items():
                for part in _PARTS:
                    yield _Line(
                        arms=arms, mode=mode, models=own, stratum=stratum, part=part, study=study
                    )


def _strata(models: ModelRuns, study: Study) -> dict[Stratum | None, ModelRuns]:
    """Return the runs by class of prompts, those of none under None.

    A class without runs is left out; a run that gave no number of tokens is of no class.
    """
    bounds = study.procedure.routing_strata_tokens
    found: dict[Stratum | None, ModelRuns] = {
        name: with_prompts_of(models, given) for name, given in bounds.items()
    }
    found[None] = with_other_prompts(models, bounds.values())
    return {name: own for name, own in found.items() if len(own.runs)}


def _in_words(stratum: Stratum | None, study: Study) -> str:
    if stratum is None:
        return _OTHER_PROMPTS
    return bounds_in_words(study.procedure.routing_strata_tokens[stratum])


def _time_cell(models: ModelRuns, times: tuple[str, ...], reason: str) -> Cell:
    sample = sums_sample(models.ok, times)
    mean_s = float(sample.values.mean()) if sample.n else None
    return number(mean_s, reason, scale=1 / _MS_PER_S)


def _study_groups(study: Study) -> Iterator[RowGroup]:
    for device, strata in study.tables.routing.cells.items():
        yield RowGroup(
            label=f"Study: {study.devices[device].label}",
            source="study",
            device=device,
            rows=tuple(
                _study_row(study, device, stratum)
                for stratum in study.procedure.routing_strata_tokens
                if stratum in strata
            ),
        )


def _study_row(study: Study, device: StudyDeviceId, stratum: Stratum) -> Row:
    moe = study.subject
    printed = partial(study.printed_value, "routing", device, stratum)
    slowdown = study.printed_value("slowdown", device, moe, "slowdown_ratio")
    cells = {
        "model": text(study.models[moe].name),
        "stratum": text(_in_words(stratum, study)),
        "part": text(_WHOLE.title),
        "mode": text(_EVERY_NODE),
        "routing_ms": number(printed("routing_ms"), NOT_PRINTED),
        "projections_ms": number(printed("ffn_ms"), NOT_PRINTED),
        "counted_moe_ms": number(printed("moe_ms"), NOT_PRINTED),
        "ffn_ms": absent(_NOT_COUNTED),
        "moe_ms": absent(_NOT_COUNTED),
        "counted_share_pct": number(printed("routing_share_pct"), NOT_PRINTED),
        "routing_share_pct": absent(_NOT_COUNTED),
        "high_share_pct": absent(_NOT_COUNTED),
        "median_share_pct": absent(NOT_PRINTED),
        "turn_share_pct": absent(NOT_PRINTED),
        **dict.fromkeys(
            ("sync_us", "unsynced_share_pct", "unsynced_every_share_pct"), absent(NOT_PRINTED)
        ),
        "slowdown": number(slowdown, NOT_PRINTED),
        "slowdown_from": text(_TWO_ENGINES if slowdown else None, NOT_PRINTED),
        "unknown_nodes": absent(NOT_PRINTED),
        "n": number(printed("runs"), NOT_PRINTED),
        "not_ok": absent(NOT_PRINTED),
        "study_share_pct": absent(STUDY_ROW),
        "less_study_pp": absent(STUDY_ROW),
    }
    return Row(cells=cells, model=moe)


def _unknown_names(loaded: LoadedSessions | None) -> Iterator[str]:
    """Yield which names the probe did not know, with the number of runs that met them."""
    if loaded is None:
        return
    for words, runs in caveat_texts(loaded, _UNKNOWN_CODE).items():
        yield f"{runs} probed runs: {words}."


def _slowdown_notes(study: Study) -> Iterator[str]:
    """Yield what timing every node costs, in the digits that the study prints."""
    table = study.tables.slowdown
    for device, models in table.cells.items():
        for model, cost in models.items():
            yield (
                f"Timing every node on {study.devices[device].label} slows "
                f"{study.models[model].name} from {cost.unpatched_tok_s:g} to "
                f"{cost.patched_tok_s:g} tok/s, {cost.slowdown_ratio:g} times ({table.where})."
            )

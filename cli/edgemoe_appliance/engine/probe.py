"""The routing probe: how it is asked for, its report as frozen types, the figures that follow.

Pure: it reads no file and starts no process. It pools nothing across processes, that is for the
analysis.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from edgemoe_appliance.engine.probe_build import ProbeBuild
from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.base import Frozen

PROBE_SCHEMA: Final = 2
# The library keeps at most 32768 calls (report.h, kMaxDecodes), of less than 800 bytes each, and
# the choices of 128 layers among 512 experts, of prompts and of generation.
MAX_REPORT_BYTES: Final = 32 * 1024 * 1024
MAX_CALLS: Final = 32768
MAX_LAYERS: Final = 128
MAX_EXPERTS: Final = 512
# Fewer values have no 95 % interval of their median: from the least to the greatest of five it is
# 1 - 2 / 2^5 = 0.94.
_MIN_VALUES: Final = 6

LineT = TypeVar("LineT", bound=Frozen)


class ProbeMode(str, Enum):
    """What a probed process does."""

    OFF = "off"  # keeps the log of calls, nothing else
    BOUNDARY = "boundary"  # synchronises at the edges of groups of nodes
    PER_NODE = "per-node"  # synchronises at every node, as the study did
    ROTATE = "rotate"  # bare, boundary and per-node in turn, call by call


class CallMode(str, Enum):
    """How one call was run."""

    OFF = "off"
    BARE = "bare"  # no callback, but waited for, so that its length can be compared
    BOUNDARY = "boundary"
    PER_NODE = "per-node"


class PassKind(str, Enum):
    """What a call did: one token is generation, more are a prompt (as the engine counts)."""

    PROMPT = "prompt"
    DECODE = "decode"


class NodeClass(str, Enum):
    """What a node of the compute graph belongs to."""

    ROUTING = "routing"
    EXPERT_FFN = "expert_ffn"
    ATTENTION = "attention"
    HEAD = "head"
    OTHER = "other"


_CLASSES: Final = tuple(NodeClass)
_MOE: Final = (NodeClass.ROUTING, NodeClass.EXPERT_FFN)

StrictCount = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
PerClass = Annotated[
    tuple[StrictCount, ...], Field(min_length=len(_CLASSES), max_length=len(_CLASSES))
]


class ProbeFailure(Frozen):
    """Something the probe could not do, and how often."""

    code: Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]
    times: StrictCount
    symbol: Annotated[str, Field(max_length=64)] | None = None


class UnknownNode(Frozen):
    """A node name that is in no table; its time counts as `other`.

    `timed_ns` is the time of `timed_nodes` of them, those seen one by one in per-node mode.
    """

    name: Annotated[str, Field(max_length=64)]
    nodes: StrictCount
    timed_nodes: StrictCount
    timed_ns: StrictCount


class ProbeHead(Frozen):
    """The first line of a report. Reports of schema 1 know no `layers_used`."""

    schema_name: Literal["edgemoe-probe"] = Field(alias="schema")
    version: Literal[1, 2]
    mode: ProbeMode
    reason: Literal["perf_print", "exit", "signal"]
    pid: StrictCount
    clock: Literal["CLOCK_MONOTONIC", "CLOCK_UPTIME_RAW"]
    decodes: Annotated[int, Field(strict=True, ge=0, le=MAX_CALLS)]
    discarded: StrictCount
    layers_used: Annotated[int, Field(strict=True, ge=0, le=2 * MAX_LAYERS)] = 0
    in_decode: bool
    classes: tuple[NodeClass, ...]
    failures: Annotated[tuple[ProbeFailure, ...], Field(max_length=64)]
    unknown: Annotated[tuple[UnknownNode, ...], Field(max_length=64)]

    @model_validator(mode="after")
    def _our_classes(self) -> ProbeHead:
        if self.classes != _CLASSES:
            raise ValueError("the classes are not those of this appliance")
        return self


class ProbeCall(Frozen):
    """One call of llama_decode. The fields from `graphs` on are there when `timed` is true.

    `class_ns` and the node counts follow the order of NodeClass: `nodes` counts a node under
    its own class, `charged` under the class that got its time, `class_syncs` the
    synchronisations in that time. `projections` are the experts' nodes up to their down
    projection. The times of these, of the routing nodes that boundary mode charges to the experts
    (`moved_ns`) and of reading the chosen experts, which lies in `wall_ns`, are there in per-node
    mode. Reports of schema 1 have none of the last six.
    """

    kind: PassKind
    mode: CallMode
    tokens: StrictCount
    kv_cells: StrictCount | None = None
    result: Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
    start_ns: StrictCount
    wall_ns: StrictCount
    timed: bool
    graphs: StrictCount | None = None
    syncs: StrictCount | None = None
    class_ns: PerClass | None = None
    nodes: PerClass | None = None
    charged: PerClass | None = None
    class_syncs: PerClass | None = None
    projections: StrictCount | None = None
    projections_ns: StrictCount | None = None
    moved_ns: StrictCount | None = None
    reading_ns: StrictCount | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ProbeCall:
        if (self.tokens == 1) != (self.kind is PassKind.DECODE):
            raise ValueError("kind and tokens disagree")
        parts = (self.graphs, self.syncs, self.class_ns, self.nodes, self.charged)
        if any((part is not None) != self.timed for part in parts):
            raise ValueError("timed and the times disagree")
        if self.timed and sum(self.class_ns or ()) > self.wall_ns:
            raise ValueError("the classes took longer than the call")
        if sum(self.nodes or ()) != sum(self.charged or ()):
            raise ValueError("nodes and charged nodes disagree")
        if (self.projections_ns or 0) > self.time_of(NodeClass.EXPERT_FFN):
            raise ValueError("the experts' projections took longer than the experts")
        if (self.moved_ns or 0) > self.time_of(NodeClass.ROUTING):
            raise ValueError("some of routing's nodes took longer than all of them")
        return self

    def time_of(self, cls: NodeClass) -> int:
        """Return the time of a class, 0 where the call is not timed."""
        return self.class_ns[_CLASSES.index(cls)] if self.class_ns else 0

    def syncs_of(self, cls: NodeClass) -> int:
        """Return the synchronisations in the time of a class, 0 where that is not told."""
        return self.class_syncs[_CLASSES.index(cls)] if self.class_syncs else 0

    @property
    def own_wall_ns(self) -> int:
        """Return how long the call took without the reading of the chosen experts."""
        return self.wall_ns - (self.reading_ns or 0)


class LayerChoice(Frozen):
    """Which experts one layer's router chose for the tokens of one kind of call.

    `counts` says for each expert how many tokens took it. Of the experts that tokens with a token
    before them took (`pairs`), `reused` were taken by that one too.
    """

    chosen_in: PassKind
    layer: Annotated[int, Field(strict=True, ge=0, lt=MAX_LAYERS)]
    tokens: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    pairs: StrictCount
    reused: StrictCount
    counts: Annotated[tuple[StrictCount, ...], Field(min_length=1, max_length=MAX_EXPERTS)]

    @model_validator(mode="after")
    def _consistent(self) -> LayerChoice:
        if not self.reused <= self.pairs <= sum(self.counts):
            raise ValueError("more experts reused than chosen")
        if not sum(self.counts):
            raise ValueError("tokens without an expert")
        return self

    @property
    def distinct(self) -> int:
        """Return how many experts any token took."""
        return sum(count > 0 for count in self.counts)

    @property
    def entropy_bits(self) -> float:
        """Return the entropy of use: log2 of the number of experts where all are used alike.

        The plain estimate from counts, which is too low for few tokens.
        """
        total = sum(self.counts)
        return -sum(n / total * math.log2(n / total) for n in self.counts if n) + 0.0

    @property
    def reuse(self) -> float | None:
        """Return the mean share of a token's experts that the token before took; None of one."""
        return self.reused / self.pairs if self.pairs else None


@dataclass(frozen=True, kw_only=True)
class Median:
    """A median of `n` values; `low` and `high` bound it with 95 % confidence.

    The bounds are None where there are too few values.
    """

    n: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PassFigures:
    """Sums over the timed calls of one kind in one mode.

    `routing_shares` holds the share of each call, ascending; it is empty for a dense model.
    `projection_shares` are those of routing in routing and the experts' projections, the nodes that
    the study counted. What schema 1 or the mode does not tell is None, or empty.
    """

    kind: PassKind
    mode: CallMode
    calls: int
    tokens: int
    wall_ns: int
    syncs: int
    class_ns: Mapping[NodeClass, int]
    nodes: Mapping[NodeClass, int]
    charged: Mapping[NodeClass, int]
    routing_shares: tuple[float, ...]
    projection_shares: tuple[float, ...]
    projections: int | None
    projections_ns: int | None
    moved_ns: int | None

    @property
    def moe_ns(self) -> int:
        """Return the time of the MoE blocks: routing and experts."""
        return sum(self.class_ns[cls] for cls in _MOE)

    @property
    def routing_share(self) -> float | None:
        """Return routing's part of the MoE blocks' time; None for a model without routing.

        A ratio of sums, as the study's. Where other processes take the processor in some calls it
        is too high: short nodes suffer most. The median over the calls is not moved by these.
        """
        if not self.nodes[NodeClass.ROUTING] or not self.moe_ns:
            return None
        return self.class_ns[NodeClass.ROUTING] / self.moe_ns

    @property
    def median_routing_share(self) -> Median | None:
        """Return the median over the calls of routing's part; None without routing."""
        return _median(self.routing_shares) if self.routing_shares else None

    @property
    def median_projection_share(self) -> Median | None:
        """Return the same of the nodes that the study counted; None where they are not told."""
        return _median(self.projection_shares) if self.projection_shares else None

    @property
    def class_shares(self) -> dict[NodeClass, float]:
        """Return each class's part of the graphs' time, without classes charged with no node."""
        total_ns = sum(self.class_ns.values())
        if not total_ns:
            return {}
        return {cls: self.class_ns[cls] / total_ns for cls in _CLASSES if self.charged[cls]}

    @property
    def outside_graph_ns(self) -> int:
        """Return the calls' time that no node had: building graphs, moving inputs and outputs."""
        return self.wall_ns - sum(self.class_ns.values())

    @property
    def nodes_per_call(self) -> dict[NodeClass, float]:
        """Return how many nodes of each class a call had, on average."""
        return {cls: count / self.calls for cls, count in self.nodes.items()}

    @property
    def projections_per_call(self) -> float | None:
        """Return how many projections of experts a call had, on average; None if not told."""
        return None if self.projections is None else self.projections / self.calls

    @property
    def moved_nodes(self) -> int:
        """Return how many nodes' time went, at least, to another class than their own."""
        return sum(max(0, self.nodes[cls] - self.charged[cls]) for cls in _CLASSES)


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """What one probed process reported."""

    head: ProbeHead
    calls: tuple[ProbeCall, ...]
    choices: tuple[LayerChoice, ...] = ()

    def figures(self, kind: PassKind, mode: CallMode) -> PassFigures | None:
        """Return the sums over the good, timed calls; None where there are none."""
        calls = [c for c in self._good(kind) if c.mode is mode and c.timed]
        return _sum_calls(kind, mode, calls) if calls else None

    @cached_property
    def prompt(self) -> PassFigures | None:
        """Return the prompt passes in the report's own mode; None where that times nothing."""
        return self._own(PassKind.PROMPT)

    @cached_property
    def decode(self) -> PassFigures | None:
        """Return the generated tokens in the report's own mode; None where it times nothing."""
        return self._own(PassKind.DECODE)

    @cached_property
    def routing_absence(self) -> str | None:
        """Return why there are no routing figures; None where there are some."""
        timed = [call for call in self.calls if call.timed and call.nodes]
        if any(call.nodes and call.nodes[0] for call in timed):
            return None
        if timed:
            return "the model has no routing nodes: it is dense"
        if self.head.failures:
            codes = ", ".join(failure.code for failure in self.head.failures)
            return f"the probe could not measure: {codes}"
        if self.head.mode is ProbeMode.OFF:
            return "the probe was loaded but off"
        return "no decode was measured"

    def slowdown(self, mode: CallMode, kind: PassKind = PassKind.DECODE) -> Median | None:
        """Return how many times as long as a bare call one in `mode` takes.

        The values are ratios within blocks of three neighbouring calls, so slow drift does not
        touch them. None unless the modes were rotated within the process.
        """
        if mode not in (CallMode.BOUNDARY, CallMode.PER_NODE):
            return None
        ratios = sorted(self._block_ratios(kind, mode))
        return _median(ratios) if ratios else None

    @cached_property
    def sync_ns(self) -> Median | None:
        """Return what one synchronisation adds to a decode, in ns; None unless modes were rotated.

        Between per-node and boundary mode a decode differs by nothing but its synchronisations: the
        values are the difference of two neighbouring calls over that of their synchronisations.
        """
        costs = sorted(
            (nodes.own_wall_ns - edges.own_wall_ns) / (nodes.syncs - edges.syncs)
            for nodes, edges in self._pairs()
            if nodes.syncs and edges.syncs and nodes.syncs > edges.syncs
        )
        return _median(costs) if costs else None

    def unsynced_share(self, *, projections_only: bool) -> float | None:
        """Return routing's part in per-node decodes less the cost of their synchronisations.

        The median over decodes. Assumes that each synchronisation costs the same, whichever node it
        follows, and adds to that node's time. None where the cost is not known, where most decodes
        cannot hold so much (the assumption fails there), or where the bounds of the cost leave the
        share open by more than itself.
        """
        cost = self.sync_ns
        if cost is None or cost.low is None or cost.high is None:
            return None
        share, *ends = (
            self._share_at(each, projections_only) for each in (cost.value, cost.low, cost.high)
        )
        known = [end for end in ends if end is not None]
        is_open = share is None or len(known) < len(ends) or max(known) - min(known) > share
        return None if is_open else share

    def _share_at(self, cost_ns: float, projections_only: bool) -> float | None:
        calls = [nodes for nodes, _ in self._pairs()]
        shares = [_unsynced(call, cost_ns, projections_only) for call in calls]
        known = [share for share in shares if share is not None]
        return statistics.median(known) if 2 * len(known) > len(calls) else None

    @cached_property
    def boundary_share_bounds(self) -> tuple[float, float] | None:
        """Return between what boundary mode leaves routing's part open, medians over its decodes.

        Some of routing's nodes stand between those of the experts and are charged to them. At
        least they take no time; at most that which a per-node decode finds, its synchronisations
        included. None unless modes were rotated and schema 2 tells it.
        """
        bounds = []
        for nodes, edges in self._pairs():
            routing, experts = (edges.time_of(cls) for cls in _MOE)
            if nodes.moved_ns is not None and routing and experts:
                moved = min(nodes.moved_ns, experts)
                moe = routing + experts
                bounds.append((routing / moe, (routing + moved) / moe))
        if not bounds:
            return None
        low, high = (statistics.median(side) for side in zip(*bounds, strict=True))
        return low, high

    def _pairs(self) -> Iterator[tuple[ProbeCall, ProbeCall]]:
        """Yield the per-node and the boundary call of each block of rotated decodes."""
        for block in self._blocks(PassKind.DECODE):
            nodes, edges = block[CallMode.PER_NODE], block[CallMode.BOUNDARY]
            if nodes.timed and edges.timed:
                yield nodes, edges

    def _own(self, kind: PassKind) -> PassFigures | None:
        if self.head.mode not in (ProbeMode.BOUNDARY, ProbeMode.PER_NODE):
            return None
        return self.figures(kind, CallMode(self.head.mode.value))

    def _good(self, kind: PassKind) -> list[ProbeCall]:
        return [call for call in self.calls if call.kind is kind and call.result == 0]

    def _block_ratios(self, kind: PassKind, mode: CallMode) -> Iterator[float]:
        """Yield mode / bare for each block."""
        for block in self._blocks(kind):
            yield block[mode].own_wall_ns / max(1, block[CallMode.BARE].own_wall_ns)

    def _blocks(self, kind: PassKind) -> Iterator[Mapping[CallMode, ProbeCall]]:
        """Yield each block of three neighbours of a rotation that has every mode once."""
        if self.head.mode is not ProbeMode.ROTATE:
            return
        calls = [call for call in self.calls if call.kind is kind]
        for start in range(0, len(calls) - 2, 3):
            block = {c.mode: c for c in calls[start : start + 3] if c.result == 0}
            if set(block) == {CallMode.BARE, CallMode.BOUNDARY, CallMode.PER_NODE}:
                yield block


def probe_environment(probe: ProbeBuild, mode: ProbeMode, out_file: Path) -> dict[str, str]:
    """Return the variables that load the probe into an engine and tell it where to report.

    Raises HostError where the loader would misread the library's path.
    """
    library = str(probe.library)
    if any(sign in library for sign in ": \t\n"):
        raise HostError(
            "the loader cannot preload a library from a path with a space or a colon",
            where=library,
            hint="choose another folder",
        )
    preload = "DYLD_INSERT_LIBRARIES" if sys.platform == "darwin" else "LD_PRELOAD"
    return {
        preload: library,
        "EDGEMOE_PROBE_MODE": mode.value,
        "EDGEMOE_PROBE_OUT": str(out_file),
    }


def parse_probe_report(content: bytes, where: str) -> ProbeReport:
    """Parse the file a probe wrote.

    Raises RecordError that says where, and whether it is damaged, foreign or newer.
    """
    if len(content) > MAX_REPORT_BYTES:
        raise _unreadable(f"{len(content)} bytes are more than a probe writes", where)
    lines = content.splitlines()
    if not lines:
        raise _unreadable("empty", where)
    head = _parse_line(lines[0], f"{where}, line 1", _parse_head)
    wanted = head.decodes + head.layers_used
    if len(lines) - 1 != wanted:
        raise _unreadable(f"{len(lines) - 1} lines where the head says {wanted}", where)
    calls = _parse_lines(lines[: head.decodes + 1], 1, where, ProbeCall)
    choices = _parse_lines(lines, head.decodes + 1, where, LayerChoice)
    return ProbeReport(head=head, calls=calls, choices=choices)


def _parse_lines(
    lines: Sequence[bytes], start: int, where: str, kind: type[LineT]
) -> tuple[LineT, ...]:
    return tuple(
        _parse_line(line, f"{where}, line {number}", kind.model_validate)
        for number, line in enumerate(lines[start:], start=start + 1)
    )


def _unreadable(what: str, where: str) -> RecordError:
    return RecordError(what, where=where, hint="not a probe's report, or a damaged one")


def _parse_head(data: Any) -> ProbeHead:
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > PROBE_SCHEMA:
        raise RecordError(
            f"report of schema {version}, this appliance reads up to {PROBE_SCHEMA}",
            hint="use the probe of this appliance",
        )
    return ProbeHead.model_validate(data)


def _parse_line(line: bytes, where: str, parse: Callable[[Any], LineT]) -> LineT:
    try:
        return parse(json.loads(line))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "line"
        raise _unreadable(f"{key}: {first['msg']}", where) from error
    except RecordError as error:
        raise RecordError(error.what, where=where, hint=error.hint) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable("not a line of JSON", where) from error


def _sum_calls(kind: PassKind, mode: CallMode, calls: Sequence[ProbeCall]) -> PassFigures:
    return PassFigures(
        kind=kind,
        mode=mode,
        calls=len(calls),
        tokens=sum(call.tokens for call in calls),
        wall_ns=sum(call.wall_ns for call in calls),
        syncs=sum(call.syncs or 0 for call in calls),
        class_ns=_by_class([call.class_ns for call in calls]),
        nodes=_by_class([call.nodes for call in calls]),
        charged=_by_class([call.charged for call in calls]),
        routing_shares=tuple(sorted(_routing_shares(calls))),
        projection_shares=tuple(sorted(_projection_shares(calls))),
        projections=_sum_known([call.projections for call in calls]),
        projections_ns=_sum_known([call.projections_ns for call in calls]),
        moved_ns=_sum_known([call.moved_ns for call in calls]),
    )


def _routing_shares(calls: Sequence[ProbeCall]) -> Iterator[float]:
    for call in calls:
        moe_ns = sum(call.time_of(cls) for cls in _MOE)
        if moe_ns and call.nodes and call.nodes[_CLASSES.index(NodeClass.ROUTING)]:
            yield call.time_of(NodeClass.ROUTING) / moe_ns


def _projection_shares(calls: Sequence[ProbeCall]) -> Iterator[float]:
    for call in calls:
        if call.projections and call.projections_ns:
            routing_ns = call.time_of(NodeClass.ROUTING)
            yield routing_ns / (routing_ns + call.projections_ns)


def _unsynced(call: ProbeCall, cost_ns: float, projections_only: bool) -> float | None:
    """Return routing's part in one per-node call without its synchronisations."""
    experts_ns, syncs = call.time_of(NodeClass.EXPERT_FFN), call.syncs_of(NodeClass.EXPERT_FFN)
    if projections_only:
        experts_ns, syncs = call.projections_ns or 0, call.projections or 0
    routing = call.time_of(NodeClass.ROUTING) - cost_ns * call.syncs_of(NodeClass.ROUTING)
    experts = experts_ns - cost_ns * syncs
    return routing / (routing + experts) if syncs and routing >= 0 and experts > 0 else None


def _sum_known(values: Sequence[int | None]) -> int | None:
    """Return a sum, None where one of the values is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _by_class(rows: Sequence[tuple[int, ...] | None]) -> dict[NodeClass, int]:
    columns = zip(*(row for row in rows if row), strict=True)
    return dict(zip(_CLASSES, map(sum, columns), strict=True))


def _median(ordered: Sequence[float]) -> Median:
    """Return the median of ascending values with bounds that hold whatever the distribution.

    Source: order statistics, normal approximation of the binomial (Hahn and Meeker, Statistical
    Intervals, section 5.2): ranks n/2 -+ 1.96 sqrt(n)/2.
    """
    n = len(ordered)
    value = statistics.median(ordered)
    if n < _MIN_VALUES:
        return Median(n=n, value=value, low=None, high=None)
    rank = max(1, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return Median(n=n, value=value, low=ordered[rank - 1], high=ordered[n - rank])

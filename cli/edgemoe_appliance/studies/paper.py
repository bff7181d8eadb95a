"""study.yaml: what a study was made of, and what its tables and text print.

Only as printed. Ratios, differences and verdicts are worked out elsewhere, from these. A figure
that is None is one that the study does not report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from edgemoe_appliance.schema.base import Frozen, Positive
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import GitCommit, Identifier
from edgemoe_appliance.schema.units import GB, GIB

# Each study names its own devices, classes of prompts by length, and strata of prompts by tokens.
StudyDeviceId = Identifier
LengthClass = Identifier
Stratum = Identifier
# A name that ends in its unit; the endings are those of the file.
FigureName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9_]+_(pct|pp|ratio|tok_s|ms|s|w|c|gib_per_gb|gib|gb|runs|nodes|prompts|repetitions)$"
    ),
]
# The unit that the end of a figure's name stands for, longest endings first.
_UNITS = {
    "_parameters_billion": "billion",
    "_j_per_tok": "J/tok",
    "_tok_s": "tok/s",
    "_pct": "%",
    "_pp": "points",
    "_ratio": "ratio",
    "_gib_per_gb": "GiB/GB",
    "_gib": "GiB",
    "_gb": "GB",
    "_ms": "ms",
    "_w": "W",
    "_c": "\N{DEGREE SIGN}C",
    "_s": "s",
}
WordRange = tuple[int, int]


def figure_unit(name: str) -> str:
    """Return the unit that a figure's name ends in, as printed; `1` for a count."""
    whole = name.removesuffix("/low").removesuffix("/high")
    return next((unit for ending, unit in _UNITS.items() if whole.endswith(ending)), "1")


# What brings a figure of one unit to another.
_FACTORS: Mapping[tuple[str, str], float] = {
    ("%", "points"): 1.0,
    ("%", "ratio"): 0.01,
    ("GB", "B"): GB,
    ("GiB", "B"): GIB,
    ("GiB/GB", "ratio"): GIB / GB,
    ("ms", "s"): 1e-3,
    ("billion", "1"): 1e9,
}


def unit_factor(unit: str, wanted: str) -> float:
    """Return what a figure in a unit is multiplied by to be in another.

    Raises ValueError where there is no such factor.
    """
    if unit == wanted:
        return 1.0
    if (unit, wanted) not in _FACTORS:
        raise ValueError(f"{unit} cannot be brought to {wanted}")
    return _FACTORS[unit, wanted]


class StudySource(Frozen):
    """Which publication the figures are from."""

    title: str
    authors: str
    repository: str


class StatedConditions(Frozen):
    """What a study held fixed on a device, as a record of the machine can show it.

    `board` is a part of the device's or the processor's own name, `power_mode` the name of
    nvpmodel's mode, `clocks_held` that no clock had room to move, `swap` a part of the name of an
    area that memory could be swapped to, `cooldown_s` the pause before a run. What is None was not
    stated.
    """

    board: str | None = None
    power_mode: str | None = None
    clocks_held: bool = False
    swap: str | None = None
    cooldown_s: Positive | None = None


class StudyDevice(Frozen):
    """A device of the study; `memory_gb` is its nominal memory.

    Runs on one of `targets` are runs on that device, as far as their host agrees.
    """

    label: str
    targets: tuple[Identifier, ...]
    name: str
    memory_gb: Positive
    backend: Literal["Metal", "CUDA", "CANN"]
    cmake: tuple[str, ...]
    energy_reported: bool
    power_mode_w: Positive | None = None
    conditions: StatedConditions | None = None


class ThreadSweep(Frozen):
    """The study's search for the best number of threads; its rates are not in the text."""

    device: StudyDeviceId
    threads: tuple[int, ...]
    runs: int


class TokenBounds(Frozen):
    """Which prompts belong to a stratum, by their tokens."""

    at_most: int | None = None
    at_least: int | None = None


class Procedure(Frozen):
    """How the study measured; what is None it does not tell, or its method has none.

    `long_category` is the one of the equally large categories whose prompts are as long as the
    longest class of length. `run_order` is how the runs of the models followed one another, None
    where it was not stated. `variation_limit` names the figure of the text above which a
    variation would not be trusted.
    """

    engine: str
    engine_tag: str | None = None
    engine_commit: GitCommit | None = None
    n_gpu_layers: int | None = None
    threads: int | None = None
    quantization: str
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_new_tokens: int | None = None
    prompts: int | None = None
    prompt_categories: int | None = None
    long_category: str | None = None
    repetitions: int | None = None
    repetitions_when_hot: int | None = None
    thermal_threshold_c: float | None = None
    cooldown_s: float | None = None
    run_order: Order | None = None
    rss_poll_s: float | None = None
    tegrastats_hz: float | None = None
    headline_runs_per_cell: int | None = None
    prompt_length_words: dict[LengthClass, WordRange] = Field(default_factory=dict)
    thread_sweep: ThreadSweep | None = None
    routing_strata_tokens: dict[Stratum, TokenBounds] = Field(default_factory=dict)
    variation_limit: str | None = None

    @property
    def engine_label(self) -> str:
        """Return the engine with its version and the beginning of its commit, as far as known."""
        commit = f"(git {self.engine_commit[:12]})" if self.engine_commit else ""
        return " ".join(part for part in (self.engine_tag or self.engine, commit) if part)


class StudyModel(Frozen):
    """A model as the study counts it; the last three are given for the MoE model only.

    What is None the study does not print: a file that it never had, of a model of its kind.
    """

    name: str
    role: Identifier
    active_parameters_billion: Positive | None = None
    total_parameters_billion: Positive | None = None
    file_gb: Positive | None = None
    layers: int | None = None
    experts: int | None = None
    experts_used: int | None = None


class Throughput(Frozen):
    """Generation rate of a cell."""

    mean_tok_s: Positive | None = None
    median_tok_s: Positive | None = None


class Memory(Frozen):
    """Peak resident memory of a cell; the ratio is the printed one, of GiB to GB."""

    peak_rss_gib: Positive | None = None
    peak_over_file_ratio: Positive | None = None


class PromptLength(Frozen):
    """Generation rate by length of the prompt; `slope_pct` is the fall from short to long."""

    short_tok_s: Positive | None = None
    medium_tok_s: Positive | None = None
    long_tok_s: Positive | None = None
    slope_pct: float | None = None


class Stability(Frozen):
    """Coefficient of variation of the rate: the value, or the bounds that the text gives."""

    cv_pct: Positive | None = None
    cv_at_least_pct: Positive | None = None
    cv_at_most_pct: Positive | None = None


class Energy(Frozen):
    """Energy, power and heat of a cell, over the study's own window."""

    mean_j_per_tok: Positive | None = None
    median_j_per_tok: Positive | None = None
    avg_power_w: Positive | None = None
    peak_power_w: Positive | None = None
    peak_soc_c: Positive | None = None


class Routing(Frozen):
    """Time in the MoE blocks of the patched engine, for a stratum of prompts."""

    runs: int | None = None
    routing_ms: Positive | None = None
    ffn_ms: Positive | None = None
    moe_ms: Positive | None = None
    routing_share_pct: Positive | None = None


class Slowdown(Frozen):
    """Generation rate with and without the patch that times every node."""

    patched_tok_s: Positive | None = None
    unpatched_tok_s: Positive | None = None
    slowdown_ratio: Positive | None = None


class Where(Frozen):
    """The place in the study; `str` gives it as it is cited."""

    section: str = ""
    table: int | None = None
    figure: int | None = None

    def __str__(self) -> str:
        """Return `section 4.1, Table 3, Fig. 1`, without the parts that are absent."""
        parts = [f"section {self.section}"] if self.section else []
        parts += [f"Table {self.table}"] if self.table else []
        parts += [f"Fig. {self.figure}"] if self.figure else []
        return ", ".join(parts)


CellT = TypeVar("CellT", bound=Frozen)


class StudyTable(Frozen, Generic[CellT]):
    """One table of the study: its place and its cells by device and row."""

    where: Where = Where()
    cells: dict[StudyDeviceId, dict[Identifier, CellT]] = Field(default_factory=dict)

    def rows(self, device: str | None) -> Mapping[str, CellT]:
        """Return the rows of a device in the study's order, none where it reports none."""
        return next((rows for name, rows in self.cells.items() if name == device), {})


class StatedFigure(Frozen):
    """A number of the text: a value or a range, and in what sense it is meant."""

    section: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    sense: Literal["exact", "about", "at-most", "below"] = "exact"
    of: str

    @model_validator(mode="after")
    def _value_or_range(self) -> StatedFigure:
        numbers = (self.value is not None, self.low is not None, self.high is not None)
        if numbers not in {(True, False, False), (False, True, True)}:
            raise ValueError("needs either value, or low and high")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class StudyTables(Frozen):
    """The tables that a study may print; one without cells is one that it does not."""

    throughput: StudyTable[Throughput] = StudyTable[Throughput]()
    memory: StudyTable[Memory] = StudyTable[Memory]()
    prompt_length: StudyTable[PromptLength] = StudyTable[PromptLength]()
    stability: StudyTable[Stability] = StudyTable[Stability]()
    energy: StudyTable[Energy] = StudyTable[Energy]()
    routing: StudyTable[Routing] = StudyTable[Routing]()
    slowdown: StudyTable[Slowdown] = StudyTable[Slowdown]()

    def named(self, name: str) -> StudyTable[Any]:
        """Return a table by its name, words joined by `-` or `_`."""
        table: StudyTable[Any] = getattr(self, name.replace("-", "_"))
        return table

    @classmethod
    def figures(cls) -> dict[str, tuple[str, ...]]:
        """Return the names of the figures of a cell, by the name of the table."""
        cells = {
            name.replace("_", "-"): info.annotation.__pydantic_generic_metadata__["args"][0]
            for name, info in cls.model_fields.items()
            if info.annotation is not None
        }
        return {name: tuple(cell.model_fields) for name, cell in cells.items()}


class Places(Frozen):
    """Where a study describes how it was made, as it is cited; empty where it does not."""

    hardware: str = ""
    models: str = ""
    prompts: str = ""
    procedure: str = ""
    experiments: str = ""


class DevicePeaks(Frozen):
    """What a device of the study can do at most, and where that is known from.

    `flops` is the peak rate of operations on the data type `flops_type`; another type has another
    peak, so a share of it means nothing without its name.
    """

    bandwidth_gb_s: Positive
    bandwidth_source: str
    flops: Positive
    flops_type: str
    flops_source: str


class MeanContext(Frozen):
    """The mean number of positions that a generated token attends to, as far as it is known."""

    low: Positive
    high: Positive
    source: str

    @model_validator(mode="after")
    def _ordered(self) -> MeanContext:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class NodeCounts(Frozen):
    """The names of the figures of the text that count nodes: of a run, and outside to inside."""

    section: str
    routing: str
    experts: str
    outside_ratio: str


class GraphFacts(Frozen):
    """The nodes of the subject's graph for one token, and where that is known from.

    `routing_per_layer` and `expert_per_layer` are those that carry the names which the study's
    patch looks for, `block_per_layer` all that lie inside a layer's MoE block, whatever their
    names. `stated` names what the study prints of them.
    """

    nodes: int = Field(gt=0)
    routing_per_layer: int = Field(gt=0)
    expert_per_layer: int = Field(gt=0)
    block_per_layer: int | None = Field(default=None, gt=0)
    source: str
    stated: NodeCounts


class ExpertFacts(Frozen):
    """Bytes of all experts of the subject by the type of file, and where they are known from."""

    bytes_by_file_type: dict[str, int]
    source: str


class Paper(Frozen):
    """study.yaml: what was studied, and every figure that is printed.

    `subject` is the model that the study is about, `baseline` the one that its ratios refer to;
    `roles` are the titles of what models stand for, `places` say where the study describes how it
    was made. `graph` is there where the study counts the nodes of its subject's graph, `experts`
    where it speaks of other quantisations of them.
    """

    source: StudySource
    subject: Identifier
    baseline: Identifier
    roles: dict[Identifier, str]
    places: Places = Field(default_factory=Places)
    devices: dict[StudyDeviceId, StudyDevice]
    procedure: Procedure
    models: dict[Identifier, StudyModel]
    tables: StudyTables = StudyTables()
    stated: dict[FigureName, StatedFigure] = Field(default_factory=dict)
    peaks: dict[StudyDeviceId, DevicePeaks] = Field(default_factory=dict)
    graph: GraphFacts | None = None
    mean_context_tokens: MeanContext | None = None
    experts: ExpertFacts | None = None

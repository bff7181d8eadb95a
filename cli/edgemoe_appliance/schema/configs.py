"""The files under configs/ as frozen types: engines, devices and models, which studies share.

Reads and checks them; it touches nothing else. Prompts and experiments are a study's own: their
types stand here, as plans hold them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import CountFromOne, Frozen
from edgemoe_appliance.schema.choices import (
    IDENTIFIER_PATTERN,
    ImageArchitecture,
    Order,
    quantised_id,
    unknown_name,
)
from edgemoe_appliance.schema.resources import catalogue_file
from edgemoe_appliance.schema.yamlfile import YamlDocument, read_yaml, validate

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
GitCommit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Identifier = Annotated[str, Field(pattern=IDENTIFIER_PATTERN)]
CmakeName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
ThreadCount = Annotated[int, Field(ge=1, le=1024)]
# The name of a file type as llama-quantize has it: Q4_K_M.
QuantType = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,15}$")]
# The same, weighed by importance though the type does not need it: Q4_K_M+imatrix.
MadeType = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,15}(\+imatrix)?$")]
ValueT = TypeVar("ValueT")


# A commit, the beginning of one, a tag or a branch: a name that git and the shell take as one.
GitRevision = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._/+-]{1,99}$")]


class GitSource(Frozen):
    """llama.cpp by commit from a git repository.

    In engines.yaml `commit` may be a tag or the beginning of a commit; once fetched, and in every
    record, it is the whole commit.
    """

    kind: Literal["git"]
    repository: str
    commit: GitRevision

    @property
    def is_resolved(self) -> bool:
        """Return whether it names its commit whole."""
        return re.fullmatch(r"[0-9a-f]{40}", self.commit) is not None


class SdistSource(Frozen):
    """llama.cpp as carried inside a Python source distribution, by its sha256."""

    kind: Literal["sdist"]
    package: str
    version: str
    sha256: Sha256
    subdirectory: str

    @field_validator("subdirectory")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a relative path without '..'")
        return value


class DirectorySource(Frozen):
    """llama.cpp as it lies in a local folder; its tree digest is what gets recorded."""

    kind: Literal["directory"]
    path: str


EngineSource = Annotated[GitSource | SdistSource | DirectorySource, Field(discriminator="kind")]


def number_in_name(pin: str) -> int | None:
    """Return the build number that a pin is named after, as b4447 is."""
    found = re.fullmatch(r"b([1-9]\d{0,8})", pin)
    return int(found[1]) if found else None


class Pin(Frozen):
    """One llama.cpp source under a name; `note` says what it is for.

    `build_number` is llama.cpp's own count of commits, where the name (b4447) does not tell it.
    """

    source: EngineSource
    note: str
    build_number: CountFromOne | None = None

    def number_of(self, name: str) -> int | None:
        """Return the build number of the pin under its name, None where neither tells it."""
        return self.build_number or number_in_name(name)


class OwnPins(Frozen):
    """A user's file of pins, added to those of engines.yaml."""

    pins: dict[Identifier, Pin]


class EnginesConfig(Frozen):
    """engines.yaml: the pins, the one that is wanted and the one that needs no GitHub."""

    default: Identifier
    fallback: Identifier
    pins: dict[Identifier, Pin]

    @model_validator(mode="after")
    def _known_pins(self) -> EnginesConfig:
        for role, pin in (("default", self.default), ("fallback", self.fallback)):
            if pin not in self.pins:
                raise ValueError(f"{role}: {pin} is not among the pins {', '.join(self.pins)}")
        return self


class Backend(str, Enum):
    """Where the engine computes."""

    CPU = "cpu"
    METAL = "metal"
    CUDA = "cuda"
    VULKAN = "vulkan"
    CANN = "cann"


class CooldownRule(str, Enum):
    """What ends the pause between two runs."""

    NONE = "none"
    FIXED = "fixed"  # the study: 30 s
    JUNCTION = "junction"  # until the hottest sensor is back near its start, with a cap


class Cooldown(Frozen):
    """The pause between runs; `seconds` is its length (fixed) or its cap (junction)."""

    rule: CooldownRule
    seconds: float = Field(default=0.0, ge=0, le=3600)
    tolerance_c: float = Field(default=1.0, gt=0, le=20)


class ThermalRule(Frozen):
    """Crossing `threshold_c` in any run of a model raises its repetitions (study: 60 C, 3 to 5)."""

    threshold_c: float = Field(gt=0, lt=150)
    repetitions: int = Field(ge=1, le=100)


class ContainerProfile(Frozen):
    """How the measurement container of a target is built and limited.

    `cmake` holds what differs in the image from the target's own flags, `architecture` what the
    image is for where that is not the engine's machine: a board's image may be built elsewhere.
    """

    dockerfile: str
    architecture: ImageArchitecture | None = None
    runtime: Literal["runc", "nvidia"]
    cmake: dict[CmakeName, str] = Field(default_factory=dict)
    memory_limit_bytes: int | None = Field(default=None, gt=0)
    pids_limit: int = Field(default=256, ge=16)


class PowerSource(str, Enum):
    """Where energy readings come from, best first in a target's list."""

    INA3221 = "ina3221"
    TEGRASTATS = "tegrastats"
    RAPL = "rapl"
    NVML = "nvml"
    METER = "meter"  # outside the machine, declared under `meters`


class OutsideMeter(Frozen):
    """A meter outside the machine: a command that prints readings, or a CSV file that grows.

    Each line holds a time and a power in watts, in columns counted from 0 that commas, semicolons,
    tabs or blanks part; lines without numbers are headings. Times are numbers in `time_unit_s` of
    any clock, or in the form of ISO 8601: the appliance finds out by a load of its own how that
    clock stands to the machine's. `covers` is what the meter sees: `device` is the whole machine
    with its power supply. `rank` says whether the target's own sources check it or it checks them.
    The bounds are the meter's own, None where its maker publishes none. `name` is what records call
    it; `pretended` says that no instrument is there and a program plays one, to try the steps: its
    energies bear no verdict.
    """

    name: str = Field(default="outside meter", min_length=1, max_length=80)
    pretended: bool = False
    command: tuple[str, ...] = ()
    file: str | None = None
    covers: Literal["module", "processor", "gpu", "device"] = "device"
    rank: Literal["primary", "cross-check"] = "primary"
    time_column: int = Field(default=0, ge=0, le=99)
    watts_column: int = Field(default=1, ge=0, le=99)
    time_unit_s: float = Field(default=1.0, gt=0, le=3600)
    step_w: float = Field(default=0.001, gt=0)
    offset_bound_w: float | None = Field(default=None, ge=0)
    gain_bound: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _has_one_source(self) -> OutsideMeter:
        if bool(self.command) == (self.file is not None):
            raise ValueError("needs a command, as a list of words, or a file")
        if self.time_column == self.watts_column:
            raise ValueError("time and watts are in one column")
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """Return the command; of a file, what follows it from its end on, as it grows or turns."""
        if self.file is None:
            return self.command
        return ("tail", "-n", "0", "-F", "--", self.file)


class Target(Frozen):
    """A device profile: how the engine is built and run there, and what is sampled.

    `study_device` stands in plans: which device of their study the target is.
    """

    label: str
    backend: Backend
    cmake: dict[CmakeName, str]
    n_gpu_layers: int | None = Field(default=None, ge=0)
    threads: int | Literal["physical-cores"]
    power_sources: tuple[PowerSource, ...]
    cooldown: Cooldown
    thermal: ThermalRule
    sample_hz: float = Field(gt=0, le=200)
    run_timeout_s: float = Field(gt=0)
    bandwidth_gb_s: float | None = Field(default=None, gt=0)
    memory_bus_bits: int | None = Field(default=None, gt=0)
    study_device: Identifier | None = None
    container: ContainerProfile | None = None
    meter: OutsideMeter | None = None

    def with_meter(self, meter: OutsideMeter) -> Target:
        """Return the target with an outside meter before or after its own power sources."""
        own = tuple(source for source in self.power_sources if source is not PowerSource.METER)
        is_first = meter.rank == "primary"
        sources = (PowerSource.METER, *own) if is_first else (*own, PowerSource.METER)
        return self.model_copy(update={"meter": meter, "power_sources": sources})

    @property
    def is_jetson(self) -> bool:
        """Return whether it is a Jetson, the only board that has tegrastats."""
        return PowerSource.TEGRASTATS in self.power_sources

    @field_validator("threads")
    @classmethod
    def _possible_threads(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 1024:
            raise ValueError("must be between 1 and 1024, or physical-cores")
        return value


def require_container(name: str, target: Target) -> ContainerProfile:
    """Return how a target runs in containers. Raises ConfigError where it cannot."""
    if target.container is None:
        raise ConfigError(
            f"target {name} cannot be measured in a container", hint="use --runtime native"
        )
    return target.container


class BackendLimits(Frozen):
    """What a backend computes itself; the engine silently computes the rest on the processor.

    `weights` are tensor types as ggml names them; `pins` are those that compute something else.
    """

    weights: tuple[str, ...] = Field(min_length=1)
    experts: bool = True
    pins: dict[Identifier, BackendLimits] = Field(default_factory=dict)

    def of(self, pins: Iterable[str | None]) -> BackendLimits:
        """Return what all of some pins compute; None is the one that is taken unless named."""
        each = [self.pins.get(pin or "", self) for pin in pins] or [self]
        shared = [name for name in each[0].weights if all(name in one.weights for one in each)]
        return BackendLimits(weights=tuple(shared), experts=all(one.experts for one in each))

    def lacks(self, entry: ModelEntry) -> str | None:
        """Return what of a model it does not compute, as far as its entry tells; None for nothing.

        A type of file that is a mixture holds tensors of several types, so it must be named itself.
        """
        if entry.quantization not in self.weights:
            return entry.quantization
        return "experts" if entry.has_experts and not self.experts else None


class DevicesConfig(Frozen):
    """devices.yaml: the targets, and the outside meters of a laboratory by the target's name.

    `backends` says what a backend computes, where that is less than every type of weights.
    """

    targets: dict[Identifier, Target] = Field(default_factory=dict)
    backends: dict[Backend, BackendLimits] = Field(default_factory=dict)
    meters: dict[Identifier, OutsideMeter] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_something(self) -> DevicesConfig:
        if not self.targets and not self.meters:
            raise ValueError("names neither targets nor meters")
        return self


class ModelShape(Frozen):
    """The published architecture, enough to write a twin (names as in GGUF keys).

    Which architectures and tokenizers a twin can have is asked when one is written.
    """

    block_count: int = Field(gt=0)
    embedding_length: int = Field(gt=0)
    feed_forward_length: int = Field(gt=0)
    head_count: int = Field(gt=0)
    head_count_kv: int = Field(gt=0)
    key_length: int = Field(gt=0)
    value_length: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    context_length: int = Field(gt=0)
    rope_freq_base: float = Field(gt=0)
    rope_scaling: Literal["llama3"] | None = None
    rms_epsilon: float = Field(gt=0)
    tied_embeddings: bool
    tokenizer: str
    expert_count: int = Field(default=0, ge=0)
    expert_used_count: int = Field(default=0, ge=0)


class PackageFile(Frozen):
    """A file inside a wheel of the package index; `sha256` is that of the wheel."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
    sha256: Sha256 | None = None
    member: str


class Quantisation(Frozen):
    """A file of fewer bits, made here by the pin's own tool from the file of model `of`.

    `origin` is the quantization of the file at the beginning: what was lost there stays lost.
    `is_weighed` asks for an importance matrix where the type would do without; some need one.
    """

    of: Identifier
    type: QuantType
    origin: str
    is_weighed: bool = False


class ModelEntry(Frozen):
    """One model: where its file is, what it must be, what it is for.

    The file comes from one of `repository` (Hugging Face), `url`, `package` (the package index)
    and `path` (it lies on this machine already), or it is made here from another (`quantised`).
    What may be null nobody has published: what was seen on the first download is then recorded
    beside the file. Without a `sha256` a file is used
    only where the user has had it pinned on that first download. `shape` is for twins alone.
    `role` stands in older files and in those of others: what a model is in a comparison a study
    says now, and nothing here rests on it.
    """

    name: str
    role: Identifier | None = None
    architecture: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    quantization: str
    licence: str
    gated: bool = False
    repository: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    package: PackageFile | None = None
    path: str | None = None
    quantised: Quantisation | None = None
    revision: GitCommit | None = None
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$")
    bytes: int | None = Field(default=None, gt=0)
    sha256: Sha256 | None = None
    published_parameters_total: int | None = Field(default=None, gt=0)
    published_parameters_active: int | None = Field(default=None, gt=0)
    shape: ModelShape | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> ModelEntry:
        given = [name for name in _MODEL_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            named = " and ".join(given) or "none"
            raise ValueError(f"needs one of {', '.join(_MODEL_SOURCES)}; {named} given")
        return self

    @property
    def has_experts(self) -> bool:
        """Return whether a token uses a part of the model alone, as far as the entry tells."""
        total, active = self.published_parameters_total, self.published_parameters_active
        is_sparse = total is not None and active is not None and active < total
        return is_sparse or (self.shape is not None and self.shape.expert_count > 0)

    @property
    def source(self) -> str:
        """Return where the file comes from, in words of one line."""
        if self.package is not None:
            return f"{self.package.name} {self.package.version}: {self.package.member}"
        if self.repository is not None:
            return f"{self.repository}/{self.file}"
        if self.quantised is not None:
            return f"made here: {self.quantised.of} as {self.quantised.type}"
        return self.url or self.path or ""

    def found_from(self, folder: Path) -> ModelEntry:
        """Return the entry with a relative `path` taken from a folder, that of its own file."""
        if self.path is None or Path(self.path).expanduser().is_absolute():
            return self
        return self.model_copy(update={"path": str((folder / self.path).resolve())})

    def shape_of(self, model_id: str) -> ModelShape:
        """Return the shape. Raises ConfigError where the entry has none."""
        if self.shape is None:
            raise ConfigError(
                f"model {model_id} has no shape, which a twin is written from",
                where="models.yaml",
                hint="add its shape from the config.json of the model, or use the real file",
            )
        return self.shape


_MODEL_SOURCES: Final = ("repository", "url", "package", "path", "quantised")
# What holds weights in 16 bits or more: files of fewer bits are made from these.
_WHOLE: Final = ("F32", "F16", "BF16")


class ModelsConfig(Frozen):
    """models.yaml: the models by id, in the order of the study.

    `quantised` names the types in which files are made here of a model; each is a model of its own,
    with the id MODEL-TYPE in small letters, `-imatrix` behind it where that is asked for. A source
    of fewer than 16 bits is widened first: its F16 is what the others are made from, and says what
    it comes from.
    """

    models: dict[Identifier, ModelEntry]
    quantised: dict[Identifier, tuple[MadeType, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _with_quantised(self) -> ModelsConfig:
        for source, types in self.quantised.items():
            if source not in self.models:
                raise ValueError(f"quantised: there is no model {source}")
            if self.models[source].quantised is not None:
                raise ValueError(f"quantised: {source} is itself made of another")
            for kind in types:
                name = quantised_id(source, kind)
                self.models.setdefault(name, _quantised_entry(source, self.models[source], kind))
        return self

    def fetched_for(self, name: str) -> str:
        """Return the model whose file has to be fetched for one: its own, or what it is made of."""
        made = self.models[name].quantised
        return name if made is None else self.fetched_for(made.of)

    def widest_of(self, name: str) -> str | None:
        """Return the 16-bit model that one is made of, itself where it is that; None without."""
        made = self.models[name].quantised
        if made is None:
            return name if name in self.quantised and self._is_whole(name) else None
        return name if made.type in _WHOLE else made.of

    def _is_whole(self, name: str) -> bool:
        return self.models[name].quantization in _WHOLE


def _quantised_entry(source: str, entry: ModelEntry, kind: str) -> ModelEntry:
    is_whole = entry.quantization in _WHOLE
    of = source if is_whole or kind == _WHOLE[1] else quantised_id(source, _WHOLE[1])
    widened = "" if is_whole else f" from {entry.quantization}"
    plain, _, weighed = kind.partition("+")
    return ModelEntry(
        name=f"{entry.name} {kind}{widened}",
        architecture=entry.architecture,
        quantization=plain,
        licence=entry.licence,
        gated=entry.gated,
        quantised=Quantisation(
            of=of, type=plain, origin=entry.quantization, is_weighed=bool(weighed)
        ),
        file=f"{source}-{kind.replace('+', '-')}.gguf",
        published_parameters_total=entry.published_parameters_total,
        published_parameters_active=entry.published_parameters_active,
        shape=entry.shape,
    )


# A single token has no rate.
LEAST_TOKENS: Final = 2


class ItemKind(str, Enum):
    """What items of multiple choice ask for."""

    RECALL = "recall"  # of what stands in the context
    AGREEMENT = "agreement"  # with the subject of a sentence
    ARITHMETIC = "arithmetic"  # of small numbers
    CODE = "code"  # how a line of code goes on


# Answers and lines of an item, as the engine's tool reads them: context, number of the right
# answer, the answers. Source: hellaswag_score in perplexity.cpp of llama.cpp b4447.
ITEM_ANSWERS: Final = 4
ITEM_LINES: Final = 2 + ITEM_ANSWERS


class Items(Frozen):
    """So many items of a kind, made by its program from a seed."""

    kind: ItemKind
    count: int = Field(ge=1, le=10_000)
    seed: int = 1


class Prompt(Frozen):
    """One prompt, the set that it belongs to and its category (or length class).

    One of items has its text made of them when its study is read.
    """

    set: Identifier
    category: str
    text: str = ""
    items: Items | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Prompt:
        if not self.text and self.items is None:
            raise ValueError("needs text, or items to make it of")
        return self

    @property
    def words(self) -> int:
        """Return the number of whitespace-separated words."""
        return len(self.text.split())


class PromptsConfig(Frozen):
    """prompts.yaml: the prompts by id."""

    prompts: dict[Identifier, Prompt]


class Arm(str, Enum):
    """A variation of how a run is made; `plain` is the study's."""

    PLAIN = "plain"
    NO_MMAP = "no-mmap"
    PROBE_PER_NODE = "probe-per-node"
    PROBE_BOUNDARY = "probe-boundary"
    PROBE_ROTATE = "probe-rotate"  # bare, boundary and per-node in turn, decode by decode

    @property
    def is_probed(self) -> bool:
        """Return whether the routing probe is loaded into the engine."""
        return self in (Arm.PROBE_PER_NODE, Arm.PROBE_BOUNDARY, Arm.PROBE_ROTATE)


class Assessment(str, Enum):
    """What is asked of a model's answers, by the engine's own tool, instead of generating.

    Both hold a file against another of the same model, the one that nothing was taken from.
    """

    DIVERGENCE = "divergence"  # of its next tokens' probabilities over a text, chunk by chunk
    CHOICE = "choice"  # items of multiple choice, one by one


class Feeds(str, Enum):
    """Which tables of the report the runs of an experiment go into."""

    HEADLINE = "headline"  # throughput, memory, stability and energy, pooled
    PROMPT_LENGTH = "prompt-length"
    THREADS = "threads"
    ROUTING = "routing"
    MEMORY = "memory"
    ENGINE = "engine"
    DIVERGENCE = "divergence"
    CHOICE = "choice"


class Experiment(Frozen):
    """A matrix of runs: models x prompts x threads x arms x pins x repetitions.

    Without `feeds` its runs stand in the per-run table only. One that `assesses` generates
    nothing: `context` is then the length of a chunk, or the room for items.
    """

    title: str
    feeds: tuple[Feeds, ...] = ()
    models: tuple[Identifier, ...] = Field(min_length=1)
    prompts: tuple[Identifier, ...] = Field(min_length=1)
    repetitions: int = Field(ge=1, le=1000)
    n_predict: int = Field(default=0, ge=0, le=100_000)
    ignore_eos: bool = False
    assesses: Assessment | None = None
    context: int = Field(default=4096, ge=64, le=131_072)
    threads: tuple[ThreadCount, ...] = ()  # empty: the target's own
    arms: tuple[Arm, ...] = (Arm.PLAIN,)
    pins: tuple[Identifier, ...] = ()  # empty: the session's pin
    prompt_scale: float = Field(default=1.0, gt=0, le=1)
    order: Order = Order.COUNTERBALANCED

    @field_validator("feeds", "models", "prompts", "threads", "arms", "pins")
    @classmethod
    def _each_once(cls, value: tuple[ValueT, ...]) -> tuple[ValueT, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names something twice")
        return value

    @model_validator(mode="after")
    def _generates_or_assesses(self) -> Experiment:
        if self.assesses is None and self.n_predict < LEAST_TOKENS:
            raise ValueError(f"n_predict must be at least {LEAST_TOKENS}")
        if self.assesses is not None and (self.n_predict or self.arms != (Arm.PLAIN,)):
            raise ValueError("what assesses generates nothing, and in one arm: plain")
        return self

    @model_validator(mode="after")
    def _fits_context(self) -> Experiment:
        if self.n_predict >= self.context:
            raise ValueError(f"n_predict must be below context ({self.context})")
        return self


ExperimentNames = Annotated[tuple[Identifier, ...], Field(min_length=1)]


class Rounds(Frozen):
    """So many rounds of an experiment; a round is one prompt once in each of its cells."""

    experiment: Identifier
    rounds: int = Field(ge=1)


class Programme(Frozen):
    """What a visit measures: `order`, then `engines` with two pins, then `rest` in turns."""

    order: tuple[Rounds, ...] = Field(min_length=1)
    engines: Identifier
    rest: tuple[Identifier, ...] = ()

    @property
    def experiments(self) -> tuple[str, ...]:
        """Return the experiments that one engine is measured in, each once."""
        return tuple(dict.fromkeys([*(line.experiment for line in self.order), *self.rest]))


class VisitSuite(Frozen):
    """What is measured on a borrowed machine: `small` where a run of `whole` takes too long."""

    longest_run_s: float = Field(gt=0)
    whole: Programme
    small: Programme


class Suites(Frozen):
    """Which experiments a command runs where none are named; `evaluate` has them by target.

    `directions` is what full-size twins run in minutes on any machine: fewest tokens that show
    which way a claim goes there.
    """

    bench: ExperimentNames
    demo: ExperimentNames
    kick_the_tires: ExperimentNames
    directions: tuple[Identifier, ...] = ()
    evaluate: dict[Identifier, ExperimentNames]
    visit: VisitSuite | None = None


class ExperimentsConfig(Frozen):
    """experiments.yaml: the experiments, the seed of their order, and what commands run of them."""

    order_seed: int
    suites: Suites
    experiments: dict[Identifier, Experiment]


class Configs(Frozen):
    """What exists in the world, whichever study uses it: engines, devices, models."""

    engines: EnginesConfig
    devices: DevicesConfig
    models: ModelsConfig

    def target(self, name: str) -> Target:
        """Return a target by name, or raise ConfigError that lists the known ones.

        Its outside meter, where one is declared, is among its power sources.
        """
        target = pick(self.devices.targets, name, "target", "devices.yaml")
        meter = self.devices.meters.get(name)
        return target if meter is None else target.with_meter(meter)

    def limits(self, target: str, pins: Iterable[str | None] = ()) -> BackendLimits | None:
        """Return what the backend of a target computes with some pins, None for everything."""
        found = self.devices.backends.get(self.target(target).backend)
        return None if found is None else found.of(pins)

    def model(self, name: str) -> ModelEntry:
        """Return a model by id, or raise ConfigError that lists the known ones."""
        return pick(self.models.models, name, "model", "models.yaml")

    def pin(self, name: str) -> Pin:
        """Return a pin by name, or raise ConfigError that lists the known ones."""
        return pick(self.engines.pins, name, "pin", "engines.yaml")


CONFIG_FILES: Final = ("devices.yaml", "engines.yaml", "models.yaml")


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Files of the user's own, of the form of the three of configs/, added to those.

    One like engines.yaml holds `pins` alone.
    """

    models: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    engines: tuple[Path, ...] = ()


NO_CATALOGUE: Final = Catalogue()


def find_catalogue(
    models: Path | None = None, devices: Path | None = None, engines: Path | None = None
) -> Catalogue:
    """Return the user's catalogue: the named files, and those of the folder `catalogue`.

    That folder lies below the checkout, or the present folder where there is none; the variable
    EDGEMOE_CATALOGUE names another.
    """
    return Catalogue(
        models=_each_once(models, catalogue_file("models")),
        devices=_each_once(devices, catalogue_file("devices")),
        engines=_each_once(engines, catalogue_file("engines")),
    )


def _each_once(named: Path | None, kept: Path) -> tuple[Path, ...]:
    files = ([named] if named is not None else []) + ([kept] if kept.is_file() else [])
    return tuple({path.resolve(): path for path in files}.values())


def read_configs(folder: Path, catalogue: Catalogue = NO_CATALOGUE) -> Configs:
    """Read and check the three files of a configs folder that studies share.

    `catalogue` adds models, targets and pins to them. Raises ConfigError with file, line, key and
    what is allowed, also where an added one has the name of another.
    """
    engines = validate(read_yaml(folder / "engines.yaml"), EnginesConfig)
    devices = validate(read_yaml(folder / "devices.yaml"), DevicesConfig)
    models = validate(read_yaml(folder / "models.yaml"), ModelsConfig)
    for path in catalogue.engines:
        document = read_yaml(path)
        pins = validate(document, OwnPins).pins
        _check_new(document, "pins", pins, engines.pins)
        engines = engines.model_copy(update={"pins": {**engines.pins, **pins}})
    for path in catalogue.devices:
        document = read_yaml(path)
        added = validate(document, DevicesConfig)
        _check_new(document, "targets", added.targets, devices.targets)
        _check_new(document, "meters", added.meters, devices.meters)
        targets = {**devices.targets, **added.targets}
        for name in added.meters:
            pick(targets, name, "target", f"{document.path}:{document.line_of(('meters', name))}")
        named, known = ([each.value for each in some.backends] for some in (added, devices))
        _check_new(document, "backends", named, known)
        devices = DevicesConfig(
            targets=targets,
            backends={**devices.backends, **added.backends},
            meters={**devices.meters, **added.meters},
        )
    for path in catalogue.models:
        document = read_yaml(path)
        own = validate(document, ModelsConfig)
        entries = own.models
        _check_new(document, "models", entries, models.models)
        found = {name: entry.found_from(path.parent) for name, entry in entries.items()}
        quantised = {**models.quantised, **own.quantised}
        models = ModelsConfig(models={**models.models, **found}, quantised=quantised)
    return Configs(engines=engines, devices=devices, models=models)


def _check_new(
    document: YamlDocument, key: str, added: Iterable[str], known: Container[str]
) -> None:
    for name in added:
        if name in known:
            raise ConfigError(
                f"{key}.{name} is there already",
                where=f"{document.path}:{document.line_of((key, name))}",
                hint="give yours another id: results under one name must mean one thing",
            )


def pick(known: Mapping[str, ValueT], name: str, kind: str, file: str) -> ValueT:
    """Return what has a name, or raise ConfigError that lists the known ones."""
    if name not in known:
        raise unknown_name(kind, name, known, file)
    return known[name]

"""Plans: a resolved list of runs with everything they need, and how one is expanded.

A plan is the only thing `measure` is given. It is pure data: nothing here looks at the host.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from edgemoe_appliance.errors import ConfigError, RecordError
from edgemoe_appliance.schema.base import (
    INT64_MAX,
    Count,
    CountFromOne,
    Frozen,
    digest_of,
)
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import (
    ITEM_LINES,
    LEAST_TOKENS,
    Arm,
    Assessment,
    EngineSource,
    Experiment,
    Identifier,
    OutsideMeter,
    Prompt,
    QuantType,
    Sha256,
    Target,
)
from edgemoe_appliance.schema.findings import Finding
from edgemoe_appliance.schema.sessionfolder import SessionFolder
from edgemoe_appliance.schema.versions import (
    as_record_error,
    require_unique_keys,
    upgrade_plan,
    upgraded_json,
)

PLAN_SCHEMA: Final = 2
# The programs that generate from a prompt and end, the newer first: where a tree builds both,
# llama-cli is another program. A build holds one of them.
ENGINE_PROGRAMS: Final = ("llama-completion", "llama-cli")
# What makes a file of fewer bits, what holds its answers against another's, and what counts which
# weights matter: built where a plan needs them.
QUANTISE_TOOL: Final = "llama-quantize"
PERPLEXITY_TOOL: Final = "llama-perplexity"
IMATRIX_TOOL: Final = "llama-imatrix"
ENGINE_TOOLS: Final = (QUANTISE_TOOL, PERPLEXITY_TOOL, IMATRIX_TOOL)
NO_MMAP_ARGS: Final = ("--no-mmap",)
# Made in any case where repetitions go by need: one alone tells no spread between repetitions.
LEAST_REPETITIONS: Final = 2
# Counts that plans from before did not hold; the digest of a plan is as it was.
_COUNTED_LATER: Final = (
    "vocabulary",
    "twin_routing",
    "head_bytes_per_token",
    "parameters_multiplied",
    "attention_flops_per_position",
)


class RunSpec(Frozen):
    """One run to be made. Equal specs have equal ids, on every machine and for ever.

    One that `assesses` generates nothing: the engine's tool holds the answers of its model against
    those of `reference`, over a text in chunks of `context` tokens, or item by item.
    """

    target: Identifier
    pin: Identifier
    model: Identifier
    prompt: Identifier
    experiment: Identifier
    repetition: CountFromOne
    threads: CountFromOne
    arm: Arm = Arm.PLAIN
    n_predict: int = Field(ge=0, le=INT64_MAX)
    ignore_eos: bool = False
    context: Count = 4096
    assesses: Assessment | None = None
    reference: Identifier | None = None

    @model_validator(mode="after")
    def _generates_or_assesses(self) -> RunSpec:
        if (self.assesses is None) != (self.reference is None):
            raise ValueError("assesses and reference go together")
        if (self.assesses is None) != (self.n_predict >= LEAST_TOKENS):
            raise ValueError(f"n_predict is {LEAST_TOKENS} or more, or 0 where it assesses")
        return self

    @property
    def digested(self) -> dict[str, Any]:
        """Return the run as data; one that generates looks as before there were others."""
        data = self.model_dump(mode="json")
        if self.assesses is None:
            del data["assesses"], data["reference"]
        return data

    @property
    def id(self) -> str:
        """Return the deterministic id: readable parts and a digest of all fields."""
        digest = digest_of(self.digested)[:10]
        return f"{self.experiment}_{self.model}_{self.prompt}_r{self.repetition}_{digest}"

    @property
    def cell(self) -> tuple[str, ...]:
        """Return what the runs behind one mean have in common: all but prompt and repetition."""
        return (
            self.target,
            self.pin,
            self.model,
            self.experiment,
            str(self.threads),
            self.arm.value,
        )


class ProbeFacts(Frozen):
    """The routing probe made for one build; `path` is that of the library where the plan is run."""

    path: str
    sha256: Sha256
    build_key: Sha256


class EngineBuild(Frozen):
    """One build of llama.cpp, known by the digest of its binary.

    `binary` is the path of the program where the plan is run; `files_sha256` holds the program
    and every shared library beside it by file name. `build_number` is the one that it prints, None
    where it prints none and in plans of before it was kept. `extra_args` is what later builds need
    on their command line to behave as the study's did, `no_mmap_args` is how this one is told to
    read its model whole. `probe` and `tools_sha256`, the engine's tools by file name beside the
    program, are there where a run asks for them.
    """

    pin: Identifier
    source: EngineSource
    source_sha256: Sha256
    build_key: Sha256
    cmake: dict[str, str]
    compiler: str
    binary: str
    files_sha256: dict[str, Sha256]
    build_number: CountFromOne | None = None
    extra_args: tuple[str, ...] = ()
    no_mmap_args: tuple[str, ...] = NO_MMAP_ARGS
    probe: ProbeFacts | None = None
    tools_sha256: dict[str, Sha256] = Field(default_factory=dict)
    why: str

    @field_validator("files_sha256")
    @classmethod
    def _has_program(cls, value: dict[str, str]) -> dict[str, str]:
        if not set(ENGINE_PROGRAMS) & set(value):
            raise ValueError(f"lacks {' or '.join(ENGINE_PROGRAMS)}")
        return value

    @model_serializer(mode="wrap")
    def _as_told(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out a number that is not known: plans of before it are told as they were."""
        told: dict[str, object] = serialize(self)
        if self.build_number is None:
            told.pop("build_number", None)
        return told

    @property
    def program(self) -> str:
        """Return the file name of the program."""
        return next(name for name in ENGINE_PROGRAMS if name in self.files_sha256)

    @property
    def binary_sha256(self) -> str:
        """Return the digest that names this build in records."""
        return self.files_sha256[self.program]

    def tool(self, name: str) -> str:
        """Return the path of a tool where the plan is run; it lies beside the program.

        Raises ConfigError where this build was made without it.
        """
        if name not in self.tools_sha256:
            raise ConfigError(f"engine {self.pin} was built without {name}", where=self.binary)
        return str(PurePath(self.binary).parent / name)


class QuantisedFile(Frozen):
    """How a file of fewer bits was made here, and what its tensors really hold.

    `of` is the model whose file `of_sha256` it was made from, `origin` the quantization of the
    file at the very beginning, which nothing later can better. `bits_per_weight`, `tensors` (by
    type) and `fallbacks` (those among them whose rows do not fit the type that was asked for) are
    read from the file itself. `imatrix_sha256` is None where no importance matrix was used;
    `calibration_sha256` is the digest of the text behind it, None in plans from before it was kept.
    """

    of: Identifier
    of_sha256: Sha256
    origin: str
    type: QuantType
    pin: Identifier
    tool_sha256: Sha256
    imatrix_sha256: Sha256 | None
    calibration_sha256: Sha256 | None = None
    bits_per_weight: float = Field(gt=0)
    tensors: dict[str, int]
    fallbacks: dict[str, int]


class PlannedModel(Frozen):
    """One model file as it will be run; a twin says so, at what scale and with which routers.

    `quantised` is there for one that was made here from another; `vocabulary` is the number of its
    tokens, None in plans from before it was kept. `twin_routing` is None for what has no experts,
    and in plans from before there were two kinds, whose twins are uniform. The last three are None
    in plans from before they were counted: bytes of the output head among those read for a token,
    the parameters that a token multiplies with (no table that is looked up), and the operations of
    attention for each position of the context.
    """

    id: Identifier
    name: str
    role: Identifier | None = None
    architecture: str
    path: str
    file_name: str
    file_bytes: int = Field(gt=0)
    sha256: Sha256
    twin_scale: Literal["tiny", "thin", "full"] | None
    twin_routing: Literal["uniform", "skewed"] | None = None
    parameters_total: int = Field(gt=0)
    parameters_active: int = Field(gt=0)
    bytes_per_token: int = Field(gt=0)
    kv_bytes_per_token: int = Field(ge=0)
    head_bytes_per_token: int | None = Field(default=None, ge=0)
    parameters_multiplied: int | None = Field(default=None, ge=0)
    attention_flops_per_position: int | None = Field(default=None, ge=0)
    quantised: QuantisedFile | None = None
    vocabulary: int | None = Field(default=None, gt=0)


class PlannedPrompt(Frozen):
    """One prompt as it will be sent (already shortened where the experiment says so).

    `items` is the number of its items of multiple choice, None for a text.
    """

    id: Identifier
    set: Identifier
    category: str
    words: int = Field(ge=0)
    text: str
    sha256: Sha256
    items: int | None = None


class ApplianceIdentity(Frozen):
    """Which appliance made the plan; `git_head` is None outside a checkout."""

    version: str
    git_head: str | None
    git_dirty: bool | None


class StudyIdentity(Frozen):
    """Which study a plan was made for: the name of its folder and the digest of what is in it."""

    id: Identifier
    sha256: Sha256

    @property
    def label(self) -> str:
        """Return a short name: `moe-edge 0123456789ab`."""
        return f"{self.id} {self.sha256[:12]}"


class PrecisionRule(Frozen):
    """Repetitions by need: until the mean rate of a cell is known `within` a share of it.

    The runs of such a plan are those made in any case; a cell gets `at_most` repetitions.
    """

    within: float = Field(gt=0, le=0.5)
    at_most: int = Field(ge=LEAST_REPETITIONS, le=1000)


class Plan(Frozen):
    """Everything one session needs, resolved: no name is looked up after this.

    `study` is None in plans from before it was kept.
    """

    schema_version: Literal[2] = PLAN_SCHEMA
    session: Identifier
    target_id: Identifier
    target: Target
    threads: int = Field(ge=1)
    runtime: Literal["native", "container"]
    image: str | None = None
    appliance: ApplianceIdentity
    study: StudyIdentity | None = None
    engines: dict[Identifier, EngineBuild]
    models: dict[Identifier, PlannedModel]
    prompts: dict[str, PlannedPrompt]
    experiments: dict[Identifier, Experiment]
    order_seed: int
    runs: tuple[RunSpec, ...] = Field(min_length=1)
    findings: tuple[Finding, ...] = ()
    precision: PrecisionRule | None = None

    @model_validator(mode="after")
    def _resolved(self) -> Plan:
        for run in self.runs:
            missing = [
                f"{kind} {name}"
                for kind, name, known in (
                    ("engine", run.pin, self.engines),
                    ("model", run.model, self.models),
                    ("prompt", prompt_key(run.experiment, run.prompt), self.prompts),
                    ("experiment", run.experiment, self.experiments),
                )
                if name not in known
            ]
            if missing:
                raise ValueError(f"run {run.id} needs {', '.join(missing)}, not in the plan")
            if run.arm.is_probed and self.engines[run.pin].probe is None:
                raise ValueError(f"run {run.id} needs the routing probe of engine {run.pin}")
            if run.assesses is not None:
                self._check_assessment(run)
        if len(set(self.runs)) != len(self.runs):
            raise ValueError("a run stands in the plan twice")
        return self

    def _check_assessment(self, run: RunSpec) -> None:
        """Refuse to ask for answers what has none: twins, engines without their tool."""
        if run.reference not in self.models:
            raise ValueError(f"run {run.id} needs the model {run.reference}, not in the plan")
        if PERPLEXITY_TOOL not in self.engines[run.pin].tools_sha256:
            raise ValueError(f"run {run.id} needs {PERPLEXITY_TOOL} of engine {run.pin}")
        for name in (run.model, run.reference):
            if self.models[name].twin_scale is not None:
                raise ValueError(
                    f"run {run.id} asks how good the answers of {name} are, and a twin has none: "
                    "its weights are random"
                )

    @property
    def document(self) -> bytes:
        """Return the plan as it stands in a file."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return text.encode(errors="replace") + b"\n"

    @property
    def digest(self) -> str:
        """Return the digest of what is measured and with what: of `digested`."""
        return digest_of(self.digested)

    @property
    def digested(self) -> dict[str, Any]:
        """Return what is measured and with what, as data; paths and findings do not count.

        Nor does the study: what a session runs is resolved here, and words and claims may be
        mended between two measuring periods. Equal plans of every version have equal digests.
        """
        data = self.model_dump(mode="json", exclude={"appliance", "findings", "study"})
        data["schema_version"] = 1
        data["runs"] = [run.digested for run in self.runs]
        for experiment in data["experiments"].values():
            if experiment["assesses"] is None:
                del experiment["assesses"]
        data["engines"] = {pin: _digested_engine(data["engines"][pin]) for pin in self.engines}
        for model in data["models"].values():
            del model["path"]
            # What follows from the file, whose digest stands here.
            for counted in _COUNTED_LATER:
                del model[counted]
            _drop_unused(model)
        for prompt in data["prompts"].values():
            if prompt["items"] is None:
                del prompt["items"]
        # Fixed repetitions have the digest that they had before there were others.
        if data["precision"] is None:
            del data["precision"]
        data["target"] = _digested_target(data["target"], self.target.meter)
        return data

    def has_room_for(self, run: RunSpec) -> bool:
        """Return whether a run is planned, or is a repetition that may be added to one."""
        return run in self.runs or self.repeated_by(run) in self.runs

    def repeated_by(self, run: RunSpec) -> RunSpec | None:
        """Return the first repetition of a run, None where it is one too many.

        A model that ran hot is repeated up to the repetitions of the target's thermal rule, a
        cell that is not known well enough up to those of the rule of precision.
        """
        most = self.target.thermal.repetitions
        if self.precision is not None:
            most = max(most, self.precision.at_most)
        return run.model_copy(update={"repetition": 1}) if run.repetition <= most else None

    def prompt_of(self, run: RunSpec) -> PlannedPrompt:
        """Return the prompt text that a run sends."""
        return self.prompts[prompt_key(run.experiment, run.prompt)]


def _digested_target(target: dict[str, Any], meter: OutsideMeter | None) -> dict[str, Any]:
    """Return a target without what a page works out with it, and what came later where unused."""
    kept = {key: value for key, value in target.items() if key not in ("memory_bus_bits", "meter")}
    container = kept["container"]
    if container is not None and container["architecture"] is None:
        kept["container"] = {k: v for k, v in container.items() if k != "architecture"}
    return kept if meter is None else {**kept, "meter": _digested_meter(meter)}


def _digested_meter(meter: OutsideMeter) -> dict[str, Any]:
    """Return a meter as data; a real one without a name looks as before there were others."""
    usual = OutsideMeter(command=("usual",))
    left_out = {key for key in ("name", "pretended") if getattr(meter, key) == getattr(usual, key)}
    return meter.model_dump(mode="json", exclude=left_out)


def _drop_unused(model: dict[str, Any]) -> None:
    """Take from a model as data what not every file has: its digest is that of before any had."""
    made = model["quantised"]
    if made is None:
        del model["quantised"]
    elif made["calibration_sha256"] is None:
        del made["calibration_sha256"]


def _digested_engine(engine: dict[str, Any]) -> dict[str, Any]:
    """Return a build as data without its paths; what not every build has only where it is there.

    A build without a probe has the digest that it had before there were any; so has one that is
    told of mmap as all were, and one without tools.
    """
    left_out = {"binary", "why", "probe"}
    left_out |= {"no_mmap_args"} if tuple(engine["no_mmap_args"]) == NO_MMAP_ARGS else set()
    left_out |= set() if engine["tools_sha256"] else {"tools_sha256"}
    kept = {key: value for key, value in engine.items() if key not in left_out}
    kept["source"] = {key: value for key, value in engine["source"].items() if key != "path"}
    if engine["probe"] is not None:
        kept["probe"] = {key: engine["probe"][key] for key in ("sha256", "build_key")}
    return kept


def read_plan(path: Path) -> Plan:
    """Read the plan of a session. Raises RecordError where it is missing or not one of ours."""
    try:
        with SessionFolder(path.parent) as session:
            content = session.read_bytes(path.name)
    except FileNotFoundError as error:
        told = f"no such session: no {path.name} is there"
        raise RecordError(told, where=str(path.parent)) from error
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return parse_plan(content, str(path))


def parse_plan(content: bytes, where: str) -> Plan:
    """Parse a plan of this or an earlier version.

    Raises RecordError where it is damaged, foreign or newer than this appliance.
    """
    require_unique_keys(content, where)
    content = upgraded_json(content, upgrade_plan) or content
    try:
        return Plan.model_validate_json(content)
    except ValidationError as error:
        raise as_record_error(error, content, where, kind="plan", newest=PLAN_SCHEMA) from error


def prompt_key(experiment: str, prompt: str) -> str:
    """Return the key of a prompt in a plan: experiments may shorten the same prompt."""
    return f"{experiment}/{prompt}"


def scaled_prompt(prompt_id: str, prompt: Prompt, scale: float) -> PlannedPrompt:
    """Return a prompt cut to its first `scale` share of words, at least four; or of items."""
    text, items = prompt.text.strip(), None
    if prompt.items is not None:
        items = max(1, round(prompt.items.count * scale))
        text = "\n".join(text.split("\n")[: items * ITEM_LINES])
    elif scale < 1:
        words = text.split()
        text = " ".join(words[: max(4, round(len(words) * scale))])
    return PlannedPrompt(
        id=prompt_id,
        set=prompt.set,
        category=prompt.category,
        words=len(text.split()),
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        items=items,
    )


def expand_prompts(
    experiments: Mapping[str, Experiment], prompts: Mapping[str, Prompt]
) -> dict[str, PlannedPrompt]:
    """Return the prompts that experiments send, by plan key."""
    return {
        prompt_key(name, prompt): scaled_prompt(prompt, prompts[prompt], experiment.prompt_scale)
        for name, experiment in experiments.items()
        for prompt in experiment.prompts
    }


def expand_runs(
    experiments: Mapping[str, Experiment],
    *,
    target: str,
    pin: str,
    threads: int,
    seed: int,
    references: Mapping[str, str] = MappingProxyType({}),
) -> tuple[RunSpec, ...]:
    """Return the runs of experiments one after another, each in its own declared order.

    `pin` and `threads` stand in where an experiment names none; `references` has for each model
    the one that its answers are held against.
    """
    runs: list[RunSpec] = []
    for name, experiment in experiments.items():
        specs = [
            RunSpec(
                target=target,
                pin=chosen_pin,
                model=model,
                prompt=prompt,
                experiment=name,
                repetition=repetition,
                threads=n_threads,
                arm=arm,
                n_predict=experiment.n_predict,
                ignore_eos=experiment.ignore_eos,
                context=experiment.context,
                assesses=experiment.assesses,
                reference=references[model] if experiment.assesses else None,
            )
            for repetition in range(1, experiment.repetitions + 1)
            for prompt in experiment.prompts
            for n_threads in experiment.threads or (threads,)
            for arm in experiment.arms
            for chosen_pin in experiment.pins or (pin,)
            for model in experiment.models
        ]
        runs.extend(ordered(specs, experiment.order, seed))
    return tuple(runs)


def ordered(specs: Sequence[RunSpec], order: Order, seed: int) -> list[RunSpec]:
    """Return runs in an order; `specs` come interleaved (models innermost)."""
    if order is Order.BLOCKED:
        models = list(dict.fromkeys(run.model for run in specs))
        return sorted(specs, key=lambda run: models.index(run.model))
    if order is Order.RANDOMISED:
        shuffled = list(specs)
        random.Random(seed).shuffle(shuffled)  # noqa: S311  an order that can be had again
        return shuffled
    if order is Order.COUNTERBALANCED:
        return _counterbalanced(specs)
    return list(specs)


def _counterbalanced(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Return the runs of each repetition, prompt and number of threads in an order of their own.

    What always comes first, or always after the same one, would carry what that does to it: the
    pages that the last model left in the cache, the heat, the clock. The orders go through the
    rows of a Williams design, one for each block.
    """
    blocks: dict[tuple[int, str, int], list[RunSpec]] = {}
    for run in specs:
        blocks.setdefault((run.repetition, run.prompt, run.threads), []).append(run)
    found: list[RunSpec] = []
    for number, block in enumerate(blocks.values()):
        rows = williams_rows(len(block))
        found += [block[place] for place in rows[number % len(rows)]]
    return found


def williams_rows(count: int) -> list[list[int]]:
    """Return orders of `count` things: each stands as often at each place and after each other.

    `count` rows where it is even, twice as many where it is odd. Source: Williams, Australian
    Journal of Scientific Research A 2 (1949) 149.

    >>> williams_rows(4)
    [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]
    """
    first = [0] + [
        (place + 1) // 2 if place % 2 else count - place // 2 for place in range(1, count)
    ]
    rows = [[(place + shift) % count for place in first] for shift in range(count)]
    return rows if count % 2 == 0 else [*rows, *(row[::-1] for row in rows)]

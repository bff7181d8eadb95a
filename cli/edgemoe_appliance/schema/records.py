"""Records: the lines of a journal, and how one line is read and written.

A journal is JSON Lines. `period` opens each measuring period, `header` opens a run, `end` closes
it. A header without an end is an interrupted run. Versioned by the line: older records are brought
to the present form before they are validated, newer ones are refused as what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import (
    Count,
    CountFromOne,
    Frozen,
    Int64,
    canonical_json,
)
from edgemoe_appliance.schema.configs import Identifier, PowerSource, Sha256
from edgemoe_appliance.schema.findings import Finding
from edgemoe_appliance.schema.hardware import HardwareFacts
from edgemoe_appliance.schema.metrics import METRICS, SERIES_METRICS
from edgemoe_appliance.schema.plan import ApplianceIdentity, RunSpec, StudyIdentity
from edgemoe_appliance.schema.versions import (
    UNKNOWN_NAME,
    as_record_error,
    require_unique_keys,
    upgrade_record,
    upgraded_json,
)

RECORD_SCHEMA: Final = 2
# Run ids become file names and HTML anchors; the longest that RunSpec.id makes is 214 long.
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=240)]


class Status(str, Enum):
    """How a run ended."""

    OK = "ok"
    OOM = "oom"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    INVALID = "invalid"

    @property
    def is_final(self) -> bool:
        """Return whether a resumed session leaves such a run as it is."""
        return self is not Status.INTERRUPTED


class Phase(str, Enum):
    """What the engine is doing in a window of time."""

    IDLE = "idle"
    LOAD = "load"
    PROMPT = "prompt"
    GENERATE = "generate"
    UNLOAD = "unload"
    PROCESS = "process"


class Window(Frozen):
    """An interval of the monotonic clock and the phase it stands for."""

    phase: Phase
    start_ns: Count
    end_ns: Count

    @model_validator(mode="after")
    def _forward(self) -> Window:
        if self.end_ns < self.start_ns:
            raise ValueError("a window must not end before it starts")
        return self

    @property
    def duration_s(self) -> float:
        """Return the length of the window in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


class Caveat(Frozen):
    """A reason why a figure may not mean what it seems to; kept beside it."""

    code: Identifier
    text: str
    numbers: dict[str, float] = Field(default_factory=dict)


class BufferKind(str, Enum):
    """What an engine keeps in a buffer: weights, cache of keys and values, the rest."""

    MODEL = "model"
    KV = "kv"
    COMPUTE = "compute"
    OUTPUT = "output"
    OTHER = "other"


class BufferFacts(Frozen):
    """One buffer as the engine told of it; `device` is the engine's own name for where it lies."""

    device: str
    kind: BufferKind
    bytes: Count

    @property
    def is_host(self) -> bool:
        """Return whether it lies in the memory of processes: all names but those of devices."""
        return self.device.startswith(("CPU", "AMX", "BLAS", "Host")) or self.device.endswith(
            "_Host"
        )


class EngineFacts(Frozen):
    """What the engine said of a run while it loaded; None where it did not say it.

    `devices` are those it computes on beside the processor; `layers_offloaded` of `layers` are
    there. Buffers are by device and kind.
    """

    devices: tuple[str, ...]
    layers_offloaded: Count | None
    layers: Count | None
    context: Count | None
    batch: Count | None
    ubatch: Count | None
    threads: Count | None
    flash_attention: bool | None
    buffers: tuple[BufferFacts, ...]


class LayerUse(Frozen):
    """Which experts the tokens of a part of a run took in one layer.

    `distinct` of `experts` were taken by any of `tokens`; `entropy_bits` is that of their shares
    of all choices; `reuse` is the mean share of a token's experts that the token before took, None
    where no token follows another.
    """

    layer: Count
    experts: CountFromOne
    tokens: CountFromOne
    distinct: CountFromOne
    entropy_bits: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    reuse: Annotated[float, Field(ge=0, le=1)] | None


# As many as the probe keeps.
LayerUses = Annotated[tuple[LayerUse, ...], Field(max_length=128)]


class ExpertUse(Frozen):
    """Which experts a run took, by layer, in its prompt pass and in generation."""

    prompt: LayerUses
    decode: LayerUses


class HostFacts(Frozen):
    """What the measuring process found out about its machine; None where not readable.

    `environment_removed` are the variables that the engine did not get, by name;
    `environment_kept` those it got that choose a device or a driver, with their values.
    """

    system: str
    release: str
    machine: str
    hostname_sha256: Sha256
    cpu_model: str | None
    cores_physical: Count | None
    cores_logical: Count
    memory_bytes: Count
    swap_bytes: Count
    python: str
    boot_id: str | None
    governor: str | None
    cgroup: str | None
    in_container: bool
    environment_removed: tuple[str, ...] = ()
    environment_kept: dict[str, str] = Field(default_factory=dict)


class RailFacts(Frozen):
    """One rail of the primary power source; bounds are None where nobody published one.

    `unit` is W (power) or J (a counter), `step` is in that unit, `role` says whether it belongs
    to the source's total, is a part of another rail, or overlaps them.
    """

    name: str
    sensor: str
    unit: Literal["W", "J"]
    role: Literal["total", "part", "beside"]
    step: float
    offset_bound_w: float | None
    gain_bound: float | None
    refresh_s: float
    # Absent in records of versions that did not know of it.
    lag_s: float | None = None
    lag_bound_s: float | None = None
    late_s: float | None = None


class PowerFacts(Frozen):
    """The power sources of a measuring period: `scope` is what the primary's total covers.

    `reason` says why there is no primary; `absent` holds the reason for each source that is not
    there.
    """

    primary: PowerSource | None
    scope: str | None
    rails: tuple[RailFacts, ...]
    cross_check: PowerSource | None
    beside: tuple[PowerSource, ...]
    absent: dict[PowerSource, str]
    reason: str | None


class HeatFacts(Frozen):
    """The sensors of a measuring period by name: `die` is the one whose temperature is reported."""

    die: str | None
    temperatures: tuple[str, ...]
    throttling: tuple[str, ...]
    unreadable: dict[str, str]


class CgroupFacts(Frozen):
    """The memory cgroup of the measuring process, or the `reason` why none is read."""

    version: Literal[1, 2] | None
    limit_bytes: Count | None
    keeps_peak: bool
    counts_oom_kills: bool
    reason: str | None


class PeriodRecord(Frozen):
    """One measuring period, from launch to end: a session that is resumed has several.

    The last five are None in records from before they were kept.
    """

    schema_version: Literal[2] = RECORD_SCHEMA
    kind: Literal["period"] = "period"
    session: Identifier
    plan_digest: Sha256
    started_utc: str
    appliance: ApplianceIdentity
    host: HostFacts
    findings: tuple[Finding, ...] = ()
    power: PowerFacts | None = None
    heat: HeatFacts | None = None
    cgroup: CgroupFacts | None = None
    hardware: HardwareFacts | None = None
    study: StudyIdentity | None = None


class HeaderRecord(Frozen):
    """Opens a run: written and synced before the engine starts.

    `probe_sha256` is the library that a probe arm loads into the engine.
    """

    schema_version: Literal[2] = RECORD_SCHEMA
    kind: Literal["header"] = "header"
    run_id: RunId
    attempt: CountFromOne
    spec: RunSpec
    argv: tuple[str, ...]
    engine_sha256: Sha256
    engine_build_key: Sha256
    model_sha256: Sha256
    model_file_bytes: CountFromOne
    model_twin_scale: Literal["tiny", "thin", "full"] | None
    prompt_sha256: Sha256
    image: str | None
    git_head: str | None
    started_utc: str
    start_mono_ns: Count
    probe_sha256: Sha256 | None = None


class SampleFile(Frozen):
    """Raw data of a run, its samples or its probe's report: a gzip file and its digest."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)
    sha256: Sha256
    bytes: CountFromOne


class EndRecord(Frozen):
    """Closes a run. A metric is either in `metrics` or, with its reason, in `absent`.

    `series` holds, of the metrics that have one, the value of each chunk or item in their order;
    None is one that was no finite number.
    `engine` is None in records from before it was kept; `expert_use` is there where the probe read
    the chosen experts, and the reason for its absence is that of the metric `experts_per_layer`.
    """

    schema_version: Literal[2] = RECORD_SCHEMA
    kind: Literal["end"] = "end"
    run_id: RunId
    attempt: CountFromOne
    status: Status
    detail: str | None = None
    exit_code: Int64 | None
    signal: Int64 | None
    metrics: dict[str, float]
    absent: dict[str, str]
    series: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    windows: tuple[Window, ...]
    caveats: tuple[Caveat, ...]
    text_sha256: Sha256
    text_bytes: Count
    stderr_tail: str
    samples: SampleFile | None
    probe_report: SampleFile | None = None
    engine: EngineFacts | None = None
    expert_use: ExpertUse | None = None
    ended_utc: str

    @field_validator("metrics", "absent")
    @classmethod
    def _registered(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(value.keys() - METRICS.keys())
        if unknown:
            what = f"not in the metric registry: {', '.join(unknown)}"
            raise PydanticCustomError(UNKNOWN_NAME, "{what}", {"what": what})
        return value

    @field_validator("series")
    @classmethod
    def _has_series(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(value) - set(SERIES_METRICS))
        if unknown:
            what = f"no metric with a value for each part: {', '.join(unknown)}"
            raise PydanticCustomError(UNKNOWN_NAME, "{what}", {"what": what})
        return value

    @model_validator(mode="after")
    def _either(self) -> EndRecord:
        both = sorted(self.metrics.keys() & self.absent.keys())
        if both:
            raise ValueError(f"both measured and absent: {', '.join(both)}")
        return self


Record = Annotated[PeriodRecord | HeaderRecord | EndRecord, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[PeriodRecord | HeaderRecord | EndRecord] = TypeAdapter(Record)
_FOREIGN: Final = "not a journal of ours?"


def _as_it_is(document: dict[str, Any]) -> dict[str, Any]:
    return document


def record_line(
    record: Frozen, hide: Callable[[dict[str, Any]], dict[str, Any]] = _as_it_is
) -> bytes:
    """Return a record as one line of a journal, newline included.

    `hide` takes out of its texts what must not be told (`Roots.hide`).

    Half of a surrogate pair (a file name that is not UTF-8) is no text: it becomes `?`, as
    otherwise the journal could not be written, or not be read.
    """
    return canonical_json(hide(record.model_dump(mode="json"))).encode(errors="replace") + b"\n"


def parse_record(line: bytes, where: str) -> PeriodRecord | HeaderRecord | EndRecord:
    """Parse one line of a journal.

    Raises RecordError that says where, and whether the record is damaged, foreign or newer than
    this appliance.
    """
    try:
        record = _ADAPTER.validate_json(line, strict=True)
    except ValidationError as error:
        upgraded = upgraded_json(line, upgrade_record)
        if upgraded is None:
            raise _as_record_error(error, line, where) from error
        record = _parse_upgraded(upgraded, where)
    if "schema_version" not in record.model_fields_set:
        raise RecordError("no schema_version", where=where, hint=_FOREIGN)
    require_unique_keys(line, where)
    return record


def _parse_upgraded(line: bytes, where: str) -> PeriodRecord | HeaderRecord | EndRecord:
    try:
        return _ADAPTER.validate_json(line, strict=True)
    except ValidationError as error:
        raise _as_record_error(error, line, where) from error


def _as_record_error(error: ValidationError, line: bytes, where: str) -> RecordError:
    if error.errors(include_url=False)[0]["type"] == "json_invalid":
        return RecordError("not a line of JSON", where=where, hint="restore the file")
    return as_record_error(error, line, where, kind="record", newest=RECORD_SCHEMA, hint=_FOREIGN)


def records_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a journal line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of a journal of edgemoe-appliance, schema version {RECORD_SCHEMA}",
        **_ADAPTER.json_schema(mode="serialization"),
    }

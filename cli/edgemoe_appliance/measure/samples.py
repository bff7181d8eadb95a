"""Raw data of a run as gzip files: everything needed to compute its figures again.

`NAME.json.gz`, schema 2; moments are nanoseconds of the monotonic clock:

- `spawn_ns`, `exit_ns`: start and end of the engine; `reads`: `[t_ns, bytes]` of each read of
  text; `stderr`: `[t_ns, line]`
- `samples`: `t_mono_ns`; `tree` (sums over the engine's process tree, null while there is none);
  `host`, `cgroup` and `heat` (degrees by sensor), read twice a second and null or empty between;
  `late_ns` (null for a sample out of step); `cost_ns` (processor time of the sample)
- `power`, one for each source: `source`, `part` (primary, cross-check, beside), `scope`, `rails`
  (as in the measuring period's record) and `readings`: `[t_ns, number of the rail, value]`, in the
  rail's unit; `[t_ns, number of the rail, null, reason]` for one that failed
- `throttle`: `t_mono_ns`, `states`, `counts`; `counters`: `t_mono_ns`, `cgroup`, `host_oom_kills`
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgemoe_appliance.engine.stream import EngineResult
from edgemoe_appliance.measure.facts import rail_facts
from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power.interface import (
    DeadReading,
    MeterReading,
    PowerMeter,
    PowerReading,
)
from edgemoe_appliance.measure.sampler import SamplerReport, SystemSample
from edgemoe_appliance.schema.base import canonical_json
from edgemoe_appliance.schema.journal import SAMPLES_FOLDER
from edgemoe_appliance.schema.records import HeaderRecord, SampleFile
from edgemoe_appliance.schema.sessionfolder import SessionFolder

SAMPLES_SCHEMA: Final = 2


def write_raw(folder: Path, name: str, content: bytes) -> SampleFile:
    """Write raw data, compressed, below a session folder and return its name and digest."""
    # No time and no name inside the gzip header: equal data give equal bytes.
    packed = gzip.compress(content, mtime=0)
    file_name = f"{name}.gz"
    with SessionFolder(folder) as session:
        session.write(f"{SAMPLES_FOLDER}/{file_name}", packed)
    digest = hashlib.sha256(packed).hexdigest()
    return SampleFile(name=file_name, sha256=digest, bytes=len(packed))


def build_samples(
    header: HeaderRecord,
    result: EngineResult,
    report: SamplerReport,
    power: Discovery,
    *,
    hide: Callable[[str], str] = str,
) -> bytes:
    """Return the content of a file of samples; `hide` takes paths out of the engine's lines."""
    document = {
        "schema_version": SAMPLES_SCHEMA,
        "run_id": header.run_id,
        "attempt": header.attempt,
        "spawn_ns": result.spawn_ns,
        "exit_ns": result.exit_ns,
        "reads": [[chunk.t_ns, chunk.n_bytes] for chunk in result.chunks],
        "stderr": [[line.t_ns, hide(line.text)] for line in result.stderr_lines],
        "samples": [_sample(sample) for sample in report.samples],
        "power": [
            _source(part, meter, report.power.get(meter.source, ()))
            for part, meter in _parts(power)
        ],
        "throttle": [asdict(reading) for reading in report.throttle],
        "counters": [asdict(reading) for reading in report.counters],
    }
    return canonical_json(document).encode(errors="replace")


def _sample(sample: SystemSample) -> dict[str, Any]:
    data = asdict(sample)
    data["heat"] = {} if sample.heat is None else sample.heat.temps_c
    return data


def _parts(power: Discovery) -> Iterator[tuple[str, PowerMeter]]:
    if power.primary is not None:
        yield "primary", power.primary
    if power.cross_check is not None:
        yield "cross-check", power.cross_check
    for meter in power.beside:
        yield "beside", meter


def _source(part: str, meter: PowerMeter, readings: Sequence[MeterReading]) -> dict[str, Any]:
    numbers = {rail.name: number for number, rail in enumerate(meter.rails)}
    return {
        "source": meter.source.value,
        "part": part,
        "scope": meter.scope.value,
        "rails": [rail_facts(rail).model_dump(mode="json") for rail in meter.rails],
        "readings": [_reading(reading, numbers[reading.rail]) for reading in readings],
    }


def _reading(reading: MeterReading, rail: int) -> list[Any]:
    if isinstance(reading, DeadReading):
        return [reading.t_mono_ns, rail, None, reading.reason]
    value = reading.power_w if isinstance(reading, PowerReading) else reading.energy_j
    return [reading.t_mono_ns, rail, value]

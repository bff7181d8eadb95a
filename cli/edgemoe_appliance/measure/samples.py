"""Raw samples of a run as a file: everything needed to compute its figures again."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgemoe_appliance.engine.stream import EngineResult
from edgemoe_appliance.measure.sampler import SamplerReport
from edgemoe_appliance.study.base import canonical_json
from edgemoe_appliance.study.files import write_atomically
from edgemoe_appliance.study.journal import SAMPLES_FOLDER
from edgemoe_appliance.study.records import SampleFile

SAMPLES_SCHEMA = 1


def write_samples(
    folder: Path, run_id: str, attempt: int, result: EngineResult, report: SamplerReport
) -> SampleFile:
    """Write the samples of a run below a session folder and return their name and digest."""
    name = f"{run_id}.a{attempt}.json.gz"
    document = samples_document(run_id, attempt, result, report)
    # No time and no name inside the gzip header: equal samples give equal bytes.
    content = gzip.compress(canonical_json(document).encode(), mtime=0)
    target = folder / SAMPLES_FOLDER / name
    target.parent.mkdir(exist_ok=True)
    write_atomically(target, content)
    return SampleFile(name=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def samples_document(
    run_id: str, attempt: int, result: EngineResult, report: SamplerReport
) -> dict[str, Any]:
    """Return samples as JSON-like data; all moments are nanoseconds of the monotonic clock."""
    return {
        "schema_version": SAMPLES_SCHEMA,
        "run_id": run_id,
        "attempt": attempt,
        "spawn_ns": result.spawn_ns,
        "exit_ns": result.exit_ns,
        "reads": [[chunk.t_ns, chunk.n_bytes] for chunk in result.chunks],
        "stderr": [[line.t_ns, line.text] for line in result.stderr_lines],
        "samples": [asdict(sample) for sample in report.samples],
        "late_ns": list(report.late_ns),
    }

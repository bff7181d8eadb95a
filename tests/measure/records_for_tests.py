"""Small records for tests of the journal: their figures are made up and never leave the tests."""

from __future__ import annotations

from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import EndRecord, HeaderRecord, Status

DIGEST = "0" * 64


def spec(repetition: int = 1) -> RunSpec:
    return RunSpec(
        target="host",
        pin="b4447",
        model="olmoe-1b-7b",
        prompt="qa-1",
        experiment="smoke",
        repetition=repetition,
        threads=1,
        n_predict=4,
    )


def header(run: RunSpec, attempt: int = 1) -> HeaderRecord:
    return HeaderRecord(
        run_id=run.id,
        attempt=attempt,
        spec=run,
        argv=("llama-cli", "-m", "model.gguf"),
        engine_sha256=DIGEST,
        engine_build_key=DIGEST,
        model_sha256=DIGEST,
        model_file_bytes=1,
        model_twin_scale="tiny",
        prompt_sha256=DIGEST,
        image=None,
        git_head=None,
        started_utc="2026-01-01T00:00:00Z",
        start_mono_ns=1,
    )


def end(run: RunSpec, attempt: int = 1, status: Status = Status.OK) -> EndRecord:
    return EndRecord(
        run_id=run.id,
        attempt=attempt,
        status=status,
        detail="ünïcode \u2028 inside",
        exit_code=0,
        signal=None,
        metrics={"wall_s": 0.5},
        absent={"load_s": "the footer is missing"},
        windows=(),
        caveats=(),
        text_sha256=DIGEST,
        text_bytes=0,
        stderr_tail="",
        samples=None,
        ended_utc="2026-01-01T00:00:01Z",
    )

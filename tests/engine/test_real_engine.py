"""Real llama-cli runs on tiny twins, through the same calls that a measured run makes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.engine.argv import build_argv, prompt_file_bytes, scrubbed_environment
from edgemoe_appliance.engine.failure import classify_failure
from edgemoe_appliance.engine.footer import Footer, parse_footer
from edgemoe_appliance.engine.stream import EndedBy, EngineResult, run_engine
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel, RunSpec
from edgemoe_appliance.schema.records import Status
from tests.schema.builders import a_spec, a_target

pytestmark = pytest.mark.engine

PROMPT = "The tide rises and falls twice a day because"
Run = Callable[..., EngineResult]


def spec(**changes: object) -> RunSpec:
    small = {"threads": 1, "n_predict": 16, "ignore_eos": True, "context": 256}
    return a_spec().model_copy(update={**small, **changes})


@pytest.fixture
def built(engine: object) -> EngineBuild:
    build: EngineBuild = engine.build  # type: ignore[attr-defined]
    return build


@pytest.fixture
def run(built: EngineBuild, tiny_models: dict[str, PlannedModel], tmp_path: Path) -> Run:
    def run_once(
        run: RunSpec,
        *,
        model: str | Path = "olmoe-1b-7b",
        prompt: str = PROMPT,
        more: tuple[str, ...] = (),
        timeout_s: float = 60,
    ) -> EngineResult:
        planned = tiny_models["olmoe-1b-7b"]
        if isinstance(model, Path):
            planned = planned.model_copy(update={"path": str(model)})
        else:
            planned = tiny_models[model]
        file = tmp_path / "prompt.txt"
        file.write_bytes(prompt_file_bytes(prompt))
        argv = build_argv(run, engine=built, model=planned, target=a_target(), prompt_file=file)
        environment, _ = scrubbed_environment(os.environ)
        return run_engine((*argv, *more), environment, timeout_s=timeout_s)

    return run_once


def footer_of(result: EngineResult) -> Footer:
    footer = parse_footer(result.stderr_text)
    assert footer is not None
    return footer


@pytest.mark.parametrize("model", ["olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"])
def test_every_model_generates_exactly_what_was_asked_for(run: Run, model: str) -> None:
    result = run(spec(), model=model)
    footer = footer_of(result)
    assert (result.exit_code, result.ended_by) == (0, EndedBy.ITSELF)
    assert (footer.generated_tokens, footer.eval_runs) == (16, 15)
    assert (footer.absent, footer.caveats) == ({}, ())
    assert result.text_bytes > 0


def test_the_stream_and_the_footer_tell_of_the_same_run(run: Run) -> None:
    result = run(spec(n_predict=200))
    footer = footer_of(result)
    assert result.first_text_ns is not None
    assert result.last_text_ns is not None
    assert result.footer_ns is not None
    assert result.spawn_ns < result.first_text_ns < result.last_text_ns
    assert result.last_text_ns <= result.footer_ns < result.exit_ns
    assert footer.load_s is not None
    assert footer.prompt_eval_s is not None
    # Loading and the prompt pass lie before the first text; what the footer misses is the start.
    ttft_s = (result.first_text_ns - result.spawn_ns) / 1e9
    assert ttft_s > 0.5 * (footer.load_s + footer.prompt_eval_s)
    assert 1 < len(result.chunks) <= 200


def test_equal_work_gives_equal_text(run: Run) -> None:
    digests = {run(spec(**changes)).text_sha256 for changes in
               ({}, {"threads": 2}, {"arm": Arm.NO_MMAP}, {"context": 512})}  # fmt: skip
    assert len(digests) == 1


def test_a_prompt_is_read_to_the_letter(run: Run) -> None:
    """Its backslashes are not escapes, and its own last newline stays."""
    tokens = [footer_of(run(spec(), prompt=text)).prompt_tokens for text in ("a", "a\n", "a\\n")]
    plain, newline, backslash = tokens
    assert plain is not None
    assert newline == plain + 1
    assert backslash == plain + 2


def test_the_caller_s_variables_do_not_reach_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_LOG_PREFIX", "1")
    monkeypatch.setenv("LLAMA_ARG_NO_PERF", "1")
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent/library.so")
    result = run(spec())
    assert footer_of(result).absent == {}
    assert "LD_PRELOAD" not in result.stderr_text


def test_a_prompt_longer_than_the_context(run: Run) -> None:
    result = run(spec(), prompt="word " * 300)
    failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
    assert failure.status is Status.INVALID
    assert "prompt is too long" in failure.reason


def test_a_truncated_model(run: Run, tiny_models: dict[str, PlannedModel], tmp_path: Path) -> None:
    whole = Path(tiny_models["olmoe-1b-7b"].path).read_bytes()
    short = tmp_path / "short.gguf"
    short.write_bytes(whole[: len(whole) // 2])
    result = run(spec(), model=short)
    assert parse_footer(result.stderr_text) is None
    failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
    assert failure.status is Status.INVALID
    assert "not within the file bounds" in failure.reason


def test_one_that_takes_too_long_is_ended_and_what_it_wrote_is_kept(run: Run) -> None:
    result = run(spec(n_predict=1_000_000), timeout_s=1)
    assert (result.ended_by, result.signal) == (EndedBy.TIMEOUT, signal.SIGTERM)
    assert result.text_bytes > 0
    assert result.wall_s < 10


def test_a_failed_assertion_ends_it_at_once(run: Run) -> None:
    """Without a debugger on PATH these builds would hang here for ever."""
    result = run(spec(), more=("--grp-attn-n", "2", "--grp-attn-w", "3"), timeout_s=20)
    assert (result.ended_by, result.signal) == (EndedBy.ITSELF, signal.SIGABRT)
    assert result.text_bytes == 0
    failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
    assert "GGML_ASSERT" in failure.reason


def test_a_build_says_what_it_is(built: EngineBuild) -> None:
    result = subprocess.run([built.binary, "--version"], check=True, capture_output=True, text=True)
    assert result.stderr.startswith(f"version: {built.pin.removeprefix('b')} (")

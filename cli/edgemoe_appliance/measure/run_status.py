"""How a run ended, from the engine's exit, its messages and the kernel's counters. Pure."""

from __future__ import annotations

import signal

from edgemoe_appliance.engine.failure import classify_failure
from edgemoe_appliance.engine.footer import Footer
from edgemoe_appliance.engine.stream import EndedBy, EngineResult
from edgemoe_appliance.schema.records import Status


def judge_ending(
    result: EngineResult, footer: Footer | None, oom_kill: str | None
) -> tuple[Status, str | None]:
    """Return how a run ended and, unless it ended well, why in one line.

    `oom_kill` is what the kernel's counters say of a kill for want of memory during the run.
    """
    if result.ended_by is EndedBy.STOPPED:
        return Status.INTERRUPTED, "stopped by the user"
    if result.ended_by is EndedBy.TIMEOUT:
        return Status.TIMEOUT, f"ended after {result.wall_s:.0f} s without an end of its own"
    if result.exit_code != 0:
        return _judge_failure(result, oom_kill)
    if footer is None:
        return Status.INVALID, "the engine ended well but printed no footer that can be read"
    if not _is_whole(footer):
        return Status.INVALID, "the engine ended well but its footer lacks counts or rates"
    return Status.OK, None


def _judge_failure(result: EngineResult, oom_kill: str | None) -> tuple[Status, str]:
    if result.signal == signal.SIGKILL and oom_kill is not None:
        return Status.OOM, oom_kill
    failure = classify_failure(result.exit_code, result.signal, result.stderr_text)
    if failure.maybe_out_of_memory:
        hint = "no counter of such kills rose; see the kernel's log"
        return failure.status, f"{failure.reason} ({hint})"
    return failure.status, failure.reason


def _is_whole(footer: Footer) -> bool:
    """Return whether a footer tells what was done; a single token has no rate of its own."""
    if footer.prompt_tokens is None or footer.generated_tokens is None:
        return False
    return footer.gen_tok_s is not None or footer.generated_tokens <= 1

"""The performance footer of an engine of any age. Pure.

Three spellings: `llama_print_timings` (until September 2024), `llama_perf_*_print`, and
`common_perf_print` (since November 2025). Reads text only; a figure that the footer does not give
is absent with its reason, never 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.engine.failure import Failure, classify_failure

__all__ = ["Failure", "Footer", "classify_failure", "parse_footer"]

# Matched anywhere in a line: --log-prefix puts a time before it, other messages may be glued on.
# A number counts only with the unit behind it, so that a torn line gives nothing; one of more
# digits than any clock has is none.
_LINE: Final = re.compile(
    r"(?:llama_perf_(?:sampler|context)_print|llama_print_timings|common_perf_print):\s+"
    r"(?P<name>sampling|samplers|sample|load|prompt eval|eval|total) time =\s*"
    r"(?P<ms>-?nan|-?inf|-?\d{1,15}(?:\.\d{1,15})?) ms"
    r"(?: /\s*(?P<count>-?\d{1,15}) (?:runs|tokens))?"
)
_NO_LINE: Final = "its line of the footer is missing or torn"
_NO_NUMBER: Final = "the footer holds no number there"
_NOTHING_TIMED: Final = "the engine timed nothing there"
_SINGLE_IN_PROMPT: Final = "a prompt of one token is counted under generation"
_SINGLE_GENERATED: Final = "a single token comes from the prompt pass: nothing was timed"
_TIMES: Final = {
    "load": "load_s",
    "prompt eval": "prompt_eval_s",
    "eval": "eval_s",
    "sampling": "sampling_s",
    "total": "total_s",
}
# How the number of sampled tokens is told, newest spelling first: the first word's count holds the
# prompt too, and so did that of the second while it had one; the third's never did.
_SAMPLED: Final = (("samplers", True), ("sampling", True), ("sample", False))


@dataclass(frozen=True, kw_only=True)
class Footer:
    """The figures of one footer; what is None has its reason in `absent` by field name.

    `generated_tokens` is the number of sampled tokens, an end-of-text token among them; rates
    are computed from times and counts. `total_s` leaves out the load (warm-up on).
    """

    load_s: float | None
    prompt_tokens: int | None
    prompt_eval_s: float | None
    prompt_tok_s: float | None
    generated_tokens: int | None
    eval_runs: int | None
    eval_s: float | None
    gen_tok_s: float | None
    sampling_s: float | None
    total_s: float | None
    absent: dict[str, str]
    caveats: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One line of a footer; `time_s` is None where it is not a number."""

    time_s: float | None
    count: int | None


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """How many tokens went in and came out."""

    prompt_tokens: int | None
    generated_tokens: int | None
    eval_runs: int | None
    caveats: tuple[str, ...]


def parse_footer(stderr: str) -> Footer | None:
    """Return the last footer in a text, or None where there is no line of one."""
    entries: dict[str, _Entry] = {}
    doubled: set[str] = set()
    for match in _LINE.finditer(stderr):
        name = match["name"]
        if name in entries:
            doubled.add(name)
        entries[name] = _parse_entry(match)
    if not entries:
        return None
    if "sample" in entries:
        entries.setdefault("sampling", _Entry(time_s=entries["sample"].time_s, count=None))
    caveats = ("the engine printed more than one footer; the last counts",) if doubled else ()
    return _footer(entries, caveats)


def _parse_entry(match: re.Match[str]) -> _Entry:
    number = match["ms"]
    is_number = number[-1].isdigit() and not number.startswith("-")
    count = match["count"]
    return _Entry(
        time_s=float(number) / 1000 if is_number else None,
        count=int(count) if count is not None and not count.startswith("-") else None,
    )


def _footer(entries: dict[str, _Entry], caveats: tuple[str, ...]) -> Footer:
    counts = _counts(entries)
    absent: dict[str, str] = {}
    times = {field: _time(entries.get(name), field, absent) for name, field in _TIMES.items()}
    _explain_untimed(entries, counts, absent)
    for field in ("prompt_tokens", "generated_tokens", "eval_runs"):
        if getattr(counts, field) is None:
            absent[field] = _NO_LINE
    return Footer(
        load_s=times["load_s"],
        prompt_tokens=counts.prompt_tokens,
        prompt_eval_s=times["prompt_eval_s"],
        prompt_tok_s=_rate(counts.prompt_tokens, times, ("prompt_eval_s", "prompt_tok_s"), absent),
        generated_tokens=counts.generated_tokens,
        eval_runs=counts.eval_runs,
        eval_s=times["eval_s"],
        gen_tok_s=_rate(counts.eval_runs, times, ("eval_s", "gen_tok_s"), absent),
        sampling_s=times["sampling_s"],
        total_s=times["total_s"],
        absent=absent,
        caveats=caveats + counts.caveats,
    )


def _time(entry: _Entry | None, field: str, absent: dict[str, str]) -> float | None:
    if entry is None:
        absent[field] = _NO_LINE
    elif entry.time_s is None:
        absent[field] = _NO_NUMBER
    elif entry.time_s == 0:
        absent[field] = _NOTHING_TIMED
    else:
        return entry.time_s
    return None


def _explain_untimed(entries: dict[str, _Entry], counts: _Counts, absent: dict[str, str]) -> None:
    """Say why nothing was timed, in the two cases where that is as it should be."""
    if _is_untimed(entries.get("prompt eval")) and counts.prompt_tokens == 1:
        absent["prompt_eval_s"] = _SINGLE_IN_PROMPT
    if _is_untimed(entries.get("eval")) and counts.generated_tokens == 1:
        absent["eval_s"] = _SINGLE_GENERATED


def _rate(
    count: int | None,
    times: dict[str, float | None],
    fields: tuple[str, str],
    absent: dict[str, str],
) -> float | None:
    time_field, rate_field = fields
    time_s = times[time_field]
    if time_s is None or count is None:
        absent[rate_field] = absent.get(time_field, _NO_LINE)
        return None
    return count / time_s


def _counts(entries: dict[str, _Entry]) -> _Counts:
    """Return the token counts, which the footer gives in two ways.

    The first token is sampled after the prompt pass: n tokens take n - 1 evaluation runs. Most
    samplers have seen the prompt too: prompt + n. A count of nothing is printed as 1 with 0.00 ms.
    """
    prompt = _count(entries.get("prompt eval"))
    runs = _count(entries.get("eval"))
    if runs == 1 and _is_untimed(entries.get("eval")):
        runs = 0
    is_in_prompt_pass = not (prompt == 1 and _is_untimed(entries.get("prompt eval")))
    by_runs = None if runs is None else runs + is_in_prompt_pass
    by_sampler = _sampled_tokens(entries, prompt)
    caveats: tuple[str, ...] = ()
    if None not in (by_runs, by_sampler) and by_runs != by_sampler:
        caveats = (f"the footer counts {by_sampler} sampled tokens but {runs} evaluation runs",)
    return _Counts(
        prompt_tokens=prompt,
        generated_tokens=by_runs if by_sampler is None else by_sampler,
        eval_runs=runs,
        caveats=caveats,
    )


def _sampled_tokens(entries: dict[str, _Entry], prompt: int | None) -> int | None:
    for name, holds_prompt in _SAMPLED:
        count = _count(entries.get(name))
        if count is None:
            continue
        if not holds_prompt:
            return count
        return None if prompt is None else max(0, count - prompt)
    return None


def _count(entry: _Entry | None) -> int | None:
    return entry.count if entry else None


def _is_untimed(entry: _Entry | None) -> bool:
    return entry is not None and entry.time_s == 0

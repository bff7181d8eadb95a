"""Windows and rates of one run, from the stream of text and the engine's footer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgemoe_appliance.engine.footer import Footer
from edgemoe_appliance.measure.readings import Readings, percentile
from edgemoe_appliance.schema.records import Caveat, Phase, Window
from edgemoe_appliance.schema.units import NS_PER_S

_FOOTER_KEYS = (
    "load_s",
    "prompt_tokens",
    "prompt_eval_s",
    "prompt_tok_s",
    "generated_tokens",
    "eval_s",
    "gen_tok_s",
    "total_s",
)
ENDED_EARLY = "ended-early"
# What an engine that judges and generates nothing may still print of itself.
NOT_OF_ASSESSMENTS = (
    *("generated_tokens", "eval_s", "gen_tok_s", "ttft_s", "stream_s"),
    *("gap_median_ms", "gap_p95_ms", "gap_p99_ms"),
)
_GAP_KEYS = ("gap_median_ms", "gap_p95_ms", "gap_p99_ms")
# The footer and the stream may differ by this share before a run carries a caveat ...
_DISAGREEMENT_SHARE = 0.02
# ... and by the latency of the pipe at both ends (below 4 ms each, 95th percentile).
_PIPE_LATENCY_S = 0.008


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Moments of one engine process on the monotonic clock; None where they did not come."""

    spawn_ns: int
    first_text_ns: int | None
    last_text_ns: int | None
    exit_ns: int
    read_ns: tuple[int, ...]

    @property
    def wall_s(self) -> float:
        """Return the time from start to end of the process."""
        return (self.exit_ns - self.spawn_ns) / NS_PER_S


def timing_windows(timeline: Timeline, footer: Footer | None) -> tuple[Window, ...]:
    """Return the phases of a run.

    The prompt phase begins its footer's length before the first text; without a footer that
    moment is not known, and only the whole process is told.
    """
    windows = [_window(Phase.PROCESS, timeline.spawn_ns, timeline.exit_ns)]
    first, last = timeline.first_text_ns, timeline.last_text_ns
    if first is None or last is None or footer is None or footer.prompt_eval_s is None:
        return tuple(windows)
    prompt_ns = max(timeline.spawn_ns, first - round(footer.prompt_eval_s * NS_PER_S))
    windows += [
        _window(Phase.LOAD, timeline.spawn_ns, prompt_ns),
        _window(Phase.PROMPT, prompt_ns, first),
        _window(Phase.GENERATE, first, last),
        _window(Phase.UNLOAD, last, timeline.exit_ns),
    ]
    return tuple(windows)


def put_timing(readings: Readings, timeline: Timeline, footer: Footer | None, why: str) -> None:
    """Put all times and rates; `why` is the reason where there is no footer."""
    readings.put("wall_s", timeline.wall_s, "")
    _put_stream(readings, timeline)
    if footer is None:
        readings.put_absent(_FOOTER_KEYS, why)
        return
    for key in _FOOTER_KEYS:
        readings.put(key, getattr(footer, key), footer.absent.get(key, "the footer has none"))


def _put_stream(readings: Readings, timeline: Timeline) -> None:
    first, last = timeline.first_text_ns, timeline.last_text_ns
    no_text = "no text was generated"
    readings.put(
        "ttft_s", None if first is None else (first - timeline.spawn_ns) / NS_PER_S, no_text
    )
    if first is None or last is None:
        readings.put_absent(("stream_s", *_GAP_KEYS), no_text)
        return
    readings.put("stream_s", (last - first) / NS_PER_S, no_text)
    gaps_ms = [(later - earlier) / 1e6 for earlier, later in pairwise(timeline.read_ns)]
    for key, share in zip(_GAP_KEYS, (0.5, 0.95, 0.99), strict=True):
        readings.put(key, percentile(gaps_ms, share), "text came in a single read")


def check_footer(timeline: Timeline, footer: Footer | None) -> Sequence[Caveat]:
    """Return the footer's own caveats, and one where its generation time is not the stream's."""
    own = tuple(Caveat(code="footer", text=text) for text in (footer.caveats if footer else ()))
    return (*own, *_check_stream(timeline, footer))


def _check_stream(timeline: Timeline, footer: Footer | None) -> Sequence[Caveat]:
    first, last = timeline.first_text_ns, timeline.last_text_ns
    if footer is None or footer.eval_s is None or first is None or last is None:
        return ()
    stream_s = (last - first) / NS_PER_S
    # Sampling happens between decodes: in the stream, not in the evaluation time.
    expected_s = footer.eval_s + (footer.sampling_s or 0.0)
    difference_s = abs(stream_s - expected_s)
    if difference_s <= _DISAGREEMENT_SHARE * expected_s + _PIPE_LATENCY_S:
        return ()
    return (
        Caveat(
            code="footer-stream",
            text="the stream of text and the engine's footer disagree about the generation time",
            numbers={"stream_s": stream_s, "footer_s": expected_s},
        ),
    )


def check_length(spec_tokens: int, ignore_eos: bool, footer: Footer | None) -> Sequence[Caveat]:
    """Return a caveat where the length was to be held and was not, or the text ended early."""
    generated = footer.generated_tokens if footer else None
    if generated is None or generated == spec_tokens:
        return ()
    numbers = {"wanted_tokens": float(spec_tokens), "generated_tokens": float(generated)}
    if not ignore_eos:
        if generated > spec_tokens:
            return ()
        text = "the model ended its text before the tokens asked for"
        return (Caveat(code=ENDED_EARLY, text=text, numbers=numbers),)
    return (
        Caveat(
            code="length",
            text="the engine generated another number of tokens than the experiment holds",
            numbers=numbers,
        ),
    )


def _window(phase: Phase, start_ns: int, end_ns: int) -> Window:
    return Window(phase=phase, start_ns=start_ns, end_ns=max(start_ns, end_ns))

"""The registry of metrics: what each one is, its unit, where it comes from, where it misleads.

Records may hold only metrics that stand here; the README's metric page is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unit(str, Enum):
    """Units as printed."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    BYTES = "B"
    TOKENS = "tokens"
    TOKENS_PER_S = "tok/s"
    PERCENT = "%"
    COUNT = "1"
    JOULES = "J"
    JOULES_PER_TOKEN = "J/tok"  # noqa: S105  a unit, not a password
    WATTS = "W"
    CELSIUS = "C"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric; `blind_spot` says what it does not see."""

    key: str
    title: str
    unit: Unit
    source: str
    resolution: str
    blind_spot: str


_FOOTER = "performance footer of llama-cli"
_TABLE = (
    Metric(
        key="wall_s",
        title="Wall time of the whole call",
        unit=Unit.SECONDS,
        source="monotonic clock, from before the process is started until it is reaped",
        resolution="1 us",
        blind_spot="holds loading and exit; says nothing about generation alone",
    ),
    Metric(
        key="load_s",
        title="Load time",
        unit=Unit.SECONDS,
        source=_FOOTER,
        resolution="10 us",
        blind_spot="holds the warm-up pass; leaves out process start; depends on the page cache",
    ),
    Metric(
        key="prompt_tokens",
        title="Prompt tokens",
        unit=Unit.TOKENS,
        source=_FOOTER,
        resolution="exact",
        blind_spot="the same text has another count under another tokenizer",
    ),
    Metric(
        key="prompt_eval_s",
        title="Prompt evaluation time",
        unit=Unit.SECONDS,
        source=_FOOTER,
        resolution="10 us",
        blind_spot="one batch: no figure per token inside it",
    ),
    Metric(
        key="prompt_tok_s",
        title="Prompt rate",
        unit=Unit.TOKENS_PER_S,
        source=_FOOTER,
        resolution="derived from time and count",
        blind_spot="dominated by fixed costs for short prompts",
    ),
    Metric(
        key="generated_tokens",
        title="Generated tokens",
        unit=Unit.TOKENS,
        source=_FOOTER + ": evaluation runs + 1, the first token comes from the prompt pass",
        resolution="exact",
        blind_spot="counts an end-of-text token too",
    ),
    Metric(
        key="eval_s",
        title="Generation time",
        unit=Unit.SECONDS,
        source=_FOOTER,
        resolution="10 us",
        blind_spot="leaves out sampling between decodes",
    ),
    Metric(
        key="gen_tok_s",
        title="Generation rate",
        unit=Unit.TOKENS_PER_S,
        source=_FOOTER + ": evaluation runs / evaluation time",
        resolution="derived from time and count",
        blind_spot="leaves out sampling, load and prompt; falls as the context fills",
    ),
    Metric(
        key="total_s",
        title="Total time of the engine",
        unit=Unit.SECONDS,
        source=_FOOTER,
        resolution="10 us",
        blind_spot="leaves out loading when the warm-up is on",
    ),
    Metric(
        key="ttft_s",
        title="Time to first token",
        unit=Unit.SECONDS,
        source="monotonic clock, from process start to the first byte of text",
        resolution="below 4 ms (pipe latency)",
        blind_spot="a first token without visible text shifts it to the next token",
    ),
    Metric(
        key="stream_s",
        title="Time from first to last text",
        unit=Unit.SECONDS,
        source="monotonic clock, reads of the output stream",
        resolution="below 4 ms (pipe latency)",
        blind_spot="reads can coalesce tokens; tokens without text are not seen",
    ),
    Metric(
        key="gap_median_ms",
        title="Gap between reads of text, median",
        unit=Unit.MILLISECONDS,
        source="monotonic clock, reads of the output stream",
        resolution="0.3-1.1 ms (pipe latency)",
        blind_spot="a read may hold several tokens",
    ),
    Metric(
        key="gap_p95_ms",
        title="Gap between reads of text, 95th percentile",
        unit=Unit.MILLISECONDS,
        source="monotonic clock, reads of the output stream",
        resolution="below 4 ms (pipe latency)",
        blind_spot="a read may hold several tokens",
    ),
    Metric(
        key="gap_p99_ms",
        title="Gap between reads of text, 99th percentile",
        unit=Unit.MILLISECONDS,
        source="monotonic clock, reads of the output stream",
        resolution="below 4 ms (pipe latency)",
        blind_spot="needs hundreds of tokens to mean anything",
    ),
    Metric(
        key="peak_rss_bytes",
        title="Peak resident memory of the process tree",
        unit=Unit.BYTES,
        source="kernel high-water mark of the engine, and sampled sum over its process tree",
        resolution="one page for the mark; the sampling period for the sum",
        blind_spot="counts mapped model pages that the kernel may drop; leaves out device memory",
    ),
    Metric(
        key="peak_rss_anon_bytes",
        title="Peak anonymous resident memory",
        unit=Unit.BYTES,
        source="RssAnon of /proc/PID/status, sampled, summed over the process tree",
        resolution="the sampling period",
        blind_spot="a peak between two samples is not seen; swapped pages leave it",
    ),
    Metric(
        key="peak_rss_file_bytes",
        title="Peak file-backed resident memory",
        unit=Unit.BYTES,
        source="RssFile of /proc/PID/status, sampled, summed over the process tree",
        resolution="the sampling period",
        blind_spot="reclaimable page cache: not a demand for memory",
    ),
    Metric(
        key="peak_rss_shmem_bytes",
        title="Peak shared resident memory",
        unit=Unit.BYTES,
        source="RssShmem of /proc/PID/status, sampled, summed over the process tree",
        resolution="the sampling period",
        blind_spot="shared pages are counted once per process",
    ),
    Metric(
        key="mem_available_drop_bytes",
        title="Drop of available memory of the host",
        unit=Unit.BYTES,
        source="MemAvailable of /proc/meminfo before the run, less its minimum during it",
        resolution="the sampling period",
        blind_spot="other processes move it too",
    ),
    Metric(
        key="peak_swap_used_bytes",
        title="Peak swap in use on the host",
        unit=Unit.BYTES,
        source="SwapTotal - SwapFree of /proc/meminfo",
        resolution="the sampling period",
        blind_spot="holds what other processes had swapped out before",
    ),
    Metric(
        key="cpu_s",
        title="Processor time of the engine",
        unit=Unit.SECONDS,
        source="user and system time from the kernel's accounting of the reaped process",
        resolution="1 us to one tick",
        blind_spot="spinning while waiting counts as work",
    ),
    Metric(
        key="cpu_mean_pct",
        title="Mean processor use of the engine",
        unit=Unit.PERCENT,
        source="processor time / wall time; 100 % is one core",
        resolution="one tick (10 ms) over the run",
        blind_spot="spinning while waiting counts as work",
    ),
    Metric(
        key="cpu_peak_pct",
        title="Peak processor use of the engine between two samples",
        unit=Unit.PERCENT,
        source="processor time of the process tree between two samples; 100 % is one core",
        resolution="one tick (10 ms) over the sampling period",
        blind_spot="too coarse for periods below 0.1 s",
    ),
    Metric(
        key="other_cpu_pct",
        title="Other load during the run",
        unit=Unit.PERCENT,
        source="busy and steal time of /proc/stat less the engine's and the sampler's, / wall",
        resolution="one tick (10 ms) over the run",
        blind_spot="in a container it still sees the whole host, as it should",
    ),
    Metric(
        key="steal_pct",
        title="Processor time taken by the hypervisor",
        unit=Unit.PERCENT,
        source="steal time of /proc/stat / wall time; 100 % is one core",
        resolution="one tick (10 ms) over the run",
        blind_spot="not every hypervisor reports it",
    ),
    Metric(
        key="sampler_cpu_pct",
        title="Processor use of the sampler",
        unit=Unit.PERCENT,
        source="thread processor time / wall time; 100 % is one core",
        resolution="1 us",
        blind_spot="leaves out the kernel's work on behalf of other processes",
    ),
    Metric(
        key="sampler_late_p95_ms",
        title="Lateness of the sampler, 95th percentile",
        unit=Unit.MILLISECONDS,
        source="monotonic clock at each sample less its due time",
        resolution="1 us",
        blind_spot="fewer than 20 samples make it the maximum",
    ),
    Metric(
        key="model_file_bytes",
        title="Size of the model file",
        unit=Unit.BYTES,
        source="file system",
        resolution="exact",
        blind_spot="decimal GB in the study's text, GiB in its memory figures",
    ),
)

METRICS: dict[str, Metric] = {metric.key: metric for metric in _TABLE}

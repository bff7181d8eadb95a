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


_FOOTER = "performance footer of the engine"
_BUFFERS = "the engine's own lines `... buffer size`, of all devices together"
_CGROUP = "memory files of the measuring process's cgroup, which holds the engine too; sampled"
_METER = "integral over the total rails of the primary power source"
_MEAN_POWER = "energy of the window / its length"
_HEAT = "hottest sensor on the die: the junction where it has one, else processor or graphics"
_PROBE = "clock readings of the routing probe inside the engine"
_INTEGRAL = "the uncertainty stated for it; at 10 Hz mostly that of the two edges"
_SYNC_COST = "synchronising adds its cost to every class, relatively most to cheap nodes"
_PROBED = "1 us for each node; synchronising costs more, see the slowdown of the mode"
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
        key="peak_rss_at_s",
        title="Moment of the highest resident memory",
        unit=Unit.SECONDS,
        source="time since the process was started of the sample with the highest resident memory",
        resolution="the sampling period",
        blind_spot="the kernel's own high-water mark has no time and may lie between two samples",
    ),
    Metric(
        key="peak_process_swap_bytes",
        title="Peak swap of the process tree",
        unit=Unit.BYTES,
        source="VmSwap of /proc/PID/status, sampled, summed over the process tree",
        resolution="the sampling period",
        blind_spot="leaves out shared memory; with zram it is still in memory, compressed",
    ),
    Metric(
        key="nvmap_peak_bytes",
        title="Peak device memory",
        unit=Unit.BYTES,
        source="NvMapMemUsed of /proc/meminfo (Jetson)",
        resolution="the sampling period",
        blind_spot="of the whole board, so it holds a desktop's too; outside resident memory",
    ),
    Metric(
        key="device_buffer_bytes",
        title="Memory of the engine's buffers on a device",
        unit=Unit.BYTES,
        source="the engine's own lines `... buffer size` that name a device beside the processor",
        resolution="0.01 MiB",
        blind_spot="what was allocated, at load; leaves out the driver's own context and pools",
    ),
    Metric(
        key="model_buffer_bytes",
        title="Memory of the engine's buffers for weights",
        unit=Unit.BYTES,
        source=_BUFFERS,
        resolution="0.01 MiB",
        blind_spot="a mapped file counts in full, resident or not; repacked weights count again",
    ),
    Metric(
        key="kv_buffer_bytes",
        title="Memory of the engine's cache of keys and values",
        unit=Unit.BYTES,
        source=_BUFFERS,
        resolution="0.01 MiB",
        blind_spot="allocated for the whole context, however much of it is used",
    ),
    Metric(
        key="compute_buffer_bytes",
        title="Memory of the engine's compute buffers",
        unit=Unit.BYTES,
        source=_BUFFERS,
        resolution="0.01 MiB",
        blind_spot="sized for the longest batch; leaves out work space of single operations",
    ),
    Metric(
        key="output_buffer_bytes",
        title="Memory of the engine's buffers for outputs",
        unit=Unit.BYTES,
        source=_BUFFERS,
        resolution="0.01 MiB",
        blind_spot="below half the resolution it is printed as nothing",
    ),
    Metric(
        key="cgroup_peak_bytes",
        title="Peak memory charged to the cgroup",
        unit=Unit.BYTES,
        source="the kernel's peak where it rose during the run, else " + _CGROUP,
        resolution="one page for the kernel's, the sampling period for the sampled",
        blind_spot="holds page cache, charged to whoever touched it first, and the measuring "
        "process; never the sum of the parts at one moment",
    ),
    Metric(
        key="cgroup_peak_is_kernels",
        title="Whether the cgroup's peak is the kernel's own",
        unit=Unit.COUNT,
        source="1 where the kernel's peak rose during the run, 0 where the highest sample stands",
        resolution="exact",
        blind_spot="the kernel's peak is of the cgroup's whole life: only a new record rises",
    ),
    Metric(
        key="cgroup_peak_anon_bytes",
        title="Peak anonymous memory of the cgroup",
        unit=Unit.BYTES,
        source="anon (version 1: total_rss) of " + _CGROUP,
        resolution="the sampling period",
        blind_spot="not reclaimable without swap; holds the measuring process",
    ),
    Metric(
        key="cgroup_peak_file_bytes",
        title="Peak page cache of the cgroup",
        unit=Unit.BYTES,
        source="file (version 1: total_cache) of " + _CGROUP,
        resolution="the sampling period",
        blind_spot="reclaimable; empty where another cgroup had read the model before",
    ),
    Metric(
        key="cgroup_peak_kernel_bytes",
        title="Peak kernel memory of the cgroup",
        unit=Unit.BYTES,
        source="kernel (version 1: kmem.usage_in_bytes) of " + _CGROUP,
        resolution="the sampling period",
        blind_spot="page tables and caches of the kernel; not every kernel accounts for them",
    ),
    Metric(
        key="cgroup_peak_swap_bytes",
        title="Peak swap of the cgroup",
        unit=Unit.BYTES,
        source="memory.swap.current (version 1: total_swap) of " + _CGROUP,
        resolution="the sampling period",
        blind_spot="not told where swap is not accounted",
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
        blind_spot="leaves out the stamping of tegrastats' lines, and the kernel's work for others",
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
        key="energy_load_j",
        title="Energy of loading",
        unit=Unit.JOULES,
        source=_METER,
        resolution=_INTEGRAL,
        blind_spot="from process start to the prompt pass; holds the warm-up pass",
    ),
    Metric(
        key="energy_prompt_j",
        title="Energy of the prompt pass",
        unit=Unit.JOULES,
        source=_METER,
        resolution=_INTEGRAL,
        blind_spot="one pass: its length is the footer's, its end the first byte of text",
    ),
    Metric(
        key="energy_generate_j",
        title="Energy of generation",
        unit=Unit.JOULES,
        source=_METER,
        resolution=_INTEGRAL,
        blind_spot="begins with the first token, which the prompt pass made; idle power is in it",
    ),
    Metric(
        key="energy_unload_j",
        title="Energy of unloading",
        unit=Unit.JOULES,
        source=_METER,
        resolution=_INTEGRAL,
        blind_spot="about 0.1 s: few readings, mostly edges",
    ),
    Metric(
        key="energy_process_j",
        title="Energy of the whole process",
        unit=Unit.JOULES,
        source=_METER,
        resolution=_INTEGRAL,
        blind_spot="holds loading and exit; idle power is in it",
    ),
    Metric(
        key="energy_load_u95_j",
        title="Uncertainty of the energy of loading, 95 %",
        unit=Unit.JOULES,
        source="sampling, edges, stalls, lag, step, offset and gain of the sensor, after the GUM",
        resolution="two figures",
        blind_spot="bursts between readings; offset and gain where nobody published a bound",
    ),
    Metric(
        key="energy_prompt_u95_j",
        title="Uncertainty of the energy of the prompt pass, 95 %",
        unit=Unit.JOULES,
        source="sampling, edges, stalls, lag, step, offset and gain of the sensor, after the GUM",
        resolution="two figures",
        blind_spot="bursts between readings; offset and gain where nobody published a bound",
    ),
    Metric(
        key="energy_generate_u95_j",
        title="Uncertainty of the energy of generation, 95 %",
        unit=Unit.JOULES,
        source="sampling, edges, stalls, lag, step, offset and gain of the sensor, after the GUM",
        resolution="two figures",
        blind_spot="bursts between readings; offset and gain where nobody published a bound",
    ),
    Metric(
        key="energy_unload_u95_j",
        title="Uncertainty of the energy of unloading, 95 %",
        unit=Unit.JOULES,
        source="sampling, edges, stalls, lag, step, offset and gain of the sensor, after the GUM",
        resolution="two figures",
        blind_spot="bursts between readings; offset and gain where nobody published a bound",
    ),
    Metric(
        key="energy_process_u95_j",
        title="Uncertainty of the energy of the whole process, 95 %",
        unit=Unit.JOULES,
        source="sampling, edges, stalls, lag, step, offset and gain of the sensor, after the GUM",
        resolution="two figures",
        blind_spot="bursts between readings; offset and gain where nobody published a bound",
    ),
    Metric(
        key="power_idle_w",
        title="Mean power before the run",
        unit=Unit.WATTS,
        source=_MEAN_POWER + ", just before the engine is started",
        resolution=_INTEGRAL,
        blind_spot="the machine as it is after the cool-down, the measuring process included",
    ),
    Metric(
        key="power_load_w",
        title="Mean power of loading",
        unit=Unit.WATTS,
        source=_MEAN_POWER,
        resolution=_INTEGRAL,
        blind_spot="a mean: see the peak",
    ),
    Metric(
        key="power_prompt_w",
        title="Mean power of the prompt pass",
        unit=Unit.WATTS,
        source=_MEAN_POWER,
        resolution=_INTEGRAL,
        blind_spot="a mean: see the peak",
    ),
    Metric(
        key="power_generate_w",
        title="Mean power of generation",
        unit=Unit.WATTS,
        source=_MEAN_POWER,
        resolution=_INTEGRAL,
        blind_spot="a mean: see the peak",
    ),
    Metric(
        key="power_process_w",
        title="Mean power of the whole process",
        unit=Unit.WATTS,
        source=_MEAN_POWER,
        resolution=_INTEGRAL,
        blind_spot="a mean: see the peak",
    ),
    Metric(
        key="power_peak_generate_w",
        title="Peak power of generation",
        unit=Unit.WATTS,
        source="highest reading; of a counter, highest mean over 10 of its refreshes",
        resolution="one reading",
        blind_spot="a peak between two readings or shorter than the lag of the sensor; "
        "of several rails it is the sum of their peaks",
    ),
    Metric(
        key="power_peak_process_w",
        title="Peak power of the whole process",
        unit=Unit.WATTS,
        source="highest reading; of a counter, highest mean over 10 of its refreshes",
        resolution="one reading",
        blind_spot="a peak between two readings or shorter than the lag of the sensor; "
        "of several rails it is the sum of their peaks",
    ),
    Metric(
        key="j_per_token_gross",
        title="Energy per generated token",
        unit=Unit.JOULES_PER_TOKEN,
        source="energy of generation / (generated tokens - 1): the prompt pass made the first",
        resolution=_INTEGRAL,
        blind_spot="idle power is in it; loading and prompt are not",
    ),
    Metric(
        key="j_per_token_gross_u95",
        title="Uncertainty of the energy per generated token, 95 %",
        unit=Unit.JOULES_PER_TOKEN,
        source="uncertainty of the energy of generation / (generated tokens - 1)",
        resolution="two figures",
        blind_spot="as the energy's own",
    ),
    Metric(
        key="j_per_token_net",
        title="Energy per generated token above idle",
        unit=Unit.JOULES_PER_TOKEN,
        source="energy of generation less idle power over its time, / (generated tokens - 1)",
        resolution=_INTEGRAL,
        blind_spot="idle power just before the run stands for that during it",
    ),
    Metric(
        key="j_per_token_net_u95",
        title="Uncertainty of the energy per token above idle, 95 %",
        unit=Unit.JOULES_PER_TOKEN,
        source="uncertainties of both energies / (generated tokens - 1); the offset cancels",
        resolution="two figures",
        blind_spot="as the energies' own",
    ),
    Metric(
        key="j_per_token_study",
        title="Energy per token as the study computed it",
        unit=Unit.JOULES_PER_TOKEN,
        source="left-Riemann sum of the readings during the whole call / all generated tokens",
        resolution="one sampling period at each end",
        blind_spot="holds loading, prompt and exit; drops up to one period at each edge",
    ),
    Metric(
        key="power_study_w",
        title="Mean power as the study computed it",
        unit=Unit.WATTS,
        source="mean of the readings during the whole call",
        resolution="one reading",
        blind_spot="holds loading, prompt and exit",
    ),
    Metric(
        key="power_study_peak_w",
        title="Peak power as the study computed it",
        unit=Unit.WATTS,
        source="highest of the readings during the whole call",
        resolution="one reading",
        blind_spot="holds loading, prompt and exit",
    ),
    Metric(
        key="energy_cross_diff_pct",
        title="Difference of the second power source",
        unit=Unit.PERCENT,
        source="energy of the whole process by the cross-check less the primary's, / the primary's",
        resolution="the uncertainties of both",
        blind_spot="two readings of one sensor share its errors and agree all the same",
    ),
    Metric(
        key="power_readings_generate",
        title="Power readings during generation",
        unit=Unit.COUNT,
        source="readings of the primary power source in the generate window",
        resolution="exact",
        blind_spot="a sensor read faster than it refreshes repeats itself",
    ),
    Metric(
        key="temp_start_c",
        title="Temperature at the start of the run",
        unit=Unit.CELSIUS,
        source=_HEAT,
        resolution="0.001 to 1 degree by sensor, at the sampling period",
        blind_spot="sensors of other makes differ by degrees; compare within one machine only",
    ),
    Metric(
        key="temp_peak_c",
        title="Temperature at its peak of the run",
        unit=Unit.CELSIUS,
        source=_HEAT,
        resolution="0.001 to 1 degree by sensor, at the sampling period",
        blind_spot="sensors of other makes differ by degrees; compare within one machine only",
    ),
    Metric(
        key="temp_end_c",
        title="Temperature at the end of the run",
        unit=Unit.CELSIUS,
        source=_HEAT,
        resolution="0.001 to 1 degree by sensor, at the sampling period",
        blind_spot="sensors of other makes differ by degrees; compare within one machine only",
    ),
    Metric(
        key="throttle_events",
        title="Throttling during the run",
        unit=Unit.COUNT,
        source="rise of the kernel's throttle levels and counters since the run began, summed",
        resolution="read about once a second",
        blind_spot="levels that rose and fell between two readings; clocks lowered in silence",
    ),
    Metric(
        key="cooldown_s",
        title="Pause before the run",
        unit=Unit.SECONDS,
        source="monotonic clock, around the pause by the target's rule",
        resolution="1 us; the junction rule looks every 0.5 s",
        blind_spot="a cooled junction may sit on a board that is still warm",
    ),
    Metric(
        key="routing_decode_s",
        title="Time of routing in generation",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the decodes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="routing_prompt_s",
        title="Time of routing in the prompt pass",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the prompt passes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="expert_ffn_decode_s",
        title="Time of the experts in generation",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the decodes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="expert_ffn_prompt_s",
        title="Time of the experts in the prompt pass",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the prompt passes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="attention_decode_s",
        title="Time of attention in generation",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the decodes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="head_decode_s",
        title="Time of the output head in generation",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the decodes",
        resolution=_PROBED,
        blind_spot=_SYNC_COST,
    ),
    Metric(
        key="other_decode_s",
        title="Time of all other nodes in generation",
        unit=Unit.SECONDS,
        source=_PROBE + ", summed over the decodes",
        resolution=_PROBED,
        blind_spot="synchronising adds its cost to every class; unknown names count here",
    ),
    Metric(
        key="routing_share_decode_pct",
        title="Routing share of the MoE blocks in generation",
        unit=Unit.PERCENT,
        source=_PROBE + ": routing / (routing + experts), ratio of the sums, as the study",
        resolution="of both times",
        blind_spot="biased upward: synchronising, and other load, inflate cheap nodes most",
    ),
    Metric(
        key="routing_share_prompt_pct",
        title="Routing share of the MoE blocks in the prompt pass",
        unit=Unit.PERCENT,
        source=_PROBE + ": routing / (routing + experts), ratio of the sums, as the study",
        resolution="of both times",
        blind_spot="biased upward: synchronising, and other load, inflate cheap nodes most",
    ),
    Metric(
        key="routing_share_decode_median_pct",
        title="Routing share of the MoE blocks in generation, median",
        unit=Unit.PERCENT,
        source=_PROBE + ": routing / (routing + experts) of each decode",
        resolution="of both times",
        blind_spot="biased upward: synchronising inflates cheap nodes; disturbed decodes do not",
    ),
    Metric(
        key="probe_nodes_per_decode",
        title="Graph nodes per decode seen by the probe",
        unit=Unit.COUNT,
        source=_PROBE + ", mean over the timed decodes",
        resolution="exact",
        blind_spot="depends on engine version and architecture",
    ),
    Metric(
        key="probe_unknown_nodes",
        title="Graph nodes whose names the probe does not know",
        unit=Unit.COUNT,
        source=_PROBE + ", number of different names",
        resolution="exact; at most 64 names are kept",
        blind_spot="their time counts as other",
    ),
    Metric(
        key="probe_slowdown_boundary_pct",
        title="Slowdown by synchronising at edges of groups",
        unit=Unit.PERCENT,
        source=_PROBE + ": decode time over that of its bare neighbours, modes rotated, median - 1",
        resolution="below 1 % over hundreds of decodes",
        blind_spot="bare decodes are waited for too; that wait is not in an unprobed run",
    ),
    Metric(
        key="probe_slowdown_per_node_pct",
        title="Slowdown by synchronising at every node",
        unit=Unit.PERCENT,
        source=_PROBE + ": decode time over that of its bare neighbours, modes rotated, median - 1",
        resolution="below 1 % over hundreds of decodes",
        blind_spot="bare decodes are waited for too; that wait is not in an unprobed run",
    ),
    Metric(
        key="routing_share_decode_boundary_pct",
        title="Routing share in generation, boundary decodes among bare ones, median",
        unit=Unit.PERCENT,
        source=_PROBE + ": routing / (routing + experts) of each decode, modes rotated",
        resolution="of both times",
        blind_spot="biased upward: synchronising inflates cheap nodes; see the slowdown beside it",
    ),
    Metric(
        key="routing_share_decode_per_node_pct",
        title="Routing share in generation, per-node decodes among bare ones, median",
        unit=Unit.PERCENT,
        source=_PROBE + ": routing / (routing + experts) of each decode, modes rotated",
        resolution="of both times",
        blind_spot="biased upward: synchronising inflates cheap nodes; see the slowdown beside it",
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

# A run whose text ended early enters a figure of generation where it has at least this share of
# the tokens that were asked for: a rate, an energy per token or a share over fewer is of another
# condition (a shorter context, few decodes), and would weigh as much as a whole run.
LEAST_LENGTH_SHARE = 0.5
# Figures over the generated tokens, or over a call of which they are most.
GENERATION_METRICS = frozenset(
    {
        *("gen_tok_s", "eval_s", "total_s", "wall_s", "stream_s"),
        *("gap_median_ms", "gap_p95_ms", "gap_p99_ms"),
        *(key for key in METRICS if key.startswith(("energy_generate_", "energy_process_"))),
        *(key for key in METRICS if key.startswith(("power_generate_", "power_peak_generate_"))),
        *(key for key in METRICS if key.startswith(("power_process_", "power_study_"))),
        *(key for key in METRICS if key.startswith("j_per_token_")),
        *(key for key in METRICS if "_decode_" in key and key.endswith(("_s", "_pct"))),
    }
)


def is_long_enough(generated_tokens: float | None, n_predict: int) -> bool:
    """Return whether a run's figures of generation enter a mean; one of unknown length does."""
    return generated_tokens is None or generated_tokens >= LEAST_LENGTH_SHARE * n_predict

"""The quantities that claims and audits speak of, and what names one number of a kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.studies.paper import LengthClass, Stratum


class Quantity(str, Enum):
    """What can be asked of evidence. Those in `DERIVED` follow from others."""

    GENERATION_RATE = "generation-rate"
    RATE_VARIATION = "rate-variation"
    PROMPT_VARIANCE = "prompt-variance"
    LIKELY_PROMPT_VARIANCE = "likely-prompt-variance"
    PEAK_MEMORY = "peak-memory"
    FILE_BACKED_MEMORY = "file-backed-memory"
    SWAP = "swap"
    PHYSICAL_MEMORY = "physical-memory"
    FILE_SIZE = "file-size"
    TOTAL_PARAMETERS = "total-parameters"
    ACTIVE_PARAMETERS = "active-parameters"
    ACTIVE_BYTES = "active-bytes"
    HEAD_BYTES = "head-bytes"
    CACHE_BYTES = "cache-bytes"
    CACHE_BYTES_PER_TOKEN = "cache-bytes-per-token"  # noqa: S105
    DEVICE_MEMORY = "device-memory"
    BANDWIDTH = "bandwidth"
    PEAK_FLOPS = "peak-flops"
    GENERATED_TOKENS = "generated-tokens"
    LENGTH_RATE = "length-rate"
    COMPLETED = "completed"
    ENERGY_PER_TOKEN = "energy-per-token"  # noqa: S105  a quantity, not a password
    MEDIAN_ENERGY_PER_TOKEN = "median-energy-per-token"  # noqa: S105
    AVERAGE_POWER = "average-power"
    PEAK_POWER = "peak-power"
    GENERATION_ENERGY_PER_TOKEN = "generation-energy-per-token"  # noqa: S105
    GENERATION_POWER = "generation-power"
    PEAK_TEMPERATURE = "peak-temperature"
    ROUTING_TIME = "routing-time"
    EXPERT_TIME = "expert-time"
    ROUTING_SHARE = "routing-share"
    PROBED_RATE = "probed-rate"
    UNPROBED_RATE = "unprobed-rate"
    THREAD_LOSS = "thread-loss"
    GRAPH_NODES = "graph-nodes"
    ROTATED_SLOWDOWN = "rotated-slowdown"
    TIME_PER_TOKEN = "time-per-token"  # noqa: S105
    FALL_WITH_LENGTH = "fall-with-length"
    BEHIND_FASTEST_DENSE = "behind-fastest-dense"
    SLOWDOWN = "slowdown"
    PROBE_COST = "probe-cost"
    TOTAL_TRAFFIC_SHARE = "total-traffic-share"
    BANDWIDTH_USE = "bandwidth-use"
    IMPLIED_WINDOW = "implied-window"
    NODES_OUTSIDE = "nodes-outside"


@dataclass(frozen=True, kw_only=True)
class QuantityFacts:
    """Title and unit of a quantity, and the table of runs that it is read from."""

    title: str
    unit: str
    feeds: Feeds = Feeds.HEADLINE


_FACTS = {
    Quantity.GENERATION_RATE: QuantityFacts(title="generation rate", unit="tok/s"),
    Quantity.RATE_VARIATION: QuantityFacts(title="variation of the rate", unit="%"),
    Quantity.PROMPT_VARIANCE: QuantityFacts(title="variance between prompts", unit="%"),
    Quantity.LIKELY_PROMPT_VARIANCE: QuantityFacts(
        title="variance between prompts, long texts alike", unit="%"
    ),
    Quantity.PEAK_MEMORY: QuantityFacts(title="peak resident memory", unit="B"),
    Quantity.FILE_BACKED_MEMORY: QuantityFacts(title="file-backed resident memory", unit="B"),
    Quantity.SWAP: QuantityFacts(title="swap used by the engine", unit="B"),
    Quantity.PHYSICAL_MEMORY: QuantityFacts(title="physical memory", unit="B"),
    Quantity.FILE_SIZE: QuantityFacts(title="file size", unit="B"),
    Quantity.TOTAL_PARAMETERS: QuantityFacts(title="total parameters", unit="1"),
    Quantity.ACTIVE_PARAMETERS: QuantityFacts(title="active parameters", unit="1"),
    Quantity.ACTIVE_BYTES: QuantityFacts(title="weight bytes read per token", unit="B"),
    Quantity.HEAD_BYTES: QuantityFacts(title="bytes of the output head", unit="B"),
    Quantity.CACHE_BYTES: QuantityFacts(title="cache bytes read per token", unit="B"),
    Quantity.BANDWIDTH: QuantityFacts(title="memory bandwidth", unit="B/s"),
    Quantity.PEAK_FLOPS: QuantityFacts(title="peak arithmetic rate", unit="FLOP/s"),
    Quantity.CACHE_BYTES_PER_TOKEN: QuantityFacts(title="cache of one token", unit="B"),
    Quantity.DEVICE_MEMORY: QuantityFacts(title="memory of the device's own", unit="B"),
    Quantity.GENERATED_TOKENS: QuantityFacts(title="generated tokens", unit="tokens"),
    Quantity.LENGTH_RATE: QuantityFacts(
        title="generation rate", unit="tok/s", feeds=Feeds.PROMPT_LENGTH
    ),
    Quantity.COMPLETED: QuantityFacts(
        title="runs that ended well", unit="%", feeds=Feeds.PROMPT_LENGTH
    ),
    Quantity.ENERGY_PER_TOKEN: QuantityFacts(title="energy per token", unit="J/tok"),
    Quantity.MEDIAN_ENERGY_PER_TOKEN: QuantityFacts(title="median energy per token", unit="J/tok"),
    Quantity.AVERAGE_POWER: QuantityFacts(title="average power", unit="W"),
    Quantity.PEAK_POWER: QuantityFacts(title="highest power", unit="W"),
    Quantity.GENERATION_ENERGY_PER_TOKEN: QuantityFacts(
        title="energy per token of generation alone", unit="J/tok"
    ),
    Quantity.GENERATION_POWER: QuantityFacts(title="power of generation alone", unit="W"),
    Quantity.PEAK_TEMPERATURE: QuantityFacts(title="highest temperature", unit="\N{DEGREE SIGN}C"),
    Quantity.ROUTING_TIME: QuantityFacts(title="time of routing", unit="s", feeds=Feeds.ROUTING),
    Quantity.EXPERT_TIME: QuantityFacts(title="time of the experts", unit="s", feeds=Feeds.ROUTING),
    Quantity.ROUTING_SHARE: QuantityFacts(title="routing share", unit="%", feeds=Feeds.ROUTING),
    Quantity.PROBED_RATE: QuantityFacts(
        title="generation rate with every node timed", unit="tok/s", feeds=Feeds.ROUTING
    ),
    Quantity.UNPROBED_RATE: QuantityFacts(
        title="generation rate without timing", unit="tok/s", feeds=Feeds.ROUTING
    ),
    Quantity.GRAPH_NODES: QuantityFacts(
        title="nodes of the graph per token", unit="1", feeds=Feeds.ROUTING
    ),
    Quantity.ROTATED_SLOWDOWN: QuantityFacts(
        title="slowdown by timing every node, decodes of both kinds in turn",
        unit="%",
        feeds=Feeds.ROUTING,
    ),
    Quantity.THREAD_LOSS: QuantityFacts(
        title="loss against the best number of threads", unit="%", feeds=Feeds.THREADS
    ),
    Quantity.TIME_PER_TOKEN: QuantityFacts(title="time per token", unit="s"),
    Quantity.FALL_WITH_LENGTH: QuantityFacts(
        title="fall of the rate from short to long prompts", unit="%", feeds=Feeds.PROMPT_LENGTH
    ),
    Quantity.BEHIND_FASTEST_DENSE: QuantityFacts(
        title="rate below that of the fastest dense model", unit="%"
    ),
    Quantity.SLOWDOWN: QuantityFacts(
        title="slowdown by timing every node", unit="ratio", feeds=Feeds.ROUTING
    ),
    Quantity.PROBE_COST: QuantityFacts(
        title="time that timing every node adds to a token", unit="s", feeds=Feeds.ROUTING
    ),
    Quantity.BANDWIDTH_USE: QuantityFacts(title="bandwidth used (S-MBU)", unit="%"),
    Quantity.IMPLIED_WINDOW: QuantityFacts(title="energy per token x rate / power", unit="ratio"),
    Quantity.NODES_OUTSIDE: QuantityFacts(
        title="nodes outside the MoE blocks to those inside", unit="ratio", feeds=Feeds.ROUTING
    ),
    Quantity.TOTAL_TRAFFIC_SHARE: QuantityFacts(
        title="traffic of all weights for every token, to the peak bandwidth,", unit="ratio"
    ),
}


def facts_of(quantity: Quantity) -> QuantityFacts:
    """Return title, unit and table of a quantity."""
    return _FACTS[quantity]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One number: a quantity and of what. `arm` is that of the probe, by default per node."""

    quantity: Quantity
    model: str | None = None
    length: LengthClass | None = None
    stratum: Stratum | None = None
    threads: int | None = None
    arm: Arm = Arm.PROBE_PER_NODE

    @property
    def key(self) -> str:
        """Return a name for machines: `length-rate.olmoe-1b-7b.long`."""
        parts = (self.model, self.length, self.stratum)
        return ".".join([self.quantity.value, *(part for part in parts if part)])

    def of(self, quantity: Quantity) -> Term:
        """Return the same, of another quantity."""
        return replace(self, quantity=quantity)

"""The study's printed figures as evidence: values with the rounding of their digits.

The study prints no intervals, so a verdict rests on the digits alone. What it does not print is
absent; the shapes of models and the bandwidths of devices come from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from edgemoe_appliance.analysis.claims.estimates import (
    Basis,
    Estimate,
    combine,
    exact,
    high_of,
    low_of,
    printed_estimate,
    ratio,
    scaled,
    within,
)
from edgemoe_appliance.analysis.claims.evidence import Place, Statement
from edgemoe_appliance.analysis.claims.study_statements import printed_statements
from edgemoe_appliance.analysis.claims.weight_counts import cache_bytes, published_work
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.analysis.table_model import Source
from edgemoe_appliance.models.arithmetic import TokenWork
from edgemoe_appliance.schema.configs import Arm, Feeds, Target
from edgemoe_appliance.schema.hardware import HardwareFacts
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId, figure_unit, unit_factor
from edgemoe_appliance.studies.quantities import Quantity, Term, facts_of

_TRANSFERS_PER_CLOCK = 2
NOT_PRINTED = "the study does not print it"
_NO_PEAKS = "the study's folder names no peaks of this device"
_OF_SHAPES = (
    Quantity.ACTIVE_BYTES,
    Quantity.HEAD_BYTES,
    Quantity.MULTIPLIED_PARAMETERS,
    Quantity.ATTENTION_FLOPS,
    Quantity.CACHE_BYTES_PER_TOKEN,
)
_OF_GRAPHS = (
    Quantity.GRAPH_NODES,
    Quantity.ROUTING_NODES,
    Quantity.PROJECTION_NODES,
    Quantity.EXPERT_NODES,
)


class StudyEvidence:
    """The study's own figures."""

    source: Source = "study"

    def __init__(self, study: Study) -> None:
        """Take the study and its digits."""
        self.study = study

    def places(self, table: Feeds) -> Sequence[Place]:
        """Return the devices with figures for a table."""
        study, sweep = self.study, self.study.procedure.thread_sweep
        cells: Mapping[Feeds, Mapping[StudyDeviceId, object]] = {
            Feeds.HEADLINE: study.tables.throughput.cells,
            Feeds.PROMPT_LENGTH: study.tables.prompt_length.cells,
            Feeds.ROUTING: study.tables.routing.cells,
            Feeds.THREADS: {sweep.device: None} if sweep else {},
        }
        return tuple(
            Place(id=device, label=study.devices[device].label, table=table, device=device)
            for device in cells.get(table, {})
        )

    def models(self, place: Place) -> Sequence[str]:
        """Return the models that the study reports for a device."""
        tables = self.study.tables
        table = tables.slowdown if place.table is Feeds.ROUTING else tables.throughput
        rows = table.rows(place.device)
        return tuple(model for model in self.study.models if model in rows)

    def read(self, place: Place, term: Term) -> Estimate | Absent:
        """Return a printed figure, or why there is none."""
        if reason := self._why_absent(place, term):
            return Absent(reason=reason)
        facts = facts_of(term.quantity)
        if facts.printed or term.stated:
            name = (
                f"stated/{term.stated}"
                if term.stated
                else facts.printed.format(
                    device=place.device, model=term.model, length=term.length, stratum=term.stratum
                )
            )
            figure = printed_estimate(self.study.printed, name)
            factor = unit_factor(figure_unit(name), facts.unit)
            return figure if isinstance(figure, Absent) else scaled(figure, factor)
        if place.device is None:
            return Absent(reason=NOT_PRINTED)
        return self._other(place.device, term)

    def ratio(self, place: Place, top: Term, bottom: Term) -> Estimate | Absent:
        """Return a ratio of printed figures with the extremes of their rounding."""
        above, below = self.read(place, top), self.read(place, bottom)
        if isinstance(above, Absent):
            return above
        return below if isinstance(below, Absent) else ratio(above, below)

    def sensor_share(self, place: Place, term: Term) -> float:
        """Return 0: a study prints no uncertainty of its sensor."""
        return 0.0

    def statements(self) -> Sequence[Statement]:
        """Return the printed figures that follow from others."""
        return tuple(printed_statements(self.study))

    def _other(self, device: StudyDeviceId, term: Term) -> Estimate | Absent:
        """Return what stands in no table: facts of the device, the procedure and the model."""
        study = self.study
        # A nominal GB may be 10^9 or 2^30 bytes.
        nominal, peaks = study.devices[device].memory_gb, study.peaks.get(device)
        facts: Mapping[Quantity, Estimate | Absent] = {
            Quantity.PHYSICAL_MEMORY: within(nominal * GB, nominal * GIB, Basis.ROUNDING),
            Quantity.GENERATED_TOKENS: Absent(reason=NOT_PRINTED)
            if study.procedure.max_new_tokens is None
            else exact(study.procedure.max_new_tokens),
            Quantity.PEAK_FLOPS: exact(peaks.flops) if peaks else Absent(reason=_NO_PEAKS),
            Quantity.BANDWIDTH: exact(peaks.bandwidth_gb_s * GB)
            if peaks
            else Absent(reason=_NO_PEAKS),
            **self._nodes(),
        }
        if term.quantity in facts:
            return facts[term.quantity]
        if term.quantity is Quantity.RATE_VARIATION:
            return self._variation(f"tables/stability/cells/{device}/{term.model}")
        if term.quantity in (Quantity.PROMPT_VARIANCE, Quantity.LIKELY_PROMPT_VARIANCE):
            return self._variance(device, term)
        if term.quantity in _OF_SHAPES:
            return self._of_shape(term)
        if term.quantity is Quantity.MEAN_CONTEXT:
            return self._mean_context()
        return Absent(reason=NOT_PRINTED)

    def _nodes(self) -> Mapping[Quantity, Estimate | Absent]:
        """Return the nodes of the subject's graph, and of those the ones that were counted."""
        graph, layers = self.study.graph, self.study.layers(self.study.subject)
        if graph is None:
            none = Absent(reason="the nodes of the subject's graph are not known")
            return dict.fromkeys(_OF_GRAPHS, none)
        every = graph.block_per_layer
        return {
            Quantity.EXPERT_NODES: exact(layers * (every - graph.routing_per_layer))
            if every
            else Absent(reason="the nodes of the experts are not known"),
            Quantity.GRAPH_NODES: exact(graph.nodes),
            Quantity.ROUTING_NODES: exact(layers * graph.routing_per_layer),
            Quantity.PROJECTION_NODES: exact(layers * graph.expert_per_layer),
        }

    def _variance(self, device: StudyDeviceId, term: Term) -> Estimate | Absent:
        """Return the part of the variance between prompts: at least, or as long ones let expect."""
        procedure = self.study.procedure
        if term.quantity is Quantity.PROMPT_VARIANCE:
            found = self._prompt_variance(device, term, more_long=0)
            return found if isinstance(found, Absent) else _at_least(found)
        if procedure.long_category is None:
            return Absent(reason="no category of the study's prompts is known to be long")
        # Categories of equal size; that of the long prompts is one of them.
        in_category = (procedure.prompts or 0) // (procedure.prompt_categories or 1)
        return self._prompt_variance(device, term, more_long=in_category)

    def _variation(self, cell: str) -> Estimate | Absent:
        """Return a printed variation, or what the bounds of the text leave open."""
        figure = partial(printed_estimate, self.study.printed)
        printed = figure(f"{cell}/cv_pct")
        if isinstance(printed, Estimate):
            return printed
        high, low = figure(f"{cell}/cv_at_most_pct"), figure(f"{cell}/cv_at_least_pct")
        if isinstance(high, Absent) or isinstance(high.bounds, Absent):
            return Absent(reason=NOT_PRINTED)
        least = 0.0
        if isinstance(low, Estimate) and not isinstance(low.bounds, Absent):
            least = low.bounds.low
        return within(least, high.bounds.high, Basis.ROUNDING, value=high.value)

    def _prompt_variance(
        self, device: StudyDeviceId, term: Term, more_long: int
    ) -> Estimate | Absent:
        """Return the part of the variance that lies between the three lengths and the rest, in %.

        Their runs are among the pooled ones; the mean of the other runs follows from theirs and
        from that of all. What those differ by among themselves would come on top. `more_long` of
        the other prompts are taken to run as the long one does.
        """
        procedure, figure = self.study.procedure, partial(printed_estimate, self.study.printed)
        cells = f"cells/{device}/{term.model}"
        mean = figure(f"tables/throughput/{cells}/mean_tok_s")
        variation = self._variation(f"tables/stability/{cells}")
        lengths = [
            figure(f"tables/prompt_length/{cells}/{length}_tok_s")
            for length in procedure.prompt_length_words
        ]
        if isinstance(variation, Estimate) and low_of(variation) <= 0:
            variation = exact(high_of(variation))  # an upper bound: the part is at least this
        known = [each for each in (mean, variation, *lengths) if isinstance(each, Estimate)]
        if not lengths or len(known) < 2 + len(lengths):
            return Absent(reason=NOT_PRINTED)
        runs, each = procedure.headline_runs_per_cell or 0, procedure.repetitions or 0
        counts = [each] * len(lengths)
        counts[-1] += each * more_long
        others = runs - sum(counts)

        def share_pct(m: float, cv: float, *rates: float) -> float:
            told = list(zip(counts, rates, strict=True))
            rest = (runs * m - sum(n * rate for n, rate in told)) / others
            squares = sum(n * (rate - m) ** 2 for n, rate in (*told, (others, rest)))
            return 100 * squares / ((runs - 1) * (m * cv / 100) ** 2)

        return combine(share_pct, *known)

    def _why_absent(self, place: Place, term: Term) -> str:
        """Return why the study has no such number, empty where it may have one."""
        device = self.study.devices.get(place.device) if place.device else None
        facts = facts_of(term.quantity)
        if device is not None and facts.is_energy and not device.energy_reported:
            return f"the study reports no energy on {place.label}"
        in_text = term.stated is not None
        if term.length and facts.printed and "{length}" not in facts.printed and not in_text:
            return "the study does not print it by length of prompt"
        if term.arm is not Arm.PROBE_PER_NODE:
            return "the study timed every node, no groups of them"
        return facts.not_printed

    def _mean_context(self) -> Estimate | Absent:
        """Return the mean context, between what the classes of prompts allow."""
        bounds = self.study.mean_context_tokens
        if bounds is None:
            return Absent(reason="the study prints no number of tokens of its prompts")
        return within(bounds.low, bounds.high, Basis.TOLERANCE)

    def _of_shape(self, term: Term) -> Estimate | Absent:
        """Return what follows from the tensors of the model as its entry names them."""
        entry = self.study.configs.models.models.get(term.model or "")
        if term.quantity is Quantity.CACHE_BYTES_PER_TOKEN:
            if entry is None or entry.shape is None:
                return Absent(reason="the shape of the model is not known")
            return exact(cache_bytes(entry.shape))
        return quantity_of_work(published_work(entry), term.quantity)


def quantity_of_work(work: TokenWork | Absent, quantity: Quantity) -> Estimate | Absent:
    """Return what one token asks of the weights, as the quantity that it is."""
    if isinstance(work, Absent):
        return work
    return exact(
        {
            Quantity.ACTIVE_BYTES: work.read_bytes,
            Quantity.HEAD_BYTES: work.head_bytes,
            Quantity.MULTIPLIED_PARAMETERS: work.multiplied_parameters,
            Quantity.ATTENTION_FLOPS: work.attention_flops_per_position,
        }[quantity]
    )


def _at_least(part: Estimate) -> Estimate:
    """Return a part of a whole in per cent of which only the least is known."""
    return within(low_of(part), max(100.0, high_of(part)), Basis.ROUNDING, value=part.value)


def bandwidth_of(target: Target, hardware: HardwareFacts | None = None) -> Estimate | Absent:
    """Return the peak bandwidth of a target in bytes/s, by the memory clock where that is known.

    A clock of double data rate moves two words of the bus in each cycle: 2133 MHz and 128 bits are
    68.3 GB/s, 3199 MHz 102.4. One that is free to move is taken at the highest it may reach.
    """
    clock_hz = hardware.memory_clock_hz if hardware is not None else None
    if clock_hz is not None and target.memory_bus_bits is not None:
        return exact(clock_hz * _TRANSFERS_PER_CLOCK * target.memory_bus_bits / 8)
    if target.bandwidth_gb_s is None:
        return Absent(reason=f"no bandwidth_gb_s for {target.label} in devices.yaml")
    return exact(target.bandwidth_gb_s * GB)

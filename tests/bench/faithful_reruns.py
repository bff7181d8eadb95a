"""What the judge makes of whole reruns of the study, on simulated ones whose truth is known.

`python -m tests.bench.faithful_reruns [RERUNS]` plans the study's experiments on both its devices,
draws what every run reads, writes the journals and judges them as those of a user are judged. It
prints for every claim how often each verdict was given, of reruns whose truth is what the study
prints, and of reruns whose truth is clearly otherwise.

The truth of a claim is that of the same rerun without any scatter, by its numbers against the
limits alone. Wrong is: reproduced though the truth is outside, not reproduced though it is inside.
What the study does not print (swap, energy of loading, threads, nodes) is taken as `World` says. A
simulation: nothing here was measured.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    Part,
    SessionEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.analysis.claims.weight_counts import cache_bytes
from edgemoe_appliance.schema.configs import Arm, Experiment
from edgemoe_appliance.schema.plan import Plan, PlannedModel, PlannedPrompt, RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.journals import Synthetic, build_plan, failed, journal_lines, write_lines
from tests.bench.simulated import SEED, fewer_resamples

RESAMPLES = 500
JETSON, M2 = "jetson", "m2"
EXPERIMENTS = {
    M2: ("efficiency", "prompt_length", "thread_sweep", "router_overhead"),
    JETSON: ("efficiency", "prompt_length", "router_overhead"),
}
# Tokens of a prompt's word, as the real tokenizers have it.
_TOKENS_PER_WORD = 1.3
# What an INA3221 leaves of the energy of a call, relative.
_SENSOR_U95 = 0.02


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Standard deviations of the logarithm: between sessions, prompts and runs; of degrees C."""

    session: float = 0.005
    prompt: float = 0.012
    run: float = 0.010
    session_c: float = 0.5
    run_c: float = 0.8


NONE = Scatter(session=0.0, prompt=0.0, run=0.0, session_c=0.0, run_c=0.0)


@dataclass(frozen=True, kw_only=True)
class World:
    """What is true beside the study's printed figures, and by how much they are off.

    `rates`, `energy`, `power`, `memory` and `routing` multiply what the study prints, by model;
    `extra_fall` is what rates with long prompts lose beyond it; `kelvin` is added to temperatures.
    """

    rates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    energy: Mapping[str, float] = field(default_factory=dict)
    power: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[tuple[str, str], float] = field(default_factory=dict)
    peak_power: float = 1.0
    routing: float = 1.0
    routing_growth: float = 1.0
    patched: float = 1.0
    extra_fall: float = 0.0
    kelvin: float = 0.0
    load_share: float = 0.2
    swap_bytes: float = 0.6 * GB
    file_backed_share: float = 0.05
    device_copy: float = 1.0
    long_memory: float = 1.02
    thread_loss: float = 0.013
    completes: bool = True
    nodes: float = 950.0


@lru_cache(maxsize=1)
def study() -> Study:
    """Return the study whose reruns these are."""
    return read_study("moe-edge")


def _otherwise() -> World:
    """Return a world in which OLMoE is as Llama-3.2-1B is, and little is as the study says."""
    olmoe, llama, qwen, gemma = study().models
    tables = study().tables
    rates = {
        device: {m: c.mean_tok_s or 1.0 for m, c in tables.throughput.rows(device).items()}
        for device in (M2, JETSON)
    }
    energy, power = (
        {m: getattr(c, name) for m, c in tables.energy.rows(JETSON).items()}
        for name in ("mean_j_per_tok", "avg_power_w")
    )
    peaks = {
        d: {m: c.peak_rss_gib or 1.0 for m, c in tables.memory.rows(d).items()}
        for d in (M2, JETSON)
    }
    return World(
        rates={
            **{(d, olmoe): 1.05 * rates[d][llama] / rates[d][olmoe] for d in (M2, JETSON)},
            **{(d, gemma): 1.2 * rates[d][llama] / rates[d][gemma] for d in (M2, JETSON)},
        },
        energy={olmoe: energy[llama] / energy[olmoe], gemma: 0.9 * energy[llama] / energy[gemma]},
        power={olmoe: 1.05 * power[gemma] / power[olmoe]},
        memory={
            (M2, olmoe): 1.1 * peaks[M2][llama] / peaks[M2][olmoe],
            (JETSON, olmoe): 0.9 * peaks[JETSON][llama] / peaks[JETSON][olmoe],
            (JETSON, llama): 1.0,
            (JETSON, qwen): 0.5,
            (JETSON, gemma): 0.5,
            (M2, gemma): 1.6,
        },
        peak_power=1.3,
        routing=2.5,
        routing_growth=1.5,
        patched=0.6,
        extra_fall=0.25,
        kelvin=6.0,
        load_share=0.3,
        swap_bytes=0.0,
        device_copy=0.2,
        long_memory=1.0,
        thread_loss=0.06,
        completes=False,
        nodes=400.0,
    )


def _planned_models(study: Study) -> dict[str, PlannedModel]:
    """Return the real models as a plan has them, by their published counts."""
    real = Synthetic(twin_scale=None, like_the_study=True, study_device="m2")
    template = build_plan(real).models
    found = {}
    for name, model in study.models.items():
        entry = study.configs.model(name)
        assert model.file_gb is not None
        size = int(model.file_gb * GB)
        active, total = entry.published_parameters_active, entry.published_parameters_total
        assert active is not None
        assert total is not None
        found[name] = template[name].model_copy(
            update={
                "file_bytes": size,
                "parameters_total": total,
                "parameters_active": active,
                "bytes_per_token": int(size * active / total),
                "kv_bytes_per_token": cache_bytes(entry.shape_of(name)),
            }
        )
    return found


@lru_cache(maxsize=2)
def build_device_plan(device: str) -> tuple[Synthetic, Plan]:
    """Return a session of the study's experiments on one of its devices, with real prompts."""
    known = study()
    # On a device of the study an evaluation takes the study's run order.
    order = {"order": known.procedure.run_order}
    experiments: dict[str, Experiment] = {
        name: known.experiment(name).model_copy(update=order) for name in EXPERIMENTS[device]
    }
    peaks = known.peaks[device]
    synthetic = Synthetic(
        session=device,
        study_device=device,  # type: ignore[arg-type]
        twin_scale=None,
        prompts=(),
        length_prompts=(),
        experiments=experiments,
        memory_bytes=int(known.devices[device].memory_gb * 0.95 * GB),
        bandwidth_gb_s=peaks.bandwidth_gb_s,
        like_the_study=True,
    )
    plan = build_plan(synthetic)
    prompts: dict[str, PlannedPrompt] = {}
    for key, planned in plan.prompts.items():
        prompt = known.prompts[planned.id]
        prompts[key] = planned.model_copy(
            update={"category": prompt.category, "words": prompt.words, "set": prompt.set}
        )
    models = _planned_models(known)
    return synthetic, plan.model_copy(update={"models": models, "prompts": prompts})


@dataclass(kw_only=True)
class Rerun:
    """One rerun on one device: what its runs read."""

    device: str
    world: World
    scatter: Scatter
    rng: np.random.Generator

    def __post_init__(self) -> None:
        """Draw what a session has in common, and what prompts do to each model."""
        known = study()
        self._session = {
            (what, model): self._factor(self.scatter.session)
            for what in ("rate", "power", "energy", "routing")
            for model in known.models
        }
        self._prompt = {
            (model, prompt): self._factor(self.scatter.prompt)
            for model in known.models
            for prompt in known.prompts
        }
        self._room_c = float(self.rng.normal(0, self.scatter.session_c or 1e-12))

    def _factor(self, spread: float) -> float:
        return float(np.exp(self.rng.normal(0, spread))) if spread else 1.0

    def metrics(self, spec: RunSpec) -> dict[str, float]:
        """Return the readings of a run."""
        prompt = study().prompts[spec.prompt]
        rate = self._rate(spec)
        n = float(spec.n_predict)
        found = {
            "wall_s": 2.0 + n / rate,
            "gen_tok_s": rate,
            "prompt_tokens": round(_TOKENS_PER_WORD * prompt.words),
            "generated_tokens": n,
            "ttft_s": 0.5,
            **self._memory(spec, is_long=self._is_long(spec.prompt)),
        }
        if self.device in study().energy_devices:
            found |= self._energy(spec)
        if spec.arm.is_probed:
            found |= self._routing(spec)
        return {key: float(value) for key, value in found.items()}

    def _is_long(self, prompt: str) -> bool:
        return study().prompts[prompt].words >= study().procedure.prompt_length_words["long"][0]

    def _printed(self, table: str, row: str, figure: str) -> float:
        value = study().printed_value(table, self.device, row, figure)
        assert value is not None
        return value

    def _rate(self, spec: RunSpec) -> float:
        """Return a rate: long prompts run as the study's long one, and the mean is the study's."""
        known, model = study(), spec.model
        short, medium, long = (
            self._printed("prompt-length", model, f"{length}_tok_s") for length in known.lengths
        )
        mean = self._printed("throughput", model, "mean_tok_s")
        # Of 15 prompts one is short, one medium, three long; the others make up the mean.
        other = (15 * mean - short - medium - 3 * long) / 10
        base = {"length-short": short, "length-medium": medium}.get(spec.prompt, other)
        if self._is_long(spec.prompt):
            base = long * (1 - self.world.extra_fall * (model == known.subject))
        if spec.arm.is_probed:
            patched = self._printed("slowdown", model, "patched_tok_s")
            share = 1.0 if spec.arm is Arm.PROBE_PER_NODE else 0.3
            added = 1 / (patched * self.world.patched) - 1 / mean
            base = 1 / (1 / base + share * added)
        loss = {4: 3 * self.world.thread_loss, 6: self.world.thread_loss, 10: 0.01}
        if spec.experiment == "thread_sweep":
            base *= 1 - loss.get(spec.threads, 0.0)
        return (
            base
            * self.world.rates.get((self.device, model), 1.0)
            * self._session["rate", model]
            * self._prompt[model, spec.prompt]
            * self._factor(self.scatter.run)
        )

    def _memory(self, spec: RunSpec, *, is_long: bool) -> dict[str, float]:
        known, model = study(), spec.model
        printed_gib = self._printed("memory", model, "peak_rss_gib")
        peak = printed_gib * GIB * self.world.memory.get((self.device, model), 1.0)
        grows = (self.world.long_memory - 1) * is_long * (model == known.subject)
        peak *= (1 + grows) / (1 + (self.world.long_memory - 1) * 0.2 * (model == known.subject))
        peak *= self._factor(self.scatter.run / 10)
        size = (known.models[model].file_gb or 0.0) * GB
        found = {
            "peak_rss_bytes": peak,
            "peak_rss_file_bytes": self.world.file_backed_share * peak,
            "peak_rss_anon_bytes": (1 - self.world.file_backed_share) * peak,
            "model_file_bytes": size,
        }
        if self.device == JETSON:
            swapped = self.world.swap_bytes if model == known.subject else 0.0
            found["peak_process_swap_bytes"] = swapped * self._factor(self.scatter.prompt)
            found["nvmap_peak_bytes"] = self.world.device_copy * size
        return found

    def _energy(self, spec: RunSpec) -> dict[str, float]:
        model = spec.model
        mean, median, power = (
            self._printed("energy", model, figure)
            for figure in ("mean_j_per_tok", "median_j_per_tok", "avg_power_w")
        )
        peak_power_w, peak_soc_c = (
            self._printed("energy", model, figure) for figure in ("peak_power_w", "peak_soc_c")
        )
        # The three long prompts of 15 lift the mean above the median.
        per_token = 5 * mean - 4 * median if self._is_long(spec.prompt) else median
        per_token *= self.world.energy.get(model, 1.0) * self._session["energy", model]
        per_token *= self._prompt[model, spec.prompt] * self._factor(self.scatter.run)
        watts = power * self.world.power.get(model, 1.0) * self._session["power", model]
        process = per_token * spec.n_predict
        loading = self.world.load_share * process * self._factor(self.scatter.run)
        below = abs(self.rng.normal(0, self.scatter.run or 1e-12))
        cooler = abs(self.rng.normal(0, self.scatter.run_c or 1e-12))
        return {
            "j_per_token_study": per_token,
            "power_study_w": watts * self._factor(self.scatter.run),
            "power_study_peak_w": peak_power_w * self.world.peak_power * (1 - below),
            "temp_peak_c": peak_soc_c + self.world.kelvin + self._room_c - cooler,
            "energy_load_j": 0.9 * loading,
            "energy_unload_j": 0.1 * loading,
            "energy_process_j": process,
            "energy_process_u95_j": _SENSOR_U95 * process,
        }

    def _routing(self, spec: RunSpec) -> dict[str, float]:
        stratum = "prefill-heavy" if self._is_long(spec.prompt) else "decode-dominated"
        routing_ms, ffn_ms = (
            self._printed("routing", stratum, figure) for figure in ("routing_ms", "ffn_ms")
        )
        grown = self.world.routing_growth if self._is_long(spec.prompt) else 1.0
        common = self._session["routing", spec.model] * self._prompt[spec.model, spec.prompt]
        routing, experts = (
            seconds * common * self._factor(self.scatter.run)
            for seconds in (
                routing_ms * 1e-3 * self.world.routing * grown,
                ffn_ms * 1e-3,
            )
        )
        return {
            "routing_decode_s": 0.9 * routing,
            "routing_prompt_s": 0.1 * routing,
            "expert_ffn_decode_s": 1.3 * 0.7 * experts,
            "expert_ffn_prompt_s": 1.3 * 0.3 * experts,
            "expert_projections_decode_s": 0.7 * experts,
            "expert_projections_prompt_s": 0.3 * experts,
            "probe_nodes_per_decode": self.world.nodes,
            **{
                f"probe_{name}_nodes_per_decode": 16.0 * per_layer
                for name, per_layer in (("routing", 6), ("expert", 21), ("projection", 5))
            },
        }


def judge_rerun(
    world: World, scatter: Scatter, seed: int, devices: Iterable[str] = (M2, JETSON)
) -> tuple[ClaimVerdict, ...]:
    """Return the verdicts on one rerun."""
    with tempfile.TemporaryDirectory() as folder:
        folders = []
        for place, device in enumerate(devices):
            rng = np.random.default_rng([SEED, seed, place])
            rerun = Rerun(device=device, world=world, scatter=scatter, rng=rng)
            synthetic, plan = build_device_plan(device)
            changes = partial(_ended, rerun)
            lines = journal_lines(plan, synthetic, changes=changes)
            folders.append(write_lines(Path(folder) / device, plan, lines))
        with fewer_resamples(RESAMPLES):
            return judge_claims(SessionEvidence(load_sessions(folders), study()))


def _ended(rerun: Rerun, index: int, spec: RunSpec) -> Mapping[str, object]:
    is_hit = (spec.prompt, spec.model, spec.repetition) == ("length-long", study().subject, 1)
    if is_hit and rerun.device == JETSON and not rerun.world.completes:
        return failed(Status.OOM, "killed for memory", exit_code=137)
    return {"metrics": rerun.metrics(spec)}


def truth_of(verdict: ClaimVerdict) -> bool | None:
    """Return whether the numbers of a rerun without scatter lie within the limits; None: none."""
    told = [_part_truth(part) for part in verdict.parts if part.numbers]
    if False in told:
        return False
    return True if told and len(told) == len(verdict.parts) else None


def _part_truth(part: Part) -> bool:
    if part.limits is None:
        one, other = part.numbers[:2]
        return (one.value - 1) * (other.value - 1) > 0
    limits, value = part.limits, part.numbers[0].value
    under = value < limits.high if limits.below is not None else value <= limits.high
    over = value > limits.low if limits.above is not None else value >= limits.low
    return under and over


@dataclass(frozen=True, kw_only=True)
class ClaimRates:
    """Of the reruns: how often each verdict, against the truth (None where nothing tells)."""

    truth: bool | None
    counts: Mapping[Verdict, int]

    @property
    def wrong(self) -> int:
        """Return how many verdicts are against the truth."""
        if self.truth is None:
            return 0
        return self.counts.get(Verdict.NOT_REPRODUCED if self.truth else Verdict.REPRODUCED, 0)


def measure(world: World, reruns: int, workers: int = 1) -> dict[str, ClaimRates]:
    """Return how often the judge says what of each claim."""
    truths = {each.id: truth_of(each) for each in judge_rerun(world, NONE, 0)}
    run = partial(judge_rerun, world, Scatter())
    counts: dict[str, Counter[Verdict]] = {claim: Counter() for claim in truths}
    if workers > 1:
        # A forked child would inherit the locks of the database's threads, and wait for ever.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(run, range(1, reruns + 1)))
    else:
        found = list(map(run, range(1, reruns + 1)))
    for verdicts in found:
        for each in verdicts:
            counts[each.id][each.verdict] += 1
    return {claim: ClaimRates(truth=truths[claim], counts=counts[claim]) for claim in truths}


_SHOWN = (
    Verdict.REPRODUCED,
    Verdict.NOT_REPRODUCED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
)
WORLDS: Mapping[str, Callable[[], World]] = {
    "as the study prints": World,
    "clearly otherwise": _otherwise,
}


def table(found: Mapping[str, ClaimRates], reruns: int) -> str:
    """Return the rates as a table of Markdown, and what they come to."""
    lines = [
        "| claim | truth | reproduced | not reproduced | inconclusive | not tested | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim, rates in found.items():
        truth = {True: "holds", False: "does not hold", None: "not known"}[rates.truth]
        cells = [f"{100 * rates.counts.get(v, 0) / reruns:.0f} %" for v in _SHOWN]
        wrong = f"{100 * rates.wrong / reruns:.0f} %"
        lines.append(f"| {' | '.join((claim, truth, *cells, wrong))} |")
    wrong_all = sum(rates.wrong for rates in found.values())
    decided = sum(rates.counts.get(v, 0) for rates in found.values() for v in _SHOWN[:2])
    open_always = [c for c, r in found.items() if r.counts.get(Verdict.INCONCLUSIVE) == reruns]
    lines.append(
        f"\n{wrong_all} of {decided} verdicts that decide are wrong; "
        f"always inconclusive: {', '.join(open_always) or 'none'}"
    )
    return "\n".join(lines)


def main(reruns: int) -> None:
    """Print the tables."""
    for name, world in WORLDS.items():
        sys.stdout.write(f"{reruns} reruns, truth {name}\n\n")
        sys.stdout.write(table(measure(world(), reruns, workers=2), reruns) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)

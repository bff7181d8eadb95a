"""What a visit measures and in which order, and how long that takes. Pure.

What comes first is worth most, as a visit may end at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgemoe_appliance.evaluation.config import Paces
from edgemoe_appliance.models.arithmetic import count_work
from edgemoe_appliance.models.layout import build_tensors, scaled_shape
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import (
    Arm,
    Experiment,
    Programme,
    Target,
    VisitSuite,
)
from edgemoe_appliance.schema.plan import RunSpec, scaled_prompt
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies.study import Study

# Of a memory's bandwidth where no pace is known; generation reaches it nowhere.
_SHARE_OF_BANDWIDTH: Final = 0.5
# Timing every node of the graph was seen to cost up to half of the rate.
_PER_NODE_SLOWDOWN: Final = 2.0


def fit_experiments(
    study: Study, names: Iterable[str], *, models: Sequence[str], is_probed: bool
) -> Study:
    """Return a study with the named experiments, which only ask for what there is.

    An experiment that nothing is left of is gone.
    """
    fitted: dict[str, Experiment] = {}
    for name in names:
        experiment = study.experiment(name)
        arms = tuple(arm for arm in experiment.arms if is_probed or not arm.is_probed)
        there = tuple(model for model in experiment.models if model in models)
        if there and arms:
            fitted[name] = experiment.model_copy(update={"models": there, "arms": arms})
    return replace(study, experiments=fitted)


def models_of(study: Study, programme: Programme) -> tuple[str, ...]:
    """Return the models that a programme measures, in the order of the catalogue."""
    experiments = map(study.experiment, programme.experiments)
    wanted = {model for experiment in experiments for model in experiment.models}
    return tuple(name for name in study.configs.models.models if name in wanted)


def order_runs(runs: Sequence[RunSpec], programme: Programme) -> tuple[RunSpec, ...]:
    """Return runs in the order of a programme, none left out."""
    rounds = _rounds(runs)
    ordered = list(_first(rounds, programme))
    while any(rounds.values()):
        for name in rounds:
            if rounds[name]:
                ordered += rounds[name].pop(0)
    return tuple(ordered)


def first_runs(runs: Sequence[RunSpec], programme: Programme) -> int:
    """Return how many runs come before the second pin's turn."""
    return sum(1 for _ in _first(_rounds(runs), programme))


def _first(rounds: dict[str, list[list[RunSpec]]], programme: Programme) -> Iterator[RunSpec]:
    """Yield the runs of the programme's order, taking their rounds away."""
    for line in programme.order:
        for _ in range(line.rounds):
            if rounds.get(line.experiment):
                yield from rounds[line.experiment].pop(0)


def _rounds(runs: Sequence[RunSpec]) -> dict[str, list[list[RunSpec]]]:
    """Return the rounds of each experiment in the order of its runs."""
    found: dict[str, dict[tuple[int, str], list[RunSpec]]] = {}
    for run in runs:
        by_round = found.setdefault(run.experiment, {})
        by_round.setdefault((run.repetition, run.prompt), []).append(run)
    return {name: list(by_round.values()) for name, by_round in found.items()}


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """What the time of a run follows from: bytes of the file, and read for each token."""

    file_bytes: int
    bytes_per_token: int


def twin_sizes(study: Study, scale: TwinScale) -> dict[str, ModelSize]:
    """Return the sizes of the twins that a study runs, from their tensors alone: within 1 %.

    A model that no twin can be written of has none.
    """
    found: dict[str, ModelSize] = {}
    run = {name for experiment in study.experiments.values() for name in experiment.models}
    for name, entry in study.configs.models.models.items():
        if name not in run or entry.shape is None:
            continue
        shape = scaled_shape(entry, scale)
        tensors = build_tensors(entry.architecture, shape, entry.quantization)
        found[name] = ModelSize(
            file_bytes=tensors[-1].offset + tensors[-1].n_bytes,
            bytes_per_token=count_work(tensors, shape).read_bytes,
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How long work takes on a target, from the paces of evaluation.yaml; seconds."""

    target_id: str
    target: Target
    paces: Paces
    study: Study

    def build_s(self, jobs: int) -> float:
        """Return the time of one engine's build."""
        return self.paces.build_core_s[self.target.backend] / jobs

    def twins_s(self, sizes: Iterable[int], cores: int) -> float:
        """Return the time of writing twins side by side, at least that of the largest."""
        sizes = list(sizes)
        pace = self.paces.twin_mb_s * 1e6
        return max(max(sizes) / pace, sum(sizes) / pace / cores)

    def run_s(self, run: RunSpec, size: ModelSize) -> float:
        """Return the time of one run: pause, start, loading, prompt and generation."""
        rate = self._pace() * GB / size.bytes_per_token
        experiment, prompt = self.study.experiment(run.experiment), self.study.prompts[run.prompt]
        words = scaled_prompt(run.prompt, prompt, experiment.prompt_scale).words
        faster = self.paces.prompt_over_generation.get(self.target_id, 2.0)
        work_s = words * self.paces.tokens_per_word / (faster * rate) + run.n_predict / rate
        slowdown = _PER_NODE_SLOWDOWN if run.arm is Arm.PROBE_PER_NODE else 1.0
        loading_s = size.file_bytes / (self.paces.load_gb_s * GB)
        return self.target.cooldown.seconds + self.paces.start_s + loading_s + work_s * slowdown

    def _pace(self) -> float:
        """Return the GB/s at which weights go through the engine."""
        known = self.paces.weights_gb_s.get(self.target_id)
        stated = self.target.bandwidth_gb_s
        return known or (stated * _SHARE_OF_BANDWIDTH if stated else 5.0)


def choose_programme(
    suite: VisitSuite, forecast: Forecast, sizes: Mapping[str, ModelSize], threads: int
) -> Programme:
    """Return the whole programme where the longest of its first runs is short enough."""
    line = suite.whole.order[0]
    experiment = forecast.study.experiment(line.experiment)
    longest_s = max(
        forecast.run_s(
            RunSpec(
                target=forecast.target_id,
                pin="any",
                model=model,
                prompt=experiment.prompts[0],
                experiment=line.experiment,
                repetition=1,
                threads=threads,
                n_predict=experiment.n_predict,
            ),
            size,
        )
        - forecast.target.cooldown.seconds
        for model, size in sizes.items()
    )
    return suite.whole if longest_s <= suite.longest_run_s else suite.small

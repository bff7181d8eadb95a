"""Conditions that differ along one axis alone: threads, the engine's pin, or an arm.

Nothing is pooled along an axis. What is compared there is compared on prompts that both sides
have run, a prompt of one against the same prompt of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgemoe_appliance.analysis.conditions import (
    Condition,
    ModelRuns,
    Pool,
    has_reading,
    pools,
    texts_of,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions, Setting
from edgemoe_appliance.analysis.statistics import (
    Absent,
    Difference,
    Ratio,
    against_best,
    difference_of_means,
    on_common_prompts,
    ratio_of_means,
)
from edgemoe_appliance.analysis.table_model import Cell, absent, count, text
from edgemoe_appliance.analysis.tables.quantities import RunReading
from edgemoe_appliance.analysis.tables.setup import flags_in_words
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.tables import AxisSpec, TableSpec


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an axis: its name in a row, and the pool of the runs there."""

    name: Cell
    pool: Pool


class Axis(Protocol):
    """What conditions may differ in; `noun` is what one step is called."""

    noun: str

    def others(self, condition: Condition) -> tuple[object, ...]:
        """Return what conditions of one sweep have in common."""

    def order(self, condition: Condition, study: Study) -> float:
        """Return the place of a condition on the axis."""

    def name(self, condition: Condition, arm: Arm) -> Cell:
        """Return what a row at this step is called."""

    def label(self, condition: Condition) -> str:
        """Return what a whole sweep is called."""

    def notes(self, settings: Sequence[Setting]) -> Iterator[str]:
        """Yield what a reader must know of a sweep over these settings."""

    def why_apart(self, condition: Condition, study: Study) -> str:
        """Return why the study states nothing of this step, nothing where it does."""


class _Threads:
    """Numbers of threads, the lowest first."""

    noun = "number of threads"

    def others(self, condition: Condition) -> tuple[object, ...]:
        setting, _, *rest = condition.key
        return (setting, *rest)

    def order(self, condition: Condition, study: Study) -> float:
        return condition.threads

    def name(self, condition: Condition, arm: Arm) -> Cell:
        return count(condition.threads)

    def label(self, condition: Condition) -> str:
        return condition.label_without_threads

    def notes(self, settings: Sequence[Setting]) -> Iterator[str]:
        return iter(())

    def why_apart(self, condition: Condition, study: Study) -> str:
        threads = study.procedure.threads
        if threads is None:
            return "the study states no number of threads"
        return "" if condition.threads == threads else f"the study states it of {threads} threads"


class _Pins:
    """Versions of the engine on one machine, the study's first where there is a run with it."""

    noun = "pin"

    def others(self, condition: Condition) -> tuple[object, ...]:
        return (condition.setting.machine, *condition.key[1:])

    def order(self, condition: Condition, study: Study) -> float:
        return condition.setting.engine.pin != study.procedure.engine_tag

    def name(self, condition: Condition, arm: Arm) -> Cell:
        return text(f"{condition.setting.id}: {condition.setting.engine.pin}")

    def label(self, condition: Condition) -> str:
        return condition.label_without_engine

    def notes(self, settings: Sequence[Setting]) -> Iterator[str]:
        """Yield what else differs between the builds, so that a ratio is not of the pin alone."""
        builds = {setting.id: setting.engine for setting in settings}
        for what, values in (
            ("compiler", {name: build.compiler for name, build in builds.items()}),
            ("cmake flags", {name: flags_in_words(build.cmake) for name, build in builds.items()}),
        ):
            if len(set(values.values())) > 1:
                told = "; ".join(f"{name} {value}" for name, value in values.items())
                yield f"the builds differ in their {what} too ({told})"
        if len(settings) < 2:
            yield "one pin only: nothing to compare with"

    def why_apart(self, condition: Condition, study: Study) -> str:
        return ""


class _Arms:
    """Ways to make a run, in the order in which the table names them."""

    noun = "arm"

    def __init__(self, spec: AxisSpec) -> None:
        self.spec = spec

    def others(self, condition: Condition) -> tuple[object, ...]:
        return condition.key

    def order(self, condition: Condition, study: Study) -> float:
        return 0  # they come arm after arm

    def name(self, condition: Condition, arm: Arm) -> Cell:
        return text(self.spec.arms[arm])

    def label(self, condition: Condition) -> str:
        return condition.label

    def notes(self, settings: Sequence[Setting]) -> Iterator[str]:
        return iter(())

    def why_apart(self, condition: Condition, study: Study) -> str:
        return ""


def axis_of(spec: AxisSpec) -> Axis:
    """Return the axis that a table names."""
    axes: dict[str, Axis] = {"threads": _Threads(), "pin": _Pins(), "arm": _Arms(spec)}
    return axes[spec.by]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The steps of one axis in otherwise equal conditions."""

    axis: Axis
    baseline: str
    steps: tuple[Step, ...]

    @property
    def label(self) -> str:
        """Return what the steps have in common."""
        return self.axis.label(self.steps[0].pool.condition)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader must know of the steps."""
        return tuple(self.axis.notes([step.pool.condition.setting for step in self.steps]))

    @property
    def sessions(self) -> tuple[str, ...]:
        """Return the sessions of all steps."""
        settings = [step.pool.condition.setting for step in self.steps]
        return tuple(dict.fromkeys(name for setting in settings for name in setting.sessions))

    def files(self) -> Iterator[FileSweep]:
        """Yield the runs of each model file along the axis."""
        files = {models.sha256: models for step in self.steps for models in step.pool.models}
        for models in files.values():
            runs = tuple(step.pool.find(models) for step in self.steps)
            yield FileSweep(axis=self.axis, baseline=self.baseline, runs=runs)


def sweeps(loaded: LoadedSessions, study: Study, spec: TableSpec) -> Iterator[Sweep]:
    """Yield the sweeps along the axis of a table, conditions without a needed reading left out."""
    axis = axis_of(spec.axis)
    found: dict[tuple[object, ...], list[tuple[Pool, Arm]]] = {}
    for arm in spec.axis.arms or (Arm.PLAIN,):
        for pool in pools(loaded, study, spec.feeds, arm):
            if not spec.only_with or has_reading(pool, spec.only_with):
                found.setdefault(axis.others(pool.condition), []).append((pool, arm))
    for steps in found.values():
        ordered = sorted(steps, key=lambda step: axis.order(step[0].condition, study))
        named = (Step(name=axis.name(pool.condition, arm), pool=pool) for pool, arm in ordered)
        yield Sweep(axis=axis, baseline=spec.axis.baseline, steps=tuple(named))


@dataclass(frozen=True, kw_only=True)
class FileSweep:
    """The runs of one model file along an axis; `runs` has None for a step without any."""

    axis: Axis
    baseline: str
    runs: tuple[ModelRuns | None, ...]

    @property
    def _is_baseline(self) -> str:
        """Return what stands for a comparison of the baseline with itself."""
        return f"the others are compared with this {self.axis.noun}"

    @property
    def _no_baseline(self) -> str:
        """Return what stands for a comparison with a step that did not run the file."""
        return f"no run of this file with the {self.axis.noun} to compare with"

    def ratio(self, own: ModelRuns, reading: RunReading) -> Ratio | Absent | None:
        """Return own mean over the baseline's; None where they are the same."""
        if self.baseline == "best":
            return self._ratio_to_best(own, reading)
        base = self.runs[0]
        if base is None:
            return Absent(reason=self._no_baseline)
        samples = [reading.sample(models) for models in (own, base)]
        for models, sample in zip((own, base), samples, strict=True):
            if not sample.n:
                return Absent(reason=reading.why_absent(models))
        if own is base:
            return None
        first, second = on_common_prompts(*samples)
        return ratio_of_means(first, second) if first.n else Absent(reason=self._no_common)

    def _ratio_to_best(self, own: ModelRuns, reading: RunReading) -> Ratio | Absent | None:
        """Return the same for the step with the highest mean, on the prompts that all have run."""
        pair = against_best({m: reading.sample(m) for m in self.runs if m}, own)
        if isinstance(pair, Absent):
            return Absent(reason=f"no other {self.axis.noun} with these prompts to compare with")
        sample, best = pair
        return None if sample is best else ratio_of_means(sample, best)

    @property
    def own_ratio(self) -> Cell:
        """Return the ratio of the baseline to itself, which only the best one has."""
        return Cell(value=1.0) if self.baseline == "best" else absent(self._is_baseline)

    def difference(self, reading: RunReading) -> Difference | Absent:
        """Return the mean at the last of two steps less that at the first."""
        first, last = self.runs[0], self.runs[-1]
        if len(self.runs) < 2 or first is None or last is None:
            return Absent(reason=f"runs of this model in one of the two {self.axis.noun}s only")
        samples = [reading.sample(models) for models in (last, first)]
        for models, sample in zip((last, first), samples, strict=True):
            if not sample.n:
                return Absent(reason=reading.why_absent(models))
        top, bottom = on_common_prompts(*samples)
        return difference_of_means(top, bottom)

    def same_text(self, own: ModelRuns) -> Cell:
        """Return of how many prompts every run at both steps generated one and the same text."""
        base = self.runs[0]
        if base is None or own is base:
            return absent(self._is_baseline if base else self._no_baseline)
        first, second = texts_of(own), texts_of(base)
        common = first.keys() & second.keys()
        if not common:
            return absent(self._no_common)
        same = sum(len(first[prompt] | second[prompt]) == 1 for prompt in common)
        return text(f"{same} of {len(common)}")

    @property
    def _no_common(self) -> str:
        return f"no prompt that ended well with both {self.axis.noun}s"

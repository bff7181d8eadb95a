"""The conditions that a study declares, each beside what was recorded of the reader's runs.

One that differs, or that was not recorded, leaves no more than a direction. What a plan asked for
is no record: the engine's own account, the machine's own files and the order of the journal are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    device_of,
    why_not_comparable,
)
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import Feeds, GitSource
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StatedConditions, StudyDevice

# So many clocks or models are named; a board has a dozen.
_MOST_NAMED = 4
# A pause is taken as declared from this share of it on, and up to that one: sampling comes on top.
_LEAST_PAUSE, _MOST_PAUSE = 0.95, 1.5
# How the engine names the devices of a backend.
_DEVICE_NAMES = {"CUDA": ("CUDA",), "Metal": ("Metal", "MTL")}
_UNTOLD = "?"
_ORDER_WORDS = {True: "all runs of a model together", False: "models in turn"}


class ConditionState(str, Enum):
    """What became of a condition."""

    AS_DECLARED = "as_declared"
    DIFFERS = "differs"
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, kw_only=True)
class DeclaredCondition:
    """A condition that a study declares, and what was recorded of it; None where nothing was.

    `name` is in the singular, or in the plural where `is_plural`.
    """

    name: str
    declared: str
    recorded: str | None
    is_met: bool
    is_plural: bool = False

    @property
    def state(self) -> ConditionState:
        """Return whether it was met, as far as it was recorded."""
        if self.recorded is None:
            return ConditionState.NOT_RECORDED
        return ConditionState.AS_DECLARED if self.is_met else ConditionState.DIFFERS

    @property
    def text(self) -> str:
        """Return what is to be told where it was not met."""
        be, own = ("are", "study's are") if self.is_plural else ("is", "study's is")
        if self.recorded is None:
            was = "were" if self.is_plural else "was"
            return f"the {self.name} {was} not recorded; the {own} {self.declared}"
        return f"the {self.name} {be} {self.recorded}, the study's {self.declared}"


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """What is compared: the reader's runs, and the study with the device that they ran on."""

    pool: Pool
    study: Study
    device: StudyDevice | None

    @property
    def stated(self) -> StatedConditions:
        """Return what the study states of the device, nothing where it states none."""
        stated = self.device.conditions if self.device is not None else None
        return stated or StatedConditions()

    @property
    def models(self) -> tuple[ModelRuns, ...]:
        """Return the models with runs that ended well."""
        return tuple(models for models in self.pool.models if len(models.ok))


def check_conditions(pool: Pool, study: Study, table: Feeds) -> tuple[DeclaredCondition, ...]:
    """Return every condition that a study declares, met or not.

    A sweep of threads has other numbers of threads on purpose.
    """
    device = device_of(pool.condition.setting, study)
    compared = _Compared(
        pool=pool, study=study, device=study.devices[device] if device is not None else None
    )
    checks = [check for check in _CHECKS if not (check is _threads and table is Feeds.THREADS)]
    return tuple(found for check in checks for found in check(compared))


def is_machine_as_declared(pool: Pool, study: Study) -> bool:
    """Return whether board, power mode and backend were recorded as declared.

    What a device can do at most follows from these; how runs were ordered does not matter.
    """
    device = device_of(pool.condition.setting, study)
    if device is None:
        return False
    compared = _Compared(pool=pool, study=study, device=study.devices[device])
    found = [each for check in (_board, _power_mode, _backend) for each in check(compared)]
    return all(each.state is ConditionState.AS_DECLARED for each in found)


def unmet_conditions(pool: Pool, study: Study, table: Feeds) -> tuple[str, ...]:
    """Return where runs were not made as the study's were, or where that was not recorded.

    None means that they were made under every condition that the study states.
    """
    unmet = [
        each.text
        for each in check_conditions(pool, study, table)
        if each.state is not ConditionState.AS_DECLARED
    ]
    full = "full-scale twins ran in place of the models"
    twins = any(models.twin_scale == "full" for models in pool.models)
    return (*why_not_comparable(pool, study), *([full] if twins else []), *unmet)


def _named(
    name: str, declared: str, recorded: Iterable[str | None], *, is_plural: bool = False
) -> DeclaredCondition:
    """Return a condition that is met where a recorded name holds the declared one."""
    known = [each for each in recorded if each]
    return DeclaredCondition(
        name=name,
        declared=declared,
        recorded=known[0] if known else None,
        is_met=any(declared.lower() in each.lower() for each in known),
        is_plural=is_plural,
    )


def _engine(compared: _Compared) -> Iterator[DeclaredCondition]:
    procedure, engine = compared.study.procedure, compared.pool.condition.setting.engine
    source = engine.source
    yield DeclaredCondition(
        name="engine",
        declared=procedure.engine_tag or procedure.engine,
        recorded=f"{procedure.engine if procedure.engine_tag else 'llama.cpp'} {engine.pin}",
        is_met=isinstance(source, GitSource) and source.commit == procedure.engine_commit,
    )


def _threads(compared: _Compared) -> Iterator[DeclaredCondition]:
    own, stated = compared.pool.condition.threads, compared.study.procedure.threads
    if stated is None:
        return
    yield DeclaredCondition(
        name="threads",
        declared=str(stated),
        recorded=str(own),
        is_met=own == stated,
        is_plural=True,
    )


def _backend(compared: _Compared) -> Iterator[DeclaredCondition]:
    """Yield what the engine said that it computes on: a GPU build may run on the processor."""
    if compared.device is None:
        return
    wanted = compared.device.backend
    planned = compared.pool.condition.setting.target.backend
    told = [dict.fromkeys(models.ok.texts("devices")) for models in compared.models]
    devices = [_UNTOLD if each is None else each for devices in told for each in devices]
    names = [name for each in devices if each for name in each.split()]
    recorded: str | None = ", ".join(dict.fromkeys(names)) or "the processor alone"
    if planned.value.lower() != wanted.lower():
        recorded = planned.value
    elif not devices or _UNTOLD in devices:
        recorded = None
    is_met = bool(names) and "" not in devices
    yield DeclaredCondition(
        name="backend",
        declared=wanted,
        recorded=recorded,
        is_met=planned.value.lower() == wanted.lower()
        and is_met
        and all(name.startswith(_DEVICE_NAMES[wanted]) for name in names),
    )


def _offload(compared: _Compared) -> Iterator[DeclaredCondition]:
    """Yield how many layers the engine put on the device, of those that it has."""
    if compared.device is None or not compared.study.procedure.n_gpu_layers:
        return
    found = [
        [models.ok.numbers(name) for name in ("layers_offloaded", "layers")]
        for models in compared.models
    ]
    pairs = [pair for each in found for pair in zip(*each, strict=True)]
    is_told = bool(pairs) and not np.isnan(pairs).any()
    fewest = min(pairs, key=lambda pair: float(pair[0] - pair[1])) if is_told else (0, 0)
    # The study asks for so many layers at most: all that a model has, if it has fewer.
    wanted = min(fewest[1], compared.study.procedure.n_gpu_layers)
    is_met = fewest[0] >= wanted
    recorded = "all" if is_met else f"{fewest[0]:.0f} of {fewest[1]:.0f}"
    yield DeclaredCondition(
        name="layers on the accelerator",
        declared="all",
        recorded=recorded if is_told else None,
        is_met=is_met,
        is_plural=True,
    )


def _board(compared: _Compared) -> Iterator[DeclaredCondition]:
    if compared.stated.board is not None:
        setting = compared.pool.condition.setting
        device = setting.hardware.device if setting.hardware else None
        yield _named("board", compared.stated.board, [device, setting.host.cpu_model])


def _power_mode(compared: _Compared) -> Iterator[DeclaredCondition]:
    if compared.stated.power_mode is not None:
        hardware = compared.pool.condition.setting.hardware
        mode = hardware.power_mode if hardware else None
        recorded = mode.name if mode else None
        yield DeclaredCondition(
            name="power mode",
            declared=compared.stated.power_mode,
            recorded=recorded,
            is_met=(recorded or "").lower() == compared.stated.power_mode.lower(),
        )


def _clocks(compared: _Compared) -> Iterator[DeclaredCondition]:
    if not compared.stated.clocks_held:
        return
    hardware = compared.pool.condition.setting.hardware
    # A processor that is switched off shows no range, and cannot move either; where the power
    # mode's cap is all that is told of a clock, that is no range.
    clocks = hardware.clocks if hardware else ()
    ranged = [c for c in clocks if None not in (c.minimum_hz, c.maximum_hz)]
    loose = sorted(clock.name for clock in ranged if not clock.is_held)
    recorded = f"free to move ({', '.join(loose[:_MOST_NAMED])})" if loose else "locked"
    yield DeclaredCondition(
        name="clocks",
        declared="locked",
        recorded=recorded if ranged else None,
        is_met=not loose,
        is_plural=True,
    )


def _swap(compared: _Compared) -> Iterator[DeclaredCondition]:
    if compared.stated.swap is None:
        return
    hardware = compared.pool.condition.setting.hardware
    recorded = None
    if hardware is not None and "swap" not in hardware.absent:
        recorded = ", ".join(area.name for area in hardware.swap) or "none"
    yield _named("swap", compared.stated.swap, [recorded])


def _cooldown(compared: _Compared) -> Iterator[DeclaredCondition]:
    """Yield how long the pause before a run was; before the first of a period there is none."""
    stated_s = compared.stated.cooldown_s
    if stated_s is None:
        return
    pauses_s = np.concatenate(
        [np.empty(0), *(models.ok.numbers("cooldown_s") for models in compared.models)]
    )
    known_s = pauses_s[~np.isnan(pauses_s)]
    recorded, is_met = None, False
    if len(known_s):
        least_s, usual_s = float(known_s.min()), float(np.median(known_s))
        is_met = least_s >= _LEAST_PAUSE * stated_s and usual_s <= _MOST_PAUSE * stated_s
        recorded = f"{least_s:.3g} s at least, {usual_s:.3g} s in the median"
    yield DeclaredCondition(
        name="cool-down", declared=f"{stated_s:g} s", recorded=recorded, is_met=is_met
    )


def _order(compared: _Compared) -> Iterator[DeclaredCondition]:
    """Yield whether the runs of a model stood together in the journal, within an experiment."""
    stated = compared.study.procedure.run_order
    if stated is None:
        return
    spans: dict[tuple[str | None, str | None], list[tuple[int, int]]] = {}
    for models in compared.models:
        ok = models.ok
        stood: dict[tuple[str | None, str | None], list[int]] = {}
        columns = ok.texts("session"), ok.texts("experiment"), ok.integers("place").tolist()
        for session, experiment, place in zip(*columns, strict=True):
            stood.setdefault((session, experiment), []).append(place)
        for key, places in stood.items():
            spans.setdefault(key, []).append((min(places), max(places)))
    together = all(
        before[1] < after[0]
        for each in spans.values()
        for before, after in zip(sorted(each), sorted(each)[1:], strict=False)
    )
    wants_together = stated is Order.BLOCKED
    is_alone = all(len(each) < 2 for each in spans.values())
    yield DeclaredCondition(
        name="run order",
        declared=_ORDER_WORDS[wants_together],
        recorded=_ORDER_WORDS[together] if spans else None,
        is_met=together is wants_together or is_alone,
    )


def _files(compared: _Compared) -> Iterator[DeclaredCondition]:
    """Yield whether the model files are those named by digest; twins are told as twins."""
    catalogue = compared.study.configs.models.models
    named = {
        models.model: (models, entry.sha256)
        for models in compared.models
        if models.twin_scale is None
        and (entry := catalogue.get(models.model)) is not None
        and entry.sha256 is not None
    }
    if not named:
        return
    others = [
        f"{compared.study.model_name(name)} {models.sha256[:12]}"
        for name, (models, sha256) in named.items()
        if models.sha256 != sha256
    ]
    yield DeclaredCondition(
        name="model files",
        declared="those named by digest in models.yaml",
        recorded=", ".join(others[:_MOST_NAMED]) if others else "those named",
        is_met=not others,
        is_plural=True,
    )


_CHECKS: tuple[Callable[[_Compared], Iterator[DeclaredCondition]], ...] = (
    _engine,
    _threads,
    _backend,
    _offload,
    _board,
    _power_mode,
    _clocks,
    _swap,
    _cooldown,
    _order,
    _files,
)

"""Journals of a made-up fleet, written fast: many sessions of some dozen hosts, one of them huge.

Nothing here was measured. Each session has a real plan and real records; the lines of its runs
are one record's text with other values put in, and the readers check every one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.schema.plan import Plan, RunSpec
from edgemoe_appliance.schema.records import Status, record_line
from tests.analysis.journals import (
    Synthetic,
    build_end,
    build_header,
    build_period,
    build_plan,
    failed,
    metrics_of,
    rate_of,
    with_caveat,
)

HOSTS = 36
# Runs of one repetition of a session: four models, fifteen prompts.
RUNS_A_ROUND = 60
ROUNDS_A_SESSION = 33
# The huge session holds this share of all runs, up to the repetitions that a config may ask for.
HUGE_SHARE = 0.1
HUGE_ROUNDS = 1_000
_SPREAD = 0.03
_KINDS = {"ok": 0.95, "with_caveat": 0.04, "failed": 0.01}
_MADE_UP = 1234.5


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """How many sessions of how many repetitions; the first is the huge one."""

    rounds: tuple[int, ...]

    @property
    def runs(self) -> int:
        """Return the number of runs of all sessions."""
        return RUNS_A_ROUND * sum(self.rounds)


def plan_fleet(runs: int) -> Fleet:
    """Return a fleet of about so many runs; 180 are one session of three repetitions."""
    rounds = max(1, round(runs / RUNS_A_ROUND))
    if rounds <= ROUNDS_A_SESSION:
        return Fleet(rounds=(rounds,))
    huge = min(HUGE_ROUNDS, max(ROUNDS_A_SESSION, round(HUGE_SHARE * rounds)))
    whole, rest = divmod(rounds - huge, ROUNDS_A_SESSION)
    return Fleet(rounds=(huge, *[ROUNDS_A_SESSION] * whole, *([rest] if rest else [])))


def write_fleet(root: Path, runs: int) -> list[Path]:
    """Write the sessions of a fleet below `root`, or find them there; return their folders."""
    fleet = plan_fleet(runs)
    folders = [root / f"fleet-{index:04d}" for index in range(len(fleet.rounds))]
    for index, (folder, rounds) in enumerate(zip(folders, fleet.rounds, strict=True)):
        if not (folder / PLAN_NAME).exists():
            write_session(folder, index, rounds, index % HOSTS)
    return folders


def write_session(folder: Path, index: int, rounds: int, host: int) -> None:
    """Write a session of so many repetitions of every run, made on a host by number.

    Of full twins, whose directions count: of reduced ones no claim would be judged.
    """
    _write_session(folder, replace(_synthetic(index, rounds, host), twin_scale="full"), index)


def _synthetic(index: int, rounds: int, host: int) -> Synthetic:
    return Synthetic(
        session=f"fleet-{index:04d}",
        repetitions=rounds,
        host_name=f"host-{host}",
        memory_bytes=(8 + host) * 1024**3,
        n_predict=64,
    )


def _write_session(folder: Path, synthetic: Synthetic, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan = build_plan(synthetic)
    with (folder / JOURNAL_NAME).open("wb") as journal:
        journal.write(record_line(build_period(plan, synthetic)))
        for lines in _run_lines(plan, seed):
            journal.write(lines)
    # The plan comes last: a session without one is written again.
    (folder / PLAN_NAME).write_text(plan.model_dump_json(), encoding="utf-8")


def _run_lines(plan: Plan, seed: int) -> Iterator[bytes]:
    """Yield the header and the end of each run."""
    draws = np.random.default_rng(seed)
    templates: dict[tuple[str, str, str], _Template] = {}
    factors = 1 + _SPREAD * draws.standard_normal(len(plan.runs))
    kinds = draws.choice(list(_KINDS), size=len(plan.runs), p=list(_KINDS.values()))
    for spec, factor, kind in zip(plan.runs, factors.tolist(), kinds.tolist(), strict=True):
        key = (spec.model, spec.prompt, kind)
        if key not in templates:
            templates[key] = _Template(plan, spec, kind)
        yield templates[key].lines(spec, factor)


class _Template:
    """The lines of one run, cut where runs of its model and prompt differ."""

    def __init__(self, plan: Plan, spec: RunSpec, kind: str) -> None:
        header = build_header(plan, spec)
        metrics = metrics_of(spec)
        known = {key: _MADE_UP for key in list(METRICS)[::2] if key not in metrics}
        rest = {key: f"no source of this reading on this host ({key})" for key in METRICS}
        absent = {key: why for key, why in rest.items() if key not in metrics | known}
        changes: dict[str, Any] = {"metrics": metrics | known, "absent": absent}
        if kind == "with_caveat":
            changes |= with_caveat("other-load", "other processes took more than 5 % of a core")
        if kind == "failed":
            changes = failed(Status.OOM, "killed by the kernel: out of memory")
        self._rate = rate_of(spec)
        text = (record_line(header) + record_line(build_end(header, **changes))).decode()
        text = text.replace("%", "%%").replace(spec.id, "%(id)s")
        text = text.replace(f'"repetition":{spec.repetition}', '"repetition":%(repetition)d')
        for key, scale in (("gen_tok_s", 1), ("prompt_tok_s", 4)):
            printed = json.dumps(scale * self._rate)
            text = text.replace(f'"{key}":{printed}', f'"{key}":%({key}).6f')
        self._text = text

    def lines(self, spec: RunSpec, factor: float) -> bytes:
        rate = self._rate * factor
        return (
            self._text
            % {
                "id": spec.id,
                "repetition": spec.repetition,
                "gen_tok_s": rate,
                "prompt_tok_s": 4 * rate,
            }
        ).encode()

"""Lots: runs that are alike in all that decides what they may be pooled with.

There are few of them however many runs there are; pools are put together from lots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from edgemoe_appliance.analysis.journal import Attempt
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.plan import Plan


class LotKey(NamedTuple):
    """What the runs of a lot have in common; `feeds` are the tables that they go into."""

    setting: str
    threads: int
    n_predict: int
    context: int
    prompt_scale: float
    arm: Arm
    feeds: tuple[Feeds, ...]
    model: str
    model_sha256: str
    model_name: str
    twin_scale: str | None


@dataclass(frozen=True, kw_only=True)
class Lot:
    """One lot and its final runs: how many, how many ended well, and the place of the first."""

    number: int
    key: LotKey
    runs: int
    ok: int
    first: int


@dataclass(kw_only=True)
class _Counts:
    runs: int = 0
    ok: int = 0
    first: int = 0


class LotBook:
    """Gives each lot and each prompt as sent a number, and counts the final runs of lots."""

    def __init__(self) -> None:
        """Begin without lots."""
        self._lots: dict[LotKey, int] = {}
        self._counts: list[_Counts] = []
        self._sent: dict[tuple[str, str], int] = {}

    def lot_of(self, setting: str, plan: Plan, attempt: Attempt) -> int:
        """Return the number of an attempt's lot."""
        header = attempt.header
        spec = header.spec
        experiment = plan.experiments[spec.experiment]
        key = LotKey(
            setting=setting,
            threads=spec.threads,
            n_predict=spec.n_predict,
            context=spec.context,
            prompt_scale=experiment.prompt_scale,
            arm=spec.arm,
            feeds=experiment.feeds,
            model=spec.model,
            model_sha256=header.model_sha256,
            model_name=plan.models[spec.model].name,
            twin_scale=header.model_twin_scale,
        )
        number = self._lots.setdefault(key, len(self._lots))
        if number == len(self._counts):
            self._counts.append(_Counts())
        return number

    def sent_of(self, prompt: str, sha256: str) -> int:
        """Return the number of a prompt as sent."""
        return self._sent.setdefault((prompt, sha256), len(self._sent))

    def count(self, lot: int, *, ok: bool, place: int) -> None:
        """Count a final run, at its place among all attempts."""
        counts = self._counts[lot]
        counts.first = min(counts.first, place) if counts.runs else place
        counts.runs += 1
        counts.ok += ok

    def lots(self) -> Iterable[Lot]:
        """Return the lots with final runs in the order of their first ones."""
        found = [
            Lot(number=number, key=key, runs=counts.runs, ok=counts.ok, first=counts.first)
            for (key, number), counts in zip(self._lots.items(), self._counts, strict=True)
            if counts.runs
        ]
        return sorted(found, key=lambda lot: lot.first)

    def prompts(self) -> tuple[str, ...]:
        """Return the prompts as sent by number: id and digest of the text."""
        return tuple(f"{prompt} {sha256}" for prompt, sha256 in self._sent)

"""Runs that judge a model's answers: the reference's probabilities kept once, and what is read.

The probabilities are some hundred megabytes. They lie beside the journal, or in a volume of the
container's own, on a disk and never in the memory that is measured, for as long as the measuring
period lasts, and are made again after it. The disk is asked first, and the kernel ends a tool that
would write more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgemoe_appliance.engine.assessment import (
    BASE_HEADER_BYTES,
    AssessmentFiles,
    Divergence,
    base_bytes_at_most,
    build_base_argv,
    build_check_argv,
    parse_choices,
    parse_divergence,
    parse_is_finite,
    read_base_header,
)
from edgemoe_appliance.engine.stream import EndedBy, EngineResult
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import Assessment
from edgemoe_appliance.schema.files import check_disk_space
from edgemoe_appliance.schema.metrics import SERIES_METRICS
from edgemoe_appliance.schema.plan import Plan, PlannedModel, RunSpec
from edgemoe_appliance.schema.records import Caveat, Status
from edgemoe_appliance.schema.units import human_bytes

# Left free besides the probabilities: journal and samples must still fit.
_SPARE_BYTES: Final = 200_000_000
NOT_FINITE: Final = "non-finite"
REFERENCE_NOT_FINITE: Final = "reference-non-finite"
NOT_ASKED: Final = "finiteness-not-asked"
_OF_DIVERGENCE: Final = (
    *("kl_divergence_nat", "ln_perplexity_ratio", "same_top_pct"),
    *("perplexity", "reference_perplexity"),
)
Series = dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came out of a run that judges a model: series by metric, and what is to be said of it.

    `status` and `detail` stand in for those of the process where it ended well and said too little.
    """

    series: Series
    caveats: tuple[Caveat, ...] = ()
    status: Status = Status.OK
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class BaseStore:
    """The probabilities of references that are kept in a folder, one for each text and length."""

    plan: Plan
    folder: Path
    _failed: dict[str, EngineResult] = field(default_factory=dict)

    def path_of(self, run: RunSpec) -> Path:
        """Return where the probabilities lie that a run is held against."""
        text = self.plan.prompt_of(run).sha256
        engine = self.plan.engines[run.pin].build_key
        reference = self.plan.models[str(run.reference)].sha256
        parts = (engine[:8], reference[:16], text[:16], str(run.context))
        return self.folder / f"{'-'.join(parts)}.base"

    def require(
        self, run: RunSpec, prompt: Path, start: Callable[[Sequence[str], int], EngineResult]
    ) -> EngineResult | None:
        """Have the probabilities written that a run needs, unless they are there.

        `start` gets a command and how many bytes it may write. Returns how the process ended that
        did not write them, else None. Raises HostError where the disk has no room for them, or
        had none for the last of them.
        """
        if run.assesses is not Assessment.DIVERGENCE:
            return None
        path = self.path_of(run)
        if read_base_header(path) is not None:
            return None
        if path.name not in self._failed:
            most_bytes = self._require_room(run)
            result = start(self._argv(run, prompt, path), most_bytes)
            if read_base_header(path) is not None:
                return None
            written = path.stat().st_size if path.exists() else 0
            path.unlink(missing_ok=True)
            # The tool does not look whether the disk takes what it writes.
            if result.exit_code == 0 and written > BASE_HEADER_BYTES:
                raise HostError(
                    f"the disk took {human_bytes(written)} of the probabilities and no more",
                    where=str(self.folder),
                    hint="free space there; the same command goes on from here",
                )
            self._failed[path.name] = result
        return self._failed[path.name]

    def _argv(self, run: RunSpec, prompt: Path, path: Path) -> tuple[str, ...]:
        plan = self.plan
        return build_base_argv(
            run,
            engine=plan.engines[run.pin],
            reference=plan.models[str(run.reference)],
            target=plan.target,
            files=AssessmentFiles(prompt=prompt, base=path),
        )

    def _require_room(self, run: RunSpec) -> int:
        """Return how many bytes the probabilities can take, after asking the disk for them."""
        reference = self.plan.models[str(run.reference)]
        if reference.vocabulary is None:
            raise HostError(
                f"the vocabulary of {reference.id} is not known", hint="plan the session again"
            )
        text = self.plan.prompt_of(run).text
        needed = base_bytes_at_most(text, run.context, reference.vocabulary)
        check_disk_space(
            self.folder,
            needed + _SPARE_BYTES,
            "free so much for the probabilities of the 16-bit model, which go when this ends",
        )
        return needed


@dataclass(frozen=True, kw_only=True)
class FiniteCheck:
    """Whether the answers of models are finite numbers, asked once of each in a measuring period.

    Items do not tell: of answers that are no numbers the tool takes the first, which is the right
    one of one item in four.
    """

    plan: Plan
    _found: dict[tuple[str, str], bool | None] = field(default_factory=dict)

    def require(
        self, run: RunSpec, prompt: Path, start: Callable[[Sequence[str]], EngineResult]
    ) -> None:
        """Have the model of a run asked, unless it was, or tells it anyway."""
        key = (run.pin, run.model)
        if run.assesses is not Assessment.CHOICE or key in self._found:
            return
        result = start(
            build_check_argv(
                run,
                engine=self.plan.engines[run.pin],
                model=self.plan.models[run.model],
                target=self.plan.target,
                prompt=prompt,
            )
        )
        if result.ended_by is not EndedBy.STOPPED:
            self._found[key] = parse_is_finite(result.text.decode(errors="replace"))

    def of(self, run: RunSpec) -> bool | None:
        """Return what was found of the model of a run, None where it could not be asked."""
        return self._found.get((run.pin, run.model))


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """What a run that judges a model was to tell of, as far as that is known.

    `items` or `chunks` is their number, `is_finite` whether the model's answers are numbers at all.
    """

    items: int | None = None
    chunks: int | None = None
    is_finite: bool | None = None


def put_answers(readings: Readings, run: RunSpec, output: str, awaited: Awaited) -> Judged:
    """Put what the tool found out of a model's answers.

    A value that is no finite number is a result: its metric is absent with that as its reason, and
    it stands as such in the series.
    """
    if run.assesses is Assessment.CHOICE:
        return _put_choices(readings, parse_choices(output), awaited)
    found = parse_divergence(output)
    if found is not None and _lacks_reference(found, run):
        return _put_without_reference(readings)
    return _put_divergence(readings, found, awaited.chunks)


def _put_choices(readings: Readings, right: tuple[bool, ...] | None, awaited: Awaited) -> Judged:
    metric = "choice_correct_pct"
    if right is None or len(right) != awaited.items:
        told = 0 if right is None else len(right)
        return _unsaid(readings, (metric,), f"{told} of {awaited.items} items were answered")
    if awaited.is_finite is False:
        why = "the tool takes the first answer of each item then"
        readings.put_absent((metric,), f"not a finite number: {why}")
        caveats = (_not_finite(why, items_not_finite=float(len(right))),)
        return Judged(series={metric: (None,) * len(right)}, caveats=caveats)
    series = tuple(100.0 * each for each in right)
    readings.put(metric, sum(series) / len(series), "")
    text = "whether the model's answers are finite numbers could not be asked before its items"
    unasked = (Caveat(code=NOT_ASKED, text=text),) if awaited.is_finite is None else ()
    return Judged(series={metric: series}, caveats=unasked)


def _lacks_reference(found: Divergence, run: RunSpec) -> bool:
    """Return whether it is the other file's answers that are no numbers."""
    of_reference = found.reference_perplexity
    is_other = run.reference != run.model
    return is_other and of_reference is not None and not math.isfinite(of_reference)


def _put_without_reference(readings: Readings) -> Judged:
    why = (
        "the answers of the 16-bit file are no finite numbers, so there is nothing to compare with"
    )
    readings.put_absent(_OF_DIVERGENCE, why)
    return Judged(series={}, caveats=(Caveat(code=REFERENCE_NOT_FINITE, text=why),))


def _not_finite(why: str, **numbers: float) -> Caveat:
    text = f"the model's answers are no finite numbers ({why})"
    return Caveat(code=NOT_FINITE, text=text, numbers=numbers)


def _put_divergence(readings: Readings, found: Divergence | None, chunks: int | None) -> Judged:
    if found is None or (chunks is not None and len(found.kl_nat) != chunks):
        told = 0 if found is None else len(found.kl_nat)
        return _unsaid(readings, _OF_DIVERGENCE, f"the tool told of {told} of {chunks} chunks")
    values: Mapping[str, tuple[float, ...]] = {
        "kl_divergence_nat": found.kl_nat,
        "ln_perplexity_ratio": found.ln_ratio,
        "same_top_pct": found.same_top_pct,
    }
    for key, each in values.items():
        readings.put(key, _finite(sum(each) / len(each)), _why_not_finite(each))
    readings.put("perplexity", _finite(found.perplexity), _why_not_finite(found.ln_ratio))
    of_reference = found.reference_perplexity
    readings.put(
        "reference_perplexity",
        None if of_reference is None else _finite(of_reference),
        "the tool gave none" if of_reference is None else "not a finite number",
    )
    return Judged(
        series={key: tuple(map(_finite, each)) for key, each in values.items()},
        caveats=tuple(_tell_not_finite(found)),
    )


def _unsaid(readings: Readings, keys: Sequence[str], why: str) -> Judged:
    readings.put_absent(keys, why)
    return Judged(series={}, status=Status.INVALID, detail=why)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _why_not_finite(chunks: Sequence[float]) -> str:
    first = next((n for n, each in enumerate(chunks, 1) if not math.isfinite(each)), None)
    if first is None:
        return "not a finite number"
    return f"not a finite number from chunk {first} of {len(chunks)} on"


def _tell_not_finite(found: Divergence) -> Iterator[Caveat]:
    count = sum(not math.isfinite(value) for value in found.kl_nat)
    if count or not math.isfinite(found.perplexity):
        yield _not_finite(
            _why_not_finite(found.kl_nat),
            chunks=float(len(found.kl_nat)),
            chunks_not_finite=float(count),
        )


def tell_origin(model: PlannedModel) -> Iterator[Caveat]:
    """Yield that a file of fewer bits comes from one of fewer than 16, with its quantization."""
    made = model.quantised
    if made is not None and made.origin not in ("F32", "F16", "BF16"):
        yield Caveat(
            code="requantised",
            text=f"this {made.type} file was made here, from 16 bits that were themselves made "
            f"from {made.origin}: what that had lost no comparison shows",
        )


def put_bits(readings: Readings, model: PlannedModel) -> None:
    """Put what the tensors of a file hold that was made here."""
    if model.quantised is not None:
        readings.put("bits_per_weight", model.quantised.bits_per_weight, "")
        readings.put("fallback_tensors", sum(model.quantised.fallbacks.values()), "")


def absent_answers(readings: Readings, why: str) -> None:
    """Say why a run that judges a model has no figure of its answers."""
    readings.put_absent((*SERIES_METRICS, "perplexity", "reference_perplexity"), why)

"""How the engine's own tool judges a model's answers: its command line and what it prints. Pure.

Two kinds of judgement. *Divergence* holds the probabilities of next tokens over a text against
those of another file of the model, which are written to a file first; only the second half of each
chunk counts, so that every token has some context. *Choice* asks for the likeliest of four answers,
by the mean over an answer's tokens. Source: perplexity.cpp of llama.cpp b4447 and b11312.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.schema.configs import Assessment, Target
from edgemoe_appliance.schema.plan import PERPLEXITY_TOOL, EngineBuild, PlannedModel, RunSpec

# Of the program that generates alone: the tool refuses it.
_NOT_OF_TOOL: Final = ("-no-cnv",)
_BASE_MAGIC: Final = b"_logits_"
# Context, vocabulary, chunks.
_BASE_HEADER: Final = struct.Struct("<8sIii")
BASE_HEADER_BYTES: Final = _BASE_HEADER.size
# A token of every tokenizer met here has more than three bytes of our texts, on the mean.
_LEAST_BYTES_PER_TOKEN: Final = 3
# Each token's scale and least value, two floats, before 16 bits for each of the vocabulary.
_SCALE_VALUES: Final = 4

_NUMBER: Final = r"(-?(?:nan|inf|\d{1,15}(?:\.\d{1,15})?))"
_SPREAD: Final = rf"\s+(?:±|\+/-)\s+{_NUMBER}"
# `   1      68.4125 ±   25.6373       0.33240 ±    0.17165       0.36968 ± ...`
_CHUNK: Final = re.compile(
    rf"^\s*(\d{{1,9}})\s+{_NUMBER}{_SPREAD}\s+{_NUMBER}{_SPREAD}\s+{_NUMBER}{_SPREAD}"
    rf"\s+{_NUMBER}{_SPREAD}\s*%\s+{_NUMBER}{_SPREAD}\s*%\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCE: Final = re.compile(rf"^Mean PPL\(base\)\s*:\s*{_NUMBER}", re.IGNORECASE | re.MULTILINE)
# `[1]41.0191,` of a text whose perplexity is asked alone.
_PERPLEXITY: Final = re.compile(rf"^\[1\]{_NUMBER}", re.IGNORECASE | re.MULTILINE)
# So many tokens, of which half count, tell whether a model's answers are numbers at all.
_CHECKED_TOKENS: Final = 64
# `12	8.33333333`, later `12	8.33333333%	[1.4863%, 35.3845%]`
_ITEM: Final = re.compile(rf"^(\d{{1,9}})\t{_NUMBER}%?(?:\t.*)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """How far a file's answers are from the reference's, chunk by chunk.

    `kl_nat` is the Kullback-Leibler divergence of the reference's probabilities from the file's,
    `ln_ratio` the logarithm of perplexity over the reference's, `same_top_pct` the share of tokens
    whose likeliest next token is the same. A value that is no finite number is NaN; of
    probabilities that are none none is the likeliest, whatever the tool says. Chunks are
    worked out from running means that are printed to five decimals, so that of chunk k is known
    to k x 10^-5; `perplexity` is over all of them.
    """

    kl_nat: tuple[float, ...]
    ln_ratio: tuple[float, ...]
    same_top_pct: tuple[float, ...]
    perplexity: float
    reference_perplexity: float | None


@dataclass(frozen=True, kw_only=True)
class BaseHeader:
    """What a file of the reference's probabilities says of itself."""

    context: int
    vocabulary: int
    chunks: int

    @property
    def file_bytes(self) -> int:
        """Return the size that the whole file has."""
        tokens = self.chunks * self.context * 4
        return (
            _BASE_HEADER.size + tokens + self.chunks * _chunk_bytes(self.context, self.vocabulary)
        )


def _chunk_bytes(context: int, vocabulary: int) -> int:
    """Return the bytes of one chunk: 16 bits for each next token of each token that counts."""
    return 2 * (context - 1 - context // 2) * (2 * ((vocabulary + 1) // 2) + _SCALE_VALUES)


def base_bytes_at_most(text: str, context: int, vocabulary: int) -> int:
    """Return how large the file of the reference's probabilities over a text can become."""
    chunks = len(text.encode()) // _LEAST_BYTES_PER_TOKEN // context + 1
    return BaseHeader(context=context, vocabulary=vocabulary, chunks=chunks).file_bytes


def read_base_header(path: Path) -> BaseHeader | None:
    """Read what a file of probabilities says of itself; None where it is none, or torn."""
    try:
        with path.open("rb") as file:
            data = file.read(_BASE_HEADER.size)
        size = path.stat().st_size
    except OSError:
        return None
    if len(data) < _BASE_HEADER.size:
        return None
    magic, context, vocabulary, chunks = _BASE_HEADER.unpack(data)
    if magic != _BASE_MAGIC or min(context, vocabulary, chunks) <= 0:
        return None
    header = BaseHeader(context=context, vocabulary=vocabulary, chunks=chunks)
    return header if header.file_bytes == size else None


@dataclass(frozen=True, kw_only=True)
class AssessmentFiles:
    """What the tool reads and writes: the text or the items, and the reference's probabilities."""

    prompt: Path
    base: Path


def build_assessment_argv(
    run: RunSpec,
    *,
    engine: EngineBuild,
    model: PlannedModel,
    target: Target,
    files: AssessmentFiles,
    items: int | None,
) -> tuple[str, ...]:
    """Return the command that judges a model."""
    command = _common(run, engine, model, target)
    if run.assesses is Assessment.CHOICE:
        asked = ("--hellaswag", "--hellaswag-tasks", str(items))
        return (*command, "-f", str(files.prompt), *asked)
    return (*command, "--kl-divergence-base", str(files.base), "--kl-divergence")


def build_base_argv(
    run: RunSpec,
    *,
    engine: EngineBuild,
    reference: PlannedModel,
    target: Target,
    files: AssessmentFiles,
) -> tuple[str, ...]:
    """Return the command that writes the reference's probabilities over a text."""
    asked = ("-f", str(files.prompt), "--kl-divergence-base", str(files.base))
    return (*_common(run, engine, reference, target), *asked)


def build_check_argv(
    run: RunSpec, *, engine: EngineBuild, model: PlannedModel, target: Target, prompt: Path
) -> tuple[str, ...]:
    """Return the command that asks for the perplexity of the first tokens of a text.

    Where answers are no numbers the tool takes the first answer of each item and says nothing, so
    that one in four is right, as by chance.
    """
    few = run.model_copy(update={"context": _CHECKED_TOKENS})
    return (*_common(few, engine, model, target), "-f", str(prompt), "--chunks", "1")


def _common(
    run: RunSpec, engine: EngineBuild, model: PlannedModel, target: Target
) -> tuple[str, ...]:
    arguments = [engine.tool(PERPLEXITY_TOOL), "-m", model.path]
    arguments += ["-t", str(run.threads), "-c", str(run.context)]
    if target.n_gpu_layers is not None:
        arguments += ["-ngl", str(target.n_gpu_layers)]
    return (*arguments, *(each for each in engine.extra_args if each not in _NOT_OF_TOOL))


def parse_divergence(text: str) -> Divergence | None:
    """Return what the tool printed over a text, None where it printed no chunk."""
    rows = [[float(number) for number in found[1:]] for found in _CHUNK.findall(text)]
    if not rows:
        return None
    reference = _REFERENCE.search(text)
    # Of a file held against itself the tool finds no divergence, whatever its answers are.
    kl_nat = tuple(_of_chunks([math.nan if math.isnan(row[0]) else row[4] for row in rows]))
    same_top = zip(kl_nat, _of_chunks([row[8] for row in rows]), strict=True)
    return Divergence(
        kl_nat=kl_nat,
        ln_ratio=tuple(_of_chunks([row[2] for row in rows])),
        same_top_pct=tuple(same if math.isfinite(kl) else math.nan for kl, same in same_top),
        perplexity=rows[-1][0],
        reference_perplexity=float(reference[1]) if reference else None,
    )


def _of_chunks(means: Sequence[float]) -> Iterator[float]:
    """Yield what each chunk adds to a running mean; NaN from the first that is not finite on."""
    before = 0.0
    for number, mean in enumerate(means, start=1):
        total = number * mean
        yield total - before if math.isfinite(total) and math.isfinite(before) else math.nan
        before = total


def parse_is_finite(text: str) -> bool | None:
    """Return whether the perplexity that was asked for is a finite number, None without one."""
    found = _PERPLEXITY.search(text)
    return None if found is None else math.isfinite(float(found[1]))


def parse_choices(text: str) -> tuple[bool, ...] | None:
    """Return which items were answered rightly, in the tool's order; None where there are none.

    The order is by chance from a seed of the tool's own: with equally many items it is the same
    for every model that one build judges.
    """
    found = _ITEM.findall(text)
    right = [round(float(share) * int(number) / 100) for number, share in found]
    steps = [now - before for before, now in zip([0, *right], right, strict=False)]
    in_order = [int(number) for number, _ in found] == list(range(1, len(found) + 1))
    if not found or not in_order or not set(steps) <= {0, 1}:
        return None
    return tuple(step == 1 for step in steps)

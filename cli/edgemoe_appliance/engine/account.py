"""What one engine process said of itself while it loaded: devices, layers, settings, buffers. Pure.

A run is held against its plan with it. Each statement keeps the line it was read from, as the
proof to quote; what was not said is None and never taken for a "no". Lines in which the engine
prints the model's own strings are not read: a model's name could say anything.

Spellings differ by age; those from b3000 to b11312 are read, with or without a prefix of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.engine.failure import own_lines
from edgemoe_appliance.schema.records import BufferFacts, BufferKind, EngineFacts
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import MIB

_MAX_NAME_CHARS: Final = 80
_MAX_LINE_CHARS: Final = 240
# More digits than any of these has would be nonsense, and could not be recorded.
_NUMBER: Final = r"(\d{1,15})"
_NUMBERS: Final = {
    "threads": re.compile(rf"system_info: n_threads = {_NUMBER}\b"),
    "batch_threads": re.compile(rf"system_info: .*n_threads_batch = {_NUMBER}\b"),
    "context": re.compile(rf": n_ctx\s+=\s*{_NUMBER}\s*$"),
    "batch": re.compile(rf": n_batch\s+=\s*{_NUMBER}\s*$"),
    "ubatch": re.compile(rf": n_ubatch\s+=\s*{_NUMBER}\s*$"),
    "asked_tokens": re.compile(rf"generate: n_ctx = .*n_predict = {_NUMBER}\b"),
}
_FLASH_ATTENTION: Final = re.compile(
    r": flash_attn\s+=\s*(?P<word>\w+)\s*$"
    r"|Flash Attention (?:was auto, set to )?(?P<later>enabled|disabled)\s*$"
    r"|Flash Attention not supported, set to (?P<unable>disabled)\s*$"
)
_TRUTH: Final = {"1": True, "0": False, "enabled": True, "disabled": False}
_MODEL: Final = re.compile(r"loaded meta data with \d+ key-value pairs .* from (.+) \(version ")
_LAYERS: Final = re.compile(rf"offloaded {_NUMBER}/{_NUMBER} layers to GPU")
_DEVICE: Final = re.compile(r"using device (\S+) \(")
_NO_GPU: Final = re.compile(
    r"no usable GPU found|not compiled with GPU offload support"
    r"|compiled without support for GPU offload"
    r"|failed to initialize (?:CUDA|ROCm)|no CUDA-capable device"
)
_CUDA_GRAPHS: Final = re.compile(r"system_info: .*\bUSE_GRAPHS = 1\b")
# Before November 2024 the weights' buffers had no word for their kind.
_BUFFER: Final = re.compile(
    r": +(?P<device>\S+) +(?:(?P<kind>\S[^:=]*?) )?buffer size = +(?P<mib>\d{1,9}\.\d+) MiB"
)
_KINDS: Final = {
    None: BufferKind.MODEL,
    "model": BufferKind.MODEL,
    "LoRA": BufferKind.MODEL,
    "KV": BufferKind.KV,
    "RS": BufferKind.KV,  # the state of recurrent layers: what a KV cache is to others
    "compute": BufferKind.COMPUTE,
    "output": BufferKind.OUTPUT,
}
# Allocated anew where a graph turns out larger: the last line counts. The others add up, as a
# sliding window has a cache of its own, and a model of several files a buffer for each.
_REPLACED: Final = (BufferKind.COMPUTE, BufferKind.OUTPUT)
# `| - CUDA0 (Orin) | total = free + (self = model + context + compute) + unaccounted |`
_BREAKDOWN: Final = re.compile(
    r"memory_breakdown_print: \|\s+- (?P<device>\S+)[^|]*\|[^|(]*?(?:\(\s*)?"
    r"(?P<self>\d{1,9}) =\s+(?P<model>\d{1,9}) \+\s+(?P<context>\d{1,9}) \+\s+(?P<compute>\d{1,9})"
)


@dataclass(frozen=True, kw_only=True)
class Account:
    """The statements of one process. `lines` holds the line of each statement by its name.

    `batch_threads` are those of the prompt pass; `asked_tokens` is how many the engine
    understood it shall generate; `model_file` is the path it read; `no_gpu` says that it found
    none; `maps_model` says that weights lie in a mapped file, None where no buffer was told.
    `cuda_graphs` says that this build may compute by CUDA graphs.
    """

    facts: EngineFacts
    batch_threads: int | None
    asked_tokens: int | None
    model_file: str | None
    no_gpu: bool
    maps_model: bool | None
    cuda_graphs: bool
    lines: Mapping[str, str]


def parse_account(stderr: str) -> Account:
    """Return what the messages of one process say."""
    lines = own_lines(stderr)
    seen: dict[str, str] = {}
    numbers = {name: _number(lines, pattern, name, seen) for name, pattern in _NUMBERS.items()}
    offloaded, layers = _layers(lines, seen)
    buffers = tuple(_buffers(lines))
    return Account(
        facts=EngineFacts(
            devices=_devices(lines, seen),
            layers_offloaded=offloaded,
            layers=layers,
            context=numbers["context"],
            batch=numbers["batch"],
            ubatch=numbers["ubatch"],
            threads=numbers["threads"],
            flash_attention=_flash_attention(lines, seen),
            buffers=buffers or tuple(_breakdown(lines)),
        ),
        batch_threads=numbers["batch_threads"],
        asked_tokens=numbers["asked_tokens"],
        model_file=_text(lines, _MODEL, "model_file", seen),
        no_gpu=_find(lines, _NO_GPU, "no_gpu", seen) is not None,
        maps_model=_maps_model(lines, buffers, seen),
        cuda_graphs=_find(lines, _CUDA_GRAPHS, "cuda_graphs", seen) is not None,
        lines=seen,
    )


def _find(
    lines: list[str], pattern: re.Pattern[str], name: str, seen: dict[str, str]
) -> re.Match[str] | None:
    """Return the last match and note its line."""
    for line in reversed(lines):
        match = pattern.search(line)
        if match is not None:
            seen[name] = on_one_line(line.strip(), _MAX_LINE_CHARS)
            return match
    return None


def _number(
    lines: list[str], pattern: re.Pattern[str], name: str, seen: dict[str, str]
) -> int | None:
    match = _find(lines, pattern, name, seen)
    return None if match is None else int(match[1])


def _text(
    lines: list[str], pattern: re.Pattern[str], name: str, seen: dict[str, str]
) -> str | None:
    match = _find(lines, pattern, name, seen)
    return None if match is None else match[1]


def _layers(lines: list[str], seen: dict[str, str]) -> tuple[int | None, int | None]:
    match = _find(lines, _LAYERS, "layers", seen)
    return (None, None) if match is None else (int(match[1]), int(match[2]))


def _flash_attention(lines: list[str], seen: dict[str, str]) -> bool | None:
    """Return whether it is used; None where nothing was said, or "auto" and no more."""
    match = _find(lines, _FLASH_ATTENTION, "flash_attention", seen)
    return None if match is None else _TRUTH.get(match[match.lastgroup or "word"])


def _devices(lines: list[str], seen: dict[str, str]) -> tuple[str, ...]:
    _find(lines, _DEVICE, "devices", seen)
    found = (match[1] for line in lines if (match := _DEVICE.search(line)))
    return tuple(dict.fromkeys(on_one_line(name, _MAX_NAME_CHARS) for name in found))


def _buffers(lines: list[str]) -> Iterator[BufferFacts]:
    sizes: dict[tuple[str, BufferKind], int] = {}
    for line in lines:
        match = _BUFFER.search(line)
        if match is None:
            continue
        kind = _KINDS.get(match["kind"], BufferKind.OTHER)
        key = (on_one_line(match["device"], _MAX_NAME_CHARS), kind)
        before = 0 if kind in _REPLACED else sizes.get(key, 0)
        sizes[key] = before + round(float(match["mib"]) * MIB)
    for (device, kind), size in sizes.items():
        yield BufferFacts(device=device, kind=kind, bytes=size)


def _breakdown(lines: list[str]) -> Iterator[BufferFacts]:
    """Yield what the table at the end tells, to the MiB, where no line told of a buffer."""
    for line in lines:
        match = _BREAKDOWN.search(line)
        if match is None:
            continue
        device = on_one_line(match["device"], _MAX_NAME_CHARS)
        for part, kind in (
            ("model", BufferKind.MODEL),
            ("context", BufferKind.KV),
            ("compute", BufferKind.COMPUTE),
        ):
            yield BufferFacts(device=device, kind=kind, bytes=int(match[part]) * MIB)


def _maps_model(
    lines: list[str], buffers: tuple[BufferFacts, ...], seen: dict[str, str]
) -> bool | None:
    weights = [buffer for buffer in buffers if buffer.kind is BufferKind.MODEL]
    if not weights:
        return None
    _find(lines, re.compile(r"_Mapped +model buffer size"), "maps_model", seen)
    return any(buffer.device.endswith("_Mapped") for buffer in weights)

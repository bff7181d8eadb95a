"""One line of tegrastats as a typed sample. Pure.

Every kind of line since the first Nano is read; a field that is not known is kept as it stands,
never fatal. Of `now/mean` and `now/mean/max` only the first number means anything for a window:
the mean runs since tegrastats was started.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgemoe_appliance.schema.units import KIB, MIB

# tegrastats prints this for a sensor that is switched off.
_SENSOR_OFF_C = -256.0
_BLOCK_UNITS = {"kB": KIB, "MB": MIB}

_STAMP = re.compile(r"^\s*(\d{2}-\d{2}-\d{4} \d{2}:\d{2}:\d{2})\s")
_RAM = re.compile(r"(?<!\S)RAM (\d{1,9})/(\d{1,9})MB(?: \(lfb (\d{1,9})x(\d{1,9})(kB|MB)\))?(?!\S)")
_SWAP = re.compile(r"(?<!\S)SWAP (\d{1,9})/(\d{1,9})MB(?: \(cached (\d{1,9})MB\))?(?!\S)")
_CPU = re.compile(r"(?<!\S)CPU \[([^\]]*)\](?:@\d{1,6})?(?!\S)", re.IGNORECASE)
_CORE = re.compile(r"^(\d{1,3})%(?:@(\d{1,6}))?$")
_EMC = re.compile(r"(?<!\S)EMC(?:_FREQ)? (\d{1,3})%(?:@(\d{1,6}))?(?!\S)")
_GR3D = re.compile(r"(?<!\S)GR3D(?:_FREQ)? (\d{1,3})%(?:@\[?(\d{1,6}(?:,\d{1,6})*)\]?)?(?!\S)")
_TEMP = re.compile(
    r"(?<!\S)([A-Za-z][\w.-]*)@(-?\d{1,4}(?:\.\d{1,6})?)C(?:/-?\d{1,4}(?:\.\d{1,6})?C)*(?!\S)"
)
_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (-?\d{1,9})mW/(-?\d{1,9})mW(?:/(-?\d{1,9})mW)?(?!\S)")
# Before JetPack 5 no unit was printed: what is left of the form `NAME a/b` is a rail in mW, once
# memory, swap, loads and temperatures have been taken out (`GPU 18401/18525` on an AGX Xavier).
_RAIL_WITHOUT_UNIT = re.compile(
    r"(?<!\S)([A-Z][A-Z0-9_]*) (-?\d{1,9})/(-?\d{1,9})(?:/(-?\d{1,9}))?(?!\S)"
)
_NO_RAILS = frozenset({"RAM", "SWAP", "IRAM", "EMC", "CPU_FREQ", "GR3D", "MTS"})
_NOT_CONNECTED = "NC"


@dataclass(frozen=True, kw_only=True)
class CoreLoad:
    """One processor core that is on; the clock is None where it is printed for all at once."""

    load_pct: int
    clock_mhz: int | None


@dataclass(frozen=True, kw_only=True)
class RailPower:
    """One rail: power now, mean since tegrastats was started, maximum (JetPack 7 only)."""

    now_mw: int
    mean_mw: int
    max_mw: int | None


@dataclass(frozen=True, kw_only=True)
class TegrastatsSample:
    """One line; None, or an absent key, where the line does not say.

    `cores` has None for a core that is off (or not told in a known way). `sensors_off` are
    temperatures without a value. `unknown` keeps, word by word, what was not understood.
    """

    stamp: str | None
    ram_used_bytes: int | None
    ram_total_bytes: int | None
    largest_free_blocks: int | None
    largest_free_block_bytes: int | None
    swap_used_bytes: int | None
    swap_total_bytes: int | None
    swap_cached_bytes: int | None
    cores: tuple[CoreLoad | None, ...]
    emc_load_pct: int | None
    emc_clock_mhz: int | None
    gpu_load_pct: int | None
    gpu_clocks_mhz: tuple[int, ...]
    temps_c: dict[str, float]
    sensors_off: tuple[str, ...]
    rails: dict[str, RailPower]
    unknown: tuple[str, ...]


def parse_tegrastats_line(line: str) -> TegrastatsSample:
    """Parse one line; whatever it is, a sample comes back."""
    rest = _Rest(line)
    stamp = rest.take(_STAMP)
    ram = rest.take(_RAM)
    swap = rest.take(_SWAP)
    cores = rest.take(_CPU)
    emc = rest.take(_EMC)
    gpu = rest.take(_GR3D)
    temps = [(name, float(value)) for name, value in rest.take_all(_TEMP)]
    rails = _parse_rails([*rest.take_all(_RAIL), *rest.take_all(_RAIL_WITHOUT_UNIT)])
    return TegrastatsSample(
        stamp=stamp[0] if stamp else None,
        ram_used_bytes=_scaled(ram, 0, MIB),
        ram_total_bytes=_scaled(ram, 1, MIB),
        largest_free_blocks=_scaled(ram, 2, 1),
        largest_free_block_bytes=_scaled(ram, 3, _BLOCK_UNITS[ram[4]]) if ram and ram[4] else None,
        swap_used_bytes=_scaled(swap, 0, MIB),
        swap_total_bytes=_scaled(swap, 1, MIB),
        swap_cached_bytes=_scaled(swap, 2, MIB),
        cores=_parse_cores(cores[0]) if cores else (),
        emc_load_pct=_scaled(emc, 0, 1),
        emc_clock_mhz=_scaled(emc, 1, 1),
        gpu_load_pct=_scaled(gpu, 0, 1),
        gpu_clocks_mhz=tuple(map(int, gpu[1].split(","))) if gpu and gpu[1] else (),
        temps_c={name: value for name, value in temps if value > _SENSOR_OFF_C},
        sensors_off=tuple(name for name, value in temps if value <= _SENSOR_OFF_C),
        rails=rails,
        unknown=rest.words(),
    )


class _Rest:
    """What of a line has not been understood yet."""

    def __init__(self, line: str) -> None:
        self._text = line

    def take(self, pattern: re.Pattern[str]) -> tuple[str, ...] | None:
        """Remove the first match and return its groups ('' for a part that is not there)."""
        match = pattern.search(self._text)
        if match is None:
            return None
        self._text = f"{self._text[: match.start()]} {self._text[match.end() :]}"
        return match.groups(default="")

    def take_all(self, pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
        """Remove all matches and return their groups."""
        found = [match.groups(default="") for match in pattern.finditer(self._text)]
        self._text = pattern.sub(" ", self._text)
        return found

    def words(self) -> tuple[str, ...]:
        return tuple(self._text.split())


def _scaled(groups: tuple[str, ...] | None, index: int, factor: int) -> int | None:
    return int(groups[index]) * factor if groups and groups[index] else None


def _parse_cores(listed: str) -> tuple[CoreLoad | None, ...]:
    matches: Iterable[re.Match[str] | None] = map(_CORE.match, listed.replace(" ", "").split(","))
    return tuple(
        CoreLoad(load_pct=int(match[1]), clock_mhz=int(match[2]) if match[2] else None)
        if match
        else None
        for match in matches
    )


def _parse_rails(found: Iterable[tuple[str, ...]]) -> dict[str, RailPower]:
    return {
        name: RailPower(now_mw=int(now), mean_mw=int(mean), max_mw=int(top) if top else None)
        for name, now, mean, top in found
        if name != _NOT_CONNECTED and name not in _NO_RAILS
    }

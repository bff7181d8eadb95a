"""The recorded hardware of a measuring period in words; what is missing keeps its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.schema.hardware import Accelerator, Clock, Fan, HardwareFacts, SwapArea
from edgemoe_appliance.schema.records import HostFacts
from edgemoe_appliance.schema.units import gb, gib

HardwareTexts: TypeAlias = Mapping[str, str | Absent]
NOT_TOLD = "not readable on this host"
_OLDER = Absent(reason="the journal is of before this was recorded")
_NAMES = (
    *("Board", "Firmware", "Jetson Linux", "Kernel", "Distribution", "Power mode"),
    *("Processor clocks", "Device clocks", "Memory clock", "Swap areas", "Fans"),
    *("Cooling devices", "Temperatures at the start"),
)
# What a machine does, beside what it is.
_MOVING = ("Kernel", "Fans", "Cooling devices", "Temperatures at the start")
# Where the target computes on another device than the processor.
_ACCELERATORS = "Accelerators"
_PWM_MAXIMUM = 255
_MHZ = 1e6


def describe_host(host: HostFacts) -> HardwareTexts:
    """Return processor, memory and system of a host in words."""
    return {
        "Processor": host.cpu_model or Absent(reason=NOT_TOLD),
        "Cores": _cores(host.cores_physical, host.cores_logical),
        "Memory": f"{gb(host.memory_bytes):.1f} GB ({gib(host.memory_bytes):.1f} GiB)",
        "Swap": f"{gib(host.swap_bytes):.1f} GiB" if host.swap_bytes else "none",
        "System": f"{host.system} {host.release}, {host.machine}",
        "Governor": host.governor or Absent(reason=NOT_TOLD),
    }


def _cores(physical: int | None, logical: int) -> str:
    return f"{logical} logical" if physical is None else f"{physical} physical, {logical} logical"


def describe_hardware(facts: HardwareFacts | None, *, is_lasting: bool = False) -> HardwareTexts:
    """Return a hardware record in words; None is a journal of before there was one.

    With `is_lasting`, without what moves from moment to moment: what clocks, fans and temperatures
    were, and how much swap was in use.
    """
    if facts is None:
        return dict.fromkeys(_NAMES, _OLDER)
    why = facts.absent

    def told(text: str | None, fact: str) -> str | Absent:
        return text or Absent(reason=why.get(fact, NOT_TOLD))

    now = {"current_hz": None} if is_lasting else {}
    clocks = [clock.model_copy(update=now) for clock in facts.clocks]
    swap = [_swap_area(area, is_lasting=is_lasting) for area in facts.swap]
    values = (
        told(facts.device, "device"),
        told(facts.firmware, "firmware"),
        told(_release(facts), "release"),
        facts.kernel,
        told(facts.system, "system"),
        told(_power_mode(facts, is_lasting=is_lasting), "power mode"),
        told(_clocks(clocks, "processor"), "processor clocks"),
        told(_clocks(clocks, "device"), "device clocks"),
        told(_clocks(clocks, "memory"), "memory clock"),
        told("; ".join(swap) or _none_unless(why, "swap"), "swap"),
        told("; ".join(map(_fan, facts.fans)), "fans"),
        told(_cooling(facts), "cooling devices"),
        told(_temperatures(facts.temps_c), "temperatures"),
    )
    told_of = dict(zip(_NAMES, values, strict=True))
    if is_lasting:
        told_of = {name: text for name, text in told_of.items() if name not in _MOVING}
    if facts.accelerators or _ACCELERATORS.lower() in why:
        devices = "; ".join(map(describe_accelerator, facts.accelerators))
        told_of[_ACCELERATORS] = told(devices, _ACCELERATORS.lower())
    return told_of


def describe_accelerator(device: Accelerator) -> str:
    """Return a device of the engine in words; one that is a driver on the processor says so."""
    size = "" if device.memory_bytes is None else f", {gib(device.memory_bytes):.1f} GiB"
    kind = " (SOFTWARE: the processor computes in place of a device)" if device.is_software else ""
    return f"{device.name}: {device.description}{size}{kind}"


def _none_unless(why: Mapping[str, str], fact: str) -> str:
    return "" if fact in why else "none"


def _release(facts: HardwareFacts) -> str | None:
    if facts.release is None:
        return None
    jetpack = facts.jetpack or f"not known: {facts.absent.get('jetpack', NOT_TOLD)}"
    return f"{facts.release} (JetPack {jetpack})"


def _power_mode(facts: HardwareFacts, *, is_lasting: bool) -> str | None:
    """Return the mode by name; the id of one that has a name differs between firmwares."""
    mode = facts.power_mode
    if mode is None:
        return None
    if mode.name and is_lasting:
        return mode.name
    return f"{mode.name} (id {mode.id})" if mode.name else f"id {mode.id}, its name is not known"


def _clocks(clocks: Iterable[Clock], kind: str) -> str:
    """Return the clocks of one kind, those of equal range and governor together."""
    groups: dict[tuple[str | None, int | None, int | None], list[Clock]] = {}
    for clock in clocks:
        if clock.kind == kind:
            key = (clock.governor, clock.minimum_hz, clock.maximum_hz)
            groups.setdefault(key, []).append(clock)
    return "; ".join(map(_clock_group, groups.values()))


def _clock_group(clocks: list[Clock]) -> str:
    first = clocks[0]
    held = ", held" if first.is_held else ""
    now = [clock.current_hz for clock in clocks if clock.current_hz is not None]
    parts = [
        f"{_range(first.minimum_hz, first.maximum_hz)}{held}",
        f"at {_range(min(now), max(now))}" if now else "",
        f"governor {first.governor}" if first.governor else "",
    ]
    names = ", ".join(clock.name for clock in clocks)
    return f"{names}: {', '.join(filter(None, parts))}"


def _range(low_hz: int | None, high_hz: int | None) -> str:
    if low_hz is None or high_hz is None:
        return "range not told"
    low, high = f"{low_hz / _MHZ:.0f}", f"{high_hz / _MHZ:.0f}"
    return f"{low} MHz" if low == high else f"{low} to {high} MHz"


def _swap_area(area: SwapArea, *, is_lasting: bool) -> str:
    packed = f", compressed in memory ({area.compression})" if area.compression else ""
    size = f"{gib(area.size_bytes):.2f} GiB"
    size = size if is_lasting else f"{gib(area.used_bytes):.2f} of {size} used"
    return f"{area.name}: {size}, priority {area.priority}{packed}"


def _fan(fan: Fan) -> str:
    told = "" if fan.pwm is None else f"driven at {100 * fan.pwm / _PWM_MAXIMUM:.0f} %"
    turned = "" if fan.rpm is None else f"{fan.rpm} rpm"
    return f"{fan.name}: {', '.join(filter(None, (told, turned))) or 'tells nothing'}"


def _cooling(facts: HardwareFacts) -> str:
    total = sum(group.count for group in facts.cooling)
    at_work = [
        f"{group.kind} at {group.state} of {group.maximum}"
        + (f" ({group.count} of them)" if group.count > 1 else "")
        for group in facts.cooling
        if group.state > 0
    ]
    if not total:
        return ""
    return "; ".join(at_work) if at_work else f"none of {total} at work"


def _temperatures(temps_c: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {temp_c:.1f} °C" for name, temp_c in sorted(temps_c.items()))

"""Energy, power and energy per token of one run, from the readings around it. Pure.

Everything is of the primary's total rails. A run whose whole call cannot be integrated has no
energy at all, and carries a caveat: half a measurement would only mislead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgemoe_appliance.measure.energy import (
    AbsentEnergy,
    NetEnergy,
    StudyEnergy,
    WindowEnergy,
    compare_sources,
    energy_per_token,
    left_riemann,
    net_of_idle,
    total_energy,
)
from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power.interface import MeterReading, PowerMeter, total_rails
from edgemoe_appliance.measure.railtrace import RailTrace, build_trace
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.records import Caveat, Phase, Window

_ENERGY_KEYS = {
    Phase.LOAD: "energy_load_j",
    Phase.PROMPT: "energy_prompt_j",
    Phase.GENERATE: "energy_generate_j",
    Phase.UNLOAD: "energy_unload_j",
    Phase.PROCESS: "energy_process_j",
}
_UNCERTAINTY_KEYS = {phase: key.replace("_j", "_u95_j") for phase, key in _ENERGY_KEYS.items()}
_MEAN_KEYS = {
    Phase.IDLE: "power_idle_w",
    Phase.LOAD: "power_load_w",
    Phase.PROMPT: "power_prompt_w",
    Phase.GENERATE: "power_generate_w",
    Phase.PROCESS: "power_process_w",
}
_PEAK_KEYS = {Phase.GENERATE: "power_peak_generate_w", Phase.PROCESS: "power_peak_process_w"}
_COUNT_KEYS = {Phase.GENERATE: "power_readings_generate"}
_GROSS_KEYS = ("j_per_token_gross", "j_per_token_gross_u95")
_NET_KEYS = ("j_per_token_net", "j_per_token_net_u95")
_STUDY_KEYS = ("power_study_w", "power_study_peak_w")
_STUDY_TOKEN_KEY = "j_per_token_study"  # noqa: S105  a metric, not a password
_CROSS_KEY = "energy_cross_diff_pct"
POWER_KEYS = (
    *(_ENERGY_KEYS[phase] for phase in _ENERGY_KEYS),
    *(_UNCERTAINTY_KEYS[phase] for phase in _UNCERTAINTY_KEYS),
    *(_MEAN_KEYS[phase] for phase in _MEAN_KEYS),
    *(_PEAK_KEYS[phase] for phase in _PEAK_KEYS),
    *_COUNT_KEYS.values(),
    *_GROSS_KEYS,
    *_NET_KEYS,
    *_STUDY_KEYS,
    _STUDY_TOKEN_KEY,
    _CROSS_KEY,
)
POWER_FAILED = "power-source-failed"
# The windows in which tokens are generated.
_WITH_TOKENS = (Phase.GENERATE, Phase.PROCESS)
_NO_TOKENS = "the number of generated tokens is not known"
_ONE_TOKEN = "the first token comes from the prompt pass: none was generated in the window"  # noqa: S105
_NO_WINDOW = "the phases of the run are not known"

Found = WindowEnergy | AbsentEnergy


@dataclass(frozen=True, kw_only=True)
class RunPower:
    """The total rails of both sources during one run; empty where there is no such source.

    `reason` says why there is no primary.
    """

    primary: tuple[RailTrace, ...]
    cross_check: tuple[RailTrace, ...]
    reason: str | None


def build_run_power(
    power: Discovery, readings: Mapping[PowerSource, Sequence[MeterReading]]
) -> RunPower:
    """Return the traces of the rails that count."""
    return RunPower(
        primary=_total_traces(power.primary, readings),
        cross_check=_total_traces(power.cross_check, readings),
        reason=power.reason,
    )


def _total_traces(
    meter: PowerMeter | None, readings: Mapping[PowerSource, Sequence[MeterReading]]
) -> tuple[RailTrace, ...]:
    if meter is None:
        return ()
    of_meter = readings.get(meter.source, ())
    return tuple(build_trace(of_meter, rail) for rail in total_rails(meter.rails))


def put_power(
    readings: Readings, power: RunPower, windows: Sequence[Window], tokens: float | None
) -> tuple[Caveat, ...]:
    """Put all that follows from the readings of power, and return their caveats.

    `tokens` are the generated ones, None where they are not known.
    """
    if power.reason is not None:
        readings.put_absent(POWER_KEYS, power.reason)
        return ()
    ripple_hz = _token_rate_hz(windows, tokens)
    found = {
        window.phase: total_energy(power.primary, window, ripple_hz=ripple_hz) for window in windows
    }
    whole = found[Phase.PROCESS]
    if isinstance(whole, AbsentEnergy):
        reason = f"no energy of the whole call: {whole.reason}"
        readings.put_absent(POWER_KEYS, reason)
        return (Caveat(code=POWER_FAILED, text=reason),)
    _put_windows(readings, found)
    _put_tokens(readings, found, tokens)
    _put_study(readings, power.primary, whole.window, tokens)
    return (*_caveats_of(found), *_put_cross_check(readings, power.cross_check, whole))


def _token_rate_hz(windows: Sequence[Window], tokens: float | None) -> float | None:
    """Return how often power swings while tokens are generated: once for each of them."""
    generate = next((window for window in windows if window.phase is Phase.GENERATE), None)
    if generate is None or tokens is None or tokens < 2 or generate.duration_s <= 0:
        return None
    return (tokens - 1) / generate.duration_s


def _put_windows(readings: Readings, found: Mapping[Phase, Found]) -> None:
    for phase in Phase:
        energy = found.get(phase)
        if isinstance(energy, WindowEnergy):
            quantities = (
                (_ENERGY_KEYS, energy.energy_j),
                (_UNCERTAINTY_KEYS, energy.uncertainty.expanded_j),
                (_MEAN_KEYS, energy.mean_w),
                (_PEAK_KEYS, energy.peak_w),
                (_COUNT_KEYS, float(energy.n_samples)),
            )
            for keys, value in quantities:
                if phase in keys:
                    readings.put(keys[phase], value, "")
        else:
            reason = _NO_WINDOW if energy is None else energy.reason
            tables = (_ENERGY_KEYS, _UNCERTAINTY_KEYS, _MEAN_KEYS, _PEAK_KEYS, _COUNT_KEYS)
            readings.put_absent((keys[phase] for keys in tables if phase in keys), reason)


def _put_tokens(readings: Readings, found: Mapping[Phase, Found], tokens: float | None) -> None:
    """Put the energy per token: the window holds all tokens but the first."""
    gross, idle = found.get(Phase.GENERATE), found.get(Phase.IDLE)
    reason = _NO_TOKENS if tokens is None else _ONE_TOKEN if tokens < 2 else _why_none(gross)
    if reason is not None or tokens is None or not isinstance(gross, WindowEnergy):
        readings.put_absent((*_GROSS_KEYS, *_NET_KEYS), reason or _NO_TOKENS)
        return
    count = round(tokens) - 1
    _put_per_token(readings, _GROSS_KEYS, gross, count)
    if isinstance(idle, WindowEnergy):
        _put_per_token(readings, _NET_KEYS, net_of_idle(gross, idle), count)
    else:
        readings.put_absent(_NET_KEYS, f"no idle power: {_why_none(idle)}")


def _why_none(energy: Found | None) -> str | None:
    if isinstance(energy, WindowEnergy):
        return None
    return _NO_WINDOW if energy is None else energy.reason


def _put_per_token(
    readings: Readings, keys: tuple[str, str], energy: WindowEnergy | NetEnergy, count: int
) -> None:
    per_token = energy_per_token(energy, count)
    readings.put(keys[0], per_token.j_per_token, "")
    readings.put(keys[1], per_token.expanded_j_per_token, "")


def _put_study(
    readings: Readings, traces: Sequence[RailTrace], window: Window, tokens: float | None
) -> None:
    found = [left_riemann(trace, window) for trace in traces]
    parts = [one for one in found if isinstance(one, StudyEnergy)]
    missing = [one.reason for one in found if isinstance(one, AbsentEnergy)]
    if missing:
        readings.put_absent((*_STUDY_KEYS, _STUDY_TOKEN_KEY), missing[0])
        return
    readings.put("power_study_w", sum(part.mean_w for part in parts), "")
    readings.put("power_study_peak_w", sum(part.peak_w for part in parts), "")
    energy_j = sum(part.energy_j for part in parts)
    readings.put(_STUDY_TOKEN_KEY, energy_j / tokens if tokens else None, _NO_TOKENS)


def _put_cross_check(
    readings: Readings, traces: Sequence[RailTrace], whole: WindowEnergy
) -> tuple[Caveat, ...]:
    if not traces:
        readings.put_absent((_CROSS_KEY,), "no second source covers the same")
        return ()
    cross = total_energy(traces, whole.window)
    if isinstance(cross, AbsentEnergy):
        readings.put_absent((_CROSS_KEY,), f"no energy of the second source: {cross.reason}")
        return ()
    difference = compare_sources(whole, cross)
    readings.put(_CROSS_KEY, 100 * difference.relative, "")
    if difference.agrees:
        return ()
    return (
        Caveat(
            code="power-sources-differ",
            text="two power sources differ by more than the uncertainty of both",
            numbers={"difference_j": difference.difference_j, "u95_j": difference.expanded_j},
        ),
    )


def _caveats_of(found: Mapping[Phase, Found]) -> tuple[Caveat, ...]:
    """Return the caveats of all windows; one that windows share is told once, by the longest."""
    energies = [energy for energy in found.values() if isinstance(energy, WindowEnergy)]
    longest_first = sorted(energies, key=lambda energy: -energy.window.duration_s)
    caveats: dict[str, Caveat] = {}
    for energy in longest_first:
        for caveat in energy.caveats:
            text = f"{energy.window.phase.value}: {caveat.text}"
            caveats.setdefault(caveat.code, caveat.model_copy(update={"text": text}))
    return tuple(caveats.values())

"""Metrics of power on made-up readings whose integrals are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest

from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    MeterReading,
    PowerReading,
    Rail,
)
from edgemoe_appliance.measure.power_metrics import (
    POWER_KEYS,
    build_run_power,
    put_power,
)
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import METRICS, Unit
from edgemoe_appliance.schema.records import Caveat, Phase, Window
from tests.measure.instruments_for_tests import Meter, a_rail, discovery

S = 1_000_000_000
INA, TEGRA = PowerSource.INA3221, PowerSource.TEGRASTATS
# Idle 2 s, then load 1 s, prompt 1 s, generate 5 s, unload 0.5 s.
WINDOWS = tuple(
    Window(phase=phase, start_ns=round(start * S), end_ns=round(end * S))
    for phase, start, end in (
        (Phase.IDLE, 1, 3),
        (Phase.PROCESS, 3, 10.5),
        (Phase.LOAD, 3, 4),
        (Phase.PROMPT, 4, 5),
        (Phase.GENERATE, 5, 10),
        (Phase.UNLOAD, 10, 10.5),
    )
)


def steady(t_s: float) -> float:
    """5 W without work, 10 W with it, without a jump: half a second from one to the other."""
    return 5 + 5 * min(1.0, max(0.0, (t_s - 3) / 0.5)) - 5 * min(1.0, max(0.0, (t_s - 10) / 0.5))


def sampled(
    power_w: Callable[[float], float], *, rail: str = "VDD_IN", last_s: float = 11.0
) -> tuple[MeterReading, ...]:
    return tuple(
        PowerReading(t_mono_ns=n * S // 10, rail=rail, power_w=power_w(n / 10))
        for n in range(5, round(last_s * 10) + 1)
    )


def counted(power_w: float, rail: str) -> tuple[MeterReading, ...]:
    return tuple(
        EnergyReading(t_mono_ns=n * S // 10, rail=rail, energy_j=power_w * n / 10)
        for n in range(5, 111)
    )


def nothing() -> tuple[MeterReading, ...]:
    return ()


def ina(*rails: Rail) -> Meter:
    return Meter(nothing, rails=rails or None)


def tegrastats() -> Meter:
    return Meter(nothing, source=TEGRA)


def put(
    power: Discovery, tokens: float | None = 108, **readings: Iterable[MeterReading]
) -> tuple[Readings, dict[str, Caveat]]:
    found = Readings()
    by_source = {PowerSource(name): tuple(values) for name, values in readings.items()}
    caveats = put_power(found, build_run_power(power, by_source), WINDOWS, tokens)
    assert set(found.metrics) | set(found.absent) == set(POWER_KEYS)
    assert not set(found.metrics) & set(found.absent)
    return found, {caveat.code: caveat for caveat in caveats}


def test_every_key_is_registered() -> None:
    assert set(POWER_KEYS) <= set(METRICS)
    assert len(set(POWER_KEYS)) == len(POWER_KEYS)


def test_energy_of_each_window_and_power_over_it() -> None:
    found, caveats = put(discovery(ina()), ina3221=sampled(steady))
    assert caveats == {}
    metrics = found.metrics
    # 1 s of which the first half rises: 3.75 J + 5 J; the last half second falls.
    assert metrics["energy_load_j"] == pytest.approx(8.75)
    assert metrics["energy_prompt_j"] == pytest.approx(10)
    assert metrics["energy_generate_j"] == pytest.approx(50)
    assert metrics["energy_unload_j"] == pytest.approx(3.75)
    assert metrics["energy_process_j"] == pytest.approx(72.5)
    assert metrics["power_idle_w"] == pytest.approx(5)
    assert metrics["power_generate_w"] == pytest.approx(10)
    assert metrics["power_process_w"] == pytest.approx(72.5 / 7.5)
    assert metrics["power_peak_generate_w"] == metrics["power_peak_process_w"] == 10
    assert metrics["power_readings_generate"] == 51
    assert 0 < metrics["energy_generate_u95_j"] < metrics["energy_process_u95_j"] < 2


def test_energy_per_token_leaves_out_the_token_of_the_prompt_pass() -> None:
    found, _ = put(discovery(ina()), tokens=108, ina3221=sampled(steady))
    metrics = found.metrics
    assert metrics["j_per_token_gross"] == pytest.approx(50 / 107)
    assert metrics["j_per_token_net"] == pytest.approx((50 - 5 * 5) / 107)
    assert metrics["j_per_token_gross_u95"] == pytest.approx(metrics["energy_generate_u95_j"] / 107)
    assert 0 < metrics["j_per_token_net_u95"] < metrics["j_per_token_gross_u95"]


def test_the_study_s_figure_is_of_the_whole_call_and_all_tokens() -> None:
    found, _ = put(discovery(ina()), tokens=108, ina3221=sampled(steady))
    inside = [steady(n / 10) for n in range(30, 106)]
    assert found.metrics["j_per_token_study"] == pytest.approx(math.fsum(inside[:-1]) / 10 / 108)
    assert found.metrics["power_study_w"] == pytest.approx(math.fsum(inside) / len(inside))
    assert found.metrics["power_study_peak_w"] == 10
    assert found.metrics["j_per_token_study"] > found.metrics["j_per_token_gross"]


@pytest.mark.parametrize(
    ("tokens", "reason"), [(None, "not known"), (1, "the first token comes from the prompt pass")]
)
def test_without_tokens_there_is_no_energy_for_each(tokens: float | None, reason: str) -> None:
    found, caveats = put(discovery(ina()), tokens=tokens, ina3221=sampled(steady))
    assert reason in found.absent["j_per_token_gross"]
    assert reason in found.absent["j_per_token_net_u95"]
    assert found.metrics["energy_generate_j"] == pytest.approx(50)
    assert ("j_per_token_study" in found.metrics) == (tokens == 1)
    assert caveats == {}


def test_without_a_source_everything_is_absent_with_its_reason() -> None:
    absent = AbsentSource(source=PowerSource.RAPL, reason="no intel-rapl zone")
    found, caveats = put(discovery(absent))
    assert found.metrics == {}
    assert set(found.absent.values()) == {"rapl: no intel-rapl zone"}
    assert caveats == {}


def test_a_source_that_dies_in_mid_run_leaves_no_energy_at_all() -> None:
    alive = sampled(steady, last_s=7.0)
    dead = DeadReading(t_mono_ns=7 * S + 1, rail="VDD_IN", reason="No such device")
    found, caveats = put(discovery(ina()), ina3221=(*alive, dead))
    assert found.metrics == {}
    assert all("No such device" in reason for reason in found.absent.values())
    assert "No such device" in caveats["power-source-failed"].text


def test_a_source_that_falls_silent_leaves_no_energy_either() -> None:
    found, caveats = put(discovery(ina()), ina3221=sampled(steady, last_s=7.0))
    assert found.metrics == {}
    assert "the last reading comes 3.500 s before" in caveats["power-source-failed"].text


def test_single_failed_readings_have_a_caveat_once() -> None:
    failed = DeadReading(t_mono_ns=8 * S + 1, rail="VDD_IN", reason="Input/output error")
    found, caveats = put(discovery(ina()), ina3221=(*sampled(steady), failed))
    assert found.metrics["energy_generate_j"] == pytest.approx(50)
    assert set(caveats) == {"energy-reading-failed"}
    assert caveats["energy-reading-failed"].text.startswith("process: VDD_IN")


def test_a_run_without_phases_has_the_energy_of_the_whole_call() -> None:
    found = Readings()
    power = build_run_power(discovery(ina()), {INA: sampled(steady)})
    caveats = put_power(found, power, WINDOWS[:2], None)
    assert found.metrics["energy_process_j"] == pytest.approx(72.5)
    assert found.absent["energy_generate_j"] == "the phases of the run are not known"
    assert caveats == ()


def test_total_rails_of_a_counter_are_added_up() -> None:
    rails = tuple(
        a_rail(name, unit=Unit.JOULES, source=PowerSource.RAPL, sensor=name)
        for name in ("package-0", "package-0/dram")
    )
    meter = Meter(nothing, source=PowerSource.RAPL, rails=rails)
    readings = (*counted(20, "package-0"), *counted(3, "package-0/dram"))
    found, _ = put(discovery(meter), rapl=readings)
    assert found.metrics["energy_generate_j"] == pytest.approx(23 * 5)
    assert found.metrics["power_study_w"] == pytest.approx(23)
    assert found.metrics["power_peak_process_w"] == pytest.approx(23)
    assert found.metrics["j_per_token_study"] == pytest.approx(23 * 7.5 / 108, rel=0.02)


def test_a_second_source_is_compared_over_the_whole_call() -> None:
    both = discovery(ina(), tegrastats())
    more = sampled(lambda t_s: 1.001 * steady(t_s))
    found, caveats = put(both, ina3221=sampled(steady), tegrastats=more)
    assert found.metrics["energy_cross_diff_pct"] == pytest.approx(0.1)
    assert caveats == {}


def test_two_sources_that_differ_too_much_have_a_caveat() -> None:
    both = discovery(ina(), tegrastats())
    more = sampled(lambda t_s: 1.2 * steady(t_s))
    found, caveats = put(both, ina3221=sampled(steady), tegrastats=more)
    assert found.metrics["energy_cross_diff_pct"] == pytest.approx(20)
    assert found.metrics["energy_process_j"] == pytest.approx(72.5)
    assert caveats["power-sources-differ"].numbers["difference_j"] == pytest.approx(14.5)


def test_a_second_source_that_dies_takes_only_the_comparison() -> None:
    both = discovery(ina(), tegrastats())
    short = sampled(steady, last_s=7.0)
    found, caveats = put(both, ina3221=sampled(steady), tegrastats=short)
    assert "no energy of the second source" in found.absent["energy_cross_diff_pct"]
    assert found.metrics["energy_process_j"] == pytest.approx(72.5)
    assert caveats == {}

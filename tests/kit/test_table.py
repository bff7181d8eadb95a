"""The lines that a visit ends with: what lies on a device, and where energies come from."""

from __future__ import annotations

import pytest

from edgemoe_appliance.kit.table import Run, describe_sensor, render_table
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import BufferFacts, BufferKind, PowerFacts, RailFacts
from edgemoe_appliance.schema.units import MIB


def a_run(*buffers: BufferFacts) -> Run:
    spec = RunSpec(
        target="vulkan",
        pin="b4447",
        model="olmoe-1b-7b",
        prompt="qa-tides",
        experiment="visit",
        repetition=1,
        threads=1,
        n_predict=12,
        ignore_eos=True,
        context=512,
    )
    return Run(spec=spec, is_ok=True, metrics={"gen_tok_s": 1.0}, buffers=buffers)


def buffer(device: str, kind: BufferKind, mib: int) -> BufferFacts:
    return BufferFacts(device=device, kind=kind, bytes=mib * MIB)


def test_buffers_of_a_device_are_told_by_what_they_hold() -> None:
    run = a_run(
        buffer("Vulkan0", BufferKind.MODEL, 495),
        buffer("CPU_Mapped", BufferKind.MODEL, 20),
        buffer("Vulkan0", BufferKind.KV, 64),
        buffer("Vulkan0", BufferKind.COMPUTE, 152),
        buffer("Vulkan_Host", BufferKind.COMPUTE, 5),
    )
    table = render_table([run], ("olmoe-1b-7b",), "b4447")
    assert "on device, MiB: olmoe-1b-7b weights 495, cache 64, compute 152" in table


def test_a_processor_s_run_has_nothing_on_a_device() -> None:
    run = a_run(buffer("CPU_Mapped", BufferKind.MODEL, 495))
    table = render_table([run], ("olmoe-1b-7b",), "b4447")
    assert not any(line.startswith("on device") for line in table)


def power(primary: PowerSource | None, *rails: RailFacts, **changes: object) -> PowerFacts:
    facts = PowerFacts(
        primary=primary,
        scope="module" if primary else None,
        rails=rails,
        cross_check=None,
        beside=(),
        absent={},
        reason=None if primary else "the target names no power source",
    )
    return facts.model_copy(update=changes)


def rail(lag_s: float | None, role: str = "total") -> RailFacts:
    return RailFacts.model_validate(
        {
            **{"name": "VDD_IN", "sensor": "ina3221", "unit": "W", "role": role, "step": 0.04},
            **{"offset_bound_w": 0.08, "gain_bound": 0.005, "refresh_s": 0.0066},
            **{"lag_s": lag_s, "lag_bound_s": None if lag_s is None else 0.04},
        }
    )


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            power(PowerSource.INA3221, rail(0.42), cross_check=PowerSource.METER),
            "energy: ina3221 (ina3221, module), lag 0.42 s (+-0.04) taken back, checked by meter",
        ),
        (power(PowerSource.INA3221, rail(None)), "energy: ina3221 (ina3221, module)"),
        (power(None), "no energy: the target names no power source"),
    ],
)
def test_where_energies_come_from_is_told(facts: PowerFacts, told: str) -> None:
    assert describe_sensor(facts) == told

"""The pins that the appliance comes with."""

from __future__ import annotations

import re

import pytest

from edgemoe_appliance.schema.configs import EnginesConfig, GitSource, SdistSource, read_configs
from edgemoe_appliance.schema.resources import resource_folder


@pytest.fixture(scope="module")
def engines() -> EnginesConfig:
    return read_configs(resource_folder("configs")).engines


def test_the_study_s_engine_is_the_default(engines: EnginesConfig) -> None:
    source = engines.pins["b4404"].source
    assert engines.default == "b4404"
    assert isinstance(source, GitSource)
    assert source.commit == "0827b2c1da299805288abbd556d869318f2b121e"


def test_the_fallback_and_the_comparison_need_no_git_host(engines: EnginesConfig) -> None:
    others = [name for name in engines.pins if name != engines.default]
    assert engines.fallback in others
    assert all(isinstance(engines.pins[name].source, SdistSource) for name in others)


def test_pins_are_named_by_number_or_month_and_say_what_they_are_for(
    engines: EnginesConfig,
) -> None:
    for name, pin in engines.pins.items():
        assert re.fullmatch(r"b\d{4,5}|[a-z]{3}20\d\d", name)
        assert len(pin.note) > 30

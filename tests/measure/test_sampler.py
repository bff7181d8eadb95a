import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.measure.power.interface import PowerReading
from edgemoe_appliance.measure.readings import percentile
from edgemoe_appliance.measure.sampler import Sampler, next_due_ns
from edgemoe_appliance.schema.configs import PowerSource
from tests.measure.instruments_for_tests import (
    Host,
    Meter,
    Tree,
    a_heat,
    discovery,
    some_instruments,
)


def test_samples_come_at_the_rate_and_in_order() -> None:
    sampler, tree = Sampler(some_instruments(), period_s=0.02), Tree()
    sampler.start()
    sampler.attach(tree)
    time.sleep(0.21)
    sampler.sample_now()
    sampler.detach()
    sampler.close()
    report = sampler.report()
    times = [sample.t_mono_ns for sample in report.samples]
    assert times == sorted(times)
    # Five out of step, and up to ten of the thread (fewer on a busy machine).
    in_step = [sample for sample in report.samples if sample.late_ns is not None]
    assert len(report.samples) - len(in_step) == 5
    assert 1 <= len(in_step) <= 11
    assert report.failure is None
    assert all(0 < sample.cost_ns < 100_000_000 for sample in report.samples)
    assert tree.closed


def test_a_tree_is_sampled_while_it_is_attached_only() -> None:
    sampler, tree = Sampler(some_instruments(), period_s=60), Tree()
    sampler.start()
    sampler.attach(tree)
    sampler.detach()
    sampler.close()
    trees = [sample.tree for sample in sampler.report().samples]
    assert [None if tree is None else tree.rss_bytes for tree in trees] == [None, 1, None, None]


def test_a_sampler_that_never_started_leaves_no_samples() -> None:
    sampler = Sampler(some_instruments(), period_s=0.01)
    sampler.close()
    sampler.close()
    assert sampler.report().samples == ()


def test_a_sampler_that_is_closed_early_lets_go_of_the_tree() -> None:
    sampler, tree = Sampler(some_instruments(), period_s=60), Tree()
    sampler.start()
    sampler.attach(tree)
    sampler.close()
    assert tree.closed


def test_a_broken_reader_ends_the_sampling_and_is_told() -> None:
    sampler, tree = Sampler(some_instruments(), period_s=0.01), Tree(fails_at=3)
    sampler.start()
    sampler.attach(tree)
    latest = time.monotonic() + 60
    while tree.reads < 3 and time.monotonic() < latest:
        time.sleep(0.01)
    sampler.close()
    report = sampler.report()
    assert report.failure == "RuntimeError: broken"
    # With the tree, twice; before and after it, as often as the thread came to run.
    assert sum(sample.tree is not None for sample in report.samples) == 2


def test_power_is_read_in_step_only() -> None:
    reads: list[int] = []

    def read() -> tuple[PowerReading, ...]:
        reads.append(time.monotonic_ns())
        return (PowerReading(t_mono_ns=reads[-1], rail="VDD_IN", power_w=float(len(reads))),)

    sampler = Sampler(some_instruments(power=discovery(Meter(read))), period_s=0.02)
    sampler.start()
    for _ in range(5):
        sampler.sample_now()
    latest = time.monotonic() + 60
    while not reads and time.monotonic() < latest:
        time.sleep(0.01)
    sampler.close()
    report = sampler.report()
    in_step = [sample for sample in report.samples if sample.late_ns is not None]
    assert len(report.power[PowerSource.INA3221]) == len(in_step) == len(reads) > 0


def test_rare_things_are_read_at_both_ends_and_seldom_between(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("0\n")
    heat = a_heat(states={"cpu-throttle": tmp_path / "state"})
    sampler = Sampler(some_instruments(heat=heat), period_s=0.02)
    sampler.start()
    (tmp_path / "state").write_text("2\n")
    time.sleep(0.1)
    sampler.close()
    report = sampler.report()
    assert [reading.states for reading in report.throttle] == [
        {"cpu-throttle": 0},
        {"cpu-throttle": 2},
    ]
    assert len(report.counters) == 2


def test_slow_things_are_read_when_it_matters_and_seldom_between() -> None:
    host = Host()
    sampler = Sampler(some_instruments(host=host), period_s=0.01)
    sampler.start()
    sampler.attach(Tree())
    deadline = time.monotonic() + 20
    while len(sampler.report().samples) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    sampler.close()
    samples = sampler.report().samples
    out_of_step = [sample for sample in samples if sample.late_ns is None]
    assert all(sample.host is not None for sample in out_of_step)
    read = [sample for sample in samples if sample.host is not None]
    assert host.reads == len(read)
    # Those of the thread are half a second apart, or later.
    own = [sample.t_mono_ns for sample in read if sample.late_ns is not None]
    assert all(later - earlier > 4e8 for earlier, later in pairwise(own))
    assert len(samples) - len(read) > 0


@given(st.integers(0, 10**12), st.integers(0, 10**10), st.integers(1, 10**9))
def test_the_next_due_time_is_ahead_and_on_the_grid(due: int, late: int, period: int) -> None:
    now = due + late
    following = next_due_ns(due, now, period)
    assert now < following <= now + period
    assert (following - due) % period == 0


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_of_the_sample(values: list[float]) -> None:
    assert percentile(values, 1.0) == max(values)
    assert percentile(values, 0.0) == min(values)
    assert percentile(values, 0.5) in values


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)])
def test_nearest_rank(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) is None

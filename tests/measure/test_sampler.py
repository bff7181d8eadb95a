import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.measure.hostload import HostReading
from edgemoe_appliance.measure.quantiles import percentile
from edgemoe_appliance.measure.sampler import Sampler, next_due_ns
from edgemoe_appliance.measure.tree import TreeReading


class Host:
    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> HostReading:
        self.reads += 1
        return HostReading(
            mem_available_bytes=self.reads, swap_used_bytes=None, nvmap_bytes=None, cpu=None
        )

    def close(self) -> None: ...


class Tree:
    """A tree whose reading fails from a given read on."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.reads = 0
        self.closed = False
        self.fails_at = fails_at

    def read(self) -> TreeReading | None:
        self.reads += 1
        if self.reads == self.fails_at:
            raise RuntimeError("broken")
        return None

    def close(self) -> None:
        self.closed = True


def test_samples_come_at_the_rate_and_in_order() -> None:
    sampler, tree = Sampler(Host(), period_s=0.02), Tree()
    sampler.start(tree)
    time.sleep(0.21)
    sampler.sample_now()
    report = sampler.stop()
    times = [sample.t_mono_ns for sample in report.samples]
    assert times == sorted(times)
    # The first, the last, the extra one, and up to ten of the thread (fewer on a busy machine).
    assert 5 <= len(report.samples) <= 14
    assert len(report.late_ns) == len(report.samples) - 3
    assert report.failure is None
    assert 0 < report.cpu_s < 0.2
    assert tree.closed


def test_a_process_that_never_started_leaves_no_samples() -> None:
    assert Sampler(Host(), period_s=0.01).stop().samples == ()


def test_a_broken_reader_ends_the_sampling_and_is_told() -> None:
    sampler, tree = Sampler(Host(), period_s=0.01), Tree(fails_at=3)
    sampler.start(tree)
    time.sleep(0.1)
    report = sampler.stop()
    assert report.failure == "RuntimeError: broken"
    assert len(report.samples) == 3  # two before, and the last one


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

import pytest

from edgemoe_appliance.analysis import statistics


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save time: no test here looks at the last digit of an interval."""
    monkeypatch.setattr(statistics, "RESAMPLES", 400)

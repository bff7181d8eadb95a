import pytest

from edgemoe_appliance.analysis.statistics import resampling


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save time: no test here looks at the last digit of an interval."""
    monkeypatch.setattr(resampling, "RESAMPLES", 400)

from pathlib import Path

import pytest

from edgemoe_appliance.analysis.claims import Reference, read_reference
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import EvaluationConfig
from tests.evaluation.states import empty_folders, read_config


@pytest.fixture(scope="session")
def reference() -> Reference:
    return read_reference()


@pytest.fixture(scope="session")
def config(reference: Reference) -> EvaluationConfig:
    return read_config(reference)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return empty_folders(tmp_path)

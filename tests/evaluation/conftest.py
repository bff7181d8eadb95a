from pathlib import Path

import pytest

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import EvaluationConfig
from edgemoe_appliance.studies import Study, read_study
from tests.evaluation.states import empty_folders, read_config


@pytest.fixture(scope="session")
def study() -> Study:
    return read_study()


@pytest.fixture(scope="session")
def config(study: Study) -> EvaluationConfig:
    return read_config(study)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return empty_folders(tmp_path)

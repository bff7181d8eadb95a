from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgemoe_appliance.models.twin import WrittenTwin, write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelsConfig
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.yamlfile import read_yaml, validate

# One of each architecture and tokenizer; the catalogue may hold more.
NAMES = ("olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b")


@pytest.fixture(scope="session")
def models() -> ModelsConfig:
    """Return a catalogue of four models that tests know."""
    shipped = validate(read_yaml(resource_folder("configs") / "models.yaml"), ModelsConfig)
    return ModelsConfig(models={name: shipped.models[name] for name in NAMES})


@pytest.fixture(scope="session")
def tiny(models: ModelsConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, WrittenTwin]:
    """All four tiny twins by model id; tests only read them."""
    folder = tmp_path_factory.mktemp("twins")
    return {
        model_id: write_twin(entry, model_id, TwinScale.TINY, folder)
        for model_id, entry in models.models.items()
    }


@pytest.fixture(scope="session")
def llama_cli(request: pytest.FixtureRequest) -> Path:
    """The engine of the other tests, or one of another build with llama-quantize beside it."""
    folder = os.environ.get("EDGEMOE_TEST_ENGINE_DIR")
    if folder:
        return Path(folder) / "bin" / "llama-cli"
    built: Path = request.getfixturevalue("engine").llama_cli
    return built

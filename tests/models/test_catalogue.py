from __future__ import annotations

from edgemoe_appliance.schema.configs import ModelsConfig, read_configs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study


def test_the_models_stand_in_the_order_of_the_study() -> None:
    shipped, study = read_configs(resource_folder("configs")).models.models, read_study()
    assert [name for name in shipped if name in study.models] == list(study.models)


def test_every_model_is_pinned_to_a_revision_and_a_digest(models: ModelsConfig) -> None:
    entries = list(models.models.values())
    assert all(entry.revision for entry in entries)
    assert len({entry.sha256 for entry in entries}) == 4
    assert all(entry.quantization in entry.file for entry in entries)


def test_only_the_mixture_has_experts(models: ModelsConfig) -> None:
    for model_id, entry in models.models.items():
        is_mixture = model_id == "olmoe-1b-7b"
        shape = entry.shape_of(entry.name)
        total, active = entry.published_parameters_total, entry.published_parameters_active
        assert total and active
        assert (shape.expert_count > 0) == is_mixture
        assert (active < total) == is_mixture
        assert shape.tied_embeddings != is_mixture


def test_sizes_are_those_of_the_study_in_gigabytes(models: ModelsConfig) -> None:
    printed = {"llama-3.2-1b": 0.81, "qwen2.5-1.5b": 0.99, "gemma-2-2b": 1.71}
    for model_id, size_gb in printed.items():
        size_bytes = models.models[model_id].bytes
        assert size_bytes is not None
        assert round(size_bytes / 1e9, 2) == size_gb

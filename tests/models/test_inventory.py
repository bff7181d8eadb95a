from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemoe_appliance.models.inventory import FileState, list_models, verify_models
from edgemoe_appliance.models.store import model_path, read_model_file
from edgemoe_appliance.models.twin import WrittenTwin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig
from tests.models import files


def only(models: ModelsConfig, model_id: str, **changes: object) -> ModelsConfig:
    entry = models.models[model_id].model_copy(update=changes)
    return ModelsConfig(models={model_id: entry})


@pytest.fixture
def there(tiny: dict[str, WrittenTwin], tmp_path: Path) -> Path:
    """A folder with two tiny twins and no model."""
    for model_id in ("olmoe-1b-7b", "qwen2.5-1.5b"):
        shutil.copy(tiny[model_id].path, tmp_path)
    return tmp_path


def test_lists_the_models_in_the_order_of_the_study(models: ModelsConfig, there: Path) -> None:
    listed = list_models(models, there)
    assert [listing.model_id for listing in listed] == [
        "olmoe-1b-7b",
        "llama-3.2-1b",
        "qwen2.5-1.5b",
        "gemma-2-2b",
    ]
    assert all(listing.file_bytes is None for listing in listed)
    assert [sorted(listing.twin_bytes) for listing in listed] == [
        [TwinScale.TINY],
        [],
        [TwinScale.TINY],
        [],
    ]


def test_lists_a_model_that_is_there(models: ModelsConfig, tmp_path: Path) -> None:
    model_path(models.models["llama-3.2-1b"], tmp_path).write_bytes(b"12345")
    assert [listing.file_bytes for listing in list_models(models, tmp_path)] == [
        None,
        5,
        None,
        None,
    ]


def test_says_what_is_missing_and_which_twins_are_right(models: ModelsConfig, there: Path) -> None:
    findings = list(verify_models(models, there))
    assert [(f.model_id, f.scale, f.verdict) for f in findings] == [
        ("olmoe-1b-7b", None, FileState.MISSING),
        ("olmoe-1b-7b", TwinScale.TINY, FileState.OK),
        ("llama-3.2-1b", None, FileState.MISSING),
        ("qwen2.5-1.5b", None, FileState.MISSING),
        ("qwen2.5-1.5b", TwinScale.TINY, FileState.OK),
        ("gemma-2-2b", None, FileState.MISSING),
    ]
    assert findings[0].hint == "run: edgemoe-appliance models fetch"


def test_finds_one_changed_weight_in_a_twin(models: ModelsConfig, there: Path) -> None:
    path = there / "twin-tiny-qwen2.5-1.5b.gguf"
    read_model_file(path)  # a kept digest must not hide it
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    findings = list(verify_models(only(models, "qwen2.5-1.5b"), there))
    assert findings[1].verdict is FileState.DIFFERENT
    assert "is not that of this twin" in findings[1].text
    assert findings[1].hint == "delete it and run: edgemoe-appliance models twin"


def test_finds_a_twin_that_is_cut_off(models: ModelsConfig, there: Path) -> None:
    with (there / "twin-tiny-olmoe-1b-7b.gguf").open("r+b") as file:
        file.truncate(2_000_000)
    findings = list(verify_models(only(models, "olmoe-1b-7b"), there))
    assert findings[1].verdict is FileState.UNREADABLE
    assert "the file at 2000000" in findings[1].text


def pinned(folder: Path, models: ModelsConfig) -> tuple[ModelsConfig, ModelEntry]:
    """Return a catalogue whose one model is the small file that lies in the folder."""
    data = files.gguf_bytes()
    name = "small.gguf"
    (folder / name).write_bytes(data)
    file = read_model_file(folder / name)
    config = only(
        models,
        "llama-3.2-1b",
        file=name,
        bytes=len(data),
        sha256=file.sha256,
        published_parameters_total=file.counts.parameters_total,
        published_parameters_active=None,
    )
    return config, config.models["llama-3.2-1b"]


def test_the_pinned_file_is_ok(models: ModelsConfig, tmp_path: Path) -> None:
    config, _ = pinned(tmp_path, models)
    (finding,) = verify_models(config, tmp_path)
    assert (finding.verdict, finding.text) == (FileState.OK, "the pinned file")


def test_a_size_that_nobody_published_is_no_difference(
    models: ModelsConfig, tmp_path: Path
) -> None:
    config, entry = pinned(tmp_path, models)
    config = ModelsConfig(models={"m": entry.model_copy(update={"bytes": None})})
    (finding,) = verify_models(config, tmp_path)
    assert finding.verdict is FileState.OK


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bytes": 5}, "bytes, 5 are pinned"),
        ({"sha256": "0" * 64}, f", {'0' * 64} is pinned"),
        ({"architecture": "qwen2"}, "architecture llama, not qwen2"),
        ({"published_parameters_total": 3}, "1032 parameters, 3 are published"),
    ],
)
def test_each_difference_is_named(
    models: ModelsConfig, tmp_path: Path, change: dict[str, object], text: str
) -> None:
    _, entry = pinned(tmp_path, models)
    config = ModelsConfig(models={"m": entry.model_copy(update=change)})
    (finding,) = verify_models(config, tmp_path)
    assert finding.verdict is FileState.DIFFERENT
    assert text in finding.text
    assert "move it away" in finding.hint


def test_a_twin_does_not_pass_for_the_model(models: ModelsConfig, there: Path) -> None:
    entry = models.models["olmoe-1b-7b"]
    shutil.copy(there / "twin-tiny-olmoe-1b-7b.gguf", model_path(entry, there))
    finding = next(verify_models(only(models, "olmoe-1b-7b"), there))
    assert finding.verdict is FileState.DIFFERENT
    assert finding.text.startswith("a twin under the name of the model; ")


def test_what_is_no_gguf_file_is_unreadable(models: ModelsConfig, tmp_path: Path) -> None:
    entry = models.models["gemma-2-2b"]
    model_path(entry, tmp_path).write_text("<html>")
    (finding,) = verify_models(only(models, "gemma-2-2b"), tmp_path)
    assert finding.verdict is FileState.UNREADABLE
    assert "not a GGUF file" in finding.text

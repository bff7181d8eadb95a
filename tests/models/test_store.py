from __future__ import annotations

import os
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from edgemoe_appliance.errors import ConfigError, DigestError, HostError, RecordError
from edgemoe_appliance.models import digests
from edgemoe_appliance.models.fetch import fetch_model
from edgemoe_appliance.models.ggml_types import TYPE_BY_NAME, GgmlType
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.store import (
    count_as,
    model_path,
    planned_model,
    read_model_file,
    twin_path,
)
from edgemoe_appliance.models.tied_head import is_head_stored_twice
from edgemoe_appliance.models.twin import WrittenTwin
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import ModelsConfig
from tests.models import files


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []
    read = digests.read_sha256

    def counted(path: Path, on_progress: digests.Progress = digests.ignore_progress) -> str:
        reads.append(path)
        return read(path, on_progress)

    monkeypatch.setattr(digests, "read_sha256", counted)
    return reads


def test_a_digest_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write(tmp_path, files.gguf_bytes())
    reads = count_reads(monkeypatch)
    first = read_model_file(path)
    assert read_model_file(path) == first
    assert reads == [path]


@pytest.mark.parametrize("change", ["content", "time", "another file", "sidecar"])
def test_a_changed_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = files.write(tmp_path, files.gguf_bytes())
    before = read_model_file(path)
    reads = count_reads(monkeypatch)
    if change == "content":
        data = bytearray(path.read_bytes())
        data[-1] = 1
        path.write_bytes(data)
    elif change == "time":
        os.utime(path, ns=(1, 1))
    elif change == "another file":
        status = path.stat()
        copy = tmp_path / "copy"
        copy.write_bytes(path.read_bytes())
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.replace(path)
    else:
        (tmp_path / "model.gguf.sha256.json").write_text('{"torn')
    after = read_model_file(path)
    assert reads == [path]
    assert (after.sha256 != before.sha256) == (change == "content")


def test_a_folder_that_cannot_be_written_keeps_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = files.write(tmp_path, files.gguf_bytes())
    monkeypatch.setattr(digests, "write_atomically", refuse)
    assert len(read_model_file(path).sha256) == 64


def test_progress_of_a_digest(tmp_path: Path) -> None:
    path = files.write(tmp_path, files.gguf_bytes() + bytes(9_000_000))
    seen: list[int] = []
    read_model_file(path, lambda done, total: seen.append(total - done))
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0
    assert len(seen) == 3


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such model file"):
        read_model_file(tmp_path / "none.gguf")
    with pytest.raises(RecordError, match="not a GGUF file"):
        read_model_file(files.write(tmp_path, b"<html>404</html>"))


def test_twins_become_planned_models(models: ModelsConfig, tiny: dict[str, WrittenTwin]) -> None:
    for model_id, entry in models.models.items():
        twin = tiny[model_id]
        planned = planned_model(model_id, entry, read_model_file(twin.path))
        assert planned.id == model_id
        assert planned.twin_scale == "tiny"
        assert planned.name == entry.name
        assert planned.file_bytes == twin.file_bytes
        assert planned.sha256 == twin.sha256
        assert planned.file_name == f"twin-tiny-{model_id}.gguf"
        assert 0 < planned.bytes_per_token <= planned.file_bytes
        assert planned.parameters_active <= planned.parameters_total
        assert planned.kv_bytes_per_token > 0


def test_the_pinned_file_becomes_a_planned_model(models: ModelsConfig, tmp_path: Path) -> None:
    file = read_model_file(files.write(tmp_path, files.gguf_bytes()))
    changes = {"sha256": file.sha256, "published_parameters_total": 1032}
    entry = models.models["llama-3.2-1b"].model_copy(
        update=changes | {"published_parameters_active": 1032}
    )
    planned = planned_model("llama-3.2-1b", entry, file)
    assert planned.twin_scale is None
    assert planned.path == str(file.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"published_parameters_total": 1031}, "1032 parameters, 1031 are published"),
        ({"published_parameters_active": 900}, "1032 active parameters, 900 are published"),
        ({"published_parameters_total": None, "published_parameters_active": None}, None),
    ],
)
def test_the_pinned_file_has_the_published_counts(
    models: ModelsConfig, tmp_path: Path, change: dict[str, object], message: str | None
) -> None:
    file = read_model_file(files.write(tmp_path, files.gguf_bytes()))
    counts = {"published_parameters_total": 1032, "published_parameters_active": 1032}
    entry = models.models["llama-3.2-1b"].model_copy(
        update={"sha256": file.sha256, **counts, **change}
    )
    if message is None:
        assert planned_model("m", entry, file).parameters_total == 1032
        return
    with pytest.raises(ConfigError) as caught:
        planned_model("m", entry, file)
    assert f"{message} for m; correct the published counts" in str(caught.value)


def two_matrices(folder: Path, head: GgmlType, *, is_tied: bool | None) -> Path:
    """Write a file with embedding and head of 64 rows; None: all zeros, as no data tell."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((64, 256)).astype(np.float32)
    other = rows if is_tied else rng.standard_normal((64, 256)).astype(np.float32)
    tensors = [
        files.tensor("token_embd.weight", (256, 64), kind=TYPE_BY_NAME["Q8_0"]),
        files.tensor("output.weight", (256, 64), offset=17408, kind=head),
    ]
    data = files.gguf_bytes(files.metadata(), tensors)
    if is_tied is not None:
        quantised = (
            gguf.quantize(rows, gguf.GGMLQuantizationType.Q8_0),
            gguf.quantize(other, gguf.GGMLQuantizationType(head.code)),
        )
        body = b"".join(part.tobytes() for part in quantised)
        data = data[: len(data) - len(body)] + body
    return files.write(folder, data)


@pytest.mark.parametrize("head", ["Q8_0", "F16", "Q4_0", "Q5_1", "F32"])
@pytest.mark.parametrize("is_tied", [True, False])
def test_a_head_that_is_stored_twice_is_seen_in_the_data(
    tmp_path: Path, head: str, is_tied: bool
) -> None:
    path = two_matrices(tmp_path, TYPE_BY_NAME[head], is_tied=is_tied)
    assert is_head_stored_twice(path, read_header(path)) is is_tied
    counted = read_model_file(path).counts.parameters_total
    assert counted == 256 * 64 * (1 if is_tied else 2)


def test_where_data_cannot_tell_the_entry_does(models: ModelsConfig, tmp_path: Path) -> None:
    path = two_matrices(tmp_path, TYPE_BY_NAME["Q8_0"], is_tied=None)
    header, entry = read_header(path), models.models["qwen2.5-1.5b"]
    assert is_head_stored_twice(path, header) is None
    assert count_as(entry, header, path).parameters_total == 256 * 64
    untied = models.models["olmoe-1b-7b"]
    assert count_as(untied, header, path).parameters_total == 2 * 256 * 64
    by_count = entry.model_copy(update={"shape": None, "published_parameters_total": 256 * 64})
    assert count_as(by_count, header, path).parameters_total == 256 * 64


def test_a_file_that_nothing_pins_is_not_used(models: ModelsConfig, tmp_path: Path) -> None:
    file = read_model_file(files.write(tmp_path, files.gguf_bytes()))
    changes = {"sha256": None, "published_parameters_total": None}
    entry = models.models["llama-3.2-1b"].model_copy(
        update=changes | {"published_parameters_active": None, "repository": None, "path": "x"}
    )
    with pytest.raises(ConfigError, match=f"its sha256 is {file.sha256}; write it into the entry"):
        planned_model("m", entry, file)
    entry = entry.model_copy(update={"path": str(file.path)})
    fetch_model(entry, tmp_path, pin=True)
    assert planned_model("m", entry, file).sha256 == file.sha256
    file.path.write_bytes(files.gguf_bytes() + b"more")
    with pytest.raises(DigestError):
        planned_model("m", entry, read_model_file(file.path))


def test_another_file_is_refused(models: ModelsConfig, tmp_path: Path) -> None:
    file = read_model_file(files.write(tmp_path, files.gguf_bytes()))
    entry = models.models["llama-3.2-1b"]
    with pytest.raises(DigestError) as caught:
        planned_model("llama-3.2-1b", entry, file)
    assert f"sha256 {file.sha256} where models.yaml has {entry.sha256}" in str(caught.value)


def test_a_file_of_another_architecture_is_refused(
    models: ModelsConfig, tiny: dict[str, WrittenTwin]
) -> None:
    file = read_model_file(tiny["llama-3.2-1b"].path)
    message = "a model of architecture llama, gemma-2-2b is gemma2; name the file of that model"
    with pytest.raises(RecordError, match=message):
        planned_model("gemma-2-2b", models.models["gemma-2-2b"], file)


def test_the_twin_of_another_model_is_refused(
    models: ModelsConfig, tiny: dict[str, WrittenTwin]
) -> None:
    file = read_model_file(tiny["llama-3.2-1b"].path)
    with pytest.raises(RecordError, match=r"a twin of llama-3\.2-1b, not of llama-other"):
        planned_model("llama-other", models.models["llama-3.2-1b"], file)


def test_twins_and_models_never_share_a_name(models: ModelsConfig, tmp_path: Path) -> None:
    paths = [model_path(entry, tmp_path) for entry in models.models.values()]
    paths += [
        twin_path(model_id, scale, tmp_path, routing)
        for model_id in models.models
        for scale in TwinScale
        for routing in TwinRouting
    ]
    assert len(set(paths)) == 4 + 4 * 3 * 2


def test_a_moved_twin_is_still_a_twin(
    models: ModelsConfig, tiny: dict[str, WrittenTwin], tmp_path: Path
) -> None:
    entry = models.models["qwen2.5-1.5b"]
    shutil.copy(tiny["qwen2.5-1.5b"].path, model_path(entry, tmp_path))
    planned = planned_model("qwen2.5-1.5b", entry, read_model_file(model_path(entry, tmp_path)))
    assert planned.twin_scale == "tiny"

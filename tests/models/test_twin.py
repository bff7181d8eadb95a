from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.store import planned_model, read_model_file, twin_path
from edgemoe_appliance.models.twin import WrittenTwin, build_twin, twin_sha256, write_twin
from edgemoe_appliance.models.twin_mark import TWIN_FORMAT, TwinMark, read_twin_mark
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import ModelsConfig
from tests.models import files

# Twins are a function of model, scale and format version, on every machine. A change of these
# digests means that journals name other files under the same words: raise TWIN_FORMAT with it.
GOLDEN = {
    "olmoe-1b-7b": "976fd35ca24bb6b05074b5860c0a349f89bea3712484008c2e92d344dfeae8fb",
    "llama-3.2-1b": "e3877e6f92a52fea3b7d4e29481ba5ca4954a3c30823187c14def2ece17c2d07",
    "qwen2.5-1.5b": "48a1776ab2f278f7c19f904b43c9d9e76ffc922d841d561752bbc64284245a33",
    "gemma-2-2b": "b7e92a9367fb35d5901627ba9b168b112c4b925fe891f3dbe2cd42b0b8f49545",
}


SKEWED = "069582597183"


@pytest.mark.parametrize("model_id", GOLDEN)
def test_tiny_twins_are_the_same_everywhere(tiny: dict[str, WrittenTwin], model_id: str) -> None:
    twin = tiny[model_id]
    assert TWIN_FORMAT == 1
    assert twin.sha256 == GOLDEN[model_id]
    assert hashlib.sha256(twin.path.read_bytes()).hexdigest() == twin.sha256
    assert twin.path.stat().st_size == twin.file_bytes
    assert twin.file_bytes <= 8_000_000
    assert not twin.was_there


def test_tiny_twins_are_written_at_once(models: ModelsConfig, tmp_path: Path) -> None:
    for model_id, entry in models.models.items():
        before_s = time.process_time()
        write_twin(entry, model_id, TwinScale.TINY, tmp_path)
        assert time.process_time() - before_s < 0.5


def test_twins_say_loudly_that_they_are(tiny: dict[str, WrittenTwin]) -> None:
    for model_id, twin in tiny.items():
        header = read_header(twin.path)
        name = header.text("general.name")
        assert name is not None
        assert name.startswith("TWIN (tiny, random weights) of ")
        assert "its text means nothing" in (header.text("general.description") or "")
        mark = read_twin_mark(header)
        assert mark == twin.mark
        assert mark == TwinMark(
            of=model_id, scale=TwinScale.TINY, seed=twin.mark.seed, format_version=TWIN_FORMAT
        )
        assert twin.path.name.startswith("twin-tiny-")


def test_a_skewed_twin_differs_from_the_uniform_one_in_its_routers_only(
    models: ModelsConfig, tiny: dict[str, WrittenTwin], tmp_path: Path
) -> None:
    entry, uniform = models.models["olmoe-1b-7b"], tiny["olmoe-1b-7b"]
    skewed = write_twin(entry, "olmoe-1b-7b", TwinScale.TINY, tmp_path, routing=TwinRouting.SKEWED)
    assert skewed.path.name == "twin-tiny-skewed-olmoe-1b-7b.gguf"
    assert skewed.sha256.startswith(SKEWED)
    mark = read_twin_mark(read_header(skewed.path))
    assert mark == skewed.mark
    assert mark.routing is TwinRouting.SKEWED
    assert read_header(skewed.path).text("general.name") == (
        "TWIN (tiny, skewed routing, random weights) of OLMoE-1B-7B-0924-Instruct"
    )
    bytes_of = [_tensor_bytes(twin.path) for twin in (uniform, skewed)]
    differ = {name for name in bytes_of[0] if bytes_of[0][name] != bytes_of[1][name]}
    assert differ == {f"blk.{block}.ffn_gate_inp.weight" for block in range(2)}
    planned = [
        planned_model("olmoe-1b-7b", entry, read_model_file(twin.path)).twin_routing
        for twin in (uniform, skewed)
    ]
    assert planned == ["uniform", "skewed"]


def _tensor_bytes(path: Path) -> dict[str, bytes]:
    header, content = read_header(path), path.read_bytes()
    start = header.file_bytes - sum(-(-tensor.n_bytes // 32) * 32 for tensor in header.tensors)
    return {
        tensor.name: content[start + tensor.offset :][: tensor.n_bytes] for tensor in header.tensors
    }


def test_rows_of_a_skewed_router_fall_with_the_fourth_power_of_their_rank(
    models: ModelsConfig, tmp_path: Path
) -> None:
    entry = models.models["olmoe-1b-7b"]
    twin = write_twin(entry, "olmoe-1b-7b", TwinScale.TINY, tmp_path, routing=TwinRouting.SKEWED)
    tensors = _tensor_bytes(twin.path)
    orders = set()
    for block in range(2):
        values = np.frombuffer(tensors[f"blk.{block}.ffn_gate_inp.weight"], "<f4")
        sizes = values.reshape(16, 256).std(axis=1)
        ranked = np.sort(sizes)[::-1] * np.arange(1, 17) ** 4
        assert ranked == pytest.approx(2 / 16, rel=0.2)  # 2 / sqrt(width)
        orders.add(tuple(np.argsort(sizes)))
    assert len(orders) == 2  # other experts in every layer


def test_a_model_without_experts_has_one_kind_of_twin(
    models: ModelsConfig, tiny: dict[str, WrittenTwin], tmp_path: Path
) -> None:
    entry = models.models["llama-3.2-1b"]
    twin = write_twin(entry, "llama-3.2-1b", TwinScale.TINY, tmp_path, routing=TwinRouting.SKEWED)
    assert twin.path.name == "twin-tiny-llama-3.2-1b.gguf"
    assert twin.sha256 == tiny["llama-3.2-1b"].sha256
    assert planned_model("llama-3.2-1b", entry, read_model_file(twin.path)).twin_routing is None


def test_no_real_file_has_a_mark(tmp_path: Path) -> None:
    assert read_twin_mark(read_header(files.write(tmp_path, files.gguf_bytes()))) is None


@pytest.mark.parametrize("missing", ["of", "scale", "seed", "format"])
def test_a_damaged_mark_is_refused(tmp_path: Path, missing: str) -> None:
    mark: files.Metadata = {
        "edgemoe.twin.of": files.text("llama-3.2-1b"),
        "edgemoe.twin.scale": files.text("tiny"),
        "edgemoe.twin.seed": files.number(3),
        "edgemoe.twin.format": files.number(1),
    }
    del mark[f"edgemoe.twin.{missing}"]
    header = read_header(files.write(tmp_path, files.gguf_bytes(files.metadata(**mark))))
    with pytest.raises(RecordError, match="its mark as a twin is damaged; write it again"):
        read_twin_mark(header)


@pytest.mark.parametrize(("key", "value"), [("scale", "huge"), ("routing", "crooked")])
def test_an_unknown_kind_is_a_damaged_mark(tmp_path: Path, key: str, value: str) -> None:
    mark: files.Metadata = {
        "edgemoe.twin.of": files.text("olmoe-1b-7b"),
        "edgemoe.twin.scale": files.text("tiny"),
        "edgemoe.twin.seed": files.number(3),
        "edgemoe.twin.format": files.number(1),
        f"edgemoe.twin.{key}": files.text(value),
    }
    header = read_header(files.write(tmp_path, files.gguf_bytes(files.metadata(**mark))))
    with pytest.raises(RecordError, match="damaged"):
        read_twin_mark(header)


def test_seeds_differ_between_models_and_scales(models: ModelsConfig) -> None:
    seeds = {
        build_twin(entry, model_id, scale).mark.seed
        for model_id, entry in models.models.items()
        for scale in (TwinScale.TINY, TwinScale.THIN)
    }
    assert len(seeds) == 8


def test_a_twin_that_is_there_is_not_written_again(models: ModelsConfig, tmp_path: Path) -> None:
    entry = models.models["llama-3.2-1b"]
    first = write_twin(entry, "llama-3.2-1b", TwinScale.TINY, tmp_path)
    before = first.path.stat()
    second = write_twin(entry, "llama-3.2-1b", TwinScale.TINY, tmp_path)
    assert second.was_there
    assert second.sha256 == first.sha256
    assert first.path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", ["cut", "another header", "longer"])
def test_a_damaged_twin_is_written_again(models: ModelsConfig, tmp_path: Path, damage: str) -> None:
    entry = models.models["qwen2.5-1.5b"]
    first = write_twin(entry, "qwen2.5-1.5b", TwinScale.TINY, tmp_path)
    with first.path.open("r+b") as file:
        if damage == "cut":
            file.truncate(1000)
        elif damage == "another header":
            file.seek(60)
            file.write(b"?")
        else:
            file.seek(0, 2)
            file.write(bytes(32))
    again = write_twin(entry, "qwen2.5-1.5b", TwinScale.TINY, tmp_path)
    assert not again.was_there
    assert again.sha256 == first.sha256
    assert hashlib.sha256(again.path.read_bytes()).hexdigest() == first.sha256


def test_the_digest_can_be_had_without_writing(
    models: ModelsConfig, tiny: dict[str, WrittenTwin]
) -> None:
    plan = build_twin(models.models["gemma-2-2b"], "gemma-2-2b", TwinScale.TINY)
    assert twin_sha256(plan) == tiny["gemma-2-2b"].sha256


def test_progress_rises_to_the_whole(models: ModelsConfig, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    twin = write_twin(
        models.models["olmoe-1b-7b"],
        "olmoe-1b-7b",
        TwinScale.TINY,
        tmp_path,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == sorted(seen)
    assert seen[-1] == (twin.file_bytes, twin.file_bytes)
    assert {total for _, total in seen} == {twin.file_bytes}


def test_no_disk_space(
    models: ModelsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(HostError) as caught:
        write_twin(models.models["olmoe-1b-7b"], "olmoe-1b-7b", TwinScale.FULL, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: 100.0 MB free, 4.41 GB needed; free some space")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(models: ModelsConfig, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(HostError, match=r"cannot be written \(.*\); free some space there, or"):
        write_twin(models.models["olmoe-1b-7b"], "olmoe-1b-7b", TwinScale.TINY, tmp_path / "models")


def test_an_interruption_leaves_nothing_behind(models: ModelsConfig, tmp_path: Path) -> None:
    def interrupt(done_bytes: int, total_bytes: int) -> None:
        if done_bytes > total_bytes / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_twin(
            models.models["gemma-2-2b"],
            "gemma-2-2b",
            TwinScale.TINY,
            tmp_path,
            on_progress=interrupt,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_is_no_obstacle(models: ModelsConfig, tmp_path: Path) -> None:
    path = twin_path("llama-3.2-1b", TwinScale.TINY, tmp_path)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(b"half of something longer than the twin" * 100_000)
    entry = models.models["llama-3.2-1b"]
    twin = write_twin(entry, "llama-3.2-1b", TwinScale.TINY, tmp_path)
    assert twin.sha256 == GOLDEN["llama-3.2-1b"]
    assert not partial.exists()


def test_two_writers_at_once(models: ModelsConfig, tmp_path: Path) -> None:
    path = twin_path("llama-3.2-1b", TwinScale.TINY, tmp_path)
    with path.with_name(f".{path.name}.partial").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="another process is writing this file; wait"):
            write_twin(models.models["llama-3.2-1b"], "llama-3.2-1b", TwinScale.TINY, tmp_path)
    assert not path.exists()


def test_reading_twins_needs_no_numpy(tiny: dict[str, WrittenTwin]) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgemoe_appliance.models.arithmetic import count_model\n"
        "from edgemoe_appliance.models.gguf import read_header\n"
        "import edgemoe_appliance.models.store\n"
        f"print(count_model(read_header(Path({str(tiny['olmoe-1b-7b'].path)!r}))).expert_count)\n"
        "heavy = {'numpy', 'gguf', 'huggingface_hub', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "16\n", "")


def test_a_twin_is_read_back_as_what_it_is(tiny: dict[str, WrittenTwin]) -> None:
    file = read_model_file(tiny["olmoe-1b-7b"].path)
    assert file.twin == tiny["olmoe-1b-7b"].mark
    assert file.sha256 == tiny["olmoe-1b-7b"].sha256
    assert file.architecture == "olmoe"
    assert file.counts.expert_used_count == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_thin_twin_is_written_in_bounded_memory(models: ModelsConfig, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgemoe_appliance.models.layout import TwinScale\n"
        "from edgemoe_appliance.models.twin import write_twin\n"
        "from edgemoe_appliance.schema.configs import ModelEntry\n"
        "entry = ModelEntry.model_validate_json(sys.stdin.read())\n"
        "write_twin(entry, 'llama-3.2-1b', TwinScale.THIN, Path(sys.argv[1]))\n"
        "print(Path('/proc/self/status').read_text())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        input=models.models["llama-3.2-1b"].model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert peak
    assert int(peak[1]) < 150_000
    assert twin_path("llama-3.2-1b", TwinScale.THIN, tmp_path).stat().st_size > 100_000_000

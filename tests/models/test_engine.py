"""Twins under the real engine: they load, run, generate readable text and hold their length."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.models.ggml_types import GGML_TYPES
from edgemoe_appliance.models.gguf import TensorInfo, ValueType, aligned, read_header
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue, render_header
from edgemoe_appliance.models.layout import build_tensors, scaled_shape
from edgemoe_appliance.models.metadata import build_metadata
from edgemoe_appliance.models.twin import WrittenTwin
from edgemoe_appliance.models.twin_mark import TwinMark
from edgemoe_appliance.models.vocabulary import TokenizerKind, build_vocabulary
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig

pytestmark = pytest.mark.engine

MODELS = ["olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"]
PROMPT = (
    "Explain in one paragraph how a small boat crosses a wide river when the wind is strong. "
    "Then list three things that the captain must not forget."
)
F16 = GGML_TYPES[1]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def run(llama_cli: Path) -> Run:
    def call(model: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
        options = [
            "-c",
            "4096",
            "-t",
            "1",
            "--temp",
            "0",
            "--seed",
            "42",
            "--no-display-prompt",
            "--no-escape",
        ]
        return subprocess.run(
            [str(llama_cli), "-m", str(model), "--no-escape", *options, *more],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )

    return call


def counts(stderr: bytes) -> tuple[int, int]:
    """Return the prompt tokens and the generated tokens of a footer."""
    text = stderr.decode(errors="replace")
    prompt = re.search(r"prompt eval time = .* / +(\d+) tokens", text)
    generated = re.search(r" eval time = .* / +(\d+) runs", text)
    assert prompt, text
    assert generated, text
    return int(prompt[1]), int(generated[1]) + 1


@pytest.mark.parametrize("model_id", MODELS)
def test_tiny_twins_generate(tiny: dict[str, WrittenTwin], run: Run, model_id: str) -> None:
    done = run(tiny[model_id].path, "-n", "40", "-p", PROMPT)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    text = done.stdout.decode()  # valid UTF-8
    assert len(text.strip()) > 40
    assert re.fullmatch(r"[ -~\n]*", text)
    assert len(set(text.split())) > 3
    assert b"[end of text]" not in done.stdout
    prompt_tokens, generated = counts(done.stderr)
    assert generated == 40
    words = len(PROMPT.split())
    assert words < prompt_tokens < 3 * words
    assert b"nan" not in done.stderr


@pytest.mark.parametrize("model_id", MODELS)
def test_twins_do_not_end_early(tiny: dict[str, WrittenTwin], run: Run, model_id: str) -> None:
    done = run(tiny[model_id].path, "-n", "300", "-p", "A list of rivers")
    assert counts(done.stderr)[1] == 300


@pytest.mark.parametrize("model_id", MODELS)
def test_greedy_text_is_the_same_each_time(
    tiny: dict[str, WrittenTwin], run: Run, model_id: str
) -> None:
    first, second = (run(tiny[model_id].path, "-n", "20", "-p", PROMPT) for _ in range(2))
    assert first.stdout == second.stdout
    other = run(tiny[model_id].path, "-n", "20", "-p", "Describe the house on the hill.")
    assert other.stdout != first.stdout


def test_a_page_of_english_fits_the_context(
    tiny: dict[str, WrittenTwin], run: Run, tmp_path: Path
) -> None:
    page = tmp_path / "page.txt"
    page.write_text(" ".join([PROMPT] * 56), encoding="utf-8")  # 1500 words
    done = run(tiny["llama-3.2-1b"].path, "-n", "2", "-f", str(page))
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert 1500 < counts(done.stderr)[0] < 3500


def test_the_engine_knows_them_as_what_they_are(tiny: dict[str, WrittenTwin], run: Run) -> None:
    done = run(tiny["olmoe-1b-7b"].path, "-n", "2", "-p", PROMPT)
    log = done.stderr.decode(errors="replace")
    assert "TWIN (tiny, random weights) of OLMoE-1B-7B-0924-Instruct" in log
    assert re.search(r"n_expert +=\s*16", log)
    assert re.search(r"n_expert_used +=\s*2", log)
    assert "model ftype      = Q4_K - Medium" in log


def test_the_engine_refuses_what_the_reader_refuses(
    tiny: dict[str, WrittenTwin], run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny["llama-3.2-1b"].path.read_bytes()[:-1000])
    done = run(path, "-n", "2", "-p", PROMPT)
    assert done.returncode == 1
    assert b"model is corrupted or incomplete" in done.stderr


def write_f16(entry: ModelEntry, scale: TwinScale, path: Path) -> None:
    """Write a model of zeros in F16, as a converter would, for llama-quantize to work on."""
    shape = scaled_shape(entry, scale)
    mark = TwinMark(of="none", scale=scale, seed=0, format_version=0)
    vocabulary = build_vocabulary(TokenizerKind(shape.tokenizer), shape.vocab_size)
    metadata: dict[str, TypedValue | TypedArray] = {
        **build_metadata(entry, mark, shape, vocabulary),
        "general.file_type": TypedValue(type=ValueType.UINT32, value=1),
    }
    tensors, offset = [], 0
    for tensor in build_tensors(entry.architecture, shape):
        kind = tensor.type if tensor.type.name == "F32" else F16
        placed = TensorInfo(name=tensor.name, shape=tensor.shape, type=kind, offset=offset)
        tensors.append(placed)
        offset = aligned(offset + placed.n_bytes, 32)
    header = render_header(metadata, tensors)
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(len(header) + offset)


@pytest.mark.parametrize("model_id", MODELS)
def test_types_are_those_that_llama_quantize_gives(
    models: ModelsConfig,
    tiny: dict[str, WrittenTwin],
    llama_cli: Path,
    tmp_path: Path,
    model_id: str,
) -> None:
    quantize = llama_cli.with_name("llama-quantize")
    if not quantize.exists():
        pytest.skip("no llama-quantize beside llama-cli")
    source, target = tmp_path / "f16.gguf", tmp_path / "q4_k_m.gguf"
    write_f16(models.models[model_id], TwinScale.TINY, source)
    subprocess.run(
        [str(quantize), str(source), str(target), "Q4_K_M", "1"], capture_output=True, check=True
    )
    theirs = [(t.name, t.shape, t.type.name) for t in read_header(target).tensors]
    ours = [(t.name, t.shape, t.type.name) for t in read_header(tiny[model_id].path).tensors]
    assert ours == theirs

"""Whether a file holds its tied head a second time: some uploads store the embedding as both.

No key of a GGUF file says so, hence a few rows are read of either tensor and compared.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from edgemoe_appliance.models.gguf import GgufHeader, TensorInfo

HEAD: Final = "output.weight"
EMBEDDING: Final = "token_embd.weight"
# Checkpoints that tie their head, by architecture, blocks and width. Source: tie_word_embeddings in
# config.json of Qwen2 and Qwen2.5 (0.5B, 1.5B, 3B), Qwen3 (0.6B, 1.7B, 4B), Llama 3.2 (1B, 3B),
# SmolLM2 (135M, 360M, 1.7B), Gemma 1 to 3. Of the same shape as one of them, and untied, is
# DeepSeek-R1-Distill-Qwen-1.5B.
_TIED_SHAPES: Final = frozenset(
    {
        ("qwen2", 24, 896),
        ("qwen2", 28, 1536),
        ("qwen2", 36, 2048),
        ("qwen3", 28, 1024),
        ("qwen3", 28, 2048),
        ("qwen3", 36, 2560),
        ("llama", 16, 2048),
        ("llama", 28, 3072),
        ("llama", 30, 576),
        ("llama", 32, 960),
        ("llama", 24, 2048),
    }
)
_TIED_ARCHITECTURES: Final = ("gemma", "gemma2", "gemma3")
_UNTIED_NAME: Final = "distill"
_ROWS: Final = 64
_FEWEST_ROWS: Final = 8
# Two quantisations of one row agree to 0.93 or better even at 2 bits; rows of two matrices that
# were trained apart stay below 0.5.
_SAME_COSINE: Final = 0.8


def is_head_stored_twice(path: Path, header: GgufHeader) -> bool | None:
    """Return whether the head repeats the embedding; None where the data cannot say (all zero).

    Raises OSError where the file cannot be read.
    """
    tensors = {tensor.name: tensor for tensor in header.tensors}
    head, embedding = tensors.get(HEAD), tensors.get(EMBEDDING)
    if head is None or embedding is None or head.shape != embedding.shape or len(head.shape) != 2:
        return False
    cosines = [
        cosine
        for row in range(0, head.shape[1], max(1, head.shape[1] // _ROWS))
        if (cosine := _cosine(path, header, row, head, embedding)) is not None
    ]
    if len(cosines) < min(_FEWEST_ROWS, head.shape[1]):
        return None
    return sum(cosines) / len(cosines) >= _SAME_COSINE


def is_of_tied_checkpoint(header: GgufHeader) -> bool:
    """Return whether a file that stores a head is of a published model whose head is tied.

    For headers alone, and for data that say nothing.
    """
    head, embedding = header.tensor(HEAD), header.tensor(EMBEDDING)
    if head is None or embedding is None or head.shape != embedding.shape:
        return False
    name = header.architecture
    if _UNTIED_NAME in (header.text("general.name") or "").lower():
        return False
    shape = (name, header.whole_number(f"{name}.block_count"), embedding.shape[0])
    return name in _TIED_ARCHITECTURES or shape in _TIED_SHAPES


def _cosine(
    path: Path, header: GgufHeader, row: int, head: TensorInfo, embedding: TensorInfo
) -> float | None:
    import numpy as np  # noqa: PLC0415  (most files need neither this nor the next)
    from gguf import GGMLQuantizationType, dequantize  # noqa: PLC0415

    rows = []
    with path.open("rb") as file:
        for tensor in (head, embedding):
            row_bytes = tensor.type.bytes_of(tensor.shape[0])
            file.seek(header.data_offset + tensor.offset + row * row_bytes)
            data = np.frombuffer(file.read(row_bytes), np.uint8)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # weights of a damaged file may overflow
                values = dequantize(data, GGMLQuantizationType(tensor.type.code))
            rows.append(np.nan_to_num(np.asarray(values, np.float64)))
    length = float(np.linalg.norm(rows[0]) * np.linalg.norm(rows[1]))
    return float(rows[0] @ rows[1]) / length if length > 0 else None

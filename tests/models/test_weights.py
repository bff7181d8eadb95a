from __future__ import annotations

import hashlib

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from edgemoe_appliance.models.ggml_types import F32, Q4_K, Q6_K, TYPE_BY_NAME, GgmlType
from edgemoe_appliance.models.gguf import TensorInfo
from edgemoe_appliance.models.weights import rope_factors, tensor_chunks
from edgemoe_appliance.schema.configs import ModelsConfig, ModelShape
from tests.models.files import tensor


@pytest.fixture
def shape(models: ModelsConfig) -> ModelShape:
    return models.models["llama-3.2-1b"].shape_of("llama-3.2-1b")


def data_of(info: TensorInfo, shape: ModelShape, silent: tuple[int, ...] = ()) -> bytes:
    return b"".join(tensor_chunks(info, shape, seed=7, silent=silent))


def values_of(info: TensorInfo, data: bytes) -> NDArray[np.float32]:
    kind = gguf.GGMLQuantizationType(info.type.code)
    return gguf.dequantize(np.frombuffer(data, np.uint8), kind)


@pytest.mark.parametrize("kind", [Q4_K, Q6_K])
@pytest.mark.parametrize("width", [256, 2048, 9216])
def test_blocks_have_the_deviation_that_keeps_activations_near_one(
    shape: ModelShape, kind: GgmlType, width: int
) -> None:
    info = tensor("blk.0.ffn_up.weight", (width, 4096 * 256 // width), kind=kind)
    data = data_of(info, shape)
    assert len(data) == info.n_bytes
    values = values_of(info, data)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(width**-0.5, rel=0.02)
    assert abs(values.mean()) < 0.02 * width**-0.5


def test_chunks_join_without_a_seam(shape: ModelShape) -> None:
    large = tensor("blk.0.ffn_up.weight", (256, 30_000), kind=Q4_K)
    chunks = list(tensor_chunks(large, shape, seed=7))
    assert [len(chunk) for chunk in chunks] == [24 * 1024 * 144, (30_000 - 24 * 1024) * 144]
    assert max(map(len, chunks)) < 5_000_000


def test_silent_rows_are_zero_and_others_are_not(shape: ModelShape) -> None:
    info = tensor("output.weight", (512, 30_000), kind=Q6_K)
    silent = (0, 5, 12_287, 12_288, 29_999)
    values = values_of(info, data_of(info, shape, silent)).reshape(30_000, 512)
    assert np.flatnonzero(~values.any(axis=1)).tolist() == list(silent)


def test_every_tensor_has_weights_of_its_own(shape: ModelShape) -> None:
    one = data_of(tensor("blk.0.ffn_up.weight", (256, 16), kind=Q4_K), shape)
    other = data_of(tensor("blk.1.ffn_up.weight", (256, 16), kind=Q4_K), shape)
    assert one != other


def test_bytes_are_the_same_on_every_machine(shape: ModelShape) -> None:
    """If this fails after a change of weights.py, the format version must go up as well."""
    infos = (
        tensor("blk.0.ffn_up.weight", (256, 64), kind=Q4_K),
        tensor("token_embd.weight", (256, 64), kind=Q6_K),
        tensor("blk.0.ffn_gate_inp.weight", (256, 16), kind=F32),
        tensor("rope_freqs.weight", (32,), kind=F32),
    )
    digest = hashlib.sha256(b"".join(data_of(info, shape) for info in infos)).hexdigest()
    assert digest == "757bb1005579c06719517f73a29cf2561050017dc6df3507d09623a45aaf9a8e"


def test_router_norms_and_biases(shape: ModelShape) -> None:
    router = tensor("blk.0.ffn_gate_inp.weight", (1024, 64))
    values = np.frombuffer(data_of(router, shape), "<f4")
    assert values.std() == pytest.approx(2 / 32, rel=0.02)
    norm = tensor("blk.3.ffn_norm.weight", (64,))
    assert set(np.frombuffer(data_of(norm, shape), "<f4")) == {1.0}
    bias = np.frombuffer(data_of(tensor("blk.3.attn_q.bias", (64,)), shape), "<f4")
    assert np.abs(bias).max() > 0


def test_rope_factors_of_llama_3(shape: ModelShape) -> None:
    factors = rope_factors(shape)
    assert len(factors) == 32
    assert factors[0] == 1.0
    assert factors[-1] == 32.0
    assert factors == sorted(factors)
    assert any(1 < factor < 32 for factor in factors)


@pytest.mark.parametrize(
    "name",
    [
        "F32",
        "F16",
        "BF16",
        "Q4_0",
        "Q4_1",
        "Q5_0",
        "Q5_1",
        "Q8_0",
        "Q2_K",
        "Q3_K",
        "Q4_K",
        "Q5_K",
        "Q6_K",
        "IQ4_NL",
        "IQ4_XS",
    ],
)
def test_every_type_of_a_twin_has_that_deviation(shape: ModelShape, name: str) -> None:
    info = tensor("blk.0.ffn_up.weight", (1024, 1024), kind=TYPE_BY_NAME[name])
    data = data_of(info, shape)
    assert len(data) == info.n_bytes
    values = values_of(info, data)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(1 / 32, rel=0.03)
    assert abs(values.mean()) < 0.13 / 32  # Q4_0 and its kin are not quite symmetric


@pytest.mark.parametrize("name", ["F16", "BF16", "Q5_0"])
def test_silent_rows_are_zero_in_every_type(shape: ModelShape, name: str) -> None:
    info = tensor("output.weight", (64, 5000), kind=TYPE_BY_NAME[name])
    values = values_of(info, data_of(info, shape, (0, 4999))).reshape(5000, 64)
    assert np.flatnonzero(~values.any(axis=1)).tolist() == [0, 4999]

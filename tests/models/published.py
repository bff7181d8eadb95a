"""Fourteen published models as their GGUF files hold them: tensor shapes, and the counts that
their authors' weights have.

Shapes: config.json of each model. `total`: the safetensors count that the hub shows for the
original weights. `said_active_b`: what the authors print; some of them leave embedding matrices
out, `left_out` of them. `active`: the same with the embeddings in, to the last weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgemoe_appliance.models.ggml_types import F32, TYPE_BY_NAME, GgmlType
from edgemoe_appliance.models.gguf import GgufHeader, TensorInfo, ValueType, aligned, read_header
from edgemoe_appliance.models.gguf_writer import TypedArray, TypedValue, render_header

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A model: keys of its metadata (without the architecture), tensors, and what is right."""

    architecture: str
    keys: dict[str, int | list[int]]
    tensors: Shapes
    total: int
    active: int
    said_active_b: float
    left_out: int = 0
    types: dict[str, str] = field(default_factory=dict)
    is_head_stored_twice: bool = False

    def header(self, path: Path) -> GgufHeader:
        """Read the header back from a file whose data are a hole."""
        metadata: dict[str, TypedValue | TypedArray] = {
            "general.architecture": TypedValue(type=ValueType.STRING, value=self.architecture)
        }
        for key, value in self.keys.items():
            name = f"{self.architecture}.{key}"
            if isinstance(value, list):
                metadata[name] = TypedArray(type=ValueType.UINT32, values=value)
            else:
                metadata[name] = TypedValue(type=ValueType.UINT32, value=value)
        placed, offset = [], 0
        for name, shape in self.tensors.items():
            placed.append(
                TensorInfo(name=name, shape=shape, type=self._type(name, shape), offset=offset)
            )
            offset = aligned(offset + placed[-1].n_bytes, 32)
        path.write_bytes(render_header(metadata, placed))
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + offset)
        return read_header(path)

    def _type(self, name: str, shape: tuple[int, ...]) -> GgmlType:
        chosen = next((kind for part, kind in self.types.items() if part in name), None)
        if chosen:
            return TYPE_BY_NAME[chosen]
        return TYPE_BY_NAME["F16"] if len(shape) > 1 else F32


def attention(width: int, heads: int, kv_heads: int, head: int, *, bias: str = "") -> Shapes:
    """Return the matrices of attention; `bias` names those that have one."""
    sizes = {"q": heads * head, "k": kv_heads * head, "v": kv_heads * head}
    made: Shapes = {f"attn_{name}.weight": (width, size) for name, size in sizes.items()}
    made["attn_output.weight"] = (heads * head, width)
    made |= {f"attn_{name}.bias": (sizes[name],) for name in "qkv" if name in bias}
    return made | ({"attn_output.bias": (width,)} if "o" in bias else {})


def feed_forward(width: int, inner: int, ending: str = "") -> Shapes:
    return {
        f"ffn_gate{ending}.weight": (width, inner),
        f"ffn_up{ending}.weight": (width, inner),
        f"ffn_down{ending}.weight": (inner, width),
    }


def experts(width: int, inner: int, count: int) -> Shapes:
    stacks = {name: (*shape, count) for name, shape in feed_forward(width, inner, "_exps").items()}
    return {"ffn_gate_inp.weight": (width, count), **stacks}


def norms(width: int, *names: str) -> Shapes:
    return {f"{name}.weight": (width,) for name in names or ("attn_norm", "ffn_norm")}


def assembled(
    blocks: int,
    block: Callable[[int], Shapes],
    *,
    width: int,
    vocabulary: int,
    tied: bool = False,
    more: Shapes | None = None,
) -> Shapes:
    made: Shapes = {"token_embd.weight": (width, vocabulary), "output_norm.weight": (width,)}
    made |= {} if tied else {"output.weight": (width, vocabulary)}
    for index in range(blocks):
        made |= {f"blk.{index}.{name}": shape for name, shape in block(index).items()}
    return made | (more or {})


def keys(
    blocks: int, width: int, heads: int, kv_heads: int, head: int, **more: int | list[int]
) -> dict[str, int | list[int]]:
    """Return the keys that all have; names in `more` have `__` where the file has a dot."""
    return {
        "block_count": blocks,
        "embedding_length": width,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.key_length": head,
        "attention.value_length": head,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def _olmoe() -> Published:
    def block(_: int) -> Shapes:
        return {
            **attention(2048, 16, 16, 128),
            **norms(2048, "attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm"),
            **experts(2048, 1024, 64),
        }

    return Published(
        architecture="olmoe",
        keys=keys(16, 2048, 16, 16, 128, expert_count=64, expert_used_count=8),
        tensors=assembled(16, block, width=2048, vocabulary=50304),
        total=6_919_161_856,
        active=1_282_017_280,
        said_active_b=1.3,
    )


def _llama_32_1b() -> Published:
    def block(_: int) -> Shapes:
        return {**attention(2048, 32, 8, 64), **norms(2048), **feed_forward(2048, 8192)}

    more: Shapes = {"rope_freqs.weight": (32,)}
    return Published(
        architecture="llama",
        keys=keys(16, 2048, 32, 8, 64),
        tensors=assembled(16, block, width=2048, vocabulary=128256, tied=True, more=more),
        total=1_235_814_400,
        active=1_235_814_400,
        said_active_b=1.23,
    )


def _qwen25_15b(*, is_head_stored_twice: bool) -> Published:
    def block(_: int) -> Shapes:
        return {
            **attention(1536, 12, 2, 128, bias="qkv"),
            **norms(1536),
            **feed_forward(1536, 8960),
        }

    return Published(
        architecture="qwen2",
        keys=keys(28, 1536, 12, 2, 128),
        tensors=assembled(28, block, width=1536, vocabulary=151936, tied=not is_head_stored_twice),
        total=1_543_714_304,
        active=1_543_714_304,
        said_active_b=1.54,
        is_head_stored_twice=is_head_stored_twice,
    )


def _gemma_2_2b() -> Published:
    def block(_: int) -> Shapes:
        names = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        return {
            **attention(2304, 8, 4, 256),
            **norms(2304, *names),
            **feed_forward(2304, 9216),
        }

    return Published(
        architecture="gemma2",
        keys=keys(26, 2304, 8, 4, 256),
        tensors=assembled(26, block, width=2304, vocabulary=256000, tied=True),
        total=2_614_341_888,
        active=2_614_341_888,
        said_active_b=2.6,
    )


def _mixtral() -> Published:
    """Mixtral as converted before spring 2024: each expert in tensors of its own."""

    def block(_: int) -> Shapes:
        made = {
            **attention(4096, 32, 8, 128),
            **norms(4096),
            "ffn_gate_inp.weight": (4096, 8),
        }
        for expert in range(8):
            made |= feed_forward(4096, 14336, f".{expert}")
        return made

    return Published(
        architecture="llama",
        keys=keys(32, 4096, 32, 8, 128, expert_count=8, expert_used_count=2),
        tensors=assembled(32, block, width=4096, vocabulary=32000),
        total=46_702_792_704,
        active=12_879_925_248,
        said_active_b=12.9,
    )


def _qwen15_moe() -> Published:
    def block(_: int) -> Shapes:
        return {
            **attention(2048, 16, 16, 128, bias="qkv"),
            **norms(2048),
            **experts(2048, 1408, 60),
            **feed_forward(2048, 5632, "_shexp"),
            "ffn_gate_inp_shexp.weight": (2048,),
        }

    return Published(
        architecture="qwen2moe",
        keys=keys(24, 2048, 16, 16, 128, expert_count=60, expert_used_count=4),
        tensors=assembled(24, block, width=2048, vocabulary=151936),
        total=14_315_784_192,
        active=2_689_173_504,
        said_active_b=2.7,
    )


def _deepseek_v2_lite() -> Published:
    """Latent attention: queries direct, keys and values through 512 dimensions."""

    def block(index: int) -> Shapes:
        made: Shapes = {
            "attn_q.weight": (2048, 3072),
            "attn_kv_a_mqa.weight": (2048, 576),
            "attn_kv_a_norm.weight": (512,),
            "attn_kv_b.weight": (512, 4096),
            "attn_output.weight": (2048, 2048),
            **norms(2048),
        }
        if index == 0:
            return made | feed_forward(2048, 10944)
        return made | experts(2048, 1408, 64) | feed_forward(2048, 2816, "_shexp")

    values = keys(27, 2048, 16, 16, 192, expert_count=64, expert_used_count=6)
    return Published(
        architecture="deepseek2",
        keys=values | {"attention.value_length": 128},
        tensors=assembled(27, block, width=2048, vocabulary=102400),
        total=15_706_484_224,
        active=2_661_150_208,
        said_active_b=2.4,
        left_out=1,
    )


def _glm_45_air() -> Published:
    """The last of 47 blocks predicts a second token, with an embedding and a head of its own."""

    def block(index: int) -> Shapes:
        made: Shapes = {
            **attention(4096, 96, 8, 128, bias="qkv"),
            **norms(4096, "attn_norm", "post_attention_norm"),
        }
        if index == 0:
            return made | feed_forward(4096, 10944)
        made |= experts(4096, 1408, 128) | feed_forward(4096, 1408, "_shexp")
        made["exp_probs_b.bias"] = (128,)
        if index < 46:
            return made
        return made | {
            "nextn.eh_proj.weight": (8192, 4096),
            "nextn.embed_tokens.weight": (4096, 151552),
            "nextn.enorm.weight": (4096,),
            "nextn.hnorm.weight": (4096,),
            "nextn.shared_head_head.weight": (4096, 151552),
            "nextn.shared_head_norm.weight": (4096,),
        }

    more = {"expert_count": 128, "expert_used_count": 8, "nextn_predict_layers": 1}
    return Published(
        architecture="glm4moe",
        keys=keys(47, 4096, 96, 8, 128, **more),
        tensors=assembled(47, block, width=4096, vocabulary=151552),
        total=110_468_824_832,
        active=13_424_129_664,
        said_active_b=12,
        left_out=2,
    )


def _gpt_oss_20b() -> Published:
    def block(_: int) -> Shapes:
        made: Shapes = {
            **attention(2880, 64, 8, 64, bias="qkvo"),
            "attn_sinks.weight": (64,),
            **norms(2880, "attn_norm", "post_attention_norm"),
            **experts(2880, 2880, 32),
            "ffn_gate_inp.bias": (32,),
        }
        return made | {f"ffn_{name}_exps.bias": (2880, 32) for name in ("gate", "up", "down")}

    return Published(
        architecture="gpt-oss",
        keys=keys(24, 2880, 64, 8, 64, expert_count=32, expert_used_count=4),
        tensors=assembled(24, block, width=2880, vocabulary=201088),
        total=20_914_757_184,
        active=4_187_440_704,
        said_active_b=3.6,
        left_out=1,
        types={"_exps.weight": "MXFP4", "_exps.bias": "F32"},
    )


def _qwen3_30b_a3b() -> Published:
    def block(_: int) -> Shapes:
        return {
            **attention(2048, 32, 4, 128),
            **norms(2048),
            **norms(128, "attn_q_norm", "attn_k_norm"),
            **experts(2048, 768, 128),
        }

    return Published(
        architecture="qwen3moe",
        keys=keys(48, 2048, 32, 4, 128, expert_count=128, expert_used_count=8),
        tensors=assembled(48, block, width=2048, vocabulary=151936),
        total=30_532_122_624,
        active=3_353_032_704,
        said_active_b=3.3,
    )


def _falcon_mamba_7b() -> Published:
    """State-space blocks alone; the engine keeps no keys and values for them."""

    def block(_: int) -> Shapes:
        return {
            "attn_norm.weight": (4096,),
            "ssm_in.weight": (4096, 16384),
            "ssm_conv1d.weight": (4, 8192),
            "ssm_conv1d.bias": (8192,),
            "ssm_x.weight": (8192, 288),
            "ssm_dt.weight": (256, 8192),
            "ssm_dt.bias": (8192,),
            "ssm_a": (16, 8192),
            "ssm_d": (8192,),
            "ssm_out.weight": (8192, 4096),
        }

    return Published(
        architecture="mamba",
        keys={"block_count": 64, "embedding_length": 4096, "attention.head_count": 0},
        tensors=assembled(64, block, width=4096, vocabulary=65024),
        total=7_272_665_088,
        active=7_272_665_088,
        said_active_b=7.3,
    )


def _lfm2_12b() -> Published:
    """Six blocks of attention among ten of short convolutions."""
    attending = (2, 5, 8, 10, 12, 14)

    def block(index: int) -> Shapes:
        made: Shapes = {**norms(2048), **feed_forward(2048, 8192)}
        if index in attending:
            return {
                **made,
                **attention(2048, 32, 8, 64),
                **norms(64, "attn_q_norm", "attn_k_norm"),
            }
        return made | {
            "shortconv.in_proj.weight": (2048, 6144),
            "shortconv.conv.weight": (3, 2048),
            "shortconv.out_proj.weight": (2048, 2048),
        }

    tensors = assembled(16, block, width=2048, vocabulary=65536, tied=True)
    tensors["token_embd_norm.weight"] = tensors.pop("output_norm.weight")
    return Published(
        architecture="lfm2",
        keys=keys(16, 2048, 32, 0, 64)
        | {"attention.head_count_kv": [8 if index in attending else 0 for index in range(16)]},
        tensors=tensors,
        total=1_170_340_608,
        active=1_170_340_608,
        said_active_b=1.2,
    )


def _phi_35_moe() -> Published:
    """Layer norms and the head have biases."""

    def block(_: int) -> Shapes:
        return {
            **attention(4096, 32, 8, 128, bias="qkvo"),
            **norms(4096),
            "attn_norm.bias": (4096,),
            "ffn_norm.bias": (4096,),
            **experts(4096, 6400, 16),
        }

    more: Shapes = {
        "output.bias": (32064,),
        "output_norm.bias": (4096,),
        "rope_factors_long.weight": (64,),
        "rope_factors_short.weight": (64,),
    }
    return Published(
        architecture="phimoe",
        keys=keys(32, 4096, 32, 8, 128, expert_count=16, expert_used_count=2),
        tensors=assembled(32, block, width=4096, vocabulary=32064, more=more),
        total=41_873_153_344,
        active=6_640_999_744,
        said_active_b=6.6,
    )


def _smollm2_135m() -> Published:
    def block(_: int) -> Shapes:
        return {**attention(576, 9, 3, 64), **norms(576), **feed_forward(576, 1536)}

    return Published(
        architecture="llama",
        keys=keys(30, 576, 9, 3, 64),
        tensors=assembled(30, block, width=576, vocabulary=49152, tied=True),
        total=134_515_008,
        active=134_515_008,
        said_active_b=0.135,
    )


PUBLISHED: dict[str, Callable[[], Published]] = {
    "OLMoE-1B-7B-0924": _olmoe,
    "Llama-3.2-1B": _llama_32_1b,
    "Qwen2.5-1.5B, head stored twice": lambda: _qwen25_15b(is_head_stored_twice=True),
    "Gemma-2-2B": _gemma_2_2b,
    "Mixtral-8x7B, experts apart": _mixtral,
    "Qwen1.5-MoE-A2.7B": _qwen15_moe,
    "DeepSeek-V2-Lite": _deepseek_v2_lite,
    "GLM-4.5-Air": _glm_45_air,
    "gpt-oss-20b": _gpt_oss_20b,
    "Qwen3-30B-A3B": _qwen3_30b_a3b,
    "Falcon-Mamba-7B": _falcon_mamba_7b,
    "LFM2-1.2B": _lfm2_12b,
    "Phi-3.5-MoE": _phi_35_moe,
    "SmolLM2-135M": _smollm2_135m,
}

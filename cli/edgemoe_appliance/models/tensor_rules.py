"""What a generated token reads of each tensor: all of it, its share of experts, a row, or nothing.

One table by the names that llama.cpp gives to tensors. A name that is not in it is refused, as a
guess would silently move the bytes per token.
Source of names and operations: `LLM_TENSOR_NAMES` and `LLM_TENSOR_INFOS` in src/llama-arch.cpp of
llama.cpp b4404 up to August 2026 (GET_ROWS looks rows up, MUL_MAT_ID takes the chosen experts, all
other operations read the whole tensor). Source of what is left unread: its `build_graph` functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.gguf import TensorInfo
from edgemoe_appliance.schema.text import on_one_line


class Read(str, Enum):
    """How a generated token reads a tensor."""

    WHOLE = "whole"
    ROUTED = "routed"  # experts in the last dimension: those that the router chose
    ONE_EXPERT = "one expert"  # a single expert in a tensor of its own
    LOOKED_UP = "looked up"  # a row for a token or a position
    UNREAD = "unread"  # by plain generation: prediction layers, encoders, other heads


_OUTER: Final = {
    Read.WHOLE: """
        token_embd_norm output output_norm rope_freqs rope_factors_long rope_factors_short
        dec.output_norm output_res_score hrm.z_l_init
        output_hc_fn output_hc_base output_hc_scale output_hc_norm output_hc_down output_hc_up
        per_layer_model_proj per_layer_proj_norm altup_unembd_proj altup_proj
    """,
    Read.LOOKED_UP: "token_embd position_embd token_types per_layer_token_embd",
    Read.UNREAD: """
        enc.output_norm cls cls.output cls.norm dense_2 dense_3
        nextn.pre_projection nextn.post_projection
    """,
}
_IN_BLOCK: Final = {
    Read.WHOLE: """
        attn_norm attn_norm_2 attn_q attn_k attn_v attn_qkv attn_output attn_gate attn_sinks
        attn_q_norm attn_k_norm attn_output_norm attn_sub_norm attn_rot_embd post_attention_norm
        attn_q_a attn_q_b attn_q_a_norm attn_kv_a_mqa attn_kv_a_norm attn_kv_b attn_k_b attn_v_b
        attn_kv attn_output_a attn_output_b attn_res_score
        attn_compressor_kv attn_compressor_gate attn_compressor_norm
        indexer.k_norm indexer.proj indexer.attn_k indexer.attn_q_b indexer.q_proj indexer.k_proj
        indexer.q_norm indexer_compressor_kv indexer_compressor_gate indexer_compressor_norm
        ffn_norm ffn_gate ffn_up ffn_down ffn.act ffn_act ffn_sub_norm ffn_res_score
        post_ffw_norm post_ffw_norm_1 post_ffw_norm_2 pre_ffw_norm_2
        ffn_gate_inp ffn_norm_exps exp_probs_b exp_probs_b_vl ffn_latent_down ffn_latent_up
        ffn_routed_down ffn_routed_up ffn_routed_norm
        ffn_gate_shexp ffn_up_shexp ffn_down_shexp ffn_gate_inp_shexp
        layer_output_norm layer_output_scale
        ssm_in ssm_conv1d ssm_x ssm_dt ssm_dt_norm ssm_a ssm_b_norm ssm_c_norm ssm_d ssm_norm
        ssm_out ssm_ba ssm_alpha ssm_beta ssm_conv1d_q ssm_conv1d_k ssm_conv1d_v ssm_f_a ssm_f_b
        ssm_g ssm_g_a ssm_g_b
        time_mix_w0 time_mix_w1 time_mix_w2 time_mix_a0 time_mix_a1 time_mix_a2 time_mix_v0
        time_mix_v1 time_mix_v2 time_mix_g1 time_mix_g2 time_mix_k_k time_mix_k_a time_mix_r_k
        time_mix_lerp_x time_mix_lerp_w time_mix_lerp_k time_mix_lerp_v time_mix_lerp_r
        time_mix_lerp_g time_mix_lerp_fused time_mix_first time_mix_decay time_mix_decay_w1
        time_mix_decay_w2 time_mix_key time_mix_value time_mix_receptance time_mix_gate
        time_mix_ln time_mix_output channel_mix_lerp_k channel_mix_lerp_r channel_mix_key
        channel_mix_value channel_mix_receptance
        shortconv.conv shortconv.in_proj shortconv.out_proj
        inp_gate proj post_norm altup_correct_coef altup_correct_scale altup_predict_coef
        altup_router altup_router_norm laurel_l laurel_r laurel_post_norm
        hc_attn_fn hc_attn_base hc_attn_scale hc_ffn_fn hc_ffn_base hc_ffn_scale hc_attn_norm
        hc_attn_down hc_attn_up hc_attn_inject hc_ffn_norm hc_ffn_down hc_ffn_up hc_ffn_inject
        ple_key ple_value ple_norm_key ple_norm_query ple_norm_conv ple_conv1d
        cross_attn_norm cross_attn_q cross_attn_k cross_attn_v cross_attn_o attn_o
    """,
    Read.ROUTED: """
        ffn_gate_exps ffn_up_exps ffn_down_exps ffn_gate_up_exps
        ffn_gate_chexps ffn_up_chexps ffn_down_chexps
    """,
    Read.LOOKED_UP: """
        attn_rel_b cross_attn_rel_b attn_compressor_ape indexer_compressor_ape ffn_gate_tid2eid
    """,
    # Experts for pictures are not chosen for a token of text.
    Read.UNREAD: "vis_attn_qkv vis_attn_output vis_gate vis_down vis_up",
}


def _by_name(table: dict[Read, str]) -> dict[str, Read]:
    return {name: read for read, names in table.items() for name in names.split()}


_OUTER_RULES: Final = _by_name(_OUTER)
_BLOCK_RULES: Final = _by_name(_IN_BLOCK)
_BLOCK: Final = re.compile(r"(?:(enc|dec)\.)?blk\.(\d{1,4})\.(.+)")
_ONE_EXPERT: Final = re.compile(r"ffn_(?:gate|up|down)\.(\d{1,4})")
# Names end so; a few have no ending (`ssm_a`, early `exp_probs_b`).
_ENDINGS: Final = ("weight", "bias", "scale", "scales", "input_scale")
# What the file format or a quantisation adds to a model.
_TABLES: Final = ("rope_freqs", "rope_factors_long", "rope_factors_short", "attn_rot_embd")
_PREDICTION: Final = "nextn."


@dataclass(frozen=True, kw_only=True)
class TensorRole:
    """What a tensor is: how it is read, the block it lies in, and whether it holds parameters.

    `part` is its name without block and ending; `is_encoder` tells blocks that the prompt alone
    goes through.
    """

    read: Read
    part: str
    block: int | None
    is_encoder: bool = False
    holds_parameters: bool = True


def find_role(tensor: TensorInfo, where: str) -> TensorRole:
    """Return the role of a tensor. Raises RecordError, with `where`, for one that has no rule."""
    stem, ending = _split_ending(tensor.name)
    found = _BLOCK.fullmatch(stem)
    half, block, part = found.groups() if found else (None, None, stem)
    read = _rule(part, is_in_block=found is not None)
    if read is None:
        raise RecordError(
            f"tensor {on_one_line(tensor.name)} fits no rule for what a token reads, so its bytes "
            "cannot be counted",
            where=where,
            hint="a text model of an architecture that the table in models/tensor_rules.py covers",
        )
    is_scale = ending.endswith(("scale", "scales")) and part != "ffn.act"
    return TensorRole(
        read=Read.UNREAD if half == "enc" else read,
        part=part,
        block=None if block is None else int(block),
        is_encoder=half == "enc",
        holds_parameters=not (is_scale or part in _TABLES or tensor.type.is_integer),
    )


def _split_ending(name: str) -> tuple[str, str]:
    stem, _, ending = name.rpartition(".")
    return (stem, ending) if ending in _ENDINGS else (name, "")


def _rule(part: str, *, is_in_block: bool) -> Read | None:
    if not is_in_block:
        return _OUTER_RULES.get(part)
    if part.startswith(_PREDICTION):
        return Read.UNREAD
    return Read.ONE_EXPERT if _ONE_EXPERT.fullmatch(part) else _BLOCK_RULES.get(part)


def prediction_blocks(
    roles: Iterable[TensorRole], block_count: int, announced: int
) -> frozenset[int]:
    """Return the blocks that predict further tokens, which plain generation never reads.

    `announced` is the file's own number (`nextn_predict_layers`): they are its last blocks.
    """
    named = {r.block for r in roles if r.block is not None and r.part.startswith(_PREDICTION)}
    return frozenset({*named, *range(block_count - announced, block_count)})

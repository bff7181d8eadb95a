"""What a model costs, from its GGUF header alone: parameters, bytes per token, KV cache.

Counts and bytes only; no speed is estimated here and no tensor data is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.gguf import GgufArray, GgufHeader, TensorInfo, check_is_model
from edgemoe_appliance.models.tensor_rules import Read, TensorRole, find_role, prediction_blocks
from edgemoe_appliance.models.tied_head import HEAD, is_of_tied_checkpoint
from edgemoe_appliance.schema.configs import ModelEntry, ModelShape

_KV_ELEMENT_BYTES = 2  # f16, the default cache type of llama.cpp
# Far above any model; a number per block is kept, which must stay a small list.
_MAX_BLOCKS = 4_096
_MAX_WIDTH = 1_000_000
_ACTIVE_TOLERANCE = 0.01
# The second is the head where the two are tied.
_HEADS = ("output", "token_embd")
_FIX = "use a GGUF file that llama.cpp can load"


@dataclass(frozen=True, kw_only=True)
class TokenWork:
    """What one generated token asks of the weights, by the tensors and their own types.

    `read_bytes` are the weights it needs (the used experts only; the head, which is the embedding
    where the two are tied; not the one row of a table that is looked up), `head_bytes` those of
    them that are the output head. `multiplied_parameters` are the parameters that it multiplies
    with: a table that is looked up is none of them. `attention_flops_per_position` are the
    operations of its attention scores and their weighted sum for each position of the context:
    two for each element of a query and two for each of a value, in each block that attends.
    """

    read_bytes: int
    head_bytes: int
    multiplied_parameters: int
    attention_flops_per_position: int


@dataclass(frozen=True, kw_only=True)
class ModelCounts:
    """Sizes of one model.

    `parameters_total` are all that the file holds, a tied head that is stored twice counted once;
    `parameters_active` leave out the experts that a token does not use and what plain generation
    never reads (prediction layers, encoders, other heads). `work` is what one generated token asks
    of the weights, `weight_bytes` counts them all. `kv_bytes_per_token` is what the context grows
    by, in f16.
    """

    parameters_total: int
    parameters_active: int
    work: TokenWork
    weight_bytes: int
    kv_bytes_per_token: int
    expert_count: int
    expert_used_count: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A tensor, its role, and the share of it that a token reads: `used` of `of` equal parts."""

    tensor: TensorInfo
    role: TensorRole
    used: int
    of: int

    @property
    def read_bytes(self) -> int:
        """Return the bytes that a token reads."""
        return self.tensor.n_bytes * self.used // self.of

    @property
    def parameters(self) -> int:
        """Return the parameters it holds."""
        return self.tensor.elements if self.role.holds_parameters else 0

    @property
    def active_parameters(self) -> int:
        """Return those of them that work for a token: of a table that is looked up, all."""
        if self.role.read is Read.LOOKED_UP:
            return self.parameters
        return self.multiplied_parameters

    @property
    def multiplied_parameters(self) -> int:
        """Return those that a token multiplies with."""
        return self.parameters * self.used // self.of

    @property
    def is_head(self) -> bool:
        """Return whether it is read for every token, and gives the logits."""
        return self.role.block is None and self.role.part in _HEADS and self.used > 0


def count_model(header: GgufHeader, *, is_head_stored_twice: bool | None = None) -> ModelCounts:
    """Return the counts of a model.

    Whether its tied head is stored twice its data or its entry tell; None asks the published
    checkpoints.

    Raises RecordError where the metadata do not go with the tensors, and for a tensor that fits no
    rule, by its name; where the file is no whole model, what it is instead.
    """
    check_is_model(header)
    parts = _parts(header)
    if is_head_stored_twice is None:
        is_head_stored_twice = is_of_tied_checkpoint(header)
    repeated = header.tensor(HEAD) if is_head_stored_twice else None
    twice = repeated.elements if repeated else 0
    parameters_total = sum(part.parameters for part in parts) - twice
    if parameters_total <= 0:
        raise _unfit(header, "no weights in it, as in a file that holds a vocabulary only")
    count, used = _experts(header, [part.role for part in parts])
    attention = _attention(header, parts)
    return ModelCounts(
        parameters_total=parameters_total,
        parameters_active=sum(part.active_parameters for part in parts) - twice,
        work=_work(parts, attention_flops_per_position=2 * attention.scored),
        weight_bytes=sum(tensor.n_bytes for tensor in header.tensors),
        kv_bytes_per_token=attention.kept * _KV_ELEMENT_BYTES,
        expert_count=count,
        expert_used_count=used,
    )


def count_parameters(tensors: Sequence[TensorInfo], used: int, of: int) -> tuple[int, int]:
    """Return all parameters of tensors, and those that work for a token."""
    roles = [find_role(tensor, "a twin") for tensor in tensors]
    parts = _shared_out(tensors, roles, used, of)
    return sum(p.parameters for p in parts), sum(p.active_parameters for p in parts)


def published_difference(entry: ModelEntry, total: int, active: int) -> str | None:
    """Return how counts differ from the published ones of an entry, or None where they agree.

    The total has to be the published one. Of the active ones each publisher counts the router and
    the embedding in their own way, so a per cent is left to them.
    """
    published = entry.published_parameters_total
    if published is not None and total != published:
        return f"{total} parameters, {published} are published"
    published = entry.published_parameters_active
    if published is not None and abs(active - published) > _ACTIVE_TOLERANCE * published:
        return f"{active} active parameters, {published} are published"
    return None


def count_work(tensors: Sequence[TensorInfo], shape: ModelShape) -> TokenWork:
    """Return what one token asks of the tensors of a published shape."""
    parts = _shared_out(
        tensors,
        [find_role(tensor, "a twin") for tensor in tensors],
        shape.expert_used_count,
        shape.expert_count,
    )
    scored = shape.block_count * shape.head_count * (shape.key_length + shape.value_length)
    return _work(parts, attention_flops_per_position=2 * scored)


def _work(parts: Sequence[_Part], *, attention_flops_per_position: int) -> TokenWork:
    return TokenWork(
        read_bytes=sum(part.read_bytes for part in parts),
        head_bytes=sum(part.read_bytes for part in parts if part.is_head),
        multiplied_parameters=sum(part.multiplied_parameters for part in parts),
        attention_flops_per_position=attention_flops_per_position,
    )


def _parts(header: GgufHeader) -> list[_Part]:
    roles = [find_role(tensor, header.where) for tensor in header.tensors]
    count, used = _experts(header, roles)
    name = header.architecture
    blocks = _needed(header, f"{name}.block_count", _MAX_BLOCKS)
    announced = header.whole_number(f"{name}.nextn_predict_layers") or 0
    unread = prediction_blocks(roles, blocks, min(announced, blocks))
    return _shared_out(header.tensors, roles, used, count, unread)


def _shared_out(
    tensors: Sequence[TensorInfo],
    roles: Sequence[TensorRole],
    used: int,
    of: int,
    unread: frozenset[int] = frozenset(),
) -> list[_Part]:
    """Return the tensors with the share of each that a token reads."""
    has_head = any(tensor.name == "output.weight" for tensor in tensors)
    parts = []
    for tensor, role in zip(tensors, roles, strict=True):
        share = (1, 1)
        is_head = tensor.name == "token_embd.weight" and not has_head
        if role.read in (Read.ROUTED, Read.ONE_EXPERT):
            share = (used, of)
        elif role.read is Read.LOOKED_UP and not is_head:
            share = (0, 1)
        if role.read is Read.UNREAD or role.block in unread:
            share = (0, 1)
        parts.append(_Part(tensor=tensor, role=role, used=share[0], of=share[1]))
    return parts


def _experts(header: GgufHeader, roles: Sequence[TensorRole]) -> tuple[int, int]:
    """Return how many experts a layer has and how many a token uses; (0, 0) for a dense model."""
    if not any(role.read in (Read.ROUTED, Read.ONE_EXPERT) for role in roles):
        return 0, 0
    name = header.architecture
    count = header.whole_number(f"{name}.expert_count") or 0
    used = header.whole_number(f"{name}.expert_used_count") or 0
    if not 1 <= used <= count:
        raise _unfit(header, f"{used} of {count} experts used per token")
    alone: dict[tuple[int | None, str], int] = {}
    for tensor, role in zip(header.tensors, roles, strict=True):
        if role.read is Read.ROUTED and tensor.shape[-1] != count:
            raise _unfit(header, f"{tensor.name} holds {tensor.shape[-1]} experts, not {count}")
        if role.read is Read.ONE_EXPERT:
            matrix = f"{role.part.rpartition('.')[0]}.{tensor.name.rpartition('.')[2]}"
            alone[(role.block, matrix)] = alone.get((role.block, matrix), 0) + 1
    for (block, matrix), found in alone.items():
        if found != count:
            raise _unfit(header, f"block {block} holds {found} experts of {matrix}, not {count}")
    return count, used


@dataclass(frozen=True, kw_only=True)
class _Attention:
    """Elements over all blocks: those a token adds to the cache, and those its queries score.

    `scored` counts an element of a key and of a value for each head of the queries.
    """

    kept: int
    scored: int


def _attention(header: GgufHeader, parts: Sequence[_Part]) -> _Attention:
    """Return what attention keeps and reads; blocks with a state instead do neither.

    Compressed keys (`key_length_mla` is in the file) stand for the values as well.
    """
    name = header.architecture
    blocks = _needed(header, f"{name}.block_count", _MAX_BLOCKS)
    heads = _per_block(header, f"{name}.attention.head_count", blocks)
    kv_heads = _per_block(header, f"{name}.attention.head_count_kv", blocks) or heads
    width = _needed(header, f"{name}.embedding_length", _MAX_WIDTH)
    default = width // max([1, *heads])
    key = _number(header, f"{name}.attention.key_length", default)
    value = _number(header, f"{name}.attention.value_length", default)
    scored = key + value
    if header.whole_number(f"{name}.attention.key_length_mla"):
        value = 0
    caching = _caching_blocks(header, parts, blocks)

    def counted(numbers: Sequence[int]) -> int:
        return sum(number for block, number in enumerate(numbers) if block in caching)

    return _Attention(kept=counted(kv_heads) * (key + value), scored=counted(heads) * scored)


def _number(header: GgufHeader, key: str, default: int) -> int:
    number = header.whole_number(key)
    return default if number is None else number


def _caching_blocks(header: GgufHeader, parts: Sequence[_Part], blocks: int) -> frozenset[int]:
    """Return the blocks that keep keys and values of their own."""
    name = header.architecture
    by_block: dict[int, set[str]] = {}
    unread: set[int] = set()
    for part in parts:
        if part.role.block is not None and not part.role.is_encoder:
            by_block.setdefault(part.role.block, set()).add(part.role.part)
            if part.role.part.startswith("nextn."):
                unread.add(part.role.block)
    shared = header.whole_number(f"{name}.attention.shared_kv_layers") or 0
    predicting = header.whole_number(f"{name}.nextn_predict_layers") or 0
    unread |= set(range(max(0, blocks - max(shared, predicting)), blocks))
    return frozenset(
        block
        for block in range(blocks)
        if block not in unread and _keeps_keys(by_block.get(block, set()))
    )


def _keeps_keys(names: set[str]) -> bool:
    """Return whether a block attends to what came before, rather than keep a state of fixed size.

    Some do both; a fused projection beside a state feeds the state.
    """
    attends = {"attn_k", "attn_kv_b", "attn_kv_a_mqa", "attn_kv"} & names
    has_state = any(name.startswith(("ssm_", "time_mix_", "shortconv.")) for name in names)
    return bool(attends) or not has_state


def _per_block(header: GgufHeader, key: str, blocks: int) -> list[int]:
    """Return a number for each block: the files give one for all, or one each; [] for none."""
    value = header.metadata.get(key)
    if isinstance(value, GgufArray):
        numbers = [n for n in value.numbers or () if isinstance(n, int) and n >= 0]
        if len(numbers) != blocks:
            raise _unfit(header, f"{key} does not hold one number for each of {blocks} blocks")
        return numbers
    number = header.whole_number(key)
    return [] if number is None else [number] * blocks


def _needed(header: GgufHeader, key: str, most: int) -> int:
    number = header.whole_number(key)
    if number is None:
        raise _unfit(header, f"{key} is missing")
    if not 1 <= number <= most:
        raise _unfit(header, f"{key} is {number}, not between 1 and {most}")
    return number


def _unfit(header: GgufHeader, what: str) -> RecordError:
    return RecordError(what, where=header.where, hint=_FIX)

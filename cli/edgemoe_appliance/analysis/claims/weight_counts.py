"""What follows from a model's published shape: weights by part, and bytes for one token.

The bytes of a part are its weights at the mean bytes per weight of the file; mixed quantisation
makes that a few per cent wrong for a part. Norms and biases, below a thousandth, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.schema.configs import ModelShape

_HALF_PRECISION = 2  # llama.cpp's default for the cache


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights by part, over all layers; `active_experts` are those that one token uses.

    `head` is read for every token, `lookup` (the input embedding) only where it is the head too.
    """

    attention: int
    router: int
    experts: int
    active_experts: int
    head: int
    lookup: int

    @property
    def total(self) -> int:
        """Return all weights of the file."""
        return self.attention + self.router + self.experts + self.head + self.lookup

    @property
    def read_per_token(self) -> int:
        """Return the weights that one token reads."""
        return self.attention + self.router + self.active_experts + self.head


def cache_bytes(shape: ModelShape) -> int:
    """Return the bytes that one token adds to the cache of keys and values, in half precision."""
    per_layer = shape.head_count_kv * (shape.key_length + shape.value_length)
    return _HALF_PRECISION * shape.block_count * per_layer


def count_weights(shape: ModelShape) -> Weights:
    """Return the weights of a shape; a dense feed-forward block counts as one expert, used.

    Source of the parts: MoE-CAP (arXiv 2412.07067), which leaves the head out.
    """
    width, layers = shape.embedding_length, shape.block_count
    queries = shape.head_count * shape.key_length
    keys_and_values = shape.head_count_kv * (shape.key_length + shape.value_length)
    expert = 3 * width * shape.feed_forward_length
    vocabulary = width * shape.vocab_size
    return Weights(
        attention=layers * width * (2 * queries + keys_and_values),
        router=layers * width * shape.expert_count,
        experts=layers * expert * max(1, shape.expert_count),
        active_experts=layers * expert * max(1, shape.expert_used_count),
        head=vocabulary,
        lookup=0 if shape.tied_embeddings else vocabulary,
    )

"""What one token asks of a model of the catalogue, from its published shape and its quantisation.

Each tensor counts with its own type, as llama-quantize gives them out: the output head of a Q4_K_M
file is in Q6_K, and a mean over the file would be a fifth wrong for it.
"""

from __future__ import annotations

from functools import cache

from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.models.arithmetic import TokenWork, count_work
from edgemoe_appliance.models.layout import TWIN_ARCHITECTURES, build_tensors
from edgemoe_appliance.schema.configs import ModelEntry, ModelShape

_HALF_PRECISION = 2  # llama.cpp's default for the cache


def cache_bytes(shape: ModelShape) -> int:
    """Return the bytes that one token adds to the cache of keys and values, in half precision."""
    per_layer = shape.head_count_kv * (shape.key_length + shape.value_length)
    return _HALF_PRECISION * shape.block_count * per_layer


@cache
def published_work(entry: ModelEntry | None) -> TokenWork | Absent:
    """Return what one token asks of a model's tensors, or why that is not known.

    The tensors and their types follow from the shape, the architecture and the quantisation that
    the entry names.
    """
    if entry is None or entry.shape is None:
        return Absent(reason="the shape of the model is not known")
    if entry.architecture not in TWIN_ARCHITECTURES:
        return Absent(reason=f"the tensors of architecture {entry.architecture} are not known")
    try:
        tensors = build_tensors(entry.architecture, entry.shape, entry.quantization)
    except ConfigError:
        return Absent(reason=f"the types of tensors in {entry.quantization} are not known")
    return count_work(tensors, entry.shape)

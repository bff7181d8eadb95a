"""How a twin says that it is one: keys in its metadata, under names that no real model uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.models.gguf import GgufHeader
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale

MARK: Final = "edgemoe.twin."
TWIN_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class TwinMark:
    """What a twin stands for; equal marks mean equal bytes.

    Only a mark that is not uniform names its routing: twins from before there were two kinds are.
    """

    of: str
    scale: TwinScale
    routing: TwinRouting = TwinRouting.UNIFORM
    seed: int
    format_version: int


def read_twin_mark(header: GgufHeader) -> TwinMark | None:
    """Return the mark of a twin, or None for a file that carries none.

    Raises RecordError for a mark that is not whole: such a file is neither model nor twin.
    """
    if not any(key.startswith(MARK) for key in header.metadata):
        return None
    of, scale = header.text(f"{MARK}of"), header.text(f"{MARK}scale")
    seed, version = header.whole_number(f"{MARK}seed"), header.whole_number(f"{MARK}format")
    routing = header.text(f"{MARK}routing") or TwinRouting.UNIFORM.value
    scales, routings = ({known.value for known in kind} for kind in (TwinScale, TwinRouting))
    is_known = scale in scales and routing in routings
    if not of or not is_known or seed is None or version is None:
        raise RecordError(
            "its mark as a twin is damaged",
            where=header.where,
            hint="write it again: edgemoe-appliance models twin",
        )
    return TwinMark(
        of=of,
        scale=TwinScale(scale),
        routing=TwinRouting(routing),
        seed=seed,
        format_version=version,
    )

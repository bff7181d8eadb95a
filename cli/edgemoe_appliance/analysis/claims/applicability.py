"""What runs on reduced twins and with cut prompts cannot show, so that no verdict rests on them."""

from __future__ import annotations

from edgemoe_appliance.analysis.claims.evidence import Place
from edgemoe_appliance.studies.quantities import Quantity, Term

_MEMORY = (
    Quantity.PEAK_MEMORY,
    Quantity.FILE_BACKED_MEMORY,
    Quantity.DEVICE_MEMORY,
    Quantity.SWAP,
    Quantity.COMPLETED,
    Quantity.CACHE_BYTES_PER_TOKEN,
)


def why_not_borne(place: Place, term: Term) -> str:
    """Return why a number of a place says nothing about the study's models, empty if it may."""
    if place.twin_scale == "tiny":
        return "tiny twins stay in the processor's caches: they show that the machinery works"
    if place.is_reduced and term.quantity in _MEMORY:
        return "a reduced twin's memory is not the model's: buffers do not shrink with the layers"
    asks_length = term.length or term.stratum or term.quantity is Quantity.FALL_WITH_LENGTH
    if place.prompt_scale < 1 and asks_length:
        share = f"{100 * place.prompt_scale:.3g} %"
        return f"prompts are cut to {share} of their words: long ones are not long"
    return ""

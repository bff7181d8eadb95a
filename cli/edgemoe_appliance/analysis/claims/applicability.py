"""What runs on reduced twins and with cut prompts cannot show, so that no verdict rests on them."""

from __future__ import annotations

from edgemoe_appliance.analysis.claims.evidence import Place
from edgemoe_appliance.studies.quantities import Quantity, Term, facts_of


def why_not_borne(place: Place, term: Term) -> str:
    """Return why a number of a place says nothing about the study's models, empty if it may."""
    if place.is_reduced:
        # Layers round (28 eighths of Qwen2.5 are 4), caches hold what memory would have to give,
        # and buffers stay: the ratio of two reduced twins is no ratio of the models.
        return (
            f"{place.twin_scale} twins are not the models in small: they show that every step "
            "works, and bear no verdict; --twins full does"
        )
    asks_length = term.length or term.stratum or term.quantity is Quantity.FALL_WITH_LENGTH
    if place.software_device is not None:
        return (
            f"{place.software_device} is a software device, the processor in place of a GPU: it "
            "shows that every step works, and bears no verdict"
        )
    if place.pretended_meter is not None and facts_of(term.quantity).is_energy:
        return (
            f"{place.pretended_meter} is a pretended meter: it shows that every step works, and "
            "bears no verdict on energy"
        )
    if place.prompt_scale < 1 and asks_length:
        share = f"{100 * place.prompt_scale:.3g} %"
        return f"prompts are cut to {share} of their words: 'long' prompts are too short here"
    return ""

"""Colours by role, light and dark: one place for the page and for the figures.

Model colours are those of Okabe and Ito's set, told apart with all common forms of colour
blindness; the purple is darkened, and the dark set lightened, to stand at least 3:1 on their
grounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Shade:
    """One role's colour on a light and on a dark ground, as #rrggbb."""

    light: str
    dark: str


# Each light value differs from all others: figures are drawn with it and then given its name.
SHADES = MappingProxyType(
    {
        "ground": Shade(light="#fdfdfb", dark="#14161a"),
        "raised": Shade(light="#f4f4ef", dark="#1d2026"),
        "rule": Shade(light="#d8d9d2", dark="#3a3f48"),
        "ink": Shade(light="#1c1e22", dark="#e7e7e2"),
        "muted": Shade(light="#5b606a", dark="#a3a8b1"),
        "link": Shade(light="#0b5a94", dark="#7cc0f2"),
        "warn": Shade(light="#9c2f06", dark="#ffab7d"),
        "warn-ground": Shade(light="#fff1e6", dark="#33201a"),
        "holds": Shade(light="#00604a", dark="#63d3b0"),
        "fails": Shade(light="#97194f", dark="#ff9db9"),
        "elsewhere": Shade(light="#3f4d94", dark="#b3bdf5"),
        "band": Shade(light="#d3dde9", dark="#34414f"),
        "model-1": Shade(light="#d55e00", dark="#ff8f45"),
        "model-2": Shade(light="#0072b2", dark="#5db4f2"),
        "model-3": Shade(light="#00875f", dark="#3ccb9c"),
        "model-4": Shade(light="#b4558c", dark="#eaa3cd"),
        "model-other": Shade(light="#6b6f76", dark="#b4b8bf"),
    }
)
_OTHER = "model-other"


def model_role(model: str | None, models: Iterable[str]) -> str:
    """Return the role of a model's colour, by its place among the models of a study."""
    places = {known: f"model-{place}" for place, known in enumerate(models, start=1)}
    role = places.get(model or "", _OTHER)
    return role if role in SHADES else _OTHER


def model_colour(model: str | None, models: Iterable[str]) -> str:
    """Return a model's colour on a light ground."""
    return SHADES[model_role(model, models)].light


def css_variables() -> str:
    """Return the colours as CSS custom properties, dark where the reader prefers it.

    Print is always light: paper has no dark ground.
    """
    light = "".join(f"--{role}:{shade.light};" for role, shade in SHADES.items())
    dark = "".join(f"--{role}:{shade.dark};" for role, shade in SHADES.items())
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )

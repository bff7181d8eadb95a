"""Colours: told apart, readable on their grounds, named once."""

from __future__ import annotations

import itertools

import pytest

from edgemoe_appliance.report.palette import SHADES, css_variables, model_role


def luminance(colour: str) -> float:
    """Return relative luminance as WCAG 2.1 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "raised"])
def test_text_has_the_contrast_that_wcag_asks_for(theme: str, ground: str) -> None:
    on = getattr(SHADES[ground], theme)
    for role in ("ink", "muted", "link"):
        assert contrast(getattr(SHADES[role], theme), on) >= 4.5, role


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_warnings_have_it_on_their_own_ground(theme: str) -> None:
    warn = getattr(SHADES["warn"], theme)
    for ground in ("ground", "raised", "warn-ground"):
        assert contrast(warn, getattr(SHADES[ground], theme)) >= 4.5
    assert contrast(getattr(SHADES["ink"], theme), getattr(SHADES["warn-ground"], theme)) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_of_models_stand_out_from_the_ground(theme: str) -> None:
    for role, shade in SHADES.items():
        if role.startswith("model-"):
            assert contrast(getattr(shade, theme), getattr(SHADES["ground"], theme)) >= 3, role


def test_no_two_roles_share_a_light_colour() -> None:
    # Figures are drawn in light colours and themed by replacing them.
    for one, other in itertools.combinations(SHADES.values(), 2):
        assert one.light != other.light


def test_every_role_is_a_css_variable_in_both_themes() -> None:
    css = css_variables()
    for role in SHADES:
        assert css.count(f"--{role}:") == 2


@pytest.mark.parametrize(
    ("model", "role"),
    [("a", "model-1"), ("d", "model-4"), ("e", "model-other"), ("x", "model-other"),
     (None, "model-other")],
)  # fmt: skip
def test_models_have_their_colours_by_their_place(model: str | None, role: str) -> None:
    assert model_role(model, ["a", "b", "c", "d", "e"]) == role
